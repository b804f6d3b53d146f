"""Tangents: forward mode, which carries a directional derivative along with every value and keeps nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unspool.ir.listener import CLOSED, Listener, Scope, Traced, bind, fresh, resolve, still
from unspool.ir.primitive import Primitive
from unspool.variable import Variable


class Tangents(Listener):
    """Listens to values: computes each operation and its tangent at once. The node of a value is its tangent or
    None."""

    __slots__ = ("level", "recording", "scope")

    def __init__(self) -> None:
        self.level = 0
        self.scope: Scope | None = None
        self.recording = True

    def input(self, value: Any, tangent: Any) -> Variable:
        """A handle on a value that changes in the direction of the tangent."""
        return Variable(value, self, tangent)

    def constant(self, value: Any) -> Variable:
        """A handle without a tangent, into which traced values can be written."""
        return Variable(value, self, None)

    def close(self) -> None:
        """End the sweep: its values cannot be used any more."""
        self.scope = CLOSED

    def bind(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Evaluate the operation and its jvp."""
        values: list[Any] = []
        tangents: list[Any] = []
        for arg in args:
            own = isinstance(arg, Traced) and arg.listener is self
            values.append(arg.value if own else still(arg) if isinstance(arg, Traced) else arg)
            tangents.append(arg.node if own else None)
        moving = any(t is not None for t in tangents)
        if moving and primitive.push is not None:
            y, tangent = primitive.push(tuple(values), tuple(tangents))
        else:
            y = bind(primitive, *values, **params)
            if not primitive.differentiable:
                plain = isinstance(y, Traced) or getattr(y, "dtype", None) is None or y.dtype.kind not in "fc"
                return y if plain else self.constant(y)
            tangent = None
            if moving:
                assert primitive.jvp is not None
                tangent = primitive.jvp(tuple(tangents), y, *values, **params)
        if primitive.multiple:
            parts = tangent if tangent is not None else (None,) * len(y)
            return tuple([Variable(v, self, t) for v, t in zip(y, parts, strict=True)])
        return Variable(y, self, tangent)

    def binary(self, primitive: Primitive, operator: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
        """The same as `bind`."""
        return bind(primitive, x, y)

    def unary(self, primitive: Primitive, x: Any) -> Any:
        """The same as `bind`."""
        return bind(primitive, x)

    def tangent_of(self, value: Any) -> Any:
        """The tangent of a value, or None where it is zero."""
        value = resolve(value)
        return value.node if isinstance(value, Traced) and fresh(value).listener is self else None

    def primal_of(self, value: Any) -> Any:
        """The value with this level of tracing taken off."""
        value = resolve(value)
        return value.value if isinstance(value, Traced) and fresh(value).listener is self else value

"""Functions with a rule that the user gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any

import numpy as np

from unspool.errors import InputError, UnsupportedError
from unspool.ir.listener import Traced, bind, fresh, listening, resolve, still
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.tape import Tape
from unspool.tree import Structure, flatten


class _Call:
    """One call: which leaves of the arguments are operands, and the structures to build calls and results with."""

    def __init__(self, name: str, args: tuple[Any, ...]) -> None:
        self.name = name
        self.leaves, self.structure = flatten(args)
        self.moving = [k for k, leaf in enumerate(self.leaves) if isinstance(leaf, Traced)]
        self.results: Structure | None = None
        listeners = [resolve(self.leaves[k]).listener for k in self.moving]
        self.top = max(listeners, key=lambda listener: listener.level, default=None)

    def args(self, operands: Sequence[Any]) -> tuple[Any, ...]:
        """The arguments with copies of these operands, for the function may write into them."""
        leaves = list(self.leaves)
        for k, operand in zip(self.moving, operands, strict=True):
            leaves[k] = _own(operand)
        args: tuple[Any, ...] = self.structure.unflatten(leaves)
        return args

    def flat(self, out: Any) -> tuple[Any, ...]:
        """The leaves of a result, as arrays."""
        leaves, self.results = flatten(out)
        for leaf in leaves:
            if isinstance(leaf, Traced) and resolve(leaf).listener is self.top:
                raise UnsupportedError(
                    f"{self.name} takes a traced array of shape {leaf.value.shape} from the code around it (a "
                    "closure), for which its rule gives no derivative. Pass it as an argument."
                )
        return tuple([leaf if isinstance(leaf, Traced) else np.array(leaf)[()] for leaf in leaves])

    def bind(self, primitive: Primitive) -> Any:
        """Carry the call out."""
        outs = bind(primitive, *(self.leaves[k] for k in self.moving))
        assert self.results is not None
        return self.results.unflatten(outs)


def _own(value: Any) -> Any:
    """The value apart from whoever else holds it; containers and arrays in them are copied."""
    if isinstance(value, np.ndarray):
        return value.copy(order="K")
    if isinstance(value, Traced):
        return still(fresh(value)) if value.listener.scope is None else value
    if value.__class__ in (list, tuple):
        return value.__class__(map(_own, value))
    return {key: _own(entry) for key, entry in value.items()} if value.__class__ is dict else value


def _zeros(value: Any) -> Any:
    t = ArrayType.of(value)
    return np.zeros(t.shape, t.dtype)[()]


class custom_vjp:
    """A function with its own rule for reverse mode.

    ``defvjp(fwd, bwd)``: ``fwd(*args)`` returns ``(out, residuals)``; ``bwd(residuals, ct)`` returns a tuple with one
    cotangent per argument, of its structure and shapes, or None for zero. The function may do anything inside, as
    calling a library that cannot be traced, on plain arrays. Forward mode raises `UnsupportedError`.

    >>> import numpy as np, unspool
    >>> @unspool.custom_vjp
    ... def clipped(x):
    ...     return x
    >>> clipped.defvjp(lambda x: (x, None), lambda _, ct: (np.clip(ct, -1, 1),))
    >>> unspool.grad(lambda x: 5 * clipped(x))(3.0)
    np.float64(1.0)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self._function = function
        self._rules: tuple[Callable[..., Any], Callable[..., Any]] | None = None

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """Set the rule."""
        self._rules = fwd, bwd

    def __call__(self, *args: Any) -> Any:
        """Call the function; the rule is used where an argument is traced."""
        name = getattr(self._function, "__name__", "custom_vjp function")
        if self._rules is None:
            raise UnsupportedError(f"{name} has no rule yet: call {name}.defvjp(fwd, bwd) before it is used")
        fwd, bwd = self._rules
        call = _Call(name, args)
        if not call.moving:
            return self._function(*args)

        def record(values: tuple[Any, ...], wanted: int) -> tuple[Any, Any]:
            out, residuals = fwd(*call.args(values))
            ys = call.flat(out)
            kept = _own(residuals)
            structure = call.results
            assert structure is not None

            def pull(cts: tuple[Any, ...]) -> list[Any]:
                full = [_zeros(y) if ct is None else _own(ct) for y, ct in zip(ys, cts, strict=True)]
                back = bwd(_own(kept), structure.unflatten(full))
                return _cotangents(back, call, values, wanted, name)

            return ys, pull

        def push(values: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
            raise UnsupportedError(
                f"{name} has a rule for reverse mode only (custom_vjp), and forward mode came through it. Use grad, "
                "vjp or "
                'jacobian(mode="reverse"), or give it a jvp with custom_jvp, which serves both.'
            )

        def evaluate(*values: Any) -> tuple[Any, ...]:
            return call.flat(self._function(*call.args(values)))

        return call.bind(Primitive(name, evaluate, multiple=True, record=record, push=push))


def _cotangents(back: Any, call: _Call, values: Sequence[Any], wanted: int, name: str) -> list[Any]:
    """The cotangents of the wanted operands, checked against them."""
    n_args = len(call.structure.children)
    if not isinstance(back, tuple) or len(back) != n_args:
        found = f"{len(back)} entries" if isinstance(back, tuple) else type(back).__name__
        raise InputError(
            f"the rule of {name} must return a tuple with {n_args} cotangents, one per argument; got {found}"
        )
    spread: list[Any] = []
    for number, (part, expected) in enumerate(zip(back, call.structure.children, strict=True)):
        leaves, structure = ([None] * expected.n_leaves, expected) if part is None else flatten(part)
        if structure != expected:
            raise InputError(
                f"the rule of {name}: cotangent {number} has the structure {structure}; expected {expected}"
            )
        spread += leaves
    result = []
    for number, k in enumerate(call.moving):
        if wanted >> number & 1:
            value: Any = values[number]
            ct: Any = spread[k]
            ct = _zeros(value) if ct is None else ct if isinstance(ct, Traced) else np.array(ct)[()]
            if ct.shape != value.shape:
                raise InputError(
                    f"the rule of {name} gave a cotangent {ArrayType.of(ct)} for an argument {ArrayType.of(value)}; "
                    "the shapes must be the same"
                )
            result.append(ct if ct.dtype == value.dtype else ct.astype(value.dtype))
    return result


class custom_jvp:
    """A function with its own rule for both modes, given as a jvp.

    ``defjvp(rule)``: ``rule(primals, tangents)`` returns ``(out, tangent_out)``; it must be linear in the tangents,
    since reverse mode transposes it.

    >>> import numpy as np, unspool
    >>> @unspool.custom_jvp
    ... def softplus(x):
    ...     return np.log1p(np.exp(x))
    >>> softplus.defjvp(lambda primals, tangents: (softplus(primals[0]), tangents[0] / (1 + np.exp(-primals[0]))))
    >>> unspool.grad(softplus)(0.0)
    np.float64(0.5)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self._function = function
        self._rule: Callable[..., Any] | None = None

    def defjvp(self, rule: Callable[..., Any]) -> None:
        """Set the rule."""
        self._rule = rule

    def __call__(self, *args: Any) -> Any:
        """Call the function; the rule is used where an argument is traced."""
        name = getattr(self._function, "__name__", "custom_jvp function")
        if self._rule is None:
            raise UnsupportedError(f"{name} has no rule yet: call {name}.defjvp(rule) before it is used")
        rule = self._rule
        call = _Call(name, args)
        if not call.moving:
            return self._function(*args)

        def push(values: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
            full = [_zeros(v) if t is None else _own(t) for v, t in zip(values, tangents, strict=True)]
            out, moved = rule(call.args(values), _directions(call, full))
            return call.flat(out), call.flat(moved)

        def record(values: tuple[Any, ...], wanted: int) -> tuple[Any, Any]:
            tape = Tape()
            with listening(tape):
                try:
                    handles = [tape.input(_zeros(v)) if wanted >> k & 1 else _zeros(v) for k, v in enumerate(values)]
                    out, moved = push(values, tuple(handles))
                    nodes = [tape.node_of(t) for t in moved]
                finally:
                    tape.close()

            def pull(cts: tuple[Any, ...]) -> list[Any]:
                back = tape.sweep([(n, ct) for n, ct in zip(nodes, cts, strict=True) if ct is not None], free=False)
                chosen = [v for k, v in enumerate(values) if wanted >> k & 1]
                return [_zeros(v) if ct is None else ct for v, ct in zip(chosen, back, strict=True)]

            return out, pull

        def evaluate(*values: Any) -> tuple[Any, ...]:
            return call.flat(self._function(*call.args(values)))

        return call.bind(Primitive(name, evaluate, multiple=True, record=record, push=push))


def _directions(call: _Call, tangents: Sequence[Any]) -> tuple[Any, ...]:
    leaves = [_zeros(leaf) if _is_array(leaf) else leaf for leaf in call.leaves]
    for k, tangent in zip(call.moving, tangents, strict=True):
        leaves[k] = tangent
    directions: tuple[Any, ...] = call.structure.unflatten(leaves)
    return directions


def _is_array(leaf: Any) -> bool:
    return not isinstance(leaf, Traced) and isinstance(leaf, np.ndarray | np.generic | float | complex)

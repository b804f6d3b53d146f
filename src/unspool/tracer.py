"""Tracer: listens to types, and writes down what a function does as a program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from unspool.errors import InputError
from unspool.ir.listener import CLOSED, Listener, Scope, Traced, bind, fresh, listening, resolve
from unspool.ir.primitive import Primitive
from unspool.ir.program import Atom, Equation, Literal, Program, Var
from unspool.ir.verify import result_types
from unspool.layout import ArrayType
from unspool.source_line import user_line
from unspool.tree import flatten
from unspool.variable import Variable


class Tracer(Listener):
    """Listens to types: the value of a variable is its `ArrayType`, its node is the `Var` that names it."""

    __slots__ = ("consts", "equations", "level", "n_vars", "recording", "scope")

    def __init__(self) -> None:
        self.level = 0
        self.scope: Scope | None = None
        self.recording = True
        self.equations: list[Equation] = []
        self.consts: list[tuple[Var, np.ndarray]] = []
        self.n_vars = 0

    def close(self) -> None:
        """End the trace: its values cannot be used any more."""
        self.scope = CLOSED

    def var(self, type: ArrayType) -> Var:
        """A new name."""
        self.n_vars += 1
        return Var(self.n_vars - 1, type)

    def input(self, type: ArrayType) -> Variable:
        """A value of which only the type is known."""
        return Variable(type, self, self.var(type))

    def constant(self, value: Any) -> Variable:
        """A known array."""
        array = np.array(value)
        var = self.var(ArrayType.of(array))
        self.consts.append((var, array))
        return Variable(var.type, self, var)

    def atom(self, value: Any) -> Atom:
        """The var or literal that stands for an operand."""
        value = resolve(value)
        if isinstance(value, Traced):
            if fresh(value).listener is not self:
                raise InputError(
                    "a function that is traced into a program read a traced value from outside: pass it in"
                )
            var: Var = value.node
            return var
        if type(value) in (int, float, complex):
            return Literal(value)
        atom: Var = self.constant(value).node
        return atom

    def bind(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Write the operation down as an equation."""
        operands = tuple(map(self.atom, args))
        types = result_types(primitive, tuple(a.value if isinstance(a, Literal) else a.type for a in operands), params)
        outputs = tuple(map(self.var, types))
        self.equations.append(Equation(primitive, operands, tuple(params.items()), outputs, user_line()))
        results = tuple([Variable(var.type, self, var) for var in outputs])
        return results if primitive.multiple else results[0]

    def binary(self, primitive: Primitive, operator: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
        """The same as `bind`."""
        return bind(primitive, x, y)

    def unary(self, primitive: Primitive, x: Any) -> Any:
        """The same as `bind`."""
        return bind(primitive, x)


def trace(f: Callable[..., Any], *types: ArrayType) -> Program:
    """The program of a function of arrays of these types; its result may be any nest of arrays, flattened.

    A Python branch on a traced value, ``float(x)`` and the like raise `DetachedError`: there is no value yet.

    >>> print(trace(lambda x, y: x * np.sin(y), ArrayType(np.dtype(float), (3,)), ArrayType(np.dtype(float), ())))
    program(%0: f64[3], %1: f64[]):
      %2: f64[] = sin(%1)             # ...
      %3: f64[3] = multiply(%0, %2)   # ...
      return %3
    """
    tracer = Tracer()
    with listening(tracer):
        try:
            inputs = [tracer.input(t) for t in types]
            leaves, _ = flatten(f(*inputs))
            outputs = tuple(tracer.atom(leaf) for leaf in leaves)
        finally:
            tracer.close()
    return Program(tuple(x.node for x in inputs), tuple(tracer.consts), tuple(tracer.equations), outputs)

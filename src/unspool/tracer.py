"""Tracer: listens to types, and writes down what a function does as a program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Branch:
    """Where the traced code went one way or the other: on which truth, which way, after how many equations, and the
    line of the user's code."""

    condition: Var
    taken: bool
    position: int
    line: str | None


class Tracer(Listener):
    """Listens to types: the value of a variable is its `ArrayType`, its node is the `Var` that names it.

    A Python branch on a value goes the way that it goes for the ``samples`` of the inputs, if they have any. A loop
    becomes one equation if the tracer ``keeps_loops``, and is written out otherwise; one that ``counts`` compiles none.
    """

    __slots__ = (
        *("branches", "consts", "counts", "equations", "inputs", "keeps_loops"),
        *("level", "n_vars", "recording", "samples", "scope"),
    )

    def __init__(self, *, keeps_loops: bool = False, counts: bool = False) -> None:
        self.level = 0
        self.keeps_loops, self.counts = keeps_loops, counts
        self.scope: Scope | None = None
        self.recording = True
        self.equations: list[Equation] = []
        self.consts: list[tuple[Var, np.ndarray]] = []
        self.inputs: set[Atom] = set()
        self.samples: dict[Atom, Any] = {}
        self.branches: list[Branch] = []
        self.n_vars = 0

    def close(self) -> None:
        """End the trace: its values cannot be used any more."""
        self.scope = CLOSED

    def var(self, type: ArrayType) -> Var:
        """A new name."""
        self.n_vars += 1
        return Var(self.n_vars - 1, type)

    def input(self, type: ArrayType, sample: Any = None) -> Variable:
        """A value of which only the type is known, and perhaps a sample."""
        var = self.var(type)
        self.inputs.add(var)
        if sample is not None:
            self.samples[var] = sample
        return Variable(type, self, var)

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

    def truth(self, traced: Any) -> bool:
        """Which way the branch goes for the samples; it is noted."""
        if traced.size != 1:
            raise ValueError(
                f"the truth value of an array of shape {traced.shape} is ambiguous: use np.any(x) or np.all(x)"
            )
        condition: Var = fresh(traced).node
        needed = self._before(condition)
        inputs = self.inputs & needed
        if not inputs <= self.samples.keys():
            return super().truth(traced)
        taken = bool(self._sampled(condition, needed))
        if inputs:
            self.branches.append(Branch(condition, taken, len(self.equations), user_line()))
        return taken

    def sample(self, atom: Atom) -> Any:
        """The value of an atom for the samples of the inputs."""
        return atom.value if isinstance(atom, Literal) else self._sampled(atom, self._before(atom))

    def _sampled(self, atom: Atom, needed: set[Atom]) -> Any:
        known = self.samples
        known |= {var: value for var, value in self.consts if var not in known}
        with np.errstate(all="ignore"):
            for equation in self.equations:
                if needed.isdisjoint(equation.outputs) or equation.outputs[0] in known:
                    continue
                operands = [a.value if isinstance(a, Literal) else known[a] for a in equation.operands]
                results = equation.primitive.evaluate(*operands, **dict(equation.params))
                known |= zip(equation.outputs, results if equation.primitive.multiple else (results,), strict=True)
        return known[atom]

    def _before(self, atom: Atom) -> set[Atom]:
        """All that an atom is computed from, itself included."""
        needed: set[Atom] = {atom}
        for equation in reversed(self.equations):
            if not needed.isdisjoint(equation.outputs):
                needed.update(equation.operands)
        return needed


def trace(f: Callable[..., Any], *types: ArrayType) -> Program:
    """The program of a function of arrays of these types; its result may be any nest of arrays, flattened.

    A Python branch on a traced value, ``float(x)`` and the like raise `DetachedError`: there is no value.

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

"""What becomes of a step: its program, its adjoint, and the code that they come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unspool.adjoint import Adjoint, Point, joined, record
from unspool.adjoint.residuals import NEXT, STATE
from unspool.codegen.build import build, is_built
from unspool.codegen.machine import Compiled, CompiledFields
from unspool.errors import UnsupportedError
from unspool.ir.listener import still
from unspool.ir.program import Equation, Program, Var
from unspool.layout import ArrayType
from unspool.loop_inputs import returned_leaves, state_leaves
from unspool.memory import human_bytes
from unspool.table import Table, preformatted
from unspool.tree import flatten
from unspool.whole_numbers import as_floats, as_traced_floats, as_typed, is_carried


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """A step as the compiler sees it; printed, both programs and the facts.

    ``residual_bytes`` are what each further recorded step keeps: of a step on numbers its state, of one on fields what
    costs more to compute again; ``residuals`` is the table of it, value by value. ``source`` is the Numba module, or
    None with the ``reason`` why the step is not compiled. ``seconds`` are those of the compilation; ``cached`` tells
    whether the code was there, in memory or on disk.
    """

    adjoint: Adjoint
    source: str | None
    reason: str | None
    seconds: float | None
    cached: bool
    residual_bytes: int | None
    residuals: Table | None = None

    @property
    def advance(self) -> Program:
        """The program of the step: (k, state) to the state after it."""
        return self.adjoint.advance

    @property
    def reverse(self) -> Program:
        """The program of the way back: (k, state, cotangents) to the cotangents of the state."""
        return self.adjoint.reverse

    def __str__(self) -> str:
        if self.source is None:
            fate = f"not compiled: {self.reason}"
        else:
            speed = "compiled before" if self.cached else f"compiled in {self.seconds:.2f} s"
            fate = f"{self.residuals}\n{speed}, {self.source.count(chr(10))} lines of code"
        return "\n".join(["step:", str(self.advance), "", "adjoint:", str(self.reverse), "", fate])

    def _repr_html_(self) -> str:
        return preformatted(str(self))


def inspect(step: Callable[[Any, Any], Any], init: Any) -> Inspection:
    """Trace, differentiate and compile ``step(i, state)`` for states like ``init``, and show what comes of it.

    A step that branches goes the way that it goes at step 0 of this state. Whole numbers in the state are floats in the
    program, as in the machine code. Raises `DetachedError` with the reason where
    the step cannot be traced at all.

    >>> import numpy as np, unspool
    >>> seen = inspect(lambda i, u: u - 0.1 * np.sin(u), np.ones(2))
    >>> seen.residual_bytes, "= sin(s0)" in seen.source
    (16, True)
    """
    leaves, structure, carried = state_leaves(init, "inspect")
    if carried is not None:
        raise UnsupportedError(
            f"state{carried.paths[0]} is a random generator: a step that draws runs on the tape. Draw before the loop, "
            "and pass the numbers as xs of scan"
        )
    arrays = [np.asarray(leaf) for leaf in leaves]

    types = [*map(ArrayType.of, arrays)]
    carried_types = all(map(is_carried, types))  # others are shown as they are, and why they are not compiled

    def flat(k: Any, state: list[Any], inputs: list[Any], read: Any) -> tuple[list[Any], list[Any]]:
        if not carried_types:
            return flatten(step(k, structure.unflatten(state)))[0], []
        typed = as_typed(state, types)
        before = [*map(still, typed)]
        new = returned_leaves(step(k, structure.unflatten(typed)), structure, "inspect", k)
        return as_traced_floats(new, before, types, k.listener, n_steps=1, name="inspect"), []

    def no_captures(position: int) -> Any:
        raise UnsupportedError("a traced value from outside: inspect a step outside of transforms")

    state = as_floats(arrays, "the initial state") if carried_types else arrays
    at = Point(0, state, [], no_captures)
    adjoint = joined([record(flat, [*map(ArrayType.of, state)], [], no_captures, lambda: 0, at=at)])
    cached = is_built(adjoint)
    try:
        compiled = build(adjoint)
    except UnsupportedError as error:
        return Inspection(adjoint, None, str(error), None, False, None)
    table = _residuals(compiled, [*[f"state{path}" for path in structure.paths()], "first step of another path"])
    cached = cached or compiled.code.from_disk
    return Inspection(adjoint, compiled.source, None, compiled.code.seconds, cached, compiled.residual_bytes, table)


def _residuals(compiled: Compiled, names: list[str]) -> Table:
    """What a recorded step keeps, and what its way back computes again."""
    adjoint = compiled.adjoint
    makers = {var: equation for equation in adjoint.joint.equations for var in equation.outputs}
    rows: list[tuple[str, ...]] = []
    if isinstance(compiled, CompiledFields):
        for kept in compiled.step.kept:
            places = {STATE: names, NEXT: [f"next {name}" for name in names]}.get(kept.kind)
            name = _named(makers[kept.var]) if places is None else places[kept.position]
            rows.append((name, str(kept.var.type), "kept", human_bytes(kept.var.type.nbytes)))
        again = compiled.step.split.again
    else:
        rows += [(name, str(t), "kept", human_bytes(t.nbytes)) for name, t in zip(names, adjoint.state, strict=False)]
        again = _primal(adjoint)
    rows += [(_named(e), str(e.outputs[0].type), "computed again", "") for e in again]
    total = f"kept per recorded step: {human_bytes(compiled.residual_bytes)}"
    return Table(("value", "type", "fate", "bytes"), tuple(rows), note=total, left=(0, 1, 2))


def _named(equation: Equation) -> str:
    return f"{equation.primitive.name}{f', {equation.line}' if equation.line else ''}"


def _primal(adjoint: Adjoint) -> tuple[Equation, ...]:
    """The equations of the way back that do not depend on a cotangent."""
    cts = {*adjoint.reverse.inputs[1 + sum(map(len, (adjoint.state, adjoint.inputs, adjoint.captures))) :]}
    found = []
    for equation in adjoint.reverse.equations:
        if cts.isdisjoint([a for a in equation.operands if isinstance(a, Var)]):
            found.append(equation)
        else:
            cts.update(equation.outputs)
    return tuple(found)

"""A traced function made ready to run: straight code between loops, compiled, and carried out part by part.

Of a program with loops in it, all that does not wait for a loop is one straight part; then come the loops that it made
possible, then what waited for these, and so on. A loop whose way back is in the program too keeps its sweep until
then. Where all parts work on few numbers, they are one script of machine code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unspool.codegen.build import build_function, run
from unspool.codegen.machine import Compiled, CompiledNumbers
from unspool.codegen.script import Script, ScriptedLoop
from unspool.errors import UnsupportedError
from unspool.ir.evaluate import evaluate
from unspool.ir.program import Atom, Equation, Literal, Program, Var
from unspool.layout import ArrayType
from unspool.loop_primitives import LoopPrimitive
from unspool.planner import Auto
from unspool.schedules import StoreAll

_FLOAT = np.dtype(float)


@dataclass(frozen=True, slots=True, eq=False)
class Straight:
    """Equations between loops; without code they are carried out one by one by NumPy, for the reason that is given."""

    program: Program
    code: Compiled | None
    reason: str = ""

    @property
    def operands(self) -> tuple[Atom, ...]:
        """What it reads."""
        return self.program.inputs

    @property
    def results(self) -> tuple[Any, ...]:
        """What it gives to others."""
        return self.program.outputs

    def __call__(self, *operands: Any) -> Sequence[Any]:
        """Carry it out."""
        if self.code is None:
            return evaluate(self.program, *operands)
        drive = run(self.code, n_steps=1, xs=[], captures=operands)
        try:
            _, rows = drive.forward([], None)
        finally:
            drive.close()
        return [row[0] for row in rows]

    def __str__(self) -> str:
        fate = (
            "numbers" if isinstance(self.code, CompiledNumbers) else "fields" if self.code else f"NumPy: {self.reason}"
        )
        return f"{len(self.program.equations)} equations ({fate})"


@dataclass(frozen=True, slots=True, eq=False)
class Looped:
    """A loop, or its way back; ``pair`` is the number that both have."""

    equation: Equation
    pair: int | None

    @property
    def primitive(self) -> LoopPrimitive:
        """The loop."""
        assert isinstance(self.equation.primitive, LoopPrimitive)
        return self.equation.primitive

    @property
    def operands(self) -> tuple[Atom, ...]:
        """What it reads."""
        return self.equation.operands

    @property
    def results(self) -> tuple[Any, ...]:
        """What it gives to others."""
        return self.equation.outputs

    def __str__(self) -> str:
        what = "way back of " if self.primitive.reverses else ""
        return f"{what}{self.primitive.loop.name}, {self.primitive.loop.n_steps} steps"


Part = Straight | Looped


def parts_of(program: Program) -> list[Part]:
    """The program in parts, compiled, in the order in which they run."""
    pairs = _pairs(program.equations)
    there: set[Atom] = {*program.inputs, *[var for var, _ in program.consts]}
    left = [*program.equations]
    parts: list[Part] = []
    while left:
        straight: list[Equation] = []
        waiting: list[Equation] = []
        for equation in left:
            if isinstance(equation.primitive, LoopPrimitive) or not _ready(equation, there):
                waiting.append(equation)
            else:
                straight.append(equation)
                there |= {*equation.outputs}
        if straight:
            parts.append(_straight(program, straight, waiting))
        loops = [e for e in waiting if isinstance(e.primitive, LoopPrimitive) and _ready(e, there)]
        for equation in loops:
            parts.append(Looped(equation, pairs.get(id(equation))))
            there |= {*equation.outputs}
        left = [e for e in waiting if e not in loops]
    return parts


def _ready(equation: Equation, there: set[Atom]) -> bool:
    return all(isinstance(atom, Literal) or atom in there for atom in equation.operands)


def _pairs(equations: Sequence[Equation]) -> dict[int, int]:
    """Which loops have their way back in the program too, by a number for each such pair."""
    ahead: dict[Any, Equation] = {}
    found: dict[int, int] = {}
    for equation in equations:
        primitive = equation.primitive
        if not isinstance(primitive, LoopPrimitive):
            continue
        form = primitive.form
        operands = equation.operands[: form.n_state + form.n_xs + form.n_captures]
        if not primitive.reverses:
            ahead[form, operands] = equation
        elif (begun := ahead.pop((form, operands), None)) is not None:
            found[id(begun)] = found[id(equation)] = len(found) // 2
    return found


def _straight(program: Program, equations: list[Equation], waiting: list[Equation]) -> Straight:
    """The part of these equations: what it needs and gives, and its code."""
    made = {var for equation in equations for var in equation.outputs}
    read = dict.fromkeys([a for e in equations for a in e.operands if isinstance(a, Var) and a not in made])
    consts = tuple([(var, value) for var, value in program.consts if var in read])
    known = {var for var, _ in consts}
    wanted = {*program.outputs, *[atom for e in waiting for atom in e.operands]}
    inputs = [var for var in read if var not in known]
    outputs = [var for equation in equations for var in equation.outputs if var in wanted]
    part = Program(tuple(inputs), consts, tuple(equations), tuple(outputs))
    try:
        return Straight(part, build_function(part))
    except UnsupportedError as error:
        return Straight(part, None, str(error))


# --- running it -------------------------------------------------------------------------------------------------------
def runner(program: Program, parts: Sequence[Part]) -> Callable[[Sequence[Any]], list[Any]]:
    """The function that carries the parts out: from inputs to outputs."""

    def carry_out(inputs: Sequence[Any]) -> list[Any]:
        values: dict[Atom, Any] = dict([*program.consts, *zip(program.inputs, inputs, strict=True)])
        waiting: dict[int, Any] = {}

        def read(atom: Atom) -> Any:
            return np.asarray(atom.value) if isinstance(atom, Literal) else values[atom]

        try:
            for part in parts:
                found = _run(part, [*map(read, part.operands)], waiting)
                values.update(zip(part.results, found, strict=True))
        finally:
            for sweep in waiting.values():
                sweep.close()
        return [*map(read, program.outputs)]

    return carry_out


def _run(part: Part, operands: list[Any], waiting: dict[int, Any]) -> Sequence[Any]:
    if isinstance(part, Straight):
        return part(*operands)
    form, loop = part.primitive.form, part.primitive.loop
    if part.pair is None:
        return part.primitive.evaluate(*operands)  # type: ignore[no-any-return]
    if not part.primitive.reverses:
        waiting[part.pair] = sweep = form.sweep(loop, operands)
        final, ys = sweep.forward()
        return [*final, *ys]
    n = form.n_state + form.n_xs + form.n_captures
    return form.unwound(waiting.pop(part.pair), operands[:n], operands[n:])


class Scripted:
    """The parts as one script of machine code, with the places of inputs and outputs. Raises `UnsupportedError` where
    they do not work on few numbers, or take long."""

    def __init__(self, program: Program, parts: Sequence[Part]) -> None:
        self._script = script = Script()
        types = [var.type for var in program.inputs] + [ArrayType.of(value) for _, value in program.consts]
        types += [var.type for part in parts for var in part.results]
        if any(t.dtype != _FLOAT for t in types):
            raise UnsupportedError("not all values are of float64")
        places = {var: script.keep(np.zeros(var.type.shape)) for var in program.inputs}
        places |= {var: script.keep(np.array(value)) for var, value in program.consts}

        def read(atom: Atom) -> np.ndarray:
            return script.keep(np.array(atom.value, float)) if isinstance(atom, Literal) else places[atom]

        waiting: dict[int, Any] = {}
        for part in parts:
            found = _written(script, part, [*map(read, part.operands)], waiting)
            places |= zip(part.results, found, strict=True)
        self._inputs = [places[var] for var in program.inputs]
        self._outputs = [*map(read, program.outputs)]
        script.finish()

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        """Carry it out."""
        for place, value in zip(self._inputs, inputs, strict=True):
            place[...] = value
        self._script()
        return [place.copy() if place.ndim else place[()] for place in self._outputs]


def _written(script: Script, part: Part, operands: list[np.ndarray], waiting: dict[int, Any]) -> list[np.ndarray]:
    if isinstance(part, Straight):
        if not isinstance(part.code, CompiledNumbers):
            raise UnsupportedError(f"not on numbers: {part}")
        return script.call(part.code, operands)
    form, loop = part.primitive.form, part.primitive.loop
    if not isinstance(form.code, CompiledNumbers) or loop.progress:
        raise UnsupportedError(f"not on numbers: {part}")
    assert loop.n_steps is not None
    schedule = loop.schedule
    if isinstance(schedule, Auto):
        if schedule.memory is not None:
            raise UnsupportedError(f"a budget that is planned for at every call: {part}")
        schedule = StoreAll()
    n = form.n_state + form.n_xs + form.n_captures
    if not part.primitive.reverses:
        written = ScriptedLoop(script, form.code, loop.n_steps, None if part.pair is None else schedule)
        if part.pair is not None:
            waiting[part.pair] = written
        return written.forward(operands)
    if part.pair is None:
        written = ScriptedLoop(script, form.code, loop.n_steps, schedule)
        written.forward(operands[:n])
    else:
        written = waiting.pop(part.pair)
    return written.reverse(operands[n:])

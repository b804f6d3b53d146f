"""A loop as a primitive: a function of explicit operands, whose rules are loops again.

The derivative of a loop in a direction is a loop over (state, tangent), whose step is the jvp of the step. The way
back of that *tangent loop* gives the second derivatives, so that two primitives close the circle for every nesting of
transforms:

    loop(x) -> y              jvp: the tangent loop           vjp: loop_vjp(x, ct)
    loop_vjp(x, ct) -> ctx    jvp, vjp: loop_vjp of the tangent loop, and the tangent loop itself

Where only types are known, a loop is compiled when it is met, and its primitive knows the machine code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from unspool.closure import LateCaptureError
from unspool.codegen.fallback import FlatStep, Surroundings
from unspool.errors import UnsupportedError
from unspool.ir.listener import FROZEN, Traced, bind, listening, primal, resolve
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.loop import Loop, Sweep, plain_state
from unspool.memory import as_bytes
from unspool.planner import Auto, StepPrices
from unspool.schedules import simulate
from unspool.sweeps import run_plainly, sweep_of
from unspool.tangents import Tangents
from unspool.undecided import Undecided

if TYPE_CHECKING:
    from unspool.codegen.machine import Compiled
    from unspool.compiled import CompiledSweep


def as_primitive(loop: Loop, init: Sequence[Any], xs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Find out by one step what the loop reads from outside; then it is a function of explicit operands."""
    state = plain_state(init)
    probe = loop.steps(state, plain_state(xs), [])
    if probe.going(state, 0):
        probe.advance(state, 0, 1)
    floats = tuple(map(_is_float, probe.ys or []))
    loop.captures.open = False
    while True:
        form = Form(len(init), len(xs), len(loop.captures), floats)
        operands = [x if isinstance(x, Traced) else np.array(x)[()] for x in (*init, *xs)]
        try:
            outs = bind(loop_primitive(loop, form), *operands, *loop.captures.handles)
        except LateCaptureError as late:  # a later step read more: begin again with that too
            if late.captures is not loop.captures:
                raise
            loop.captures.open = True
            loop.captures.note(late.handle, resolve(late.handle))
            loop.captures.open = False
        else:
            plain = [out if out.dtype.kind in "fc" else primal(out) for out in outs]  # an index, a count, a truth
            return plain[: len(init)], plain[len(init) :]


def staged(loop: Loop, init: Sequence[Any], xs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Compile the loop where only types are known; then it is a function of explicit operands."""
    if loop.flat is None or loop.compile is False or loop.n_steps is None:
        what = "with check_finite=True" if loop.flat is None else "with compile=False"
        what = "whose number of steps is not known" if loop.n_steps is None else what
        raise UnsupportedError(
            f"a {loop.name} {what} inside a function that is compiled: leave that function to Python"
        )
    if not loop.n_steps:
        return [*init], []
    operands = [x if isinstance(x, Traced) else np.array(x)[()] for x in (*init, *xs)]
    code = _code_of(loop, operands[: len(init)], operands[len(init) :], [])
    loop.captures.open = False
    state = tuple(map(ArrayType.of, operands[: len(init)]))
    form = Form(len(init), len(xs), len(loop.captures), (True,) * len(code.adjoint.outputs), code, state)
    outs = bind(loop_primitive(loop, form), *operands, *loop.captures.handles)
    return [*outs[: len(init)]], [*outs[len(init) :]]


def _code_of(loop: Loop, init: Sequence[Any], xs: Sequence[Any], values: Sequence[Any]) -> Compiled:
    """The machine code of a loop by the types of what it works on."""
    from unspool.traced_steps import TracedSteps  # importing the compiler costs more than most loops

    types = [[ArrayType.of(x) for x in group] for group in (init, xs, values)]
    code = TracedSteps(loop, *types, only_types=True).compiled()
    assert code is not None  # it has a number of steps
    return code


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """How many operands a loop has of each kind (state, xs, captures), and which of its outputs are floats.

    In a tangent loop the entries of each kind are followed by the tangents of those that are floats. ``code`` is there
    where the loop was compiled by the types of its operands, and the types of its ``state``.
    """

    n_state: int
    n_xs: int
    n_captures: int
    output_floats: tuple[bool, ...]
    code: Compiled | None = None
    state: tuple[ArrayType, ...] = ()

    def split(self, operands: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
        """State, xs and captures."""
        cut = self.n_state + self.n_xs
        return operands[: self.n_state], operands[self.n_state : cut], operands[cut : cut + self.n_captures]

    def results(self, outs: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        """State and outputs."""
        return outs[: self.n_state], outs[self.n_state :]

    def run(self, loop: Loop, operands: Sequence[Any]) -> tuple[Any, ...]:
        """The final state and the outputs."""
        init, xs, values = self.split(operands)
        if self.code is None:
            final, ys = run_plainly(loop, init, xs, values)
        else:
            final, ys = self._compiled(loop, init, xs, values).plainly()
        return (*final, *ys)

    def sweep(self, loop: Loop, operands: Sequence[Any]) -> Sweep | CompiledSweep | Undecided:
        """A run with a way back, before its first step."""
        init, xs, values = self.split(operands)
        if self.code is None:
            return sweep_of(loop, plain_state(init), plain_state(xs), values)
        return self._compiled(loop, init, xs, values)

    def unwound(self, sweep: Any, operands: Sequence[Any], cts: Sequence[Any]) -> tuple[Any, ...]:
        """The way back of a run that has reached its turn: from the cotangents of the floats among the results to those
        of the floats among the operands."""
        moving = iter(cts)
        floats = [*map(_is_float, operands[: self.n_state]), *self.output_floats]
        full = [next(moving) if is_float else None for is_float in floats]
        found = [ct for part in sweep.reverse(*self.results(full)) for ct in part]
        return tuple([_zeros(x) if ct is None else ct for x, ct in zip(operands, found, strict=True) if _is_float(x)])

    def _compiled(self, loop: Loop, init: Sequence[Any], xs: Sequence[Any], values: Sequence[Any]) -> CompiledSweep:
        from unspool.compiled import CompiledSweep

        assert self.code is not None
        return CompiledSweep(loop, self.code, init=plain_state(init), xs=plain_state(xs), values=values)

    def types(self, loop: Loop) -> Callable[..., tuple[ArrayType, ...]] | None:
        """The rule for the types of final state and outputs, where they are known beforehand."""
        if self.code is None:
            return None
        adjoint, n = self.code.adjoint, loop.n_steps or 0
        found = (*self.state, *[ArrayType(t.dtype, (n, *t.shape)) for t in adjoint.outputs])
        return lambda *_: found

    def peak_bytes(self, loop: Loop) -> int:
        """What a run with a way back holds, where the loop is compiled."""
        if self.code is None or loop.n_steps is None:
            return 0
        prices = StepPrices.untimed(self.code.state_bytes, self.code.residual_bytes, self.code.first_bytes)
        if isinstance(loop.schedule, Auto):
            return min(prices.taped_bytes(loop.n_steps), as_bytes(loop.schedule.memory))
        sizes = {"state_bytes": prices.state_bytes, "residual_bytes": prices.residual_bytes}
        return simulate(loop.schedule, loop.n_steps, **sizes).peak_bytes + prices.first_bytes

    def digest(self, loop: Loop) -> str:
        """Equal for loops that compute the same, where that is known."""
        if self.code is None:
            return ""
        state = " ".join(map(str, self.state))
        return f"{self.code.adjoint.content.hex()} {state} {loop.n_steps} {loop.schedule!r} {loop.threads}"


@dataclass(frozen=True, slots=True, eq=False)
class LoopPrimitive(Primitive):
    """A loop, or its way back (``reverses``), as a primitive."""

    loop: Loop = field(kw_only=True)
    form: Form = field(kw_only=True)
    reverses: bool = False


def _is_float(value: Any) -> bool:
    return bool(value.dtype.kind in "fc")


def _zeros(value: Any) -> Any:
    return np.zeros(value.shape, value.dtype)[()]


def _filled(values: Sequence[Any], directions: Sequence[Any]) -> list[Any]:
    """The directions of the floats among the values, zeros for None."""
    return [_zeros(x) if d is None else d for x, d in zip(values, directions, strict=True) if _is_float(x)]


def _doubled(groups: Sequence[Sequence[Any]], directions: Sequence[Sequence[Any]]) -> list[Any]:
    """Each group followed by the directions of its floats: operands or results of a tangent loop."""
    result: list[Any] = []
    for group, moved in zip(groups, directions, strict=True):
        result += [*group, *_filled(group, moved)]
    return result


def _halved(groups: Sequence[Sequence[bool]], values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Undo `_doubled`: the values, and the directions with None for what is not a float."""
    first: list[Any] = []
    second: list[Any] = []
    rest = iter(values)
    for floats in groups:
        first += [next(rest) for _ in floats]
        second += [next(rest) if is_float else None for is_float in floats]
    return first, second


def _tangent(loop: Loop, form: Form, operands: Sequence[Any]) -> tuple[Loop, Form]:
    """The loop over (state, tangent): forward mode through every step, under the same schedule."""
    state, xs, captures = form.split(operands)
    state_floats, xs_floats = [_is_float(x) for x in state], [_is_float(x) for x in xs]
    names = (*loop.names, *(name for name, is_float in zip(loop.names, state_floats, strict=True) if is_float))

    def moved_step(inner: FlatStep) -> FlatStep:
        def step(k: int, pairs: list[Any], inputs: list[Any], around: Surroundings) -> tuple[list[Any], list[Any]]:
            sweep = Tangents()
            handles: dict[int, Any] = {}

            def read(position: int) -> Any:
                if position not in handles:
                    value, tangent = around.read(position), around.read(len(captures) + position)
                    handles[position] = sweep.input(value, tangent)
                    handles[position].version = FROZEN
                return handles[position]

            with listening(sweep):
                try:
                    moving = _moving(sweep, state_floats, pairs)
                    rows = _moving(sweep, xs_floats, inputs)
                    new, outputs = inner(k, moving, rows, Surroundings(around.listeners, read))
                    return _still(sweep, new), _still(sweep, outputs)
                finally:
                    sweep.close()

        return step

    def condition(pairs: list[Any], *how: Any) -> bool:
        assert loop.condition is not None
        return loop.condition(pairs[: form.n_state], *how)

    stepping = loop.stepping
    tangent = Loop(
        loop.name,
        moved_step(loop.step),
        loop.n_steps,
        loop.schedule,
        names,
        loop.captures,
        condition if loop.condition else None,
        compile=loop.compile,
        body=loop.body,
        about=("tangent", *loop.about),
        stepping=None if stepping is None else lambda body: moved_step(stepping(body)),
        threads=loop.threads,
        check=loop.check,
        flat=loop.flat,
    )
    code = None
    if form.code is not None:
        types = [[*map(ArrayType.of, group)] for group in (state, xs, captures)]
        code = _code_of(tangent, *[[*group, *[t for t in group if _is_float(t)]] for group in types])
    moved = Form(
        form.n_state + sum(state_floats),
        form.n_xs + sum(xs_floats),
        2 * form.n_captures,
        form.output_floats + (True,) * sum(form.output_floats),
        code,
        (*form.state, *[t for t in form.state if _is_float(t)]),
    )
    return tangent, moved


def _moving(sweep: Tangents, floats: Sequence[bool], pairs: Sequence[Any]) -> list[Any]:
    values, tangents = _halved([floats], pairs)
    return [value if t is None else sweep.input(value, t) for value, t in zip(values, tangents, strict=True)]


def _still(sweep: Tangents, leaves: Sequence[Any]) -> list[Any]:
    values = [sweep.primal_of(leaf) for leaf in leaves]
    values = [value if hasattr(value, "dtype") else np.asarray(value)[()] for value in values]
    return _doubled([values], [[sweep.tangent_of(leaf) for leaf in leaves]])


def loop_primitive(loop: Loop, form: Form) -> Primitive:
    """The loop as a function of explicit operands: (state, xs, captures) to (state, outputs)."""

    def evaluate(*operands: Any) -> tuple[Any, ...]:
        return form.run(loop, operands)

    def record(operands: tuple[Any, ...], wanted: int) -> tuple[Any, Any]:
        chosen = [k for k in range(len(operands)) if wanted >> k & 1]
        if not any(isinstance(x, Traced) for x in operands):
            sweep = form.sweep(loop, operands)
            final, ys = sweep.forward()

            def reverse(cts: tuple[Any, ...]) -> list[Any]:
                found = [ct for part in sweep.reverse(*form.results(cts)) for ct in part]
                return [_zeros(operands[k]) if found[k] is None else found[k] for k in chosen]

            return (*final, *ys), reverse
        outs = bind(primitive, *operands)

        def pull(cts: tuple[Any, ...]) -> list[Any]:
            floats = [k for k, x in enumerate(operands) if _is_float(x)]
            found = dict(zip(floats, bind(loop_vjp_primitive(loop, form), *operands, *_filled(outs, cts)), strict=True))
            return [found[k] for k in chosen]

        return outs, pull

    def push(operands: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
        outs = bind(
            loop_primitive(*_tangent(loop, form, operands)), *_doubled(form.split(operands), form.split(tangents))
        )
        return _halved([[_is_float(x) for x in operands[: form.n_state]], form.output_floats], outs)

    primitive = LoopPrimitive(
        loop.name,
        evaluate,
        form.types(loop),
        multiple=True,
        record=record,
        push=push,
        digest=form.digest(loop),
        loop=loop,
        form=form,
    )
    return primitive


def loop_vjp_primitive(loop: Loop, form: Form) -> Primitive:
    """The way back as a function: (operands, cotangents of the float results) to the cotangents of the float
    operands."""

    def split(values: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        n = form.n_state + form.n_xs + form.n_captures
        return values[:n], values[n:]

    def result_floats(operands: Sequence[Any]) -> list[Sequence[bool]]:
        return [[_is_float(x) for x in operands[: form.n_state]], form.output_floats]

    def evaluate(*values: Any) -> tuple[Any, ...]:
        operands, cts = split(values)
        sweep = form.sweep(loop, operands)
        sweep.forward()
        return form.unwound(sweep, operands, cts)

    def second(operands: Sequence[Any], directions: Sequence[Any], cts: Sequence[Any], cts_moved: Sequence[Any]) -> Any:
        """The way back of the tangent loop: cotangents of the operands, and of the directions."""
        tangent, moved = _tangent(loop, form, operands)
        pairs: list[Any] = []
        first, other = iter(cts), iter(cts_moved)
        for floats in result_floats(operands):
            n = sum(floats)
            pairs += [next(first) for _ in range(n)] + [next(other) for _ in range(n)]
        groups = form.split(operands)
        found = bind(loop_vjp_primitive(tangent, moved), *_doubled(groups, form.split(directions)), *pairs)
        return _halved([[True] * sum(map(_is_float, group)) for group in groups], found)

    def push(values: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
        (operands, cts), (directions, cts_moved) = split(values), split(tangents)
        moved, back = second(operands, directions, _filled(cts, cts_moved), cts)
        return tuple(back), tuple(moved)

    def record(values: tuple[Any, ...], wanted: int) -> tuple[Any, Any]:
        operands, cts = split(values)
        back = bind(primitive, *values)

        def pull(weights: tuple[Any, ...]) -> list[Any]:
            floats = [x for x in operands if _is_float(x)]
            moving = iter(_filled(floats, weights))
            directions = [next(moving) if _is_float(x) else None for x in operands]
            first, _ = second(operands, directions, [_zeros(ct) for ct in cts], cts)
            outs = bind(
                loop_primitive(*_tangent(loop, form, operands)), *_doubled(form.split(operands), form.split(directions))
            )
            _, tangent_outs = _halved(result_floats(operands), outs)
            rest = iter(first)
            found = [next(rest) if _is_float(x) else None for x in operands]
            found += [t for t in tangent_outs if t is not None]
            return [found[k] for k in range(len(values)) if wanted >> k & 1]

        return back, pull

    def type_rule(*types: ArrayType) -> tuple[ArrayType, ...]:
        return tuple([t for t in types[: form.n_state + form.n_xs + form.n_captures] if _is_float(t)])

    primitive = LoopPrimitive(
        f"{loop.name}_vjp",
        evaluate,
        None if form.code is None else type_rule,
        multiple=True,
        record=record,
        push=push,
        digest=form.digest(loop),
        n_bytes=form.peak_bytes(loop),
        loop=loop,
        form=form,
        reverses=True,
    )
    return primitive

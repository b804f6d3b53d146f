"""A loop whose step is machine code: traced once, differentiated as a program, carried out by the driver.

Only steps that come to straight-line code on a few float64 numbers are compiled; every other loop runs on the tape,
under the same policies.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os.path import basename, dirname
from time import perf_counter
from traceback import walk_tb
from typing import Any

import numpy as np

from unspool.adjoint import Adjoint, differentiate, outside
from unspool.adjoint.fingerprint import Fingerprint, Unknown
from unspool.closure import aside, lifted
from unspool.codegen.build import Compiled, CompiledNumbers, build, is_built
from unspool.codegen.fallback import FlatStep, Surroundings
from unspool.codegen.field_drive import FieldDrive
from unspool.codegen.number_drive import NumberDrive
from unspool.codegen.scalars import MOST_STEPS
from unspool.errors import DetachedError, UnsupportedError
from unspool.ir.listener import FROZEN, Traced, active, primal
from unspool.kernels import State
from unspool.layout import ArrayType
from unspool.loop import Loop, progress_bar, reported, resident_bytes
from unspool.memory import as_bytes
from unspool.observers import LoopReport
from unspool.plan import NEAR_BYTES, Auto, Plan, StepPrices, check_budget, choose, store_all
from unspool.probe import SMALL, at_once, distant_seconds, touch_seconds
from unspool.schedules import Schedule
from unspool.tree import Structure

_MEASURED_STEPS = 1000
_HERE = dirname(__file__)

COPY_SPEED, COUNT_SECONDS = 5e9, 1e-7
"""Bytes per second at which the driver of numbers copies a state; seconds in which that of fields counts references."""


class CompiledSweep:
    """A run of a compiled loop that has reached its turn, and its way back."""

    def __init__(
        self,
        loop: Loop,
        compiled: Compiled,
        *,
        init: State,
        xs: Sequence[np.ndarray],
        values: list[Any],
    ) -> None:
        assert loop.n_steps is not None
        self.loop, self.init, self.xs, self.values = loop, init, tuple(xs), values
        self._adjoint, self._compiled = compiled.adjoint, compiled
        self._n = loop.n_steps
        self._drive: NumberDrive | FieldDrive | None = None
        self._report: LoopReport | None = None
        self._rss = 0
        self._bar: Any = None

    def plainly(self) -> tuple[State, list[np.ndarray]]:
        """The final state and the outputs, without a way back."""
        if self.loop.progress:
            self._bar = progress_bar(self.loop, self._n)
        self._drive = self._new_drive(self._n, self.xs, None if self._bar is None else self._bar.update)
        try:
            final, ys = self._drive.forward(self.init, None)
        finally:
            self.close()
        return tuple(x if x.ndim else x[()] for x in final), ys

    def forward(self) -> tuple[State, list[np.ndarray]]:
        """Sweep to the turn; return the final state and the outputs."""
        self._rss, code = resident_bytes(), self._compiled
        schedule, plan = self._planned()
        self._report = reported(self.loop, schedule, plan)
        if self._report is not None:
            self._report.compiled = True
            self._report.state_bytes, self._report.residual_bytes = code.state_bytes, code.residual_bytes
            self._report.first_bytes = code.first_bytes
        if self.loop.progress:
            self._bar = progress_bar(self.loop, schedule.steps(self._n) + self._n)
        self._drive = self._new_drive(self._n, self.xs, None if self._bar is None else self._bar.update)
        begin = perf_counter()
        try:
            final, ys = self._drive.forward(self.init, schedule)
        except BaseException:
            self.close()
            raise
        self._account("sweep", begin)
        return tuple(x if x.ndim else x[()] for x in final), ys

    def reverse(self, cts_state: Sequence[Any], cts_ys: Sequence[Any]) -> tuple[Sequence[Any], list[Any], list[Any]]:
        """The cotangents of the initial state, of xs and of the captures; a second call sweeps again first."""
        if self._drive is None:
            self.forward()
        assert self._drive is not None
        begin = perf_counter()
        try:
            back = self._drive.reverse(cts_state, cts_ys)
            self._account("unwind", begin)
        finally:
            self.close()
        if self._report is not None:
            self._report.reversed = True
        return back

    def close(self) -> None:
        """Let go of what the way back would have needed."""
        if self._drive is not None:
            self._drive.close()
            self._drive = None
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _new_drive(
        self, n: int, xs: Sequence[np.ndarray], tick: Callable[[int], Any] | None = None
    ) -> NumberDrive | FieldDrive:
        return self._compiled.run(n_steps=n, xs=xs, captures=self.values, tick=tick, threads=self.loop.threads)

    def _planned(self) -> tuple[Schedule, Plan | None]:
        policy = self.loop.schedule
        if isinstance(policy, Schedule):
            return policy, None
        plan = self._plan(policy)
        return plan.schedule, plan

    def _plan(self, policy: Auto) -> Plan:
        code = self._compiled
        prices = replace(StepPrices.untimed(code.state_bytes, code.residual_bytes), first_bytes=code.first_bytes)
        budget = as_bytes(policy.memory)
        if prices.taped_bytes(self._n) <= min(budget, at_once(), NEAR_BYTES):
            return store_all(self._n, prices, budget)
        check_budget(prices, budget)
        return choose(self._n, self._timed(prices), budget)

    def _timed(self, prices: StepPrices) -> StepPrices:
        """Time some steps on a copy of the state: machine code has no side effects. The second time is the one that
        counts, on memory that has been used before."""
        n = min(self._n, _MEASURED_STEPS, max(2, NEAR_BYTES // max(1, prices.state_bytes + prices.residual_bytes)))
        xs = [x[:n] for x in self.xs]
        for _ in range(2):
            seconds = []
            for schedule in (None, store_all(n, prices, SMALL).schedule):
                drive = self._new_drive(n, xs)
                begin = perf_counter()
                drive.forward(self.init, schedule)
                seconds.append((perf_counter() - begin) / n)
            begin = perf_counter()
            drive.reverse([None] * len(self.init), [None] * len(self._adjoint.outputs))
            seconds.append((perf_counter() - begin) / n)
        copy = prices.state_bytes / COPY_SPEED if isinstance(self._compiled, CompiledNumbers) else COUNT_SECONDS
        return replace(
            prices,
            advance_seconds=seconds[0],
            record_seconds=seconds[1],
            reverse_seconds=seconds[2],
            save_seconds=copy,
            load_seconds=copy,
            touch_seconds=touch_seconds(),
            distant_seconds=distant_seconds(),
        )

    def _account(self, phase: str, begin: float) -> None:
        report, drive = self._report, self._drive
        if report is None or drive is None:
            return
        report.add_seconds(phase, perf_counter() - begin)
        report.steps, report.records, report.saves, report.loads = drive.steps, drive.records, drive.saves, drive.loads
        report.peak_bytes = drive.peak_bytes
        report.peak_snapshot_bytes, report.peak_residual_bytes = drive.peak_snapshot_bytes, drive.peak_residual_bytes
        report.rss_growth_bytes = max(report.rss_growth_bytes, resident_bytes() - self._rss)


def machine_code(
    loop: Loop, init: State, xs: Sequence[np.ndarray], values: Sequence[Any]
) -> tuple[CompiledSweep | None, str | None]:
    """The loop as a compiled one, or None and the reason why it is not. With ``compile=True`` the reason is raised."""
    known = list(values)
    n_captures = len(loop.captures)
    seen = _seen(loop, init, xs) if not known and not n_captures else None
    if seen is not None and seen.key in _TRACED:
        compiled = seen.recall(loop, known)
        return CompiledSweep(loop, compiled, init=init, xs=xs, values=known), None
    try:
        compiled = build(_traced(loop, init, xs, known), shared=loop.threads > 1)
    except Exception as error:  # whatever a step does with a value that is not there yet
        if loop.compile is True:
            error.add_note(f"while {loop.name} was being compiled, which compile=True asks for")
            raise
        _forget(loop, n_captures)
        return None, f"{type(error).__name__}{_line(error)}: {error}"
    if seen is not None:
        seen.note(loop, compiled)
    return CompiledSweep(loop, compiled, init=init, xs=xs, values=known), None


# --- steps that were traced before ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, eq=False)
class _Trace:
    """What a trace has found: the code, which traced values the step captures, the structure of its outputs."""

    compiled: Compiled
    captured: tuple[int, ...]
    outputs: tuple[Structure, ...]
    alive: list[Any]


_TRACED: OrderedDict[Any, _Trace] = OrderedDict()
_MOST_TRACED = 128


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A loop by the key of all that its step depends on."""

    key: Any
    print: Fingerprint

    def recall(self, loop: Loop, values: list[Any]) -> Compiled:
        """What the trace would find."""
        trace = _TRACED[self.key]
        for position in trace.captured:
            handle = self.print.traced[position]
            loop.captures.note(handle, handle)
            values.append(primal(handle))
        loop.outputs[:] = trace.outputs
        return trace.compiled

    def note(self, loop: Loop, compiled: Compiled) -> None:
        """Remember the trace, if all that it captured stands in the key."""
        places = {id(handle): position for position, handle in enumerate(self.print.traced)}
        captured = [places.get(id(handle), -1) for handle in loop.captures.handles]
        if -1 in captured:
            return
        alive = [None if isinstance(x, Traced) else x for x in self.print.alive]
        _TRACED[self.key] = _Trace(compiled, tuple(captured), tuple(loop.outputs), alive)
        while len(_TRACED) > _MOST_TRACED:
            _TRACED.popitem(last=False)


def _seen(loop: Loop, init: State, xs: Sequence[np.ndarray]) -> _Seen | None:
    if loop.body is None:
        return None
    found = Fingerprint()
    try:
        key = found.of(loop.body)
    except Unknown:
        return None
    types = tuple([(x.dtype, x.shape) for x in init]), tuple([(x.dtype, x.shape[1:]) for x in xs])
    return _Seen((loop.name, *loop.about, loop.threads > 1, *types, key), found)


def _lifted_step(loop: Loop, tracer: Any) -> FlatStep:
    """The step with traced constants for the plain arrays that it reads; it cannot write into them."""

    def handle(array: np.ndarray) -> Any:
        constant = tracer.constant(array)
        constant.version = FROZEN
        return constant

    assert loop.stepping is not None
    return loop.stepping(lifted(loop.body, handle))


def _forget(loop: Loop, n_captures: int) -> None:
    """Drop the captures that only the trace has read."""
    captures = loop.captures
    for handle in captures.handles[n_captures:]:
        del captures.positions[id(handle)]
    del captures.handles[n_captures:], captures.outside[n_captures:]


def _line(error: Exception) -> str:
    """Where in the user's code an error came up."""
    frames = [f for f, _ in walk_tb(error.__traceback__) if not f.f_code.co_filename.startswith(_HERE)]
    if not frames:
        return ""
    return f" in {basename(frames[-1].f_code.co_filename)}:{frames[-1].f_lineno}"


def _traced(loop: Loop, init: State, xs: Sequence[np.ndarray], values: list[Any]) -> Adjoint:
    if loop.n_steps is None:
        raise UnsupportedError("a while loop is not compiled: its condition is Python code")
    if loop.n_steps > MOST_STEPS:
        raise UnsupportedError(f"{loop.name} has more than 2**31 steps")
    state, inputs = [ArrayType.of(x) for x in init], [ArrayType(x.dtype, x.shape[1:]) for x in xs]
    for t in (*state, *inputs):
        if t.dtype != np.float64:
            raise UnsupportedError(f"{loop.name} works on {t}: only float64 is compiled")
    captures = loop.captures

    def value_type(position: int) -> ArrayType:
        while len(values) <= position:
            values.append(primal(captures.outside[len(values)]))
        return ArrayType.of(values[position])

    def trace(lifting: bool) -> Adjoint:
        around = (*active(), *aside(), *(handle.listener for handle in captures.handles))

        def step(k: Any, state: list[Any], inputs: list[Any], read: Any) -> tuple[list[Any], list[Any]]:
            flat = _lifted_step(loop, k.listener) if lifting else loop.step
            return flat(k, state, inputs, Surroundings(around, read))

        return differentiate(step, state, inputs, value_type, lambda: max(len(captures), len(values)))

    before, lifting, n_captures = outside(loop.step), False, len(captures)
    try:
        adjoint = trace(lifting)
    except DetachedError:  # perhaps because a plain array was indexed with the number of the step
        if loop.stepping is None:
            raise
        _forget(loop, n_captures)
        del values[n_captures:]
        lifting = True
        adjoint = trace(lifting)
    between = outside(loop.step)
    if not is_built(adjoint) or before != between:
        again = trace(lifting)
        after = outside(loop.step)  # what the first trace has filled, a cache say, may stay as it is
        changed = sorted(name for name in between.keys() | after.keys() if between.get(name) != after.get(name))
        if changed:
            raise UnsupportedError(
                f"the step of {loop.name} changes {', '.join(changed)}, which it keeps outside of its state: a random "
                "generator, a counter, a list or an array. Machine code runs no Python; carry it in the state, or draw "
                "before the loop and pass xs"
            )
        if adjoint.content != again.content:
            raise UnsupportedError(
                f"the step of {loop.name} did not do the same when it was traced a second time: it reads a random "
                "generator, a clock or a counter, or an array that it changes"
            )
    found = [atom.type if hasattr(atom, "type") else ArrayType.of(atom.value) for atom in adjoint.advance.outputs]
    if found[: len(state)] != state or any(t.dtype != np.float64 for t in found):
        raise UnsupportedError(
            f"the step of {loop.name} returns {', '.join(map(str, found))}: only float64 is compiled"
        )
    return adjoint

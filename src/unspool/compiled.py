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

from unspool.adjoint import Point, Recording, joined, outside, record
from unspool.adjoint.fingerprint import Fingerprint, Unknown
from unspool.closure import LateCaptureError, aside, lifted
from unspool.codegen.build import Compiled, CompiledNumbers, build, is_built
from unspool.codegen.fallback import FlatStep, Surroundings
from unspool.codegen.field_drive import FieldDrive
from unspool.codegen.fuse import kind_of
from unspool.codegen.number_drive import NumberDrive
from unspool.codegen.scalars import MOST_STEPS
from unspool.errors import DetachedError, UnsupportedError
from unspool.ir.listener import FROZEN, Traced, active, primal
from unspool.ir.program import Equation, Var
from unspool.kernels import State
from unspool.layout import ArrayType
from unspool.loop import Loop, Sweep, progress_bar, reported, resident_bytes
from unspool.memory import as_bytes
from unspool.observers import LoopReport
from unspool.planner import NEAR_BYTES, Auto, Plan, StepPrices, check_budget, choose, store_all
from unspool.probe import SMALL, at_once, distant_seconds, touch_seconds
from unspool.schedules import Schedule
from unspool.tree import Structure

_MEASURED_STEPS = 1000
_HERE = dirname(__file__)

COPY_SPEED, COUNT_SECONDS = 5e9, 1e-7
"""Bytes per second at which the driver of numbers copies a state; seconds in which that of fields counts references."""


class CompiledSweep:
    """A run of a compiled loop that has reached its turn, and its way back.

    A step that goes a way that no step went before stops it: the path is learned, and it begins again. What cannot be
    learned runs on the tape.
    """

    def __init__(self, steps: _Steps, compiled: Compiled, *, init: State, xs: Sequence[np.ndarray]) -> None:
        assert steps.loop.n_steps is not None
        self.loop, self.init, self.xs, self.values = steps.loop, init, tuple(xs), steps.values
        self._steps, self._compiled = steps, compiled
        self._n = steps.loop.n_steps
        self._drive: NumberDrive | FieldDrive | None = None
        self._instead: Sweep | None = None
        self._report: LoopReport | None = None
        self._rss = 0
        self._bar: Any = None

    def plainly(self) -> tuple[State, list[np.ndarray]]:
        """The final state and the outputs, without a way back. Raises `PathError` where a path cannot be learned."""
        final, ys = self._swept(lambda: None)
        return tuple(x if x.ndim else x[()] for x in final), ys

    def forward(self) -> tuple[State, list[np.ndarray]]:
        """Sweep to the turn; return the final state and the outputs."""
        self._rss = resident_bytes()
        try:
            final, ys = self._swept(self._scheduled)
        except PathError as error:
            self._instead = Sweep(self.loop, self.init, self.xs, list(self.values), not_compiled=str(error))
            return self._instead.forward()
        return tuple(x if x.ndim else x[()] for x in final), ys

    def _swept(self, scheduled: Callable[[], Schedule | None]) -> tuple[list[Any], list[np.ndarray]]:
        """Run to the turn, as often as new paths are found."""
        while True:
            schedule = scheduled()
            if self.loop.progress:
                total = self._n if schedule is None else schedule.steps(self._n) + self._n
                self._bar = progress_bar(self.loop, total)
            self._drive = self._new_drive(self._n, self.xs, None if self._bar is None else self._bar.update)
            begin = perf_counter()
            try:
                final, ys = self._drive.forward(self._start(), schedule)
            except BaseException:
                self.close()
                raise
            self._account("sweep", begin)
            unseen = int(final[-1]) if self._watched else -1
            if unseen < 0:
                if schedule is None:
                    self.close()
                return final[: len(self.init)], ys
            self.close()
            self._compiled = self._steps.learned(self._compiled, *self._state_at(unseen))

    def _state_at(self, step: int) -> tuple[int, list[Any]]:
        """The number of a step and the state before it."""
        drive = self._new_drive(step, [x[:step] for x in self.xs])
        try:
            return step, drive.forward(self._start(), None)[0][: len(self.init)]
        finally:
            drive.close()

    @property
    def _watched(self) -> bool:
        return self._compiled.adjoint.watched

    def _start(self) -> list[Any]:
        """The initial state, as the kernels have it."""
        return [*self.init, *[np.float64(-1.0)] * self._watched]

    def _scheduled(self) -> Schedule:
        code = self._compiled
        schedule, plan = self._planned()
        if self._report is None:
            self._report = reported(self.loop, schedule, plan)
        if self._report is not None:
            self._report.compiled = True
            self._report.policy, self._report.plan = schedule, plan
            self._report.state_bytes, self._report.residual_bytes = code.state_bytes, code.residual_bytes
            self._report.first_bytes = code.first_bytes
        return schedule

    def reverse(self, cts_state: Sequence[Any], cts_ys: Sequence[Any]) -> tuple[Sequence[Any], list[Any], list[Any]]:
        """The cotangents of the initial state, of xs and of the captures; a second call sweeps again first."""
        if self._drive is None and self._instead is None:
            self.forward()
        if self._instead is not None:
            back = self._instead.reverse(cts_state, cts_ys)
            self.values = self._instead.values
            return back
        assert self._drive is not None
        begin = perf_counter()
        try:
            cts, rows, totals = self._drive.reverse([*cts_state, *[None] * self._watched], cts_ys)
            self._account("unwind", begin)
        finally:
            self.close()
        if self._report is not None:
            self._report.reversed = True
        return cts[: len(self.init)], rows, totals

    def close(self) -> None:
        """Let go of what the way back would have needed."""
        if self._instead is not None:
            self._instead.close()
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
                drive.forward(self._start(), schedule)
                seconds.append((perf_counter() - begin) / n)
            begin = perf_counter()
            adjoint = self._compiled.adjoint
            drive.reverse([None] * len(adjoint.state), [None] * len(adjoint.outputs))
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
    n_captures = len(loop.captures)
    seen = _seen(loop, init, xs) if not values and not n_captures else None
    steps = _Steps(loop, init, xs, list(values), seen)
    if seen is not None and seen.key in _TRACED:
        return CompiledSweep(steps, seen.recall(loop, steps.values), init=init, xs=xs), None
    try:
        compiled = steps.compiled()
    except Exception as error:  # whatever a step does with a value that is not there yet
        if loop.compile is True:
            _note(error, loop)
            raise
        _forget(loop, n_captures)
        return None, f"{type(error).__name__}{_line(error)}: {error}"
    return CompiledSweep(steps, compiled, init=init, xs=xs), None


def _note(error: Exception, loop: Loop) -> None:
    error.add_note(f"while {loop.name} was being compiled, which compile=True asks for")


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
    """The step with traced constants for the plain arrays that it reads; it cannot write into them, nor into the lists
    and dicts that hold them."""
    nests: list[tuple[Any, Any]] = []

    def handle(array: np.ndarray) -> Any:
        constant = tracer.constant(array)
        constant.version = FROZEN
        return constant

    assert loop.stepping is not None
    flat = loop.stepping(lifted(loop.body, handle, nests))

    def step(*given: Any) -> tuple[list[Any], list[Any]]:
        result = flat(*given)
        if not all(_same_entries(nest, before) for nest, before in nests):
            raise UnsupportedError(
                f"the step of {loop.name} changes a list or a dict, which it keeps outside of its state"
            )
        return result

    return step


def _same_entries(one: Any, other: Any) -> bool:
    if len(one) != len(other):
        return False
    if isinstance(one, dict):
        return [*one] == [*other] and all(x is y for x, y in zip(one.values(), other.values(), strict=True))
    return all(x is y for x, y in zip(one, other, strict=True))


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


# --- tracing ----------------------------------------------------------------------------------------------------------
MOST_PATHS = 8
"""A step that takes more paths through its branches is not compiled."""

_AHEAD = 16  # steps that are looked at for their paths before anything is compiled


class PathError(UnsupportedError):
    """A step of a compiled loop went a way that cannot be learned."""


class _Steps:
    """The steps of a loop: traced along the paths that they take, and compiled."""

    def __init__(
        self, loop: Loop, init: State, xs: Sequence[np.ndarray], values: list[Any], seen: _Seen | None
    ) -> None:
        self.loop, self.xs, self.values = loop, xs, values
        self._init, self._seen = init, seen
        self._lifting = False
        self._state = [ArrayType.of(x) for x in init]
        self._inputs = [ArrayType(x.dtype, x.shape[1:]) for x in xs]

    def compiled(self) -> Compiled:
        """The machine code of the paths that the first steps take. Raises `UnsupportedError`."""
        self._check()
        return self._built(self._explored([], 0, self._init))

    def learned(self, compiled: Compiled, step: int, state: Sequence[Any]) -> Compiled:
        """The machine code with the path added that this step takes. Raises `PathError`."""
        known = compiled.adjoint.paths
        try:
            found = self._explored(known, step, state)
            if len(found) == len(known):
                raise UnsupportedError(
                    f"in step {step} of {self.loop.name} a branch hangs on the last digit of a value "
                    f"({_lines(found[0])})"
                )
            return self._built(found)
        except LateCaptureError:
            raise
        except Exception as error:
            if self.loop.compile is True:
                _note(error, self.loop)
                raise
            raise PathError(f"{type(error).__name__}{_line(error)}: {error}") from error

    def _built(self, paths: Sequence[Recording]) -> Compiled:
        adjoint = joined(paths)
        if len(adjoint.paths) > 1 and any(map(_may_fail, adjoint.joint.equations)):
            raise UnsupportedError(
                f"the step of {self.loop.name} branches ({_lines(paths[0])}) and calls Python: all paths would be "
                "called. Use np.where, or compile=False"
            )
        compiled = build(adjoint, shared=self.loop.threads > 1)
        if self._seen is not None:
            self._seen.note(self.loop, compiled)
        return compiled

    def _explored(self, known: Sequence[Recording], step: int, state: Sequence[Any]) -> list[Recording]:
        """The known paths, and those that some steps from here on take."""
        paths, n = [*known], self.loop.n_steps or 0
        ahead = [*range(step, min(step + _AHEAD, n)), *[k for k in (n // 2, n - 1) if k >= step + _AHEAD]]
        for k in ahead or [0]:
            found = self._recorded(k, state)
            if all(found.path != path.path for path in paths):
                if self._is_new(found):
                    self._check_repeats(found, k, state)
                self._check_types(found)
                paths.append(found)
            if len(paths) > MOST_PATHS:
                raise UnsupportedError(
                    f"the step of {self.loop.name} takes more than {MOST_PATHS} paths through its branches "
                    f"({_lines(found)}). Use np.where for some of them"
                )
            if not found.branches:
                break
            state = found.after
        return paths

    def _recorded(self, k: int, state: Sequence[Any]) -> Recording:
        loop, captures = self.loop, self.loop.captures
        n_captures, n_values = len(captures), max(len(captures), len(self.values))
        if not self._lifting:
            try:
                return self._trace(k, state)
            except DetachedError:  # perhaps because a plain array was indexed with the number of the step
                if loop.stepping is None:
                    raise
                _forget(loop, n_captures)
                del self.values[n_values:]
                self._lifting = True
        return self._trace(k, state)

    def _trace(self, k: int, state: Sequence[Any]) -> Recording:
        loop, captures, values = self.loop, self.loop.captures, self.values

        def value(position: int) -> Any:
            while len(values) <= position:
                values.append(primal(captures.outside[len(values)]))
            return values[position]

        around = (*active(), *aside(), *(handle.listener for handle in captures.handles))

        def step(k: Any, state: list[Any], inputs: list[Any], read: Any) -> tuple[list[Any], list[Any]]:
            flat = _lifted_step(loop, k.listener) if self._lifting else loop.step
            return flat(k, state, inputs, Surroundings(around, read))

        rows = [x[k] if len(x) else np.zeros(t.shape, t.dtype) for x, t in zip(self.xs, self._inputs, strict=True)]
        return record(
            step,
            self._state,
            self._inputs,
            lambda position: ArrayType.of(value(position)),
            lambda: max(len(captures), len(values)),
            at=Point(k, state, rows, value),
        )

    # --- what is refused --------------------------------------------------------------------------------------------
    def _check(self) -> None:
        loop = self.loop
        if loop.n_steps is None:
            raise UnsupportedError("a while loop is not compiled: its condition is Python code")
        if loop.n_steps > MOST_STEPS:
            raise UnsupportedError(f"{loop.name} has more than 2**31 steps")
        for t in (*self._state, *self._inputs):
            if t.dtype != np.float64:
                raise UnsupportedError(f"{loop.name} works on {t}: only float64 is compiled")
        self._before = outside(loop.step)

    def _is_new(self, found: Recording) -> bool:
        """Whether the trace must be seen a second time: nothing like it was built before, or it has left marks."""
        return bool(found.branches) or not is_built(joined([found])) or self._before != outside(self.loop.step)

    def _check_repeats(self, found: Recording, k: int, state: Sequence[Any]) -> None:
        """Refuse a step that changes what is outside of it, or that does not do the same a second time."""
        loop = self.loop
        between = outside(loop.step)
        again = self._recorded(k, state)
        after = outside(loop.step)  # what the first trace has filled, a cache say, may stay as it is
        changed = sorted(name for name in between.keys() | after.keys() if between.get(name) != after.get(name))
        if changed:
            raise UnsupportedError(
                f"the step of {loop.name} changes {', '.join(changed)}, which it keeps outside of its state: a random "
                "generator, a counter, a list or an array. Machine code runs no Python; carry it in the state, or draw "
                "before the loop and pass xs"
            )
        if found.path != again.path or found.whole.content() != again.whole.content():
            raise UnsupportedError(
                f"the step of {loop.name} did not do the same when it was traced a second time: it reads a random "
                "generator, a clock or a counter, or an array that it changes"
            )

    def _check_types(self, found: Recording) -> None:
        n = len(self._state)
        types = [a.type if isinstance(a, Var) else ArrayType.of(a.value) for a in found.whole.outputs[:n]]
        types += found.outputs
        if types[:n] != self._state or any(t.dtype != np.float64 for t in types):
            raise UnsupportedError(
                f"the step of {self.loop.name} returns {', '.join(map(str, types))}: only float64 is compiled"
            )


def _may_fail(equation: Equation) -> bool:
    """Whether an equation may raise where its path is not taken; rows have harmless indices there."""
    return kind_of(equation) == "call" and equation.primitive.name != "place_row"


def _lines(path: Recording) -> str:
    """The lines of the branches of a path."""
    return ", ".join(dict.fromkeys([str(branch.line) for branch in path.branches]))

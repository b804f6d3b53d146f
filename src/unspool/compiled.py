"""A loop whose step is machine code: traced once, differentiated as a program, carried out by the driver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np

from unspool.codegen.build import run
from unspool.codegen.field_drive import FieldDrive
from unspool.codegen.machine import Compiled, CompiledNumbers
from unspool.codegen.number_drive import NumberDrive
from unspool.codegen.scalars import MOST_STEPS
from unspool.errors import UnsupportedError
from unspool.kernels import State
from unspool.layout import ArrayType
from unspool.loop import Loop, Sweep, progress_bar, reported, resident_bytes
from unspool.memory import as_bytes
from unspool.observers import LoopReport, logs
from unspool.planner import NEAR_BYTES, Auto, Plan, StepPrices, check_budget, choose, store_all
from unspool.probe import SMALL, at_once, distant_seconds, touch_seconds
from unspool.run import online
from unspool.schedules import Schedule
from unspool.traced_steps import PathError, TracedSteps, described
from unspool.whole_numbers import as_floats, as_given

_MEASURED_STEPS = 1000

COPY_SPEED, COUNT_SECONDS = 5e9, 1e-7
"""Bytes per second at which the driver of numbers copies a state; seconds in which that of fields counts references."""


class CompiledSweep:
    """A run of a compiled loop that has reached its turn, and its way back.

    A step that goes a way that no step went before stops it: the path is learned, and it begins again. What cannot be
    learned runs on the tape.
    """

    def __init__(
        self,
        loop: Loop,
        compiled: Compiled,
        *,
        init: State,
        xs: Sequence[np.ndarray],
        values: Sequence[Any],
        steps: TracedSteps | None = None,
    ) -> None:
        self.loop, self.init, self.xs, self.values = loop, init, tuple(xs), values
        self._first = as_floats(init, f"the initial state of {loop.name}")
        self._rows = as_floats(xs, f"xs of {loop.name}")
        self._steps, self._compiled = steps, compiled
        self._n = loop.n_steps or 0
        self._counted: int | None = None
        self._count_seconds = 0.0
        self._drive: NumberDrive | FieldDrive | None = None
        self._instead: Sweep | None = None
        self._report: LoopReport | None = None
        self._rss = 0
        self._bar: Any = None

    def plainly(self) -> tuple[State, list[np.ndarray]]:
        """The final state and the outputs, without a way back. Raises `PathError` where a path cannot be learned."""
        if self.loop.n_steps is None:
            return self._count(), []
        return self._swept(lambda: None)

    def forward(self) -> tuple[State, list[np.ndarray]]:
        """Sweep to the turn; return the final state and the outputs."""
        self._rss = resident_bytes()
        try:
            if self.loop.n_steps is None:
                if isinstance(self.loop.schedule, Schedule):
                    online(self.loop.schedule)  # what a policy means does not hang on who runs the loop
                if self._counted is None:
                    self._count()
            return self._swept(self._scheduled)
        except PathError as error:
            for log in logs():
                log[:] = [report for report in log if report is not self._report]
            self._instead = Sweep(self.loop, self.init, self.xs, list(self.values), not_compiled=str(error))
            return self._instead.forward()

    def _swept(self, scheduled: Callable[[], Schedule | None]) -> tuple[State, list[np.ndarray]]:
        """Run to the turn, as often as new paths are found."""
        while True:
            schedule = scheduled()
            if self.loop.progress:
                total = self._n if schedule is None else schedule.steps(self._n) + self._n
                self._bar = progress_bar(self.loop, total)
            self._drive = self._new_drive(self._n, self._rows, None if self._bar is None else self._bar.update)
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
                return self._own(final), ys
            self.close()
            self._learn(unseen, self._state_at(unseen))

    def _count(self) -> State:
        """Run a while loop to its end, to know the number of its steps; return the final state.

        It ends where the condition fails for the machine code, whose last digit may be another than NumPy's.
        """
        begin = perf_counter()
        while True:
            if self.loop.progress:
                self._bar = progress_bar(self.loop, None)
            self._drive = self._new_drive(MOST_STEPS, (), None if self._bar is None else self._bar.update)
            try:
                final = self._driven_to_end(self._drive)
                found = int(final[-1]) if self._watched else -1
                n = found if found >= 0 else -2 - found
                if self._bar is not None:
                    self._bar.update(n - self._bar.n)
            finally:
                self.close()
            if found == -1:
                raise UnsupportedError(f"{self.loop.name} takes more than 2**31 steps")
            if found < 0 or not self._learn(found, final[: len(self.init)]):
                break
        self._n = self._counted = n
        self._count_seconds = perf_counter() - begin
        return self._own(final)

    def _driven_to_end(self, drive: NumberDrive | FieldDrive) -> list[Any]:
        """The state in which a while loop ends, or in which a path is missing."""
        try:
            return drive.forward(self._start(), None)[0]
        except Exception:  # perhaps of a call in a step that is not to be taken any more
            if not isinstance(drive, FieldDrive) or drive.failed_at is None:
                raise
            state = self._state_at(drive.failed_at)
            if self._steps is None or not self._steps.ends(drive.failed_at, state):
                raise
            return [*state, np.float64(-2 - drive.failed_at)]

    def _learn(self, step: int, state: Sequence[Any]) -> bool:
        """Learn the path that a step takes from this state; False if the condition says that there is no step."""
        assert self._steps is not None
        try:
            learned = self._steps.learned(self._compiled, step, state)
        except Exception as error:
            self.close()
            if self.loop.compile is True:
                _note(error, self.loop)
            raise
        self._compiled = self._compiled if learned is None else learned
        return learned is not None

    def _own(self, state: Sequence[Any]) -> State:
        """The leaves of the user's state."""
        leaves = as_given(state[: len(self.init)], [*map(ArrayType.of, self.init)])
        return tuple(x if x.ndim else x[()] for x in leaves)

    def _state_at(self, step: int) -> list[Any]:
        """The state before a step."""
        drive = self._new_drive(step, [x[:step] for x in self._rows])
        try:
            return drive.forward(self._start(), None)[0][: len(self.init)]
        finally:
            drive.close()

    @property
    def _watched(self) -> bool:
        return self._compiled.adjoint.watched

    def _start(self) -> list[Any]:
        """The initial state, as the kernels have it."""
        return [*self._first, *[np.float64(-1.0)] * self._watched]

    def _scheduled(self) -> Schedule:
        code = self._compiled
        schedule, plan = self._planned()
        if self._report is None:
            self._report = reported(self.loop, schedule, plan, self._n)
        if self._report is not None:
            self._report.compiled = True
            self._report.policy, self._report.plan = schedule, plan
            self._report.state_bytes, self._report.residual_bytes = code.state_bytes, code.residual_bytes
            self._report.first_bytes = code.first_bytes
            self._report.counted = self._counted or 0
            if self._count_seconds:
                self._report.seconds["count"] = self._count_seconds
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
        return run(self._compiled, n_steps=n, xs=xs, captures=self.values, tick=tick, threads=self.loop.threads)

    def _planned(self) -> tuple[Schedule, Plan | None]:
        policy = self.loop.schedule
        if isinstance(policy, Schedule):
            return policy, None
        plan = self._plan(policy)
        return plan.schedule, plan

    def _plan(self, policy: Auto) -> Plan:
        code = self._compiled
        prices = StepPrices.untimed(code.state_bytes, code.residual_bytes, code.first_bytes)
        budget = as_bytes(policy.memory)
        if prices.taped_bytes(self._n) <= min(budget, at_once(), NEAR_BYTES):
            return store_all(self._n, prices, budget)
        check_budget(prices, budget)
        return choose(self._n, self._timed(prices), budget)

    def _timed(self, prices: StepPrices) -> StepPrices:
        """Time some steps on a copy of the state: machine code has no side effects. The second time is the one that
        counts, on memory that has been used before."""
        n = min(self._n, _MEASURED_STEPS, max(2, NEAR_BYTES // max(1, prices.state_bytes + prices.residual_bytes)))
        xs = [x[:n] for x in self._rows]
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
        report.steps = drive.steps + report.counted
        report.records, report.saves, report.loads = drive.records, drive.saves, drive.loads
        report.peak_bytes = drive.peak_bytes
        report.peak_snapshot_bytes, report.peak_residual_bytes = drive.peak_snapshot_bytes, drive.peak_residual_bytes
        report.rss_growth_bytes = max(report.rss_growth_bytes, resident_bytes() - self._rss)


def machine_code(
    loop: Loop, init: State, xs: Sequence[np.ndarray], values: Sequence[Any]
) -> tuple[CompiledSweep | None, str | None]:
    """The loop as a compiled one, or None and the reason why it is not. With ``compile=True`` the reason is raised."""
    n_captures, steps = len(loop.captures), TracedSteps(loop, init, xs, values)
    if loop.compile == "auto" and (reason := steps.refused()) is not None:
        return None, reason
    try:
        compiled = steps.compiled()
    except Exception as error:  # whatever a step does with a value that is not there yet
        if loop.compile is True:
            _note(error, loop)
            raise
        steps.refuse(described(error))
        return None, described(error)
    if compiled is None:
        loop.captures.forget(n_captures)
        return None, "its condition fails at the start: there is no step"
    return CompiledSweep(loop, compiled, init=init, xs=xs, values=steps.values, steps=steps), None


def _note(error: Exception, loop: Loop) -> None:
    error.add_note(f"while {loop.name} was being compiled, which compile=True asks for")

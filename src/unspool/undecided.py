"""A while loop whose length nobody knows: it begins on the tape, and goes over to machine code where it is long.

When it has taken so many steps that machine code pays, and goes on, its steps are compiled, and the loop begins again
in machine code; what was done until then is the price of not knowing. Where its steps cannot be compiled, it goes on as
if nothing had happened. So short loops stay as fast as they are, and the number of steps on the tape, which the loop
alone decides, says how it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from unspool.kernels import State
from unspool.layout import ArrayType
from unspool.loop import Loop, Sweep, progress_bar
from unspool.observers import logs
from unspool.whole_numbers import is_carried
from unspool.worth import FEWEST_STEPS, enough_by_size, enough_steps, why_not_compiled

if TYPE_CHECKING:
    from unspool.compiled import CompiledSweep


class CompiledError(Exception):
    """Not an error: a loop that is being run on the tape has been compiled."""

    def __init__(self, sweep: CompiledSweep) -> None:
        super().__init__()
        self.sweep = sweep


class Undecided:
    """A run of a while loop, and its way back."""

    __slots__ = ("_loop", "_sweep", "init", "values", "xs")

    def __init__(self, loop: Loop, init: State, xs: Sequence[np.ndarray], values: Sequence[Any]) -> None:
        self._loop, self.init, self.xs = loop, init, tuple(xs)
        self.values: Sequence[Any] = values
        self._sweep: Sweep | CompiledSweep | None = None

    def forward(self) -> tuple[State, list[np.ndarray]]:
        """Sweep to the turn; return the final state, and no outputs."""
        loop, watch = self._loop, Watch(self._loop, self.init, self.xs, self.values)
        why = why_not_compiled(loop, self.init, self.xs, self.values)
        self._sweep = sweep = Sweep(loop, self.init, self.xs, [*self.values], not_compiled=why, longer=watch)
        try:
            found = sweep.forward()
        except CompiledError as error:
            self._sweep = error.sweep
        if self._sweep is not sweep:
            for log in logs():
                log[:] = [report for report in log if report is not sweep.report]
            found = self._sweep.forward()
        elif sweep.report is not None and watch.reason is not None:
            sweep.report.not_compiled = watch.reason
        self.values = self._sweep.values
        return found

    def reverse(self, cts_state: Sequence[Any], cts_ys: Sequence[Any]) -> tuple[Sequence[Any], list[Any], list[Any]]:
        """The cotangents of the initial state, of xs and of the captures."""
        assert self._sweep is not None
        back = self._sweep.reverse(cts_state, cts_ys)
        self.values = self._sweep.values
        return back

    def close(self) -> None:
        """Let go of what the way back would have needed."""
        if self._sweep is not None:
            self._sweep.close()

    def plainly(self) -> tuple[State, list[np.ndarray]]:
        """The final state and no outputs, without a way back."""
        loop, watch = self._loop, Watch(self._loop, self.init, self.xs, self.values)
        try:
            return run_on_tape(loop, self.init, self.xs, self.values, watch)
        except CompiledError as error:
            sweep = error.sweep
        from unspool.traced_steps import PathError

        with suppress(PathError):
            return sweep.plainly()
        return run_on_tape(loop, self.init, self.xs, sweep.values)


class Watch:
    """What is told of the steps that a loop goes on to: where they are enough, its steps are compiled."""

    __slots__ = ("_enough", "_init", "_loop", "_values", "_xs", "reason")

    def __init__(self, loop: Loop, init: State, xs: Sequence[np.ndarray], values: Sequence[Any]) -> None:
        self._loop, self._init, self._xs, self._values = loop, init, xs, values
        self._enough = 0.0
        self.reason: str | None = None

    def __call__(self, step: int) -> float:
        """Raise `CompiledError`, or return from which step on to ask again."""
        loop = self._loop
        if not self._enough:
            if not all(is_carried(ArrayType.of(leaf)) for leaf in self._init):
                return inf
            first = min(FEWEST_STEPS, enough_by_size(self._init))
            if step < first:
                return first
            self._enough = max(first, enough_steps(loop, self._init, self._xs, self._values))
        if step < self._enough:
            return self._enough
        self._compile()
        return inf

    def _compile(self) -> None:
        from unspool.compiled import machine_code  # importing the compiler costs more than most loops

        captures = self._loop.captures
        taken = captures.taken_out() if captures.open else None
        sweep, self.reason = machine_code(self._loop, self._init, self._xs, self._values if taken is None else [])
        if sweep is not None:
            raise CompiledError(sweep)
        if taken is not None:
            captures.put_back(taken)


def run_on_tape(
    loop: Loop,
    start: State,
    xs: Sequence[np.ndarray],
    values: Sequence[Any],
    longer: Callable[[int], float] | None = None,
) -> tuple[State, list[np.ndarray]]:
    """Run a loop forwards only, on the tape."""
    bar = progress_bar(loop, loop.n_steps) if loop.progress else None
    state = start
    steps = loop.steps(state, xs, values, bar, longer)
    try:
        if loop.n_steps is not None:
            state, _ = steps.advance(state, 0, loop.n_steps)
        else:
            k = 0
            while steps.going(state, k):
                state, k = steps.advance(state, k, k + 1)
    finally:
        if bar is not None:
            bar.close()
    return state, steps.ys or []

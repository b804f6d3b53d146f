"""A while loop whose length nobody knows: it begins on the tape, and goes over to machine code where it is long.

When it has taken so many steps that machine code pays, and goes on, its steps are compiled, and the loop begins again
in machine code; what was done until then is the price of not knowing. Where its steps cannot be compiled, it goes on as
if nothing had happened. So short loops stay as fast as they are, and the number of steps on the tape, which the loop
alone decides, says how it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from unspool.kernels import State
from unspool.loop import FEWEST_STEPS, Loop, Sweep, progress_bar
from unspool.observers import logs

if TYPE_CHECKING:
    from unspool.compiled import CompiledSweep


class CompiledError(Exception):
    """Not an error: a loop that is being run on the tape has been compiled."""

    def __init__(self, sweep: CompiledSweep) -> None:
        super().__init__()
        self.sweep = sweep


class Undecided:
    """A run of a while loop, and its way back."""

    def __init__(self, loop: Loop, init: State, xs: Sequence[np.ndarray], values: Sequence[Any]) -> None:
        self._loop = loop
        self._sweep: Sweep | CompiledSweep = Sweep(
            loop, init, tuple(xs), list(values), not_compiled=loop.why_not_compiled(init, xs, values)
        )
        self._sweep.longer = self._watch(init, xs, values)

    @property
    def init(self) -> State:
        """The initial state."""
        return self._sweep.init

    @property
    def xs(self) -> tuple[np.ndarray, ...]:
        """Nothing, for a while loop reads no rows."""
        return self._sweep.xs

    @property
    def values(self) -> list[Any]:
        """The values of the captures."""
        return self._sweep.values

    def forward(self) -> tuple[State, list[np.ndarray]]:
        """Sweep to the turn; return the final state, and no outputs."""
        try:
            return self._sweep.forward()
        except CompiledError as found:
            assert isinstance(self._sweep, Sweep)
            report = self._sweep.report
            for log in logs():
                log[:] = [other for other in log if other is not report]
            self._sweep = found.sweep
        return self._sweep.forward()

    def reverse(self, cts_state: Sequence[Any], cts_ys: Sequence[Any]) -> tuple[Sequence[Any], list[Any], list[Any]]:
        """The cotangents of the initial state, of xs and of the captures."""
        return self._sweep.reverse(cts_state, cts_ys)

    def close(self) -> None:
        """Let go of what the way back would have needed."""
        self._sweep.close()

    def plainly(self) -> tuple[State, list[np.ndarray]]:
        """The final state and no outputs, without a way back."""
        sweep = self._sweep
        assert isinstance(sweep, Sweep)
        try:
            return run_on_tape(self._loop, sweep.init, sweep.xs, sweep.values, sweep.longer)
        except CompiledError as found:
            from unspool.traced_steps import PathError

            try:
                return found.sweep.plainly()
            except PathError:
                return run_on_tape(self._loop, sweep.init, sweep.xs, found.sweep.values)

    def _watch(self, init: State, xs: Sequence[np.ndarray], values: Sequence[Any]) -> Callable[[int], None] | None:
        """What is told of each step that the loop goes on to; it raises `CompiledError`."""
        loop = self._loop
        if any(leaf.dtype != np.float64 for leaf in init):
            return None
        enough, known = float(min(FEWEST_STEPS, loop.enough_by_size(init))), False

        def watch(step: int) -> None:
            nonlocal enough, known
            if step < enough:
                return
            if not known:
                enough, known = loop.enough_steps(init, xs, values), True
            if step >= enough:
                enough = inf
                self._compile(init, xs, values)

        return watch

    def _compile(self, init: State, xs: Sequence[np.ndarray], values: Sequence[Any]) -> None:
        from unspool.compiled import machine_code  # importing the compiler costs more than most loops

        captures = self._loop.captures
        taken = captures.taken_out() if captures.open and not values else None
        sweep, reason = machine_code(self._loop, init, xs, values)
        if sweep is not None:
            raise CompiledError(sweep)
        if taken is not None:
            captures.put_back(taken)
        assert isinstance(self._sweep, Sweep)
        self._sweep.not_compiled = reason
        if self._sweep.report is not None:
            self._sweep.report.not_compiled = reason


def run_on_tape(
    loop: Loop,
    start: State,
    xs: Sequence[np.ndarray],
    values: Sequence[Any],
    longer: Callable[[int], None] | None = None,
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

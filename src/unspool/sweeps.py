"""A run of a loop on plain values: compiled where that can be and pays, else on the tape."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from unspool.kernels import State
from unspool.loop import Loop, Sweep, plain_state, progress_bar

if TYPE_CHECKING:
    from unspool.compiled import CompiledSweep


def run_plainly(
    loop: Loop, init: Sequence[Any], xs: Sequence[Any], values: Sequence[Any] = ()
) -> tuple[Sequence[Any], Sequence[Any]]:
    """Run the loop forwards only, as it runs where there is a way back: with the same bits."""
    start = plain_state(init)
    if loop.why_not_compiled(start) is None:
        from unspool.compiled import machine_code
        from unspool.traced_steps import PathError

        compiled, _ = machine_code(loop, start, plain_state(xs), values)
        if compiled is not None:
            with suppress(PathError):
                return compiled.plainly()
    bar = progress_bar(loop, loop.n_steps) if loop.progress else None
    state = start
    steps = loop.steps(state, plain_state(xs), values, bar)
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


def sweep_of(loop: Loop, init: State, xs: Sequence[np.ndarray], values: Sequence[Any] = ()) -> Sweep | CompiledSweep:
    """A run of the loop: compiled where that can be and pays, else on the tape."""
    reason = loop.why_not_compiled(init)
    if reason is None:
        from unspool.compiled import machine_code  # importing the compiler costs more than most loops

        compiled, reason = machine_code(loop, init, xs, values)
        if compiled is not None:
            return compiled
    return Sweep(loop, init, tuple(xs), list(values), not_compiled=reason)

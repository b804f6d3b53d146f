"""A run of a loop on plain values: compiled where that can be and pays, else on the tape."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from unspool.kernels import State
from unspool.loop import Loop, Sweep, plain_state
from unspool.undecided import Undecided, run_on_tape
from unspool.worth import why_not_compiled

if TYPE_CHECKING:
    from unspool.compiled import CompiledSweep


def run_plainly(
    loop: Loop, init: Sequence[Any], xs: Sequence[Any], values: Sequence[Any] = ()
) -> tuple[Sequence[Any], Sequence[Any]]:
    """Run the loop forwards only, as it runs where there is a way back: with the same bits."""
    start, rows = plain_state(init), plain_state(xs)
    if loop.n_steps is None and loop.compile == "auto":
        return Undecided(loop, start, rows, values).plainly()
    if why_not_compiled(loop, start, rows, values) is None:
        from unspool.compiled import machine_code
        from unspool.traced_steps import PathError

        compiled, _ = machine_code(loop, start, rows, values)
        if compiled is not None:
            with suppress(PathError):
                return compiled.plainly()
    return run_on_tape(loop, start, rows, values)


def sweep_of(
    loop: Loop, init: State, xs: Sequence[np.ndarray], values: Sequence[Any] = ()
) -> Sweep | CompiledSweep | Undecided:
    """A run of the loop: compiled where that can be and pays, else on the tape."""
    if loop.n_steps is None and loop.compile == "auto":
        return Undecided(loop, init, xs, values)
    reason = why_not_compiled(loop, init, xs, values)
    if reason is None:
        from unspool.compiled import machine_code  # importing the compiler costs more than most loops

        compiled, reason = machine_code(loop, init, xs, values)
        if compiled is not None:
            return compiled
    return Sweep(loop, init, tuple(xs), list(values), not_compiled=reason)

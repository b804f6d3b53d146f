"""Functions that a library of plain numbers calls: what they read of traced values, and how they run without.

SciPy's integrators call a function of the user, which may read any traced value of the code around it. Here it is run
with the listeners set aside, so that it gives plain numbers; what it reads is noted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unspool.closure import Captures, Capturing, standing_in
from unspool.ir.listener import Listener, Traced, active, fresh, primal

Function = Callable[..., Any]


def _listening() -> list[Listener]:
    return [listener for listener in active() if listener.scope is None]


def plainly(function: Function, captures: Captures | None = None) -> Function:
    """The function on plain arrays, giving a plain array: traced values that it reads are the numbers below them."""
    noted = Captures() if captures is None else captures

    def plain(*args: Any) -> Any:
        def read(position: int) -> Any:
            return primal(noted.handles[position])

        with standing_in(Capturing(noted, read), _listening()):
            return function(*args)

    return plain


def read_by(function: Function, *args: Any) -> list[Traced]:
    """The traced values that the function reads of the code around it, when it is called with these plain arguments."""
    captures = Captures()
    plainly(function, captures)(*args)
    return captures.handles


def replaced(function: Function, handles: Sequence[Traced], listener: Listener) -> Function:
    """The function ``(values, *args)`` that reads these values in the place of the handles of one listener.

    Handles of other listeners are left to those. Raises `LateCaptureError` where it reads another one of this listener.
    """
    captures = Captures()
    for handle in handles:
        captures.note(handle, handle)
    captures.open = False

    def with_values(values: Sequence[Any], *args: Any) -> Any:
        with standing_in(Capturing(captures, values.__getitem__), [listener]):
            result = function(*args)
            return fresh(result) if isinstance(result, Traced) else np.asarray(result)

    return with_values

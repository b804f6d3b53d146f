"""Functions that a library of plain numbers calls: what they read of traced values, and how they run without.

SciPy's integrators and iterations call a function of the user, which may read any traced value of the code around it.
Here it is run with the listeners set aside, so that it gives plain numbers; what it reads is noted, and can be put in
the place of what it read, also when the listeners have ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unspool.closure import Captures, Capturing, LateCaptureError, aside, standing_in
from unspool.ir.listener import Listener, Traced, active, bind, fresh, primal, resolve
from unspool.ir.primitive import Primitive

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A traced value that a function reads, and what it stands for here: inside a loop a value of the step's."""

    handle: Traced
    here: Any


def _around() -> tuple[Listener, ...]:
    return (*active(), *aside())


def plainly(function: Function, captures: Captures | None = None) -> Function:
    """The function on plain arrays, giving a plain array: traced values that it reads are the numbers below them."""
    noted = Captures() if captures is None else captures

    def plain(*args: Any) -> Any:
        def read(position: int) -> Any:
            return primal(noted.outside[position])

        with standing_in(Capturing(noted, read), _around()):
            return function(*args)

    return plain


def read_by(function: Function, *args: Any) -> list[Reading]:
    """The traced values that the function reads of the code around it, when it is called with these plain arguments."""
    captures = Captures()
    plainly(function, captures)(*args)
    return [Reading(*pair) for pair in zip(captures.handles, captures.outside, strict=True)]


def replaced(function: Function, readings: Sequence[Reading], listener: Listener) -> Function:
    """The function ``(values, *args)`` with these values in the place of what it reads of one listener.

    What it reads of other listeners is left to those. Raises `LateCaptureError` where it reads more of this one.
    """
    captures = Captures()
    for reading in readings:
        captures.note(reading.handle, reading.here)
    captures.open = False
    listeners = {listener, *[reading.handle.listener for reading in readings]}

    def with_values(values: Sequence[Any], *args: Any) -> Any:
        with standing_in(Capturing(captures, values.__getitem__), listeners):
            result = function(*args)
            return fresh(result) if isinstance(result, Traced) else np.asarray(result)

    return with_values


def carried_out(
    plain: Callable[[np.ndarray], Any],
    primitive: Callable[[Function], Primitive],
    *,
    function: Function,
    start: Any,
    probe: tuple[Any, ...],
) -> Any:
    """A computation that depends on an array and on what a function reads: by a primitive where one of them is traced.

    ``plain(start)`` computes it on plain numbers. ``primitive(of)`` makes it a primitive of the array and of values,
    with ``of(values, *args)`` for the function. ``probe`` are arguments with which it is asked what it reads.
    """
    begin = resolve(start)
    readings = [r for r in read_by(function, *probe) if isinstance(r.here, Traced)]
    while True:
        traced = [begin, *[r.here for r in readings]] if isinstance(begin, Traced) else [r.here for r in readings]
        if not traced:
            return plain(np.asarray(begin))
        top = max((value.listener for value in traced), key=lambda listener: listener.level)
        own = [r for r in readings if r.here.listener is top]
        try:
            return bind(primitive(replaced(function, own, top)), begin, *[r.here for r in own])
        except LateCaptureError as late:  # with other arguments it reads more: begin again with that too
            if any(r.handle is late.handle for r in readings):
                raise
            readings = [*readings, Reading(late.handle, resolve(late.handle))]

"""A step of the wave equation; the golden file of its kernels names the lines of this file."""

from typing import Any


def wave(k: Any, state: list[Any], inputs: list[Any], captures: list[Any]) -> Any:
    """A step of the wave equation on a square: slices, writes in place, a source in one point, a line of receivers."""
    (u, before), (source,), (speed,) = state, inputs, captures
    new = 2.0 * u - before
    new[1:-1, 1:-1] += speed[1:-1, 1:-1] * (
        u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4.0 * u[1:-1, 1:-1]
    )
    new[4, 4] += source
    return [new, u], [new[2, 1:-1]]

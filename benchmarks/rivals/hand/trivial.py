"""u * a + b with its adjoint by hand in Numba: nothing but the loop and its schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from benchmarks.rivals.hand.binomial import room, split


@njit(error_model="numpy", fastmath={"contract"})
def gradient(start, factor, shift, n, slots, leaf, held, record):
    starts = np.zeros(slots + 1, np.int64)
    held[0] = start
    top, end, value, turned = 0, (n + leaf - 1) // leaf, 0.0, False
    ct, ct_factor, ct_shift = 1.0, 0.0, 0.0
    while end > 0:
        while True:
            begin = starts[top]
            more = end - begin > 1 and top + 1 < slots
            middle = begin + split(end - begin, slots - top) if more else end - 1
            u = held[top]
            for _ in range(begin * leaf, middle * leaf):
                u = u * factor + shift
            if not more:
                break
            top += 1
            starts[top], held[top] = middle, u
        size = min(end * leaf, n) - middle * leaf
        for k in range(size):
            record[k] = u
            u = u * factor + shift
        if not turned:
            value, turned = u, True
        for k in range(size - 1, -1, -1):
            ct_factor += ct * record[k]
            ct_shift += ct
            ct *= factor
        end -= 1
        if top > 0 and starts[top] == end:
            top -= 1
    return value, ct, ct_factor, ct_shift


def trivial(*, n_steps: int, slots: int, leaf: int) -> Callable[..., tuple[Any, ...]]:
    """A function of the number, the factor and the shift: the loss and its gradient in the three."""
    held, record = room(slots), room(leaf)

    def run(start: Any, factor: Any, shift: Any) -> tuple[Any, ...]:
        return gradient(float(start), float(factor), float(shift), n_steps, slots, leaf, held, record)

    return run

"""What the hand-written loops share: where a binomial schedule saves, and room whose rows suit the vector unit."""

import numpy as np
from numba import njit

LINE = 64
"""Bytes of a cache line, and of the widest vector register."""


def room(*shape: int, column: int = 0) -> np.ndarray:
    """Zeros f64[shape] in which ``column`` of the first row, and of each if rows are a multiple of 8, begins a line."""
    size = int(np.prod(shape))
    flat = np.zeros(size + 2 * LINE // 8)
    skip = (-(flat.ctypes.data // 8) - column) % (LINE // 8)
    return flat[skip : skip + size].reshape(shape)


@njit(error_model="numpy")
def split(length, slots):
    """How far to advance from a state that is held: an optimal split of ``length`` steps, slots counting that state.

    With beta(s, r) = C(s + r, r) and beta(s, r - 1) < length <= beta(s, r), as in [GW2000, p. 26].
    """
    if slots == 1:
        return length - 1
    if length <= slots + 1:
        return 1
    r, b = 1, slots + 1
    while b < length:
        r += 1
        b = b * (slots + r) // r
    earlier = b * r // (slots + r)  # beta(slots, r - 1)
    return min(earlier, length - earlier * slots // (slots + r - 1))

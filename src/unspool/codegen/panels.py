"""Matrices that stay the same from step to step, copied once a run into panels of columns for `combination`.

A panel is a matrix of its own, whose rows follow each other in memory: so it is read from its beginning to its end, and
from the beginning of a cache line on.
"""

from __future__ import annotations

import numpy as np

from unspool.codegen.indices import Shape

_WIDEST = 128  # columns: their sums fit the registers of AVX-512, and a step of 1 KiB is fetched ahead
_LANES = 8


def aligned(n: int) -> np.ndarray:
    """Words, all zero, that begin at a cache line."""
    memory = np.zeros(n + 8, np.int64)
    first = -memory.ctypes.data % 64 // 8
    return memory[first : first + n]


def panel_shape(rows: int, columns: int) -> Shape:
    """The panels of a matrix: how many, and rows and columns of each.

    >>> panel_shape(50, 128), panel_shape(50, 130), panel_shape(50, 5)
    ((1, 50, 128), (2, 50, 72), (1, 50, 8))
    """
    n = -(-columns // _WIDEST)
    width = -(-columns // (_LANES * n)) * _LANES
    return -(-columns // width), rows, width


def in_panels(matrix: np.ndarray) -> np.ndarray:
    """The panels of a matrix, those of the last filled up with zeros."""
    n, rows, width = panel_shape(*matrix.shape)
    found = aligned(n * rows * width).view(np.float64).reshape(n, rows, width)
    for k, panel in enumerate(found):
        part = matrix[:, k * width : (k + 1) * width]
        panel[:, : part.shape[1]] = part
    return found

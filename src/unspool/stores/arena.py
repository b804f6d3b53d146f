"""Buffers that outlive a run: touching fresh memory costs more than computing a step again."""

from __future__ import annotations

import threading

import numpy as np

KEPT_BYTES = 2**30
"""So many bytes are kept for the next run, per thread, and no more."""


class _Arena(threading.local):
    def __init__(self) -> None:
        self.free: list[np.ndarray] = []
        self.n_bytes = 0


_ARENA = _Arena()


def take(n_bytes: int) -> np.ndarray:
    """A buffer of this many bytes: one that a run before gave back, or a new one."""
    for position, buffer in enumerate(_ARENA.free):
        if buffer.nbytes == n_bytes:
            del _ARENA.free[position]
            _ARENA.n_bytes -= n_bytes
            return buffer
    release()  # buffers of other sizes are of no use to this run
    return np.empty(n_bytes, np.uint8)


def give(buffers: list[np.ndarray]) -> None:
    """Keep buffers for the next run, as far as there is room."""
    for buffer in buffers:
        if _ARENA.n_bytes + buffer.nbytes <= KEPT_BYTES:
            _ARENA.free.append(buffer)
            _ARENA.n_bytes += buffer.nbytes


def release() -> None:
    """Let go of all buffers that are kept.

    >>> give([np.empty(8, np.uint8)])
    >>> release()
    """
    _ARENA.free.clear()
    _ARENA.n_bytes = 0

"""Buffers that outlive a run: touching fresh memory costs more than computing a step again."""

from __future__ import annotations

import ctypes
import threading
from functools import cache

import numpy as np

from unspool.memory import available_bytes

KEPT_BYTES = 2**30
"""So much of the heap is kept when it is free."""


@cache
def kept_bytes() -> int:
    """So many bytes of buffers are kept for the next run, per thread: at most a quarter of what is free."""
    return max(KEPT_BYTES, available_bytes() // 4)


def _is_much(n_bytes: int) -> bool:
    return n_bytes > KEPT_BYTES and n_bytes > kept_bytes()


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
    while _ARENA.free and _is_much(_ARENA.n_bytes + n_bytes):
        _ARENA.n_bytes -= _ARENA.free.pop(0).nbytes
    return np.empty(n_bytes, np.uint8)


def give(buffers: list[np.ndarray]) -> None:
    """Keep buffers for the next run, as far as there is room; those given first go first."""
    for buffer in buffers:
        _ARENA.free.append(buffer)
        _ARENA.n_bytes += buffer.nbytes
    while _is_much(_ARENA.n_bytes):
        _ARENA.n_bytes -= _ARENA.free.pop(0).nbytes


def release() -> None:
    """Let go of all buffers that are kept.

    >>> give([np.empty(8, np.uint8)])
    >>> release()
    """
    _ARENA.free.clear()
    _ARENA.n_bytes = 0


@cache
def keep_heap() -> bool:
    """Let glibc serve arrays up to 32 MiB from its heap, and keep up to KEPT_BYTES of it; False where it is not there.

    By itself it hands memory back whenever the top of the heap is free, which after a step it is. The next step then
    pays a page fault per 4 KiB: a fifth to a third of the time of a 256 x 256 wave, and a price that depends on what
    else lies on the heap, so that no measurement predicts it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return False
    # M_MMAP_THRESHOLD, at the most it can be, and M_TRIM_THRESHOLD
    return bool(mallopt(-3, 2**25) and mallopt(-1, KEPT_BYTES))


def hand_back() -> bool:
    """Let glibc give free pages back to the system, in the midst of the heap too; False where it is not there."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):
        return False
    return bool(trim(0))

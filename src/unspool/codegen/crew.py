"""Crews: threads that share the nests of compiled steps with the thread that runs the loop.

The threads are made once and kept. While a loop runs they wait in machine code, awake for some microseconds and then
asleep; between loops they are asleep. They hold no lock of Python and never run any Python again.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from importlib.resources import files
from threading import Lock, Thread

import numpy as np

from unspool.codegen.control import Crew as Words
from unspool.codegen.object_code import ObjectCode, load

_SPINS, _YIELDS = 1000, 2000  # looks at a word before a thread falls asleep: 20 to 100 microseconds


@cache
def _code() -> ObjectCode:
    return load(files("unspool.codegen").joinpath("crew_code.py").read_text(), ["meet", "serve"])


def meeting() -> int:
    """The address of the kernel in which the threads of a crew wait for each other, given the address of its block."""
    return _code().addresses["meet"]


class Crew:
    """So many threads, of which the first is the one that calls the driver; ``address`` is that of their block."""

    def __init__(self, threads: int) -> None:
        memory = np.zeros(Words.LENGTH_OF_BLOCK + 8, np.int64)
        start = -memory.ctypes.data % 64 // 8
        self._block = block = memory[start : start + Words.LENGTH_OF_BLOCK]
        self.threads, self.address = threads, int(block.ctypes.data)
        library = ctypes.CDLL(None)

        def function(name: str) -> int:
            return int(ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0)

        block[Words.PARTS], block[Words.SPINS], block[Words.TICKET] = threads, _SPINS, 1
        block[Words.YIELDS], block[Words.YIELD] = _YIELDS, function("sched_yield")
        block[Words.LOCK] = function("pthread_mutex_lock")
        block[Words.UNLOCK] = function("pthread_mutex_unlock")
        block[Words.WAIT] = function("pthread_cond_wait")
        block[Words.BROADCAST] = function("pthread_cond_broadcast")
        block[Words.MUTEX] = self.address + 8 * Words.MUTEX_WORDS
        block[Words.CONDITION] = self.address + 8 * Words.CONDITION_WORDS
        library.pthread_mutex_init(ctypes.c_void_p(int(block[Words.MUTEX])), None)
        library.pthread_cond_init(ctypes.c_void_p(int(block[Words.CONDITION])), None)
        serve = _code().function("serve")
        for number in range(1, threads):
            Thread(target=serve, args=(block,), name=f"unspool crew {number}", daemon=True).start()


_IDLE: dict[int, list[Crew]] = {}
_EVERY: list[Crew] = []  # their blocks stay where they are until the process ends
_LOCK = Lock()


def take(threads: int) -> Crew:
    """A crew that nobody else works with."""
    with _LOCK:
        idle = _IDLE.setdefault(threads, [])
        if not idle:
            idle.append(Crew(threads))
            _EVERY.append(idle[-1])
        return idle.pop()


def give(crew: Crew) -> None:
    """Give a crew back, in which all threads wait for work."""
    with _LOCK:
        if crew in _EVERY:
            _IDLE[crew.threads].append(crew)


def _forget() -> None:
    """In a forked process there are no threads but the one that forked."""
    global _LOCK
    _LOCK = Lock()
    _IDLE.clear()
    _EVERY.clear()


os.register_at_fork(after_in_child=_forget)

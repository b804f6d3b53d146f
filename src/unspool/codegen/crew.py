"""Crews: threads that share the nests of compiled steps with the thread that runs the loop.

The threads are made once and kept. They wait in machine code, awake for a millisecond or two and then asleep, hold no
lock of Python, and run no Python before they end: with the process, or before a fork.
"""

from __future__ import annotations

import atexit
import ctypes
import os
from functools import cache
from importlib.resources import files
from threading import RLock, Thread
from time import CLOCK_MONOTONIC

import numpy as np

from unspool.codegen.control import Crew as Words
from unspool.codegen.object_code import ObjectCode, load

_SPINS, _YIELDS = 1000, 2000
"""How often a thread looks for a change before it lets others run first, and then before it falls asleep: together one
or two milliseconds. Two threads that fell asleep after the first took up to seven times as long as one: who is woken
starts on the core of the one that wakes him, which then waits for him: they go on by turns on one core of two."""


@cache
def _code() -> ObjectCode:
    return load(files("unspool.codegen").joinpath("crew_code.py").read_text(), ["meet", "serve", "dismiss"])


def meeting() -> int:
    """The address of the kernel in which the threads of a crew wait for each other, given the address of its block."""
    return _code().addresses["meet"]


class Crew:
    """So many threads, of which the first is the one that calls the driver; ``address`` is that of their block."""

    def __init__(self, threads: int) -> None:
        memory = np.zeros(Words.LENGTH + 8, np.int64)
        start = -memory.ctypes.data % 64 // 8
        self._block = block = memory[start : start + Words.LENGTH]
        self.wanted = self.threads = threads
        self.address = int(block.ctypes.data)
        library = ctypes.CDLL(None)

        def function(name: str) -> int:
            return int(ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0)

        block[Words.PARTS], block[Words.SPINS], block[Words.TICKET] = threads, _SPINS, 1
        block[Words.YIELDS], block[Words.YIELD] = _YIELDS, function("sched_yield")
        block[Words.LOCK] = function("pthread_mutex_lock")
        block[Words.UNLOCK] = function("pthread_mutex_unlock")
        block[Words.WAIT] = function("pthread_cond_wait")
        block[Words.BROADCAST] = function("pthread_cond_broadcast")
        block[Words.CLOCK], block[Words.CLOCK_KIND] = function("clock_gettime"), CLOCK_MONOTONIC
        block[Words.TIME] = self.address + 8 * Words.TIME_WORDS
        block[Words.ALONE + Words.PARTS] = 1
        block[Words.MUTEX] = self.address + 8 * Words.MUTEX_WORDS
        block[Words.CONDITION] = self.address + 8 * Words.CONDITION_WORDS
        library.pthread_mutex_init(ctypes.c_void_p(int(block[Words.MUTEX])), None)
        library.pthread_cond_init(ctypes.c_void_p(int(block[Words.CONDITION])), None)
        serve = _code().function("serve")
        self._others = [
            Thread(target=serve, args=(block,), name=f"unspool crew {k}", daemon=True) for k in range(1, threads)
        ]
        for number, thread in enumerate(self._others, 1):
            try:
                thread.start()
            except RuntimeError:  # the system has no more threads to give
                self.threads, self._others = number, self._others[: number - 1]
                break
        block[Words.PARTS] = self.threads

    def dismiss(self) -> None:
        """Let the other threads end."""
        _code().function("dismiss")(self._block)
        for thread in self._others:
            thread.join()


_IDLE: dict[int, list[Crew]] = {}
_LOCK = RLock()


def take(threads: int) -> Crew:
    """A crew of so many threads, or of as many as there can be, that nobody else works with."""
    with _LOCK:
        idle = _IDLE.get(threads)
        return idle.pop() if idle else Crew(threads)


def give(crew: Crew) -> None:
    """Give a crew back, whose threads wait for work."""
    with _LOCK:
        _IDLE.setdefault(crew.wanted, []).append(crew)


def _dismiss() -> None:
    """Let all threads end that wait for work: before the process ends, or before a fork, of which the child would have
    none of them."""
    with _LOCK:
        while _IDLE:
            for crew in _IDLE.popitem()[1]:
                crew.dismiss()


def _fork_begins() -> None:
    _LOCK.acquire()  # so that no other thread holds it, which the child would not have
    _dismiss()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_fork_begins, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)
atexit.register(_dismiss)

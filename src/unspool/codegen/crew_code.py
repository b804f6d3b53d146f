"""What the threads of a crew do in machine code: wait for work, do their part of it, and meet."""

from __future__ import annotations

from typing import Any

from numba import njit

from unspool.codegen.atomics import add, look, outside, pause, words
from unspool.codegen.control import Crew
from unspool.codegen.fields import field, kernel

BROADCAST = Crew.BROADCAST
CONDITION = Crew.CONDITION
COUNT = Crew.COUNT
FUNCTION = Crew.FUNCTION
JOB = Crew.JOB
LENGTH = Crew.LENGTH
LOCK = Crew.LOCK
MUTEX = Crew.MUTEX
OWN = Crew.OWN
PART = Crew.PART
PARTS = Crew.PARTS
PHASE = Crew.PHASE
SLEEPERS = Crew.SLEEPERS
SPINS = Crew.SPINS
TICKET = Crew.TICKET
UNLOCK = Crew.UNLOCK
VECTOR = Crew.VECTOR
WAIT = Crew.WAIT
YIELD = Crew.YIELD
YIELDS = Crew.YIELDS


@njit
def tell(b: Any, place: int) -> None:
    """Change a word, and wake those who have fallen asleep over it."""
    add(b, place, 1)
    if look(b, SLEEPERS) > 0:
        outside(b[LOCK], b[MUTEX], 0)
        outside(b[BROADCAST], b[CONDITION], 0)
        outside(b[UNLOCK], b[MUTEX], 0)


@njit
def wait(b: Any, place: int, seen: int) -> None:
    """Until a word is another than the one seen: awake, then awake but after all others on this core, then asleep.

    Who sleeps early is woken on the core of the one that wakes him, and the two go on by turns.
    """
    for _ in range(b[SPINS]):
        if look(b, place) != seen:
            return
        pause()
    for _ in range(b[YIELDS]):
        if look(b, place) != seen:
            return
        outside(b[YIELD], 0, 0)
    outside(b[LOCK], b[MUTEX], 0)
    add(b, SLEEPERS, 1)
    while look(b, place) == seen:
        outside(b[WAIT], b[CONDITION], b[MUTEX])
    add(b, SLEEPERS, -1)
    outside(b[UNLOCK], b[MUTEX], 0)


@njit
def assign(crew: int, function: int, vector: int, part: int, n: int, own: int) -> None:
    """Give the other threads work: a kernel, and its vector of n words, of which each takes a copy to ``own`` with its
    number in place of the part."""
    b = words(crew)
    b[FUNCTION], b[VECTOR], b[PART], b[LENGTH], b[OWN] = function, vector, part, n, own
    tell(b, JOB)


def meet(b: Any) -> int:
    """Wait until all threads of the crew are here."""
    phase = look(b, PHASE)
    if add(b, COUNT, 1) == b[PARTS] - 1:
        add(b, COUNT, -b[PARTS])
        tell(b, PHASE)
    else:
        wait(b, PHASE, phase)
    return 0


def dismiss(b: Any) -> int:
    """A job without a function, after which the other threads end."""
    b[FUNCTION] = 0
    tell(b, JOB)
    return 0


def serve(b: Any) -> int:
    """The life of a thread: do the part of its number in every job, until there is one without a function."""
    number = add(b, TICKET, 1)
    job = 0
    while True:
        wait(b, JOB, job)
        job += 1
        if b[FUNCTION] == 0:
            return 0
        n = b[LENGTH]
        own = b[OWN] + 8 * n * (number - 1)
        vector, copy = field(b[VECTOR], "i64[:]", 64), field(own, "i64[:]", 64)
        for k in range(n):
            copy[k] = vector[k]
        copy[b[PART]] = number
        kernel(b[FUNCTION], own)

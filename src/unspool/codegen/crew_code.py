"""What the threads of a crew do in machine code: wait for work, do their part of it, and meet."""

from __future__ import annotations

from typing import Any

from unspool.codegen.atomics import add, look, outside, pause
from unspool.codegen.control import Crew, Trials
from unspool.codegen.fields import field, inner, kernel

ALONE = Trials.ALONE
BACK = Trials.BACK
BROADCAST = Crew.BROADCAST
CLOCK = Crew.CLOCK
CLOCK_KIND = Crew.CLOCK_KIND
CONDITION = Crew.CONDITION
COUNT = Crew.COUNT
DONE = Trials.DONE
FUNCTION = Crew.FUNCTION
JOB = Crew.JOB
LENGTH = Trials.LENGTH
LOCK = Crew.LOCK
MUTEX = Crew.MUTEX
OWN = Crew.OWN
PART = Crew.PART
PARTS = Crew.PARTS
PHASE = Crew.PHASE
SHARED = Trials.SHARED
SLEEPERS = Crew.SLEEPERS
SPENT = Trials.SPENT
SPINS = Crew.SPINS
TICKET = Crew.TICKET
TIME = Crew.TIME
UNLOCK = Crew.UNLOCK
VECTOR = Crew.VECTOR
WAIT = Crew.WAIT
YIELD = Crew.YIELD
WORDS = Crew.WORDS
YIELDS = Crew.YIELDS

TRIAL = Trials.TRIAL
FIRST_BACK = Trials.FIRST_BACK
LAST_BACK = Trials.LAST_BACK


@inner
def tell(b: Any, place: int) -> None:
    """Change a word, and wake those who have fallen asleep over it."""
    add(b, place, 1)
    if look(b, SLEEPERS) > 0:
        outside(b[LOCK], b[MUTEX], 0)
        outside(b[BROADCAST], b[CONDITION], 0)
        outside(b[UNLOCK], b[MUTEX], 0)


@inner
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


@inner
def now(b: Any) -> int:
    """Nanoseconds of a clock."""
    outside(b[CLOCK], b[CLOCK_KIND], b[TIME])
    time = field(b[TIME], "i64[:]", 64)
    return time[0] * 1_000_000_000 + time[1]


@inner
def judge(t: Any, k: int, spent: int) -> None:
    """Note how long a call has taken, and decide about those that follow.

    Calls are shared as long as their mean stays below the least that one took without; else some are not, eight times
    as many from time to time. So sharing costs little where it does not pay, as where other processes use the cores.
    """
    t[k, DONE] = t[k, DONE] + 1
    if t[k, SHARED] == 0:
        t[k, ALONE] = spent if t[k, ALONE] == 0 else min(spent, t[k, ALONE])
    elif t[k, DONE] > 1:  # the first call may have to wake the others
        t[k, SPENT] = t[k, SPENT] + spent
    pays = t[k, SPENT] < (TRIAL - 1) * t[k, ALONE]
    if pays and t[k, DONE] < t[k, LENGTH]:
        return
    if t[k, SHARED] == 0:
        t[k, SHARED], t[k, LENGTH] = 1, TRIAL
    elif pays:
        t[k, BACK] = FIRST_BACK
    else:
        t[k, SHARED], t[k, LENGTH] = 0, t[k, BACK]
        t[k, BACK] = min(8 * t[k, BACK], LAST_BACK)
    t[k, DONE], t[k, SPENT] = 0, 0


@inner
def assign(b: Any, function: int, vector: int, part: int, n: int, own: int) -> None:  # noqa: PLR0917
    """Give the other threads work: a kernel, and its vector of n words, of which each takes a copy to ``own`` with its
    number in place of the part."""
    b[FUNCTION], b[VECTOR], b[PART], b[WORDS], b[OWN] = function, vector, part, n, own
    tell(b, JOB)


def meet(b: Any) -> int:
    """Wait until all threads of the crew are here."""
    if b[PARTS] == 1:
        return 0
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
        n = b[WORDS]
        own = b[OWN] + 8 * n * (number - 1)
        vector, copy = field(b[VECTOR], "i64[:]", 64), field(own, "i64[:]", 64)
        for k in range(n):
            copy[k] = vector[k]
        copy[b[PART]] = number
        kernel(b[FUNCTION], own)

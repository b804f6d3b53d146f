"""The control blocks of the drivers: what stands where. Addresses of arrays first, then numbers."""

from __future__ import annotations

DONE, TIME, MORE, FAILED = range(4)
"""Why a driver comes back: the rows are done, its time is up, buffers are missing, a call of Python has failed."""


class Fields:
    """The control block of `field_driver`."""

    (ROWS, FORWARD, REVERSE, LEAVES, KEPT, MOVING, POOL, ADDRESS, REFERENCES, CLASS_OF, FREE) = range(11)
    (CURRENT, CTS, FOLLOWING, TAPED, SLOTS, HELD, KERNELS, HOLDS) = range(11, 19)
    (FIRST, END, WITHIN, WORK, N_STATE, N_KEPT, N_CLASSES, N_FORWARD, N_MOVING, FIRST_RESIDUAL) = range(19, 29)
    (TOP, DEPTH, N_SLOTS, HELD_BYTES, PEAK_BYTES) = range(29, 34)
    (CREW, OWN, N_WORDS, FORWARD_PART, REVERSE_PART, TRIALS, WATCHED) = range(34, 41)
    LENGTH = 41


class Numbers:
    """The control block of `number_driver`; the first twelve are what its kernels are given."""

    (STATE, XS, YS, CAPTURES, CT, CTS_XS, CTS_YS, TOTALS, TAPED, START, STOP, TOP) = range(12)
    (ADVANCE, RECORD, UNDO, ROWS, SLOTS, HELD) = range(12, 18)
    (FIRST, END, WITHIN, WORK, N_STATE, N_SLOTS, DEPTH) = range(18, 25)
    LENGTH = 25


class Lines:
    """The lines of a script: a verb, and the words that follow it."""

    COPY, CALL, DRIVE, ZERO = range(4)
    WORDS = 7


class Crew:
    """The block that the threads of a crew share; what changes often stands in cache lines of its own."""

    JOB, PHASE, COUNT, SLEEPERS, TICKET = range(0, 40, 8)
    (FUNCTION, VECTOR, WORDS, PART, OWN, PARTS, SPINS, YIELDS) = range(40, 48)
    (LOCK, UNLOCK, WAIT, BROADCAST, YIELD, MUTEX, CONDITION) = range(48, 55)
    (CLOCK, CLOCK_KIND, TIME) = range(56, 59)
    TIME_WORDS, MUTEX_WORDS, CONDITION_WORDS = 60, 64, 80  # where those stand, with room for any C library
    ALONE = 96  # a second block, of a crew of one
    LENGTH = 152


class Trials:
    """What is known of the calls of one kernel: whether they are shared, and how long they take."""

    (SHARED, LENGTH, DONE, SPENT, ALONE, BACK) = range(6)
    TRIAL, FIRST_BACK, LAST_BACK = 16, 4, 2048  # calls that are shared or not, before that is thought over
    BEGIN = 0, 2, 0, 0, 0, FIRST_BACK  # with two calls in one thread

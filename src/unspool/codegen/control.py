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
    (CREW, OWN, N_WORDS, FORWARD_PART, REVERSE_PART) = range(34, 39)
    LENGTH = 39


class Numbers:
    """The control block of `number_driver`; the first twelve are what its kernels are given."""

    (STATE, XS, YS, CAPTURES, CT, CTS_XS, CTS_YS, TOTALS, TAPED, START, STOP, TOP) = range(12)
    (ADVANCE, RECORD, UNDO, ROWS, SLOTS, HELD) = range(12, 18)
    (FIRST, END, WITHIN, WORK, N_STATE, N_SLOTS, DEPTH) = range(18, 25)
    LENGTH = 25


class Crew:
    """The block that the threads of a crew share; what changes often stands in cache lines of its own."""

    JOB, PHASE, COUNT, SLEEPERS, TICKET = range(0, 40, 8)
    (FUNCTION, VECTOR, LENGTH, PART, OWN, PARTS, SPINS, YIELDS) = range(40, 48)
    (LOCK, UNLOCK, WAIT, BROADCAST, YIELD, MUTEX, CONDITION) = range(48, 55)
    MUTEX_WORDS, CONDITION_WORDS = 56, 72  # where those two stand, with room for any C library
    LENGTH_OF_BLOCK = 88

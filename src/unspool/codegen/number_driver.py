"""The driver of steps on a few numbers: the actions of a schedule in machine code, for kernels on ranges of steps.

The driver comes back between two steps when its time is up, and goes on from there.
"""

from __future__ import annotations

from typing import Any

from unspool.codegen.control import Numbers
from unspool.codegen.fields import field, inner, kernel_at

START = Numbers.START
STOP = Numbers.STOP
TOP = Numbers.TOP
STATE = Numbers.STATE
TAPED = Numbers.TAPED
ADVANCE = Numbers.ADVANCE
ROWS = Numbers.ROWS
SLOTS = Numbers.SLOTS
HELD = Numbers.HELD
FIRST = Numbers.FIRST
END = Numbers.END
WITHIN = Numbers.WITHIN
WORK = Numbers.WORK
N_STATE = Numbers.N_STATE
N_SLOTS = Numbers.N_SLOTS
DEPTH = Numbers.DEPTH


@inner
def find(c: Any, wanted: int) -> int:
    """The slot, from the top, that holds a step (-1: that is free)."""
    held = field(c[HELD], "i64[:]", 64)
    slot = c[DEPTH] - 1
    while held[slot] != wanted:
        slot -= 1
    return slot


@inner
def carry(c: Any, verb: int, step: int) -> None:
    """Save, load or drop the state before a step."""
    state, slots, held = field(c[STATE], "f64[:]", 64), field(c[SLOTS], "f64[:]", 64), field(c[HELD], "i64[:]", 64)
    n = c[N_STATE]
    if verb == 3:
        if c[DEPTH] < c[N_SLOTS]:
            c[DEPTH] = c[DEPTH] + 1
            held[c[DEPTH] - 1] = -1
        slot = find(c, -1)
        held[slot] = step
        for i in range(n):
            slots[slot * n + i] = state[i]
    elif verb == 4:
        slot = find(c, step)
        for i in range(n):
            state[i] = slots[slot * n + i]
    else:
        held[find(c, step)] = -1
        while c[DEPTH] > 0 and held[c[DEPTH] - 1] == -1:
            c[DEPTH] = c[DEPTH] - 1


@inner
def turns_back(c: Any, rows: Any) -> bool:
    """Whether the next row records one step, the row after it reverses that, and no other goes on from the state.

    The sweep has been there before: the state after the step is not needed, nor are its outputs.
    """
    k = c[FIRST]
    if k + 1 >= c[END] or rows[k, 0] != 1 or rows[k + 1, 0] != 2 or rows[k, 2] - rows[k, 1] != 1:
        return False
    if rows[k + 1, 1] != rows[k, 1] or rows[k + 1, 2] != rows[k, 2]:
        return False
    return k + 2 >= c[END] or rows[k + 2, 0] >= 4


@inner
def carry_out(c: Any) -> int:
    """Carry out rows from c[FIRST] on until they are done (0) or the time is up (1)."""
    rows = field(c[ROWS], "i64[:, 3]", 64)
    left = c[WORK]
    while c[FIRST] < c[END]:
        verb, start, stop = rows[c[FIRST], 0], rows[c[FIRST], 1], rows[c[FIRST], 2]
        if verb > 2:
            carry(c, verb, start)
        elif c[WITHIN] == 0 and turns_back(c, rows):
            if left <= 0:
                return 1
            state, taped, n = field(c[STATE], "f64[:]", 64), field(c[TAPED], "f64[:]", 64), c[N_STATE]
            for i in range(n):
                taped[c[TOP] * n + i] = state[i]
            c[START], c[STOP], c[TOP] = start, stop, c[TOP] + 1
            kernel_at(c[ADVANCE + 2], c)
            c[TOP] = c[TOP] - 1
            left -= 3
            c[FIRST] = c[FIRST] + 1
        else:
            if left <= 0:
                return 1
            cost = 2 if verb == 2 else 1
            n = min(stop - start - c[WITHIN], max(1, left // cost))
            c[START] = stop - c[WITHIN] - n if verb == 2 else start + c[WITHIN]
            c[STOP] = c[START] + n
            kernel_at(c[ADVANCE + verb], c)
            c[TOP] = c[TOP] + (n if verb == 1 else -n if verb == 2 else 0)
            left -= cost * n
            c[WITHIN] = c[WITHIN] + n
            if c[WITHIN] < stop - start:
                return 1
        c[FIRST] = c[FIRST] + 1
        c[WITHIN] = 0
    return 0


def drive(c: Any) -> int:
    """The same, to be called from Python."""
    return carry_out(c)

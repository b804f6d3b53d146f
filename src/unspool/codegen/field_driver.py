"""The driver of steps on fields: the actions of a schedule in machine code, without copies of states.

A state is a row of numbers of buffers. Saving it, recording a step, and passing a leaf on to the next state only count
a reference; a new leaf takes a free buffer, and a buffer that nobody refers to is free again. The driver comes back
between two steps when its time is up, or when it wants more buffers, and goes on from there.
"""

from __future__ import annotations

from typing import Any

from unspool.codegen.atomics import words
from unspool.codegen.control import Crew, Fields, Trials
from unspool.codegen.crew_code import assign, judge, now
from unspool.codegen.fields import field, inner, kernel

ADDRESS = Fields.ADDRESS
CLASS_OF = Fields.CLASS_OF
CREW = Fields.CREW
CTS = Fields.CTS
CURRENT = Fields.CURRENT
DEPTH = Fields.DEPTH
END = Fields.END
FIRST = Fields.FIRST
FIRST_RESIDUAL = Fields.FIRST_RESIDUAL
FOLLOWING = Fields.FOLLOWING
FORWARD = Fields.FORWARD
FORWARD_PART = Fields.FORWARD_PART
FREE = Fields.FREE
HELD = Fields.HELD
HELD_BYTES = Fields.HELD_BYTES
HOLDS = Fields.HOLDS
KEPT = Fields.KEPT
KERNELS = Fields.KERNELS
LEAVES = Fields.LEAVES
MOVING = Fields.MOVING
N_CLASSES = Fields.N_CLASSES
N_FORWARD = Fields.N_FORWARD
N_KEPT = Fields.N_KEPT
N_MOVING = Fields.N_MOVING
N_SLOTS = Fields.N_SLOTS
N_STATE = Fields.N_STATE
N_WORDS = Fields.N_WORDS
OWN = Fields.OWN
PEAK_BYTES = Fields.PEAK_BYTES
POOL = Fields.POOL
REFERENCES = Fields.REFERENCES
REVERSE = Fields.REVERSE
REVERSE_PART = Fields.REVERSE_PART
ROWS = Fields.ROWS
SLOTS = Fields.SLOTS
TAPED = Fields.TAPED
TOP = Fields.TOP
TRIALS = Fields.TRIALS
WATCHED = Fields.WATCHED
WITHIN = Fields.WITHIN
WORK = Fields.WORK

ALONE = Crew.ALONE
PARTS = Crew.PARTS
SHARED = Trials.SHARED

WITH_CREW = True
"""False in the text of the driver for one thread: Numba leaves out what cannot happen, and is ready sooner."""


@inner
def take(c: Any, cls: int) -> int:
    """A free buffer of a class."""
    pool, free = field(c[POOL], "i64[:, 5]", 64), field(c[FREE], "i64[:]", 64)
    references = field(c[REFERENCES], "i64[:]", 64)
    pool[cls, 1] = pool[cls, 1] - 1
    buffer = free[pool[cls, 0] + pool[cls, 1]]
    references[buffer] = 1
    return buffer


@inner
def release(c: Any, buffer: int) -> None:
    """One reference less to a buffer."""
    pool, free = field(c[POOL], "i64[:, 5]", 64), field(c[FREE], "i64[:]", 64)
    references, class_of = field(c[REFERENCES], "i64[:]", 64), field(c[CLASS_OF], "i64[:]", 64)
    references[buffer] = references[buffer] - 1
    if references[buffer] == 0:
        cls = class_of[buffer]
        free[pool[cls, 0] + pool[cls, 1]] = buffer
        pool[cls, 1] = pool[cls, 1] + 1


@inner
def hold(c: Any, buffer: int) -> None:
    """Refer to a buffer from a snapshot or a recorded step: that is what the memory of a policy counts."""
    pool, class_of = field(c[POOL], "i64[:, 5]", 64), field(c[CLASS_OF], "i64[:]", 64)
    references, holds = field(c[REFERENCES], "i64[:]", 64), field(c[HOLDS], "i64[:]", 64)
    references[buffer] = references[buffer] + 1
    holds[buffer] = holds[buffer] + 1
    if holds[buffer] == 1:
        c[HELD_BYTES] = c[HELD_BYTES] + pool[class_of[buffer], 2]
        c[PEAK_BYTES] = max(c[PEAK_BYTES], c[HELD_BYTES])


@inner
def let_go(c: Any, buffer: int) -> None:
    """Take such a reference back."""
    pool, class_of = field(c[POOL], "i64[:, 5]", 64), field(c[CLASS_OF], "i64[:]", 64)
    holds = field(c[HOLDS], "i64[:]", 64)
    holds[buffer] = holds[buffer] - 1
    if holds[buffer] == 0:
        c[HELD_BYTES] = c[HELD_BYTES] - pool[class_of[buffer], 2]
    release(c, buffer)


@inner
def is_short(c: Any, column: int) -> bool:
    """Whether a step may find too few buffers: column 3 counts what a step forward takes, 4 one back."""
    pool = field(c[POOL], "i64[:, 5]", 64)
    for cls in range(c[N_CLASSES]):
        if pool[cls, 1] < pool[cls, column]:
            return True
    return False


@inner
def move(c: Any, vector: Any, k: int, first: int, last: int) -> None:
    """Set the addresses of the rows of this step: place, base, and bytes per step."""
    moving = field(c[MOVING], "i64[:, 3]", 64)
    for m in range(first, last):
        vector[moving[m, 0]] = moving[m, 1] + k * moving[m, 2]


@inner
def carry_out(c: Any, number: int, vector: int, part: int) -> int:
    """Call a kernel, and share it with the crew if there is one and that pays."""
    kernels = field(c[KERNELS], "i64[:]", 64)
    if not WITH_CREW:
        return kernel(kernels[number], vector)
    if c[CREW] == 0:
        return kernel(kernels[number], vector)
    block, trials, a = words(c[CREW]), field(c[TRIALS], "i64[:, 6]", 64), field(vector, "i64[:]", 64)
    begin = now(block)
    if trials[number, SHARED] != 0:
        a[part + 1], a[part + 3] = block[PARTS], c[CREW]
        assign(block, kernels[number], vector, part, c[N_WORDS], c[OWN])
    else:
        a[part + 1], a[part + 3] = 1, c[CREW] + 8 * ALONE
    failed = kernel(kernels[number], vector)
    judge(trials, number, now(block) - begin)
    return failed


@inner
def step_forward(c: Any, k: int, recording: bool) -> int:
    """One step, which is recorded or not."""
    vector, leaves = field(c[FORWARD], "i64[:]", 64), field(c[LEAVES], "i64[:, 6]", 64)
    address, references = field(c[ADDRESS], "i64[:]", 64), field(c[REFERENCES], "i64[:]", 64)
    current, following = field(c[CURRENT], "i64[:]", 64), field(c[FOLLOWING], "i64[:]", 64)
    kernels = field(c[KERNELS], "i64[:]", 64)
    n = c[N_STATE]
    place = 2 + n
    renewing = not recording and kernels[3] != 0
    for leaf in range(n):
        if leaves[leaf, 5] >= 0 and references[current[leaves[leaf, 5]]] != 1:
            renewing = False
    for leaf in range(n):
        vector[2 + leaf] = address[current[leaf]]
        if renewing and leaves[leaf, 5] >= 0:
            following[leaf] = current[leaves[leaf, 5]]
            references[following[leaf]] = references[following[leaf]] + 1
            place += 1
        elif leaves[leaf, 1] < 0:
            following[leaf] = take(c, leaves[leaf, 0])
            vector[place] = address[following[leaf]]
            place += 1
        else:
            following[leaf] = current[leaves[leaf, 1]]
            references[following[leaf]] = references[following[leaf]] + 1
    if recording:
        n_kept = c[N_KEPT]
        kept, taped = field(c[KEPT], "i64[:, 3]", 64), field(c[TAPED], "i64[:]", 64)
        row = c[TOP] * n_kept
        for t in range(n_kept):
            if kept[t, 0] == 2:
                buffer = take(c, kept[t, 2])
                vector[c[FIRST_RESIDUAL] + kept[t, 1]] = address[buffer]
                references[buffer] = 0
            else:
                buffer = current[kept[t, 1]] if kept[t, 0] == 0 else following[kept[t, 1]]
            hold(c, buffer)
            taped[row + t] = buffer
        c[TOP] = c[TOP] + 1
    move(c, vector, k, 0, c[N_FORWARD])
    vector[0] = k
    failed = carry_out(c, 1 if recording else 3 if renewing else 0, c[FORWARD], c[FORWARD_PART])
    for leaf in range(n):
        release(c, current[leaf])
        current[leaf] = following[leaf]
    return failed


@inner
def step_back(c: Any, k: int) -> int:
    """The adjoint of one step."""
    vector, leaves = field(c[REVERSE], "i64[:]", 64), field(c[LEAVES], "i64[:, 6]", 64)
    address, references = field(c[ADDRESS], "i64[:]", 64), field(c[REFERENCES], "i64[:]", 64)
    cts, following = field(c[CTS], "i64[:, 2]", 64), field(c[FOLLOWING], "i64[:, 2]", 64)
    taped = field(c[TAPED], "i64[:]", 64)
    n, n_kept = c[N_STATE], c[N_KEPT]
    c[TOP] = c[TOP] - 1
    row = c[TOP] * n_kept
    for t in range(n_kept):
        vector[2 + t] = address[taped[row + t]]
    place = 2 + n_kept + 2 * n
    for leaf in range(n):
        vector[2 + n_kept + leaf] = address[cts[leaf, 0]]
        vector[2 + n_kept + n + leaf] = cts[leaf, 1]
        source, manner = leaves[leaf, 3], leaves[leaf, 4]
        if source < 0:
            following[leaf, 0] = take(c, leaves[leaf, 2])
            following[leaf, 1] = 1
            vector[place] = address[following[leaf, 0]]
            place += 1
        else:
            following[leaf, 0] = cts[source, 0]
            following[leaf, 1] = 1 if manner == 2 else -cts[source, 1] if manner == 1 else cts[source, 1]
            references[following[leaf, 0]] = references[following[leaf, 0]] + 1
    move(c, vector, k, c[N_FORWARD], c[N_MOVING])
    vector[0] = k
    failed = carry_out(c, 2, c[REVERSE], c[REVERSE_PART])
    for t in range(n_kept):
        let_go(c, taped[row + t])
    for leaf in range(n):
        release(c, cts[leaf, 0])
        cts[leaf, 0], cts[leaf, 1] = following[leaf, 0], following[leaf, 1]
    return failed


@inner
def leave(c: Any) -> None:
    """The state is not needed any more."""
    current = field(c[CURRENT], "i64[:]", 64)
    for leaf in range(c[N_STATE]):
        if current[leaf] >= 0:
            release(c, current[leaf])
            current[leaf] = -1


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
    current, slots = field(c[CURRENT], "i64[:]", 64), field(c[SLOTS], "i64[:]", 64)
    held, references = field(c[HELD], "i64[:]", 64), field(c[REFERENCES], "i64[:]", 64)
    n = c[N_STATE]
    if verb == 3:
        if c[DEPTH] < c[N_SLOTS]:
            c[DEPTH] = c[DEPTH] + 1
            held[c[DEPTH] - 1] = -1
        slot = find(c, -1)
        held[slot] = step
        for leaf in range(n):
            slots[slot * n + leaf] = current[leaf]
            hold(c, current[leaf])
    elif verb == 4:
        slot = find(c, step)
        leave(c)
        for leaf in range(n):
            current[leaf] = slots[slot * n + leaf]
            references[current[leaf]] = references[current[leaf]] + 1
    else:
        slot = find(c, step)
        held[slot] = -1
        for leaf in range(n):
            let_go(c, slots[slot * n + leaf])
        while c[DEPTH] > 0 and held[c[DEPTH] - 1] == -1:
            c[DEPTH] = c[DEPTH] - 1


@inner
def stands(c: Any) -> bool:
    """Whether the state will stay as it is: the last leaf of one that is watched says so."""
    current, address = field(c[CURRENT], "i64[:]", 64), field(c[ADDRESS], "i64[:]", 64)
    return field(address[current[c[N_STATE] - 1]], "f64[:]", 64)[0] != -1.0


def drive(c: Any) -> int:
    """Carry out rows from c[FIRST] on, until one of the reasons above; FIRST and WITHIN say where to go on."""
    rows = field(c[ROWS], "i64[:, 3]", 64)
    spent = 0
    while c[FIRST] < c[END]:
        verb, start, stop = rows[c[FIRST], 0], rows[c[FIRST], 1], rows[c[FIRST], 2]
        if verb > 2:
            carry(c, verb, start)
        elif verb == 2:
            leave(c)
            while c[WITHIN] < stop - start:
                if spent >= c[WORK]:
                    return 1
                if is_short(c, 4):
                    return 2
                if step_back(c, stop - 1 - c[WITHIN]) != 0:
                    return 3
                c[WITHIN] = c[WITHIN] + 1
                spent += 2
        else:
            while c[WITHIN] < stop - start:
                if spent >= c[WORK]:
                    return 1
                if is_short(c, 3):
                    return 2
                if step_forward(c, start + c[WITHIN], verb == 1) != 0:
                    return 3
                c[WITHIN] = c[WITHIN] + 1
                spent += 1
                if verb == 0 and c[WATCHED] != 0 and stands(c):
                    return 1
        c[FIRST] = c[FIRST] + 1
        c[WITHIN] = 0
    return 0

"""Actions as rows of integers, for executors in machine code.

A row is (verb, start, stop) or (verb, step, tier), with the verbs numbered as in `VERBS`. The binomial parts
of a schedule are unfolded in machine code; no table is as long as the chain of steps.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from unspool.schedules.actions import Action, Advance, Drop, Load, Record, Reverse, Save
from unspool.schedules.base import FoldedSchedule, Schedule, length
from unspool.schedules.binomial import Binomial, beta, repetitions

VERBS = (Advance, Record, Reverse, Save, Load, Drop)
"""The number of a verb in a row is its place here."""

Rows = NDArray[np.int64]

_NUMBERS: dict[type[Action], int] = {verb: number for number, verb in enumerate(VERBS)}

_FEWEST = 4  # rows that a batch must have room for, see MOST_ROWS


def encode(actions: Iterable[Action]) -> Rows:
    """Return the actions as an array of shape (n, 3).

    >>> encode([Save(0), Advance(0, 7)])
    array([[3, 0, 0],
           [0, 0, 7]])
    """
    rows = [_row(action) for action in actions]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def decode(rows: Rows) -> Iterator[Action]:
    """Yield the actions that the rows encode.

    >>> list(decode(encode([Save(0), Advance(0, 7)])))
    [Save(step=0, tier=0), Advance(start=0, stop=7)]
    """
    for verb, first, second in rows.tolist():
        yield VERBS[verb](first, second)


Fill = Callable[[Rows, int, Rows, tuple[int, int], tuple[int, int, int, int], Rows, int], tuple[int, int]]


def batches(schedule: Schedule, n_steps: int, *, rows: int = 65_536, fill: Fill | None = None) -> Iterator[Rows]:
    """Yield the actions of a schedule as arrays of shape (at most `rows`, 3), each its own.

    Decoded one after the other they are `schedule.actions(n_steps)`. ``fill`` is what unfolds a binomial part, by
    itself that of `unspool.schedules.unfolding`, which Numba compiles once in every process.

    >>> from unspool.schedules import Revolve
    >>> sum(len(batch) for batch in batches(Revolve(20), 10**6))
    5315598
    """
    rows = max(rows, _FEWEST)
    if isinstance(schedule, FoldedSchedule):
        return _batches(schedule.folded(length(n_steps)), rows, fill)
    return _chunks(schedule.actions(length(n_steps)), rows)


def _row(action: Action) -> tuple[int, int, int]:
    match action:
        case Save(step, tier) | Load(step, tier) | Drop(step, tier):
            return _NUMBERS[type(action)], step, tier
        case Advance(start, stop) | Record(start, stop) | Reverse(start, stop):
            return _NUMBERS[type(action)], start, stop


def _chunks(actions: Iterator[Action], rows: int) -> Iterator[Rows]:
    while len(chunk := encode(islice(actions, rows))):
        yield chunk


def _batches(parts: Iterator[Action | Binomial], rows: int, fill: Fill | None) -> Iterator[Rows]:
    if fill is None:
        from unspool.schedules import unfolding

        fill = unfolding.fill
    out, used = np.empty((rows, 3), np.int64), 0
    for part in parts:
        if not isinstance(part, Binomial):
            if used == rows:
                yield out
                out, used = np.empty((rows, 3), np.int64), 0
            out[used] = _row(part)
            used += 1
            continue
        leaves = part.leaves
        if leaves == 0:
            continue
        slots = min(part.slots, leaves)  # more are of no use, and keep products within 64 bits
        r = repetitions(leaves, slots)
        stack = np.empty((slots + 1, 5), np.int64)
        stack[0] = 0, leaves, slots, r, beta(slots, r)
        tiers = np.array(part.tiers, np.int64)
        extent, depth = (part.start, part.stop, part.leaf, leaves), 1
        while True:
            used, depth = fill(out, rows, stack, (used, depth), extent, tiers, len(tiers) - 1)
            if depth == 0:
                break
            yield out[:used]
            out, used = np.empty((rows, 3), np.int64), 0
    if used:
        yield out[:used]

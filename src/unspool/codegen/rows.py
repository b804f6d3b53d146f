"""The actions of a schedule in batches of rows, with all that a run must know of them before it carries them out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from unspool.errors import PolicyError
from unspool.schedules import Schedule, Tier, batches, encode

ADVANCE, RECORD, REVERSE, SAVE, LOAD, DROP = range(6)

_ROWS = 65_536
_KEPT_ROWS = 2_000_000  # rows of one schedule that are kept for the next call: 48 MB
_KEPT_SCHEDULES = 4

Rows = np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some actions, i64[n, 3]: what they run and move, and the most that is held up to their end.

    ``turn`` marks the batch whose last row reaches the final state for the first time. ``longest`` is the longest
    range.
    """

    rows: Rows
    turn: bool
    steps: int
    records: int
    saves: int
    loads: int
    longest: int
    peak_slots: int
    peak_taped: int
    peak_states: int


_KEPT: dict[tuple[Schedule, int], tuple[Batch, ...]] = {}


def all_batches(schedule: Schedule, n_steps: int) -> Iterator[Batch]:
    """The batches of a schedule; those of the last few schedules are kept.

    PolicyError where a snapshot goes to another tier than RAM.
    """
    try:
        kept = _KEPT.get((schedule, n_steps))
    except TypeError:  # parameters that have no hash, as arrays
        return _weighed(schedule, n_steps)
    return iter(kept) if kept is not None else _keeping(schedule, n_steps)


def _keeping(schedule: Schedule, n_steps: int) -> Iterator[Batch]:
    found: list[Batch] = []
    n_rows = 0
    for batch in _weighed(schedule, n_steps):
        n_rows += len(batch.rows)
        if n_rows <= _KEPT_ROWS:
            found.append(batch)
        else:
            found.clear()
        yield batch
    if found:
        while len(_KEPT) >= _KEPT_SCHEDULES:
            _KEPT.pop(next(iter(_KEPT)), None)  # another thread may have been faster
        _KEPT[schedule, n_steps] = tuple(found)


def _weighed(schedule: Schedule, n_steps: int) -> Iterator[Batch]:
    now_slots = now_taped = peak_slots = peak_taped = peak_states = 0
    for rows, turn in _cut_at_the_turn(_fresh(schedule, n_steps), n_steps):
        verb, lengths = rows[:, 0], rows[:, 2] - rows[:, 1]
        if np.any((verb >= SAVE) & (rows[:, 2] != Tier.RAM)):
            raise PolicyError(f"the policy {schedule} keeps snapshots on disk, for which there is no store")
        slots = now_slots + np.cumsum((verb == SAVE).astype(np.int64) - (verb == DROP))
        taped = now_taped + np.cumsum(np.where(verb == RECORD, lengths, np.where(verb == REVERSE, -lengths, 0)))
        now_slots, now_taped = int(slots[-1]), int(taped[-1])
        peak_slots, peak_taped = max(peak_slots, int(slots.max())), max(peak_taped, int(taped.max()))
        peak_states = max(peak_states, int((slots + taped).max()))
        yield Batch(
            np.ascontiguousarray(rows),
            turn,
            steps=int(lengths[verb <= RECORD].sum()),
            records=int(lengths[verb == RECORD].sum()),
            saves=int(np.count_nonzero(verb == SAVE)),
            loads=int(np.count_nonzero(verb == LOAD)),
            longest=int(lengths[verb <= REVERSE].max(initial=0)),
            peak_slots=peak_slots,
            peak_taped=peak_taped,
            peak_states=peak_states,
        )


def _cut_at_the_turn(parts: Iterator[Rows], n_steps: int) -> Iterator[tuple[Rows, bool]]:
    """The parts, none of them empty, with a cut behind the row that first reaches the final state."""
    turned = False
    for rows in parts:
        reaches = (rows[:, 0] <= RECORD) & (rows[:, 2] == n_steps)
        if turned or not reaches.any():
            if len(rows):
                yield rows, False
            continue
        turned = True
        cut = int(np.argmax(reaches)) + 1
        yield rows[:cut], True
        if cut < len(rows):
            yield rows[cut:], False


def _fresh(schedule: Schedule, n_steps: int) -> Iterator[Rows]:
    if schedule.steps(n_steps) > 2 * n_steps:  # many actions: worth the seconds of compiling what unfolds them
        yield from batches(schedule, n_steps, rows=_ROWS)
        return
    actions = schedule.actions(n_steps)
    while len(chunk := encode(islice(actions, _ROWS))):
        yield chunk


def steps_between(rows: Rows, before: tuple[int, int], after: tuple[int, int]) -> int:
    """The steps that are run or reversed from one position of a driver, (row, steps within it), to another.

    >>> steps_between(np.array([[ADVANCE, 0, 5], [SAVE, 5, 0], [RECORD, 5, 9]]), (0, 2), (2, 1))
    4
    """
    done = rows[before[0] : after[0]]
    return int((done[:, 2] - done[:, 1])[done[:, 0] <= REVERSE].sum()) - before[1] + after[1]

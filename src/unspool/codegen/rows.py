"""The actions of a schedule in batches of rows, with all that a run must know of them before it carries them out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import islice

import numpy as np

from unspool.codegen.object_code import ObjectCode, load
from unspool.errors import PolicyError
from unspool.schedules import Schedule, batches, encode

ADVANCE, RECORD, REVERSE, SAVE, LOAD, DROP = range(6)

_ROWS = 65_536
_KEPT_ROWS = (
    10_000  # rows of one schedule that are kept for the next call: longer ones are made as fast as they are read
)
_KEPT_SCHEDULES = 16

Rows = np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some actions, i64[n, 3]: what they run and move, and the most that is held up to their end.

    ``turn`` marks the batch whose last row reaches the final state for the first time. ``longest`` is the longest
    range.
    """

    rows: Rows
    n_rows: int
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
_NONE = np.zeros((0, 3), np.int64)


def all_batches(schedule: Schedule, n_steps: int) -> Iterator[Batch]:
    """The batches of a schedule; those of the last few are kept, the rows of long ones apart.

    PolicyError where a snapshot goes to another tier than RAM.
    """
    try:
        kept = _KEPT.get((schedule, n_steps))
    except TypeError:  # parameters that have no hash, as arrays
        return _weighed(schedule, n_steps)
    if kept is None:
        return _keeping(schedule, n_steps)
    return iter(kept) if all(len(batch.rows) for batch in kept) else _again(kept, schedule, n_steps)


def _keeping(schedule: Schedule, n_steps: int) -> Iterator[Batch]:
    found: list[Batch] = []
    n_rows = 0
    for batch in _weighed(schedule, n_steps):
        n_rows += len(batch.rows)
        found.append(replace(batch, rows=_NONE if n_rows > _KEPT_ROWS else batch.rows.copy()))
        yield batch
    while len(_KEPT) >= _KEPT_SCHEDULES:
        _KEPT.pop(next(iter(_KEPT)), None)  # another thread may have been faster
    _KEPT[schedule, n_steps] = tuple(found) if n_rows <= _KEPT_ROWS else tuple([replace(b, rows=_NONE) for b in found])


def _again(kept: tuple[Batch, ...], schedule: Schedule, n_steps: int) -> Iterator[Batch]:
    """The batches of which the weights are known, with their rows."""
    known = iter(kept)
    for rows in _fresh(schedule, n_steps):
        first = 0
        while first < len(rows):
            batch = next(known)
            yield replace(batch, rows=rows[first : first + batch.n_rows])
            first += batch.n_rows


def _weighed(schedule: Schedule, n_steps: int) -> Iterator[Batch]:
    weigh, a = code("weigh").function("weigh"), np.zeros(15, np.int64)
    turned = False
    for rows in _fresh(schedule, n_steps):
        first = 0
        while first < len(rows):
            a[:4] = rows.ctypes.data, first, len(rows), -1 if turned else n_steps
            end = weigh(a)
            if a[14]:
                raise PolicyError(f"the policy {schedule} keeps snapshots on disk, for which there is no store")
            last = rows[end - 1]
            turn = not turned and last[0] <= RECORD and int(last[2]) == n_steps
            turned = turned or turn
            _, _, slots, taped, states, steps, records, saves, loads, longest, _ = a[4:].tolist()
            yield Batch(rows[first:end], end - first, turn, steps, records, saves, loads, longest, slots, taped, states)
            first = end


@cache
def code(name: str) -> ObjectCode:
    """A function on rows; short schedules are only weighed."""
    return load(files("unspool.codegen").joinpath("row_code.py").read_text(), [name])


def _fresh(schedule: Schedule, n_steps: int) -> Iterator[Rows]:
    if schedule.steps(n_steps) > 2 * n_steps:  # many actions
        yield from batches(schedule, n_steps, rows=_ROWS, fill=_fill)
        return
    actions = schedule.actions(n_steps)
    while len(chunk := encode(islice(actions, _ROWS))):
        yield chunk


def _fill(
    out: Rows,
    room: int,
    stack: Rows,
    progress: tuple[int, int],
    extent: tuple[int, int, int, int],
    tiers: Rows,
    last: int,
) -> tuple[int, int]:
    block = np.array([out.ctypes.data, room, stack.ctypes.data, *progress, *extent, tiers.ctypes.data, last], np.int64)
    code("unfold").function("unfold")(block)
    return int(block[3]), int(block[4])


def steps_between(rows: Rows, before: tuple[int, int], after: tuple[int, int]) -> int:
    """The steps that are run or reversed from one position of a driver, (row, steps within it), to another.

    >>> steps_between(np.array([[ADVANCE, 0, 5], [SAVE, 5, 0], [RECORD, 5, 9]]), (0, 2), (2, 1))
    4
    """
    done = rows[before[0] : after[0]]
    return int((done[:, 2] - done[:, 1])[done[:, 0] <= REVERSE].sum()) - before[1] + after[1]

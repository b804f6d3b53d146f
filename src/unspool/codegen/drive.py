"""A whole schedule in machine code: the actions as rows of integers, carried out by the driver of a compiled step.

The driver is called for about 50 milliseconds of work at a time, so that Ctrl-C and a progress bar have a place to
stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from unspool.adjoint import Adjoint
from unspool.codegen.build import Compiled
from unspool.errors import PolicyError
from unspool.layout import ArrayType
from unspool.schedules import Schedule, Tier, batches, encode
from unspool.stores import arena

ADVANCE, RECORD, REVERSE, SAVE, _, DROP = range(6)

_NANOSECONDS = 1.5  # of one statement, about
_SLICE_SECONDS = 0.05
_KEPT_ROWS = 2_000_000  # rows of a schedule that are kept for the next call: 48 MB

Rows = np.ndarray


class Drive:
    """One run of a compiled loop: `forward` up to the turn, then `reverse` back to the start."""

    def __init__(
        self,
        compiled: Compiled,
        adjoint: Adjoint,
        *,
        n_steps: int,
        xs: Sequence[np.ndarray],
        captures: Sequence[Any],
        tick: Callable[[int], None] | None = None,
    ) -> None:
        self.adjoint = adjoint
        self.n_steps = n_steps
        self._drive = compiled.drive
        self._work = max(1, int(_SLICE_SECONDS / (_NANOSECONDS * 1e-9 * max(20, compiled.n_statements))))
        self._tick = tick
        self._xs = _matrix(xs, n_steps)
        self._captures = _vector(captures)
        n_outputs = sum(t.size for t in adjoint.outputs)
        self._ys = np.empty((n_steps, n_outputs))
        self._n_state = sum(t.size for t in adjoint.state)
        self._state = np.empty(self._n_state)
        self._taped = _rows_of(0, self._n_state)
        self._slots = _rows_of(0, self._n_state)
        self._held = np.full(0, -1, np.int64)
        self._top = 0
        self._rest: Iterator[Rows] = iter(())
        self.steps = self.records = self.saves = self.loads = 0
        self.peak_states = self.peak_slots = self.peak_taped = 0
        self._now_slots = self._now_taped = 0
        self._none = np.zeros((n_steps, 0))

    # --- the two halves ---------------------------------------------------------------------------------------------
    def forward(self, state: Sequence[Any], schedule: Schedule | None) -> tuple[list[Any], list[np.ndarray]]:
        """Carry out the actions up to the turn; without a schedule, all steps and nothing else."""
        self._state[:] = _vector(state)
        if self.n_steps:
            if schedule is None:
                rows: Iterator[Rows] = iter([np.array([[ADVANCE, 0, self.n_steps]], np.int64)])
            else:
                rows = _all_rows(schedule, self.n_steps)
            for batch in rows:
                runs = (batch[:, 0] <= RECORD) & (batch[:, 2] == self.n_steps)
                if runs.any():
                    turn = int(np.argmax(runs)) + 1
                    self._carry_out(batch[:turn], self._none, self._none, np.empty(0), np.empty(0))
                    self._rest = _chain(batch[turn:], rows)
                    break
                self._carry_out(batch, self._none, self._none, np.empty(0), np.empty(0))
        return _arrays(self._state.copy(), self.adjoint.state), _columns(self._ys, self.adjoint.outputs, self.n_steps)

    def reverse(self, cts_state: Sequence[Any], cts_ys: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Carry the cotangents back; return those of the initial state, of xs and of the captures."""
        ct = np.zeros(self._n_state)
        for target, value in zip(_arrays(ct, self.adjoint.state), cts_state, strict=True):
            if value is not None:
                target[...] = value
        rows_ct = np.zeros((self.n_steps, sum(t.size for t in self.adjoint.outputs)))
        for target, value in zip(_columns(rows_ct, self.adjoint.outputs, self.n_steps), cts_ys, strict=True):
            if value is not None:
                target[...] = value
        cts_xs = np.zeros_like(self._xs)
        totals = np.zeros(len(self._captures))
        try:
            for batch in self._rest:
                self._carry_out(batch, cts_xs, rows_ct, ct, totals)
        finally:
            self.close()
        return (
            _arrays(ct, self.adjoint.state),
            _columns(cts_xs, self.adjoint.inputs, self.n_steps),
            _arrays(totals, self.adjoint.captures),
        )

    def close(self) -> None:
        """Give the buffers back."""
        arena.give([array.base for array in (self._taped, self._slots) if array.base is not None and array.size])
        self._taped = self._slots = _rows_of(0, self._n_state)
        self._rest = iter(())

    # --- rows -------------------------------------------------------------------------------------------------------
    def _carry_out(self, rows: Rows, cts_xs: Any, cts_ys: Any, ct: Any, totals: Any) -> None:
        rows = _split(rows, self._work)
        self._account(rows)
        first = 0
        while first < len(rows):
            first, self._top = self._drive(
                rows,
                first,
                len(rows),
                self._work,
                self._state,
                ct,
                self._xs,
                self._ys,
                self._captures,
                cts_xs,
                cts_ys,
                totals,
                self._taped,
                self._top,
                self._slots,
                self._held,
            )
            if self._tick is not None:
                self._tick(first)

    def _account(self, rows: Rows) -> None:
        """Count, and make room for what these rows keep."""
        verb, lengths = rows[:, 0], rows[:, 2] - rows[:, 1]
        if np.any((verb >= SAVE) & (rows[:, 2] != Tier.RAM)):
            raise PolicyError("the policy keeps snapshots on disk, for which there is no store")
        self.steps += int(lengths[verb <= RECORD].sum())
        self.records += int(lengths[verb == RECORD].sum())
        self.saves += int(np.count_nonzero(verb == SAVE))
        self.loads += int(np.count_nonzero(verb == SAVE + 1))
        slots = self._now_slots + np.cumsum((verb == SAVE).astype(np.int64) - (verb == DROP))
        taped = self._now_taped + np.cumsum(np.where(verb == RECORD, lengths, np.where(verb == REVERSE, -lengths, 0)))
        if len(rows):
            self._now_slots, self._now_taped = int(slots[-1]), int(taped[-1])
            self.peak_states = max(self.peak_states, int((slots + taped).max()))
            self.peak_slots = max(self.peak_slots, int(slots.max()))
            self.peak_taped = max(self.peak_taped, int(taped.max()))
        if self.peak_taped > len(self._taped):
            self._taped = _grown(self._taped, self.peak_taped)
        if self.peak_slots > len(self._slots):
            self._held = np.concatenate([self._held, np.full(self.peak_slots - len(self._slots), -1, np.int64)])
            self._slots = _grown(self._slots, self.peak_slots)


@lru_cache(maxsize=4)
def _kept_rows(schedule: Schedule, n_steps: int) -> tuple[Rows, ...] | None:
    """The rows of a schedule, where they are not too many to keep."""
    found, n_rows = [], 0
    for batch in _fresh_rows(schedule, n_steps):
        found.append(batch)
        n_rows += len(batch)
        if n_rows > _KEPT_ROWS:
            return None
    return tuple(found)


def _all_rows(schedule: Schedule, n_steps: int) -> Iterator[Rows]:
    kept = _kept_rows(schedule, n_steps)
    return _fresh_rows(schedule, n_steps) if kept is None else iter(kept)


def _fresh_rows(schedule: Schedule, n_steps: int) -> Iterator[Rows]:
    if schedule.steps(n_steps) <= 2 * n_steps:  # few actions, or no more than two per step: not worth a compilation
        chunk = []
        for action in schedule.actions(n_steps):
            chunk.append(action)
            if len(chunk) == 65_536:
                yield encode(chunk)
                chunk = []
        yield encode(chunk)
    else:
        yield from batches(schedule, n_steps)


def _split(rows: Rows, longest: int) -> Rows:
    """The same actions with no range longer than this; Reverse goes from the end."""
    lengths = np.where(rows[:, 0] <= REVERSE, rows[:, 2] - rows[:, 1], 0)
    if not np.any(lengths > longest):
        return rows
    result = []
    for verb, a, b in rows.tolist():
        if verb > REVERSE or b - a <= longest:
            result.append((verb, a, b))
            continue
        parts = [(verb, start, min(start + longest, b)) for start in range(a, b, longest)]
        result += parts if verb < REVERSE else parts[::-1]
    return np.array(result, np.int64)


def _chain(first: Rows, rest: Iterator[Rows]) -> Iterator[Rows]:
    yield first
    yield from rest


# --- arrays and vectors -----------------------------------------------------------------------------------------------
def _rows_of(n: int, width: int) -> np.ndarray:
    if not n * width:
        return np.empty((n, width))
    return arena.take(8 * n * width).view(np.float64).reshape(n, width)


def _grown(rows: np.ndarray, n: int) -> np.ndarray:
    larger = _rows_of(n, rows.shape[1])
    larger[: len(rows)] = rows
    return larger


def _vector(arrays: Sequence[Any]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *(np.ravel(a) for a in arrays)])


def _matrix(arrays: Sequence[np.ndarray], n: int) -> np.ndarray:
    return np.concatenate([np.zeros((n, 0)), *(a.reshape(n, prod(a.shape[1:])) for a in arrays)], axis=1)


def _arrays(vector: np.ndarray, types: Sequence[ArrayType]) -> list[Any]:
    """The parts of a vector in their shapes, as views."""
    parts, start = [], 0
    for t in types:
        parts.append(vector[start : start + t.size].reshape(t.shape))
        start += t.size
    return parts


def _columns(matrix: np.ndarray, types: Sequence[ArrayType], n: int) -> list[np.ndarray]:
    parts, start = [], 0
    for t in types:
        parts.append(matrix[:, start : start + t.size].reshape(n, *t.shape))
        start += t.size
    return parts

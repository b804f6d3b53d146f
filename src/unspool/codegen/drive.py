"""A whole schedule in machine code: the actions as rows of integers, carried out by the driver of a compiled step.

The driver is called for about 50 milliseconds of work at a time, so that Ctrl-C and a progress bar have a place to
stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from unspool.adjoint import Adjoint
from unspool.codegen.build import Compiled
from unspool.codegen.rows import ADVANCE, REVERSE, Batch, all_batches, split
from unspool.layout import ArrayType
from unspool.schedules import Schedule
from unspool.stores import arena

_NANOSECONDS = 1.5  # of one statement, about
_SLICE_SECONDS = 0.05


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
        self._tops = np.zeros(2, np.int64)  # of the tape, and of the slots
        self._rest: Iterator[Batch] = iter(())
        self.steps = self.records = self.saves = self.loads = 0
        self.peak_states = self.peak_slots = self.peak_taped = 0
        self._none = np.zeros((n_steps, 0))

    # --- the two halves ---------------------------------------------------------------------------------------------
    def forward(self, state: Sequence[Any], schedule: Schedule | None) -> tuple[list[Any], list[np.ndarray]]:
        """Carry out the actions up to the turn; without a schedule, all steps and nothing else."""
        self._state[:] = _vector(state)
        nothing = np.zeros(0)
        self._rest = self._batches(schedule)
        for batch in self._rest:
            self._carry_out(batch, self._none, self._none, nothing, nothing)
            if batch.turn:
                break
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

    # --- batches ----------------------------------------------------------------------------------------------------
    def _batches(self, schedule: Schedule | None) -> Iterator[Batch]:
        if not self.n_steps:
            return iter(())
        if schedule is not None:
            return all_batches(schedule, self.n_steps)
        row = np.array([[ADVANCE, 0, self.n_steps]], np.int64)
        return iter([Batch(row, True, self.n_steps, 0, 0, 0, self.n_steps, 0, 0, 0)])

    def _carry_out(self, batch: Batch, cts_xs: Any, cts_ys: Any, ct: Any, totals: Any) -> None:
        self._account(batch)
        rows = batch.rows if batch.longest <= self._work else split(batch.rows, self._work)
        first = 0
        while first < len(rows):
            begin = first
            first = self._drive(
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
                self._slots,
                self._held,
                self._tops,
            )
            if self._tick is not None:
                done = rows[begin:first]
                self._tick(int((done[:, 2] - done[:, 1])[done[:, 0] <= REVERSE].sum()))

    def _account(self, batch: Batch) -> None:
        """Count, and make room for what the batch keeps."""
        self.steps += batch.steps
        self.records += batch.records
        self.saves += batch.saves
        self.loads += batch.loads
        self.peak_slots, self.peak_taped = batch.peak_slots, batch.peak_taped
        self.peak_states = batch.peak_states
        if batch.peak_taped > len(self._taped):
            self._taped = _grown(self._taped, batch.peak_taped)
        if batch.peak_slots > len(self._slots):
            self._held = np.concatenate([self._held, np.full(batch.peak_slots - len(self._slots), -1, np.int64)])
            self._slots = _grown(self._slots, batch.peak_slots)


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

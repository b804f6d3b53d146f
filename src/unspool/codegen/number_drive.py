"""One run of a compiled loop on a few numbers: the schedule as rows of integers, carried out by the driver.

The driver is called for about 50 milliseconds of work at a time, so that Ctrl-C and a progress bar have a place to
stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from math import prod
from typing import Any

import numpy as np

from unspool.codegen.control import DONE, TIME, Numbers
from unspool.codegen.machine import CompiledNumbers
from unspool.codegen.object_code import ObjectCode, load
from unspool.codegen.rows import ADVANCE, Batch, all_batches, steps_between
from unspool.layout import ArrayType
from unspool.schedules import Schedule
from unspool.stores import arena

_SLICE_SECONDS = 0.05


@cache
def driver() -> ObjectCode:
    """The driver, which is the same for all steps."""
    return load(files("unspool.codegen").joinpath("number_driver.py").read_text(), ["drive"])


class NumberDrive:
    """One run of a compiled loop: `forward` up to the turn, then `reverse` back to the start."""

    def __init__(
        self,
        compiled: CompiledNumbers,
        *,
        n_steps: int,
        xs: Sequence[np.ndarray],
        captures: Sequence[Any],
        tick: Callable[[int], None] | None = None,
    ) -> None:
        self.adjoint = adjoint = compiled.adjoint
        self.n_steps = n_steps
        self._bytes_per_state = compiled.state_bytes
        self._tick = tick
        self._xs = _matrix(xs, n_steps)
        self._captures = _vector(captures)
        self._ys = np.empty((n_steps, sum(t.size for t in adjoint.outputs)))
        self._n_state = sum(t.size for t in adjoint.state)
        self._state = np.empty(self._n_state)
        self._taped = _rows_of(0, self._n_state)
        self._slots = _rows_of(0, self._n_state)
        self._held = np.full(0, -1, np.int64)
        self._rest: Iterator[Batch] = iter(())
        self._control = c = np.zeros(Numbers.LENGTH, np.int64)
        for name, address in compiled.code.addresses.items():
            c[{"advance": Numbers.ADVANCE, "record": Numbers.RECORD, "reverse": Numbers.UNDO}[name]] = address
        c[Numbers.STATE], c[Numbers.XS] = self._state.ctypes.data, self._xs.ctypes.data
        c[Numbers.YS], c[Numbers.CAPTURES] = self._ys.ctypes.data, self._captures.ctypes.data
        c[Numbers.N_STATE] = self._n_state
        self._work = max(1, int(_SLICE_SECONDS / compiled.step_seconds))
        self._drive = driver().function("drive")
        self.steps = self.records = self.saves = self.loads = 0
        self.peak_bytes = self.peak_snapshot_bytes = self.peak_residual_bytes = 0

    # --- the two halves ---------------------------------------------------------------------------------------------
    def forward(self, state: Sequence[Any], schedule: Schedule | None) -> tuple[list[Any], list[np.ndarray]]:
        """Carry out the actions up to the turn; without a schedule, all steps and nothing else."""
        self._state[:] = _vector(state)
        self._rest = self._batches(schedule)
        for batch in self._rest:
            if self._carry_out(batch) or batch.turn:
                break
        return _arrays(self._state.copy(), self.adjoint.state), _columns(self._ys, self.adjoint.outputs, self.n_steps)

    def reverse(self, cts_state: Sequence[Any], cts_ys: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Carry the cotangents back; return those of the initial state, of xs and of the captures."""
        ct = np.zeros(self._n_state)
        for target, value in zip(_arrays(ct, self.adjoint.state), cts_state, strict=True):
            if value is not None:
                target[...] = value
        types = self.adjoint.outputs
        filled = [np.zeros((self.n_steps, *t.shape)) if y is None else y for y, t in zip(cts_ys, types, strict=True)]
        rows_ct = _matrix(filled, self.n_steps)
        cts_xs = np.zeros_like(self._xs)
        totals = np.zeros(len(self._captures))
        c = self._control
        c[Numbers.CT], c[Numbers.CTS_YS] = ct.ctypes.data, rows_ct.ctypes.data
        c[Numbers.CTS_XS], c[Numbers.TOTALS] = cts_xs.ctypes.data, totals.ctypes.data
        try:
            for batch in self._rest:
                self._carry_out(batch)
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
        return iter([Batch(row, 1, True, self.n_steps, 0, 0, 0, self.n_steps, 0, 0, 0)])

    def _carry_out(self, batch: Batch) -> bool:
        """Let the driver carry the batch out, or a part of it: whether the state stays as it is from there on."""
        self._account(batch)
        c, rows = self._control, batch.rows
        c[Numbers.WORK] = self._work
        c[Numbers.ROWS], c[Numbers.FIRST], c[Numbers.END] = rows.ctypes.data, 0, len(rows)
        c[Numbers.TAPED], c[Numbers.SLOTS] = self._taped.ctypes.data, self._slots.ctypes.data
        c[Numbers.HELD], c[Numbers.N_SLOTS] = self._held.ctypes.data, len(self._held)
        reason = TIME
        while reason != DONE:
            before = int(c[Numbers.FIRST]), int(c[Numbers.WITHIN])
            reason = self._drive(c)
            if self.adjoint.watched and self._state[-1] != -1.0:  # what the last leaf says
                return True
            if self._tick is not None:
                self._tick(steps_between(rows, before, (int(c[Numbers.FIRST]), int(c[Numbers.WITHIN]))))
        return False

    def _account(self, batch: Batch) -> None:
        """Count, and make room for what the batch keeps."""
        self.steps += batch.steps
        self.records += batch.records
        self.saves += batch.saves
        self.loads += batch.loads
        size = self._bytes_per_state
        self.peak_bytes = batch.peak_states * size
        self.peak_snapshot_bytes, self.peak_residual_bytes = batch.peak_slots * size, batch.peak_taped * size
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
    """The arrays side by side, one row per step; a single one as it is."""
    if len(arrays) == 1:
        return np.ascontiguousarray(arrays[0], np.float64).reshape(n, prod(arrays[0].shape[1:]))
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

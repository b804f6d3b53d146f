"""Kernels and loops on a few numbers, with the copies between them, as one call of machine code.

Every value has a place of its own, which stays where it is from call to call. What a script does is a table of lines:
copy, fill with zeros, call a kernel, carry out the rows of a schedule. A call from Python writes the arguments into
their places and reads the results from theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import numpy as np

from unspool.codegen.control import Lines, Numbers
from unspool.codegen.machine import CompiledNumbers
from unspool.codegen.object_code import ObjectCode, load
from unspool.codegen.rows import ADVANCE, REVERSE, all_batches
from unspool.errors import UnsupportedError
from unspool.layout import ArrayType
from unspool.schedules import Schedule

MOST_BYTES, MOST_SECONDS = 2**20, 0.02
"""That a script may keep, and take: nothing can stop it."""

MOST_ROWS = 4096
"""Of a schedule that a script carries out."""

_KERNELS = {"advance": Numbers.ADVANCE, "record": Numbers.RECORD, "reverse": Numbers.UNDO}


@cache
def driver() -> ObjectCode:
    """The driver, which is the same for all scripts."""
    return load(files("unspool.codegen").joinpath("script_driver.py").read_text(), ["script"])


class Script:
    """The table while it is written, and the call of it."""

    def __init__(self) -> None:
        self.n_bytes, self.seconds = 0, 0.0  # that it keeps, and that it takes, about
        self._lines: list[tuple[int, ...]] = []
        self._alive: list[np.ndarray] = []
        self._run = driver().function("script")
        self._block = np.zeros(2, np.int64)

    def __call__(self) -> None:
        """Carry it out."""
        self._run(self._block)

    # --- writing it ---------------------------------------------------------------------------------------------------
    def finish(self) -> None:
        """Write the table: no lines come after that."""
        table = self.keep(np.zeros((len(self._lines), Lines.WORDS), np.int64))
        for row, line in zip(table, self._lines, strict=True):
            row[: len(line)] = line
        self._block[:] = table.ctypes.data, len(table)

    def call(self, code: CompiledNumbers, operands: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Call a kernel on what lies in these places; the places of its results."""
        types = code.adjoint.outputs
        captures = self.keep(np.zeros((1, sum(t.size for t in code.adjoint.captures))))
        results = self.keep(np.zeros((1, sum(t.size for t in types))))
        block = self.keep(np.zeros(Numbers.LENGTH, np.int64))
        block[Numbers.CAPTURES], block[Numbers.YS], block[Numbers.STOP] = captures.ctypes.data, results.ctypes.data, 1
        self.put_together(operands, captures)
        self.add(Lines.CALL, code.code.addresses["advance"], block.ctypes.data)
        self.weigh(0, code.step_seconds)
        return [part.reshape(t.shape) for part, t in zip(_parts(results, types), types, strict=True)]

    def keep(self, array: np.ndarray) -> np.ndarray:
        """An array that lives as long as the script."""
        self._alive.append(array)
        return array

    def weigh(self, n_bytes: int, seconds: float) -> None:
        """Count what a part takes. Raises `UnsupportedError` where it is too much for a call that cannot be stopped."""
        self.n_bytes, self.seconds = self.n_bytes + n_bytes, self.seconds + seconds
        if self.n_bytes > MOST_BYTES or self.seconds > MOST_SECONDS:
            raise UnsupportedError(f"more than {MOST_BYTES} bytes or {MOST_SECONDS} s in one call")

    def add(self, *line: int) -> None:
        """One more line."""
        self._lines.append(line)

    def copy(self, source: np.ndarray, target: np.ndarray) -> None:
        """Copy a matrix, whose rows may lie apart, into another."""
        rows, width = source.shape
        if not source.size:
            return
        strides = [array.strides[0] // 8 for array in (source, target)]
        if strides == [width, width]:
            rows, width = 1, source.size
        self.add(Lines.COPY, source.ctypes.data, target.ctypes.data, rows, width, *strides)

    def put_together(self, arrays: Sequence[np.ndarray], matrix: np.ndarray) -> None:
        """Copy arrays side by side into the rows of a matrix."""
        for array, part in zip(arrays, _parts(matrix, [_row(array, len(matrix)) for array in arrays]), strict=True):
            self.copy(array.reshape(part.shape), part)

    def taken_apart(self, matrix: np.ndarray, types: Sequence[ArrayType], *lengths: int) -> list[np.ndarray]:
        """Copy the columns of a matrix, one row per step, into arrays of their own."""
        places = [self.keep(np.zeros((*lengths, *t.shape))) for t in types]
        for part, place in zip(_parts(matrix, types), places, strict=True):
            self.copy(part, place.reshape(part.shape))
        return places


class ScriptedLoop:
    """A loop within a script: its block, its buffers and the rows of its schedule."""

    def __init__(self, script: Script, code: CompiledNumbers, n_steps: int, schedule: Schedule | None) -> None:
        self._script, self._adjoint, self._n = script, code.adjoint, n_steps
        adjoint = code.adjoint
        n_state, n_inputs, n_outputs, n_captures = [
            sum(t.size for t in types) for types in (adjoint.state, adjoint.inputs, adjoint.outputs, adjoint.captures)
        ]
        ahead, back, n_slots, n_taped = _rows(schedule, n_steps)
        n_numbers = 2 * n_steps * (n_inputs + n_outputs) + (n_slots + n_taped) * n_state
        n_run = sum([int((rows[:, 2] - rows[:, 1])[rows[:, 0] <= REVERSE].sum()) for rows in (ahead, back)])
        script.weigh(8 * n_numbers, n_run * code.step_seconds)
        keep = script.keep
        self._ahead, self._back = keep(ahead), keep(back)
        self._state, self._ct = [keep(np.zeros((1, n_state))) for _ in range(2)]
        self._xs, self._cts_xs = [keep(np.zeros((n_steps, n_inputs))) for _ in range(2)]
        self._ys, self._cts_ys = [keep(np.zeros((n_steps, n_outputs))) for _ in range(2)]
        self._captures, self._totals = [keep(np.zeros((1, n_captures))) for _ in range(2)]
        taped, slots = keep(np.zeros((n_taped, n_state))), keep(np.zeros((n_slots, n_state)))
        held = keep(np.full(n_slots, -1, np.int64))
        c = self._block = keep(np.zeros(Numbers.LENGTH, np.int64))
        for name, address in code.code.addresses.items():
            c[_KERNELS[name]] = address
        c[Numbers.STATE], c[Numbers.CT] = self._state.ctypes.data, self._ct.ctypes.data
        c[Numbers.XS], c[Numbers.CTS_XS] = self._xs.ctypes.data, self._cts_xs.ctypes.data
        c[Numbers.YS], c[Numbers.CTS_YS] = self._ys.ctypes.data, self._cts_ys.ctypes.data
        c[Numbers.CAPTURES], c[Numbers.TOTALS] = self._captures.ctypes.data, self._totals.ctypes.data
        c[Numbers.TAPED], c[Numbers.SLOTS], c[Numbers.HELD] = taped.ctypes.data, slots.ctypes.data, held.ctypes.data
        c[Numbers.N_STATE], c[Numbers.N_SLOTS] = n_state, n_slots

    def forward(self, operands: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run to the turn: from the places of (state, xs, captures) to those of the final state and the outputs."""
        script, adjoint = self._script, self._adjoint
        n, m = len(adjoint.state), len(adjoint.state) + len(adjoint.inputs)
        script.put_together(operands[:n], self._state)
        script.put_together(operands[n:m], self._xs)
        script.put_together(operands[m:], self._captures)
        script.add(Lines.DRIVE, self._block.ctypes.data, self._ahead.ctypes.data, len(self._ahead))
        return [
            *script.taken_apart(self._state, adjoint.state),
            *script.taken_apart(self._ys, adjoint.outputs, self._n),
        ]

    def reverse(self, cts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Unwind: from the places of the cotangents of state and outputs to those of (state, xs, captures)."""
        script, adjoint = self._script, self._adjoint
        n = len(adjoint.state)
        script.put_together(cts[:n], self._ct)
        script.put_together(cts[n:], self._cts_ys)
        script.add(Lines.ZERO, self._cts_xs.ctypes.data, self._cts_xs.size)
        script.add(Lines.ZERO, self._totals.ctypes.data, self._totals.size)
        script.add(Lines.DRIVE, self._block.ctypes.data, self._back.ctypes.data, len(self._back))
        return [
            *script.taken_apart(self._ct, adjoint.state),
            *script.taken_apart(self._cts_xs, adjoint.inputs, self._n),
            *script.taken_apart(self._totals, adjoint.captures),
        ]


def _rows(schedule: Schedule | None, n_steps: int) -> tuple[np.ndarray, np.ndarray, int, int]:
    """The rows up to the turn and after it, and the most slots and steps that are held."""
    if schedule is None:
        return np.array([[ADVANCE, 0, n_steps]], np.int64), np.zeros((0, 3), np.int64), 0, 0
    ahead: list[np.ndarray] = []
    back: list[np.ndarray] = []
    n_rows, slots, taped, turned = 0, 0, 0, False
    for batch in all_batches(schedule, n_steps):
        n_rows += batch.n_rows
        if n_rows > MOST_ROWS:
            raise UnsupportedError(f"the schedule has more than {MOST_ROWS} actions")
        (back if turned else ahead).append(batch.rows.copy())
        slots, taped, turned = max(slots, batch.peak_slots), max(taped, batch.peak_taped), turned or batch.turn
    nothing = np.zeros((0, 3), np.int64)
    return np.concatenate([*ahead, nothing]), np.concatenate([*back, nothing]), slots, taped


def _row(array: np.ndarray, n: int) -> ArrayType:
    """What one of n rows of an array is."""
    return ArrayType(array.dtype, (array.size // n,))


def _parts(matrix: np.ndarray, types: Sequence[ArrayType]) -> list[np.ndarray]:
    """The columns of a matrix that belong to each type."""
    ends = np.cumsum([t.size for t in types])
    return [matrix[:, end - t.size : end] for end, t in zip(ends, types, strict=True)]

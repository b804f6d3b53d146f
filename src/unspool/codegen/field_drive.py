"""One run of a compiled loop on fields: buffers, addresses, and the calls of the driver."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from math import prod
from typing import Any

import numpy as np

from unspool.adjoint.residuals import RESIDUAL
from unspool.codegen import crew
from unspool.codegen.calls import array_at, blas, callback, evaluate
from unspool.codegen.control import DONE, FAILED, MORE, TIME, Fields, Trials
from unspool.codegen.machine import CompiledFields
from unspool.codegen.object_code import ObjectCode, load
from unspool.codegen.panels import aligned, in_panels
from unspool.codegen.places import Place, room
from unspool.codegen.rows import ADVANCE, REVERSE, Batch, all_batches, steps_between
from unspool.codegen.shares import CREW
from unspool.layout import ArrayType
from unspool.schedules import Schedule
from unspool.stores import arena

_NANOSECONDS = 1.0  # of one statement on one element, about
_SLICE_SECONDS = 0.05
_CHUNK = 2**28  # bytes of buffers of one class that are allocated together
_AT_ONCE = 2**31  # bytes of buffers that are asked for before they are needed


@cache
def driver(with_crew: bool) -> ObjectCode:
    """The driver, which is the same for all steps; that for one thread compiles faster."""
    text = files("unspool.codegen").joinpath("field_driver.py").read_text()
    return load(text if with_crew else text.replace("WITH_CREW = True", "WITH_CREW = False"), ["drive"])


class FieldDrive:
    """One run of a compiled loop: `forward` up to the turn, then `reverse` back to the start."""

    def __init__(
        self,
        compiled: CompiledFields,
        *,
        n_steps: int,
        xs: Sequence[np.ndarray],
        captures: Sequence[Any],
        tick: Callable[[int], None] | None = None,
        threads: int = 1,
    ) -> None:
        self._step = step = compiled.step
        self._compiled = compiled
        self._adjoint = adjoint = step.adjoint
        self.n_steps = n_steps
        self._tick = tick
        self._threads = threads if step.n_shared else 1
        self._error: BaseException | None = None
        self.failed_at: int | None = None
        self._xs = [np.ascontiguousarray(x) for x in xs]
        self._captures = [np.ascontiguousarray(c, dtype=np.float64) for c in captures]
        self._totals = [self._total(j, t) for j, t in enumerate(adjoint.captures)]
        self._ys = [np.empty((n_steps, *t.shape)) for t in adjoint.outputs]
        self._cts_ys: list[np.ndarray] = [*self._ys]  # until there are any
        self._cts_xs = [np.zeros_like(x) for x in self._xs]
        self._keeping: list[Any] = []
        self._chunks: list[np.ndarray] = []
        classes = [self._class("uv", t) for t in adjoint.state]
        ct_classes = [self._class("dw", t) for t in adjoint.state]
        kept = [self._class("r" if k.kind == RESIDUAL else "uv", k.var.type) for k in step.kept]
        self._classes = sorted({*classes, *ct_classes, *kept})
        self._leaf_classes = [self._classes.index(x) for x in classes]
        self._ct_classes = [self._classes.index(x) for x in ct_classes]
        self._kept_classes = [self._classes.index(x) for x in kept]
        self._control = np.zeros(Fields.LENGTH, np.int64)
        self._arrays = self._described()
        self._work = max(1, int(_SLICE_SECONDS / (_NANOSECONDS * 1e-9 * self._operations())))
        self._drive = driver(self._threads > 1).function("drive")
        self._connect(*self._arrays)
        self._rest: Iterator[Batch] = iter(())
        self.steps = self.records = self.saves = self.loads = 0
        self.peak_bytes = self.peak_snapshot_bytes = self.peak_residual_bytes = 0

    # --- the two halves ---------------------------------------------------------------------------------------------
    def forward(self, state: Sequence[Any], schedule: Schedule | None) -> tuple[list[Any], list[np.ndarray]]:
        """Carry out the actions up to the turn; without a schedule, all steps and nothing else."""
        self._take_in("current", state)
        self._rest = self._batches(schedule)
        for batch in self._rest:
            if self._carry_out(batch) or batch.turn:
                break
        return self._state(), self._ys

    def reverse(self, cts_state: Sequence[Any], cts_ys: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Carry the cotangents back; return those of the initial state, of xs and of the captures."""
        for k, (value, t) in enumerate(zip(cts_ys, self._adjoint.outputs, strict=True)):
            self._cts_ys[k] = np.zeros((self.n_steps, *t.shape)) if value is None else _rows(value)
            self._arrays["moving"][self._first_ct + k, 1:] = _row(self._cts_ys[k])
        self._take_in("cts", cts_state)
        try:
            for batch in self._rest:
                self._carry_out(batch)
            return self._cotangents(), self._cts_xs, self._totals
        finally:
            self.close()

    def close(self) -> None:
        """Give the buffers back."""
        arena.give(self._chunks)
        self._chunks = []
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
        self.steps += batch.steps
        self.records += batch.records
        self.saves += batch.saves
        self.loads += batch.loads
        self._grow("taped", batch.peak_taped * len(self._step.kept))
        self._grow("slots", batch.peak_slots * len(self._adjoint.state))
        self._grow("held", batch.peak_slots)
        self._make_room(batch)
        c, rows = self._control, batch.rows
        c[Fields.ROWS], c[Fields.FIRST], c[Fields.END] = rows.ctypes.data, 0, len(rows)
        c[Fields.N_SLOTS], c[Fields.WORK] = len(self._arrays["held"]), self._work
        reason = TIME
        while reason != DONE:
            before = int(c[Fields.FIRST]), int(c[Fields.WITHIN])
            reason = self._driven()
            if reason == FAILED:
                error, self._error = self._error, None
                self.failed_at = self._step_number()
                raise error or IndexError(
                    f"an array was indexed outside of its rows in step {self.failed_at} of the loop"
                )
            if reason == MORE:
                self._more_buffers()
            elif self._tick is not None:
                self._tick(steps_between(rows, before, (int(c[Fields.FIRST]), int(c[Fields.WITHIN]))))
            if self._stands():
                return True
        self.peak_bytes = int(c[Fields.PEAK_BYTES]) + self._compiled.inner_bytes * bool(batch.peak_taped)
        self.peak_snapshot_bytes = min(self.peak_bytes, batch.peak_slots * self._compiled.state_bytes)
        taped = batch.peak_taped * self._compiled.residual_bytes + self._compiled.first_bytes
        self.peak_residual_bytes = min(self.peak_bytes, taped if batch.peak_taped else 0)
        return False

    def _stands(self) -> bool:
        """Whether the last leaf of a state that is watched says that the state stays as it is."""
        if not self._adjoint.watched or (buffer := int(self._arrays["current"][-1])) < 0:
            return False
        return bool(array_at(self._arrays["address"][buffer], self._adjoint.state[-1]) != -1.0)

    def _driven(self) -> int:
        """Let the driver go on, with a crew if the step is shared among threads."""
        c = self._control
        if self._threads == 1:
            return self._drive(c)
        taken = crew.take(self._threads)
        c[Fields.CREW] = taken.address
        try:
            return self._drive(c)
        finally:
            crew.give(taken)

    def _step_number(self) -> int:
        """The step at which the driver stands."""
        c = self._control
        row = c[Fields.FIRST]
        verb, start, stop = (ctypes.c_int64 * 3).from_address(int(c[Fields.ROWS]) + 24 * int(row))
        return int(stop - 1 - c[Fields.WITHIN] if verb == REVERSE else start + c[Fields.WITHIN])

    # --- buffers ----------------------------------------------------------------------------------------------------
    def _more_buffers(self) -> None:
        """More of each class that is short."""
        pool = self._arrays["pool"]
        for cls, have in enumerate(self._counts().tolist()):
            if pool[cls, 1] < max(pool[cls, 3], pool[cls, 4]):
                self._add_buffers(cls, [max(min(have, self._chunk(cls)), 2 * int(max(pool[cls, 3:])), 1)])

    def _make_room(self, batch: Batch) -> None:
        """As many buffers as the batch can need at most; what is not used is not touched."""
        pool = self._arrays["pool"]
        for cls, ((n_bytes, _), have) in enumerate(zip(self._classes, self._counts().tolist(), strict=True)):
            leaves = self._leaf_classes.count(cls)
            most = (
                (batch.peak_slots + 2) * leaves + batch.peak_taped * int(pool[cls, 3]) + 2 * self._ct_classes.count(cls)
            )
            counts: list[int] = []
            while have + sum(counts) < min(most, _AT_ONCE // n_bytes):
                counts.append(max(min(have + sum(counts), self._chunk(cls)), 8))  # of sizes that other runs have, too
            if counts:
                self._add_buffers(cls, counts)

    def _chunk(self, cls: int) -> int:
        """Buffers that are asked for at most at one time, beyond need: what is kept for the next run is no more."""
        return _CHUNK // self._classes[cls][0]

    def _add_buffers(self, cls: int, counts: Sequence[int]) -> None:
        """Chunks of so many buffers each."""
        n_bytes, shift = self._classes[cls]
        arrays, pool, total = self._arrays, self._arrays["pool"], sum(counts)
        first = len(arrays["address"])
        addresses = [arrays["address"]]
        for n in counts:
            chunk = arena.take(n * n_bytes + 128)
            self._chunks.append(chunk)
            start = -(-chunk.ctypes.data // 64) * 64 + shift
            addresses.append(np.arange(start, start + n * n_bytes, n_bytes))
        arrays["address"] = np.concatenate(addresses)
        for name, value in (("references", 0), ("holds", 0), ("class_of", cls)):
            arrays[name] = np.concatenate([arrays[name], np.full(total, value)])
        begin, have = pool[:, 0].copy(), self._counts()
        pool[:, 0] = np.cumsum(have) - have
        free = np.zeros(len(arrays["address"]), np.int64)
        for k, (old, n, new) in enumerate(zip(begin.tolist(), pool[:, 1].tolist(), pool[:, 0].tolist(), strict=True)):
            more = total if k == cls else 0
            free[new : new + more] = np.arange(first + more - 1, first - 1, -1)  # the used ones come first
            free[new + more : new + more + n] = arrays["free"][old : old + n]
            pool[k, 1] = n + more
        arrays["free"] = free
        self._connect("address", "references", "holds", "class_of", "free")

    def _counts(self) -> np.ndarray:
        """Buffers of each class."""
        return np.bincount(self._arrays["class_of"], minlength=len(self._classes))

    def _take_in(self, which: str, values: Sequence[Any]) -> None:
        """Copy arrays (None: zeros) into buffers of their own."""
        pool = self._arrays["pool"]
        classes = self._leaf_classes if which == "current" else self._ct_classes
        for leaf, (value, t) in enumerate(zip(values, self._adjoint.state, strict=True)):
            cls = classes[leaf]
            if pool[cls, 1] == 0:
                self._add_buffers(cls, [2 * len(classes) + 2])
            pool[cls, 1] -= 1
            buffer = self._arrays["free"][pool[cls, 0] + pool[cls, 1]]
            self._arrays["references"][buffer] = 1
            self._arrays[which][leaf] = buffer if which == "current" else (buffer, 1)
            array_at(self._arrays["address"][buffer], t)[...] = 0.0 if value is None else value

    def _state(self) -> list[Any]:
        ids = self._arrays["current"]
        addresses = self._arrays["address"][ids]
        return [array_at(address, t).copy() for address, t in zip(addresses, self._adjoint.state, strict=True)]

    def _cotangents(self) -> list[Any]:
        buffers, signs = self._arrays["cts"].T
        held = zip(self._arrays["address"][buffers], signs.tolist(), self._adjoint.state, strict=True)
        return [array_at(address, t) * sign for address, sign, t in held]

    def _class(self, letters: str, t: ArrayType) -> tuple[int, int]:
        """Bytes of a buffer, and how far behind a cache line it begins: most of it is written from a column on."""
        n_bytes, found = room(t), 0
        for name, (shape, column) in self._step.columns.items():
            if shape == t.shape and (name == letters or name[0] in letters):
                found = column
        return n_bytes, -8 * found % 64 if n_bytes >= 4096 else 0

    def _total(self, position: int, t: ArrayType) -> np.ndarray:
        """Zeros that begin where they are best written from."""
        memory = np.zeros(room(t) + 128, np.uint8)
        start = -memory.ctypes.data % 64 + self._class(f"g{position}", t)[1]
        return memory[start : start + t.nbytes].view(np.float64).reshape(t.shape)

    def _grow(self, name: str, n: int) -> None:
        have = self._arrays[name]
        if n > len(have):
            self._arrays[name] = np.concatenate([have, np.full(n - len(have), -1, np.int64)])
            self._connect(name)

    # --- addresses --------------------------------------------------------------------------------------------------
    def _described(self) -> dict[str, np.ndarray]:
        """The arrays that the driver reads, by name."""
        step, adjoint = self._step, self._adjoint
        types = adjoint.state
        columns = self._leaf_classes, step.source, self._ct_classes, step.ct_source, step.ct_manner, step.renewed
        leaves = np.array([*zip(*columns, strict=True)], np.int64).reshape(-1, 6)
        kept = [(k.kind, k.position, cls) for k, cls in zip(step.kept, self._kept_classes, strict=True)]
        pool = np.zeros((len(self._classes), 5), np.int64)
        pool[:, 2] = [n_bytes for n_bytes, _ in self._classes]
        for cls, source, ct_class, ct_source, _, _ in leaves.tolist():
            pool[cls, 3] += source < 0
            pool[ct_class, 4] += ct_source < 0
        for kind, _, cls in kept:
            pool[cls, 3] += kind == RESIDUAL
        n_state = len(types)
        self._first_x = 2 + n_state + step.source.count(-1)
        self._first_residual = self._first_x + len(adjoint.inputs) + len(adjoint.outputs)
        n_own = sum(k.kind == RESIDUAL for k in step.kept)
        forward = [0, self.n_steps, *[0] * (self._first_residual + n_own - 2)]
        forward += [self._fixed(place) for place in step.forward]
        first_row = 2 + len(step.kept) + 2 * n_state + step.ct_source.count(-1)
        reverse = [0, self.n_steps, *[0] * (first_row + 2 * len(adjoint.inputs) + len(adjoint.outputs) - 2)]
        reverse += [self._fixed(place) for place in step.reverse]
        if self._threads > 1:
            self._share(forward, reverse)
        moving = [(self._first_x + k, *_row(x)) for k, x in enumerate([*self._xs, *self._ys])]
        self._n_forward = len(moving)
        self._first_ct = self._n_forward + len(self._xs)
        moving += [(first_row + k, *_row(x)) for k, x in enumerate([*self._xs, *self._cts_ys, *self._cts_xs])]
        addresses = self._compiled.code.addresses
        empty = np.zeros(0, np.int64)
        return {
            "forward": np.array(forward, np.int64),
            "reverse": np.array(reverse, np.int64),
            "leaves": leaves,
            "kept": np.array(kept, np.int64).reshape(-1, 3),
            "moving": np.array(moving, np.int64).reshape(-1, 3),
            "pool": pool,
            **dict.fromkeys(["address", "references", "holds", "class_of", "free", "taped", "slots", "held"], empty),
            "current": np.full(n_state, -1, np.int64),
            "cts": np.full((n_state, 2), -1, np.int64),
            "following": np.zeros((n_state, 2), np.int64),
            "kernels": np.array(
                [
                    addresses["advance"],
                    addresses.get("record", addresses["advance"]),
                    addresses["reverse"],
                    addresses.get("renew", 0),
                ],
                np.int64,
            ),
            "trials": np.tile(np.array(Trials.BEGIN), (4, 1)),
        }

    def _share(self, forward: list[int], reverse: list[int]) -> None:
        """Note where the vectors say which part a thread takes; make room for those of the other threads."""
        c, step = self._control, self._step
        n = -(-max(len(forward), len(reverse)) // 8) * 8
        for vector, places, part in (
            (forward, step.forward, Fields.FORWARD_PART),
            (reverse, step.reverse, Fields.REVERSE_PART),
        ):
            c[part] = len(vector) - len(places) + places.index(Place("crew", CREW[0]))
            vector += [0] * (n - len(vector))
        own = aligned((self._threads - 1) * n)
        self._keeping.append(own)
        c[Fields.OWN], c[Fields.N_WORDS] = own.ctypes.data, n

    def _connect(self, *names: str) -> None:
        """Tell the driver where arrays are."""
        c = self._control
        for name in names:
            c[getattr(Fields, name.upper())] = self._arrays[name].ctypes.data
        c[Fields.N_STATE], c[Fields.N_KEPT] = len(self._adjoint.state), len(self._step.kept)
        c[Fields.N_CLASSES] = len(self._classes)
        c[Fields.N_FORWARD], c[Fields.N_MOVING] = self._n_forward, len(self._arrays["moving"])
        c[Fields.FIRST_RESIDUAL], c[Fields.WATCHED] = self._first_residual, self._adjoint.watched

    def _fixed(self, place: Place) -> int:
        """An address that stays the same."""
        match place.role:
            case "capture":
                return int(self._captures[int(place.key)].ctypes.data)
            case "total":
                return int(self._totals[int(place.key)].ctypes.data)
            case "const":
                array = self._const(str(place.key))
            case "panels" | "panels of the transpose":
                role, _, key = str(place.key).partition(" ")
                matrix = self._captures[int(key)] if role == "capture" else self._const(key)
                array = in_panels(matrix if place.role == "panels" else matrix.T)
            case "scratch":
                array = aligned(prod(place.shape)).view(np.float64)
            case "private":
                array = aligned(self._threads * prod(place.shape)).view(np.float64)
            case "crew":
                return crew.meeting() if place.key == "meet" else 0
            case _:
                return self._function(str(place.key))
        self._keeping.append(array)
        return int(array.ctypes.data)

    def _const(self, key: str) -> np.ndarray:
        side, _, number = key.partition(" ")
        program = self._step.split.record if side == "forward" else self._step.split.reverse
        return np.ascontiguousarray(program.consts[int(number)][1], dtype=np.float64)

    def _function(self, name: str) -> int:
        if name != "python":
            return blas(name)
        function, address = callback(self._call)
        self._keeping.append(function)
        return address

    def _call(self, number: int, addresses: Any) -> int:
        """Evaluate an equation in Python; an exception waits until the driver is back."""
        try:
            evaluate(self._step.calls[number], addresses)
        except BaseException as error:
            self._error = error
            return 1
        return 0

    def _operations(self) -> float:
        size = max([t.size for t in self._adjoint.state], default=1)
        return max(20.0, 0.2 * self._step.n_statements * size)


def _rows(value: Any) -> np.ndarray:
    return np.ascontiguousarray(value, dtype=np.float64)


def _row(array: np.ndarray) -> tuple[int, int]:
    return array.ctypes.data, array[:1].nbytes

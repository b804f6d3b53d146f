"""Kernels that call the user's function: once per step, on traced values, with a tape for every step that is
recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from sys import getsizeof
from typing import Any

import numpy as np

from unspool.closure import Captures, aside
from unspool.errors import ReplayError, StateError
from unspool.ir.listener import FROZEN, Listener, Traced, active, fresh, listening, primal, refuse_subclass, resolve
from unspool.kernels import Cotangents, Kernels, State
from unspool.layout import ArrayType, Layout
from unspool.ledger import Page, open_ledger, place
from unspool.replay import (
    Check,
    Difference,
    checksum,
    first_difference,
    first_sampled_difference,
    replay_message,
    sample,
)
from unspool.tape import Copies, Tape, held, root
from unspool.watched import Reads, Watch, changed


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What a step runs in: the listeners around the loop, and ``read(j)``, the handle of capture j on the step's
    tape."""

    listeners: tuple[Listener, ...]
    read: Callable[[int], Any]


Condition = Callable[..., bool]
"""The condition of a while loop: ``(state, surroundings) -> bool``; a third argument, in the place of bool, is asked
what truth its answer has."""

TOLD = 16
"""The step from which on somebody is told that a while loop goes on; shorter ones need not be looked at."""

FlatStep = Callable[[int, list[Any], list[Any], Surroundings], tuple[list[Any], list[Any]]]
"""A step on flat lists of leaves: ``(k, state, inputs, surroundings) -> (state, outputs)``."""


@dataclass(slots=True)
class TapedStep:
    """The residuals of one step: its tape, and which nodes and inputs are what."""

    tape: Tape
    state_nodes: tuple[int, ...]
    output_nodes: tuple[int, ...]
    captured: list[int]


class Steps:
    """One loop as its steps are carried out: what they read, what they put out, and the cotangents of what they read.

    ``xs`` are read one row per step; ``ys`` are filled one row per step in the first sweep. ``values`` are the primal
    values of the captures. Cotangents of xs and captures add up here as the steps are reversed.
    """

    def __init__(
        self,
        step: FlatStep,
        state: State,
        *,
        xs: Sequence[np.ndarray],
        captures: Captures,
        values: Iterable[Any],
        n_steps: int | None,
        names: tuple[str, ...],
        loop_name: str,
        condition: Condition | None = None,
        tick: Callable[[str], None] | None = None,
        check: Check = Check.DIGEST,
        explain: Callable[[], str] = str,
        longer: Callable[[int], float] | None = None,
    ) -> None:
        self.longer = longer
        self.told = inf if longer is None else TOLD
        self.check = check
        self.explain = explain
        self.step = step
        self.types = tuple(ArrayType.of(leaf) for leaf in state)
        self.xs = xs
        self.ys: list[np.ndarray] | None = None
        self.captures = captures
        self.values = list(values)
        self.n_steps = n_steps
        self.names = names
        self.loop_name = loop_name
        self.condition = condition
        self.tick = tick
        self.copies = Copies()
        self.reads = Reads()
        self.watch = Watch(self.reads)
        self.asked: tuple[int, bool] = (-1, False)
        self.output_digests: dict[int, tuple[int, ...]] = {}
        self.swept = 0  # steps that have been run at least once
        self.cts_ys: list[Any] = []
        self.cts_xs: list[np.ndarray | None] = [None] * len(xs)
        self.cts_captured: list[Any] = []
        self.ledger = open_ledger()
        self.place = place() if self.ledger is not None else None

    def kernels(self) -> Kernels:
        """The functions that an executor calls."""
        return Kernels(
            advance=self.advance,
            record=self.record,
            reverse=self.reverse,
            rehearse=self.rehearse,
            going=self.going,
            residual_bytes=self.residual_bytes,
            layout=Layout.of(self.types),
        )

    # --- one step -----------------------------------------------------------------------------------------------------
    def _listeners(self) -> tuple[Listener, ...]:
        return (*active(), *aside(), *(handle.listener for handle in self.captures.handles))

    def _reader(self, tape: Tape, captured: list[int]) -> Callable[[int], Any]:
        handles: dict[int, Traced] = {}

        def read(position: int) -> Any:
            handle = handles.get(position)
            if handle is None:
                if position == len(self.values):
                    self.values.append(primal(self.captures.outside[position]))
                handle = handles[position] = self._handle(tape, self.values[position])
                handle.version = FROZEN
                if handle.node >= 0:
                    captured.append(position)
            return handle

        return read

    @staticmethod
    def _handle(tape: Tape, value: Any) -> Any:
        if value.dtype.kind in "fc":
            return tape.input(value) if tape.recording else tape.constant(value)
        return tape.constant(value)

    def _leaf(self, tape: Tape, value: Any) -> Any:
        if value.dtype.kind in "fc":
            return self._handle(tape, value)
        return np.array(value)[()]  # the step may count in it

    def _run(
        self, k: int, state: State, *, recording: bool, places: list[tuple[str, bool]] | None = None
    ) -> tuple[State, TapedStep | None]:
        watch = self.watch if places is None else Watch(self.reads, places)
        watch.read = 0
        tape = Tape(recording=recording, copies=self.copies, watch=watch)
        if self.ledger is not None:
            tape.nodes = Page()
        around = self._listeners()
        captured: list[int] = []
        try:
            with listening(tape):
                variables = [self._leaf(tape, leaf) for leaf in state]
                inputs = [self._leaf(tape, x[k]) for x in self.xs]
                surroundings = Surroundings(around, self._reader(tape, captured))
                try:
                    new, outputs = self.step(k, variables, inputs, surroundings)
                    nodes = tuple(tape.node_of(leaf) for leaf in new)
                    output_nodes = tuple(tape.node_of(leaf) for leaf in outputs)
                    after = tuple(self._settled(tape, leaf, i, k) for i, leaf in enumerate(new))
                    self._put_out(k, [plain(leaf) for leaf in outputs])
                finally:
                    tape.close()
                self._compare(k, state, watch)
        except BaseException as error:
            error.add_note(f"in step {k} of {self.loop_name}")
            raise
        self.swept = max(self.swept, k + 1)
        if self.tick is not None:
            self.tick("record" if recording else "advance")
        return after, TapedStep(tape, nodes, output_nodes, captured) if recording else None

    def _compare(self, k: int, state: State, watch: Watch) -> None:
        """Raise if the step has read another plain value than when it was run first."""
        if watch.places is None and not self.reads.agrees(k, watch.read):
            places: list[tuple[str, bool]] = []
            self._run(k, state, recording=False, places=places)
            what = f"what step {k} of {self.loop_name} reads, {changed(places)},"
            raise ReplayError(replay_message(what, cause=self.explain()))

    def _settled(self, tape: Tape, leaf: Any, position: int, k: int) -> np.ndarray:
        """A leaf of the new state as a plain contiguous array, which must be of the type that it had."""
        expected = self.types[position]
        value = tape.overwritten.lasting(plain(leaf))
        if value.shape != expected.shape or value.dtype != expected.dtype:
            raise StateError(
                f"the state of {self.loop_name} changed its type in step {k}: state{self.names[position]} was "
                f"{expected} and became {ArrayType.of(value)}. A step must return its state in the shape and dtype in "
                "which it got it: start from a float (1.0 for 1), or convert with astype."
            )
        if not isinstance(leaf, Traced) and isinstance(value, np.ndarray):
            refuse_subclass(value, f"state{self.names[position]} of {self.loop_name} after step {k}")
            value = np.array(value)  # the step may go on to write into its own array
        return np.ascontiguousarray(value) if value.ndim else value[()]

    # --- per-step outputs ---------------------------------------------------------------------------------------------
    def _put_out(self, k: int, outputs: list[Any]) -> None:
        if not outputs:
            self.ys = self.ys or []
            return
        for y in outputs:
            if y.dtype.kind not in "biufc":
                raise StateError(
                    f"{self.loop_name} put out something of dtype {y.dtype} in step {k}. The outputs of a step are "
                    "arrays and numbers, nested in lists, tuples, dicts, dataclasses."
                )
        if k < self.swept:
            self._compare_outputs(k, outputs)
            return
        if self.ys is None:
            assert self.n_steps is not None
            self.ys = [np.empty((self.n_steps, *y.shape), y.dtype) for y in outputs]
        counted = [y for y in outputs if y.dtype.kind not in "fc"]
        if counted:  # handed out as plain arrays, which the user may write into
            self.output_digests[k] = checksum(counted, self.check)
        for y, row in zip(self.ys, outputs, strict=True):
            if y.shape[1:] != row.shape or y.dtype != row.dtype:
                raise StateError(
                    f"the output of {self.loop_name} changed its type in step {k}: it was "
                    f"{ArrayType(y.dtype, y.shape[1:])} and became {ArrayType.of(row)}. Every step must put out the "
                    "same type."
                )
            y[k] = row

    def _compare_outputs(self, k: int, outputs: list[Any]) -> None:
        """Compare what a step puts out with what it put out the first time."""
        if self.check is Check.OFF:
            return
        what = f"the output of step {k} of {self.loop_name}"
        floats = [j for j, y in enumerate(outputs) if y.dtype.kind in "fc"]
        rows = tuple([(self.ys or [])[j][k] for j in floats])
        if any(
            row.shape != outputs[j].shape or row.dtype != outputs[j].dtype for j, row in zip(floats, rows, strict=True)
        ):
            raise ReplayError(replay_message(what))
        found = self._difference(k, rows, tuple([outputs[j] for j in floats]))
        counted = checksum([y for y in outputs if y.dtype.kind not in "fc"], self.check)
        if found is not None or counted != self.output_digests.get(k, counted):
            raise ReplayError(replay_message(what, found or ""))

    def _difference(self, k: int, before: State, now: State) -> Difference | None:
        if self.check is Check.DIGEST:
            return first_difference(before, now)
        return first_sampled_difference(sample(before, k), now, k)

    # --- ranges of steps ----------------------------------------------------------------------------------------------
    def going(self, state: State, step: int) -> bool:
        """Whether there is a step to take."""
        if self.condition is None:
            return self.n_steps is None or step < self.n_steps
        if self.asked[0] != step:
            tape = Tape(recording=False)
            around = self._listeners()
            with listening(tape):
                surroundings = Surroundings(around, self._reader(tape, []))
                try:
                    more = self.condition([self._leaf(tape, leaf) for leaf in state], surroundings)
                finally:
                    tape.close()
            self.asked = step, more
            if more and step >= self.told and self.longer is not None:
                self.told = self.longer(step)
        return self.asked[1]

    def advance(self, state: State, start: int, stop: int) -> tuple[State, int]:
        """Run steps and keep nothing."""
        for k in range(start, stop):
            if not self._known(k) and not self.going(state, k):
                return state, k
            state, _ = self._run(k, state, recording=False)
        return state, stop

    def record(self, state: State, start: int, stop: int) -> tuple[State, int, list[TapedStep]]:
        """Run steps and keep their residuals."""
        taped: list[TapedStep] = []
        for k in range(start, stop):
            if not self._known(k) and not self.going(state, k):
                return state, k, taped
            state, residuals = self._run(k, state, recording=True)
            assert residuals is not None
            taped.append(residuals)
        return state, stop, taped

    def _known(self, k: int) -> bool:
        """Whether step k is known to exist, so that the condition need not be asked again."""
        return self.condition is None or k < self.swept

    def reverse(self, cts: Cotangents, residuals: list[TapedStep], start: int, stop: int) -> Cotangents:
        """Carry the cotangent of the state from stop to start."""
        for k in range(stop - 1, start - 1, -1):
            taped = residuals.pop()
            seeds = [(node, ct) for node, ct in zip(taped.state_nodes, cts, strict=True) if ct is not None]
            seeds += [
                (node, ct[k]) for node, ct in zip(taped.output_nodes, self.cts_ys, strict=False) if ct is not None
            ]
            try:
                back = iter(taped.tape.sweep(seeds, free=True))
            except BaseException as error:
                error.add_note(f"in the adjoint of step {k} of {self.loop_name}")
                raise
            cts = tuple([next(back) if t.dtype.kind in "fc" else None for t in self.types])
            for position, x in enumerate(self.xs):
                if x.dtype.kind in "fc":
                    self._add_row(position, k, next(back))
            for position in taped.captured:
                self._add_captured(position, next(back))
            if self.tick is not None:
                self.tick("reverse")
        return cts

    def rehearse(self, residuals: list[TapedStep]) -> None:
        """Run the adjoint of these steps on ones and forget the result."""
        for taped in residuals:
            seeds = [(n, np.ones(t.shape, t.dtype)) for n, t in zip(taped.state_nodes, self.types, strict=True)]
            taped.tape.sweep(seeds, free=False)

    def _add_row(self, position: int, k: int, ct: Any) -> None:
        if ct is not None:
            total = self.cts_xs[position]
            if total is None:
                total = self.cts_xs[position] = np.zeros_like(self.xs[position])
            total[k] = ct

    def _add_captured(self, position: int, ct: Any) -> None:
        if ct is None:
            return
        while len(self.cts_captured) < len(self.values):
            self.cts_captured.append(None)
        total = self.cts_captured[position]
        if total is None:
            self.cts_captured[position] = np.array(ct)
        else:
            total += ct

    def residual_bytes(self, residuals: list[TapedStep]) -> int:
        """The bytes that these residuals hold, with the tape's own bookkeeping; constants of the loop are not counted.

        An array that several nodes hold is counted once.
        """
        found: dict[int, int] = {id(root(value)): 0 for value in (*self.values, *self.xs)}
        for taped in residuals:
            for part in held(taped.tape):
                whole = root(part)
                found.setdefault(id(whole), getsizeof(whole))
        if self.ledger is not None and self.place is not None:
            constants = (*self.values, *self.xs)
            self.ledger.weigh(self.loop_name, self.place, [taped.tape for taped in residuals], constants)
        return sum(found.values())


def plain(leaf: Any) -> Any:
    """The plain value of whatever a step returned."""
    leaf = resolve(leaf)
    value = fresh(leaf).value if isinstance(leaf, Traced) else leaf
    return value if isinstance(value, np.ndarray | np.generic) else np.asarray(primal(value))

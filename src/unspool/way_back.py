"""The way back over a tape that forgets: replay a range of steps from its snapshot, reverse it, and go on before it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from unspool.observers import LoopReport
from unspool.ops.overwrite import TAKES_SUMS
from unspool.schedules import Every
from unspool.schedules.binomial import beta, repetitions, stride
from unspool.snapshots import Snapshot, Snapshots
from unspool.tape import LAZY, Node


class WayBack:
    """One sweep; with ``free`` the snapshots are let go of as it passes them, otherwise they are as before after it."""

    __slots__ = ("_cts", "_ends", "_free", "_inputs", "_report", "_snapshots", "_transcript")

    def __init__(self, snapshots: Snapshots, inputs: dict[int, Any], report: LoopReport, *, free: bool) -> None:
        self._snapshots = snapshots
        self._transcript = snapshots.transcript
        self._transcript.finish()
        self._ends = [*snapshots.marks, len(self._transcript)]
        self._inputs = inputs
        self._report = report
        self._free = free
        self._cts: dict[int, Any] = {}

    def sweep(self, seeds: Iterable[tuple[int, Any]]) -> list[Any]:
        """The cotangents of the inputs, None where one is zero."""
        snapshots, cts, ends = self._snapshots, self._cts, self._ends
        for index, seed in seeds:
            if index >= 0:
                cts[index] = seed if index not in cts else cts[index] + seed
        before = [] if self._free else list(snapshots.kept)
        lasting = {id(snapshot) for snapshot in before}
        stop = len(snapshots.marks)
        try:
            while snapshots.kept:
                top = snapshots.kept[-1]
                stop = self._reverse_last(top, stop) if max(cts, default=-1) >= ends[top.mark] else top.mark
                if stop == top.mark:
                    snapshots.kept.pop()
                    if id(top) not in lasting:
                        snapshots.held.drop(top.values.values())
        finally:
            if not self._free:
                for snapshot in snapshots.kept:
                    if id(snapshot) not in lasting:
                        snapshots.held.drop(snapshot.values.values())
                snapshots.kept = before
        self._report.steps += self._report.n_steps
        found = [cts.get(index) for index in self._inputs]
        return [ct.dense() if ct.__class__ in LAZY else ct for ct in found]

    def _reverse_last(self, top: Snapshot, stop: int) -> int:
        """Reverse the last of the steps from a snapshot to ``stop``, or save a state between; return where it began."""
        snapshots, transcript, ends = self._snapshots, self._transcript, self._ends
        values = self._inputs | top.values
        begin, n = top.mark, stop - top.mark
        at_once = isinstance(snapshots.schedule, Every) or (
            snapshots.budget is not None and snapshots.fits(transcript.made_bytes(ends[begin], ends[stop]))
        )
        if n > 1 and not at_once:
            slots = 1 + snapshots.room()
            r = repetitions(n, slots)
            begin += stride(n, slots, r, beta(slots, r))[0] if slots < n else 1
            self._advance(values, top.mark, begin)
            if stop - begin > 1:
                needed = [node for node in transcript.needs(ends[begin], ends[stop]) if node not in self._inputs]
                if snapshots.push(Snapshot(begin, {node: values[node] for node in needed})):
                    self._report.saves += 1
                    return stop
                self._advance(values, begin, stop - 1)
                begin = stop - 1
        self._report.records += stop - begin
        self._report.steps += stop - begin
        nodes: list[Node | None] = []
        transcript.replay(values, ends[begin], ends[stop], nodes)
        values.clear()
        self._weigh(nodes)
        self._reverse(nodes, ends[begin])
        return begin

    def _advance(self, values: dict[int, Any], start: int, stop: int) -> None:
        self._report.steps += stop - start
        self._transcript.replay(values, self._ends[start], self._ends[stop])

    def _weigh(self, nodes: list[Node | None]) -> None:
        residuals = [value for node in nodes if node is not None for value in node[2]]
        self._snapshots.held.add(residuals)
        self._snapshots.note_peak(len(nodes))
        self._snapshots.held.drop(residuals)

    def _reverse(self, nodes: list[Node | None], first: int) -> None:
        """Carry the cotangents back over recorded operations, the first of which has the number ``first``."""
        cts, ndarray = self._cts, np.ndarray
        while nodes:
            node = nodes.pop()
            if node is None:
                continue
            ct = cts.pop(first + len(nodes), None)
            if ct is None:
                continue
            pull, parents, residuals, params = node
            if ct.__class__ is not ndarray and ct.__class__ in LAZY and pull not in TAKES_SUMS:
                ct = ct.dense()
            parts = pull(ct, *residuals) if params is None else pull(ct, *residuals, **params)
            for parent, part in zip(parents, parts, strict=False):
                before = cts.get(parent)
                cts[parent] = part if before is None else before + part

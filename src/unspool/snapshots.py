"""The snapshots of a tape that forgets: which of them are held, by a schedule or within a budget of bytes."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from sys import getsizeof
from typing import Any

import numpy as np

from unspool.errors import BudgetError
from unspool.memory import human_bytes
from unspool.schedules import Every, Online
from unspool.schedules.binomial import repetitions
from unspool.schedules.online import least_missed, pays, placements
from unspool.tape import root
from unspool.transcript import Transcript

NODE_BYTES = 56 + 48 + 64
"""A node of a plain tape, its parents, its residuals."""


@dataclass(slots=True, eq=False)
class Snapshot:
    """What is held at a mark: the values from before it that are read between it and the next snapshot."""

    mark: int
    values: dict[int, Any] = field(default_factory=dict)


class Held:
    """The bytes of the arrays that are held, each counted once however often it is held."""

    __slots__ = ("_counts", "n_bytes")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.n_bytes = 0

    def add(self, values: Iterable[Any]) -> None:
        """Count arrays and numbers; a view counts as what it is a view of."""
        for value in values:
            if value.__class__ is np.ndarray or isinstance(value, np.generic):
                owner = root(value)
                times = self._counts.get(id(owner), 0)
                self._counts[id(owner)] = times + 1
                if not times:
                    self.n_bytes += getsizeof(owner)

    def drop(self, values: Iterable[Any]) -> None:
        """Count them no more."""
        for value in values:
            if value.__class__ is np.ndarray or isinstance(value, np.generic):
                owner = root(value)
                times = self._counts.pop(id(owner)) - 1
                if times:
                    self._counts[id(owner)] = times
                else:
                    self.n_bytes -= getsizeof(owner)


class Snapshots:
    """The marks of a tape, the snapshots that are held at some of them, and what all of it takes.

    ``schedule`` says which snapshots are held; without one it is as many as fit into ``budget`` bytes, placed as
    `Online` places them. ``step_bytes`` is the most that the results between two marks took together, more than their
    residuals and temporaries on the way back; ``state_bytes`` the most that a snapshot took.
    """

    __slots__ = (
        "_dropping",
        "_least",
        "_places",
        "budget",
        "held",
        "kept",
        "marks",
        "peak_bytes",
        "schedule",
        "state_bytes",
        "step_bytes",
        "transcript",
    )

    def __init__(self, transcript: Transcript, schedule: Every | Online | None, budget: int | None) -> None:
        self.transcript = transcript
        self.schedule = schedule
        self.budget = budget
        self.marks = array("I", [0])
        self.kept = [Snapshot(0)]
        self.held = Held()
        self.state_bytes = self.step_bytes = self.peak_bytes = 0
        self._least: list[tuple[int, int]] | None = None
        self._places = placements(schedule.slots) if isinstance(schedule, Online) else iter(())
        self._dropping: tuple[int, int | None] = next(self._places, (-1, None))

    @property
    def n_bytes(self) -> int:
        """What is held now: the transcript, snapshots, residuals."""
        return self.transcript.n_bytes + self.held.n_bytes + 4 * len(self.marks) + _SNAPSHOT_BYTES * len(self.kept)

    def note_peak(self, n_nodes: int) -> None:
        """Note what is held now, with so many nodes."""
        self.peak_bytes = max(self.peak_bytes, self.n_bytes + NODE_BYTES * n_nodes)

    # --- in the sweep -------------------------------------------------------------------------------------------------
    def take(self, node: int, value: Any) -> None:
        """Hold a value from before the last mark that is read after it."""
        values = self.kept[-1].values
        if node not in values:
            values[node] = value
            self.held.add((value,))

    def begin(self, here: int) -> None:
        """A mark, and a snapshot there to be filled by what is read from now on."""
        self.kept.append(Snapshot(len(self.marks)))
        self.marks.append(here)

    def settle(self, *, sparse: bool) -> None:
        """The snapshot at the last mark is complete: hold it, or do without it or another.

        ``sparse`` says that the period of `Every` counts marks; otherwise there is a mark once in a period.
        """
        newest = len(self.kept) - 1
        candidate = self.kept[-1].mark
        if isinstance(self.schedule, Every):
            if sparse and candidate % self.schedule.period:
                self._merge(newest)
        elif self.schedule is None:
            self._squeeze()
        elif candidate == self._dropping[0]:
            gone = self._dropping[1]
            if gone is not None:
                self._merge([snapshot.mark for snapshot in self.kept].index(gone))
            self._dropping = next(self._places)
        elif candidate:
            self._merge(newest)

    def over(self, n_nodes: int = 0) -> bool:
        """Whether with so many nodes another snapshot, a step and its way back might not fit."""
        reserve = NODE_BYTES * n_nodes + self.step_bytes + self.state_bytes
        return self.budget is not None and self.n_bytes + reserve > self.budget

    def _squeeze(self) -> None:
        """Within a budget: a snapshot takes the place of that which is least missed, if it is worth it."""
        self._weigh(self.kept[-1])
        held = [snapshot.mark for snapshot in self.kept]
        if len(held) > 2 and self.over():
            if self._least is None:
                self._least = least_missed(held[:-1], set(), -1)
            stage = repetitions(held[-1], len(held) - 1)
            if self._least and pays(self._least[0][0], held[-1] - held[-2], stage):
                self._merge(self._least[0][1])
            else:
                self._merge(len(held) - 1)
        self.make_room()

    def make_room(self) -> None:
        """Do without snapshots until the rest fits; BudgetError if nothing is left to do without."""
        while len(self.kept) > 1 and self.over():
            held = [snapshot.mark for snapshot in self.kept]
            found = least_missed(held, set(), -1)
            self._merge(found[0][1] if found else len(held) - 1)
        if self.over():
            raise BudgetError(self._too_little())

    def _merge(self, index: int) -> None:
        """Do without a snapshot: the one before it takes over what it could not compute."""
        gone, before = self.kept.pop(index), self.kept[index - 1]
        here = self.marks[before.mark]
        for node, value in gone.values.items():
            if node >= here or node in before.values:
                self.held.drop((value,))
            else:
                before.values[node] = value
        if index < len(self.kept):
            self._least = None

    def recount(self) -> None:
        """Nothing but snapshots is held any more."""
        self.held = Held()
        for snapshot in self.kept:
            self.held.add(snapshot.values.values())
            self._weigh(snapshot)

    def _weigh(self, snapshot: Snapshot) -> None:
        owners = {id(owner): owner for owner in map(root, snapshot.values.values())}
        self.state_bytes = max(self.state_bytes, sum(map(getsizeof, owners.values())))

    def _too_little(self) -> str:
        assert self.budget is not None
        fixed, found, step = self.transcript.n_bytes, self.held.n_bytes, self.step_bytes + self.state_bytes
        return (
            f"memory={human_bytes(self.budget)} is too little after {len(self.transcript):,} operations: they and what "
            f"they read from outside take {human_bytes(fixed)}, one snapshot {human_bytes(found)}, a step and its way "
            f"back up to {human_bytes(step)}. So far it takes at least {human_bytes(fixed + found + step)}; set more "
            "marks with unspool.mark() to make steps shorter, or give more memory."
        )

    # --- on the way back ----------------------------------------------------------------------------------------------
    def room(self) -> int:
        """How many more snapshots may be held."""
        if self.budget is not None:
            return max(0, (self.budget - self.n_bytes - self.step_bytes) // max(1, self.state_bytes))
        return max(0, getattr(self.schedule, "slots", 1) - len(self.kept))

    def fits(self, n_bytes: int) -> bool:
        """Whether so many bytes more are within the budget; a schedule says nothing of bytes."""
        return self.budget is None or self.n_bytes + n_bytes <= self.budget

    def push(self, snapshot: Snapshot) -> bool:
        """Hold another snapshot, after all others, unless a step would not fit beside it."""
        self.kept.append(snapshot)
        self.held.add(snapshot.values.values())
        if self.fits(self.step_bytes):
            return True
        self.held.drop(self.kept.pop().values.values())
        return False


_SNAPSHOT_BYTES = 64 + 232  # the object, and a dictionary of up to five values

"""A run on integers instead of arrays: it checks any schedule, and prices it."""

from collections import Counter
from dataclasses import dataclass, field

from unspool.errors import ScheduleError
from unspool.schedules.actions import Action, Advance, Drop, Load, Record, Reverse, Save, Tier
from unspool.schedules.base import Schedule, length


@dataclass(frozen=True, slots=True)
class Cost:
    """The price of a schedule, counted over its actions.

    `steps` counts every evaluation of the step function, recording or not. Tuples have one entry per tier.
    `peak_bytes` is what snapshots and residuals take in RAM together at the worst moment.

    >>> from unspool.schedules import Revolve
    >>> cost = simulate(Revolve(3), 14)
    >>> cost.steps, cost.records, cost.saves, cost.peak_slots, cost.peak_taped
    (41, 14, 6, (3, 0), 1)
    """

    n_steps: int
    steps: int
    records: int
    tier_saves: tuple[int, ...]
    tier_loads: tuple[int, ...]
    peak_slots: tuple[int, ...]
    peak_taped: int
    peak_bytes: int

    @property
    def saves(self) -> int:
        """How many snapshots are taken, on all tiers."""
        return sum(self.tier_saves)

    @property
    def loads(self) -> int:
        """How many snapshots are read, on all tiers."""
        return sum(self.tier_loads)

    @property
    def advances(self) -> int:
        """How many evaluations keep nothing: t(n, c) in the literature."""
        return self.steps - self.records

    @property
    def recomputation_factor(self) -> float:
        """Evaluations per step: 1 when nothing is computed twice."""
        return self.steps / self.n_steps if self.n_steps else 1.0


@dataclass(slots=True)
class Machine:
    """A run on integers: `apply` is the list of the laws, and what it counts is the price.

    The residuals are a stack: what is recorded later belongs to later steps and is reversed earlier.

    >>> machine = Machine(2)
    >>> machine.apply(Record(0, 2))
    >>> machine.apply(Reverse(1, 2))
    >>> machine.apply(Load(0))
    Traceback (most recent call last):
        ...
    unspool.errors.ScheduleError: Load(step=0, tier=<Tier.RAM: 0>): there is no such snapshot; ...
    """

    n_steps: int
    state_bytes: int = 0
    residual_bytes: int = 0
    position: int = 0  # the live state is the one at the start of this step
    cotangent: int | None = None  # where the cotangent is; None before the turn
    taped: list[range] = field(default_factory=list)  # steps whose residuals are held
    held: set[tuple[int, int]] = field(default_factory=set)  # snapshots: (step, tier)
    slots: Counter[int] = field(default_factory=Counter)  # how many of them on each tier
    n_taped: int = 0
    steps: int = 0
    records: int = 0
    saves: Counter[int] = field(default_factory=Counter)
    loads: Counter[int] = field(default_factory=Counter)
    peak_slots: Counter[int] = field(default_factory=Counter)
    peak_taped: int = 0
    peak_bytes: int = 0

    def __post_init__(self) -> None:
        """Refuse a length that is none."""
        length(self.n_steps)

    def _law(self, holds: bool, action: Action | str, law: str) -> None:
        if not holds:
            raise ScheduleError(
                f"{action}: {law}; of {self.n_steps} steps the live state is at {self.position}, the "
                f"cotangent at {self.cotangent}, residuals of {self.taped}, snapshots (step, tier) "
                f"{sorted(self.held)}"
            )

    def apply(self, action: Action) -> None:
        """Carry out one action, or raise ScheduleError with the law that it breaks."""
        match action:
            case Advance(i, j) | Record(i, j):
                end = self.n_steps if self.cotangent is None else self.cotangent
                self._law(i < j, action, "a range goes from its start to a later stop")
                self._law(self.position == i, action, "steps start from the live state")
                self._law(j <= end, action, "no step beyond the end or the cotangent is of use")
                self.position = j
                self.steps += j - i
                if isinstance(action, Record):
                    self._push(action)
            case Reverse(i, j):
                self._law(i < j, action, "a range goes from its start to a later stop")
                if self.cotangent is None:  # the turn
                    self._law(self.position == self.n_steps, action, "the loss needs the final state")
                    self.cotangent = self.n_steps
                self._law(self.cotangent == j, action, "the cotangent must be at stop")
                self._pop(action)
                self.cotangent = i
            case Save(k, tier):
                self._law(self.position == k, action, "only the live state can be saved")
                self._law((k, tier) not in self.held, action, "it is saved there already")
                self._law(tier >= 0, action, "tiers are numbered from 0")
                self.held.add((k, tier))
                self.slots[tier] += 1
                self.saves[tier] += 1
                self.peak_slots[tier] = max(self.peak_slots[tier], self.slots[tier])
            case Load(k, tier):
                self._law((k, tier) in self.held, action, "there is no such snapshot")
                self._law(self.position != k, action, "that state is live already")
                self.position = k
                self.loads[tier] += 1
            case Drop(k, tier):
                self._law((k, tier) in self.held, action, "there is no such snapshot")
                self.held.remove((k, tier))
                self.slots[tier] -= 1
        live_bytes = self.slots[Tier.RAM] * self.state_bytes + self.n_taped * self.residual_bytes
        self.peak_bytes = max(self.peak_bytes, live_bytes)

    def _push(self, action: Record) -> None:
        earliest = self.taped[-1].stop if self.taped else 0
        self._law(earliest <= action.start, action, "the tape holds residuals of these or later steps")
        self.taped.append(range(action.start, action.stop))
        self.n_taped += action.stop - action.start
        self.records += action.stop - action.start
        self.peak_taped = max(self.peak_taped, self.n_taped)

    def _pop(self, action: Reverse) -> None:
        stop = action.stop
        while self.taped and stop > action.start and self.taped[-1].stop == stop:
            stop = self.taped.pop().start
        self._law(stop <= action.start, action, "residuals of these steps are not on top of the tape")
        if stop < action.start:  # a part of a recorded range stays
            self.taped.append(range(stop, action.start))
        self.n_taped -= action.stop - action.start

    def finish(self) -> Cost:
        """Check the laws that hold at the end, and return the price."""
        self._law(self.n_steps == 0 or self.cotangent == 0, "end", "the cotangent must arrive at step 0")
        self._law(not self.held, "end", "no snapshot may be left behind")
        self._law(not self.taped, "end", "no residuals may be left behind")
        tiers = range(max([Tier.DISK, *self.peak_slots]) + 1)
        return Cost(
            n_steps=self.n_steps,
            steps=self.steps,
            records=self.records,
            tier_saves=tuple(self.saves[tier] for tier in tiers),
            tier_loads=tuple(self.loads[tier] for tier in tiers),
            peak_slots=tuple(self.peak_slots[tier] for tier in tiers),
            peak_taped=self.peak_taped,
            peak_bytes=self.peak_bytes,
        )


def simulate(schedule: Schedule, n_steps: int, *, state_bytes: int = 0, residual_bytes: int = 0) -> Cost:
    """Check every action of a schedule on integers, and return its price.

    `state_bytes` is the size of one snapshot, `residual_bytes` that of the residuals of one step.

    >>> from unspool.schedules import Every
    >>> simulate(Every(4), 10, state_bytes=8, residual_bytes=100)
    Cost(n_steps=10, steps=18, records=10, tier_saves=(2, 0), tier_loads=(2, 0), peak_slots=(2, 0),
    peak_taped=4, peak_bytes=408)
    """
    machine = Machine(n_steps, state_bytes, residual_bytes)
    for action in schedule.actions(n_steps):
        machine.apply(action)
    return machine.finish()

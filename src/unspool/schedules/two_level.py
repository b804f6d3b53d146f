"""Snapshots on disk at equal distances, and binomial checkpointing in memory between them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from unspool.schedules.actions import Action, Advance, Drop, Load, Save, Tier
from unspool.schedules.base import OnlineSchedule, length, positive
from unspool.schedules.binomial import Binomial


@dataclass(frozen=True, slots=True)
class TwoLevel(OnlineSchedule):
    """Save to disk every `period` steps; reverse each period from its disk snapshot and `slots` in RAM.

    A period of L steps is swept once and costs L + t(L, slots + 1) evaluations on the way back; its disk
    snapshot is dropped only when the whole period is reversed. n / period disk snapshots, residuals of `leaf`
    steps.

    >>> TwoLevel(25, 4).steps(100), TwoLevel(1000, 30).steps(10**6)
    (384, 4438996)
    """

    period: int
    slots: int
    leaf: int = 1

    def __post_init__(self) -> None:
        """Refuse numbers that are none."""
        positive(period=self.period, slots=self.slots, leaf=self.leaf)

    @property
    def last(self) -> int:
        """Return the leaf, or the period if that is shorter: so many steps are recorded at the end of the sweep."""
        return min(self.leaf, self.period)

    def sweep(self) -> Iterator[Action]:
        """Save to disk and advance, period by period."""
        for k in count(0, self.period):
            yield Save(k, Tier.DISK)
            yield Advance(k, k + self.period)

    def steps(self, n_steps: int) -> int:
        """Return how often the step is evaluated: whole periods are alike, and the last one is swept but once."""
        whole = max(0, length(n_steps) - 1) // self.period
        each = self.period + Binomial(0, self.period, self.slots + 1, self.leaf).steps()
        return super(TwoLevel, self).steps(n_steps - whole * self.period) + whole * each

    def unwinding(self, n_steps: int, held: Mapping[int, int]) -> Iterator[Action | Binomial]:
        """Reverse each period binomially."""
        stop = n_steps
        for start in sorted(held, reverse=True):
            if start < stop:
                yield Load(start, held[start])
                yield Binomial(start, stop, self.slots + 1, self.leaf, (held[start], Tier.RAM))
                stop = start
            yield Drop(start, held[start])

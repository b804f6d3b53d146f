"""Save a snapshot at every k-th step: each step but the last few is computed twice."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from unspool.schedules.actions import Action, Advance, Drop, Load, Record, Reverse, Save
from unspool.schedules.base import OnlineSchedule, length, positive


@dataclass(frozen=True, slots=True)
class Every(OnlineSchedule):
    """Save every `period` steps, and record and reverse a whole period at once.

    2 n - (length of the last period) evaluations, n / period snapshots, residuals of `period` steps. Any n is
    legal: the last period is shorter, and recorded in the sweep.

    >>> for action in Every(2).actions(3): print(action)
    Save(step=0, tier=<Tier.RAM: 0>)
    Advance(start=0, stop=2)
    Record(start=2, stop=3)
    Reverse(start=2, stop=3)
    Load(step=0, tier=<Tier.RAM: 0>)
    Drop(step=0, tier=<Tier.RAM: 0>)
    Record(start=0, stop=2)
    Reverse(start=0, stop=2)
    """

    period: int

    def __post_init__(self) -> None:
        """Refuse a period that is none."""
        positive(period=self.period)

    def __str__(self) -> str:
        """Return the policy that makes this schedule."""
        return f"every-{self.period}"

    @property
    def last(self) -> int:
        """Return the period: all of the last one is recorded in the sweep."""
        return self.period

    def sweep(self) -> Iterator[Action]:
        """Save and advance, period by period."""
        for k in count(0, self.period):
            yield Save(k)
            yield Advance(k, k + self.period)

    def steps(self, n_steps: int) -> int:
        """Return how often the step is evaluated: 2 n - (length of the last period)."""
        return 2 * length(n_steps) - (1 + (n_steps - 1) % self.period if n_steps else 0)

    def unwinding(self, n_steps: int, held: Mapping[int, int]) -> Iterator[Action]:
        """Record and reverse each period."""
        stop = n_steps
        for start in sorted(held, reverse=True):
            if start < stop:
                yield Load(start, held[start])
            yield Drop(start, held[start])
            if start < stop:
                yield Record(start, stop)
                yield Reverse(start, stop)
                stop = start

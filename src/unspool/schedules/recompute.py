"""Keep only the state at the start, and compute everything twice."""

from collections.abc import Iterator
from dataclasses import dataclass

from unspool.schedules.actions import Action, Advance, Drop, Load, Record, Reverse, Save
from unspool.schedules.base import Schedule, length


@dataclass(frozen=True, slots=True)
class Recompute(Schedule):
    """Hold no residuals between the sweep and the way back: 2 n evaluations, one snapshot, residuals of n steps.

    >>> Recompute().steps(10)
    20
    """

    def actions(self, n_steps: int) -> Iterator[Action]:
        """Yield a sweep that keeps nothing, and one that records."""
        if length(n_steps):
            yield Save(0)
            yield Advance(0, n_steps)
            yield Load(0)
            yield Drop(0)
            yield Record(0, n_steps)
            yield Reverse(0, n_steps)

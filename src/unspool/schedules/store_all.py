"""Keep the residuals of every step: nothing is computed twice."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from unspool.schedules.actions import Action, Record
from unspool.schedules.base import FOREVER, OnlineSchedule


@dataclass(frozen=True, slots=True)
class StoreAll(OnlineSchedule):
    """Keep the residuals of every step: n evaluations, no snapshot, residuals of n steps.

    >>> list(StoreAll().actions(100))
    [Record(start=0, stop=100), Reverse(start=0, stop=100)]
    """

    def __str__(self) -> str:
        """Return the policy that makes this schedule."""
        return "none"

    @property
    def last(self) -> int:
        """Return 0: the sweep has recorded all steps when it ends."""
        return 0

    def sweep(self) -> Iterator[Action]:
        """Record without end."""
        yield Record(0, FOREVER)

    def unwinding(self, n_steps: int, held: Mapping[int, int]) -> Iterator[Action]:
        """Yield nothing: all residuals are on the tape."""
        yield from ()

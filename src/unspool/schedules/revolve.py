"""Binomial checkpointing in memory, optimal for steps of equal cost and a known number of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from unspool.schedules.actions import Action, Drop, Save
from unspool.schedules.base import FoldedSchedule, positive
from unspool.schedules.binomial import Binomial


@dataclass(frozen=True, slots=True)
class Revolve(FoldedSchedule):
    """Reverse n steps from `slots` snapshots, the initial state among them, with the fewest evaluations.

    n + t(n, slots) evaluations, t = r n - beta(slots + 1, r - 1) [GW2000], residuals of `leaf` steps.
    With `leaf` = k, k steps are recorded and reversed at once: n + k t(n / k, slots) evaluations at most.

    >>> Revolve(10).steps(1000), Revolve(10, leaf=10).steps(1000)
    (4636, 3220)
    """

    slots: int
    leaf: int = 1

    def __post_init__(self) -> None:
        """Refuse numbers that are none."""
        positive(slots=self.slots, leaf=self.leaf)

    def __str__(self) -> str:
        """Return the policy that makes this schedule, if there is one."""
        return f"revolve-{self.slots}" if self.leaf == 1 else repr(self)

    def folded(self, n_steps: int) -> Iterator[Action | Binomial]:
        """Yield one binomial part around the initial state, which a single leaf does not need."""
        held = n_steps > self.leaf
        if held:
            yield Save(0)
        yield Binomial(0, n_steps, self.slots, self.leaf)
        if held:
            yield Drop(0)

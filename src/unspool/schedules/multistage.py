"""Binomial checkpointing over memory and disk together: the busiest snapshots live in memory."""

from collections.abc import Iterator
from dataclasses import dataclass

from unspool.errors import PolicyError
from unspool.schedules.actions import Action, Drop, Save, Tier
from unspool.schedules.base import FoldedSchedule, positive, whole
from unspool.schedules.binomial import Binomial, traffic


@dataclass(frozen=True, slots=True)
class Multistage(FoldedSchedule):
    """Reverse n steps from `ram` + `disk` snapshots with the fewest evaluations, and little traffic to disk.

    The evaluations are those of Revolve with ram + disk slots. How often a snapshot is saved or loaded
    depends on how many lie before it: the places with the most traffic are in RAM [SW2009].

    >>> from unspool.schedules import simulate
    >>> cost = simulate(Multistage(2, 4), 50)
    >>> cost.steps, cost.peak_slots, cost.tier_saves, cost.tier_loads
    (164, (2, 4), (11, 11), (24, 25))
    """

    ram: int
    disk: int
    leaf: int = 1

    def __post_init__(self) -> None:
        """Refuse numbers that are none, and no slots at all."""
        positive(leaf=self.leaf)
        whole(0, ram=self.ram, disk=self.disk)
        if self.ram + self.disk == 0:
            raise PolicyError("ram and disk are both 0; the initial state needs a slot on one of them")

    def folded(self, n_steps: int) -> Iterator[Action | Binomial]:
        """Yield one binomial part whose depths are spread over the tiers."""
        slots = self.ram + self.disk
        leaves = -(-n_steps // self.leaf)
        tiers = spread(traffic(leaves, slots), self.ram) if leaves > 1 else (Tier.RAM,)
        if leaves > 1:
            yield Save(0, tiers[0])
        yield Binomial(0, n_steps, slots, self.leaf, tiers)
        if leaves > 1:
            yield Drop(0, tiers[0])


def spread(traffic: list[int], ram: int) -> tuple[Tier, ...]:
    """Return the tier of each depth: RAM for the busiest, and of equals for the deepest.

    >>> [tier.name for tier in spread([3, 5, 5], ram=1)]
    ['DISK', 'DISK', 'RAM']
    """
    busiest = sorted(range(len(traffic)), key=lambda depth: (traffic[depth], depth), reverse=True)
    chosen = frozenset(busiest[:ram])
    return tuple(Tier.RAM if depth in chosen else Tier.DISK for depth in range(len(traffic)))

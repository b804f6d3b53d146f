"""What the verbs cost: the measure by which schedules over several levels of memory are optimal."""

from dataclasses import dataclass

from unspool.errors import PolicyError
from unspool.schedules.machine import Cost


@dataclass(frozen=True, slots=True)
class Prices:
    """What an evaluation, a recorded and reversed step, and a snapshot's way to and from each level cost.

    Any unit will do. `write` and `read` have an entry for each level, the fastest first.

    >>> from unspool.schedules import Multistage, simulate
    >>> Prices(write=(0, 5), read=(0, 5)).of(simulate(Multistage(2, 4), 50))
    344
    """

    advance: float = 1
    reverse: float = 1
    write: tuple[float, ...] = (0,)
    read: tuple[float, ...] = (0,)

    def __post_init__(self) -> None:
        """Refuse negative prices."""
        for price in (self.advance, self.reverse, *self.write, *self.read):
            if not price >= 0:
                raise PolicyError(f"{self}: a price is {price!r}; give numbers of 0 or more")

    def of(self, cost: Cost) -> float:
        """Return what a run costs in all; levels without a price cost nothing."""
        return (
            self.advance * cost.advances
            + self.reverse * cost.records
            + sum(price * count for price, count in zip(self.write, cost.tier_saves, strict=False))
            + sum(price * count for price, count in zip(self.read, cost.tier_loads, strict=False))
        )

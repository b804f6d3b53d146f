"""Optimal checkpointing in memory with a disk that has room for any number of snapshots."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from unspool.errors import PolicyError
from unspool.schedules.actions import Action, Advance, Drop, Load, Save, Tier
from unspool.schedules.base import FoldedSchedule, length, positive
from unspool.schedules.binomial import Binomial, revolve_advances
from unspool.schedules.prices import Prices


@dataclass(frozen=True, slots=True)
class DiskRevolve(FoldedSchedule):
    """Reverse n steps at the least price from `ram` snapshots and any number on disk, each read once.

    Aupy, Herrmann, Hovland & Robert [AHHR2016]. RAM must be free of charge; between disk snapshots it is
    Revolve. Planning takes O(n**2) operations and a table of n numbers.

    >>> schedule = DiskRevolve(2, Prices(write=(0, 2), read=(0, 2)))
    >>> schedule.price(50)
    190.0
    """

    ram: int
    prices: Prices

    def __post_init__(self) -> None:
        """Refuse numbers that are none, and prices for other levels."""
        positive(ram=self.ram)
        for prices in (self.prices.write, self.prices.read):
            if len(prices) != len(Tier) or prices[Tier.RAM] != 0:
                raise PolicyError(f"{self.prices} is not for free RAM and a disk; give (0, price) or use HRevolve")

    def folded(self, n_steps: int) -> Iterator[Action | Binomial]:
        """Yield the way out over the disk snapshots, and the binomial parts on the way back."""
        distances = _table(n_steps, self.ram, self.prices)[1]
        starts, start = [], 0
        while distances[n_steps - start]:
            stop = start + int(distances[n_steps - start])
            yield Save(start, Tier.DISK)
            yield Advance(start, stop)
            starts.append((start, stop))
            start = stop
        yield from self._part(start, n_steps)
        for start, stop in reversed(starts):
            yield Load(start, Tier.DISK)
            yield from self._part(start, stop)
            yield Drop(start, Tier.DISK)

    def _part(self, start: int, stop: int) -> Iterator[Action | Binomial]:
        if stop - start > 1:
            yield Save(start)
        yield Binomial(start, stop, self.ram)
        if stop - start > 1:
            yield Drop(start)

    def price(self, n_steps: int) -> float:
        """Return what reversing n_steps steps costs in all."""
        return float(_table(length(n_steps), self.ram, self.prices)[0][n_steps])


@lru_cache(maxsize=16)
def _table(n_steps: int, ram: int, prices: Prices) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return by steps the price, and how far the first disk snapshot reaches (0: there is none)."""
    disk = prices.write[Tier.DISK] + prices.read[Tier.DISK]
    in_ram = np.array([_in_ram(n, ram, prices) for n in range(n_steps + 1)])
    price, distance = in_ram.copy(), np.zeros(n_steps + 1, np.int64)
    ahead = prices.advance * np.arange(n_steps + 1)
    for n in range(2, n_steps + 1):
        with_disk = disk + ahead[1:n] + price[n - 1 : 0 : -1] + in_ram[1:n]
        best = int(np.argmin(with_disk))
        if with_disk[best] < price[n]:
            price[n], distance[n] = with_disk[best], best + 1
    return price, distance


def _in_ram(n_steps: int, ram: int, prices: Prices) -> float:
    return n_steps * prices.reverse + revolve_advances(n_steps, ram) * prices.advance

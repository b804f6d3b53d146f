"""Optimal checkpointing over any number of levels of memory, each with its slots and its prices."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from unspool.errors import PolicyError
from unspool.schedules.actions import Action
from unspool.schedules.base import Schedule, length, positive, whole
from unspool.schedules.levels import walk
from unspool.schedules.prices import Prices

Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HRevolve(Schedule):
    """Reverse n steps at the least price from `slots[k]` snapshots on level k, the fastest level first.

    Herrmann & Pallez [HP2020]. Level k of the prices belongs to tier k. Planning takes
    O(n**2 * sum(slots)) operations and a table of n * sum(slots) numbers: for n of a few thousand.

    >>> schedule = HRevolve((2, 4), Prices(write=(0, 5), read=(0, 5)))
    >>> schedule.price(50)
    230.0
    """

    slots: tuple[int, ...]
    prices: Prices

    def __post_init__(self) -> None:
        """Refuse numbers that are none, a first level without slots, and prices for other levels."""
        if not self.slots:
            raise PolicyError("slots is empty; give at least the slots of the fastest level")
        positive(slots=self.slots[0])
        for slots in self.slots:
            whole(0, slots=slots)
        if not len(self.slots) == len(self.prices.write) == len(self.prices.read):
            raise PolicyError(f"{self.prices} is not for {len(self.slots)} levels; give a price for each")

    def actions(self, n_steps: int) -> Iterator[Action]:
        """Yield the actions that the table leads to."""
        n = length(n_steps)
        levels = _tables(max(n, 1), self.slots, self.prices)

        def choose(level: int, n: int, free: int, held: bool) -> int:
            live, saved, ahead = levels[level]
            below = levels[level - 1][0][self.slots[level - 1], n] if level else np.inf
            if below <= (saved[free, n] if held else live[free, n]):
                return 0
            return int(ahead[free, n])

        return walk(n, self.slots, choose)

    def price(self, n_steps: int) -> float:
        """Return what reversing n_steps steps costs in all."""
        n = length(n_steps)
        return float(_tables(n, self.slots, self.prices)[-1][0][self.slots[-1], n]) if n else 0.0


@lru_cache(maxsize=16)
def _tables(n_steps: int, slots: tuple[int, ...], prices: Prices) -> list[tuple[Table, Table, NDArray[np.int64]]]:
    """Return per level the price by [free slots, steps]: the state live, or saved there too; and the strides.

    [HP2020], with n steps where the paper has l = n - 1.
    """
    steps = np.arange(n_steps + 1)
    below = np.full(n_steps + 1, np.inf)  # no level: one step needs no snapshot, more cannot be reversed
    below[:2] = 0, prices.reverse
    levels = []
    for count, write, read in zip(slots, prices.write, prices.read, strict=True):
        live = np.full((count + 1, n_steps + 1), np.inf)
        saved, ahead = live.copy(), np.zeros(live.shape, np.int64)
        live[:, :2] = saved[:, :2] = below[:2]
        live[0] = below
        for free in range(1, count + 1):
            for n in range(2, n_steps + 1):
                prices_ahead = steps[1:n] * prices.advance + live[free - 1, n - 1 : 0 : -1] + saved[free, 1:n]
                best = int(np.argmin(prices_ahead))
                ahead[free, n] = best + 1
                saved[free, n] = min(below[n], prices_ahead[best] + read)
                live[free, n] = min(below[n], saved[free, n] + write)
        levels.append((live, saved, ahead))
        below = live[count]
    return levels

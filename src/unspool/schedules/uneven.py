"""Optimal checkpointing for steps of unequal cost, or states of unequal size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from unspool.errors import PolicyError
from unspool.schedules.actions import Action, Advance, Drop, Load, Record, Reverse, Save
from unspool.schedules.base import Schedule, length, positive, whole


@dataclass(frozen=True, slots=True)
class Uneven(Schedule):
    """Reverse steps of known costs at the least total, from snapshots that together fit into `slots`.

    `cost[k]` is what an evaluation of step k costs, `size[k]` how many slots the state at its start takes (1
    unless said). It is the recursion of Revolve with sums in place of counts [GW2000]. Planning takes
    O(n**3 * slots) operations and a table of n**2 * slots / 2 numbers: for a few hundred steps.

    >>> Uneven(2, cost=[1, 1, 1, 50, 1]).price(5), Uneven(2, cost=[1, 1, 1, 1, 1]).price(5)
    (109.0, 11.0)
    """

    slots: int
    cost: Sequence[float]
    size: Sequence[int] | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that are none, sizes for other steps, and a first state that does not fit."""
        positive(slots=self.slots)
        object.__setattr__(self, "cost", tuple(self.cost))
        object.__setattr__(self, "size", (1,) * len(self.cost) if self.size is None else tuple(self.size))
        for cost in self.cost:
            if not 0 <= cost < np.inf:
                raise PolicyError(f"a cost is {cost!r}; give numbers of 0 or more")
        for size in self._sizes:
            whole(0, size=size)
        if len(self._sizes) != len(self.cost):
            raise PolicyError(f"there are {len(self.cost)} costs and {len(self._sizes)} sizes; give one per step")
        if any(size > self.slots for size in self._sizes[:1]):
            raise PolicyError(f"slots is {self.slots}, and the first state takes {self._sizes[0]}; give as many")

    @property
    def _sizes(self) -> tuple[int, ...]:
        return tuple(self.size or ())

    def price(self, n_steps: int) -> float:
        """Return what all evaluations cost that reverse the first n_steps steps."""
        n = self._length(n_steps)
        return sum(self.cost[:n]) + float(self._tables()[0][0, n, self._free])

    def actions(self, n_steps: int) -> Iterator[Action]:
        """Yield the actions that the table leads to."""
        return self._walk(self._length(n_steps))

    @property
    def _free(self) -> int:
        return self.slots - sum(self._sizes[:1])

    def _length(self, n_steps: int) -> int:
        if length(n_steps) > len(self.cost):
            raise PolicyError(f"n_steps is {n_steps}, and there are {len(self.cost)} costs; give one per step")
        return n_steps

    def _tables(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        return _tables(self.slots, tuple(self.cost), self._sizes)

    def _walk(self, n_steps: int) -> Iterator[Action]:
        splits = self._tables()[1]
        if n_steps > 1:
            yield Save(0)
        open_ranges = [(0, n_steps, self._free)] if n_steps else []
        while open_ranges:
            start, stop, free = open_ranges.pop()
            if stop - start > 1:
                middle = int(splits[start, stop, free])
                open_ranges.append((start, middle, free))
                yield Advance(start, middle)
                if stop - middle > 1:
                    yield Save(middle)
                    open_ranges.append((middle, stop, free - self._sizes[middle]))
                    continue
                start = middle
            elif n_steps > 1:
                yield Drop(start)
            yield Record(start, stop)
            yield Reverse(start, stop)
            if open_ranges:
                yield Load(open_ranges[-1][0])


@lru_cache(maxsize=16)
def _tables(
    slots: int, cost: tuple[float, ...], size: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return by [start, stop, slots free beside the first state] what advances cost, and the first split."""
    n = len(cost)
    until = np.concatenate([[0.0], np.cumsum(cost)])
    price = np.full((n + 1, n + 1, slots + 1), np.inf)
    saved = price.copy()  # the same by the slots that are free before the state at start is saved
    splits = np.zeros(price.shape, np.int64)
    price[range(n + 1), range(n + 1)] = 0
    price[range(n), range(1, n + 1)] = saved[range(n), range(1, n + 1)] = 0  # recorded at once
    for stop in range(2, n + 1):
        for start in range(stop - 2, -1, -1):
            there = (until[start + 1 : stop] - until[start])[:, None]
            ways = there + saved[start + 1 : stop, stop] + price[start, start + 1 : stop]
            splits[start, stop] = start + 1 + np.argmin(ways, axis=0)
            price[start, stop] = np.min(ways, axis=0)
            if size[start] <= slots:
                saved[start, stop, size[start] :] = price[start, stop, : slots + 1 - size[start]]
    return price, splits

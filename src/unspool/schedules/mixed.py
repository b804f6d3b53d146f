"""Memory that holds states or residuals, whichever is of more use."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from unspool.errors import PolicyError
from unspool.schedules.actions import Action, Advance, Drop, Load, Record, Reverse, Save
from unspool.schedules.base import Schedule, length, positive

Table = NDArray[np.int64]

NEVER = 2**62  # evaluations: what is left does not fit; the sum of two is still an int64


@dataclass(frozen=True, slots=True)
class Mixed(Schedule):
    """Reverse n steps with the fewest evaluations, keeping a state or a step's residuals in each slot.

    Maddison [M2024]. A state takes `state_size` slots and the residuals of a step `residual_size`, in any
    common unit; the residuals of the step that is reversed next are not counted. Planning takes
    O(n**2 * slots) operations and a table of n * slots numbers: for n of a few thousand.

    >>> Mixed(5).steps(50), Mixed(20, state_size=1, residual_size=4).steps(50)
    (138, 97)
    """

    slots: int
    state_size: int = 1
    residual_size: int = 1

    def __post_init__(self) -> None:
        """Refuse numbers that are none, and less room than one state or one step's residuals need."""
        positive(slots=self.slots, state_size=self.state_size, residual_size=self.residual_size)
        if self.slots < self.state_size:
            raise PolicyError(f"slots is {self.slots}, and a state takes {self.state_size}; give at least as many")

    def steps(self, n_steps: int) -> int:
        """Return how often the step is evaluated, as the table says."""
        return int(self._tables(length(n_steps))[0][n_steps, self.slots])

    def actions(self, n_steps: int) -> Iterator[Action]:
        """Yield the actions that the table leads to."""
        return self._walk(length(n_steps))

    def _tables(self, n_steps: int) -> tuple[Table, Table]:
        return _tables(n_steps, self.slots, self.state_size, self.residual_size)

    def _walk(self, n_steps: int) -> Iterator[Action]:
        strides = self._tables(n_steps)[1]
        start, stop, free = 0, n_steps, self.slots
        kept: list[tuple[int, int, int, bool]] = []  # what is to be done later: range, slots, whether recorded
        while start < stop or kept:
            while stop - start > 1:
                ahead = int(strides[stop - start, free])
                if ahead == 0:
                    yield Record(start, start + 1)
                    kept.append((start, start + 1, free, True))
                    start, free = start + 1, free - self.residual_size
                else:
                    yield Save(start)
                    yield Advance(start, start + ahead)
                    kept.append((start, start + ahead, free, False))
                    start, free = start + ahead, free - self.state_size
            if start < stop:
                yield Record(start, stop)
                yield Reverse(start, stop)
            if not kept:
                return
            start, stop, free, recorded = kept.pop()
            if recorded:
                yield Reverse(start, stop)
                start = stop
            else:
                yield Load(start)
                yield Drop(start)


@lru_cache(maxsize=16)
def _tables(n_steps: int, slots: int, state_size: int, residual_size: int) -> tuple[Table, Table]:
    """Return by [steps, slots] the evaluations, and the stride from a saved state (0: keep the residuals).

    M(n, s) = min(1 + M(n - 1, s - 1), min over i of i + M(i, s) + M(n - i, s - 1)) [M2024], with the sizes in
    place of the ones that s is less by.
    """
    evaluations = np.full((n_steps + 1, slots + 1), NEVER, np.int64)
    strides = np.zeros(evaluations.shape, np.int64)
    evaluations[0], evaluations[1:2] = 0, 1
    for n in range(2, n_steps + 1):
        best = evaluations[n]
        if residual_size <= slots:
            best[residual_size:] = 1 + evaluations[n - 1, : slots + 1 - residual_size]
        ahead = np.arange(1, n)[:, None]
        saved = ahead + evaluations[1:n, state_size:] + evaluations[n - 1 : 0 : -1, : slots + 1 - state_size]
        choice = np.argmin(saved, axis=0)
        value = saved[choice, np.arange(len(choice))]
        better = value < best[state_size:]
        best[state_size:][better] = value[better]
        strides[n, state_size:][better] = choice[better] + 1
        np.minimum(best, NEVER, out=best)
    return evaluations, strides

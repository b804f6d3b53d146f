"""Checkpointing in a fixed number of slots for a loop that does not know when it will end."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from unspool.schedules.actions import Action, Advance, Drop, Load, Save
from unspool.schedules.base import OnlineSchedule, positive
from unspool.schedules.binomial import Binomial


@dataclass(frozen=True, slots=True)
class Online(OnlineSchedule):
    """Reverse any number of steps, not known beforehand, from at most `slots` snapshots.

    The sweep keeps equally spaced snapshots and doubles the spacing when the slots are full; the way back is
    binomial.

    >>> Online(3).steps(50)
    242
    """

    slots: int
    leaf: int = 1

    def __post_init__(self) -> None:
        """Refuse numbers that are none."""
        positive(slots=self.slots, leaf=self.leaf)

    def __str__(self) -> str:
        """Return the policy that makes this schedule, if there is one."""
        return f"online-{self.slots}" if self.leaf == 1 else repr(self)

    @property
    def last(self) -> int:
        """Return the leaf."""
        return self.leaf

    def sweep(self) -> Iterator[Action]:
        """Save at multiples of the spacing."""
        gap, held = self.leaf, [0]
        yield Save(0)
        for k in count(0, self.leaf):
            if k % gap == 0 and k not in held:
                if len(held) == self.slots:
                    gap *= 2
                    yield from map(Drop, held[1::2])
                    held = held[::2]
                if k % gap == 0 and len(held) < self.slots:
                    yield Save(k)
                    held.append(k)
            yield Advance(k, k + self.leaf)

    def unwinding(self, n_steps: int, held: Mapping[int, int]) -> Iterator[Action | Binomial]:
        """Reverse from each snapshot binomially, with the slots that are free by then."""
        stop, free = n_steps, self.slots - len(held)
        for start in sorted(held, reverse=True):
            free += 1
            if start < stop:
                yield Load(start, held[start])
                yield Binomial(start, stop, free, self.leaf)
                stop = start
            yield Drop(start, held[start])

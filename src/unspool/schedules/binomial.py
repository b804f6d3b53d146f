"""Binomial checkpointing: the cheapest way to reverse a known number of steps from a number of slots."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from math import comb

from unspool.schedules.actions import Action, Advance, Drop, Load, Record, Reverse, Save, Tier


def beta(slots: int, repetitions: int) -> int:
    """Return how many steps can be reversed when each is advanced at most `repetitions` times.

    >>> beta(3, 2), beta(3, -1)
    (10, 0)
    """
    return comb(slots + repetitions, repetitions) if repetitions >= 0 else 0


def repetitions(n_steps: int, slots: int) -> int:
    """Return the least r with n_steps <= beta(slots, r): how often a step is advanced at most.

    >>> repetitions(87_842, 98), repetitions(87_842, 417), repetitions(87_842, 418)
    (3, 3, 2)
    """
    high = 1
    while beta(slots, high) < n_steps:
        high *= 2
    low = -1 if n_steps <= 1 else 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if beta(slots, middle) >= n_steps else (middle, high)
    return high


def revolve_advances(n_steps: int, slots: int) -> int:
    """Return t(n, c): the fewest steps to be run a second time and more, in closed form.

    t(n, c) = r n - beta(c + 1, r - 1) [GW2000]; the state at step 0 takes one of the c slots.

    >>> revolve_advances(50, 7), revolve_advances(225, 15), revolve_advances(10, 100)
    (105, 522, 9)
    """
    if n_steps == 0:
        return 0
    r = repetitions(n_steps, slots)
    return r * n_steps - beta(slots + 1, r - 1)


def stride(n: int, c: int, r: int, full: int) -> tuple[int, int]:
    """Return how far to advance before the next snapshot, and beta(c, r - 1); full is beta(c, r).

    Among the strides with the fewest advances it is the one with the fewest saves [GW2000, p. 34]. It needs
    beta(c, r - 1) <= n <= beta(c, r), and leaves the left part in the same place of r - 1 and the right part
    in the same place of r and c - 1 slots: so one decision costs a handful of products, and no search.

    >>> stride(10, 3, 2, beta(3, 2))
    (4, 4)
    """
    if r == 1:  # most decisions by far are of these two kinds, and divisions take longest
        return 1, 1
    if r == 2:
        return max(1, min(n - 2 * c + 1, c + 1)), c + 1
    once = full * r // (c + r)  # beta(c, r - 1)
    twice = once * (r - 1) // (c + r - 1)  # beta(c, r - 2)
    right = once - twice  # beta(c - 1, r - 1)
    spare = right * (c - 1) // max(1, c + r - 2)  # beta(c - 2, r - 1)
    return max(1, twice, min(n - right - spare, once)), once


@dataclass(frozen=True, slots=True)
class Binomial:
    """A part of a schedule, still folded: reverse the steps of a range with snapshots placed binomially.

    State `start` is live, and held on `tiers[0]` unless the range is a single leaf; it takes one of the slots
    and is the caller's to drop. The snapshots that lie d deep go to `tiers[d]`, the last entry counts for all
    deeper ones. `leaf` steps are recorded and reversed at once: the range is cut into leaves from its end,
    so that the short one is first, where steps are repeated most.

    >>> for action in Binomial(0, 3, slots=1).actions(): print(action)
    Advance(start=0, stop=2)
    Record(start=2, stop=3)
    Reverse(start=2, stop=3)
    Load(step=0, tier=<Tier.RAM: 0>)
    Advance(start=0, stop=1)
    Record(start=1, stop=2)
    Reverse(start=1, stop=2)
    Load(step=0, tier=<Tier.RAM: 0>)
    Record(start=0, stop=1)
    Reverse(start=0, stop=1)
    """

    start: int
    stop: int
    slots: int
    leaf: int = 1
    tiers: tuple[int, ...] = (Tier.RAM,)

    @property
    def leaves(self) -> int:
        """How many leaves the range has: the short one is the first."""
        return -((self.start - self.stop) // self.leaf)

    def actions(self) -> Iterator[Action]:
        """Unfold into actions, with a stack of at most `slots` open ranges."""
        n = self.leaves
        if n == 0:
            return
        last_tier = len(self.tiers) - 1
        r = repetitions(n, self.slots)
        stack = [(0, n, self.slots, r, beta(self.slots, r))]  # first and last leaf, slots, r, beta(slots, r)
        while stack:
            first, end, c, r, full = stack.pop()
            start = self._step(n, first)
            if end - first == 1:
                if stack:
                    yield Drop(start, self.tiers[min(len(stack), last_tier)])
                yield from _turn(start, self._step(n, end))
            else:
                i, once = stride(end - first, c, r, full)
                stack.append((first, first + i, c, r - 1, once))
                middle = self._step(n, first + i)
                yield Advance(start, middle)
                if end - first - i > 1:
                    yield Save(middle, self.tiers[min(len(stack), last_tier)])
                    stack.append((first + i, end, c - 1, r, full - once))
                    continue
                yield from _turn(middle, self._step(n, end))
            if stack:
                yield Load(self._step(n, stack[-1][0]), self.tiers[min(len(stack) - 1, last_tier)])

    def _step(self, leaves: int, leaf: int) -> int:
        return max(self.start, self.stop - (leaves - leaf) * self.leaf)

    def steps(self) -> int:
        """Return how often the step is evaluated: n + k t(n / k, c), less what the short leaf saves."""
        n, total = self.leaves, self.stop - self.start
        short = n * self.leaf - total
        return total + self.leaf * revolve_advances(n, self.slots) - short * spine(n, self.slots)


def _turn(start: int, stop: int) -> Iterator[Action]:
    yield Record(start, stop)
    yield Reverse(start, stop)


def spine(n: int, slots: int) -> int:
    """Return how often the first of n leaves is advanced.

    >>> spine(10, 3)
    2
    """
    c, r = slots, repetitions(n, slots)
    full, depth = beta(c, r), 0
    while n > 1 and n < full:
        n, full = stride(n, c, r, full)
        r, depth = r - 1, depth + 1
    return depth + r if n == full and n > 1 else depth


def traffic(n: int, slots: int) -> list[int]:
    """Return how often the snapshot at each depth is saved or loaded when n leaves are reversed.

    Ranges of one length at one depth behave alike and are counted together, longest first: there are about
    slots * r of them.

    >>> traffic(10, 3)
    [3, 5, 7]
    """
    r = repetitions(n, slots)
    longest = [(-n, slots, r, beta(slots, r))]
    times = {longest[0]: 1}  # how often such a range is reversed
    counts = Counter({0: 1})
    while longest:
        kind = heappop(longest)
        here, (negative, c, r, full) = times.pop(kind), kind
        i, once = stride(-negative, c, r, full)
        counts[slots - c] += here  # the load for the left part
        if -negative - i > 1:
            counts[slots - c + 1] += here  # the save for the right part
        for part in ((-i, c, r - 1, once), (negative + i, c - 1, r, full - once)):
            if part[0] < -1:
                if part not in times:
                    heappush(longest, part)
                times[part] = times.get(part, 0) + here
    return [counts[depth] for depth in range(len(counts))]

"""What every schedule is: a frozen set of parameters and one pure generator of actions."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import final

from unspool.errors import PolicyError
from unspool.schedules.actions import Action, Advance, Drop, Record, Reverse, Save
from unspool.schedules.binomial import Binomial

FOREVER = 2**63 - 1
"""Where a range ends in the sweep of an OnlineSchedule that runs until the loop ends."""


class Schedule(ABC):
    """A rule that says for every number of steps when to save, to load and to compute again.

    It has no state: the actions for one n_steps are the same every time. `simulate` checks the laws.

    >>> class Keep(Schedule):
    ...     def actions(self, n_steps):
    ...         yield Record(0, n_steps)
    ...         yield Reverse(0, n_steps)
    >>> Keep().steps(7)
    7
    """

    __slots__ = ()

    @abstractmethod
    def actions(self, n_steps: int) -> Iterator[Action]:
        """Yield the actions that reverse n_steps steps; none when there are no steps."""

    def steps(self, n_steps: int) -> int:
        """Return how often the step is evaluated; by a formula where the schedule has one."""
        return sum(a.stop - a.start for a in self.actions(n_steps) if isinstance(a, Advance | Record))


class FoldedSchedule(Schedule):
    """A schedule that leaves its binomial parts folded, so that machine code can unfold them.

    >>> class Binary(FoldedSchedule):
    ...     def folded(self, n_steps):
    ...         yield Save(0)
    ...         yield Binomial(0, n_steps, slots=2)
    ...         yield Drop(0)
    >>> Binary().steps(10), sum(1 for action in Binary().actions(10))
    (30, 46)
    """

    __slots__ = ()

    @abstractmethod
    def folded(self, n_steps: int) -> Iterator[Action | Binomial]:
        """Yield the actions and the folded parts that reverse n_steps steps."""

    @final
    def actions(self, n_steps: int) -> Iterator[Action]:
        """Yield the actions, with every part unfolded."""
        return unfold(self.folded(length(n_steps)))

    def steps(self, n_steps: int) -> int:
        """Return how often the step is evaluated, by the formula of each folded part."""
        return sum(map(_steps, self.folded(length(n_steps))))


class OnlineSchedule(FoldedSchedule):
    """A schedule that need not know how many steps there will be.

    A loop that ends by a condition runs it so:

    1. take actions from `sweep()`, which has no end, and carry them out. Ask the condition before every step,
       and before the Save that comes with it: an Advance or Record may end early, at any step.
    2. the loop has ended at n: reverse the last j steps, those whose residuals are on the tape, if any are.
       (A sweep that advances leaves none, unless the executor records as it goes and keeps the residuals of
       the `last` steps, which spares a few evaluations.)
    3. carry out `unwind(n - j, held)`; `held` maps each step saved and not dropped to its tier.

    `actions(n)` is the same run for a known n: there the `last` steps are recorded in the sweep, as far as
    the Advance reaches that comes to n.

    >>> from unspool.schedules import Every
    >>> for action in Every(2).unwind(3, {0: 0, 2: 0}): print(action)
    Load(step=2, tier=0)
    Drop(step=2, tier=0)
    Record(start=2, stop=3)
    Reverse(start=2, stop=3)
    Load(step=0, tier=0)
    Drop(step=0, tier=0)
    Record(start=0, stop=2)
    Reverse(start=0, stop=2)
    """

    __slots__ = ()

    @property
    @abstractmethod
    def last(self) -> int:
        """How many of the last steps are best recorded in the sweep: no more than any Advance of it is long."""

    @abstractmethod
    def sweep(self) -> Iterator[Action]:
        """Yield Save, Drop, Advance (or Record) as far as FOREVER; no state is loaded."""

    @abstractmethod
    def unwinding(self, n_steps: int, held: Mapping[int, int]) -> Iterator[Action | Binomial]:
        """Yield the way back over the steps before n_steps, folded; the live state is none of the held."""

    @final
    def unwind(self, n_steps: int, held: Mapping[int, int]) -> Iterator[Action]:
        """Yield the way back over the steps before n_steps, and drop all that is held."""
        return unfold(self.unwinding(length(n_steps), dict(held)))

    @final
    def folded(self, n_steps: int) -> Iterator[Action | Binomial]:
        """Yield the sweep as far as n_steps, and the way back."""
        held: dict[int, int] = {}
        taped = position = 0
        sweep = self.sweep()
        while position < n_steps:
            action = next(sweep)
            match action:
                case Save() | Drop() if n_steps - position <= self.last:
                    continue  # all that follows is recorded in the sweep: a new snapshot would be of no use
                case Save(step, tier):
                    held[step] = tier
                case Drop(step, _):
                    del held[step]
                case Advance(start, stop) | Record(start, stop):
                    position = min(stop, n_steps)
                    if isinstance(action, Record):
                        taped += position - start
                        action = Record(start, position)
                    elif position == n_steps:
                        taped = min(self.last, n_steps - start)
                        if taped < n_steps - start:
                            yield Advance(start, n_steps - taped)
                        action = Record(n_steps - taped, n_steps)
                    else:
                        action = Advance(start, position)
            yield action
        if taped:
            yield Reverse(n_steps - taped, n_steps)
        yield from self.unwinding(n_steps - taped, held)


def unfold(parts: Iterator[Action | Binomial]) -> Iterator[Action]:
    """Yield the actions of the folded parts in place.

    >>> sum(1 for action in unfold(iter([Save(0), Binomial(0, 4, slots=2), Drop(0)])))
    18
    """
    for part in parts:
        if isinstance(part, Binomial):
            yield from part.actions()
        else:
            yield part


def _steps(part: Action | Binomial) -> int:
    match part:
        case Binomial():
            return part.steps()
        case Advance(start, stop) | Record(start, stop):
            return stop - start
    return 0


def length(n_steps: int) -> int:
    """Return n_steps if it is a number of steps, and raise PolicyError otherwise.

    >>> length(10)
    10
    """
    if isinstance(n_steps, bool) or not isinstance(n_steps, int) or n_steps < 0:
        raise PolicyError(f"n_steps is {n_steps!r}; a number of steps is an int, 0 or more")
    return n_steps


def whole(least: int, **values: int) -> None:
    """Raise PolicyError unless every value is an int, and no less than the least.

    >>> whole(0, disk=-1)
    Traceback (most recent call last):
        ...
    unspool.errors.PolicyError: disk is -1; give an int of 0 or more
    """
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise PolicyError(f"{name} is {value!r}; give an int of {least} or more")


def positive(**values: int) -> None:
    """Raise PolicyError unless every value is an int of at least 1.

    >>> positive(slots=0)
    Traceback (most recent call last):
        ...
    unspool.errors.PolicyError: slots is 0; give an int of 1 or more
    """
    whole(1, **values)

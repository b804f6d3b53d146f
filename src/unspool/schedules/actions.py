"""What a checkpointing schedule can say: six verbs on integers.

Step k carries the state at its start, state k, to state k + 1. A range of steps is half open and is always
written (start, stop) with start < stop: the verb, not the order, gives the direction.
"""

from dataclasses import dataclass
from enum import IntEnum


class Tier(IntEnum):
    """The two levels of memory that have a name; a tier is an integer, and a schedule may use more.

    >>> Tier.DISK, Tier.DISK == 1
    (<Tier.DISK: 1>, True)
    """

    RAM = 0
    DISK = 1


@dataclass(frozen=True, slots=True)
class Range:
    """The steps start, ..., stop - 1: what three of the verbs act on."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state at the start of a step, as it is held on a tier: what the other three verbs act on."""

    step: int
    tier: int = Tier.RAM


class Advance(Range):
    """Run the steps from the live state and keep nothing.

    >>> Advance(3, 7)
    Advance(start=3, stop=7)
    """

    __slots__ = ()


class Record(Range):
    """Run the steps from the live state and push the residuals of each on the tape.

    >>> Record(3, 7)
    Record(start=3, stop=7)
    """

    __slots__ = ()


class Reverse(Range):
    """Carry the cotangent from `stop` to `start` and pop the residuals of these steps from the tape.

    The live state stays where it is. The first Reverse is the turn: there the loss seeds the cotangent.

    >>> Reverse(3, 7)
    Reverse(start=3, stop=7)
    """

    __slots__ = ()


class Save(Snapshot):
    """Keep a snapshot of the live state.

    >>> Save(3)
    Save(step=3, tier=<Tier.RAM: 0>)
    """

    __slots__ = ()


class Load(Snapshot):
    """Make the snapshot the live state; the snapshot stays.

    >>> Load(3, Tier.DISK)
    Load(step=3, tier=<Tier.DISK: 1>)
    """

    __slots__ = ()


class Drop(Snapshot):
    """Free the slot of the snapshot.

    >>> Drop(3)
    Drop(step=3, tier=<Tier.RAM: 0>)
    """

    __slots__ = ()


Action = Advance | Record | Reverse | Save | Load | Drop

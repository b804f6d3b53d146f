"""How the threads of a crew share a kernel, as text.

Every thread runs the whole kernel. The statements on numbers each of them carries out for itself; of a large nest each
takes the rows of its part; and everything else that writes is done by the first of them. Before anybody reads what
others have written, or writes what others may still be reading, they meet. No operation is carried out in another order
than by one thread, so the bits are the same for any number of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from unspool.codegen.arrays import Slots
from unspool.codegen.boxes import Box, Lines, extent, volume
from unspool.codegen.scalars import called

LEAST_WORK = 100_000
"""Statements, counted once per element, of a nest that is worth sharing: about ten microseconds."""

CREW = "part", "parts", "meet", "crew"
"""What a kernel is told: the number of the thread, how many there are, where they meet, and the block of their crew."""

ROWS = 16
"""An axis of so many rows is worth cutting in parts."""

_LINE = 64 // 8  # elements of a cache line
_FUNCTION = 10  # statements that a call takes as long as


class Writers(Enum):
    """Who has written memory."""

    NOBODY, FIRST, ALL = range(3)


class Shares:
    """The parts of one kernel; ``n_shared`` counts its nests that are in parts."""

    def __init__(self, slots: Slots) -> None:
        self._first = slots.crew()
        self.n_shared = 0
        self._written = Writers.NOBODY  # since the threads have met
        self._read = False  # numbers, by all
        self._have_met = False

    @property
    def meeting(self) -> str:
        """The statement with which a thread waits for the others."""
        return f"kernel(a[{self._first + 2}], a[{self._first + 3}])"

    def declared(self) -> Lines:
        """What a kernel begins with."""
        return [f"{name} = a[{self._first + k}]" for k, name in enumerate(CREW[:2])]

    def reading(self) -> Lines:
        """What comes before numbers are read from memory."""
        lines = self._meet() if self._written is not Writers.NOBODY else []
        self._read = True
        return lines

    def alone(self, lines: Lines) -> Lines:
        """Lines that write, for the first thread."""
        if not lines:
            return []
        before = self._meet() if self._read or self._written is Writers.ALL else []
        self._written = Writers.FIRST
        return [*before, *for_the_first(lines)]

    def together(self, lines: Lines) -> Lines:
        """Lines of which each thread does its part."""
        self.n_shared += 1
        before = self._meet() if self._read or self._written is not Writers.NOBODY else []
        self._written = Writers.ALL
        return [*before, *lines]

    def last(self) -> Lines:
        """How a kernel ends: the first thread, once it has returned, frees the memory or gives other work."""
        return self._meet() if self._read or self._written is Writers.ALL or not self._have_met else []

    def _meet(self) -> Lines:
        self._written, self._read, self._have_met = Writers.NOBODY, False, True
        return [self.meeting]


def for_the_first(lines: Lines) -> Lines:
    """Lines that only the first thread carries out."""
    return ["if part == 0:", *[f"    {line}" for line in lines]]


def is_large(box: Box, body: Lines) -> bool:
    """Whether a body takes so long on a box that threads had better share it."""
    if max(map(extent, box), default=0) < ROWS:
        return False
    return volume(box) * (len(body) + _FUNCTION * len(called(body))) >= LEAST_WORK


def part_of(box: Box, axes: Sequence[int] | None = None) -> list[tuple[str, str]]:
    """The bounds of the part of a box that a thread takes: of the first of some axes, or of the longest if that is
    short."""
    bounds = [(str(low), str(high)) for low, high in box]
    among = [*range(len(box))] if axes is None else axes
    axis = among[0] if extent(box[among[0]]) >= ROWS else max(among, key=lambda d: extent(box[d]))
    unit = _LINE if axis == len(box) - 1 else 1
    low, n = box[axis][0], -(-extent(box[axis]) // unit)
    start, stop = [f"{n} * {part} // parts" + f" * {unit}" * (unit > 1) for part in ("part", "(part + 1)")]
    before = f"{low} + " * (low > 0)
    bounds[axis] = before + start, before + (f"min({stop}, {extent(box[axis])})" if unit > 1 else stop)
    return bounds

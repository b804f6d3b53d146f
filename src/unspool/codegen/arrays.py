"""What a kernel reads and writes: arrays at addresses, and what is to become of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from unspool.codegen.indices import Index, Shape
from unspool.ir.program import Atom, Equation


@dataclass(frozen=True, slots=True)
class Array:
    """Memory that a kernel reads or writes: its name in the text, its shape, where its address stands, a leading
    index, and the name of a sign that what is read has to be multiplied with."""

    name: str
    shape: Shape
    slot: int
    lead: str = ""
    sign: str = ""

    def load(self, index: Index, condition: str = "") -> str:
        """The value of an element, 0 where a condition does not hold."""
        value = f"guarded({condition}, {self.name}, ({self._index(index)},))" if condition else self.place(index)
        return f"({self.sign} * {value})" if self.sign else value

    def place(self, index: Index) -> str:
        """An element."""
        return f"{self.name}[{self._index(index)}]"

    def _index(self, index: Index) -> str:
        return ", ".join([self.lead] * bool(self.lead) + [_position(axis) for axis in index]) or "0"

    @property
    def type(self) -> str:
        """As it is declared."""
        lengths = [":"] * bool(self.lead) + [str(n) for n in self.shape]
        return f"f64[{', '.join(lengths)}]"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a result goes, and whether it is added to what stands there."""

    atom: Atom
    array: Array
    adds: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A library call: an equation, and the slots of its operands (None for numbers and the step) and results."""

    equation: Equation
    operands: tuple[int | None, ...]
    results: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Update:
    """A part that is added to what stands in memory, before anything else is done: ``array[key] += part``."""

    array: Array
    key: tuple[Any, ...]
    part: Atom
    shape: Shape


class Slots(Protocol):
    """Gives out the places of addresses."""

    def scratch(self, name: str, shape: Shape) -> Array:
        """Memory that a kernel has to itself while it runs."""

    def function(self, name: str) -> int:
        """The place of the address of a library function."""

    def panels(self, matrix: Array, *, turned: bool) -> Array | None:
        """The panels of a matrix, or of its transpose, if it stays the same from step to step and is not too large."""

    def call(self, call: Call) -> int:
        """The number of a call of Python."""

    def private(self, name: str, shape: Shape) -> Array:
        """Memory that each thread which shares a kernel has to itself; those of all stand in a row."""

    def crew(self) -> int:
        """The first of four places, one after the other, of what the threads that share a kernel know."""


def _position(axis: tuple[int, int, int]) -> str:
    d, scale, offset = axis
    if d < 0:
        return str(offset)
    name = f"i{d}" if scale == 1 else f"-i{d}" if scale == -1 else f"{scale} * i{d}"
    return name if not offset else f"{name} + {offset}" if offset > 0 else f"{name} - {-offset}"

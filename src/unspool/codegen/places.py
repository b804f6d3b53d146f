"""What the addresses of a kernel stand for, and the bytes of the buffers behind them."""

from __future__ import annotations

from dataclasses import dataclass

from unspool.codegen.arrays import Array, Call
from unspool.codegen.indices import Shape, size
from unspool.codegen.panels import panel_shape
from unspool.codegen.shares import CREW
from unspool.layout import ArrayType

_COPIED = 2**17  # elements of a matrix

_SKEW = 192  # bytes between buffers, so that the same element of two fields is not in the same set of a cache


def room(t: ArrayType) -> int:
    """Bytes of the buffer of an array, which holds float64 whatever the array is."""
    padded = -(-8 * t.size // 64) * 64 or 64
    return padded if padded < 4096 else padded + _SKEW


@dataclass(frozen=True, slots=True)
class Place:
    """What an address stands for: ``role`` is capture, const, total, scratch, function, or panels of a
    matrix or of its transpose; ``key`` says which."""

    role: str
    key: int | str
    shape: Shape = ()


class Places:
    """The addresses of a kernel that stay the same from step to step, in the order in which they are asked for."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.places: list[Place] = []
        self.calls: list[Call] = []

    def place(self, place: Place) -> int:
        """Where the address stands."""
        if place not in self.places:
            self.places.append(place)
        return self.first + self.places.index(place)

    def scratch(self, name: str, shape: Shape) -> Array:
        """Memory that a kernel has to itself while it runs."""
        return Array(name, shape, self.place(Place("scratch", name, shape)))

    def function(self, name: str) -> int:
        """The place of the address of a library function."""
        return self.place(Place("function", name))

    def panels(self, matrix: Array, *, turned: bool) -> Array | None:
        """The panels of a matrix that stays the same, or of its transpose, made once in a run."""
        known = {self.first + k: place for k, place in enumerate(self.places) if place.role in ("capture", "const")}
        source = known.get(matrix.slot)
        if source is None or size(matrix.shape) > _COPIED or source.shape != matrix.shape:
            return None
        shape = panel_shape(*matrix.shape[:: -1 if turned else 1])
        slot = self.place(
            Place("panels of the transpose" if turned else "panels", f"{source.role} {source.key}", shape)
        )
        return Array(f"{matrix.name}_{'turned' if turned else 'panels'}", shape, slot)

    def call(self, call: Call) -> int:
        """The number of a call of Python."""
        self.calls.append(call)
        return len(self.calls) - 1

    def private(self, name: str, shape: Shape) -> Array:
        """Memory that each thread of a crew has to itself while a kernel runs."""
        return Array(name, shape, self.place(Place("private", name, shape)))

    def crew(self) -> int:
        """The first of four places, one after the other, of what the threads of a crew know."""
        first, *_ = [self.place(Place("crew", name)) for name in CREW]
        return first

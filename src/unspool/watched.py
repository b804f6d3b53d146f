"""Which plain values the step of a loop reads: they may change before it is run again.

A step that is run again must be the same function. Where the values of its state show a difference, it is found there;
but where a factor of zero hides it, only what the step has read can tell.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from os.path import basename
from typing import Any
from zlib import crc32

import numpy as np

from unspool.layout import digest
from unspool.source_line import user_frame

_ROW = 512  # words
_MOST = 4096
_WITHOUT_GAPS = frozenset("?bBhHiIlLqQefdFD")  # types all bits of which are the number
_SMALL = 16384  # bytes: up to here a checksum of all bits is quicker


def bits_of(value: np.ndarray) -> int:
    """A number that changes with any element, and with the order of the elements.

    A large array is looked at twice as fast as memory gives it: the sums of its rows of 512 words and those of its
    columns.
    """
    if value.nbytes <= _SMALL and value.dtype.char in _WITHOUT_GAPS and value.flags.c_contiguous:
        return crc32(value)  # type: ignore[arg-type]
    if value.nbytes <= _SMALL or value.dtype.itemsize not in (8, 16) or value.dtype.kind not in "iufc":
        return digest([value])[0]
    words = np.ascontiguousarray(value).reshape(-1).view(np.uint64)
    n_rows = len(words) // _ROW
    rows = words[: n_rows * _ROW].reshape(n_rows, _ROW)
    found = crc32(rows.sum(axis=1).data)
    return crc32(words[n_rows * _ROW :].data, crc32(rows.sum(axis=0).data, found))


class Reads:
    """What the steps of a loop read when they were run first: a number for each step, and the bits of each array.

    At most 4096 numbers are kept: of a longer loop those of every second step, every fourth, and so on.
    """

    __slots__ = ("_found", "_stride", "bits")

    def __init__(self) -> None:
        self._found = array("q")
        self._stride = 1
        self.bits: dict[int, int] = {}

    def agrees(self, step: int, read: int) -> bool:
        """Whether a step has read what it read before, as far as that is known; the first time it is noted."""
        position, rest = divmod(step, self._stride)
        if rest or position > len(self._found):
            return True
        if position < len(self._found):
            return self._found[position] == read
        self._found.append(read)
        if len(self._found) > _MOST:
            del self._found[1::2]
            self._stride *= 2
        return True


class Watch:
    """Sums up in ``read`` the plain arrays, and numbers of NumPy, that one step combines with traced values.

    With ``places`` it writes down where each of them is read, and whether it is another than in the first sweep.
    """

    __slots__ = ("_reads", "places", "read")

    def __init__(self, reads: Reads, places: list[tuple[str, bool]] | None = None) -> None:
        self.read = 0
        self.places = places
        self._reads = reads

    def note(self, value: Any) -> None:
        """A plain operand."""
        if isinstance(value, np.ndarray):
            bits = bits_of(value)
            if self.places is None:
                self._reads.bits[id(value)] = bits
        else:
            bits = digest([value])[0]
        if self.places is not None:
            self.places.append((_place_of(value), self._reads.bits.get(id(value), bits) != bits))
        self.read = hash((self.read, bits))

    def note_parameters(self, params: dict[str, Any]) -> None:
        """The arrays among the parameters of an operation: indices."""
        for value in params.values():
            for part in value if value.__class__ is tuple else (value,):
                if isinstance(part, np.ndarray):
                    self.note(part)


def _place_of(value: Any) -> str:
    frame = user_frame()
    if frame is None:
        return "a plain value"
    names = [name for space in (frame.f_locals, frame.f_globals) for name, other in space.items() if other is value]
    what = names[0] if names else f"a plain value of shape {np.shape(value)}"
    return f"{what} at {basename(frame.f_code.co_filename)}:{frame.f_lineno}"


def changed(places: Iterable[tuple[str, bool]]) -> str:
    """What a step has read that is another now; all that it has read, where that cannot be told."""
    known = list(places)
    found = dict.fromkeys([place for place, other in known if other] or [place for place, _ in known])
    return ", ".join(found) or "a plain number"

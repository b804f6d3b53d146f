"""Writes into arrays where they lie, and what they overwrote, so that the way back finds every array as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from sys import getrefcount
from typing import Any

import numpy as np

from unspool.ir.listener import Listener, Traced
from unspool.layout import copied
from unspool.ops.index import Index
from unspool.ops.overwrite import reach

Entry = tuple[int, np.ndarray, Index, Any]
"""The number of nodes before a write, the array or view that was written, where, and what was there."""


class Overwritten:
    """The overwritten parts of one tape in order.

    A residual that refers to an array refers to it as it was when its node was recorded. The sweep passes the nodes
    from the last to the first, and before it passes a node it undoes all later writes.
    """

    __slots__ = ("_arrays", "entries")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._arrays: set[int] = set()

    def clear(self) -> None:
        """Forget all of it."""
        self.entries.clear()
        self._arrays.clear()

    def lasting(self, value: Any) -> Any:
        """A value as it will be after the way back: a copy where that would change it."""
        changes = self.entries and isinstance(value, np.ndarray) and id(_owner(value)) in self._arrays
        return value.copy(order="K") if changes else value

    # --- writing ------------------------------------------------------------------------------------------------------
    def write(
        self, handle: Traced, index: Index, value: Any, *, add: bool, anew: bool, position: int | None
    ) -> np.ndarray:
        """Write into the array of a handle, and return the part of it that the handle names.

        With a ``position`` on the tape, what was there is noted if anything may refer to it: O(part). An array that
        other handles may have is left to them, and copied; with ``anew`` nothing of it stays.
        """
        base = handle if handle.base is None else handle.base
        seen = _seen(base, handle)
        room: np.ndarray = base.value
        if seen and (anew or not getattr(base, "owns", False)):
            room = _room_like(room, anew=anew)
        target = room
        if handle is not base:
            named = handle.value
            target = named if named.__class__ is np.ndarray and _owner(named) is room else reach(room, handle.path)
        if position is not None and seen and room is base.value:
            self.entries.append((position, target, index, _taken(target, index)))
            self._arrays.add(id(_owner(target)))
        if add:
            np.add.at(target, index, value)
        else:
            target[index] = value
        base.value, base.owns = room, True
        return target

    # --- the way back -------------------------------------------------------------------------------------------------
    def stretches(self, n_nodes: int, again: list[Entry] | None) -> Iterator[range]:
        """The numbers of so many nodes, from the last to the first, in stretches between which writes are undone.

        ``again`` collects them for `redo`; without it they are undone for good.
        """
        entries, stop = self.entries, n_nodes
        while entries:
            position = entries[-1][0]
            if position < stop:
                yield range(stop - 1, position - 1, -1)
                stop = position
            if again is None:
                _, array, index, part = entries.pop()
                array[index] = part
            else:
                again.append(_swapped(entries.pop()))
        yield range(stop - 1, -1, -1)

    def redo(self, again: list[Entry]) -> None:
        """Carry out again what has been undone."""
        while again:
            self.entries.append(_swapped(again.pop()))

    @contextmanager
    def undone(self, n_nodes: int) -> Iterator[Iterator[range]]:
        """`stretches`, and `redo` in the end."""
        again: list[Entry] = []
        try:
            yield self.stretches(n_nodes, again)
        finally:
            self.redo(again)


def _swapped(entry: Entry) -> Entry:
    position, array, index, part = entry
    now = _taken(array, index)
    array[index] = part
    return position, array, index, now


def _taken(array: np.ndarray, index: Index) -> Any:
    part = array[index]
    return part.copy() if part.__class__ is np.ndarray and part.base is not None else part


def _owner(array: np.ndarray) -> Any:
    return array if array.base is None else array.base


def _count_alone() -> int:
    handle = Traced(np.empty(0), Listener, 0)  # type: ignore[arg-type]
    return getrefcount(handle.value)


_ALONE = _count_alone()
"""How often an array is counted that only one handle has."""


def _seen(base: Traced, handle: Traced) -> bool:
    """Whether anything but these handles may refer to the array of the base: a residual, a view, another handle."""
    if base.value.base is not None or not base.value.flags.writeable:
        return True
    if handle is base or handle.value.__class__ is not np.ndarray or handle.value.base is not base.value:
        return getrefcount(base.value) > _ALONE
    return getrefcount(base.value) > _ALONE + 1 or getrefcount(handle.value) > _ALONE


def _room_like(array: np.ndarray, *, anew: bool) -> np.ndarray:
    contiguous = array.flags.c_contiguous or array.flags.f_contiguous
    return np.empty_like(array) if anew and contiguous else copied(array)

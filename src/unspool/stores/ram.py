"""Snapshots in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unspool.layout import Layout
from unspool.stores.arena import give, take
from unspool.stores.base import Store


class RamStore(Store):
    """Snapshots in flat buffers of one size; the buffer of a dropped snapshot serves the next one, in later runs too.

    >>> store = RamStore(Layout.of([np.zeros(3)]))
    >>> store.put(7, [np.arange(3.0)])
    >>> store.get(7)
    (array([0., 1., 2.]),)
    >>> store.n_bytes
    24
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._held: dict[int, np.ndarray] = {}
        self._free: list[np.ndarray] = []

    @property
    def n_bytes(self) -> int:  # type: ignore[override]
        """The bytes of the snapshots held now; buffers that wait for the next one are not counted."""
        return len(self._held) * self._layout.n_bytes

    def put(self, step: int, arrays: Sequence[np.ndarray]) -> None:
        """Keep a copy of the state at the start of a step."""
        self._held[step] = self._layout.pack(arrays, self._free.pop() if self._free else take(self._layout.n_bytes))

    def get(self, step: int) -> tuple[np.ndarray, ...]:
        """A copy of the state that was put for this step; KeyError if there is none."""
        return tuple([np.array(array) for array in self._layout.unpack(self._held[step])])

    def drop(self, step: int) -> None:
        """Free the snapshot of this step; KeyError if there is none."""
        self._free.append(self._held.pop(step))

    def close(self) -> None:
        """Free everything; the buffers are kept for the next run."""
        give([*self._free, *self._held.values()])
        self._held.clear()
        self._free.clear()

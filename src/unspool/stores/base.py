"""A store keeps the snapshots of one tier."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np


class Store(ABC):
    """Four methods: put, get, drop, close. It returns what it was given, bit for bit, and never aliases."""

    n_bytes: int
    """The bytes that the snapshots held now take."""

    @abstractmethod
    def put(self, step: int, arrays: Sequence[np.ndarray]) -> None:
        """Keep a copy of the state at the start of a step."""

    @abstractmethod
    def get(self, step: int) -> tuple[np.ndarray, ...]:
        """A copy of the state that was put for this step; KeyError if there is none."""

    @abstractmethod
    def drop(self, step: int) -> None:
        """Free the snapshot of this step; KeyError if there is none."""

    @abstractmethod
    def close(self) -> None:
        """Free everything; a closed store holds nothing."""

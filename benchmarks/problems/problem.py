"""What a problem is: a loss as a user writes it, seeded inputs, and the same step for libraries of immutable arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Library:
    """What a translated step takes of an array library: its functions, its constants, and ``a[1:-1, ...] += b``."""

    xp: Any
    array: Callable[[np.ndarray], Any]
    add_inside: Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Scanned:
    """A loop as a scan: its first state, a step ``(state, x) -> (state, y)``, and the loss of the last state and ys.

    ``xs`` are rows that the steps read in turn, or None; y may be None.
    """

    start: Any
    step: Callable[..., Any]
    loss: Callable[[Any, Any], Any]
    xs: Any = None


@dataclass(frozen=True)
class Problem:
    """A loss, the parameters at which it is differentiated, the constants that it reads, and what it is called.

    ``loss(*parameters, policy=..., compile=...)`` runs it with unspool; ``model(library, *parameters)`` is the same
    loop for other libraries. ``options`` say which way of writing it this is. Gradients may differ by ``tolerance`` of
    the largest entry.
    """

    name: str
    title: str
    n_steps: int
    parameters: tuple[np.ndarray, ...]
    constants: dict[str, np.ndarray]
    loss: Callable[..., Any]
    model: Callable[..., Scanned]
    options: dict[str, Any] = field(default_factory=dict)
    tolerance: float = 1e-9

    @property
    def gradient(self) -> Callable[..., Any]:
        """The value and the gradient in all parameters; policy, memory and compile are passed on."""
        import unspool

        return unspool.value_and_grad(self.loss, argnums=tuple(range(len(self.parameters))))


Maker = Callable[..., Problem]


def difference(found: tuple[Any, ...], expected: tuple[Any, ...]) -> float:
    """The largest, over value and gradients, of an error in units of the largest entry."""
    return max(
        float(np.max(np.abs(f - e)) / max(np.max(np.abs(e)), np.finfo(float).tiny))
        for f, e in zip(found, expected, strict=True)
    )

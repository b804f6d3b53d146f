"""Long loops of the sizes that compiled steps are measured on: what ``yardstick.py`` runs.

Beside each stand a gradient by hand in Numba (``rivals/hand``) and JAX programs (``rivals/xla.py``) of the same
numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks.problems.lorenz import lorenz
from benchmarks.problems.network import network
from benchmarks.problems.problem import Problem
from benchmarks.problems.trivial import trivial
from benchmarks.problems.wave import wave


@dataclass(frozen=True)
class Case:
    """A problem of one size, made when it is asked for: ``make(n_steps)``; and what the rivals must know of it."""

    make: Callable[[int], Problem]
    n_steps: int
    options: dict[str, Any] = field(default_factory=dict)

    def problem(self) -> Problem:
        return self.make(self.n_steps)


CASES: dict[str, Case] = {
    **{f"lorenz-{n}": Case(lorenz, n) for n in (10, 10**5, 10**6)},
    **{
        f"wave-{size}-{step}": Case(partial(wave, size=size, step=step), 1000, {"step": step})
        for size in (256, 512)
        for step in ("slices", "zeros", "roll")
    },
    "network-128": Case(network, 2000),
    "trivial-1000000": Case(trivial, 10**6),
}

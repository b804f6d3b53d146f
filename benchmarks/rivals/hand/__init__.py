"""Primal and adjoint of each long loop, written by hand in Numba: what a compiler could reach.

Each is a function of a problem and of a schedule's two numbers, which are those of Revolve(slots, leaf): the binomial
schedule over blocks of ``leaf`` steps. One block of all steps is StoreAll, a slot for each block is two levels. Buffers
are kept between calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.long_loops import COURANT, MARGIN, WEIGHT, H
from benchmarks.problems import Problem
from benchmarks.rivals.hand.lorenz import lorenz
from benchmarks.rivals.hand.network import network
from benchmarks.rivals.hand.trivial import trivial
from benchmarks.rivals.hand.wave import wave


def by_hand(problem: Problem, *, slots: int, leaf: int, step: str = "") -> Callable[[], tuple[Any, ...]]:
    """A function that returns the value and the gradient in each parameter."""
    n, constants = problem.n_steps, problem.constants
    how: dict[str, int] = {"slots": slots, "leaf": leaf}
    if problem.name == "lorenz":
        run = lorenz(n_steps=n, h=H, weight=WEIGHT, **how)
    elif problem.name == "wave":
        run = wave(**constants, periodic=step == "roll", courant=COURANT, margin=MARGIN, **how)
    elif problem.name == "network":
        run = network(**constants, n_steps=n, **how)
    else:
        run = trivial(n_steps=n, **how)
    return lambda: run(*problem.parameters)

"""Primal and adjoint of each loop, written by hand in Numba: what a compiler could reach.

Each is a function of a problem and of a schedule's two numbers, which are those of Revolve(slots, leaf): the binomial
schedule over blocks of ``leaf`` steps. One block of all steps is StoreAll, a slot for each block is two levels. Buffers
are kept between calls. Those that ``yardstick.py`` measures have loops of their own; the others share one (`loop.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.problems.lorenz import WEIGHT, H
from benchmarks.problems.problem import Problem
from benchmarks.problems.wave import COURANT, MARGIN
from benchmarks.rivals.hand import advection, burgers, descent, heat, lorenz, lstm, network, ode, wave
from benchmarks.rivals.hand.loop import Parts, around
from benchmarks.rivals.hand.trivial import trivial

PARTS: dict[str, Callable[[Problem], Parts]] = {
    "lorenz": lorenz.parts,
    "wave": wave.parts,
    "network": network.parts,
    "heat": heat.parts,
    "descent": descent.parts,
    "lax-wendroff": advection.parts,
    "toon": advection.parts,
    "burgers": burgers.parts,
    "ode": ode.parts,
    "lstm": lstm.parts,
}


def by_hand(problem: Problem, *, slots: int, leaf: int, step: str = "") -> Callable[[], tuple[Any, ...]]:
    """A function that returns the value and the gradient in each parameter."""
    n, constants = problem.n_steps, problem.constants
    how: dict[str, int] = {"slots": slots, "leaf": leaf}
    if problem.name == "lorenz":
        run = lorenz.lorenz(n_steps=n, h=H, weight=WEIGHT, **how)
    elif problem.name == "wave":
        run = wave.wave(**constants, periodic=step == "roll", courant=COURANT, margin=MARGIN, **how)
    elif problem.name == "network":
        run = network.network(**constants, n_steps=n, **how)
    elif problem.name == "trivial":
        run = trivial(n_steps=n, **how)
    else:
        return around(PARTS[problem.name](problem), n_steps=n, **how)
    return lambda: run(*problem.parameters)

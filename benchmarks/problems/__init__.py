"""The problems by name, each made for a size: small ones take a second on the tape, large ones are for machine code."""

from __future__ import annotations

import math
from functools import partial

from benchmarks.problems import advection, burgers, descent, heat, lorenz, lstm, network, ode, wave
from benchmarks.problems.problem import Maker, Problem

SIZES = ("small", "medium", "large")

PROBLEMS: dict[str, tuple[Maker, dict[str, dict[str, int]]]] = {
    "lorenz": (lorenz.lorenz, lorenz.SIZES),
    "wave": (wave.wave, wave.SIZES),
    "network": (network.network, network.SIZES),
    "heat": (heat.heat, heat.SIZES),
    "descent": (descent.descent, descent.SIZES),
    "lax-wendroff": (partial(advection.advection, scheme="lax-wendroff"), advection.SIZES),
    "toon": (partial(advection.advection, scheme="toon"), advection.SIZES),
    "burgers": (burgers.burgers, burgers.SIZES),
    "ode": (ode.ode, ode.SIZES),
    "lstm": (lstm.lstm, lstm.SIZES),
}


def made(name: str, size: str) -> Problem:
    """The problem of a name in a size."""
    maker, sizes = PROBLEMS[name]
    return maker(**sizes[size])


def shortened(name: str, size: str) -> Problem:
    """The same with few steps: two segments of those that a policy makes of all."""
    maker, sizes = PROBLEMS[name]
    how = sizes[size]
    return maker(**how | {"n_steps": 2 * root(how["n_steps"])})


def root(n: int) -> int:
    """The length of segments at which as many states are held as steps are recorded."""
    return math.isqrt(n - 1) + 1

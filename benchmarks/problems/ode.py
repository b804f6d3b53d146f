"""The objective `ode` of GradBench, after cmpad: a chain of equations by the classical Runge-Kutta method.

y'[0] = x[0] and y'[i] = x[i] y[i - 1], from zero to time 2; the gradient of the last y in x.
"""

from __future__ import annotations

import numpy as np

import unspool
from benchmarks.problems.problem import Library, Problem, Scanned

END = 2.0

SIZES = {
    "small": {"n_steps": 100, "planned": 100, "size": 16},
    "medium": {"n_steps": 10_000, "planned": 10_000, "size": 64},
    "large": {"n_steps": 10**5, "planned": 10**5, "size": 128},
}


def ode(n_steps: int, planned: int, size: int, seed: int = 0) -> Problem:
    """The gradient in x f64[size], after the first so many of the steps that lead to time 2."""
    x = np.random.default_rng(seed).uniform(0.5, 1.5, size=size)
    h = END / planned

    def loss(x, **how):
        def slope(y):
            out = np.zeros_like(y)
            out[0] = x[0]
            out[1:] = x[1:] * y[:-1]
            return out

        def step(i, y):
            k1 = slope(y)
            k2 = slope(y + h / 2 * k1)
            k3 = slope(y + h / 2 * k2)
            k4 = slope(y + h * k3)
            y += h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            return y

        return unspool.fori_loop(0, n_steps, step, np.zeros(size), **how)[-1]

    def model(library: Library, x) -> Scanned:
        def slope(y):
            return library.xp.concatenate((x[:1], x[1:] * y[:-1]))

        def step(y, _):
            k1 = slope(y)
            k2 = slope(y + h / 2 * k1)
            k3 = slope(y + h / 2 * k2)
            k4 = slope(y + h * k3)
            return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

        return Scanned(library.array(np.zeros(size)), step, lambda y, _: y[-1])

    title = f"GradBench ode, {size} equations, {n_steps:,} RK4 steps"
    return Problem("ode", title, n_steps, (x,), {"h": np.array([h])}, loss, model)

"""Heat in two dimensions with a conductivity that grows with the temperature: the gradient in a field of coefficients.

du/dt = div(k (1 + u²) grad u) by the explicit Euler method; fluxes between neighbours, none across the border.
"""

from __future__ import annotations

import numpy as np

import unspool
from benchmarks.problems.problem import Library, Problem, Scanned

RATE = 0.1
"""Time step over the square of the grid spacing."""

SIZES = {
    "small": {"n_steps": 100, "size": 32},
    "medium": {"n_steps": 1000, "size": 128},
    "large": {"n_steps": 2000, "size": 256},
}


def heat(n_steps: int, size: int, seed: int = 0) -> Problem:
    """The gradient in the first temperature and the coefficient, each f64[size, size]."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    start = np.exp(-((x - 0.4) ** 2 + (y - 0.6) ** 2) / 0.02) + 0.05 * rng.normal(size=(size, size))
    coefficient = 0.5 + 0.3 * x + 0.1 * rng.uniform(size=(size, size))
    target = 0.2 + 0.1 * np.cos(np.pi * x) * np.cos(np.pi * y)

    def loss(start, coefficient, **how):
        def step(i, u):
            k = RATE * coefficient * (1 + u**2)
            down = 0.5 * (k[1:] + k[:-1]) * (u[1:] - u[:-1])
            right = 0.5 * (k[:, 1:] + k[:, :-1]) * (u[:, 1:] - u[:, :-1])
            u[:-1] += down
            u[1:] -= down
            u[:, :-1] += right
            u[:, 1:] -= right
            return u

        u = unspool.fori_loop(0, n_steps, step, start, **how)
        return np.mean((u - target) ** 2)

    def model(library: Library, start, coefficient) -> Scanned:
        xp, rows, columns = library.xp, library.array(np.zeros((1, size))), library.array(np.zeros((size, 1)))

        def step(u, _):
            k = RATE * coefficient * (1 + u**2)
            down = 0.5 * (k[1:] + k[:-1]) * (u[1:] - u[:-1])
            right = 0.5 * (k[:, 1:] + k[:, :-1]) * (u[:, 1:] - u[:, :-1])
            u = u + xp.concatenate((down, rows)) - xp.concatenate((rows, down))
            return u + xp.concatenate((right, columns), 1) - xp.concatenate((columns, right), 1), None

        return Scanned(start, step, lambda u, _: ((u - library.array(target)) ** 2).mean())

    title = f"Nonlinear heat, {size} × {size}, {n_steps:,} Euler steps"
    return Problem("heat", title, n_steps, (start, coefficient), {"target": target}, loss, model)

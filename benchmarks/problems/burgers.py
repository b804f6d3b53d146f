"""The coupled Burgers equations in two dimensions: the gradient in the first velocities and the viscosity.

Central differences and the explicit Euler method; the border keeps its values.
"""

from __future__ import annotations

import numpy as np

import unspool
from benchmarks.problems.problem import Library, Problem, Scanned

ADVECTED, DIFFUSED = 0.05, 0.1
"""Half the time step over the grid spacing, and the time step over its square."""

SIZES = {
    "small": {"n_steps": 100, "size": 32},
    "medium": {"n_steps": 1000, "size": 128},
    "large": {"n_steps": 2000, "size": 256},
}


def burgers(n_steps: int, size: int, seed: int = 0) -> Problem:
    """The gradient in u and v, each f64[size, size], and the viscosity; the loss is the distance to smooth fields."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    noise = 0.05 * rng.normal(size=(2, size, size))
    u = np.sin(np.pi * x) * np.cos(np.pi * y) + noise[0]
    v = np.cos(np.pi * x) * np.sin(np.pi * y) + noise[1]
    target = 0.3 * np.sin(2 * np.pi * (x + y))

    def change(w, u, v, viscosity):
        """Of w in a step, inside."""
        north, south, east, west = w[:-2, 1:-1], w[2:, 1:-1], w[1:-1, 2:], w[1:-1, :-2]
        carried = u[1:-1, 1:-1] * (south - north) + v[1:-1, 1:-1] * (east - west)
        spread = north + south + east + west - 4 * w[1:-1, 1:-1]
        return DIFFUSED * viscosity * spread - ADVECTED * carried

    def loss(u, v, viscosity, **how):
        def step(i, fields):
            u, v = fields
            change_u, change_v = change(u, u, v, viscosity), change(v, u, v, viscosity)
            u[1:-1, 1:-1] += change_u
            v[1:-1, 1:-1] += change_v
            return u, v

        u, v = unspool.fori_loop(0, n_steps, step, (u, v), **how)
        return np.mean((u - target) ** 2 + (v - target) ** 2)

    def model(library: Library, u, v, viscosity) -> Scanned:
        def step(fields, _):
            u, v = fields
            after = (library.add_inside(w, change(w, u, v, viscosity)) for w in fields)
            return tuple(after), None

        def last(fields, _):
            wanted = library.array(target)
            return ((fields[0] - wanted) ** 2 + (fields[1] - wanted) ** 2).mean()

        return Scanned((u, v), step, last)

    title = f"Coupled Burgers, {size} × {size}, {n_steps:,} Euler steps"
    return Problem("burgers", title, n_steps, (u, v, np.array(0.7)), {"target": target}, loss, model)

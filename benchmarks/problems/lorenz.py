"""Lorenz-63 by the classical Runge-Kutta method: three numbers, a long loop, and a term of the loss in every step."""

from __future__ import annotations

import numpy as np

import unspool
from benchmarks.problems.problem import Library, Problem, Scanned

H, WEIGHT = 0.01, 1e-3
"""The time step, and the weight of a step's term in the loss."""

SIZES = {"small": {"n_steps": 1000}, "medium": {"n_steps": 10**5}, "large": {"n_steps": 10**6}}


def lorenz(n_steps: int) -> Problem:
    """The gradient in the state f64[3] and three rates.

    rho is 12, where the flow runs into a fixed point, so that gradients over many steps stay small.
    """

    def slope(u, rates):
        x, y, z = u[0], u[1], u[2]
        return np.stack([rates[0] * (y - x), x * (rates[1] - z) - y, x * y - rates[2] * z])

    def loss(start, rates, **how):
        def step(u, _):
            k1 = slope(u, rates)
            k2 = slope(u + 0.5 * H * k1, rates)
            k3 = slope(u + 0.5 * H * k2, rates)
            k4 = slope(u + H * k3, rates)
            u = u + H / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            return u, WEIGHT * np.sum(u * u)

        u, terms = unspool.scan(step, start, length=n_steps, **how)
        return np.sum(terms) + np.sum(u)

    parameters = np.array([1.0, 1.0, 1.0]), np.array([10.0, 12.0, 8.0 / 3.0])
    return Problem("lorenz", f"Lorenz-63, {n_steps:,} RK4 steps", n_steps, parameters, {}, loss, model)


def model(library: Library, start, rates) -> Scanned:
    """On numbers: JAX and PyTorch are quicker on three numbers than on arrays of three."""
    s, r, b = rates

    def slope(x, y, z):
        return s * (y - x), x * (r - z) - y, x * y - b * z

    def ahead(u, k, h):
        return [a + h * b for a, b in zip(u, k, strict=True)]

    def step(u, _):
        k1 = slope(*u)
        k2 = slope(*ahead(u, k1, 0.5 * H))
        k3 = slope(*ahead(u, k2, 0.5 * H))
        k4 = slope(*ahead(u, k3, H))
        u = [a + H / 6 * (b + 2 * c + 2 * d + e) for a, b, c, d, e in zip(u, k1, k2, k3, k4, strict=True)]
        return u, WEIGHT * (u[0] * u[0] + u[1] * u[1] + u[2] * u[2])

    return Scanned([start[0], start[1], start[2]], step, lambda u, ys: ys.sum() + u[0] + u[1] + u[2])

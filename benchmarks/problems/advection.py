"""Linear advection in one dimension, the benchmark of Adept [H2014]: by Lax and Wendroff, and by Toon's exponentials.

Both write fluxes between the points of a periodic line, q[0] and q[-1] being copies of the points inside.
"""

from __future__ import annotations

import numpy as np

import unspool
from benchmarks.problems.problem import Library, Problem, Scanned

COURANT = 0.125

SIZES = {
    "small": {"n_steps": 200, "size": 100},
    "medium": {"n_steps": 2000, "size": 100},
    "large": {"n_steps": 20_000, "size": 1000},
}
"""The medium one is Adept's."""


def advection(n_steps: int, size: int, *, scheme: str) -> Problem:
    """The gradient in the first q f64[size]; the loss is the squared distance of the last q to a shifted wave."""
    phase = 2 * np.pi * np.arange(size) / (size - 1.5)
    start, target = 1.5 + 0.5 * np.sin(phase), 1.5 + 0.5 * np.sin(phase - 1)

    def loss(start, **how):
        def lax_wendroff(i, q):
            left, right = q[:-1], q[1:]
            flux = 0.5 * COURANT * (left + right + COURANT * (left - right))
            q[1:-1] += flux[:-1] - flux[1:]
            q[0] = q[-2]
            q[-1] = q[1]
            return q

        def toon(i, q):
            left, right = q[:-1], q[1:]
            flux = (np.exp(COURANT * np.log(left / right)) - 1) * left * right / (left - right)
            q[1:-1] += flux[:-1] - flux[1:]
            q[0] = q[-2]
            q[-1] = q[1]
            return q

        step = {"lax-wendroff": lax_wendroff, "toon": toon}[scheme]
        return np.sum((unspool.fori_loop(0, n_steps, step, start, **how) - target) ** 2)

    def model(library: Library, start) -> Scanned:
        xp = library.xp

        def step(q, _):
            left, right = q[:-1], q[1:]
            if scheme == "toon":
                flux = (xp.exp(COURANT * xp.log(left / right)) - 1) * left * right / (left - right)
            else:
                flux = 0.5 * COURANT * (left + right + COURANT * (left - right))
            inner = q[1:-1] + flux[:-1] - flux[1:]
            return xp.concatenate((inner[-1:], inner, inner[:1])), None

        return Scanned(start, step, lambda q, _: ((q - library.array(target)) ** 2).sum())

    title = f"Advection by {scheme}, {size} points, {n_steps:,} steps"
    # where neighbours are nearly equal, Toon's flux is a difference over a difference: in float64 the small problem's
    # gradient is right to 1e-5 or 5e-5, by the tape or by hand, beside one with 40 digits
    tolerance = 1e-3 if scheme == "toon" else 1e-9
    return Problem(scheme, title, n_steps, (start,), {"target": target}, loss, model, tolerance=tolerance)

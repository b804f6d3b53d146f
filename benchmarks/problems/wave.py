"""The 2-D wave equation by leapfrog with a 5-point stencil, and receivers: the gradient in the velocity."""

from __future__ import annotations

import numpy as np

import unspool
from benchmarks.problems.problem import Library, Problem, Scanned

COURANT, MARGIN = 0.4, 10
"""Time step over grid spacing; receivers stand so far from the ends of their row."""

SIZES = {
    "small": {"n_steps": 100, "size": 64},
    "medium": {"n_steps": 1000, "size": 256},
    "large": {"n_steps": 1000, "size": 512},
}


def wave(n_steps: int, size: int, *, step: str = "slices", seed: int = 0) -> Problem:
    """The gradient in the velocity f64[size, size]; the loss is the misfit at a line of receivers in every step.

    ``step`` says how the user writes it: with slices and an addition in place, with slices and zeros around (both have
    a border at which the wave is 0), or with np.roll (periodic).
    """
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    pulse = np.exp(-((x - 0.4) ** 2 + (y - 0.5) ** 2) / 0.01)
    pulse[[0, -1]] = 0
    pulse[:, [0, -1]] = 0
    velocity = 1 + 0.2 * x + 0.05 * rng.normal(size=(size, size))
    data = 0.1 * rng.normal(size=(n_steps, size - 2 * MARGIN))
    row = size // 8

    def loss(velocity, **how):
        factor = (COURANT * velocity) ** 2
        inside = factor[1:-1, 1:-1]

        def slices(fields, _):
            before, now = fields
            after = 2 * now - before
            after[1:-1, 1:-1] += inside * (
                now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2] - 4 * now[1:-1, 1:-1]
            )
            return (now, after), after[row, MARGIN:-MARGIN]

        def zeros(fields, _):
            before, now = fields
            middle = now[1:-1, 1:-1]
            laplacian = now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2] - 4 * middle
            after = np.zeros_like(now)
            after[1:-1, 1:-1] = 2 * middle - before[1:-1, 1:-1] + inside * laplacian
            return (now, after), after[row, MARGIN:-MARGIN]

        def roll(fields, _):
            before, now = fields
            around = (
                np.roll(now, 1, axis=0) + np.roll(now, -1, axis=0) + np.roll(now, 1, axis=1) + np.roll(now, -1, axis=1)
            )
            after = 2 * now - before + factor * (around - 4 * now)
            return (now, after), after[row, MARGIN:-MARGIN]

        body = {"slices": slices, "zeros": zeros, "roll": roll}[step]
        _, seen = unspool.scan(body, (pulse, pulse), length=n_steps, **how)
        return np.sum((seen - data) ** 2)

    def model(library: Library, velocity) -> Scanned:
        """With a fixed border; what is periodic has programs of its own for JAX."""
        start = library.array(pulse)
        inside = ((COURANT * velocity) ** 2)[1:-1, 1:-1]

        def ahead(fields, _):
            before, now = fields
            around = now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2]
            after = library.add_inside(2 * now - before, inside * (around - 4 * now[1:-1, 1:-1]))
            return (now, after), after[row, MARGIN:-MARGIN]

        return Scanned((start, start), ahead, lambda _, seen: ((seen - library.array(data)) ** 2).sum())

    constants = {"pulse": pulse, "data": data}
    title = f"2-D wave by {step}, {size} × {size}, {n_steps:,} leapfrog steps"
    return Problem("wave", title, n_steps, (velocity,), constants, loss, model, {"step": step})

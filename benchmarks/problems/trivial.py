"""A step of two operations on one number: nothing but the loop itself."""

from __future__ import annotations

import numpy as np

import unspool
from benchmarks.problems.problem import Library, Problem, Scanned


def trivial(n_steps: int) -> Problem:
    """The gradient in the number and in both of the step's.

    The factor is 1 - 1e-6, since with 0.999 the gradient over a million steps is less than the least number.
    """

    def loss(start, factor, shift, **how):
        return unspool.fori_loop(0, n_steps, lambda i, u: u * factor + shift, start, **how)

    def model(library: Library, start, factor, shift) -> Scanned:
        return Scanned(start, lambda u, _: (u * factor + shift, None), lambda u, _: u)

    parameters = np.array(0.5), np.array(1 - 1e-6), np.array(1e-6)
    return Problem("trivial", f"u * a + b, {n_steps:,} steps", n_steps, parameters, {}, loss, model)

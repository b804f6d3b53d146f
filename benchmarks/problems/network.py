"""A recurrent network h = tanh(W h + b): a product of a matrix in every step."""

from __future__ import annotations

import numpy as np

import unspool
from benchmarks.problems.problem import Library, Problem, Scanned

SIZES = {
    "small": {"n_steps": 300, "units": 32},
    "medium": {"n_steps": 2000, "units": 128},
    "large": {"n_steps": 10_000, "units": 256},
}


def network(n_steps: int, units: int = 128, seed: int = 0) -> Problem:
    """The gradient in W f64[units, units], b and the first h f64[units]."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(units, units)) / np.sqrt(units)
    bias, start = 0.1 * rng.normal(size=units), rng.normal(size=units)
    target = rng.normal(size=units)

    def loss(weights, bias, start, **how):
        def step(i, h):
            return np.tanh(weights @ h + bias)

        h = unspool.fori_loop(0, n_steps, step, start, **how)
        return np.sum((h - target) ** 2)

    def model(library: Library, weights, bias, start) -> Scanned:
        def step(h, _):
            return library.xp.tanh(weights @ h + bias), None

        return Scanned(start, step, lambda h, _: ((h - library.array(target)) ** 2).sum())

    title = f"Recurrent network, {units} units, {n_steps:,} steps"
    return Problem("network", title, n_steps, (weights, bias, start), {"target": target}, loss, model)

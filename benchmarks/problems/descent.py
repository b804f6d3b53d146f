"""Unrolled gradient descent with momentum on a logistic regression: the gradient in what one sets by hand.

The loss is the error on held-out data after all steps; the parameters are the step size, the momentum, and a penalty
for each weight.
"""

from __future__ import annotations

import numpy as np

import unspool
from benchmarks.problems.problem import Library, Problem, Scanned

DISTANCE = 50.0
"""All step sizes together: so far that the result depends on them still."""

SIZES = {
    "small": {"n_steps": 100, "samples": 64, "weights": 16},
    "medium": {"n_steps": 1000, "samples": 256, "weights": 64},
    "large": {"n_steps": 10_000, "samples": 512, "weights": 128},
}


def descent(n_steps: int, samples: int, weights: int, seed: int = 0) -> Problem:
    """The gradient in the step size and the momentum f64[2], the penalties and the first weights f64[weights]."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=weights)
    inputs, held_out = rng.normal(size=(2, samples, weights)) / np.sqrt(weights)
    labels, expected = (1.0 * (x @ truth + 0.3 * rng.normal(size=samples) > 0) for x in (inputs, held_out))
    settings, penalties = np.array([DISTANCE / n_steps, 0.8]), 0.01 * rng.uniform(0.5, 1.5, size=weights)
    start = 0.1 * rng.normal(size=weights)

    def loss(settings, penalties, start, **how):
        rate, momentum = settings[0], settings[1]

        def step(i, state):
            w, v = state
            errors = 1 / (1 + np.exp(-(inputs @ w))) - labels
            v *= momentum
            v -= rate * (inputs.T @ errors / samples + penalties * w)
            w += v
            return w, v

        w, _ = unspool.fori_loop(0, n_steps, step, (start, np.zeros(weights)), **how)
        scores = held_out @ w
        return np.mean(np.log(1 + np.exp(scores)) - expected * scores)

    def model(library: Library, settings, penalties, start) -> Scanned:
        xp, (x, y, held, wanted) = library.xp, map(library.array, (inputs, labels, held_out, expected))
        rate, momentum = settings[0], settings[1]

        def step(state, _):
            w, v = state
            errors = 1 / (1 + xp.exp(-(x @ w))) - y
            v = momentum * v - rate * (x.T @ errors / samples + penalties * w)
            return (w + v, v), None

        def last(state, _):
            scores = held @ state[0]
            return (xp.log(1 + xp.exp(scores)) - wanted * scores).mean()

        return Scanned((start, library.array(np.zeros(weights))), step, last)

    constants = {"inputs": inputs, "labels": labels, "held_out": held_out, "expected": expected}
    title = f"Unrolled descent, {weights} weights, {samples} samples, {n_steps:,} steps"
    return Problem("descent", title, n_steps, (settings, penalties, start), constants, loss, model)

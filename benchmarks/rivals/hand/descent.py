"""Unrolled descent by hand: two products with the matrix in a step, four in its adjoint, by BLAS."""

from __future__ import annotations

import numpy as np
from numba import njit

from benchmarks.problems.problem import Problem
from benchmarks.rivals.hand.loop import Parts


@njit(error_model="numpy")
def slope(w, data):
    """The gradient of the inner loss at w, into ``g``; the probabilities stay in ``odds``."""
    _, penalties, inputs, transposed, labels, _, _, odds, errors, g = data
    np.dot(inputs, w, odds)
    for i in range(odds.size):
        odds[i] = 1 / (1 + np.exp(-odds[i]))
        errors[i] = (odds[i] - labels[i]) / odds.size
    np.dot(transposed, errors, g)
    for j in range(w.size):
        g[j] += penalties[j] * w[j]


@njit(error_model="numpy")
def ahead(k, after, before, data):
    settings, g = data[0], data[9]
    slope(before[0], data)
    for j in range(g.size):
        after[1, j] = settings[1] * before[1, j] - settings[0] * g[j]
        after[0, j] = before[0, j] + after[1, j]
    return 0.0


@njit(error_model="numpy")
def last(state, ct, data):
    held, expected = data[5], data[6]
    scores = np.dot(held, state[0])
    value = 0.0
    for i in range(scores.size):
        value += np.log(1 + np.exp(scores[i])) - expected[i] * scores[i]
        scores[i] = (1 / (1 + np.exp(-scores[i])) - expected[i]) / scores.size
    ct[0] = np.dot(held.T, scores)
    ct[1] = 0
    return value / scores.size


@njit(error_model="numpy")
def reverse(k, ct, earlier, before, data, sums):
    settings, penalties, inputs, transposed, _, _, _, odds, errors, g = data
    ct_settings, ct_penalties = sums
    slope(before[0], data)
    for j in range(g.size):
        ct_v = ct[0, j] + ct[1, j]
        ct_settings[0] -= g[j] * ct_v
        ct_settings[1] += before[1, j] * ct_v
        earlier[1, j] = settings[1] * ct_v
        g[j] = -settings[0] * ct_v
        ct_penalties[j] += g[j] * before[0, j]
        earlier[0, j] = ct[0, j] + penalties[j] * g[j]
    np.dot(inputs, g, errors)
    for i in range(odds.size):
        errors[i] *= odds[i] * (1 - odds[i]) / odds.size
    np.dot(transposed, errors, g)
    for j in range(g.size):
        earlier[0, j] += g[j]


def parts(problem: Problem) -> Parts:
    """For the loop."""
    settings, penalties, start = problem.parameters
    inputs, labels, held, expected = (
        np.ascontiguousarray(problem.constants[name]) for name in ("inputs", "labels", "held_out", "expected")
    )
    scratch = np.empty_like(labels), np.empty_like(labels), np.empty_like(start)
    data = settings, penalties, inputs, np.ascontiguousarray(inputs.T), labels, held, expected, *scratch
    sums = np.zeros(2), np.zeros_like(penalties)
    first = np.stack([start, np.zeros_like(start)])
    return Parts((ahead, last, reverse), first, data, sums, lambda ct, sums: (*sums, ct[0]))

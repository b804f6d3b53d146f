"""Nonlinear heat by hand: each cell gathers the fluxes of its four neighbours, forwards and backwards.

A neighbour beyond the border is the cell itself: the flux from it is zero, as it should be.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from benchmarks.problems.heat import RATE
from benchmarks.problems.problem import Problem
from benchmarks.rivals.hand.loop import Parts


@njit(error_model="numpy")
def conduct(k, u, coefficient):
    for i in range(u.shape[0]):
        for j in range(u.shape[1]):
            k[i, j] = RATE * coefficient[i, j] * (1 + u[i, j] * u[i, j])


@njit(error_model="numpy", inline="always")
def spread(k, u, i, p, s, j, left, right):
    """What flows into cell (i, j) from rows p and s and from the columns beside it."""
    here, value = k[i, j], u[i, j]
    rows = (k[s, j] + here) * (u[s, j] - value) + (k[p, j] + here) * (u[p, j] - value)
    columns = (k[i, right] + here) * (u[i, right] - value) + (k[i, left] + here) * (u[i, left] - value)
    return 0.5 * (rows + columns)


@njit(error_model="numpy", inline="always")
def ct_of_k(u, ct, i, p, s, j, left, right):
    value, own = u[i, j], ct[i, j]
    rows = (u[s, j] - value) * (own - ct[s, j]) + (u[p, j] - value) * (own - ct[p, j])
    columns = (u[i, right] - value) * (own - ct[i, right]) + (u[i, left] - value) * (own - ct[i, left])
    return 0.5 * (rows + columns)


@njit(error_model="numpy")
def ahead(step, after, u, data):
    coefficient, _, k = data
    n, m = u.shape
    conduct(k, u, coefficient)
    for i in range(n):
        p, s = max(i - 1, 0), min(i + 1, n - 1)
        for j in range(1, m - 1):
            after[i, j] = u[i, j] + spread(k, u, i, p, s, j, j - 1, j + 1)
        after[i, 0] = u[i, 0] + spread(k, u, i, p, s, 0, 0, 1)
        after[i, m - 1] = u[i, m - 1] + spread(k, u, i, p, s, m - 1, m - 2, m - 1)
    return 0.0


@njit(error_model="numpy")
def last(u, ct, data):
    _, target, _ = data
    value = 0.0
    for i in range(u.shape[0]):
        for j in range(u.shape[1]):
            difference = u[i, j] - target[i, j]
            value += difference * difference
            ct[i, j] = 2 * difference / u.size
    return value / u.size


@njit(error_model="numpy", inline="always")
def reverse_cell(ct, earlier, u, coefficient, k, total, i, p, s, j, left, right):
    ct_k = RATE * ct_of_k(u, ct, i, p, s, j, left, right)
    value = u[i, j]
    total[i, j] += ct_k * (1 + value * value)
    # the operator is symmetric: what spreads the temperature spreads the cotangent
    earlier[i, j] = ct[i, j] + spread(k, ct, i, p, s, j, left, right) + ct_k * coefficient[i, j] * 2 * value


@njit(error_model="numpy")
def reverse(step, ct, earlier, u, data, sums):
    coefficient, _, k = data
    total = sums[0]
    n, m = u.shape
    conduct(k, u, coefficient)
    for i in range(n):
        p, s = max(i - 1, 0), min(i + 1, n - 1)
        for j in range(1, m - 1):
            reverse_cell(ct, earlier, u, coefficient, k, total, i, p, s, j, j - 1, j + 1)
        reverse_cell(ct, earlier, u, coefficient, k, total, i, p, s, 0, 0, 1)
        reverse_cell(ct, earlier, u, coefficient, k, total, i, p, s, m - 1, m - 2, m - 1)


def parts(problem: Problem) -> Parts:
    """For the loop."""
    start, coefficient = problem.parameters
    data = coefficient, problem.constants["target"], np.empty_like(start)
    return Parts((ahead, last, reverse), start, data, (np.zeros_like(start),), lambda ct, sums: (ct, sums[0]))

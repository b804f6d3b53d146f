"""The Burgers equations by hand: stencils forwards; backwards the cotangent, and its products with the velocities, are
laid into fields with a margin of zeros, from which each point gathers."""

from __future__ import annotations

import numpy as np
from numba import njit

from benchmarks.problems.burgers import ADVECTED, DIFFUSED
from benchmarks.problems.problem import Problem
from benchmarks.rivals.hand.loop import Parts


@njit(error_model="numpy")
def ahead(k, after, before, data):
    u, v = before[0], before[1]
    n, m = u.shape
    diffused = DIFFUSED * data[0][0]
    after[...] = before
    for f in range(2):
        w, out = before[f], after[f]
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                north, south, east, west = w[i - 1, j], w[i + 1, j], w[i, j + 1], w[i, j - 1]
                carried = u[i, j] * (south - north) + v[i, j] * (east - west)
                out[i, j] += diffused * (north + south + east + west - 4 * w[i, j]) - ADVECTED * carried
    return 0.0


@njit(error_model="numpy")
def last(state, ct, data):
    target = data[1]
    value = 0.0
    for f in range(2):
        for i in range(target.shape[0]):
            for j in range(target.shape[1]):
                difference = state[f, i, j] - target[i, j]
                value += difference * difference
                ct[f, i, j] = 2 * difference / target.size
    return value / target.size


@njit(error_model="numpy")
def reverse(k, ct, earlier, before, data, sums):
    inner, times_u, times_v = data[2], data[3], data[4]
    u, v = before[0], before[1]
    n, m = u.shape
    diffused = DIFFUSED * data[0][0]
    ct_viscosity = 0.0
    for f in range(2):
        w = before[f]
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                own = ct[f, i, j]
                inner[i + 1, j + 1], times_u[i + 1, j + 1], times_v[i + 1, j + 1] = own, own * u[i, j], own * v[i, j]
                ct_viscosity += own * (w[i - 1, j] + w[i + 1, j] + w[i, j + 1] + w[i, j - 1] - 4 * w[i, j])
        for i in range(n):
            a, c = i + 1, earlier[f, i]
            for j in range(m):
                b = j + 1
                around = inner[a - 1, b] + inner[a + 1, b] + inner[a, b - 1] + inner[a, b + 1]
                c[j] = (
                    ct[f, i, j]
                    + diffused * (around - 4 * inner[a, b])
                    + ADVECTED * (times_u[a + 1, b] - times_u[a - 1, b] + times_v[a, b + 1] - times_v[a, b - 1])
                )
    for i in range(1, n - 1):
        for j in range(1, m - 1):
            of_u, of_v = ct[0, i, j], ct[1, i, j]
            earlier[0, i, j] -= ADVECTED * (of_u * (u[i + 1, j] - u[i - 1, j]) + of_v * (v[i + 1, j] - v[i - 1, j]))
            earlier[1, i, j] -= ADVECTED * (of_u * (u[i, j + 1] - u[i, j - 1]) + of_v * (v[i, j + 1] - v[i, j - 1]))
    sums[0][0] += DIFFUSED * ct_viscosity


def parts(problem: Problem) -> Parts:
    """For the loop."""
    u, v, viscosity = problem.parameters
    n, m = u.shape
    data = viscosity.reshape(1), problem.constants["target"], *np.zeros((3, n + 2, m + 2))
    first = np.stack([u, v])
    return Parts((ahead, last, reverse), first, data, (np.zeros(1),), lambda ct, sums: (ct[0], ct[1], sums[0][0]))

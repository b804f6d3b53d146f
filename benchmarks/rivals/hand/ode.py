"""The chain of equations by hand: the stages are computed again on the way back."""

from __future__ import annotations

import numpy as np
from numba import njit

from benchmarks.problems.problem import Problem
from benchmarks.rivals.hand.loop import Parts


@njit(error_model="numpy")
def slope(k, x, y):
    k[0] = x[0]
    for i in range(1, x.size):
        k[i] = x[i] * y[i - 1]


@njit(error_model="numpy")
def stages(y, data):
    """The four slopes, and the points at which they are taken."""
    (x, h, points, slopes) = data
    points[0] = y
    for s in range(4):
        slope(slopes[s], x, points[s])
        if s < 3:
            part = h[0] if s == 2 else 0.5 * h[0]
            for i in range(x.size):
                points[s + 1, i] = y[i] + part * slopes[s, i]


@njit(error_model="numpy")
def ahead(k, after, y, data):
    h, slopes = data[1][0], data[3]
    stages(y, data)
    for i in range(y.size):
        after[i] = y[i] + h / 6 * (slopes[0, i] + 2 * slopes[1, i] + 2 * slopes[2, i] + slopes[3, i])
    return 0.0


@njit(error_model="numpy")
def last(y, ct, data):
    ct[:] = 0
    ct[-1] = 1
    return y[-1]


@njit(error_model="numpy")
def reverse(k, ct, earlier, y, data, sums):
    x, step, points, back = data
    h, total = step[0], sums[0]
    stages(y, data)
    earlier[:] = ct
    for s in range(3, -1, -1):
        weight = h / 3 if 0 < s < 3 else h / 6
        part = 0.0 if s == 3 else (h if s == 2 else 0.5 * h)
        # row s of the slopes, which is not needed any more, takes the cotangent of point s
        for i in range(x.size):
            ct_slope = weight * ct[i] + (part * back[s + 1, i] if s < 3 else 0.0)
            if i == 0:
                total[0] += ct_slope
            else:
                total[i] += ct_slope * points[s, i - 1]
                back[s, i - 1] = x[i] * ct_slope
        back[s, x.size - 1] = 0
        for i in range(x.size):
            earlier[i] += back[s, i]


def parts(problem: Problem) -> Parts:
    """For the loop."""
    (x,) = problem.parameters
    data = x, problem.constants["h"], np.zeros((4, x.size)), np.zeros((4, x.size))
    return Parts((ahead, last, reverse), np.zeros(x.size), data, (np.zeros(x.size),), lambda ct, sums: sums)

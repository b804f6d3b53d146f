"""Lorenz-63 by RK4 with its adjoint by hand in Numba: the states are kept, the stages computed again.

Numbers instead of arrays; products and sums are contracted where the processor can, which a chain of dependent
operations is a fifth faster for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from benchmarks.problems.lorenz import WEIGHT, H
from benchmarks.problems.problem import Problem
from benchmarks.rivals.hand.binomial import room, split
from benchmarks.rivals.hand.loop import Parts

PLAIN = {"error_model": "numpy", "fastmath": {"contract"}}


@njit(**PLAIN)
def slope(x, y, z, s, r, b):
    return s * (y - x), x * (r - z) - y, x * y - b * z


@njit(**PLAIN)
def stages(x, y, z, s, r, b, h):
    """The state after the step, and the points at which the slope was taken after the first."""
    a1, b1, c1 = slope(x, y, z, s, r, b)
    x2, y2, z2 = x + 0.5 * h * a1, y + 0.5 * h * b1, z + 0.5 * h * c1
    a2, b2, c2 = slope(x2, y2, z2, s, r, b)
    x3, y3, z3 = x + 0.5 * h * a2, y + 0.5 * h * b2, z + 0.5 * h * c2
    a3, b3, c3 = slope(x3, y3, z3, s, r, b)
    x4, y4, z4 = x + h * a3, y + h * b3, z + h * c3
    a4, b4, c4 = slope(x4, y4, z4, s, r, b)
    after = (
        x + h / 6 * (a1 + 2 * a2 + 2 * a3) + h / 6 * a4,
        y + h / 6 * (b1 + 2 * b2 + 2 * b3) + h / 6 * b4,
        z + h / 6 * (c1 + 2 * c2 + 2 * c3) + h / 6 * c4,
    )
    return after, (x2, y2, z2), (x3, y3, z3), (x4, y4, z4)


@njit(**PLAIN)
def slope_adjoint(at, s, r, b, da, db, dc):
    x, y, z = at
    return (
        (r - z) * db + y * dc - s * da,
        s * da - db + x * dc,
        -x * db - b * dc,
        (y - x) * da,
        x * db,
        -z * dc,
    )


@njit(**PLAIN)
def reverse(at, ct, ct_p, p, h, weight):
    """The cotangents of the state at the start of a step, from those at its end, and the parameters' with its share."""
    s, r, b = p
    (x, y, z), at2, at3, at4 = stages(at[0], at[1], at[2], s, r, b, h)
    g = h / 6
    dx, dy, dz = ct[0] + 2 * weight * x, ct[1] + 2 * weight * y, ct[2] + 2 * weight * z
    x4, y4, z4, s4, r4, b4 = slope_adjoint(at4, s, r, b, g * dx, g * dy, g * dz)
    x3, y3, z3, s3, r3, b3 = slope_adjoint(at3, s, r, b, 2 * g * dx + h * x4, 2 * g * dy + h * y4, 2 * g * dz + h * z4)
    x2, y2, z2, s2, r2, b2 = slope_adjoint(
        at2, s, r, b, 2 * g * dx + 0.5 * h * x3, 2 * g * dy + 0.5 * h * y3, 2 * g * dz + 0.5 * h * z3
    )
    x1, y1, z1, s1, r1, b1 = slope_adjoint(
        at, s, r, b, g * dx + 0.5 * h * x2, g * dy + 0.5 * h * y2, g * dz + 0.5 * h * z2
    )
    ct = dx + x4 + x3 + x2 + x1, dy + y4 + y3 + y2 + y1, dz + z4 + z3 + z2 + z1  # what is ready first, first
    return ct, (ct_p[0] + s4 + s3 + s2 + s1, ct_p[1] + r4 + r3 + r2 + r1, ct_p[2] + b4 + b3 + b2 + b1)


@njit(**PLAIN)
def gradient(start, rates, n, h, weight, slots, leaf, held, record):
    p = rates[0], rates[1], rates[2]
    s, r, b = p
    starts = np.zeros(slots + 1, np.int64)
    held[0, :] = start
    top, end, seen, value = 0, (n + leaf - 1) // leaf, 0, 0.0
    ct, ct_p = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    while end > 0:
        while True:
            # to the next state that is held, or to the last block, whose states are kept
            begin = starts[top]
            more = end - begin > 1 and top + 1 < slots
            middle = begin + split(end - begin, slots - top) if more else end - 1
            x, y, z = held[top, 0], held[top, 1], held[top, 2]
            first, stop = begin * leaf, middle * leaf
            if first >= seen:
                for _ in range(first, stop):
                    (x, y, z), _, _, _ = stages(x, y, z, s, r, b, h)
                    value += weight * (x * x + y * y + z * z)
                seen = stop
            else:
                for _ in range(first, stop):
                    (x, y, z), _, _, _ = stages(x, y, z, s, r, b, h)
            if not more:
                break
            top += 1
            starts[top] = middle
            held[top, 0], held[top, 1], held[top, 2] = x, y, z
        begin, stop = middle * leaf, min(end * leaf, n)
        if seen < stop:  # the last block of all: to the end of the loop
            for k in range(begin, stop):
                record[k - begin, 0], record[k - begin, 1], record[k - begin, 2] = x, y, z
                (x, y, z), _, _, _ = stages(x, y, z, s, r, b, h)
                value += weight * (x * x + y * y + z * z)
            value += x + y + z
            seen = stop
        else:
            for k in range(begin, stop - 1):
                record[k - begin, 0], record[k - begin, 1], record[k - begin, 2] = x, y, z
                (x, y, z), _, _, _ = stages(x, y, z, s, r, b, h)
            record[stop - 1 - begin, 0], record[stop - 1 - begin, 1], record[stop - 1 - begin, 2] = x, y, z
        for k in range(stop - 1 - begin, -1, -1):
            ct, ct_p = reverse((record[k, 0], record[k, 1], record[k, 2]), ct, ct_p, p, h, weight)
        end -= 1
        if top > 0 and starts[top] == end:
            top -= 1
    return value, np.array(ct), np.array(ct_p)


def lorenz(*, n_steps: int, h: float, weight: float, slots: int, leaf: int) -> Callable[..., tuple[Any, ...]]:
    """A function of the first state and the three rates: the loss and its gradient in both."""
    held, record = room(slots, 3), room(leaf, 3)

    def run(start: np.ndarray, rates: np.ndarray) -> tuple[Any, ...]:
        return gradient(start, rates, n_steps, h, weight, slots, leaf, held, record)

    return run


# --- a step at a time, for a tool that has the loop -------------------------------------------------------------------
@njit(**PLAIN)
def ahead(k, after, before, data):
    p, h, weight = data
    (x, y, z), _, _, _ = stages(before[0], before[1], before[2], p[0], p[1], p[2], h)
    after[0], after[1], after[2] = x, y, z
    return weight * (x * x + y * y + z * z)


@njit(**PLAIN)
def last(state, ct, data):
    ct[:] = 1
    return state[0] + state[1] + state[2]


@njit(**PLAIN)
def reverse_step(k, ct, earlier, before, data, sums):
    p, h, weight = data
    at = before[0], before[1], before[2]
    total = sums[0]
    found, ct_p = reverse(at, (ct[0], ct[1], ct[2]), (total[0], total[1], total[2]), (p[0], p[1], p[2]), h, weight)
    for j in range(3):
        earlier[j], total[j] = found[j], ct_p[j]


def parts(problem: Problem) -> Parts:
    """The loss as it is in the problem, step by step."""
    start, rates = problem.parameters
    data = rates, H, WEIGHT
    return Parts((ahead, last, reverse_step), start, data, (np.zeros(3),), lambda ct, sums: (ct, sums[0]))

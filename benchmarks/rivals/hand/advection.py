"""Both schemes of advection by hand: the fluxes of a line into scratch, then the differences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from benchmarks.problems.advection import COURANT as C
from benchmarks.problems.problem import Problem
from benchmarks.rivals.hand.loop import Parts


@njit(error_model="numpy", inline="always")
def lax_wendroff(left, right):
    return 0.5 * C * (left + right + C * (left - right))


@njit(error_model="numpy", inline="always")
def lax_wendroff_partials(left, right):
    return 0.5 * C * (1 + C), 0.5 * C * (1 - C)


@njit(error_model="numpy", inline="always")
def toon(left, right):
    return (np.exp(C * np.log(left / right)) - 1) * left * right / (left - right)


@njit(error_model="numpy", inline="always")
def toon_partials(left, right):
    power, apart = np.exp(C * np.log(left / right)), left - right
    shared = C * power / apart
    return (
        shared * right - (power - 1) * (right / apart) ** 2,
        (power - 1) * (left / apart) ** 2 - shared * left,
    )


def functions(flux: Any, partials: Any) -> tuple[Any, Any, Any]:
    @njit(error_model="numpy")
    def ahead(k, after, q, data):
        fluxes = data[1]
        n = q.size
        for i in range(n - 1):
            fluxes[i] = flux(q[i], q[i + 1])
        for i in range(1, n - 1):
            after[i] = q[i] + (fluxes[i - 1] - fluxes[i])
        after[0], after[n - 1] = after[n - 2], after[1]
        return 0.0

    @njit(error_model="numpy")
    def last(q, ct, data):
        target = data[0]
        value = 0.0
        for i in range(q.size):
            difference = q[i] - target[i]
            value += difference * difference
            ct[i] = 2 * difference
        return value

    @njit(error_model="numpy")
    def reverse(k, ct, earlier, q, data, sums):
        n = q.size
        ct[n - 2] += ct[0]
        ct[1] += ct[n - 1]
        ct[0] = ct[n - 1] = 0
        to_right = 0.0
        for i in range(n - 1):
            of_left, of_right = partials(q[i], q[i + 1])
            ct_flux = ct[i + 1] - ct[i]
            earlier[i] = ct[i] + to_right + of_left * ct_flux
            to_right = of_right * ct_flux
        earlier[n - 1] = to_right

    return ahead, last, reverse


SCHEMES = {"lax-wendroff": functions(lax_wendroff, lax_wendroff_partials), "toon": functions(toon, toon_partials)}


def parts(problem: Problem) -> Parts:
    """For the loop."""
    (start,) = problem.parameters
    data = problem.constants["target"], np.empty_like(start)
    return Parts(SCHEMES[problem.name], start, data, (np.zeros(1),), lambda ct, sums: (ct,))

"""The wave equation's gradient by hand in Numba: one nopython loop, fused stencils, and no copy of a field but one.

A field u(k) is computed straight into the place where it is wanted. The adjoint of the stencil gathers. ``slots`` and
``leaf`` are those of Revolve(slots, leaf): the binomial schedule over blocks of ``leaf`` steps, whose fields are
computed into one buffer and then reversed. Rows are laid so that column 1, the first that a stencil writes, begins a
cache line: that makes the reverse step a quarter faster than NumPy's own alignment does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from benchmarks.problems.problem import Problem
from benchmarks.problems.wave import COURANT, MARGIN
from benchmarks.rivals.hand.binomial import room, split
from benchmarks.rivals.hand.loop import Parts


# --- fixed border: zeros that stay zeros, so that no cotangent of a border point reaches an inner one -----------------
@njit(error_model="numpy")
def fixed_ahead(after, before, now, factor):
    n, m = now.shape
    for i in range(1, n - 1):
        for j in range(1, m - 1):
            around = now[i + 1, j] + now[i - 1, j] + now[i, j + 1] + now[i, j - 1]
            after[i, j] = 2 * now[i, j] - before[i, j] + factor[i, j] * (around - 4 * now[i, j])


@njit(error_model="numpy")
def fixed_in_place(before, now, factor):
    n, m = now.shape
    for i in range(1, n - 1):
        for j in range(1, m - 1):
            around = now[i + 1, j] + now[i - 1, j] + now[i, j + 1] + now[i, j - 1]
            before[i, j] = 2 * now[i, j] - before[i, j] + factor[i, j] * (around - 4 * now[i, j])


@njit(error_model="numpy")
def fixed_reverse(ct, ct_after, now, factor, ct_factor):
    """The cotangent at the step's first field replaces that at its last, of which ``ct`` held what came from later."""
    n, m = now.shape
    for i in range(1, n - 1):
        for j in range(1, m - 1):
            around = now[i + 1, j] + now[i - 1, j] + now[i, j + 1] + now[i, j - 1]
            ct_factor[i, j] += ct_after[i, j] * (around - 4 * now[i, j])
            spread = (
                factor[i + 1, j] * ct_after[i + 1, j]
                + factor[i - 1, j] * ct_after[i - 1, j]
                + factor[i, j + 1] * ct_after[i, j + 1]
                + factor[i, j - 1] * ct_after[i, j - 1]
            )
            ct[i, j] = 2 * ct_after[i, j] - ct[i, j] + (spread - 4 * (factor[i, j] * ct_after[i, j]))


# --- periodic border --------------------------------------------------------------------------------------------------
@njit(error_model="numpy", inline="always")
def laplacian(above, here, below, j, left, right):
    return above[j] + below[j] + here[left] + here[right] - 4 * here[j]


@njit(error_model="numpy")
def periodic_ahead(after, before, now, factor):
    n, m = now.shape
    for i in range(n):
        above, here, below = now[i - 1 if i > 0 else n - 1], now[i], now[i + 1 if i < n - 1 else 0]
        a, b, f = after[i], before[i], factor[i]
        for j in range(1, m - 1):
            a[j] = 2 * here[j] - b[j] + f[j] * (above[j] + below[j] + here[j - 1] + here[j + 1] - 4 * here[j])
        a[0] = 2 * here[0] - b[0] + f[0] * laplacian(above, here, below, 0, m - 1, 1)
        a[m - 1] = 2 * here[m - 1] - b[m - 1] + f[m - 1] * laplacian(above, here, below, m - 1, m - 2, 0)


@njit(error_model="numpy")
def periodic_in_place(before, now, factor):
    n, m = now.shape
    for i in range(n):
        above, here, below = now[i - 1 if i > 0 else n - 1], now[i], now[i + 1 if i < n - 1 else 0]
        b, f = before[i], factor[i]
        for j in range(1, m - 1):
            b[j] = 2 * here[j] - b[j] + f[j] * (above[j] + below[j] + here[j - 1] + here[j + 1] - 4 * here[j])
        b[0] = 2 * here[0] - b[0] + f[0] * laplacian(above, here, below, 0, m - 1, 1)
        b[m - 1] = 2 * here[m - 1] - b[m - 1] + f[m - 1] * laplacian(above, here, below, m - 1, m - 2, 0)


@njit(error_model="numpy")
def periodic_reverse(ct, ct_after, now, factor, ct_factor):
    n, m = now.shape
    for i in range(n):
        up, down = i - 1 if i > 0 else n - 1, i + 1 if i < n - 1 else 0
        above, here, below = now[up], now[i], now[down]
        la, lh, lb = ct_after[up], ct_after[i], ct_after[down]
        fa, fh, fb = factor[up], factor[i], factor[down]
        c, s = ct[i], ct_factor[i]
        for j in range(1, m - 1):
            s[j] += lh[j] * (above[j] + below[j] + here[j - 1] + here[j + 1] - 4 * here[j])
            spread = fa[j] * la[j] + fb[j] * lb[j] + fh[j - 1] * lh[j - 1] + fh[j + 1] * lh[j + 1]
            c[j] = 2 * lh[j] - c[j] + (spread - 4 * (fh[j] * lh[j]))
        for j, left, right in ((0, m - 1, 1), (m - 1, m - 2, 0)):
            s[j] += lh[j] * laplacian(above, here, below, j, left, right)
            spread = fa[j] * la[j] + fb[j] * lb[j] + fh[left] * lh[left] + fh[right] * lh[right]
            c[j] = 2 * lh[j] - c[j] + (spread - 4 * (fh[j] * lh[j]))


# --- the loop ---------------------------------------------------------------------------------------------------------
def loop(ahead: Any, in_place: Any, reverse: Any) -> Any:
    @njit(error_model="numpy")
    def observe(k, seen, after, row, margin, data, seeds):
        """The misfit of step k, and its cotangent, the first time that the step is run."""
        if k < seen:
            return 0.0
        value = 0.0
        for j in range(data.shape[1]):
            difference = after[row, margin + j] - data[k, j]
            value += difference * difference
            seeds[k, j] = 2 * difference
        return value

    @njit(error_model="numpy")
    def gradient(factor, data, row, margin, slots, leaf, held, record, live, cts, ct_factor, seeds):
        """The loss; its gradient in ``factor`` is in ``ct_factor``. held[0] is u(0), u(0); all else is overwritten."""
        n = data.shape[0]
        blocks = (n + leaf - 1) // leaf
        starts = np.zeros(slots + 1, np.int64)  # by slot, in blocks
        top, end, seen, value = 0, blocks, 0, 0.0
        ct, ct_after = cts[0], cts[1]
        ct[:] = 0
        ct_after[:] = 0
        ct_factor[:] = 0
        while end > 0:
            # hold states on the way to the last block
            while end - starts[top] > 1 and top + 1 < slots:
                begin = starts[top]
                middle = begin + split(end - begin, slots - top)
                before, now = held[2 * top], held[2 * top + 1]
                first, stop = begin * leaf, middle * leaf
                for k in range(first, stop):
                    if k == stop - 1:
                        after = held[2 * top + 3]
                        ahead(after, before, now, factor)
                        if stop - first == 1:
                            held[2 * top + 2, :, :] = now
                    elif k == stop - 2:
                        after = held[2 * top + 2]
                        ahead(after, before, now, factor)
                    elif k < first + 2:
                        after = live[k - first]
                        ahead(after, before, now, factor)
                    else:
                        after = before
                        in_place(after, now, factor)
                    value += observe(k, seen, after, row, margin, data, seeds)
                    before, now = now, after
                seen = max(seen, stop)
                top += 1
                starts[top] = middle
            # from the last state that is held to the last block, whose fields are kept
            first, start, stop = starts[top] * leaf, (end - 1) * leaf, min(end * leaf, n)
            before, now = held[2 * top], held[2 * top + 1]
            for k in range(first, start):
                if k < first + 2:
                    after = live[k - first]
                    ahead(after, before, now, factor)
                else:
                    after = before
                    in_place(after, now, factor)
                value += observe(k, seen, after, row, margin, data, seeds)
                before, now = now, after
            beginning = now
            for k in range(start, stop if seen < stop else stop - 1):
                after = record[k - start]
                ahead(after, before, now, factor)
                value += observe(k, seen, after, row, margin, data, seeds)
                before, now = now, after
            seen = max(seen, stop)
            for k in range(stop - 1, start - 1, -1):
                for j in range(data.shape[1]):
                    ct_after[row, margin + j] += seeds[k, j]
                reverse(ct, ct_after, record[k - start - 1] if k > start else beginning, factor, ct_factor)
                ct, ct_after = ct_after, ct
            end -= 1
            if top > 0 and starts[top] == end:
                top -= 1
        return value

    return gradient


FIXED = loop(fixed_ahead, fixed_in_place, fixed_reverse)
PERIODIC = loop(periodic_ahead, periodic_in_place, periodic_reverse)


def wave(
    *, pulse: np.ndarray, data: np.ndarray, periodic: bool, courant: float, margin: int, slots: int, leaf: int
) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """A function of the velocity: the loss and its gradient."""
    n = len(pulse)
    held, record, live, cts, factors = (room(count, n, n, column=1) for count in (2 * slots, leaf, 2, 2, 2))
    factor, ct_factor = factors
    seeds = np.empty_like(data)
    run = PERIODIC if periodic else FIXED

    def gradient(velocity: np.ndarray) -> tuple[float, np.ndarray]:
        scaled = courant * velocity
        np.multiply(scaled, scaled, out=factor)
        if not periodic:
            factor[[0, -1]] = 0
            factor[:, [0, -1]] = 0
        held[0], held[1] = pulse, pulse
        value = run(factor, data, n // 8, margin, slots, leaf, held, record, live, cts, ct_factor, seeds)
        return value, 2 * courant * scaled * ct_factor

    return gradient


# --- a step at a time, for a tool that has the loop -------------------------------------------------------------------
@njit(error_model="numpy")
def ahead(k, after, before, data):
    factor, seen = data
    after[0] = before[1]
    fixed_ahead(after[1], before[0], before[1], factor)
    row, value = factor.shape[0] // 8, 0.0
    for j in range(seen.shape[1]):
        difference = after[1, row, MARGIN + j] - seen[k, j]
        value += difference * difference
    return value


@njit(error_model="numpy")
def last(state, ct, data):
    ct[...] = 0
    return 0.0


@njit(error_model="numpy")
def reverse(k, ct, earlier, before, data, sums):
    factor, seen = data
    now, row = before[1], factor.shape[0] // 8
    for j in range(seen.shape[1]):
        i, c = row, MARGIN + j
        around = now[i + 1, c] + now[i - 1, c] + now[i, c + 1] + now[i, c - 1]
        after = 2 * now[i, c] - before[0, i, c] + factor[i, c] * (around - 4 * now[i, c])
        ct[1, i, c] += 2 * (after - seen[k, j])
    earlier[0], earlier[1] = -ct[1], -ct[0]
    fixed_reverse(earlier[1], ct[1], now, factor, sums[0])


def parts(problem: Problem) -> Parts:
    """The loss as it is in the problem, step by step, with a fixed border."""
    (velocity,), pulse = problem.parameters, problem.constants["pulse"]
    factor = (COURANT * velocity) ** 2
    factor[[0, -1]] = 0
    factor[:, [0, -1]] = 0
    data = factor, problem.constants["data"]

    def gradient(ct: np.ndarray, sums: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        return (2 * COURANT**2 * velocity * sums[0],)

    start = np.stack([pulse, pulse])
    return Parts((ahead, last, reverse), start, data, (np.zeros_like(factor),), gradient)

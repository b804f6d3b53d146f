"""The recurrent network's gradient by hand in Numba: states stored, and one matrix product for many steps.

Both matrix-vector products run along rows that lie together, of the weights and of their transpose, which is made once
a call; BLAS takes 1.0 µs for 128 units, this 0.65. The cotangents before tanh are gathered in a matrix, and BLAS
multiplies it by that of the states. ``tanh`` has no branch, so that it vectorises: within 2 ulp.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from benchmarks.problems.problem import Problem
from benchmarks.rivals.hand.binomial import room, split
from benchmarks.rivals.hand.loop import Parts

BATCH = 256
"""Steps that one matrix product takes together."""

ROUNDER = 1.5 * 2**52
LOG2_E = 1 / np.log(2)
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10


@intrinsic
def bits_of(_: Any, x: Any) -> Any:
    return types.int64(types.float64), lambda context, builder, sig, args: builder.bitcast(args[0], ir.IntType(64))


@intrinsic
def number_of(_: Any, bits: Any) -> Any:
    return types.float64(types.int64), lambda context, builder, sig, args: builder.bitcast(args[0], ir.DoubleType())


@njit(error_model="numpy")
def tanh(x):
    """-expm1(y) / (expm1(y) + 2) for y = -2 |x|, where expm1(y) = 2^k expm1(r) + (2^k - 1) and |r| <= ln(2) / 2."""
    y = -2 * abs(x)
    y = -40.0 if y < -40.0 else y
    shifted = y * LOG2_E + ROUNDER  # its lowest bits are k
    k = shifted - ROUNDER
    power = number_of((bits_of(shifted) + 1023) << 52)
    r = (y - k * LN2_HIGH) - k * LN2_LOW
    p = 1 / 6227020800.0
    p = p * r + 1 / 479001600.0
    p = p * r + 1 / 39916800.0
    p = p * r + 1 / 3628800.0
    p = p * r + 1 / 362880.0
    p = p * r + 1 / 40320.0
    p = p * r + 1 / 5040.0
    p = p * r + 1 / 720.0
    p = p * r + 1 / 120.0
    p = p * r + 1 / 24.0
    p = p * r + 1 / 6.0
    p = p * r + 1 / 2.0
    e = power * (r + r * r * p) + (power - 1)
    return np.copysign(-e / (e + 2), x)


@njit(error_model="numpy", fastmath={"contract", "reassoc"})
def times(matrix, vector, out):
    for i in range(out.size):
        total = 0.0
        for j in range(vector.size):
            total += matrix[i, j] * vector[j]
        out[i] = total


@njit(error_model="numpy")
def ahead(after, weights, bias, h):
    times(weights, h, after)
    for i in range(after.size):
        after[i] = tanh(after[i] + bias[i])


@njit(error_model="numpy")
def gradient(weights, transposed, bias, start, target, n, slots, leaf, held, record, live, inner, states, ct, ct_w):
    """The loss and the cotangent of the bias; ``ct`` and ``ct_w`` receive those of the first state and the weights."""
    starts = np.zeros(slots + 1, np.int64)
    held[0, :] = start
    ct_w[:] = 0
    ct_bias = np.zeros_like(bias)
    top, end, gathered, value = 0, (n + leaf - 1) // leaf, 0, 0.0
    turned = False
    while end > 0:
        while end - starts[top] > 1 and top + 1 < slots:
            begin = starts[top]
            middle = begin + split(end - begin, slots - top)
            h = held[top]
            for k in range(begin * leaf, middle * leaf):
                after = held[top + 1] if k == middle * leaf - 1 else live[k % 2]
                ahead(after, weights, bias, h)
                h = after
            top += 1
            starts[top] = middle
        begin, stop = (end - 1) * leaf, min(end * leaf, n)
        h = held[top]
        for k in range(starts[top] * leaf, begin):
            after = live[k % 2]
            ahead(after, weights, bias, h)
            h = after
        record[0, :] = h
        for k in range(begin, stop):
            ahead(record[k - begin + 1], weights, bias, record[k - begin])
        if not turned:
            turned = True
            for i in range(ct.size):
                difference = record[stop - begin, i] - target[i]
                value += difference * difference
                ct[i] = 2 * difference
        for k in range(stop - 1, begin - 1, -1):
            h, after = record[k - begin], record[k - begin + 1]
            for i in range(ct.size):
                ct_inner = ct[i] * (1 - after[i] * after[i])
                inner[gathered, i] = ct_inner
                ct_bias[i] += ct_inner
                states[gathered, i] = h[i]
            times(transposed, inner[gathered], ct)
            gathered += 1
            if gathered == BATCH or k == 0:
                ct_w += np.dot(inner[:gathered].T, states[:gathered])
                gathered = 0
        end -= 1
        if top > 0 and starts[top] == end:
            top -= 1
    return value, ct_bias


def network(*, target: np.ndarray, n_steps: int, slots: int, leaf: int) -> Callable[..., tuple[Any, ...]]:
    """A function of the weights, the bias and the first state: the loss and its gradient in the three."""
    units = len(target)
    held, record, live = room(slots, units), room(leaf + 1, units), room(2, units)
    inner, states = room(BATCH, units), room(BATCH, units)
    aligned, transposed, ct_w = room(units, units), room(units, units), room(units, units)
    ct = room(units)

    def run(weights: np.ndarray, bias: np.ndarray, start: np.ndarray) -> tuple[Any, ...]:
        aligned[...], transposed[...] = weights, weights.T
        value, ct_bias = gradient(
            aligned, transposed, bias, start, target, n_steps, slots, leaf,
            held, record, live, inner, states, ct, ct_w,
        )  # fmt: skip
        return value, ct_w.copy(), ct_bias, ct.copy()

    return run


# --- a step at a time, for a tool that has the loop -------------------------------------------------------------------
@njit(error_model="numpy")
def ahead_step(k, after, before, data):
    ahead(after, data[0], data[2], before)
    return 0.0


@njit(error_model="numpy")
def last(h, ct, data):
    target, value = data[3], 0.0
    for i in range(h.size):
        difference = h[i] - target[i]
        value += difference * difference
        ct[i] = 2 * difference
    return value


@njit(error_model="numpy")
def reverse_step(k, ct, earlier, before, data, sums):
    weights, transposed, bias, _, after = data
    ct_weights, ct_bias = sums
    ahead(after, weights, bias, before)
    for i in range(ct.size):
        after[i] = ct[i] * (1 - after[i] * after[i])
        ct_bias[i] += after[i]
        for j in range(ct.size):
            ct_weights[i, j] += after[i] * before[j]
    times(transposed, after, earlier)


def parts(problem: Problem) -> Parts:
    """The loss as it is in the problem, step by step."""
    weights, bias, start = problem.parameters
    data = weights, np.ascontiguousarray(weights.T), bias, problem.constants["target"], np.empty_like(bias)
    sums = np.zeros_like(weights), np.zeros_like(bias)
    return Parts((ahead_step, last, reverse_step), start, data, sums, lambda ct, sums: (*sums, ct))

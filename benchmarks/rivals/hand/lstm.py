"""The stack of memory cells by hand: the gates are computed again on the way back."""

from __future__ import annotations

import numpy as np
from numba import njit

from benchmarks.problems.problem import Problem
from benchmarks.rivals.hand.loop import Parts


@njit(error_model="numpy", inline="always")
def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@njit(error_model="numpy")
def cells(k, after, before, data):
    """The state after the step; gates[l] are those of layer l and tanh of its memory, xs[l] what it is given."""
    main, extra, sequence, xs, gates = data[0], data[1], data[2], data[3], data[4]
    bits = extra.shape[1]
    for j in range(bits):
        xs[0, j] = sequence[k, j] * extra[0, j]
    for layer in range(gates.shape[0]):
        w, b, gate = main[2 * layer], main[2 * layer + 1], gates[layer]
        hidden, memory = before[2 * layer], before[2 * layer + 1]
        for j in range(bits):
            x, h = xs[layer, j], hidden[j]
            forget = sigmoid(x * w[j] + b[j])
            take = sigmoid(h * w[bits + j] + b[bits + j])
            give = sigmoid(x * w[2 * bits + j] + b[2 * bits + j])
            change = np.tanh(h * w[3 * bits + j] + b[3 * bits + j])
            after[2 * layer + 1, j] = memory[j] * forget + take * change
            bounded = np.tanh(after[2 * layer + 1, j])
            after[2 * layer, j] = xs[layer + 1, j] = give * bounded
            gate[0, j], gate[1, j], gate[2, j], gate[3, j], gate[4, j] = forget, take, give, change, bounded


@njit(error_model="numpy")
def ahead(k, after, before, data):
    extra, sequence, xs = data[1], data[2], data[3]
    bits = extra.shape[1]
    cells(k, after, before, data)
    wanted, x = sequence[k + 1], xs[-1]
    total, hit, count = 2.0, 0.0, 0.0
    for j in range(bits):
        predicted = x[j] * extra[1, j] + extra[2, j]
        total += np.exp(predicted)
        hit += wanted[j] * predicted
        count += wanted[j]
    return -(hit - count * np.log(total)) / ((sequence.shape[0] - 1) * bits)


@njit(error_model="numpy")
def last(state, ct, data):
    ct[...] = 0
    return 0.0


@njit(error_model="numpy")
def reverse(k, ct, earlier, before, data, sums):
    main, extra, sequence, xs, gates, scratch = data
    ct_main, ct_extra = sums
    bits = extra.shape[1]
    cells(k, scratch, before, data)
    wanted, x = sequence[k + 1], xs[-1]
    ct_x = scratch[0]  # the state after the step is not needed
    total, count = 2.0, 0.0
    for j in range(bits):
        ct_x[j] = np.exp(x[j] * extra[1, j] + extra[2, j])
        total += ct_x[j]
        count += wanted[j]
    for j in range(bits):
        ct_p = (count * ct_x[j] / total - wanted[j]) / ((sequence.shape[0] - 1) * bits)
        ct_extra[1, j] += ct_p * x[j]
        ct_extra[2, j] += ct_p
        ct_x[j] = ct_p * extra[1, j]
    for layer in range(gates.shape[0] - 1, -1, -1):
        w, gate = main[2 * layer], gates[layer]
        ct_w, ct_b = ct_main[2 * layer], ct_main[2 * layer + 1]
        hidden, memory, given = before[2 * layer], before[2 * layer + 1], xs[layer]
        for j in range(bits):
            forget, take, give, change, bounded = gate[0, j], gate[1, j], gate[2, j], gate[3, j], gate[4, j]
            ct_h = ct[2 * layer, j] + ct_x[j]
            ct_memory = ct[2 * layer + 1, j] + ct_h * give * (1 - bounded * bounded)
            earlier[2 * layer + 1, j] = ct_memory * forget
            before_forget = ct_memory * memory[j] * forget * (1 - forget)
            before_take = ct_memory * change * take * (1 - take)
            before_give = ct_h * bounded * give * (1 - give)
            before_change = ct_memory * take * (1 - change * change)
            ct_w[j] += before_forget * given[j]
            ct_w[bits + j] += before_take * hidden[j]
            ct_w[2 * bits + j] += before_give * given[j]
            ct_w[3 * bits + j] += before_change * hidden[j]
            ct_b[j] += before_forget
            ct_b[bits + j] += before_take
            ct_b[2 * bits + j] += before_give
            ct_b[3 * bits + j] += before_change
            ct_x[j] = before_forget * w[j] + before_give * w[2 * bits + j]
            earlier[2 * layer, j] = before_take * w[bits + j] + before_change * w[3 * bits + j]
    for j in range(bits):
        ct_extra[0, j] += ct_x[j] * sequence[k, j]


def parts(problem: Problem) -> Parts:
    """For the loop."""
    main, extra = problem.parameters
    first, sequence = problem.constants["state"], problem.constants["sequence"]
    layers, bits = len(first) // 2, first.shape[1]
    data = main, extra, sequence, np.zeros((layers + 1, bits)), np.zeros((layers, 5, bits)), np.zeros_like(first)
    sums = np.zeros_like(main), np.zeros_like(extra)
    return Parts((ahead, last, reverse), first, data, sums, lambda ct, sums: sums)

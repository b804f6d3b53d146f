"""The objective `lstm` of GradBench, after ADBench: a stack of memory cells with diagonal weights over a sequence.

Row 2 l of the main parameters holds the weights of cell l, row 2 l + 1 the biases, each for the four gates; rows of the
state are hidden values and cells in turn. The prediction of the next row goes through a softmax with 2 in its sum.
"""

from __future__ import annotations

import numpy as np

import unspool
from benchmarks.problems.problem import Library, Problem, Scanned

BITS = 14

SIZES = {
    "small": {"n_steps": 63, "layers": 2},
    "medium": {"n_steps": 1023, "layers": 2},
    "large": {"n_steps": 4095, "layers": 4},
}


def lstm(n_steps: int, layers: int, bits: int = BITS, seed: int = 0) -> Problem:
    """The gradient in the main parameters f64[2 layers, 4 bits] and the extra ones f64[3, bits]."""
    rng = np.random.default_rng(seed)
    main = rng.normal(size=(2 * layers, 4 * bits))
    extra = rng.normal(size=(3, bits))
    first = rng.normal(size=(2 * layers, bits))
    sequence = 1.0 * (rng.uniform(size=(n_steps + 1, bits)) < 0.3)

    def sigmoid(x, exp):
        return 1 / (1 + exp(-x))

    def cell(weights, biases, hidden, memory, x, xp):
        """The new hidden values and memory of one layer."""
        gates = [slice(k * bits, (k + 1) * bits) for k in range(4)]
        w, b = [weights[gate] for gate in gates], [biases[gate] for gate in gates]
        forget = sigmoid(x * w[0] + b[0], xp.exp)
        take = sigmoid(hidden * w[1] + b[1], xp.exp)
        give = sigmoid(x * w[2] + b[2], xp.exp)
        memory = memory * forget + take * xp.tanh(hidden * w[3] + b[3])
        return give * xp.tanh(memory), memory

    def loss(main, extra, **how):
        def step(state, rows):
            x, wanted = rows
            x = x * extra[0]
            for k in range(0, 2 * layers, 2):
                state[k], state[k + 1] = cell(main[k], main[k + 1], state[k], state[k + 1], x, np)
                x = state[k]
            predicted = x * extra[1] + extra[2]
            return state, np.sum(wanted * (predicted - np.log(np.sum(np.exp(predicted)) + 2)))

        _, terms = unspool.scan(step, first, (sequence[:-1], sequence[1:]), **how)
        return -np.sum(terms) / (n_steps * bits)

    def model(library: Library, main, extra) -> Scanned:
        xp = library.xp

        def step(state, rows):
            x, wanted = rows
            x, after = x * extra[0], []
            for k in range(0, 2 * layers, 2):
                after += cell(main[k], main[k + 1], state[k], state[k + 1], x, xp)
                x = after[k]
            predicted = x * extra[1] + extra[2]
            return after, (wanted * (predicted - xp.log(xp.exp(predicted).sum() + 2))).sum()

        rows = library.array(sequence)
        start = [library.array(row) for row in first]
        return Scanned(start, step, lambda _, ys: -ys.sum() / (n_steps * bits), (rows[:-1], rows[1:]))

    title = f"GradBench lstm, {layers} layers of {bits}, {n_steps:,} steps"
    constants = {"state": first, "sequence": sequence}
    return Problem("lstm", title, n_steps, (main, extra), constants, loss, model)

"""The text of loop nests, carried out as plain Python, means what the program means."""

from __future__ import annotations

from typing import Any

import numpy as np

import unspool.numpy as unp
from tests.codegen.plain import agree
from unspool import grad, scan

U = np.sin(np.arange(60.0))


# --- zeros outside of a block -----------------------------------------------------------------------------------------
def test_what_lies_outside_of_a_block_is_zero_in_boxes_and_in_strips() -> None:
    """-0.0 where it is negated, and in every kernel: the one that records has other boxes than the other."""

    def loss(a: Any, b: Any, weights: Any, **options: Any) -> Any:
        def step(s: Any, _: Any) -> Any:
            a, b = s
            block = grad(lambda x: np.sum(x[7:-7] ** 2))(b)
            rolled = np.exp(np.tanh(np.sin(np.roll(a, 3)))) * np.sum(b * b) * 0.01
            return (-block * weights, rolled), a * 1.0

        (a, b), ys = scan(step, (a, b), None, 4, **options)
        signs = np.where(np.isnan(ys), 3.0, np.copysign(1.0, ys))
        return np.sum(signs * ys) + np.sum(signs * np.arange(60.0)) + np.sum(b)

    agree(loss, U, np.cos(U), np.ones(60))
    agree(loss, U, np.cos(U), np.where(np.arange(60) == 2, np.inf, 1.0))


def test_a_block_in_an_array_of_negative_zeros() -> None:
    def loss(u: Any, **options: Any) -> Any:
        def step(u: Any, _: Any) -> Any:
            w = -unp.zeros(60)
            w[1:3] = u[5:7]
            w[4:6] = u[8:10]
            return u * 0.9, np.copysign(1.0, w)

        u, ys = scan(step, u, None, 3, **options)
        return np.sum(u) + np.sum(ys * np.arange(60.0))

    agree(loss, U)

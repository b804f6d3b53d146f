"""Sums and extrema in kernels: one order, whatever stands around them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.codegen.kernels import Carried, check, program_of
from tests.oracles import same_bits
from unspool.codegen.reductions import LANES

U = np.sin(np.arange(60.0))
W = np.cos(np.arange(400.0)).reshape(20, 20)


def _in_lanes(values: np.ndarray) -> float:
    """The sum of a vector in the order that a kernel has."""
    width = min(LANES, 1 << max(0, len(values) - 1).bit_length())
    lanes = [0.0] * width
    for k, value in enumerate(values.tolist()):
        lanes[k % width] += value
    while width > 1:
        width //= 2
        lanes = [lanes[k] + lanes[k + width] for k in range(width)]
    return lanes[0]


@pytest.mark.parametrize("n", [17, 33, 63, 64, 65, 127, 128, 200, 513])
def test_a_sum_has_one_order_however_it_is_asked_for(n: int) -> None:
    u = np.sin(np.arange(float(n))) * 10.0 ** (np.arange(n) % 9)
    expected = _in_lanes(u)
    (found,) = Carried(program_of(np.sum, u)).run(u)
    assert found == expected
    several = Carried(program_of(lambda u: (np.sum(u * 1.5), np.sum(u), np.sum(np.stack([u, u]), axis=1)), u)).run(u)
    assert several[1] == expected
    assert same_bits([*several[2]], [np.float64(expected)] * 2)
    (rows,) = Carried(program_of(lambda m: np.sum(m, axis=0), W)).run(W)
    total = np.zeros(20)
    for row in W:
        total = total + row
    assert same_bits(rows, total)


AXES = [None, 0, 1, 2, -1, (0, 1), (0, 2), (1, 2), (0, 1, 2), ()]


@pytest.mark.parametrize("axis", AXES, ids=str)
def test_reductions_over_any_axes(axis: Any) -> None:
    u = np.sin(np.arange(5 * 4 * 70.0)).reshape(5, 4, 70)
    for keepdims in (False, True):
        check(lambda u, k=keepdims: np.sum(np.cos(u) * u, axis=axis, keepdims=k), u)
        check(lambda u, k=keepdims: np.max(u, axis=axis, keepdims=k) - np.min(u * 2, axis=axis, keepdims=k), u)
    for special in (np.nan, np.inf, -np.inf):
        v = u.copy()
        v[1, 2, 3] = special
        check(lambda u: (np.max(u, axis=axis), np.min(u, axis=axis), np.sum(u, axis=axis)), v)
    check(lambda u: np.max(u, axis=axis), np.full((5, 4, 70), -np.inf))


def test_what_is_summed_may_be_read_through_slices_and_blocks() -> None:
    check(lambda u: np.sum(u[::2, 1:] * u[1::2, :-1], axis=1), W)
    check(lambda u: np.sum(np.pad(u[3:7, 3:7] * 2, 4) * u[:12, :12]), W)
    check(lambda u: np.sum(np.concatenate([u, u * u], axis=1), axis=1, keepdims=True) * u, W)
    check(lambda u: np.sum(np.roll(u, 3)[:, None] * u, axis=0), U)

"""Elements picked by position: values, derivatives, repeated positions, positions that are computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError
from unspool.ir.evaluate import evaluate
from unspool.layout import ArrayType
from unspool.tracer import trace

X, V = some(3, 4), some(5)


@pytest.mark.parametrize("indices", [1, [0, 2, 0], np.array([[1, -1], [0, 0]]), np.array([], int)])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_take(indices: Any, axis: Any) -> None:
    agrees(lambda x: np.take(x, indices, axis), X)
    agrees(lambda x: np.take(x, indices, axis=axis), complex_some(3, 4))


@pytest.mark.parametrize("mode", ["wrap", "clip"])
def test_take_out_of_bounds(mode: str) -> None:
    agrees(lambda x: np.take(x, [-7, 2, 9], mode=mode), V)
    with pytest.raises(IndexError):
        unspool.vjp(lambda x: np.take(x, [9]), V)
    with pytest.raises(ValueError, match="clipmode"):
        unspool.vjp(lambda x: np.take(x, [9], mode="other"), V)


def test_take_along_axis() -> None:
    order = np.argsort(X, axis=1)
    agrees(lambda x: np.take_along_axis(x, order, 1), X)
    agrees(lambda x: np.take_along_axis(x, order[:, :2], axis=1), X)
    agrees(lambda x: np.take_along_axis(x, np.array([[0, 0, 1, 2]]), axis=0), X)
    agrees(lambda x: np.take_along_axis(x, np.array([7, 0, 7]), axis=None), X)
    agrees(lambda x: np.take_along_axis(x, np.argsort(x, axis=0), axis=0) ** 2, X)


def test_positions_may_be_computed_in_a_program() -> None:
    def f(x: Any) -> Any:
        order = np.argsort(x)
        return np.take(x * x, order), np.take_along_axis(x, order, 0), np.take(x[:, None] * [1.0, 2.0], order, axis=0)

    program = trace(f, ArrayType.of(V))
    for x in (V, -V):
        for found, expected in zip(evaluate(program, x), f(x), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_compress_extract_choose() -> None:
    agrees(lambda x: np.compress([True, False, True], x, axis=0), X)
    agrees(lambda x: np.compress([0, 1, 1], x), X)
    agrees(lambda x: np.extract(X > 0, x), X)
    agrees(lambda x: np.extract(x > 0, x), X)
    agrees(lambda x, y: np.choose([[0, 1, 1, 0]], [x, y]), X, some(4, turn=0.3))
    agrees(lambda x: np.choose([3, -1, 0, 1], [x, x * x], mode="wrap"), X)
    agrees(lambda x: np.choose([3, -1, 0, 1], [x, x * x], mode="clip"), X)
    with pytest.raises(ValueError, match="choice"):
        unspool.vjp(lambda x: np.choose([3, 0, 0, 1], [x, x]), X)


def test_delete_and_insert() -> None:
    for obj in (1, [0, 2], slice(0, 3, 2), np.array([True, False, True])):
        agrees(lambda x, o=obj: np.delete(x, o, axis=0), X)
    agrees(lambda x: np.delete(x, 5), X)
    agrees(lambda x: np.insert(x, 2, 7.0), V)
    agrees(lambda x, y: np.insert(x, [1, 3], y), V, some(2))
    agrees(lambda x, y: np.insert(x, 1, y), V, some(3))
    agrees(lambda x, y: np.insert(x, 1, y, axis=1), X, some(3))
    agrees(lambda x, y: np.insert(x, [1], y, axis=1), X, some(3, 1))
    agrees(lambda x, y: np.insert(x, [0, 3], y, axis=0), X, some(2, 4))
    agrees(lambda x, y: np.insert(x, slice(0, 2), y, axis=0), X, some(4))
    agrees(lambda y: np.insert(V, 1, y), 1.5)


def test_resize_and_block() -> None:
    for shape in (3, (2, 5), (4, 4), (0,)):
        agrees(lambda x, s=shape: np.resize(x, s), X)
    agrees(lambda x, y: np.block([[x, y], [2 * x, y * y]]), some(2, 3), some(2, 2))
    agrees(lambda x: np.block([x, x * 2]), V)
    agrees(lambda x: np.block([[x, np.ones(5)], [1.0, x, np.zeros(4)]]), V)
    agrees(np.block, V)


def test_piecewise() -> None:
    agrees(lambda x: np.piecewise(x, [x < 0, x >= 0], [lambda x: x * x, np.sqrt]), X)
    agrees(lambda x: np.piecewise(x, [x < 0], [np.negative, 3.0]), X)
    agrees(lambda x: np.piecewise(x, x < 0, [lambda x, a: a * x, lambda x, a: a - x], 2), V)
    agrees(lambda x: np.piecewise(x, [x > 10], [1.0, np.sin]), 0.3)
    with pytest.raises(ValueError, match="functions are expected"):
        unspool.vjp(lambda x: np.piecewise(x, [x > 0], [1, 2, 3]), X)
    with pytest.raises(UnsupportedError, match="while the step is being compiled"):
        trace(lambda x: np.piecewise(x, [x > 0], [1.0, np.sin]), ArrayType.of(X))

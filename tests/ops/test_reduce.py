"""Sums, products, extrema, statistics: values, derivatives, ties, zeros, dtypes, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, same_bits, some

A = some(2, 3, 4)
M = some(3, 4)
V = some(5)
Z = complex_some(3, 2)

REDUCTIONS = (np.sum, np.prod, np.mean, np.var, np.std, np.max, np.min, np.amax, np.amin, np.ptp)


@pytest.mark.parametrize("f", REDUCTIONS)
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (2, 1), (0, 1, 2), ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(f: Any, axis: Any, keepdims: bool) -> None:
    if axis == () and f in (np.var, np.std):
        return
    agrees(lambda x: f(x, axis=axis, keepdims=keepdims), A)


@pytest.mark.parametrize("f", REDUCTIONS)
def test_reductions_of_other_types_and_shapes(f: Any) -> None:
    agrees(f, A.astype(np.float32), tolerance=5e-2, h=1e-2)
    agrees(f, np.asfortranarray(M))
    agrees(f, some(8, 10)[::2, ::-3])
    agrees(lambda x: f(x, 1), M)
    if f not in (np.max, np.min, np.amax, np.amin, np.ptp):
        agrees(f, Z)


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "std", "max", "min", "cumsum", "cumprod"])
def test_methods(name: str) -> None:
    agrees(lambda x: getattr(x, name)(), M)
    agrees(lambda x: getattr(x, name)(axis=0), M)
    agrees(lambda x: getattr(x, name)(1), M)


def test_reductions_of_many_elements_have_the_same_bits() -> None:
    x = some(7, 3000)
    for f in (np.sum, np.mean, np.var, np.std, np.cumsum, np.linalg.norm):
        for axis in (None, 0, 1):
            same_bits(unspool.vjp(lambda x, f=f, a=axis: f(x, axis=a), x)[0], f(x, axis=axis))


@pytest.mark.parametrize("f", [np.sum, np.prod, np.mean, np.cumsum, np.cumprod])
def test_dtype(f: Any) -> None:
    agrees(lambda x: f(x, dtype=np.float64), M.astype(np.float32), tolerance=5e-2, h=1e-2)
    agrees(lambda x: f(x, dtype=complex), M)


def test_ddof() -> None:
    agrees(lambda x: np.var(x, ddof=1), V)
    agrees(lambda x: np.std(x, axis=0, ddof=2), M)


def test_constant_data_have_no_deviation_and_a_derivative_of_zero() -> None:
    np.testing.assert_array_equal(unspool.grad(np.std)(np.full(3, 2.0)), np.zeros(3))
    np.testing.assert_array_equal(unspool.grad(lambda x: np.std(x) ** 2)(np.full(3, 2.0)), np.zeros(3))


def test_ties_share_equally() -> None:
    x = np.array([[1.0, 3.0, 3.0], [3.0, 0.0, 3.0]])
    np.testing.assert_array_equal(unspool.grad(np.max)(x), np.array([[0, 1, 1], [1, 0, 1]]) / 4)
    np.testing.assert_array_equal(
        unspool.grad(lambda x: np.sum(np.max(x, axis=1)))(x), np.array([[0, 1, 1], [1, 0, 1]]) / 2
    )
    _, tangent = unspool.jvp(np.max, (x,), (x,))
    assert tangent == 3.0


def test_the_maximum_of_a_nan_is_the_nan() -> None:
    x = np.array([1.0, np.nan, 3.0])
    np.testing.assert_array_equal(unspool.grad(np.max)(x), [0, 1, 0])
    np.testing.assert_array_equal(unspool.grad(np.min)(x), [0, 1, 0])


@pytest.mark.parametrize("zeros", [(), (1,), (0, 3), (0, 1, 2, 3, 4)])
def test_products_with_zeros(zeros: Any) -> None:
    x = some(5)
    x[list(zeros)] = 0.0
    for f in (np.prod, np.cumprod, lambda x: np.cumprod(np.reshape(x, (5, 1)) * np.ones(2), axis=0)):
        agrees(f, x)
        agrees(unspool.grad(lambda x, f=f: np.sum(f(x) ** 2 + f(x))), x, exact=False, tolerance=1e-5)


@pytest.mark.parametrize("f", [np.cumsum, np.cumprod])
def test_cumulative(f: Any) -> None:
    agrees(f, A)
    agrees(lambda x: f(x, axis=1), A)
    agrees(lambda x: f(x, axis=-1), A)
    agrees(f, V[:1])
    agrees(f, V[:0])
    agrees(f, Z)


def test_ufunc_methods() -> None:
    agrees(np.add.reduce, M)
    agrees(lambda x: np.add.reduce(x, axis=1, keepdims=True), M)
    agrees(lambda x: np.multiply.reduce(x, axis=None), M)
    agrees(np.maximum.reduce, M)
    agrees(np.minimum.reduce, M)
    agrees(np.add.accumulate, M)
    agrees(np.multiply.accumulate, M)


def test_diff() -> None:
    agrees(np.diff, M)
    agrees(lambda x: np.diff(x, n=2), V)
    agrees(lambda x: np.diff(x, n=0), V)
    agrees(lambda x: np.diff(x, axis=0), M)
    agrees(lambda x, p: np.diff(x, prepend=p, append=1.0), M, some(3, 1))
    agrees(lambda x, p: np.diff(x, prepend=p), V, 1.5)


def test_average() -> None:
    agrees(np.average, M)
    agrees(lambda x: np.average(x, axis=1, weights=[1, 2, 3, 4]), M)
    agrees(lambda x, w: np.average(x, weights=w), V, some(5, low=0.5))


def test_of_no_elements() -> None:
    agrees(np.sum, np.zeros((0, 3)))
    agrees(np.prod, np.zeros((0, 3)))
    agrees(lambda x: np.sum(x, axis=0), np.zeros((0, 3)))
    agrees(lambda x: np.prod(x, axis=1), np.zeros((0, 3)))


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda x: np.sum(x, where=x > 0), "where="),
        (lambda x: np.sum(x, initial=1.0), "initial="),
        (lambda x: np.max(x, initial=1.0), "initial="),
        (lambda x: np.mean(x, where=x > 0), "where="),
        (lambda x: np.var(x, correction=1), "correction="),
        (lambda x: np.add.reduce(x, initial=3.0), "initial="),
        (lambda x: np.prod(x, where=x > 0), "where="),
    ],
)
def test_keywords_that_are_not_modelled(call: Any, word: str) -> None:
    with pytest.raises(unspool.errors.UnsupportedError, match=word):
        unspool.grad(lambda x: np.sum(call(x)))(V)


def test_where_true_and_initial_of_nothing_are_what_numpy_passes_by_default() -> None:
    assert unspool.grad(np.sum)(1.0) == 1.0

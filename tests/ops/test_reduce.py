"""Sums, products, extrema, statistics: values, derivatives, ties, zeros, dtypes, refusals."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, same_bits, some
from unspool.layout import ArrayType
from unspool.ops import PRIMITIVES, TABLE

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


MASK = np.ones((2, 3, 4), bool)
MASK[[0, 1, 0], [1, 0, 2], [2, 1, 0]] = False
KEYWORDS = {
    np.sum: ("initial", "where"),
    np.prod: ("initial", "where"),
    np.max: ("initial", "where"),
    np.min: ("initial", "where"),
    np.mean: ("where",),
    np.var: ("where", "mean", "correction"),
    np.std: ("where", "mean", "correction"),
    np.all: ("where",),
    np.any: ("where",),
}


@pytest.mark.parametrize("f", [np.sum, np.prod, np.max, np.min])
@pytest.mark.parametrize("axis", [None, 0, (1, 2), -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_initial_and_where(f: Any, axis: Any, keepdims: bool) -> None:
    for where in (MASK, MASK[:, :1], MASK[0, 0], np.zeros(4, bool)):
        agrees(lambda x, i: f(x, axis, keepdims=keepdims, initial=i, where=where), A, 0.7)
        agrees(lambda x: f(x, axis=axis, keepdims=keepdims, initial=0.7, where=where), A)
    agrees(lambda x: f(x, axis, keepdims=keepdims, initial=0.7), A)
    agrees(lambda x: getattr(x, f.__name__)(axis, keepdims=keepdims, initial=2, where=MASK), A)
    if f in (np.sum, np.prod):
        agrees(lambda x: f(x, axis, keepdims=keepdims, where=MASK), A)
        agrees(lambda x: f(x, axis, dtype=complex, keepdims=keepdims, where=MASK, initial=1j), A)
        agrees(lambda x: f(x, axis, where=MASK), A.astype(np.float32), tolerance=5e-2, h=1e-2)
        agrees(lambda z: f(z, where=MASK[0, :3, :2], initial=1j), Z)
    else:
        with pytest.raises(ValueError, match="identity"):
            unspool.vjp(lambda x: f(x, where=MASK), A)
    with pytest.raises(ValueError):
        unspool.vjp(lambda x: f(x, axis, initial=np.ones(2)), A)
    with pytest.raises(ValueError):
        unspool.vjp(lambda x: f(x, axis, where=np.ones(3, bool), initial=0.0), A)
    with pytest.raises(TypeError, match="bool"):
        unspool.vjp(lambda x: f(x, axis, where=MASK.astype(int), initial=0.0), A)


def test_products_of_chosen_elements_with_zeros() -> None:
    x = np.array([0.0, 2.0, 0.0, 3.0])
    for where in ([True, True, False, True], [True] * 4):
        agrees(lambda x, i: np.prod(x, initial=i, where=where), x, 0.0)
        agrees(unspool.grad(lambda x: np.prod(x, initial=2.0, where=where) ** 2 + np.sum(x)), x, exact=False)


def test_what_is_not_chosen_is_not_looked_at() -> None:
    x = np.array([np.nan, 2.0, np.inf, 3.0])
    where = np.array([False, True, False, True])
    for f in (np.sum, np.prod, np.mean, np.var, np.std):
        gradient = unspool.grad(lambda x, f=f: f(x, where=where))(x)
        assert np.all(np.isfinite(gradient))
        np.testing.assert_array_equal(gradient[[0, 2]], [0.0, 0.0])


@pytest.mark.parametrize("f", [np.mean, np.var, np.std])
@pytest.mark.parametrize("axis", [None, 0, (1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_averages_of_chosen_elements(f: Any, axis: Any, keepdims: bool) -> None:
    for where in (MASK, MASK[:1] if axis != 0 else MASK[:, :1]):
        agrees(lambda x: f(x, axis, keepdims=keepdims, where=where), A)
    agrees(lambda x: getattr(x, f.__name__)(axis, keepdims=keepdims, where=MASK), A)
    if f is not np.mean:
        if axis != 0:
            agrees(lambda x: f(x, axis, ddof=1, keepdims=keepdims, where=MASK), A)
        agrees(lambda x: f(x, axis, correction=1, keepdims=keepdims), A)
        agrees(lambda x, m: f(x, axis, keepdims=keepdims, mean=m), A, np.mean(A, axis, keepdims=True) + 0.1)
        with pytest.raises(ValueError, match="simultaneously"):
            unspool.vjp(lambda x: f(x, ddof=1, correction=1), A)


def test_truths_of_chosen_elements() -> None:
    for f in (np.all, np.any):
        for where in (MASK, MASK[0, 0]):
            for axis in (None, 1):
                seen: list[Any] = []
                unspool.grad(lambda x: np.sum(x * np.sum(seen.append(f(x > 0.0, axis, where=where)) or 0)))(A)
                unspool.grad(lambda x: np.sum(x * np.sum(seen.append(f(x, axis, where=where)) or 0)))(A)
                same_bits(seen[0], f(A > 0.0, axis, where=where))
                same_bits(seen[1], f(A, axis, where=where))


def test_ufunc_reductions_take_the_keywords_of_reductions() -> None:
    agrees(lambda x: np.add.reduce(x, axis=1, initial=3.0, where=MASK), A)
    agrees(lambda x: np.multiply.reduce(x, axis=None, initial=3.0), A)
    agrees(lambda x: np.maximum.reduce(x, initial=0.5, where=MASK), A)


def test_out_with_where_and_initial() -> None:
    def f(x: Any) -> Any:
        out = np.zeros_like(x[0])
        np.sum(x, axis=0, out=out, initial=2.0, where=MASK)
        return out

    agrees(f, A)


def test_average_returned_and_keepdims() -> None:
    agrees(lambda x: np.average(x, 1, returned=True), M)
    agrees(lambda x, w: np.average(x, 1, w, True, keepdims=True), M, some(4, low=0.5))
    agrees(lambda x, w: np.average(x, weights=w, returned=True), M, some(3, 4, low=0.5))


@pytest.mark.parametrize(
    "f",
    [
        *REDUCTIONS,
        np.cumsum,
        np.cumprod,
        np.average,
        np.all,
        np.any,
        np.median,
        np.nansum,
        np.nanprod,
        np.nanmax,
        np.nanmin,
        np.nanmean,
        np.nanvar,
        np.nanstd,
        np.percentile,
    ],
)
def test_every_keyword_of_a_reduction_is_modelled_or_refused_by_name(f: Any) -> None:
    """None is ever passed over: what is not in the table's list raises with its name."""
    entry = TABLE[f]
    theirs = set(inspect.signature(f).parameters) - {"a", "m", "arr", "out", "args", "kwargs"}
    assert set(KEYWORDS.get(f, ())) <= entry.keywords
    for keyword in theirs - entry.keywords - {"q", "overwrite_input"}:
        with pytest.raises(unspool.errors.UnsupportedError, match=f"{keyword}="):
            unspool.vjp(lambda x: f(x, *[50] * ("q" in entry.keywords), **{keyword: 1}), V)


def test_where_true_and_initial_of_nothing_are_what_numpy_passes_by_default() -> None:
    assert unspool.grad(np.sum)(1.0) == 1.0


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.float32])
def test_truths_accumulate_to_whole_numbers(name: str, dtype: type) -> None:
    primitive, x = PRIMITIVES[name], np.ones((2, 3), dtype)
    assert primitive.type_rule is not None
    assert primitive.type_rule(ArrayType.of(x), axis=1) == ArrayType.of(primitive.evaluate(x, axis=1))

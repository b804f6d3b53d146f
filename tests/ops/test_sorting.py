"""Order statistics: NumPy's values, also with NaN, ties, and in single precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError

X = some(4, 5)
WITH_NAN = np.where(some(4, 5, turn=0.3) > 1, np.nan, X)
ALL_NAN = np.where(np.arange(4)[:, None] == 2, np.nan, WITH_NAN)


def test_sort() -> None:
    for axis in (-1, 0, None):
        agrees(lambda x, a=axis: np.sort(x, axis=a), X)
        agrees(lambda x, a=axis: np.sort(x, a, "stable") ** 2, X)
    agrees(np.sort, X.astype(np.float32), tolerance=1e-2, h=1e-2)
    agrees(np.sort, complex_some(5))
    agrees(np.sort, np.zeros(0))
    agrees(lambda x: np.sort(x, stable=True), X)
    with pytest.raises(UnsupportedError, match="order="):
        unspool.vjp(lambda x: np.sort(x, order="f"), X)


def test_equal_elements_keep_their_order() -> None:
    _, pullback = unspool.vjp(np.sort, np.array([2.0, 1.0, 2.0, 1.0]))
    np.testing.assert_array_equal(pullback(np.array([10.0, 20.0, 30.0, 40.0]))[0], [30, 10, 40, 20])


def test_partition() -> None:
    for kth in (0, 2, -1, [1, 3]):
        agrees(lambda x, k=kth: np.partition(x, k), X)
        agrees(lambda x, k=kth: np.partition(x, k, axis=0), X)
    agrees(lambda x: np.partition(x, 7, axis=None), X)


@pytest.mark.parametrize("f", [np.median, np.nanmedian])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)])
def test_median(f: Any, axis: Any) -> None:
    agrees(lambda x: f(x, axis), X)
    agrees(lambda x: f(x, axis=axis, keepdims=True), X)
    agrees(lambda x: f(x, axis), X.astype(np.float32), tolerance=1e-2, h=1e-3)
    agrees(lambda x: f(x[:3, :4], axis=axis), X)


Q: tuple[Any, ...] = (0, 1, 0.5, 0.3, 0.77, [0.1, 0.5, 0.9], np.array([0.25]), np.float64(0.4))


@pytest.mark.parametrize("q", Q)
@pytest.mark.parametrize("f", [np.quantile, np.nanquantile])
def test_quantile(f: Any, q: Any) -> None:
    for axis in (None, 0, 1, (0, 1)):
        agrees(lambda x, a=axis: f(x, q, a), X)
        agrees(lambda x, a=axis: f(x, q, axis=a, keepdims=True), X)
    agrees(lambda x: f(x, q, axis=0), X.astype(np.float32), exact=False, tolerance=1e-2, h=1e-3)
    agrees(lambda x: f(x, q), X[:1, 0])


@pytest.mark.parametrize("f", [np.percentile, np.nanpercentile])
def test_percentile(f: Any) -> None:
    for q in (0, 100, 50, 33.3, [10, 90]):
        agrees(lambda x, q=q: f(x, q), X)
        agrees(lambda x, q=q: f(x, q, axis=1), X)


def test_single_precision_stays_single() -> None:
    x = X.astype(np.float32)
    for f in (np.quantile, np.nanquantile):
        assert unspool.vjp(lambda x, f=f: f(x, 0.3), x)[0].dtype == np.float32
        assert unspool.vjp(lambda x, f=f: f(x, 0.3), x)[0] == f(x, 0.3)


@pytest.mark.parametrize(
    "f", [np.median, lambda x, axis: np.quantile(x, 0.3, axis), lambda x, axis: np.percentile(x, [20, 50], axis)]
)
def test_a_row_with_a_nan_is_nan(f: Any) -> None:
    out, pullback = unspool.vjp(lambda x: f(x, 1), WITH_NAN)
    np.testing.assert_array_equal(out, f(WITH_NAN, 1))
    assert np.all(np.isfinite(pullback(np.where(np.isnan(out), 0.0, 1.0))[0]))


@pytest.mark.parametrize(
    "f",
    [
        np.nanmedian,
        lambda x, axis: np.nanquantile(x, 0.3, axis),
        lambda x, axis: np.nanpercentile(x, [20, 50, 70], axis),
    ],
)
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_what_is_nan_is_passed_over(f: Any, axis: Any) -> None:
    agrees(lambda x: f(np.where(np.isnan(WITH_NAN), np.nan, x), axis), X)


@pytest.mark.filterwarnings("ignore:All-NaN")
def test_rows_of_nan_only() -> None:
    for f in (lambda x: np.nanmedian(x, 1), lambda x: np.nanquantile(x, 0.2, axis=1)):
        out, pullback = unspool.vjp(f, ALL_NAN)
        np.testing.assert_array_equal(out, f(ALL_NAN))
        assert np.all(np.isfinite(pullback(np.ones(4))[0][[0, 1, 3]]))


def test_what_has_no_rule() -> None:
    with pytest.raises(UnsupportedError, match="method="):
        unspool.vjp(lambda x: np.quantile(x, 0.5, method="nearest"), X)
    with pytest.raises(UnsupportedError, match="fraction q"):
        unspool.vjp(lambda x: np.quantile(X, x), 0.5)
    with pytest.raises(UnsupportedError, match="weights="):
        unspool.vjp(lambda x: np.quantile(x, 0.5, weights=X, method="inverted_cdf"), X)
    for f, q in ((np.quantile, 1.5), (np.percentile, 150)):
        with pytest.raises(ValueError, match=r"\["):
            unspool.vjp(lambda x, f=f, q=q: f(x, q), X)

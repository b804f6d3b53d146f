"""What is not NaN: values as NumPy's, derivatives, nothing for the NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some

X = some(4, 5)
HOLES = some(4, 5, turn=0.3) > 1
SUMS = (np.nansum, np.nanprod, np.nanmean, np.nanvar, np.nanstd, np.nanmax, np.nanmin)
FULL = (np.nancumsum, np.nancumprod)


def _with_holes(f: Any) -> Any:
    return lambda x: f(np.where(HOLES, np.nan, x))


@pytest.mark.parametrize("f", SUMS)
def test_reductions(f: Any) -> None:
    for axis in (None, 0, 1, (0, 1)):
        agrees(_with_holes(lambda x, a=axis: f(x, axis=a)), X)
        agrees(_with_holes(lambda x, a=axis: f(x, a, keepdims=True)), X)
        agrees(lambda x, a=axis: f(x, axis=a), X)
    agrees(_with_holes(lambda x: f(x, axis=0)), X.astype(np.float32), exact=False, tolerance=5e-2, h=1e-2)


@pytest.mark.parametrize("f", [np.nansum, np.nanprod, np.nanmean, np.nanvar, np.nanstd])
def test_complex(f: Any) -> None:
    agrees(_with_holes(lambda z: f(z, axis=0)), complex_some(4, 5), exact=False)


@pytest.mark.parametrize("f", FULL)
def test_cumulative(f: Any) -> None:
    for axis in (None, 0, 1):
        agrees(_with_holes(lambda x, a=axis: f(x, axis=a)), X)


def test_degrees_of_freedom() -> None:
    agrees(_with_holes(lambda x: np.nanvar(x, axis=1, ddof=1)), X)
    agrees(_with_holes(lambda x: np.nanstd(x, ddof=1)), X)


@pytest.mark.filterwarnings("ignore:(All-NaN|Mean of empty|Degrees of freedom)")
@pytest.mark.parametrize("f", SUMS)
def test_rows_of_nan_only(f: Any) -> None:
    x = np.array([[np.nan, np.nan], [1.0, np.nan], [1.0, 2.0]])
    out, pullback = unspool.vjp(lambda x: f(x, axis=1), x)
    np.testing.assert_array_equal(out, f(x, axis=1))
    gradient = pullback(np.ones(3))[0]
    assert np.all(np.isfinite(gradient))
    assert gradient[1, 1] == 0


def test_infinite_extrema_are_not_mixed_up_with_nan() -> None:
    x = np.array([-np.inf, np.nan])
    np.testing.assert_array_equal(unspool.grad(lambda x: np.nanmax(x))(x), [1.0, 0.0])
    np.testing.assert_array_equal(unspool.grad(lambda x: np.nanmin(-x))(x), [-1.0, 0.0])


def test_positions_are_plain() -> None:
    seen: list[Any] = []
    x = np.where(HOLES, np.nan, X)
    unspool.grad(lambda x: (seen.extend([np.nanargmax(x), np.nanargmin(x, axis=0)]), np.nansum(x))[1])(x)
    np.testing.assert_array_equal(seen[0], np.nanargmax(x))
    np.testing.assert_array_equal(seen[1], np.nanargmin(x, axis=0))

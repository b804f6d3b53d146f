"""Covariances and correlations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some

X, Y = some(3, 6), some(2, 6, turn=0.3)


@pytest.mark.parametrize("f", [np.cov, np.corrcoef])
def test_rows_and_columns(f: Any) -> None:
    agrees(f, X)
    agrees(f, X, Y)
    agrees(lambda x: f(x, rowvar=False), X)
    agrees(lambda x, y: f(x, y, rowvar=False), X.T.copy(), Y.T.copy())
    agrees(f, X[0])
    agrees(f, X[0], X[1])
    agrees(lambda x: f(x, [1.0, 2.0, 4.0, 3.0, 0.0, 1.0]), X[0])
    agrees(f, complex_some(3, 6))


def test_normalisation_and_weights() -> None:
    agrees(lambda x: np.cov(x, bias=True), X)
    agrees(lambda x: np.cov(x, ddof=2), X)
    agrees(lambda x: np.cov(x, ddof=0, fweights=[1, 2, 1, 3, 1, 1]), X, exact=False)
    w = some(6, low=0.5, high=2.0)
    agrees(lambda x, w: np.cov(x, aweights=w), X, w, exact=False)
    agrees(lambda x, w: np.cov(x, aweights=w, fweights=np.array([1, 2, 1, 3, 1, 1])), X, w, exact=False)
    for kwargs in ({"aweights": w}, {"aweights": w, "fweights": [1, 2, 1, 3, 1, 1]}, {"fweights": [2] * 6, "ddof": 0}):
        np.testing.assert_allclose(unspool.vjp(lambda x, k=kwargs: np.cov(x, **k), X)[0], np.cov(X, **kwargs))


def test_single_precision_is_computed_in_double() -> None:
    out, pullback = unspool.vjp(np.cov, X.astype(np.float32))
    assert out.dtype == float
    assert pullback(out)[0].dtype == np.float32


def test_what_does_not_fit() -> None:
    for x, kwargs in ((some(2, 2, 2), {}), (X, {"ddof": 0.5}), (X, {"aweights": [1.0]})):
        with pytest.raises((ValueError, RuntimeError)):
            unspool.vjp(lambda x, k=kwargs: np.cov(x, **k), x)

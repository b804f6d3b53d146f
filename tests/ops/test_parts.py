"""Numbers taken apart and put together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError
from unspool.layout import ArrayType
from unspool.tracer import trace

X = some(3, 4, low=-5.0, high=5.0)


def test_fractions() -> None:
    agrees(lambda x: np.modf(x)[0], X)
    agrees(lambda x: np.modf(x)[1], X)
    agrees(lambda x: np.frexp(x)[0], X)
    agrees(lambda x: np.ldexp(x, [0, 1, -3, 2]), X)
    agrees(lambda x: np.ldexp(*np.frexp(x)), X)
    agrees(lambda x: np.ldexp(x, 3), X.astype(np.float32), tolerance=5e-2, h=1e-2)
    seen: list[Any] = []
    unspool.grad(lambda x: np.sum(x) + 0.0 * len(seen.append(np.frexp(x)[1]) or ""))(X)
    np.testing.assert_array_equal(seen[0], np.frexp(X)[1])
    whole = unspool.vjp(np.modf, np.array([np.inf, -np.inf, np.nan, 1.5]))[0]
    np.testing.assert_array_equal(whole, np.modf(np.array([np.inf, -np.inf, np.nan, 1.5])))


def test_real_if_close() -> None:
    z = complex_some(3)
    agrees(np.real_if_close, z)
    agrees(np.real_if_close, some(3))
    near = z.real + 1e-18j
    found, pullback = unspool.vjp(np.real_if_close, near)
    assert found.dtype == float
    np.testing.assert_array_equal(pullback(np.ones(3))[0], np.ones(3))
    with pytest.raises(UnsupportedError, match=r"np\.real"):
        trace(np.real_if_close, ArrayType.of(z))

"""Choosing functions: values, derivatives, ties, NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some

X, Y = some(3, 4), some(4, turn=0.4)


@pytest.mark.parametrize("f", [np.maximum, np.minimum, np.fmax, np.fmin])
def test_larger_and_smaller(f: Any) -> None:
    agrees(f, X, Y)
    agrees(f, X[:, :1], Y)
    agrees(lambda x: f(x, 0.1), X)
    agrees(lambda x: f(0, x), X)
    agrees(f, X.astype(np.float32), Y.astype(np.float32), tolerance=1e-2, h=1e-3)
    np.testing.assert_array_equal(unspool.grad(f, argnums=(0, 1))(2.0, 2.0), (0.5, 0.5))
    assert unspool.grad(lambda x: f(x, 0.0))(0.0) == 0.5


def test_fmax_and_fmin_pass_over_a_nan() -> None:
    for f in (np.fmax, np.fmin):
        assert unspool.grad(f, argnums=(0, 1))(1.0, np.nan) == (1.0, 0.0)
        assert unspool.grad(f, argnums=(0, 1))(np.nan, 1.0) == (0.0, 1.0)


def test_where() -> None:
    agrees(lambda x, y: np.where(X > 0, x, y), X, Y)
    agrees(lambda x, y: np.where(x > y, x * y, 0.0), X, Y)
    agrees(lambda x: np.where(x > 0, x, 0), X.astype(np.float32), tolerance=1e-2, h=1e-3)
    agrees(lambda x: np.where(x, x, 1.0), X)
    agrees(lambda z: np.where(X[0] > 0, z, 1.0), complex_some(4))
    agrees(lambda x: np.where(X > 0, x, -x), 1.5)
    agrees(lambda x: x[np.where(x > 0)], X)
    with pytest.raises(ValueError, match="both x and y"):
        unspool.grad(lambda x: np.sum(np.where(x > 0, x)))(X)


def test_a_condition_is_not_differentiated() -> None:
    assert unspool.grad(lambda x: np.where(x, 3.0, 4.0) + 0 * x)(1.0) == 0


@pytest.mark.parametrize(
    "clip",
    [
        lambda x: np.clip(x, -1, 1),
        lambda x: np.clip(x, None, 0.5),
        lambda x: np.clip(x, 0.5, None),
        lambda x: np.clip(x, min=-0.2, max=0.7),
        lambda x: np.clip(x, -np.arange(4.0), np.array(0.5)),
        lambda x: x.clip(-1, 1),
        lambda x: x.clip(max=1),
        lambda x: np.clip(x, None, None),
    ],
)
def test_clip(clip: Any) -> None:
    agrees(clip, X)
    agrees(clip, X[0])
    agrees(clip, X[0].astype(np.float32), tolerance=1e-2, h=1e-3)


def test_clip_between_traced_bounds() -> None:
    agrees(np.clip, X, some(4) - 1, some(4) + 1)


def test_select_and_nan_to_num() -> None:
    agrees(lambda x: np.select([x > 1, x > 0], [x**2, x], default=-1.0), X)
    x = np.array([1.0, np.nan, np.inf, -np.inf])
    for f in (np.nan_to_num, lambda x: np.nan_to_num(x, nan=1.0, posinf=2.0, neginf=3.0)):
        out, pullback = unspool.vjp(f, x)
        np.testing.assert_array_equal(out, f(x))
        np.testing.assert_array_equal(pullback(np.ones(4))[0], [1.0, 0.0, 0.0, 0.0])
    agrees(np.nan_to_num, complex_some(3))
    with pytest.raises(unspool.errors.UnsupportedError, match="copy="):
        unspool.grad(lambda x: np.sum(np.nan_to_num(x, copy=False)))(x)

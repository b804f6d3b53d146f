"""Exponentials, logarithms, circular and hyperbolic functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some

ANYWHERE = (
    np.exp,
    np.exp2,
    np.expm1,
    np.sin,
    np.cos,
    np.tan,
    np.arctan,
    np.sinh,
    np.cosh,
    np.tanh,
    np.arcsinh,
    np.deg2rad,
    np.rad2deg,
    np.degrees,
    np.radians,
    np.sinc,
)
POSITIVE = (np.log, np.log2, np.log10, np.log1p)
INSIDE = (np.arcsin, np.arccos, np.arctanh)
HOLOMORPHIC = (
    *(f for f in ANYWHERE if f not in (np.deg2rad, np.rad2deg, np.degrees, np.radians)),
    *POSITIVE,
    *INSIDE,
    np.arccosh,
)


def _points(f: Any) -> np.ndarray:
    low, high = (
        (0.2, 3.0) if f in POSITIVE else (-0.9, 0.9) if f in INSIDE else (1.1, 3.0) if f is np.arccosh else (-1.2, 1.2)
    )
    return some(7, low=low, high=high)


@pytest.mark.parametrize("f", [*ANYWHERE, *POSITIVE, *INSIDE, np.arccosh])
def test_agrees_with_numpy(f: Any) -> None:
    agrees(f, _points(f))
    agrees(f, _points(f)[0])
    agrees(f, _points(f).astype(np.float32), tolerance=5e-2, h=1e-2)


@pytest.mark.parametrize("f", HOLOMORPHIC)
def test_against_the_complex_step(f: Any) -> None:
    if f in (np.exp2, np.expm1, np.log2, np.log10, np.sinc):
        z = _points(f) * (1 + 1e-20j)
    x = _points(f)
    _, derivative = unspool.jvp(f, (x,), (np.ones_like(x),))
    z = x + 1e-20j
    np.testing.assert_allclose(derivative, np.imag(f(z)) / 1e-20, rtol=1e-12)


@pytest.mark.parametrize("f", HOLOMORPHIC)
def test_of_complex_numbers(f: Any) -> None:
    agrees(f, 0.4 * complex_some(5) + 0.1)


@pytest.mark.parametrize("f", [np.arctan2, np.hypot, np.logaddexp, np.logaddexp2])
def test_of_two_operands(f: Any) -> None:
    agrees(f, some(3, 1), some(4, turn=0.3))
    agrees(lambda x: f(x, 0.5), some(4))
    agrees(f, some(4).astype(np.float32), some(4, turn=0.3).astype(np.float32), tolerance=5e-2, h=1e-2)


def test_hypot_and_arctan2_at_zero() -> None:
    for f in (np.hypot, np.arctan2):
        assert unspool.grad(f, argnums=(0, 1))(0.0, 0.0) == (0.0, 0.0)
    assert np.all(np.isfinite(unspool.grad(np.arctan2, argnums=(0, 1))(1e-200, 1e-200)))


def test_sinc_is_smooth_at_zero() -> None:
    points = np.array([0.0, 1e-9, 1e-3, 0.03, 0.0319, 0.04, 1.0])
    with np.errstate(all="raise"):
        first = unspool.grad(lambda x: np.sum(np.sinc(x)))(points)
        _, second = unspool.jvp(unspool.grad(lambda x: np.sum(np.sinc(x))), (points,), (np.ones(7),))
    assert first[0] == 0
    assert second[0] == pytest.approx(-(np.pi**2) / 3)
    np.testing.assert_allclose(second[:3], -(np.pi**2) / 3, rtol=1e-4)
    np.testing.assert_allclose(first[1:3], -(np.pi**2) / 3 * points[1:3], rtol=1e-5)


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (np.log, [0.0, 2.0]),
        (np.log2, [0.0, 2.0]),
        (np.log10, [0.0, 2.0]),
        (np.log1p, [-1.0, 2.0]),
        (np.exp, [1e4, 2.0]),
        (np.expm1, [1e4, 2.0]),
        (np.exp2, [1e4, 2.0]),
        (np.arctanh, [1.0, 0.5]),
        (np.arcsin, [1.0, 0.5]),
    ],
)
def test_masked_poles_and_overflows_stay_out(f: Any, x: Any) -> None:
    points = np.array(x)
    mask = np.array([False, True])
    with np.errstate(all="ignore"):
        for derivative in (unspool.grad, unspool.hessian):
            masked = derivative(lambda x: np.sum(np.where(mask, f(x), 0.0)))(points)
            alone = derivative(lambda x: np.sum(f(x)))(points[1:])
            assert np.all(masked[0] == 0)
            np.testing.assert_array_equal(masked[1:, 1:] if masked.ndim == 2 else masked[1:], alone)


def test_logaddexp_of_nothing() -> None:
    minus = np.full(2, -np.inf)
    of_x, of_y = unspool.grad(lambda x, y: np.sum(np.logaddexp(x, y)), argnums=(0, 1))(minus, np.array([-np.inf, 1.0]))
    np.testing.assert_array_equal(of_x, [0.0, 0.0])
    np.testing.assert_array_equal(of_y, [0.0, 1.0])

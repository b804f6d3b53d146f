"""Integrals of samples: every number of points, every axis, points and distances that are differentiated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError
from unspool.scipy import integrate

RULES = (integrate.trapezoid, integrate.simpson, integrate.cumulative_trapezoid, integrate.cumulative_simpson)


def points(n: int) -> Any:
    return np.cumsum(some(n, low=0.3, high=1.5))


@pytest.mark.parametrize("n", range(2, 9))
@pytest.mark.parametrize("f", RULES)
def test_rules(f: Any, n: int) -> None:
    agrees(f, some(n), exact=False)
    agrees(lambda y, dx: f(y, dx=dx), some(n), 0.3, exact=False)
    agrees(lambda y, x: f(y, x=x), some(n), points(n), exact=False)
    agrees(lambda y, x: f(y, x=x, axis=0), some(n, 2), points(n), exact=False)
    agrees(lambda y, x: f(y, x=x, axis=1), some(2, n, 2), some(2, 1, 2) + points(n)[:, None], exact=False)
    agrees(lambda y: f(y, x=points(n)), complex_some(n), exact=False)
    found = unspool.vjp(lambda y: f(y, x=points(n), axis=0), some(n, 2))[0]
    np.testing.assert_allclose(found, f(some(n, 2), x=points(n), axis=0), atol=1e-14)


def test_one_point() -> None:
    for f in (integrate.trapezoid, integrate.simpson):
        agrees(f, some(1), exact=False)
        with pytest.raises(ValueError, match="At least one point"):
            unspool.vjp(integrate.cumulative_trapezoid, some(0))


def test_initial() -> None:
    agrees(lambda y: integrate.cumulative_trapezoid(y, initial=0), some(5), exact=False)
    agrees(lambda y, c: integrate.cumulative_simpson(y, initial=c), some(5), 2.0, exact=False)
    agrees(lambda y: integrate.cumulative_simpson(y, initial=1.0, axis=0), some(5, 2), exact=False)
    with pytest.raises(ValueError, match="initial"):
        unspool.vjp(lambda y: integrate.cumulative_trapezoid(y, initial=1.0), some(5))


def test_distances_as_an_array() -> None:
    agrees(lambda y, d: integrate.cumulative_simpson(y, dx=d, axis=0), some(5, 2), some(1, 2, low=0.5), exact=False)
    agrees(lambda y, d: integrate.cumulative_trapezoid(y, dx=d, axis=0), some(5, 2), some(2, low=0.5), exact=False)
    for f in (integrate.simpson, integrate.romb):
        with pytest.raises(UnsupportedError, match="Pass x="):
            unspool.vjp(lambda y, f=f: f(y, dx=some(2), axis=0), some(5, 2))


def test_points_that_coincide() -> None:
    x = np.array([0.0, 1.0, 1.0, 2.0, 3.0])
    found = unspool.vjp(lambda y: integrate.simpson(y, x=x), some(5))[0]
    np.testing.assert_allclose(found, integrate.simpson(some(5), x=x), atol=1e-14)
    assert np.all(np.isfinite(unspool.grad(lambda y: integrate.simpson(y, x=x))(some(5))))


def test_bad_points() -> None:
    for f in RULES:
        with pytest.raises(ValueError):
            unspool.vjp(lambda y, f=f: f(y, x=np.arange(3.0)), some(4))
    for f in RULES[1:]:
        with pytest.raises(ValueError, match="x must be 1-D"):
            unspool.vjp(lambda y, f=f: f(y, x=np.zeros((2, 2))), some(2, 2, 2))


def test_romb() -> None:
    for n in (2, 3, 5, 9):
        agrees(integrate.romb, some(n), exact=False)
        agrees(lambda y, d: integrate.romb(y, d, 0), some(n, 2), 0.4, exact=False)
    with pytest.raises(ValueError, match="power of 2"):
        unspool.vjp(integrate.romb, some(4))
    with pytest.raises(UnsupportedError, match="show="):
        unspool.vjp(lambda y: integrate.romb(y, show=True), some(5))


def test_a_quadrature_of_a_function_with_traced_parameters_works_with_scipys_own() -> None:
    def f(k: Any) -> Any:
        return integrate.fixed_quad(lambda t: np.exp(k * t), 0.0, 1.0, n=9)[0]

    agrees(f, 0.7)

"""Piecewise polynomials: every end condition, values, knots and points that are differentiated, SciPy's values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.interpolate as sp

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError
from unspool.layout import ArrayType
from unspool.scipy import interpolate
from unspool.tracer import trace


def knots(n: int) -> Any:
    return np.cumsum(some(n, low=0.3, high=1.5))


POINTS = np.array([[0.1, 1.0, 1.7], [2.9, 3.3, 8.0]])
ENDS = ("not-a-knot", "clamped", "natural", ("natural", "clamped"), ((1, 0.5), (2, -0.3)), ("not-a-knot", (1, 2.0)))


def through(x: Any, y: Any, points: Any, **how: Any) -> Any:
    return interpolate.CubicSpline(x, y, **how)(points)


@pytest.mark.parametrize("ends", ENDS, ids=str)
@pytest.mark.parametrize("n", [2, 3, 4, 7])
def test_cubic_spline(n: int, ends: Any) -> None:
    agrees(lambda x, y, p: through(x, y, p, bc_type=ends), knots(n), some(n), POINTS, exact=False, tolerance=1e-5)
    found = unspool.vjp(lambda y: through(knots(n), y, POINTS, bc_type=ends), some(n))[0]
    np.testing.assert_allclose(found, sp.CubicSpline(knots(n), some(n), bc_type=ends)(POINTS), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8])
def test_periodic(n: int) -> None:
    def f(x: Any, y: Any, p: Any) -> Any:
        return through(x, np.concatenate((y, y[:1])), p, bc_type="periodic")

    agrees(f, knots(n), some(n - 1), POINTS, exact=False, tolerance=1e-5)
    agrees(f, knots(n), some(n - 1, 2), POINTS, exact=False, tolerance=1e-5)
    with pytest.raises(ValueError, match="identical"):
        unspool.vjp(lambda y: through(knots(n), y, POINTS, bc_type="periodic"), some(n))


def test_axes_dtypes_and_derivatives() -> None:
    x = knots(5)
    for axis, y in ((0, some(5, 2)), (1, some(2, 5)), (-1, some(2, 5, 3).swapaxes(1, 2)), (0, complex_some(5))):
        agrees(lambda y, a=axis: through(x, y, POINTS, axis=a), y, exact=False)
        for nu in (1, 2, 3, 4):
            agrees(lambda y, a=axis, nu=nu: interpolate.CubicSpline(x, y, a)(POINTS[0], nu), y, exact=False)
    ends = ((1, some(2)), (2, some(2, turn=0.3)))
    agrees(lambda y: through(x, y, POINTS, bc_type=ends), some(5, 2), exact=False)
    agrees(lambda v: through(x, some(5), POINTS, bc_type=((1, v), (1, -v))), 0.7, exact=False)
    agrees(lambda p: through(x, some(5), p), POINTS, exact=False)
    agrees(lambda p: interpolate.CubicSpline(x, some(5))(p, 1), 1.3, exact=False)


@pytest.mark.parametrize("beyond", [True, False, "periodic"])
def test_beyond_the_ends(beyond: Any) -> None:
    for axis in (0, 1):
        y = some(5, 5)
        points = POINTS if beyond else POINTS[:, :1] + 1
        agrees(lambda y, a=axis: through(knots(5), y, points, axis=a, extrapolate=beyond), y, exact=False)
    found = unspool.vjp(lambda y: through(knots(5), y, POINTS, extrapolate=beyond), some(5))[0]
    np.testing.assert_allclose(found, through(knots(5), some(5), POINTS, extrapolate=beyond), rtol=1e-11)
    agrees(lambda y: interpolate.CubicSpline(knots(5), y)(2.0, extrapolate=beyond), some(5), exact=False)


def test_other_curves() -> None:
    x = knots(6)
    agrees(lambda x, y, s: interpolate.CubicHermiteSpline(x, y, s)(POINTS), x, some(6), some(6, turn=0.2), exact=False)
    for y in (some(6), np.cumsum(np.abs(some(6))), np.array([0.0, 1.0, 1.0, 3.0, 2.0, 0.0]), some(6, 2)):
        f = lambda y: interpolate.PchipInterpolator(x, y)(POINTS)
        np.testing.assert_allclose(unspool.vjp(f, y)[0], f(y), rtol=1e-11, atol=1e-12)
    agrees(lambda x, y: interpolate.PchipInterpolator(x, y)(POINTS), x, np.cumsum(np.abs(some(6))), exact=False)
    agrees(lambda y: interpolate.PchipInterpolator(x[:2], y)(POINTS), some(2), exact=False)
    agrees(lambda c, x: interpolate.PPoly(c, x)(POINTS), some(3, 5), x, exact=False)
    agrees(lambda c: interpolate.PPoly(c, x, axis=1)(POINTS), some(2, 3, 5), exact=False)


def test_calculus() -> None:
    x = knots(6)
    for axis in (0, 1):
        y = some(6, 6)
        for f in (
            lambda s: s.derivative()(POINTS),
            lambda s: s.derivative(4)(POINTS),
            lambda s: s.antiderivative(2)(POINTS),
            lambda s: s.derivative(-1).antiderivative(-1)(POINTS),
            lambda s: s.integrate(0.5, 2.5),
        ):
            agrees(lambda y, f=f, a=axis: f(interpolate.CubicSpline(x, y, a)), y, exact=False)
    agrees(lambda b: interpolate.CubicSpline(x, some(6)).integrate(0.5, b), 2.0, exact=False)
    total = unspool.vjp(lambda y: interpolate.CubicSpline(x, y).integrate(x[0], x[-1]), some(6))[0]
    np.testing.assert_allclose(total, sp.CubicSpline(x, some(6)).integrate(x[0], x[-1]), rtol=1e-13)
    ring = np.concatenate((some(5), some(5)[:1]))
    with pytest.raises(UnsupportedError, match="periodic"):
        unspool.vjp(lambda y: interpolate.CubicSpline(x, ring * y, bc_type="periodic").integrate(0, 1), 1.0)


def test_without_traced_values_it_is_scipys() -> None:
    x, y = knots(6), some(6)
    ours, theirs = interpolate.CubicSpline(x, y), sp.CubicSpline(x, y)
    np.testing.assert_array_equal(ours.c, theirs.c)
    np.testing.assert_array_equal(ours(POINTS), theirs(POINTS))
    np.testing.assert_array_equal(ours.roots(), theirs.roots())
    assert ours.integrate(0, 1) == theirs.integrate(0, 1)
    with pytest.raises(AttributeError, match="no attribute 'roots'"):
        unspool.vjp(lambda y: interpolate.CubicSpline(x, y).roots(), y)


def test_bad_input() -> None:
    for call in (
        lambda y: through(np.zeros(4), y, 0.5),
        lambda y: through(np.arange(3.0), y, 0.5),
        lambda y: through(np.arange(4.0), y, 0.5, bc_type="other"),
        lambda y: through(np.arange(4.0), y, 0.5, bc_type=("periodic", "natural")),
        lambda y: through(np.arange(4.0), y, 0.5, bc_type=((3, 0.0), "natural")),
        lambda y: through(np.arange(4.0), y, 0.5, bc_type=((1, np.zeros(2)), "natural")),
        lambda y: interpolate.CubicHermiteSpline(np.arange(4.0), y, np.zeros(3)),
    ):
        with pytest.raises(ValueError):
            unspool.vjp(call, some(4))


def test_in_a_program() -> None:
    program = trace(lambda y, p: through(np.arange(4.0), y, p), ArrayType.of(some(4)), ArrayType.of(POINTS))
    assert "solve_banded" in [e.primitive.name for e in program.equations]

"""Grids: interpolation, differences, quadrature, even spacing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError
from unspool.ir.evaluate import evaluate
from unspool.layout import ArrayType
from unspool.tracer import trace

XP = np.array([-1.5, -0.4, 0.3, 1.1, 1.9])
FP = some(5)
X = some(3, 4, turn=0.1)


def test_interp() -> None:
    agrees(np.interp, X, XP, FP)
    agrees(lambda x: np.interp(x, XP, FP), X)
    agrees(lambda f: np.interp(X, XP, f), FP)
    agrees(lambda x, f: np.interp(x, XP, f, left=7.0, right=-7.0), X, FP)
    agrees(lambda x, f, a: np.interp(x, XP, f, a, a * a), X, FP, 0.7)
    agrees(lambda x, f: np.interp(x, XP, f), 0.2, FP)
    agrees(lambda x: np.interp(x, [0, 1, 2], [3, 5, 4]), X)
    agrees(lambda f: np.interp(X, XP, f), complex_some(5))
    agrees(lambda x, f: np.interp(x, XP[:1], f), X, FP[:1])
    agrees(lambda x: np.interp(x, XP.astype(np.float32), FP), X.astype(np.float32), tolerance=5e-2, h=1e-3, exact=False)


def test_interp_with_a_period() -> None:
    for period in (3.0, -2.5, 4):
        agrees(lambda x, p=period: np.interp(x, XP, FP, period=p), 3 * X)
        agrees(lambda f, p=period: np.interp(3 * X, XP, f, period=p), FP)
    agrees(lambda x, xp: np.interp(x, xp, FP, period=3.0), X, XP)
    with pytest.raises(ValueError, match="non-zero"):
        unspool.vjp(lambda x: np.interp(x, XP, FP, period=0), X)


def test_interp_at_the_nodes() -> None:
    out, pullback = unspool.vjp(lambda x, f: np.interp(x, XP, f), XP, FP)
    np.testing.assert_array_equal(out, FP)
    of_x, of_f = pullback(np.ones(5))
    slopes = np.diff(FP) / np.diff(XP)
    np.testing.assert_allclose(of_x, [*slopes, slopes[-1]])
    np.testing.assert_allclose(of_f, np.ones(5))
    out, pullback = unspool.vjp(lambda f: np.interp([1.0, 0.5], [0.0, 1.0, 1.0], f), FP[:3])
    np.testing.assert_array_equal(out, np.interp([1.0, 0.5], [0.0, 1.0, 1.0], FP[:3]))
    assert np.all(np.isfinite(pullback(np.ones(2))[0]))


def test_interp_in_a_program() -> None:
    program = trace(lambda x, f: np.interp(x, XP, f), ArrayType.of(X), ArrayType.of(FP))
    np.testing.assert_array_equal(evaluate(program, X, FP)[0], np.interp(X, XP, FP))


def test_interp_of_what_does_not_fit() -> None:
    for xp, fp in ((XP, FP[:2]), (XP[None], FP[None]), (XP[:0], FP[:0])):
        with pytest.raises(ValueError):
            unspool.vjp(lambda x, xp=xp, fp=fp: np.interp(x, xp, fp), X)


@pytest.mark.parametrize("edge_order", [1, 2])
def test_gradient(edge_order: int) -> None:
    f, x, y = some(4, 5), np.array([0.0, 0.4, 1.1, 1.5]), np.array([0.0, 1.0, 2.5, 3.0, 4.5])
    agrees(lambda f: np.gradient(f, edge_order=edge_order)[0], f)
    agrees(lambda f: np.gradient(f, 0.3, edge_order=edge_order)[1], f)
    agrees(lambda f: np.gradient(f, 0.3, axis=1, edge_order=edge_order), f)
    agrees(lambda f: np.gradient(f, x, y, edge_order=edge_order)[0], f)
    agrees(lambda f: np.gradient(f, 0.2, y, edge_order=edge_order)[1], f)
    agrees(lambda f, h: np.gradient(f, h, edge_order=edge_order), f[0], 0.3)
    agrees(lambda f, y: np.gradient(f, y, edge_order=edge_order), f[0], y)
    agrees(lambda f: np.gradient(f, [0, 1, 2, 3, 4], edge_order=edge_order), f[0])
    agrees(lambda f: np.gradient(f, edge_order=edge_order), complex_some(5))
    agrees(lambda f: np.gradient(f, 0.5, edge_order=edge_order), f[0].astype(np.float32), tolerance=5e-2, h=1e-2)


def test_gradient_with_respect_to_even_points() -> None:
    agrees(np.gradient, some(5), np.arange(5.0), exact=False)


def test_gradient_of_what_does_not_fit() -> None:
    for args, kwargs in (((1, 2, 3), {}), ((np.ones(3),), {}), ((), {"edge_order": 3})):
        with pytest.raises((ValueError, TypeError)):
            unspool.vjp(lambda f, a=args, k=kwargs: np.gradient(f, *a, **k), some(5))
    with pytest.raises(ValueError, match="too small"):
        unspool.vjp(np.gradient, some(1))


def test_trapezoid() -> None:
    agrees(np.trapezoid, X)
    agrees(lambda y: np.trapezoid(y, dx=0.3, axis=0), X)
    agrees(lambda y, x: np.trapezoid(y, x, axis=1), X, some(4))
    agrees(np.trapezoid, X, some(3, 4, turn=0.6))
    agrees(lambda x: np.trapezoid([1.0, 2.0, 4.0], x), some(3))


def test_ediff1d() -> None:
    agrees(np.ediff1d, X)
    agrees(lambda x, a: np.ediff1d(x, to_begin=a, to_end=[1.0, 2.0]), X, 0.5)


def test_unwrap() -> None:
    p = some(4, 6, low=-9.0, high=9.0)
    agrees(np.unwrap, p)
    agrees(lambda p: np.unwrap(p, 4.0, 0), p)
    agrees(lambda p: np.unwrap(p, axis=0, period=5.0) ** 2, p)


def test_linspace_and_logspace() -> None:
    for n in (0, 1, 2, 7):
        for endpoint in (True, False):
            agrees(lambda a, b, n=n, e=endpoint: np.linspace(a, b, n, e), 0.3, 1.7)
    agrees(lambda a, b: np.linspace(a, b, 4), some(3), some(3, turn=0.2))
    agrees(lambda a, b: np.linspace(a, b, 4, axis=-1), some(3), some(2, 3, turn=0.2))
    agrees(lambda a: np.linspace(a, 2, 5, retstep=True)[1], 0.3)
    agrees(lambda a: np.linspace(a, a, 5), 0.3)
    agrees(lambda a, b: np.logspace(a, b, 5), 0.3, 1.7)
    agrees(lambda a, c: np.logspace(a, 1.0, 5, base=c), 0.3, 2.5)


def test_single_precision(recwarn: Any) -> None:
    x = some(5).astype(np.float32)
    for f in (np.gradient, np.trapezoid, np.ediff1d, np.unwrap):
        assert unspool.vjp(f, x)[0].dtype == f(x).dtype


def test_geomspace() -> None:
    for endpoint in (True, False):
        for n in (0, 1, 2, 7):
            agrees(lambda a, b: np.geomspace(a, b, n, endpoint), 1.5, 20.0, exact=False)
            agrees(lambda a, b: np.geomspace(a, b, n, endpoint), -1.5, -20.0, exact=False)
    agrees(lambda a, b: np.geomspace(a, b, 4, axis=-1), some(3, low=1, high=2), some(2, 3, low=3, high=9), exact=False)
    with pytest.raises(UnsupportedError, match="complex"):
        unspool.vjp(lambda a: np.geomspace(a, 2.0), 1j)

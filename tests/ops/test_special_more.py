"""Rarer functions of scipy.special: values of SciPy, derivatives, removable singularities, what has no rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special as sp

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError
from unspool.scipy import special

X, P, U = some(3, 4), some(3, 4, low=0.3, high=3.0), some(3, 4, low=0.1, high=0.9)


def test_sums_of_exponentials() -> None:
    for axis in (None, 0, -1, (0, 1)):
        for keepdims in (False, True):
            agrees(lambda a: special.logsumexp(a, axis, keepdims=keepdims), X)
            agrees(lambda a, b: special.logsumexp(a, axis, b, keepdims), X, P)
        agrees(lambda a: special.softmax(a, axis), X, exact=False)
        agrees(lambda a: special.log_softmax(a, axis=axis), X, exact=False)
    agrees(lambda a, b: special.logsumexp(a, 0, b, return_sign=True)[0], X, X)
    agrees(lambda b: special.logsumexp([[1.0], [2.0]], b=b), P[:1])
    agrees(unspool.grad(lambda a: special.logsumexp(a) ** 2), X)


def test_sums_of_exponentials_that_overflow_or_vanish() -> None:
    a = np.array([1000.0, 1001.0, -np.inf])
    gradient = unspool.grad(special.logsumexp)(a)
    np.testing.assert_allclose(gradient, [1 / (1 + np.e), np.e / (1 + np.e), 0.0], rtol=1e-13)
    lost = np.full(2, -np.inf)
    np.testing.assert_array_equal(unspool.grad(special.logsumexp)(lost), [0.0, 0.0])
    weights = np.array([1.0, -1.0])
    seen: list[Any] = []

    def signed(a: Any) -> Any:
        y, sign = special.logsumexp(a, b=weights, return_sign=True)
        seen.append(unspool.stop_gradient(sign))
        return y

    gradient = unspool.grad(signed)(a[:2])
    np.testing.assert_allclose(gradient, [-1 / (np.e - 1), np.e / (np.e - 1)], rtol=1e-12)
    assert [float(s) for s in seen] == [-1.0]
    with pytest.raises(UnsupportedError, match="complex"):
        unspool.vjp(special.logsumexp, complex_some(3))


def test_polygamma() -> None:
    for n in (0, 1, 3, np.array([0, 1, 2, 3])):
        agrees(lambda x: special.polygamma(n, x), P, exact=False, tolerance=1e-5)
    agrees(lambda a: special.multigammaln(a, 3), 4.0 + P, exact=False)
    for f in (special.polygamma, special.multigammaln):
        with pytest.raises(UnsupportedError, match="plain number"):
            unspool.vjp(lambda n, f=f: f(n, n), 2.0)


@pytest.mark.parametrize("f", [sp.exprel, sp.spence, sp.ellipk, sp.ellipe, sp.ellipkm1])
def test_removable_singularities(f: Any) -> None:
    center = 1.0 if f in (sp.spence, sp.ellipkm1) else 0.0
    near = center + np.array([0.0, 1e-9, -1e-9, 1e-4, -1e-4, 0.019, 0.021, -0.019, -0.021])
    slope = unspool.grad(lambda x: np.sum(f(x)))
    assert np.all(np.isfinite(slope(near)))
    h = 1e-5
    np.testing.assert_allclose(slope(near), (f(near + h) - f(near - h)) / (2 * h), rtol=1e-8)
    bend = unspool.grad(lambda x: np.sum(slope(x)))
    np.testing.assert_allclose(bend(near), (slope(near + h) - slope(near - h)) / (2 * h), rtol=1e-5)


def test_orders_and_shapes_are_plain() -> None:
    for f in (sp.expn, sp.kve, sp.kn, sp.hankel1, sp.stdtr, sp.hyp0f1, sp.gammainccinv):
        with pytest.raises(UnsupportedError, match="no derivative rule with respect to"):
            unspool.grad(lambda v, f=f: np.real(f(v, 0.7)))(2.0)
    agrees(lambda x: sp.hyp2f1(0.5, 1.5, 2.5, x), U)
    agrees(lambda x: sp.hyp1f1(0.5, 1.5, x), X)


def test_others() -> None:
    for f in (sp.rgamma, sp.exprel, sp.k0e, sp.k1e, sp.wrightomega, sp.cbrt, lambda x: sp.boxcox(x, 1.3)):
        agrees(f, P)
    agrees(sp.poch, P, P[0])
    agrees(sp.binom, P + 3, U[0])
    agrees(lambda r: sp.huber(1.0, r), X)
    agrees(lambda r: sp.pseudo_huber(1.0, r), X)
    agrees(lambda x: sp.stdtr(3, x), X)
    agrees(sp.wofz, complex_some(4), tolerance=1e-5)
    assert unspool.grad(lambda x: x * sp.gammasgn(x))(-0.5) == -1.0

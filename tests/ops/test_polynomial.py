"""Polynomials: in their coefficients and in their argument."""

from __future__ import annotations

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some

P, X = some(4), some(5, turn=0.3)


def test_values() -> None:
    agrees(np.polyval, P, X)
    agrees(np.polyval, P, 0.7)
    agrees(lambda x: np.polyval([1, 2, 3], x), X)
    agrees(lambda p: np.polyval(p, np.array([[1.0, 2.0]])), P)
    agrees(np.polyval, complex_some(3), complex_some(2))


def test_arithmetic() -> None:
    for f in (np.polyadd, np.polysub, np.polymul):
        agrees(f, P, some(2))
        agrees(f, some(2), P)
        agrees(lambda p, f=f: f(p, [1.0, 2.0]), P)
    agrees(np.polyder, P)
    agrees(lambda p: np.polyder(p, 2), P)
    with pytest.raises(ValueError, match="Order"):
        unspool.vjp(lambda p: np.polyder(p, -1), P)


def test_vander() -> None:
    for n in (None, 0, 1, 2, 4):
        agrees(lambda x, n=n: np.vander(x, n), X)
        agrees(lambda x, n=n: np.vander(x, n, increasing=True), X)
    with pytest.raises(ValueError, match="one-dimensional"):
        unspool.vjp(np.vander, some(2, 2))


def test_integral() -> None:
    for m in (0, 1, 3):
        agrees(lambda p: np.polyint(p, m), some(4))
    agrees(lambda p, k: np.polyint(p, 2, k), some(4), some(2))
    agrees(lambda p: np.polyint(p, 2, 1.5), some(4))
    for m, k in ((-1, None), (3, [1.0, 2.0])):
        with pytest.raises(ValueError):
            unspool.vjp(lambda p: np.polyint(p, m, k), some(3))

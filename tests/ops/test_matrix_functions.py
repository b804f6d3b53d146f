"""Functions of matrices and matrix equations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg as sl

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError
from unspool.layout import ArrayType
from unspool.scipy import linalg
from unspool.tracer import trace

A = some(3, 3)
C = A + 0.5j * some(3, 3, turn=0.3)
STACK = some(2, 3, 3)
POSITIVE = A @ A.T + np.eye(3)


def test_expm() -> None:
    for a in (A, C, STACK, 20 * A, np.zeros((3, 3)), np.triu(np.ones((3, 3)))):
        agrees(linalg.expm, a, tolerance=1e-6 if np.abs(a).max() < 5 else 10.0)
    agrees(unspool.grad(lambda a: np.sum(linalg.expm(a) ** 2)), A, tolerance=1e-4)
    agrees(lambda t: linalg.expm(t * A), 0.3)


def test_expm_of_a_commuting_direction_is_known() -> None:
    _, tangent = unspool.jvp(linalg.expm, (A,), (A @ A,))
    np.testing.assert_allclose(tangent, A @ A @ sl.expm(A), rtol=1e-11)


def test_expm_frechet() -> None:
    agrees(linalg.expm_frechet, A, some(3, 3, turn=0.2), exact=False)
    agrees(lambda a, e: linalg.expm_frechet(a, e, compute_expm=False), A, some(3, 3, turn=0.2), exact=False)


def test_solve_sylvester() -> None:
    b, q = some(2, 2) + 3 * np.eye(2), some(3, 2)
    agrees(linalg.solve_sylvester, A + 3 * np.eye(3), b, q)
    agrees(linalg.solve_sylvester, C + 3 * np.eye(3), b + 0.2j, complex_some(3, 2))
    agrees(lambda a: linalg.solve_sylvester(a, b, q), A + 3 * np.eye(3))


def test_real_and_complex_operands_of_sylvester_may_meet() -> None:
    a, b, q = C, np.array([[1.0, 2.0], [-2.0, 1.0]]), some(3, 2)
    x = unspool.vjp(lambda a: linalg.solve_sylvester(a, b, q), a)[0]
    np.testing.assert_allclose(a @ x + x @ b, q, atol=1e-13)  # SciPy's own x does not solve this


@pytest.mark.parametrize("method", [None, "direct", "bilinear"])
def test_lyapunov(method: Any) -> None:
    for a in (0.2 * A, 0.2 * C):
        agrees(linalg.solve_continuous_lyapunov, a - np.eye(3), POSITIVE + 0 * a, exact=False)
        agrees(lambda a, q: linalg.solve_discrete_lyapunov(a, q, method), a, POSITIVE + 0 * a, exact=False)
    large = 0.05 * some(11, 11)
    x = unspool.vjp(lambda q: linalg.solve_discrete_lyapunov(large, q, method), np.eye(11))[0]
    np.testing.assert_allclose(large @ x @ large.T - x + np.eye(11), 0, atol=1e-13)
    with pytest.raises(ValueError, match="solver"):
        unspool.vjp(lambda a: linalg.solve_discrete_lyapunov(a, A, "other"), A)


def test_sqrtm() -> None:
    for a in (POSITIVE, C + 4 * np.eye(3), np.stack([POSITIVE, 2 * POSITIVE])):
        agrees(linalg.sqrtm, a)
    agrees(linalg.sqrtm, np.array([[-2.0, 0.5], [0.3, -1.0]]))  # complex


def test_logm() -> None:
    for a in (POSITIVE, C + 4 * np.eye(3)):
        agrees(linalg.logm, a)
    agrees(lambda a: linalg.logm(linalg.expm(a)), 0.1 * A, exact=False)
    agrees(unspool.grad(lambda a: np.sum(linalg.logm(a) ** 2)), POSITIVE, tolerance=1e-5)


def test_in_a_program() -> None:
    for f in (linalg.sqrtm, linalg.logm):
        with pytest.raises(UnsupportedError, match="depends on the values"):
            trace(f, ArrayType.of(A))
        trace(f, ArrayType.of(C))

"""Matrix-free systems whose function reads traced values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse.linalg as sl

import unspool
from tests.ops.agreement import agrees, some
from unspool.errors import UnsupportedError
from unspool.scipy.sparse import linalg

N = 6
K, B = some(N, low=0.5, high=2.0), some(N)


def stiffness(k: Any) -> Any:
    """A symmetric operator: springs of strength k between fixed walls, and a bed."""

    def apply(u: Any) -> Any:
        padded = np.concatenate((np.zeros(1), u, np.zeros(1)))
        force = np.concatenate((k, k[:1])) * (padded[1:] - padded[:-1])
        return u + force[:-1] - force[1:]

    return apply


def advection(k: Any) -> Any:
    return lambda u: 4.0 * u + k * np.roll(u, 1) - 0.5 * np.roll(u, -1)


def solution(k: Any, b: Any, method: str, make: Any) -> Any:
    return getattr(linalg, method)(linalg.LinearOperator((N, N), make(k)), b, rtol=1e-13)[0]


@pytest.mark.parametrize(
    ("method", "make"), [("cg", stiffness), ("minres", stiffness), ("gmres", advection), ("bicgstab", advection)]
)
def test_methods(method: str, make: Any) -> None:
    full = np.stack([make(K)(e) for e in np.eye(N)], axis=1)
    np.testing.assert_allclose(unspool.vjp(lambda k: solution(k, B, method, make), K)[0], np.linalg.solve(full, B))
    agrees(lambda k, b: solution(k, b, method, make), K, B, exact=False, tolerance=1e-5)
    agrees(lambda k: solution(k, B, method, make), K, exact=False, tolerance=1e-5)
    agrees(lambda b: solution(K, b, method, make), B, exact=False, tolerance=1e-5)


def test_second_derivatives_and_loops() -> None:
    def loss(k: Any) -> Any:
        operator = linalg.LinearOperator((N, N), stiffness(k), dtype=float)
        u = unspool.fori_loop(0, 3, lambda i, u: linalg.cg(operator, u, rtol=1e-13)[0], B, policy="revolve-1")
        return np.sum(u**2)

    def dense(k: Any) -> Any:
        full = np.stack([stiffness(k)(e) for e in np.eye(N)], axis=1)
        return np.sum(np.linalg.solve(full, np.linalg.solve(full, np.linalg.solve(full, B))) ** 2)

    np.testing.assert_allclose(unspool.grad(loss)(K), unspool.grad(dense)(K), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(unspool.hvp(loss)(K, B), unspool.hvp(dense)(K, B), rtol=1e-7, atol=1e-9)
    over_reverse = unspool.grad(lambda k: np.sum(unspool.grad(loss)(k) * B))(K)
    np.testing.assert_allclose(over_reverse, unspool.hvp(dense)(K, B), rtol=1e-7, atol=1e-9)


def test_plain_functions_are_scipys() -> None:
    assert isinstance(linalg.LinearOperator((N, N), matvec=stiffness(K), dtype=float), sl.LinearOperator)
    seen: list[Any] = []
    unspool.grad(lambda x: np.sum(seen.append(linalg.LinearOperator((N, N), stiffness(K))) or x))(K)
    assert isinstance(seen[0], sl.LinearOperator)


def test_refusals() -> None:
    with pytest.raises(UnsupportedError, match="transpose is derived"):
        unspool.vjp(lambda k: linalg.LinearOperator((N, N), stiffness(k), rmatvec=stiffness(k)) @ B, K)
    with pytest.raises(UnsupportedError, match="did not converge"):
        unspool.vjp(lambda k: linalg.cg(linalg.LinearOperator((N, N), stiffness(k)), B, maxiter=1, rtol=1e-15)[0], K)
    agrees(lambda k: linalg.LinearOperator((N, N), stiffness(k)) @ B, K, exact=False)

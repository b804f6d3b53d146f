"""LU and Cholesky factors, and systems that are solved with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg as sl

import unspool
from tests.ops.agreement import agrees, same_bits, some
from unspool.errors import UnsupportedError
from unspool.layout import ArrayType
from unspool.scipy import linalg
from unspool.tracer import trace

A = some(4, 4) + np.diag([0.0, 1.0, 3.0, 5.0])
C = A + 0.5j * some(4, 4, turn=0.3)
P = A @ A.T + 2 * np.eye(4)
HERMITIAN = C @ np.conj(C.T) + 2 * np.eye(4)
STACK = np.stack([A, A[::-1]])
B, V = some(4, 2), some(4)


def test_lu_factor() -> None:
    for a in (A, C, STACK):
        agrees(lambda a: linalg.lu_factor(a)[0], a)
        seen: list[Any] = []
        unspool.jvp(lambda a: seen.append(linalg.lu_factor(a)[1]) or a, (a,), (a,))
        same_bits(seen[0], sl.lu_factor(a)[1])  # plain: an index
    with pytest.raises(UnsupportedError, match="not square"):
        unspool.vjp(lambda a: linalg.lu_factor(a)[0], A[:2])


def test_lu() -> None:
    for a in (A, C, STACK):
        agrees(lambda a: linalg.lu(a)[1:], a, exact=False)
        agrees(lambda a: linalg.lu(a, permute_l=True), a, exact=False)
        agrees(lambda a: linalg.lu(a, p_indices=True)[1:], a, exact=False)
        p, low, up = unspool.vjp(lambda a: (linalg.lu(a)[0] * np.ones_like(a), *linalg.lu(a)[1:]), a)[0]
        np.testing.assert_allclose(p @ low @ up, a, atol=1e-14)
        k, low, up = unspool.vjp(lambda a: (linalg.lu(a, p_indices=True)[0] + 0 * a[..., 0], low, up), a)[0]
        np.testing.assert_allclose(np.take_along_axis(low, k.real.astype(int)[..., None], -2) @ up, a, atol=1e-14)


@pytest.mark.parametrize("trans", [0, 1, 2])
def test_lu_solve(trans: int) -> None:
    for a in (A, C, STACK):
        lu, pivots = sl.lu_factor(a)
        for b in (V, B):
            agrees(lambda lu, b: linalg.lu_solve((lu, pivots), b, trans), lu, b)
            agrees(lambda a, b: linalg.lu_solve(linalg.lu_factor(a), b, trans=trans), a, b)
    agrees(lambda b: linalg.lu_solve((lu[0], pivots[0]), b, check_finite=False), V)


def test_a_factorisation_made_once_is_used_on_the_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    factors = sl.lu_factor(A)
    for name in ("lu_factor", "solve", "inv"):
        monkeypatch.setattr(sl, name, None)
    monkeypatch.setattr(np.linalg, "solve", None)
    gradient = unspool.grad(lambda b: np.sum(linalg.lu_solve(factors, b) ** 2))(V)
    np.testing.assert_allclose(gradient, 2 * np.linalg.inv(A).T @ (np.linalg.inv(A) @ V))


def test_lu_in_a_program() -> None:
    program = trace(lambda a, b: linalg.lu_solve(linalg.lu_factor(a), b), ArrayType.of(A), ArrayType.of(B))
    assert [e.primitive.name for e in program.equations] == ["lu_factor", "pivots", "lu_solve"]


@pytest.mark.parametrize("lower", [False, True])
def test_cholesky(lower: bool) -> None:
    for a in (P, HERMITIAN, STACK @ np.swapaxes(STACK, 1, 2) + 2 * np.eye(4)):
        agrees(lambda a: linalg.cholesky(a, lower), a)
        agrees(lambda a, b: linalg.cho_solve(linalg.cho_factor(a, lower), b), a, V, exact=False)
        agrees(lambda a, b: linalg.cho_solve((a, lower), b), a, B)
    agrees(lambda b: linalg.cho_solve((P, lower), b), V)
    c, same = unspool.vjp(lambda a: linalg.cho_factor(a, lower)[0], P)[0], linalg.cho_factor(P, lower)[0]
    np.testing.assert_array_equal(c, np.tril(same) if lower else np.triu(same))
    with pytest.raises(np.linalg.LinAlgError):
        unspool.vjp(linalg.cholesky, -P)


@pytest.mark.parametrize("lower", [False, True])
def test_cho_solve_banded(lower: bool) -> None:
    factor = sl.cholesky_banded(np.array([[6.0, 7, 8, 9], [1, 2, 1, 0]][:: 1 if lower else -1]), lower=lower)
    for c in (factor, factor + 0.1j):
        agrees(lambda b: linalg.cho_solve_banded((c, lower), b), V)
        agrees(lambda b: linalg.cho_solve_banded((c, lower), b), B)
    with pytest.raises(UnsupportedError, match="solveh_banded"):
        unspool.vjp(lambda c: linalg.cho_solve_banded((c, lower), V), factor)


def test_the_factor_given_may_be_overwritten_later() -> None:
    factor = sl.cholesky_banded(np.array([[1.0, 2, 1, 0], [6, 7, 8, 9]][::-1]), lower=True)
    expected = unspool.grad(lambda b: np.sum(linalg.cho_solve_banded((factor, True), b) ** 2))(V)

    def f(b: Any) -> Any:
        mine = factor.copy()
        y = linalg.cho_solve_banded((mine, True), b)
        mine[:] = np.nan
        return np.sum(y**2)

    np.testing.assert_array_equal(unspool.grad(f)(V), expected)

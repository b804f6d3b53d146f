"""Systems with a structure: every structure, every side, stacks, and what is not read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError
from unspool.scipy import linalg

A = some(4, 4) + 4 * np.eye(4)
C = A + 0.5j * some(4, 4, turn=0.3)
B, V = some(4, 2), some(4)
STACK = some(2, 4, 4) + 4 * np.eye(4)


# --- triangular -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("trans", [0, 1, 2, "N", "T", "C"])
@pytest.mark.parametrize("lower", [False, True])
def test_solve_triangular(trans: Any, lower: bool) -> None:
    exact = trans not in (2, "C")
    for unit in (False, True):
        for a in (A, C):
            for b in (V, B):
                agrees(lambda a, b: linalg.solve_triangular(a, b, trans, lower, unit), a, b, exact=exact)
    agrees(lambda a: linalg.solve_triangular(a, V, trans, lower=lower, check_finite=False), A, exact=exact)
    agrees(lambda b: linalg.solve_triangular(A, b, trans=trans, lower=lower), complex_some(4), exact=exact)


def test_a_permission_to_overwrite_is_not_used() -> None:
    a, b = A.copy(), V.copy()
    for f in (
        lambda a, b: linalg.solve_triangular(a, b, overwrite_b=True),
        lambda a, b: linalg.solve(a, b, overwrite_a=True, overwrite_b=True),
        lambda a, b: linalg.solve_banded((2, 1), a, b, overwrite_ab=True, overwrite_b=True),
        lambda a, b: linalg.lu_solve(linalg.lu_factor(a, overwrite_a=True), b, overwrite_b=True),
    ):
        unspool.vjp(lambda a, f=f: f(a, b), a)
        unspool.vjp(lambda b, f=f: f(a, b), b)
    np.testing.assert_array_equal(a, A)
    np.testing.assert_array_equal(b, V)


def test_stacks_of_triangular_systems() -> None:
    for b in (V, B, some(2, 4, 1), some(3, 1, 4, 2)):
        agrees(linalg.solve_triangular, STACK, b)


def test_the_other_triangle_is_not_read() -> None:
    of_a = unspool.grad(lambda a: np.sum(linalg.solve_triangular(a, V, lower=True)))(A)
    assert np.all(np.triu(of_a, 1) == 0)
    of_a = unspool.grad(lambda a: np.sum(linalg.solve_triangular(a, V, unit_diagonal=True)))(A)
    assert np.all(np.tril(of_a) == 0)


def test_what_scipy_raises() -> None:
    for f in (linalg.solve_triangular, linalg.solve):
        with pytest.raises(ValueError, match="infs or NaNs"):
            unspool.vjp(f, np.full((2, 2), np.nan), np.ones(2))
        with pytest.raises(np.linalg.LinAlgError):
            unspool.vjp(f, np.zeros((2, 2)), np.ones(2))
    with pytest.raises(ValueError, match="trans"):
        unspool.vjp(lambda a: linalg.solve_triangular(a, V, trans=3), A)


# --- dense ------------------------------------------------------------------------------------------------------------
STRUCTURES = ("gen", "sym", "her", "pos", "diagonal", "tridiagonal", "upper triangular", "lower triangular")


@pytest.mark.parametrize("assume", [None, *STRUCTURES])
def test_solve(assume: Any) -> None:
    for lower in (False, True):
        for b in (V, B):
            agrees(lambda a, b: linalg.solve(a, b, lower, assume_a=assume), A + A.T, b)
            agrees(
                lambda a, b: linalg.solve(a, b, lower=lower, assume_a=assume, transposed=True), A + A.T, b, exact=False
            )
    agrees(lambda a, b: linalg.solve(a, b, assume_a=assume), STACK + np.swapaxes(STACK, 1, 2), V)
    hermitian = C + np.conj(C.T) if assume in ("her", "pos", None) else C + C.T
    agrees(lambda a, b: linalg.solve(a, b, assume_a=assume), hermitian, V)


@pytest.mark.parametrize("assume", STRUCTURES[1:])
def test_what_is_assumed_is_not_read(assume: str) -> None:
    agrees(lambda a: linalg.solve(a, V, assume_a=assume), A)


def test_transposed_is_for_real_matrices() -> None:
    with pytest.raises(NotImplementedError, match="real"):
        unspool.vjp(lambda a: linalg.solve(a, V, transposed=True), C)


# --- inverse and determinant ------------------------------------------------------------------------------------------
def test_inv_and_det() -> None:
    for a in (A, C, STACK):
        agrees(linalg.inv, a)
        agrees(linalg.det, a)
    agrees(lambda a: linalg.inv(a, True, False, assume_a="gen"), A)
    with pytest.raises(UnsupportedError, match="assume_a='pos'"):
        unspool.vjp(lambda a: linalg.inv(a, assume_a="pos"), A)
    singular = np.array([[1.0, 2.0], [2.0, 4.0]])
    np.testing.assert_allclose(unspool.grad(linalg.det)(singular), [[4, -2], [-2, 1]])

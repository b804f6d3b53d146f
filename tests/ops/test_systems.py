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


# --- banded -----------------------------------------------------------------------------------------------------------
def _band(n_rows: int, n: int, diagonal: int, dtype: Any = float) -> Any:
    band = (complex_some if dtype is complex else some)(n_rows, n)
    band[diagonal] += 8.0
    return band


@pytest.mark.parametrize(("lower", "upper", "n"), [(1, 1, 6), (2, 1, 6), (0, 2, 5), (3, 0, 5), (1, 1, 1), (2, 3, 2)])
def test_solve_banded(lower: int, upper: int, n: int) -> None:
    for dtype in (float,) if n == 1 else (float, complex):  # SciPy itself fails on one complex number
        band = _band(lower + upper + 1, n, upper, dtype)
        for b in (some(n), some(n, 2)):
            agrees(lambda ab, b: linalg.solve_banded((lower, upper), ab, b), band, b)
    agrees(lambda b: linalg.solve_banded((lower, upper), band, b, check_finite=False), some(n))


def test_the_corners_of_a_band_are_not_read() -> None:
    of_band = unspool.grad(lambda ab: np.sum(linalg.solve_banded((1, 1), ab, V)))(_band(3, 4, 1))
    assert of_band[0, 0] == of_band[2, -1] == 0
    assert np.count_nonzero(of_band) == 10


def test_a_band_is_the_matrix_it_stands_for() -> None:
    band = _band(4, 5, 2)

    def full(ab: Any) -> Any:
        return np.diag(ab[0, 2:], 2) + np.diag(ab[1, 1:], 1) + np.diag(ab[2]) + np.diag(ab[3, :-1], -1)

    found = unspool.grad(lambda ab: np.sum(linalg.solve_banded((1, 2), ab, some(5)) ** 3))(band)
    expected = unspool.grad(lambda ab: np.sum(np.linalg.solve(full(ab), some(5)) ** 3))(band)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_stacks_of_banded_systems() -> None:
    bands = np.stack([_band(3, 4, 1), 2 * _band(3, 4, 1)])
    for b in (V, B, some(2, 4, 3)):
        agrees(lambda ab, b: linalg.solve_banded((1, 1), ab, b), bands, b)


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_solveh_banded(n_rows: int, lower: bool) -> None:
    for dtype in (float, complex):
        band = _band(n_rows, 5, 0 if lower else -1, dtype)
        for b in (some(5), some(5, 2)):
            agrees(lambda ab, b: linalg.solveh_banded(ab, b, lower=lower), band, b)


def test_second_derivatives_through_a_loop_of_implicit_steps() -> None:
    n = 6

    def final(k: Any) -> Any:
        band = np.stack([-k * np.ones(n), 1 + 2 * k * np.ones(n), -k * np.ones(n)])
        u = unspool.fori_loop(0, 20, lambda i, u: linalg.solve_banded((1, 1), band, u), some(n), policy="revolve-3")
        return np.sum(u**2)

    h = 1e-5
    gradient = unspool.grad(final)
    np.testing.assert_allclose(gradient(0.3), (final(0.3 + h) - final(0.3 - h)) / (2 * h), rtol=1e-8)
    second = unspool.hessian(final)(0.3)
    np.testing.assert_allclose(second, (gradient(0.3 + h) - gradient(0.3 - h)) / (2 * h), rtol=1e-7)


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

"""Sparse systems: LU factors and iterations, matrices plain and traced, factorisations that serve again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg as sl

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError
from unspool.ops import patterns
from unspool.scipy import sparse
from unspool.scipy.sparse import linalg

N = 6
DIAGONALS = some(N) + 5.0
B, BS = some(N), some(N, 2)


def matrix(d: Any, format: str = "csc") -> Any:
    return sparse.diags_array([-0.5 * d[1:], d, 0.3 * d[:-1]], offsets=[-1, 0, 1], shape=(N, N), format=format)


def symmetric(d: Any) -> Any:
    return sparse.diags_array([0.2 * d[1:], d, 0.2 * d[1:]], offsets=[-1, 0, 1], shape=(N, N), format="csr")


# --- LU ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("format", ["csr", "csc"])
def test_spsolve(format: str) -> None:
    plain = matrix(DIAGONALS, format)
    for b in (B, BS, complex_some(N)):
        agrees(lambda d, b: linalg.spsolve(matrix(d, format), b), DIAGONALS, b, exact=False)
        agrees(lambda b: linalg.spsolve(plain, b), b, exact=False)
        agrees(lambda d: linalg.spsolve(matrix(d, format), b), DIAGONALS, exact=False)
    agrees(lambda d: linalg.spsolve(matrix(d, format), B), DIAGONALS + 0.5j, exact=False)
    agrees(lambda b: linalg.spsolve(plain, b, "NATURAL"), B[:, None], exact=False)
    agrees(unspool.grad(lambda d: np.sum(linalg.spsolve(matrix(d), B) ** 2)), DIAGONALS, exact=False)


@pytest.mark.parametrize("trans", ["N", "T", "H"])
def test_splu(trans: str) -> None:
    for d in (DIAGONALS, DIAGONALS + 0.5j):
        factors = linalg.splu(matrix(d))
        for b in (B, BS, complex_some(N)):
            plain = b + 0j if d.dtype.kind == "c" else b
            if b.dtype.kind != "c" or d.dtype.kind == "c":  # SciPy's own takes no complex side with real factors
                agrees(lambda b: factors.solve(b, trans), plain, exact=False)
            found, pullback = unspool.vjp(lambda b: factors.solve(b, trans), b)
            full = {"N": factors_of(d), "T": factors_of(d).T, "H": np.conj(factors_of(d).T)}[trans]
            np.testing.assert_allclose(full @ found, b, atol=1e-13)
            inverse = np.linalg.inv(full)
            expected = inverse.T @ found
            np.testing.assert_allclose(pullback(found)[0], expected if b.dtype.kind == "c" else expected.real)
        agrees(lambda d, b: linalg.splu(matrix(d)).solve(b, trans), d, B + 0 * d, exact=False)
    assert linalg.splu(matrix(DIAGONALS)).shape == (N, N)
    assert linalg.splu(matrix(DIAGONALS)).nnz > 0


def factors_of(d: Any) -> Any:
    return matrix(d).toarray()


def test_factorized() -> None:
    solve = linalg.factorized(matrix(DIAGONALS))
    agrees(solve, B, exact=False)
    agrees(lambda d, b: linalg.factorized(matrix(d))(b), DIAGONALS, B, exact=False)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    made: list[int] = []
    original = sl.splu

    def splu(*args: Any, **kwargs: Any) -> Any:
        made.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(sl, "splu", splu)
    monkeypatch.setattr(patterns, "FACTORISATIONS", patterns.Factorisations())
    return made


def test_one_factorisation_serves_a_system_and_its_adjoint(counted: list[int]) -> None:
    unspool.grad(lambda d: np.sum(linalg.spsolve(matrix(d), B) ** 2))(DIAGONALS)
    assert len(counted) == 1


def test_one_factorisation_serves_a_loop_with_one_matrix(counted: list[int]) -> None:
    def final(d: Any) -> Any:
        a = matrix(d)
        return np.sum(unspool.fori_loop(0, 10, lambda i, u: linalg.spsolve(a, u), B, policy="revolve-2"))

    gradient = unspool.grad(final)(DIAGONALS)
    assert len(counted) == 1
    h = 1e-6 * some(N)
    np.testing.assert_allclose(gradient @ h, (final(DIAGONALS + h) - final(DIAGONALS - h)) / 2, rtol=1e-6)


def test_another_matrix_is_factorised_anew(counted: list[int]) -> None:
    a = matrix(DIAGONALS)
    for k in range(5):
        a.data[:] = matrix(DIAGONALS + k).data
        found = unspool.vjp(lambda b: linalg.spsolve(a, b), B)[0]
        np.testing.assert_allclose(a @ found, B, atol=1e-13)
    assert len(counted) == 5
    assert len(patterns.FACTORISATIONS._kept) == patterns.KEPT


def test_a_singular_matrix_raises() -> None:
    with pytest.raises(RuntimeError, match="singular"):
        unspool.vjp(lambda d: linalg.spsolve(matrix(d), B), np.zeros(N))


# --- iteration --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["cg", "minres", "gmres", "bicgstab"])
def test_iterations(method: str) -> None:
    solve = getattr(linalg, method)
    make = symmetric if method in ("cg", "minres") else lambda d: matrix(d, "csr")
    d = DIAGONALS
    agrees(lambda d, b: solve(make(d), b, rtol=1e-13)[0], d, B, exact=False, tolerance=1e-5)
    agrees(lambda b: solve(make(d), b, rtol=1e-13)[0], B, exact=False)
    agrees(lambda b: solve(make(d), b, B, rtol=1e-13, maxiter=100)[0], B[:, None], exact=False)
    agrees(lambda a, b: solve(a, b, rtol=1e-13)[0], make(d).toarray(), B, exact=False)
    agrees(unspool.grad(lambda d: np.sum(solve(make(d), B, rtol=1e-13)[0] ** 2)), d, exact=False, tolerance=1e-5)
    seen: list[Any] = []
    unspool.vjp(lambda b: seen.append(solve(make(d), b)[1]) or b, B)
    assert seen == [0]


def test_complex_symmetric_and_hermitian() -> None:
    a = symmetric(DIAGONALS).toarray() + 0.3j * (np.eye(N, k=1) - np.eye(N, k=-1))
    agrees(lambda a, b: linalg.cg(a, b, rtol=1e-13)[0], a, complex_some(N), exact=False, tolerance=1e-5)
    agrees(lambda a, b: linalg.gmres(a, b, rtol=1e-13)[0], a, complex_some(N), exact=False, tolerance=1e-5)


def test_preconditioners_callbacks_and_operators() -> None:
    a = matrix(DIAGONALS, "csr")
    seen: list[Any] = []
    m = scipy.sparse.diags_array(1 / DIAGONALS)
    for M in (m, sl.aslinearoperator(m)):
        agrees(lambda b: linalg.gmres(a, b, rtol=1e-13, M=M, restart=5)[0], B, exact=False)
    _, pullback = unspool.vjp(lambda b: linalg.bicgstab(a, b, callback=seen.append)[0], B)
    forth = len(seen)
    pullback(B)
    assert forth > 0
    assert len(seen) == forth
    operator = sl.aslinearoperator(a)
    agrees(lambda b: linalg.gmres(operator, b, rtol=1e-13)[0], B, exact=False)
    self_adjoint = sl.LinearOperator((N, N), matvec=lambda v: symmetric(DIAGONALS) @ v, dtype=float)
    agrees(lambda b: linalg.cg(self_adjoint, b, rtol=1e-13)[0], B, exact=False)


def test_refusals() -> None:
    a = symmetric(DIAGONALS)
    cases: list[tuple[Any, type[Exception], str]] = [
        (lambda b: linalg.cg(a, b, maxiter=1, rtol=1e-15)[0], UnsupportedError, "did not converge"),
        (lambda b: linalg.cg(a, b, x0=b)[0], UnsupportedError, "start x0"),
        (lambda b: linalg.cg(a, B, M=symmetric(b))[0], UnsupportedError, "preconditioner"),
        (lambda b: linalg.cg(a, b, tol=1e-3)[0], UnsupportedError, "tol="),
        (lambda b: linalg.spsolve(np.outer(b, b), b), UnsupportedError, "not sparse"),
        (lambda b: linalg.spsolve(a, symmetric(b)), UnsupportedError, "sparse right-hand side"),
        (lambda b: linalg.spsolve(a, b[:3]), ValueError, "shapes"),
        (lambda b: linalg.splu(symmetric(b), relax=2).solve(B), UnsupportedError, "relax="),
        (lambda b: linalg.splu(symmetric(b)).nnz, AttributeError, "use solve"),
        (lambda b: linalg.splu(a).solve(b, "X"), ValueError, "trans"),
    ]
    for call, error, match in cases:
        with pytest.raises(error, match=match):
            unspool.vjp(call, B)

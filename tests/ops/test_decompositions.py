"""Decompositions: of single matrices and stacks, real and complex, and where they have no derivative."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError
from unspool.layout import ArrayType
from unspool.tracer import trace

A = some(4, 4) + np.diag(np.arange(1.0, 5.0) * 2)
STACK = some(2, 3, 3) + np.diag(np.arange(1.0, 4.0) * 2)
S = A + A.T
C = A + 0.5j * some(4, 4, turn=0.3)
H = C + np.conj(C.T)


# --- Hermitian --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("uplo", ["L", "U"])
def test_eigh(uplo: str) -> None:
    for a in (S, A, STACK, S[:1, :1]):
        agrees(lambda a: tuple(np.linalg.eigh(a, uplo)), a)
        agrees(lambda a: np.linalg.eigvalsh(a, uplo), a)
        agrees(lambda a: np.linalg.eigh(a, uplo).eigenvectors, a)
    agrees(lambda a: np.linalg.eigvalsh(a, uplo), H)
    agrees(lambda a: np.linalg.eigh(a, UPLO=uplo)[0], H)
    agrees(lambda a: np.abs(np.linalg.eigh(a, uplo)[1]), H)
    agrees(lambda a: np.linalg.eigh(a.astype(np.float32), uplo)[0], S, tolerance=5e-2, h=1e-2)
    with pytest.raises(ValueError, match="UPLO"):
        unspool.vjp(lambda a: np.linalg.eigh(a, "X"), S)


def test_a_function_of_a_hermitian_matrix() -> None:
    def root(a: Any) -> Any:
        w, v = np.linalg.eigh(a @ np.conj(np.swapaxes(a, -1, -2)))
        return (v * np.sqrt(w)[..., None, :]) @ np.conj(np.swapaxes(v, -1, -2))

    for a in (A, C, STACK):
        agrees(root, a, exact=False)
    agrees(unspool.grad(lambda a: np.sum(root(a) ** 2 * some(4, 4))), A, exact=False, tolerance=1e-4)


def test_only_one_triangle_is_read() -> None:
    gradient = unspool.grad(lambda a: np.linalg.eigh(a).eigenvalues[0])(S)
    assert np.all(np.triu(gradient, 1) == 0)
    assert np.all(np.triu(unspool.grad(lambda a: np.linalg.eigvalsh(a, "U")[0])(S).T, 1) == 0)


def test_eigenvectors_of_equal_eigenvalues() -> None:
    eye = np.eye(3)
    np.testing.assert_allclose(unspool.grad(lambda a: np.sum(np.linalg.eigvalsh(a)))(eye), eye)
    np.testing.assert_allclose(unspool.grad(lambda a: np.sum(np.linalg.eigh(a)[0]))(eye), eye)
    with pytest.raises(UnsupportedError, match="coincide"):
        unspool.grad(lambda a: np.sum(np.linalg.eigh(a)[1]))(eye)
    with pytest.raises(UnsupportedError, match="coincide"):
        unspool.jvp(lambda a: np.linalg.eigh(a)[1], (eye,), (S[:3, :3],))


def test_phases_are_arbitrary() -> None:
    for f in (
        lambda a: np.linalg.eigh(a)[1],
        lambda a: np.linalg.eig(a)[1],
        lambda a: np.linalg.svd(a)[0],
    ):
        with pytest.raises(UnsupportedError, match="phases"):
            unspool.grad(lambda a, f=f: np.sum(np.real(f(a) * complex_some(4, 4))))(H)


# --- general ----------------------------------------------------------------------------------------------------------
def test_eig() -> None:
    for a in (A, 0.3 * some(2, 3, 3) + np.diag([2.0, 4.0, 6.0])):
        agrees(lambda a: tuple(np.linalg.eig(a)), a, tolerance=1e-5)
        agrees(np.linalg.eigvals, a)
    turning = np.array([[1.0, 2.0], [-1.5, 0.5]])
    for a in (C, turning):
        agrees(np.linalg.eigvals, a)
        agrees(lambda a: np.linalg.eig(a).eigenvalues, a)
        agrees(lambda a: np.abs(np.linalg.eig(a).eigenvectors), a)


def test_a_function_of_a_matrix() -> None:
    def exponential(a: Any) -> Any:
        w, v = np.linalg.eig(a)
        return np.real((v * np.exp(0.1 * w)) @ np.linalg.inv(v))

    agrees(exponential, A, exact=False)
    agrees(exponential, np.array([[1.0, 2.0], [-1.5, 0.5]]), exact=False)


def test_eig_in_a_program() -> None:
    for f in (np.linalg.eig, np.linalg.eigvals):
        with pytest.raises(UnsupportedError, match="depends on the values"):
            trace(lambda a, f=f: np.abs(f(a)[0]), ArrayType.of(A))
        trace(lambda a, f=f: np.abs(f(a)[0]), ArrayType.of(C))

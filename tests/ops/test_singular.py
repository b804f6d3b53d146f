"""Singular values and vectors, reduced and full, real and complex, and where they have no derivative."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError

A = some(4, 4) + np.diag(np.arange(1.0, 5.0) * 2)
SHAPES = ((3, 3), (4, 2), (2, 4), (2, 3, 2), (1, 3), (3, 1))


@pytest.mark.parametrize("shape", SHAPES)
def test_svd(shape: Any) -> None:
    a = some(*shape)
    agrees(lambda a: tuple(np.linalg.svd(a, full_matrices=False)), a)
    agrees(lambda a: np.linalg.svd(a, compute_uv=False), a)
    agrees(np.linalg.svdvals, a)
    for k in range(3):
        agrees(lambda a, k=k: np.linalg.svd(a, full_matrices=False)[k], a)


def test_complex_svd() -> None:
    for shape in ((3, 3), (4, 2), (2, 4)):
        a = complex_some(*shape)
        agrees(lambda a: np.linalg.svd(a, full_matrices=False).S, a)
        agrees(np.linalg.svdvals, a)

        def polar(a: Any) -> Any:
            u, _, vh = np.linalg.svd(a, full_matrices=False)
            return u @ vh

        agrees(polar, a, exact=False)
        agrees(lambda a: np.abs(np.linalg.svd(a, full_matrices=False)[2]), a)


def test_full_svd() -> None:
    for a in (A, A[:3], A[:, :3], some(2, 3, 2)):
        agrees(lambda a: tuple(np.linalg.svd(a)), a)
        agrees(lambda a: np.linalg.svd(a)[2], a)
    with pytest.raises(UnsupportedError, match="hermitian="):
        unspool.vjp(lambda a: np.linalg.svd(a, hermitian=True), A + A.T)


def test_the_vectors_of_no_singular_value_are_a_space() -> None:
    def projections(a: Any) -> Any:
        u, s, vh = np.linalg.svd(a)
        left, right = u[:, s.size :], vh[s.size :]
        return left @ np.conj(left.T), np.conj(right.T) @ right

    for shape in ((5, 2), (2, 4)):
        agrees(projections, some(*shape), exact=False)
        agrees(projections, complex_some(*shape), exact=False)
        with pytest.raises(UnsupportedError, match="complete the basis"):
            unspool.grad(lambda a: sum([np.sum(v[-1] * np.arange(v.shape[0])) for v in np.linalg.svd(a)[::2]]))(
                some(*shape)
            )


def test_singular_vectors_without_a_derivative() -> None:
    with pytest.raises(UnsupportedError, match="coincide"):
        unspool.grad(lambda a: np.sum(np.linalg.svd(a)[0]))(np.eye(3))
    with pytest.raises(UnsupportedError, match="is zero"):
        unspool.grad(lambda a: np.sum(np.linalg.svd(a, full_matrices=False)[0]))(np.array([[1.0, 0], [0, 0], [0, 0]]))
    np.testing.assert_allclose(unspool.grad(lambda a: np.sum(np.linalg.svdvals(a)))(np.eye(3)), np.eye(3))

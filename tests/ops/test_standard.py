"""The array API standard's names, chains of products, tensor equations, condition numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError

A, B = some(3, 4), some(4, 2, turn=0.2)
STACK = some(2, 3, 3) + 3 * np.eye(3)
Z = complex_some(3, 4)


def test_norms() -> None:
    for axis in (None, 0, -1, (0, 1), (1,)):
        for order in (2, 1, np.inf, 3):
            agrees(lambda x, a=axis, o=order: np.linalg.vector_norm(x, axis=a, ord=o), A)
            agrees(lambda x, a=axis, o=order: np.linalg.vector_norm(x, axis=a, ord=o, keepdims=True), A)
    agrees(np.linalg.vector_norm, 1.5)
    for order in ("fro", "nuc", 1, 2, -2, np.inf):
        agrees(lambda x, o=order: np.linalg.matrix_norm(x, ord=o), STACK)
        agrees(lambda x, o=order: np.linalg.matrix_norm(x, ord=o, keepdims=True), STACK)


def test_names() -> None:
    agrees(np.linalg.cross, A[:, :3], B[:3, :1] * np.ones(3))
    agrees(lambda x, y: np.linalg.cross(x, y, axis=0), A, some(3, 4, turn=0.2))
    agrees(np.linalg.outer, A[0], B[:, 0].copy())
    agrees(np.linalg.trace, STACK)
    agrees(lambda x: np.linalg.trace(x, offset=1), STACK)
    agrees(lambda x: np.linalg.diagonal(x, offset=-1), STACK)
    agrees(np.linalg.matmul, A, B)
    agrees(np.linalg.matrix_transpose, STACK)
    agrees(lambda x, y: np.linalg.tensordot(x, y, axes=1), A, B)
    with pytest.raises(ValueError, match="one-dimensional"):
        unspool.vjp(lambda x: np.linalg.outer(x, x), A)


def test_products_of_vectors() -> None:
    agrees(np.vecdot, A, A[0], exact=False)
    agrees(np.vecdot, Z, complex_some(4), exact=False)
    agrees(lambda x, y: np.linalg.vecdot(x, y, axis=0), A, some(3, 1), exact=False)
    agrees(np.linalg.vecdot, Z, Z[::-1].copy(), exact=False)
    if hasattr(np, "matvec"):
        agrees(np.matvec, A, some(4), exact=False)
        agrees(np.vecmat, some(3), A, exact=False)
        agrees(np.vecmat, complex_some(2, 3), Z, exact=False)


@pytest.mark.skipif(not hasattr(np, "cumulative_sum"), reason="NumPy 2.1")
def test_cumulative() -> None:
    for f in (np.cumulative_sum, np.cumulative_prod):
        agrees(f, A[0])
        agrees(lambda x, f=f: f(x, axis=1, include_initial=True), A)
        with pytest.raises(ValueError, match="axis"):
            unspool.vjp(f, A)
    agrees(lambda x: np.unstack(x, axis=1), A)


@pytest.mark.parametrize("shapes", [((3, 4), (4, 2)), ((3, 4), (4, 2), (2, 5)), ((5, 2), (2, 4), (4, 3), (3, 6))])
def test_multi_dot(shapes: Any) -> None:
    factors = [some(*shape, turn=0.1 * k) for k, shape in enumerate(shapes)]
    agrees(lambda *a: np.linalg.multi_dot(a), *factors)
    agrees(lambda *a: np.linalg.multi_dot([some(shapes[0][0]), *a]), *factors)
    agrees(lambda *a: np.linalg.multi_dot([some(shapes[0][0]), *a, some(shapes[-1][1])]), *factors)
    agrees(lambda *a: np.linalg.multi_dot([*a, some(shapes[-1][1])]), *factors)


def test_multi_dot_of_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="two arrays"):
        unspool.vjp(lambda a: np.linalg.multi_dot([a]), A)
    with pytest.raises(np.linalg.LinAlgError):
        unspool.vjp(lambda a: np.linalg.multi_dot([a, STACK, a]), A)


def test_tensor_equations() -> None:
    agrees(np.linalg.tensorinv, some(4, 6, 8, 3) + np.eye(24).reshape(4, 6, 8, 3) * 5, tolerance=1e-5)
    agrees(lambda a: np.linalg.tensorinv(a, ind=1), some(6, 2, 3) + np.eye(6).reshape(6, 2, 3) * 5)
    agrees(np.linalg.tensorsolve, some(2, 3, 6) + np.eye(6).reshape(2, 3, 6) * 5, some(2, 3))
    agrees(
        lambda a, b: np.linalg.tensorsolve(a, b, axes=(0,)), some(6, 2, 3) + 5 * np.eye(6).reshape(6, 2, 3), some(2, 3)
    )
    with pytest.raises(ValueError, match="ind"):
        unspool.vjp(lambda a: np.linalg.tensorinv(a, 0), STACK)
    with pytest.raises(np.linalg.LinAlgError):
        unspool.vjp(lambda a: np.linalg.tensorsolve(a, A), STACK)


@pytest.mark.parametrize("p", [None, 2, -2, "fro", 1, -1, np.inf, -np.inf])
def test_condition_numbers(p: Any) -> None:
    agrees(lambda a: np.linalg.cond(a, p), STACK, exact=False)
    if p in (None, 2, -2):
        agrees(lambda a: np.linalg.cond(a, p), A)
    with pytest.raises(UnsupportedError, match="nuc"):
        unspool.vjp(lambda a: np.linalg.cond(a, "nuc"), STACK)

"""Eigenvalues, singular values, QR, norms and least squares in SciPy's words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, some
from unspool.errors import UnsupportedError
from unspool.scipy import linalg

A = some(3, 3) + np.diag([2.0, 4.0, 6.0])
S = A + A.T
C = A + 0.5j * some(3, 3, turn=0.3)
H = C + np.conj(C.T)
METRIC = some(3, 3) @ some(3, 3).T + np.eye(3)


@pytest.mark.parametrize("lower", [False, True])
def test_eigh(lower: bool) -> None:
    agrees(lambda a: np.abs(linalg.eigh(a, lower=lower)[1]), S)  # LAPACK's signs change with the last digit
    agrees(lambda a, b: linalg.eigh(a, b, lower=lower), S, METRIC)
    for a, b in ((S, METRIC), (H, METRIC), (H, METRIC + 0.2j * (some(3, 3) - some(3, 3).T))):
        agrees(lambda a: linalg.eigvalsh(a, lower=lower), a, exact=False)
        agrees(lambda a: linalg.eigh(a, lower=lower, eigvals_only=True), a, exact=False)
        agrees(lambda a, b: linalg.eigvalsh(a, b, lower=lower), a, b, exact=False)
        agrees(lambda a, b: np.abs(linalg.eigh(a, b, lower=lower)[1]), a, b)
    agrees(lambda b: linalg.eigh(S, b)[1], METRIC)
    agrees(unspool.grad(lambda b: np.sum(linalg.eigh(S, b)[1] ** 3)), METRIC, exact=False, tolerance=1e-5)


def test_eigh_refuses() -> None:
    with pytest.raises(UnsupportedError, match="type=2"):
        unspool.vjp(lambda a: linalg.eigh(a, METRIC, type=2), S)
    with pytest.raises(UnsupportedError, match="subset_by_index="):
        unspool.vjp(lambda a: linalg.eigh(a, subset_by_index=[0, 1]), S)
    with pytest.raises(UnsupportedError, match="coincide"):
        unspool.grad(lambda a: np.sum(linalg.eigh(a, METRIC)[1]))(METRIC)
    with pytest.raises(UnsupportedError, match="phases"):
        unspool.grad(lambda a: np.sum(np.real(linalg.eigh(a, METRIC)[1] * (1 + 2j))))(H)


def test_eig() -> None:
    agrees(linalg.eigvals, A)
    agrees(lambda a: linalg.eig(a, right=False), C)
    agrees(linalg.eig, A, tolerance=1e-5)
    for keywords in ({"left": True}, {"b": METRIC}):
        with pytest.raises(UnsupportedError, match="="):
            unspool.vjp(lambda a, k=keywords: linalg.eig(a, **k), A)


@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (2, 3)])
def test_svd(shape: Any) -> None:
    a = some(*shape)
    agrees(linalg.svd, a, exact=False)
    agrees(lambda a: linalg.svd(a, full_matrices=False), a, exact=False)
    agrees(lambda a: linalg.svd(a, compute_uv=False), a, exact=False)
    agrees(linalg.svdvals, a, exact=False)


@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (2, 3)])
@pytest.mark.parametrize("mode", ["full", "economic", "r"])
def test_qr(shape: Any, mode: str) -> None:
    a = some(*shape) + np.eye(*shape)
    agrees(lambda a: linalg.qr(a, mode=mode), a, exact=False)
    agrees(lambda a: linalg.qr(a, mode=mode, pivoting=True)[:-1], a, exact=False)
    order = unspool.vjp(lambda a: linalg.qr(a, mode=mode, pivoting=True)[-1] + 0 * a[0], a)[0]
    np.testing.assert_array_equal(order, linalg.qr(a, mode=mode, pivoting=True)[-1])
    with pytest.raises(UnsupportedError, match="raw"):
        unspool.vjp(lambda a: linalg.qr(a, mode="raw")[1], a)


def test_norm() -> None:
    for order in (None, "fro", 1, 2, np.inf, "nuc"):
        agrees(lambda a, o=order: linalg.norm(a, o), A, exact=False)
    agrees(lambda a: linalg.norm(a, axis=1, keepdims=True), A, exact=False)
    agrees(lambda a: linalg.norm(a, axis=(0, 1)), A, exact=False)


def test_least_squares() -> None:
    a, b = some(5, 3), some(5)
    agrees(linalg.pinv, a, exact=False)
    agrees(lambda a: linalg.pinv(a, rtol=1e-9), a, exact=False)
    agrees(lambda a, b: linalg.lstsq(a, b)[:2], a, b, exact=False)
    agrees(lambda a, b: linalg.lstsq(a, b, cond=1e-9)[:2], a, some(5, 2), exact=False)
    with pytest.raises(UnsupportedError, match="atol"):
        unspool.vjp(lambda a: linalg.pinv(a, atol=1e-3), a)

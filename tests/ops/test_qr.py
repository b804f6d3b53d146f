"""QR factors: tall, square and wide, reduced and complete, real and complex."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, some
from unspool.errors import UnsupportedError

A = some(4, 4) + np.diag(np.arange(1.0, 5.0) * 2)
STACK = some(2, 3, 3) + np.diag(np.arange(1.0, 4.0) * 2)
C = A + 0.5j * some(4, 4, turn=0.3)


@pytest.mark.parametrize("a", [A, A[:, :2], STACK, C, C[:, :3], A[:2], STACK[:, :1], C[:3]], ids=lambda a: str(a.shape))
def test_reduced(a: Any) -> None:
    agrees(lambda a: tuple(np.linalg.qr(a)), a)
    agrees(lambda a: np.linalg.qr(a).Q, a)
    agrees(lambda a: np.linalg.qr(a).R, a)
    agrees(lambda a: np.linalg.qr(a, mode="r"), a)


@pytest.mark.parametrize("a", [A, A[:3], A[:, :3], STACK[:, :, :2], C[:3]], ids=lambda a: str(a.shape))
def test_complete(a: Any) -> None:
    agrees(lambda a: tuple(np.linalg.qr(a, "complete")), a)
    agrees(lambda a: np.linalg.qr(a, "complete").R, a)


@pytest.mark.parametrize("a", [A[:, :2], C[:, :2], C[:, :3]], ids=lambda a: str(a.shape))
def test_what_completes_the_basis_is_a_space(a: Any) -> None:
    def projection(a: Any) -> Any:
        rest = np.linalg.qr(a, "complete").Q[:, a.shape[1] :]
        return rest @ np.conj(rest.T)

    agrees(projection, a, exact=False)
    agrees(unspool.grad(lambda a: np.sum(np.real(projection(a)) ** 3)), a, exact=False, tolerance=1e-5)
    with pytest.raises(UnsupportedError, match="complete the basis"):
        unspool.grad(lambda a: np.sum(np.real(np.linalg.qr(a, "complete").Q[:, -1] ** 2 * (1 + 1j))))(C[:, :2])


def test_refusals() -> None:
    with pytest.raises(UnsupportedError, match="mode="):
        unspool.vjp(lambda a: np.linalg.qr(a, "raw"), A[:, :2])
    with pytest.raises(np.linalg.LinAlgError):
        unspool.grad(lambda a: np.sum(np.linalg.qr(a)[0]))(np.zeros((2, 2)))

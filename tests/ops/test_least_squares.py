"""Pseudo-inverse, least squares, rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError

TALL, WIDE, B = some(5, 2), some(2, 4), some(5, turn=0.2)


def test_pinv() -> None:
    for a in (TALL, WIDE, some(2, 3, 3) + 2 * np.eye(3), complex_some(4, 2)):
        agrees(np.linalg.pinv, a)
        agrees(lambda a: np.linalg.pinv(a, 1e-10), a)
        agrees(lambda a: np.linalg.pinv(a, rtol=None), a)
    with pytest.raises(UnsupportedError, match="hermitian="):
        unspool.vjp(lambda a: np.linalg.pinv(a, hermitian=True), np.eye(2))


def test_pinv_along_changes_that_keep_the_rank() -> None:
    agrees(lambda x: np.linalg.pinv(np.outer(x, x) * np.sum(x)), some(3), exact=False, tolerance=1e-5)


def _solution(a: Any, b: Any) -> Any:
    return np.linalg.lstsq(a, b)[0]


def test_lstsq() -> None:
    agrees(_solution, TALL, B)
    agrees(_solution, TALL, some(5, 3))
    agrees(_solution, WIDE, some(2))
    agrees(_solution, some(3, 3) + 2 * np.eye(3), some(3))
    agrees(_solution, complex_some(5, 2), complex_some(5, turn=0.1))
    agrees(lambda a: _solution(a, B), TALL)
    agrees(lambda b: _solution(TALL, b), B)
    agrees(lambda b: _solution(TALL, b), complex_some(5))


def test_everything_else_that_lstsq_returns() -> None:
    for b in (B, some(5, 3)):
        agrees(lambda a, b: tuple(np.linalg.lstsq(a, b)[k] for k in (1, 3)), TALL, b, exact=False)
        found: list[Any] = []
        unspool.vjp(lambda a, b=b: (found.extend(np.linalg.lstsq(a, b, rcond=1e-10)), a)[1], TALL)
        expected = np.linalg.lstsq(TALL, b, rcond=1e-10)
        assert found[2] == expected[2]
        for k in (1, 3):
            np.testing.assert_allclose(found[k].value, expected[k])


def test_without_full_rank() -> None:
    for a in (np.ones((5, 2)), np.zeros((5, 2))):
        with pytest.raises(UnsupportedError, match="rank"):
            unspool.vjp(lambda a: _solution(a, B), a)
    with pytest.raises(np.linalg.LinAlgError, match="Incompatible"):
        unspool.vjp(lambda a: _solution(a, B[:2]), TALL)


def test_rank_is_plain() -> None:
    seen: list[Any] = []
    unspool.vjp(lambda a: (seen.append(np.linalg.matrix_rank(a, tol=1e-9)), a)[1], TALL)
    assert seen == [2]


def test_polyfit() -> None:
    x = np.linspace(-1, 1, 7)
    agrees(lambda y: np.polyfit(x, y, 2), some(7))
    agrees(lambda x, y: np.polyfit(x, y, 2), x, some(7))
    agrees(lambda y, w: np.polyfit(x, y, 1, w=w), some(7, 2), some(7, low=0.5))
    agrees(lambda y: np.polyfit(x, y, 0, rcond=1e-12), some(7))
    for args in ((x, some(7), -1), (x[:, None], some(7), 1), (x, some(3), 1)):
        with pytest.raises((ValueError, TypeError)):
            unspool.vjp(lambda y, a=args: np.polyfit(a[0], y, a[2]), args[1])
    with pytest.raises(UnsupportedError, match="full="):
        unspool.vjp(lambda y: np.polyfit(x, y, 1, full=True), some(7))

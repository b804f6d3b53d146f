"""Matrices put together from vectors and blocks."""

from __future__ import annotations

import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError
from unspool.scipy import linalg


def test_block_diag() -> None:
    agrees(linalg.block_diag, some(2, 3), some(1, 2), some(3))
    agrees(lambda a: linalg.block_diag(a, [[1.0, 2.0]], 3.0), complex_some(2, 2))
    agrees(linalg.block_diag, some(2, 0), some(1, 2))
    with pytest.raises(UnsupportedError, match="stacks"):
        unspool.vjp(linalg.block_diag, some(2, 2, 2))


@pytest.mark.parametrize("f", [linalg.toeplitz, linalg.hankel])
def test_toeplitz_and_hankel(f: object) -> None:
    assert callable(f)
    agrees(f, some(4))
    agrees(f, complex_some(4))
    agrees(f, some(4), some(3, turn=0.2))
    agrees(lambda r: f([1.0, 2.0], r), some(5))
    with pytest.raises(UnsupportedError, match="one column"):
        unspool.vjp(f, some(2, 2))


def test_others() -> None:
    agrees(linalg.circulant, some(4))
    agrees(linalg.circulant, some(2, 3))
    agrees(linalg.companion, some(4) + 3)
    agrees(linalg.companion, some(2) + 3)
    agrees(linalg.khatri_rao, some(2, 3), some(4, 3))
    with pytest.raises(ValueError):
        unspool.vjp(linalg.companion, some(1))
    with pytest.raises(ValueError):
        unspool.vjp(lambda a: linalg.khatri_rao(a, some(2)), some(2, 3))

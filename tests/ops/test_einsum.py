"""einsum: every pattern of letters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some

PATTERNS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ba", (2, 3)),
    ("ij->ji", (2, 3)),
    ("ij->", (2, 3)),
    ("ij->j", (2, 3)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("iij->j", (3, 3, 2)),
    ("iii->i", (2, 2, 2)),
    ("ii,jk->ik", (3, 3), (2, 4)),
    ("i,i->", (3,), (3,)),
    ("i,j->ij", (3,), (2,)),
    ("ij,i,jk->k", (2, 3), (2,), (3, 4)),
    ("...ij,...j->...i", (5, 2, 3), (5, 3)),
    ("...ij,j->...i", (5, 2, 3), (3,)),
    ("...i,...i", (4, 3), (1, 3)),
    ("i...->...", (2, 3, 4)),
    ("i...,i", (2, 3), (2,)),
    (" i j , j -> i ", (2, 3), (3,)),
    ("ij,ij->ij", (2, 3), (1, 3)),
    ("...,...", (2, 3), (3,)),
    (",ij", (), (2, 3)),
]


@pytest.mark.parametrize("pattern", PATTERNS, ids=[p[0] for p in PATTERNS])
def test_patterns(pattern: Any) -> None:
    subscripts, *shapes = pattern
    for make in (some, complex_some):
        operands = [make(*shape, turn=0.2 * k) for k, shape in enumerate(shapes)]
        agrees(lambda *xs: np.einsum(subscripts, *xs), *operands)


def test_optimised_and_mixed() -> None:
    a, b, c = some(2, 3), some(3, 4), some(4, 2)
    agrees(lambda a, b, c: np.einsum("ij,jk,ki->", a, b, c, optimize=True), a, b, c)
    agrees(lambda a: np.einsum("ij,jk", a, b.tolist()), a)
    agrees(lambda a, b: np.einsum("ij,jk", a, b), a.astype(np.float32), b, tolerance=5e-2, h=1e-2)
    agrees(lambda a: np.einsum("ij,ij->i", a, a), a)


def test_second_order() -> None:
    a, b = some(2, 3), some(3, 2)
    agrees(
        unspool.grad(lambda a, b: np.einsum("ij,ji->", a, b) ** 2, argnums=(0, 1)), a, b, exact=False, tolerance=1e-5
    )


def test_what_is_refused() -> None:
    with pytest.raises(unspool.errors.UnsupportedError, match="lists of axes"):
        unspool.grad(lambda a: np.sum(np.einsum(a, [0, 1], [1])))(some(2, 3))
    with pytest.raises(unspool.errors.UnsupportedError, match="dtype="):
        unspool.grad(lambda a: np.sum(np.einsum("ij", a, dtype=np.float32)))(some(2, 3))
    with pytest.raises(ValueError, match="operands"):
        unspool.grad(lambda a: np.sum(np.einsum("ij,j", a)))(some(2, 3))

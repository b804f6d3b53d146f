"""Convolution and correlation, every mode, every order of lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError

LENGTHS = ((5, 3), (3, 5), (4, 4), (6, 1), (2, 5), (1, 1), (7, 4), (4, 7))


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("f", [np.convolve, np.correlate])
def test_modes(f: Any, mode: str) -> None:
    for n, m in LENGTHS:
        agrees(lambda a, v: f(a, v, mode), some(n), some(m, turn=0.3), exact=False)
        agrees(lambda a, v: f(a, v, mode=mode), complex_some(n), complex_some(m, turn=0.3), exact=False)
        np.testing.assert_allclose(
            unspool.vjp(lambda a, v: f(a, v, mode), some(n), some(m))[0], f(some(n), some(m), mode), atol=1e-14
        )


@pytest.mark.parametrize("f", [np.convolve, np.correlate])
def test_operands(f: Any) -> None:
    agrees(f, some(5), some(3))
    agrees(lambda a: f(a, [1.0, -2.0, 1.0]), some(5))
    agrees(lambda v: f([1, 2, 3, 4], v), some(2))
    agrees(f, some(5).astype(np.float32), some(3).astype(np.float32), tolerance=5e-2, h=1e-2)
    agrees(f, some(5), complex_some(3), exact=False)
    for a, v in ((np.zeros(0), some(2)), (some(2), np.zeros(0)), (some(2, 2), some(2))):
        with pytest.raises(ValueError):
            unspool.vjp(f, a, v)
    with pytest.raises(UnsupportedError, match="mode="):
        unspool.vjp(lambda a: f(a, a, "other"), some(3))

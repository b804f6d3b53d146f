"""Counts and sums of weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, same_bits, some
from unspool.errors import UnsupportedError

PLACES = np.array([3, 1, 0, 1, 3])
X, W = some(40), some(40, low=0.1, turn=0.4)


def test_bincount() -> None:
    agrees(lambda w: np.bincount(PLACES, w), some(5))
    agrees(lambda w: np.bincount(PLACES, weights=w, minlength=7) ** 2, some(5))
    agrees(lambda w: np.bincount(PLACES, w), some(5).astype(np.float32), tolerance=1e-2, h=1e-2)
    agrees(lambda w: np.bincount(np.array([], int), w, 2), some(0))


def test_counts_are_plain() -> None:
    seen: list[Any] = []

    def f(x: Any) -> Any:
        seen.extend([np.histogram(x, bins)[0] for bins in (5, [-2.0, 0.0, 0.5, 2.0])])
        seen.append(np.histogram(x, 4, (0.0, 1.0))[0])
        return np.sum(x)

    unspool.grad(f)(X)
    same_bits(seen[0], np.histogram(X, 5)[0])
    same_bits(seen[1], np.histogram(X, [-2.0, 0.0, 0.5, 2.0])[0])
    same_bits(seen[2], np.histogram(X, 4, (0.0, 1.0))[0])


def test_the_edges_of_a_histogram_follow_the_extrema() -> None:
    agrees(lambda x: np.histogram(x, 5)[1], X)
    agrees(lambda x: np.histogram(x, 5, density=True)[0], X, exact=False)
    agrees(lambda x: np.histogram(x, 5, (-1.0, 1.0))[1] + 0 * x[0], X)
    agrees(lambda x: np.histogram(x, 3)[1], np.ones(1), exact=False)


def test_weights() -> None:
    for bins in (5, [-2.0, 0.0, 0.5, 1.9]):
        agrees(lambda w, b=bins: np.histogram(X, b, weights=w)[0], W, exact=False)
        agrees(lambda w, b=bins: np.histogram(X, b, weights=w, density=True)[0], W, exact=False)
    agrees(lambda x, w: np.histogram(x, 5, weights=w)[0], X, W, exact=False)
    np.testing.assert_allclose(
        unspool.vjp(lambda w: np.histogram(X, 5, weights=w)[0], W)[0], np.histogram(X, 5, weights=W)[0]
    )


def test_what_has_no_rule() -> None:
    with pytest.raises(UnsupportedError, match="bins="):
        unspool.vjp(lambda x: np.histogram(x, "auto")[1], X)

"""Operands on which the contract tests try a primitive: small, irregular, the same in every run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

Sample = tuple[tuple[Any, ...], dict[str, Any]]

_GOLDEN = (5**0.5 - 1) / 2


def some(*shape: int, low: float = -2.0, high: float = 2.0, turn: float = 0.0) -> np.ndarray:
    """An array whose elements are spread over an interval without pattern or repetition.

    >>> some(3).round(2)
    array([ 0.47, -1.06,  1.42])
    """
    spread = (np.arange(1, prod(shape) + 1) * _GOLDEN + turn) % 1.0
    return (low + (high - low) * spread).reshape(shape)


def complex_some(*shape: int, turn: float = 0.0) -> np.ndarray:
    """`some` with another one as imaginary part."""
    return some(*shape, turn=turn) + 1j * some(*shape, turn=turn + 0.3)


def elementwise_samples(n: int, domain: Sequence[tuple[float, float]]) -> Iterator[Sample]:
    """Operands of equal shape, of shapes that broadcast, without axes, and without elements."""
    intervals = [domain[min(k, len(domain) - 1)] if domain else (-2.0, 2.0) for k in range(n)]
    broadcast = [(3, 1), (4,), (2, 1, 1)]
    for shapes in ([(5,)] * n, broadcast[:n], [()] * n, [(0, 2)] * n):
        yield (
            tuple(
                [
                    some(*shape, low=low, high=high, turn=0.17 * k)
                    for k, (shape, (low, high)) in enumerate(zip(shapes, intervals, strict=True))
                ]
            ),
            {},
        )

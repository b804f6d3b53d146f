"""Derivatives by other means: complex step, central differences, Taylor remainders. They know nothing of unspool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Loss = Callable[..., Any]


def complex_step(f: Loss, x: Any, h: float = 1e-200) -> np.ndarray:
    """The gradient of a real-analytic plain function, exact to the last digits."""
    x = np.asarray(x, float)
    result = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        moved = x.astype(complex)
        moved[index] += 1j * h
        result[index] = np.imag(f(moved if x.shape else moved[()])) / h
    return result


def central(f: Loss, x: Any, h: float = 1e-6) -> np.ndarray:
    """The gradient of a plain function by central differences."""
    x = np.asarray(x, float)
    result = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        right, left = x.copy(), x.copy()
        right[index] += h
        left[index] -= h
        result[index] = (f(right if x.shape else right[()]) - f(left if x.shape else left[()])) / (2 * h)
    return result


def taylor_order(f: Loss, gradient: np.ndarray, x: np.ndarray, seed: int = 0) -> float:
    """The order at which |f(x + h v) - f(x) - h <gradient, v>| falls with h: 2 where the gradient is right."""
    v = np.random.default_rng(seed).normal(size=np.shape(x))
    steps = 1e-3 * 2.0 ** -np.arange(3)
    remainders = [abs(f(x + h * v) - f(x) - h * np.sum(gradient * v)) for h in steps]
    return float(np.min(np.log2(np.divide(remainders[:-1], remainders[1:]))))


def same_bits(one: Any, other: Any) -> bool:
    """Whether two arrays, or flat sequences of arrays, have equal types, shapes and bits."""
    if isinstance(one, Sequence) or isinstance(other, Sequence):
        return len(one) == len(other) and all(map(same_bits, one, other))
    one, other = np.asarray(one), np.asarray(other)
    if one.dtype.char in "gG":  # long doubles have padding
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=True)
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


class Counted:
    """A function that counts its calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.calls = 0

    def __call__(self, *args: Any) -> Any:
        """Call it."""
        self.calls += 1
        return self.function(*args)

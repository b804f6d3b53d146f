"""Arithmetic and comparison operators, and what rounds."""

from __future__ import annotations

import numpy as np

from unspool.ops.families import constant, minus_one, one, scalar
from unspool.ops.table import implements


def _power_base(y, x, p):  # type: ignore[no-untyped-def]
    return p * np.power(x, np.where(p == 0, 1.0, p - 1))


def _power_exponent(y, x, p):  # type: ignore[no-untyped-def]
    return np.where(y == 0, 0.0, y * np.log(np.where(y == 0, 1.0, x)))


add = scalar(np.add, one, one, emit="({0} + {1})")
subtract = scalar(np.subtract, one, minus_one, emit="({0} - {1})")
multiply = scalar(np.multiply, lambda z, x, y: y, lambda z, x, y: x, emit="({0} * {1})")
divide = scalar(np.divide, lambda z, x, y: 1.0 / y, lambda z, x, y: -z / y, emit="({0} / {1})")

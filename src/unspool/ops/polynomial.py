"""Polynomials by their coefficients, the highest power first, as numpy.polyval has it."""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.ops.shape import as_array
from unspool.ops.table import implements


@implements(np.vander)
def _vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:  # noqa: N803 - NumPy's name
    if x.ndim != 1:
        raise ValueError("x must be a one-dimensional array or sequence.")
    n = x.shape[0] if N is None else N
    ones = np.ones((x.shape[0], min(n, 1)), x.dtype)
    if n <= 1:
        return np.zeros_like(x, shape=(x.shape[0], n)) + ones
    powers = np.cumprod(np.broadcast_to(x[:, None], (x.shape[0], n - 1)), axis=1)
    rising = np.concatenate((ones, powers), axis=1)
    return rising if increasing else np.copy(rising[:, ::-1])


@implements(np.polyval)
def _polyval(p: Any, x: Any) -> Any:
    coefficients, x = np.atleast_1d(as_array(p)), as_array(x)
    y = np.zeros_like(x)
    for k in range(coefficients.shape[0]):
        y = y * x + coefficients[k]
    return y


@implements(np.polyadd)
def _polyadd(a1: Any, a2: Any) -> Any:
    a, b = (np.atleast_1d(as_array(a)) for a in (a1, a2))
    n = max(a.shape[0], b.shape[0])
    a, b = (np.pad(v, (n - v.shape[0], 0)) if v.shape[0] < n else v for v in (a, b))
    return a + b


@implements(np.polysub)
def _polysub(a1: Any, a2: Any) -> Any:
    return _polyadd(a1, -as_array(a2))


@implements(np.polymul)
def _polymul(a1: Any, a2: Any) -> Any:
    a, b = (np.atleast_1d(as_array(v)) for v in (a1, a2))
    return np.convolve(a, b)


@implements(np.polyder)
def _polyder(p: Any, m: int = 1) -> Any:
    if m < 0:
        raise ValueError("Order of derivative must be positive (see polyint)")
    p = np.atleast_1d(as_array(p))
    for _ in range(m):
        p = p[:-1] * np.arange(p.shape[0] - 1, 0, -1)
    return p


@implements(np.polyint)
def _polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    if m < 0:
        raise ValueError("Order of integral must be positive (see polyder)")
    constants = np.zeros(m) if k is None else np.atleast_1d(as_array(k))
    if constants.shape[0] == 1 and m > 1:
        constants = np.broadcast_to(constants, (m,))
    if constants.shape[0] < m:
        raise ValueError("k must be a scalar or a rank-1 array of length 1 or >m.")
    p = np.atleast_1d(as_array(p))
    for j in range(m):
        p = np.concatenate((p / np.arange(p.shape[0], 0, -1), constants[j : j + 1]))
    return p


@implements(np.polyfit)
def _polyfit(x: Any, y: Any, deg: int, rcond: float | None = None, *, w: Any = None) -> Any:
    x, y = (as_array(v) + 0.0 for v in (x, y))
    if deg < 0:
        raise ValueError("expected deg >= 0")
    if x.ndim != 1 or x.size == 0:
        raise TypeError("expected 1D vector for x" if x.ndim != 1 else "expected non-empty vector for x")
    if y.ndim not in (1, 2) or y.shape[0] != x.shape[0]:
        raise TypeError("expected x and y to have same length")
    columns = np.vander(x, deg + 1)
    if w is not None:
        weight = (as_array(w) + 0.0)[:, None]
        columns = columns * weight
        y = y * (weight if y.ndim == 2 else weight[:, 0])
    scale = np.sqrt(np.sum(columns * columns, axis=0))
    cutoff = x.shape[0] * np.finfo(x.dtype).eps if rcond is None else rcond
    c = np.linalg.lstsq(columns / scale, y, cutoff)[0]
    return np.transpose(np.transpose(c) / scale)

"""Means, deviations and differences, made of sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.ops.reduce import mask_of, sum_along
from unspool.ops.shape import Axes, axes_of, axis_of
from unspool.ops.table import implements


def _count(a: Any, axes: tuple[int, ...], where: Any, keepdims: bool) -> Any:
    if where is not True:
        return np.sum(mask_of(where, a), axis=axes, keepdims=keepdims, dtype=np.intp)
    n = 1
    for k in axes:
        n *= a.shape[k]
    return n


@implements(np.mean)
def _mean(a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False, where: Any = True) -> Any:
    total = sum_along(a, axis, dtype, keepdims=keepdims, where=where)
    return total / _count(a, axes_of(axis, a.ndim), where, keepdims)


@implements(np.var)
def _var(
    a: Any,
    axis: Axes = None,
    dtype: Any = None,
    *,
    ddof: float = 0,
    keepdims: bool = False,
    where: Any = True,
    mean: Any = None,
    correction: float | None = None,
) -> Any:
    """The mean that is given is an argument like others."""
    if correction is not None:
        if ddof != 0:
            raise ValueError("ddof and correction can't be provided simultaneously.")
        ddof = correction
    axes = axes_of(axis, a.ndim)
    n = _count(a, axes, where, keepdims)
    if mean is None:
        mean = sum_along(a, axes, dtype, keepdims=True, where=where) / _count(a, axes, where, True)
    deviation = a - mean
    if where is not True:  # an infinity that is not chosen must not meet a zero
        deviation = np.where(mask_of(where, a), deviation, 0)
    total = sum_along(squared(deviation), axes, keepdims=keepdims, where=where)
    return total / (max(n - ddof, 0) if isinstance(n, int) else np.maximum(n - ddof, 0))


@implements(np.std)
def _std(
    a: Any,
    axis: Axes = None,
    dtype: Any = None,
    *,
    ddof: float = 0,
    keepdims: bool = False,
    where: Any = True,
    mean: Any = None,
    correction: float | None = None,
) -> Any:
    """At zero deviation the derivative is zero."""
    how = {"ddof": ddof, "keepdims": keepdims, "where": where, "mean": mean, "correction": correction}
    return root(_var(a, axis, dtype, **how))


def squared(x: Any) -> Any:
    """The square of the absolute value."""
    return np.real(x) * np.real(x) + np.imag(x) * np.imag(x) if x.dtype.kind == "c" else x * x


def root(square: Any) -> Any:
    """The square root of a sum of squares: at 0, where the sum has no first-order change, its derivative is 0."""
    zero = square == 0
    return np.where(zero, square, np.sqrt(np.where(zero, 1, square)))


@implements(np.average)
def _average(a: Any, axis: Axes = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    if weights is None:
        mean = _mean(a, axis, keepdims=keepdims)
        n = _count(a, axes_of(axis, np.ndim(a)), True, False)
        return (mean, np.full(mean.shape, n, mean.dtype)[()]) if returned else mean
    axes = axes_of(axis, np.ndim(a))
    if np.shape(weights) != np.shape(a):
        weights = np.reshape(weights, tuple([d if k in axes else 1 for k, d in enumerate(np.shape(a))]))
        weights = np.broadcast_to(weights, np.shape(a))
    total = np.sum(weights, axis=axes, keepdims=keepdims)
    mean = np.sum(a * weights, axis=axes, keepdims=keepdims) / total
    return (mean, np.broadcast_to(total, mean.shape)) if returned else mean


@implements(np.diff)
def _diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n}")
    along = axis_of(axis, np.ndim(a))
    parts = [
        part if part is a or np.ndim(part) else np.broadcast_to(part, (*a.shape[:along], 1, *a.shape[along + 1 :]))
        for part in (prepend, a, append)
        if part is not None
    ]
    x = np.concatenate(parts, axis=along) if len(parts) > 1 else a
    lead = (slice(None),) * along
    for _ in range(n):
        x = x[(*lead, slice(1, None))] - x[(*lead, slice(None, -1))]
    return x

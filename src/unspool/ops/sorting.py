"""Order statistics: sort, partition, median, quantiles, and those of what is not NaN.

Where several elements are equal, the order is NumPy's stable one, and the derivative belongs to it: one of those that
the kink offers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced
from unspool.ops.reduce import rows_of
from unspool.ops.shape import Axes, axes_of
from unspool.ops.table import implements


@implements(np.sort)
def _sort(a: Any, axis: int | None = -1, kind: str | None = None, *, stable: bool | None = None) -> Any:
    if axis is None:
        a, axis = np.ravel(a), 0
    return np.take_along_axis(a, np.argsort(a, axis=axis, stable=True), axis=axis)


@implements(np.partition)
def _partition(a: Any, kth: Any, axis: int | None = -1, kind: str = "introselect") -> Any:
    if axis is None:
        a, axis = np.ravel(a), 0
    places = tuple(kth) if isinstance(kth, list | tuple | np.ndarray) else kth
    return np.take_along_axis(a, np.argpartition(a, places, axis=axis), axis=axis)


# --- median -----------------------------------------------------------------------------------------------------------
@implements(np.median)
def _median(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Any:
    axes = axes_of(axis, a.ndim)
    rows = rows_of(a, axes)
    n = rows.shape[-1]
    if n == 0:
        return _closed(np.mean(rows, axis=-1), a, axes, keepdims)
    ordered = np.sort(rows, axis=-1)
    middle = np.mean(ordered[..., (n - 1) // 2 : n // 2 + 1], axis=-1)
    return _closed(_or_nan(middle, ordered), a, axes, keepdims)


def _or_nan(result: Any, ordered: Any) -> Any:
    """NaN, which sorts to the end, where a row has one."""
    last = ordered[..., -1]
    return np.where(np.isnan(last), last, result)


def _closed(result: Any, a: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if not keepdims:
        return result
    lead = result.shape[: result.ndim - (a.ndim - len(axes))]
    return np.reshape(result, (*lead, *[1 if k in axes else d for k, d in enumerate(a.shape)]))


@implements(np.nanmedian)
def _nanmedian(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Any:
    axes = axes_of(axis, a.ndim)
    rows = rows_of(a, axes)
    ordered = np.sort(rows, axis=-1)
    n = _known(rows)
    low, high = [np.take_along_axis(ordered, np.maximum(k, 0), axis=-1) for k in ((n - 1) // 2, n // 2)]
    middle = np.where(n % 2 == 1, low, (low + high) / 2)
    return _closed(np.where(n == 0, np.nan, middle)[..., 0], a, axes, keepdims)


def _known(rows: Any) -> Any:
    """How many elements of each row are not NaN."""
    return np.sum(np.logical_not(np.isnan(rows)), axis=-1, keepdims=True)


# --- quantiles --------------------------------------------------------------------------------------------------------
def _fractions(q: Any, name: str, method: str, percent: bool) -> tuple[Any, bool]:
    """The quantiles asked for as an array of fractions, and whether they were a Python number."""
    if isinstance(q, Traced):
        raise UnsupportedError(
            f"{name}: no derivative rule for the fraction q. Pass a plain number or array; only the data may be traced."
        )
    if method != "linear":
        raise UnsupportedError(
            f"{name}: no derivative rule for method={method!r} (with a rule: 'linear'). The other methods jump, or "
            "weigh two neighbours that np.sort(x) gives as well."
        )
    fractions = np.true_divide(q, 100) if percent else np.asarray(q)
    if fractions.ndim > 1:
        raise ValueError("q must be a scalar or 1d")
    if not np.all((fractions >= 0) & (fractions <= 1)):
        raise ValueError("Percentiles must be in the range [0, 100]" if percent else "Quantiles must be in [0, 1]")
    return fractions, type(q) in (int, float)


def _between(low: Any, high: Any, t: Any, weak: bool) -> Any:
    """Linear interpolation, counted from the nearer side, as NumPy does it."""
    rest = 1 - t
    if weak:  # a Python number does not change the dtype of the data
        t, rest = (np.astype(v, low.dtype) for v in (t, rest))
    way = high - low
    return np.where(t >= 0.5, high - way * rest, low + way * t)


def _quantiles(a: Any, fractions: Any, weak: bool, axis: Axes, keepdims: bool) -> Any:
    axes = axes_of(axis, a.ndim)
    rows = rows_of(a, axes)
    n = rows.shape[-1]
    ordered = np.sort(rows, axis=-1)
    place = np.asarray((n - 1) * fractions)
    if place.dtype.kind in "iu":
        result = _or_nan(ordered[..., place] if place.ndim == 0 else np.moveaxis(ordered[..., place], -1, 0), ordered)
        return _closed(result, a, axes, keepdims)
    below = np.minimum(np.floor(place), n - 1).astype(int)
    low, high = ordered[..., below], ordered[..., np.minimum(below + 1, n - 1)]
    result = _between(low, high, place - below, weak)
    return _closed(_or_nan(np.moveaxis(result, -1, 0) if place.ndim else result, ordered), a, axes, keepdims)


def _nanquantiles(a: Any, fractions: Any, weak: bool, axis: Axes, keepdims: bool) -> Any:
    axes = axes_of(axis, a.ndim)
    rows = rows_of(a, axes)
    ordered = np.sort(rows, axis=-1)
    n = _known(rows)
    last = np.maximum(n - 1, 0)
    place = last * fractions
    below = np.floor(place).astype(int)
    low, high = (np.take_along_axis(ordered, k, axis=-1) for k in (below, np.minimum(below + 1, last)))
    result = np.where(n == 0, np.nan, _between(low, high, place - below, weak))
    return _closed(np.moveaxis(result, -1, 0) if np.ndim(fractions) else result[..., 0], a, axes, keepdims)


@implements(np.quantile)
def _quantile(a: Any, q: Any, axis: Axes = None, *, method: str = "linear", keepdims: bool = False) -> Any:
    return _quantiles(a, *_fractions(q, "numpy.quantile", method, False), axis, keepdims)


@implements(np.percentile)
def _percentile(a: Any, q: Any, axis: Axes = None, *, method: str = "linear", keepdims: bool = False) -> Any:
    return _quantiles(a, *_fractions(q, "numpy.percentile", method, True), axis, keepdims)


@implements(np.nanquantile)
def _nanquantile(a: Any, q: Any, axis: Axes = None, *, method: str = "linear", keepdims: bool = False) -> Any:
    return _nanquantiles(a, *_fractions(q, "numpy.nanquantile", method, False), axis, keepdims)


@implements(np.nanpercentile)
def _nanpercentile(a: Any, q: Any, axis: Axes = None, *, method: str = "linear", keepdims: bool = False) -> Any:
    return _nanquantiles(a, *_fractions(q, "numpy.nanpercentile", method, True), axis, keepdims)

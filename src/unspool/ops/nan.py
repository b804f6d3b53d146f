"""Sums, means and extrema of what is not NaN. The derivative with respect to a NaN that is passed over is zero.

The values are NumPy's; its warnings of rows that are NaN throughout are not repeated.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.ir.listener import bind
from unspool.ops.averages import root, squared
from unspool.ops.queries import query
from unspool.ops.reduce import extremum
from unspool.ops.shape import Axes, axes_of
from unspool.ops.table import implements


def _filled(a: Any, filling: float) -> Any:
    return np.where(np.isnan(a), filling, a)


@implements(np.nansum)
def _nansum(a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
    return np.sum(_filled(a, 0), axis=axis, dtype=dtype, keepdims=keepdims)


@implements(np.nanprod)
def _nanprod(a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
    return np.prod(_filled(a, 1), axis=axis, dtype=dtype, keepdims=keepdims)


@implements(np.nancumsum)
def _nancumsum(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    return np.cumsum(_filled(a, 0), axis=axis, dtype=dtype)


@implements(np.nancumprod)
def _nancumprod(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    return np.cumprod(_filled(a, 1), axis=axis, dtype=dtype)


# --- statistics -------------------------------------------------------------------------------------------------------
def _shared(total: Any, n: Any) -> Any:
    """``total / n``, NaN where n is not positive."""
    quotient = total / np.maximum(n, 1).astype(np.empty(0, total.dtype).real.dtype)
    return np.where(n > 0, quotient, np.nan)


def _known(a: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    return np.sum(np.logical_not(np.isnan(a)), axis=axes, keepdims=keepdims)


@implements(np.nanmean)
def _nanmean(a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
    axes = axes_of(axis, a.ndim)
    return _shared(_nansum(a, axes, dtype, keepdims=keepdims), _known(a, axes, keepdims))


@implements(np.nanvar)
def _nanvar(a: Any, axis: Axes = None, dtype: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    axes = axes_of(axis, a.ndim)
    mean = _nanmean(a, axes, dtype, keepdims=True)
    deviation = np.where(np.isnan(a), 0, a - mean)
    square = squared(deviation)
    n = _known(a, axes, keepdims)
    total = np.sum(square, axis=axes, keepdims=keepdims)
    freedom = n - ddof
    quotient = total / np.where(freedom > 0, freedom, 1).astype(total.dtype)
    return np.where(freedom > 0, quotient, np.nan)


@implements(np.nanstd)
def _nanstd(a: Any, axis: Axes = None, dtype: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    return root(_nanvar(a, axis, dtype, ddof=ddof, keepdims=keepdims))


# --- extrema ----------------------------------------------------------------------------------------------------------
nanmax = extremum(np.fmax, name="nanmax")
nanmin = extremum(np.fmin, name="nanmin")


@implements(np.nanmax)
def _nanmax(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Any:
    return bind(nanmax, a, axis=axes_of(axis, a.ndim), keepdims=bool(keepdims))


@implements(np.nanmin)
def _nanmin(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Any:
    return bind(nanmin, a, axis=axes_of(axis, a.ndim), keepdims=bool(keepdims))


query(np.nanargmax, "axis", "keepdims")
query(np.nanargmin, "axis", "keepdims")

"""Sums, means and extrema of what is not NaN. The derivative with respect to a NaN that is passed over is zero.

The values are NumPy's; its warnings of rows that are NaN throughout are not repeated.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.ir.listener import bind
from unspool.layout import ArrayType
from unspool.ops.families import general
from unspool.ops.queries import query
from unspool.ops.reduce import opened, root, squared
from unspool.ops.samples import some
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


# --- extrema: those that share the extreme value share the cotangent --------------------------------------------------
def _shares(x: Any, y: Any, axis: tuple[int, ...], keepdims: bool) -> tuple[Any, Any]:
    extreme = opened(y, x.shape, axis, keepdims)
    hit = np.logical_or(x == extreme, np.logical_and(np.isnan(x), np.isnan(extreme)))
    return hit, np.sum(hit, axis=axis, keepdims=True, dtype=y.real.dtype)


def _extremum_vjp(ct: Any, y: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    hit, n = _shares(x, y, axis, keepdims)
    return np.where(hit, opened(ct, x.shape, axis, keepdims) / n, 0.0)


def _extremum_jvp(tangents: tuple[Any, ...], y: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    hit, n = _shares(x, y, axis, keepdims)
    return np.sum(np.where(hit, tangents[0] / n, 0.0), axis=axis, keepdims=keepdims)


def _extremum_type(x: ArrayType, axis: tuple[int, ...], keepdims: bool) -> ArrayType:
    kept = [1 if k in axis else d for k, d in enumerate(x.shape) if keepdims or k not in axis]
    return ArrayType(x.dtype, tuple(kept))


_SAMPLES = (
    ((some(3, 4),), {"axis": (0,), "keepdims": False}),
    ((some(3, 1, 2),), {"axis": (0, 2), "keepdims": True}),
)

nanmax = general(
    lambda x, axis, keepdims: np.fmax.reduce(x, axis=axis, keepdims=keepdims),
    _extremum_vjp,
    name="nanmax",
    jvp=_extremum_jvp,
    type_rule=_extremum_type,
    samples=lambda: _SAMPLES,
)
nanmin = general(
    lambda x, axis, keepdims: np.fmin.reduce(x, axis=axis, keepdims=keepdims),
    _extremum_vjp,
    name="nanmin",
    jvp=_extremum_jvp,
    type_rule=_extremum_type,
    samples=lambda: _SAMPLES,
)


@implements(np.nanmax)
def _nanmax(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Any:
    return bind(nanmax, a, axis=axes_of(axis, a.ndim), keepdims=bool(keepdims))


@implements(np.nanmin)
def _nanmin(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Any:
    return bind(nanmin, a, axis=axes_of(axis, a.ndim), keepdims=bool(keepdims))


query(np.nanargmax, "axis", "keepdims")
query(np.nanargmin, "axis", "keepdims")

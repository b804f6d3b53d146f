"""Sums, products, extrema, and what statistics are made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.ops.families import cast, fit, general, linear, spread
from unspool.ops.samples import some
from unspool.ops.shape import Axes, axes_of, axis_of
from unspool.ops.table import implements


def opened(y: Any, shape: tuple[int, ...], axis: tuple[int, ...], keepdims: bool) -> Any:
    """A reduced array with its reduced axes put back as axes of length one, ready to broadcast against ``shape``."""
    if keepdims or not y.shape:
        return y
    return y.reshape(tuple([1 if k in axis else d for k, d in enumerate(shape)]))


_SHAPES = (
    ((some(3, 4),), {"axis": (0,), "keepdims": False}),
    ((some(3, 4),), {"axis": (0, 1), "keepdims": False}),
    ((some(3, 1, 2),), {"axis": (0, 2), "keepdims": True}),
    ((some(),), {"axis": (), "keepdims": False}),
    ((some(4) + 0j,), {"axis": (0,), "keepdims": False}),
)


def reduced(x: ArrayType, axis: tuple[int, ...], keepdims: bool, dtype: Any = None) -> ArrayType:
    """The type of a reduction."""
    kept = [1 if k in axis else d for k, d in enumerate(x.shape) if keepdims or k not in axis]
    return ArrayType(np.dtype(dtype or x.dtype), tuple(kept))


def _summed(x: ArrayType, axis: tuple[int, ...], keepdims: bool, dtype: Any = None) -> ArrayType:
    return reduced(x, axis, keepdims, dtype or np.add.reduce(np.empty(0, x.dtype)).dtype)


# --- sum --------------------------------------------------------------------------------------------------------------


sum_ = linear(
    lambda x, axis, keepdims, dtype=None: np.add.reduce(x, axis=axis, keepdims=keepdims, dtype=dtype),
    lambda ct, x, axis, keepdims, dtype=None: cast(spread(opened(ct, x.shape, axis, keepdims), x.shape), x.dtype),
    name="sum",
    type_rule=_summed,
    samples=lambda: [
        *_SHAPES,
        ((some(3).astype(np.float32),), {"axis": (0,), "keepdims": False, "dtype": float}),
    ],
)


@implements(np.sum)
def _sum(a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
    axes = axes_of(axis, a.ndim)
    if dtype is None:
        return bind(sum_, a, axis=axes, keepdims=bool(keepdims))
    return bind(sum_, a, axis=axes, keepdims=bool(keepdims), dtype=np.dtype(dtype))


# --- prod, cumsum, cumprod --------------------------------------------------------------------------------------------
def _shifted(x: Any, by: int, filling: float) -> Any:
    """The values along the last axis moved on by some places, filled up at the front."""
    front = np.full((*x.shape[:-1], min(by, x.shape[-1])), filling, x.dtype)
    return np.concatenate((front, x[..., : max(x.shape[-1] - by, 0)]), axis=-1)


def _others(x: Any) -> Any:
    """For each element the product of all the others along the last axis; no division, so that zeros are no matter."""
    before = np.cumprod(_shifted(x, 1, 1.0), axis=-1)
    after = np.cumprod(_shifted(x[..., ::-1], 1, 1.0), axis=-1)[..., ::-1]
    return before * after


def _recurrence(a: Any, b: Any) -> Any:
    """The solution of ``s[i] = a[i] s[i-1] + b[i]`` along the last axis, by doubling: log2(n) vectorised steps."""
    step = 1
    while step < a.shape[-1]:
        b = b + a * _shifted(b, step, 0.0)
        a = a * _shifted(a, step, 1.0)
        step *= 2
    return b


def rows_of(x: Any, axis: tuple[int, ...]) -> Any:
    """The reduced axes as one last axis."""
    kept = [k for k in range(x.ndim) if k not in axis]
    moved = np.transpose(x, (*kept, *axis))
    n = 1
    for k in axis:
        n *= x.shape[k]
    return np.reshape(moved, (*[x.shape[k] for k in kept], n))


def _from_rows(rows: Any, shape: tuple[int, ...], axis: tuple[int, ...]) -> Any:
    kept = [k for k in range(len(shape)) if k not in axis]
    order = (*kept, *axis)
    moved = np.reshape(rows, tuple([shape[k] for k in order]))
    return np.transpose(moved, tuple(np.argsort(order).tolist()))


def _product_of_others(x: Any, axis: tuple[int, ...]) -> Any:
    return _from_rows(_others(rows_of(x, axis)), x.shape, axis)


prod = general(
    lambda x, axis, keepdims, dtype=None: np.multiply.reduce(x, axis=axis, keepdims=keepdims, dtype=dtype),
    lambda ct, y, x, axis, keepdims, dtype=None: cast(
        opened(ct, x.shape, axis, keepdims) * _product_of_others(x, axis), x.dtype
    ),
    name="prod",
    type_rule=_summed,
    jvp=lambda tangents, y, x, axis, keepdims, dtype=None: fit(
        np.sum(tangents[0] * _product_of_others(x, axis), axis=axis, keepdims=keepdims), y
    ),
    samples=lambda: [*_SHAPES, ((np.array([2.0, 0.0, 3.0, 0.0]),), {"axis": (0,), "keepdims": False})],
)


@implements(np.prod)
def _prod(a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
    axes = axes_of(axis, a.ndim)
    if dtype is None:
        return bind(prod, a, axis=axes, keepdims=bool(keepdims))
    return bind(prod, a, axis=axes, keepdims=bool(keepdims), dtype=np.dtype(dtype))


def _backwards(x: Any, axis: int) -> Any:
    return x[(*(slice(None),) * axis, slice(None, None, -1))]


cumsum = linear(
    lambda x, axis: np.cumsum(x, axis=axis),
    lambda ct, x, axis: _backwards(np.cumsum(_backwards(ct, axis), axis=axis), axis),
    name="cumsum",
    type_rule=lambda x, axis: x,
    samples=lambda: [((some(5),), {"axis": 0}), ((some(2, 3),), {"axis": 1}), ((some(0),), {"axis": 0})],
)


def _cumprod_vjp(ct: Any, y: Any, x: Any, axis: int) -> Any:
    rows, cts = np.moveaxis(x, axis, -1), np.moveaxis(ct, axis, -1)
    before = np.cumprod(_shifted(rows, 1, 1.0), axis=-1)
    behind = _recurrence(_shifted(rows[..., ::-1], 1, 0.0), cts[..., ::-1])[..., ::-1]
    return np.moveaxis(before * behind, -1, axis)


def _cumprod_jvp(tangents: tuple[Any, ...], y: Any, x: Any, axis: int) -> Any:
    rows, ts = np.moveaxis(x, axis, -1), np.moveaxis(tangents[0], axis, -1)
    return np.moveaxis(_recurrence(rows, ts * np.cumprod(_shifted(rows, 1, 1.0), axis=-1)), -1, axis)


cumprod = general(
    lambda x, axis: np.cumprod(x, axis=axis),
    _cumprod_vjp,
    name="cumprod",
    type_rule=lambda x, axis: x,
    jvp=_cumprod_jvp,
    samples=lambda: [
        ((some(5),), {"axis": 0}),
        ((some(3, 2),), {"axis": 0}),
        ((np.array([2.0, 0.0, 3.0, 0.0, 5.0]),), {"axis": 0}),
    ],
)


def _cumulative(primitive: Any, a: Any, axis: int | None, dtype: Any) -> Any:
    values = a if dtype is None else np.astype(a, np.dtype(dtype), copy=False)
    if axis is None:
        return bind(primitive, np.ravel(values), axis=0)
    return bind(primitive, values, axis=axis_of(axis, a.ndim))


@implements(np.cumsum)
def _cumsum(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    return _cumulative(cumsum, a, axis, dtype)


@implements(np.cumprod)
def _cumprod(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    return _cumulative(cumprod, a, axis, dtype)


# --- extrema: those that share the extreme value share the cotangent --------------------------------------------------
def _shares(x: Any, y: Any, axis: tuple[int, ...], keepdims: bool) -> tuple[Any, Any]:
    """Which elements have the extreme value (a NaN, where that is one), and how many they are."""
    extreme = opened(y, x.shape, axis, keepdims)
    hit = np.logical_or(x == extreme, np.logical_and(np.isnan(x), np.isnan(extreme)))
    return hit, np.sum(hit, axis=axis, keepdims=True, dtype=y.real.dtype)


def _extremum_vjp(ct: Any, y: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    hit, n = _shares(x, y, axis, keepdims)
    return np.where(hit, opened(ct, x.shape, axis, keepdims) / n, 0.0)


def _extremum_jvp(tangents: tuple[Any, ...], y: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    hit, n = _shares(x, y, axis, keepdims)
    return np.sum(np.where(hit, tangents[0] / n, 0.0), axis=axis, keepdims=keepdims)


def extremum(ufunc: np.ufunc, *, name: str) -> Primitive:
    """Enrol the reduction by a ufunc that chooses one of its two operands."""
    return general(
        lambda x, axis, keepdims: ufunc.reduce(x, axis=axis, keepdims=keepdims),
        _extremum_vjp,
        name=name,
        type_rule=reduced,
        jvp=_extremum_jvp,
        samples=lambda: _SHAPES,
    )


max_ = extremum(np.maximum, name="max")
min_ = extremum(np.minimum, name="min")


@implements(np.max, np.amax)
def _max(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Any:
    return bind(max_, a, axis=axes_of(axis, a.ndim), keepdims=bool(keepdims))


@implements(np.min, np.amin)
def _min(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Any:
    return bind(min_, a, axis=axes_of(axis, a.ndim), keepdims=bool(keepdims))


@implements(np.ptp)
def _ptp(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Any:
    return _max(a, axis, keepdims=keepdims) - _min(a, axis, keepdims=keepdims)


# --- statistics -------------------------------------------------------------------------------------------------------
def _count(a: Any, axes: tuple[int, ...]) -> int:
    n = 1
    for k in axes:
        n *= a.shape[k]
    return n


@implements(np.mean)
def _mean(a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
    return _sum(a, axis, dtype, keepdims=keepdims) / _count(a, axes_of(axis, a.ndim))


@implements(np.var)
def _var(a: Any, axis: Axes = None, dtype: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    axes = axes_of(axis, a.ndim)
    n = _count(a, axes)
    square = squared(a - _sum(a, axes, dtype, keepdims=True) / n)
    return _sum(square, axes, keepdims=keepdims) / max(n - ddof, 0)


@implements(np.std)
def _std(a: Any, axis: Axes = None, dtype: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    return root(_var(a, axis, dtype, ddof=ddof, keepdims=keepdims))


def squared(x: Any) -> Any:
    """The square of the absolute value."""
    return np.real(x) * np.real(x) + np.imag(x) * np.imag(x) if x.dtype.kind == "c" else x * x


def root(square: Any) -> Any:
    """The square root of a sum of squares: at 0, where the sum has no first-order change, its derivative is 0."""
    zero = square == 0
    return np.where(zero, square, np.sqrt(np.where(zero, 1, square)))


@implements(np.average)
def _average(a: Any, axis: Axes = None, weights: Any = None) -> Any:
    if weights is None:
        return _mean(a, axis)
    axes = axes_of(axis, np.ndim(a))
    if np.shape(weights) != np.shape(a):
        weights = np.reshape(weights, tuple([d if k in axes else 1 for k, d in enumerate(np.shape(a))]))
        weights = np.broadcast_to(weights, np.shape(a))
    return np.sum(a * weights, axis=axes) / np.sum(weights, axis=axes)


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

"""Sums, products and extrema, of all elements or of chosen ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.ir.listener import Traced, bind
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
def sum_along(
    a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Any:
    """`numpy.sum` of a traced array."""
    axes = axes_of(axis, a.ndim)
    if initial is not None or where is not True:
        return _chosen(
            sum_of, a, axes, dtype, keepdims=keepdims, initial=0 if initial is None else initial, where=where
        )
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
def _prod(
    a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Any:
    axes = axes_of(axis, a.ndim)
    if initial is not None or where is not True:
        first = 1 if initial is None else initial
        return _chosen(prod_of, a, axes, dtype, keepdims=keepdims, initial=first, where=where)
    if dtype is None:
        return bind(prod, a, axis=axes, keepdims=bool(keepdims))
    return bind(prod, a, axis=axes, keepdims=bool(keepdims), dtype=np.dtype(dtype))


# --- of chosen elements, and from an initial value on -----------------------------------------------------------------
def _no_cotangent(ct: Any, y: Any, x: Any, mask: Any, initial: Any, **params: Any) -> Any:
    return np.zeros(mask.shape, mask.dtype)  # never asked for: a mask is not differentiated


def _sum_of_jvp(tangents: tuple[Any, ...], y: Any, x: Any, mask: Any, initial: Any, **params: Any) -> Any:
    tx, _, t_initial = tangents
    change: Any = 0.0 if t_initial is None else t_initial
    if tx is not None:
        change = change + np.sum(np.where(mask, tx, 0), axis=params["axis"], keepdims=params["keepdims"])
    return fit(np.broadcast_to(change, y.shape), y)


_MASK = np.array([[True, False, True, True], [False, True, True, False], [True, True, True, False]])
_CHOSEN = (
    ((some(3, 4), _MASK, some()), {"axis": (0,), "keepdims": False, "dtype": None}),
    ((some(3, 4), _MASK, some()), {"axis": (0, 1), "keepdims": True, "dtype": None}),
    ((some(3, 4) + 0j, _MASK, np.array(2.0)[()]), {"axis": (1,), "keepdims": False, "dtype": None}),
)


def _chosen_type(x: ArrayType, mask: Any, initial: Any, *, axis: Any, keepdims: bool, dtype: Any) -> ArrayType:
    return _summed(x, axis, keepdims, dtype)


sum_of = general(
    lambda x, mask, initial, axis, keepdims, dtype: np.add.reduce(
        x, axis=axis, keepdims=keepdims, dtype=dtype, where=mask, initial=initial
    ),
    lambda ct, y, x, mask, initial, axis, keepdims, dtype: cast(
        np.where(mask, spread(opened(ct, x.shape, axis, keepdims), x.shape), 0), x.dtype
    ),
    _no_cotangent,
    lambda ct, y, x, mask, initial, axis, keepdims, dtype: fit(ct, initial),
    name="sum_of_chosen",
    type_rule=_chosen_type,
    jvp=_sum_of_jvp,
    samples=lambda: _CHOSEN,
)


def _prod_of_jvp(tangents: tuple[Any, ...], y: Any, x: Any, mask: Any, initial: Any, **params: Any) -> Any:
    tx, _, t_initial = tangents
    axis, keepdims = params["axis"], params["keepdims"]
    factors = np.where(mask, x, 1)
    change: Any = 0.0
    if t_initial is not None:
        change = t_initial * np.prod(factors, axis=axis, keepdims=keepdims)
    if tx is not None:
        others = np.where(mask, tx * _product_of_others(factors, axis), 0)
        change = change + initial * np.sum(others, axis=axis, keepdims=keepdims)
    return fit(change, y)


prod_of = general(
    lambda x, mask, initial, axis, keepdims, dtype: np.multiply.reduce(
        x, axis=axis, keepdims=keepdims, dtype=dtype, where=mask, initial=initial
    ),
    lambda ct, y, x, mask, initial, axis, keepdims, dtype: cast(
        np.where(
            mask,
            opened(ct * initial, x.shape, axis, keepdims) * _product_of_others(np.where(mask, x, 1), axis),
            0,
        ),
        x.dtype,
    ),
    _no_cotangent,
    lambda ct, y, x, mask, initial, axis, keepdims, dtype: fit(
        ct * np.prod(np.where(mask, x, 1), axis=axis, keepdims=keepdims), initial
    ),
    name="prod_of_chosen",
    type_rule=_chosen_type,
    jvp=_prod_of_jvp,
    samples=lambda: _CHOSEN,
)


def mask_of(where: Any, a: Any) -> Any:
    """Which elements of an array are chosen."""
    mask: Any = where if isinstance(where, Traced) else np.asarray(where)
    if mask.dtype != bool:
        raise TypeError(f"Cannot cast array data from {mask.dtype} to dtype('bool') according to the rule 'safe'")
    return np.broadcast_to(mask, a.shape)


def _chosen(primitive: Primitive, a: Any, axes: tuple[int, ...], dtype: Any, *, keepdims: bool, **choice: Any) -> Any:
    mask = mask_of(choice["where"], a)
    first = choice["initial"]
    if np.ndim(first):
        raise ValueError("Input object to FillWithScalar is not a scalar")
    first = first if isinstance(first, Traced) else np.asarray(first)[()]
    return bind(
        primitive,
        a,
        mask,
        first,
        axis=axes,
        keepdims=bool(keepdims),
        dtype=None if dtype is None else np.dtype(dtype),
    )


def _accumulated(x: ArrayType, axis: int) -> ArrayType:
    """Of truths, and of short whole numbers, they are whole numbers."""
    return ArrayType(np.add.reduce(np.empty(0, x.dtype)).dtype, x.shape)


def _backwards(x: Any, axis: int) -> Any:
    return x[(*(slice(None),) * axis, slice(None, None, -1))]


cumsum = linear(
    lambda x, axis: np.cumsum(x, axis=axis),
    lambda ct, x, axis: _backwards(np.cumsum(_backwards(ct, axis), axis=axis), axis),
    name="cumsum",
    type_rule=_accumulated,
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
    type_rule=_accumulated,
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


def _extreme(primitive: Primitive, join: Any, a: Any, axis: Axes, *, keepdims: bool, initial: Any, where: Any) -> Any:
    if initial is not None and np.ndim(initial):
        raise ValueError("Input object to FillWithScalar is not a scalar")
    if where is not True:
        if initial is None:
            raise ValueError(
                f"reduction operation '{join.__name__}' does not have an identity, so to use a where mask one has to "
                "specify 'initial'"
            )
        a = np.where(mask_of(where, a), a, initial)
    y = bind(primitive, a, axis=axes_of(axis, a.ndim), keepdims=bool(keepdims))
    return y if initial is None else join(y, initial)


@implements(np.max, np.amax)
def _max(a: Any, axis: Axes = None, *, keepdims: bool = False, initial: Any = None, where: Any = True) -> Any:
    """Elements that share the extreme value share the derivative equally, an initial value among them."""
    return _extreme(max_, np.maximum, a, axis, keepdims=keepdims, initial=initial, where=where)


@implements(np.min, np.amin)
def _min(a: Any, axis: Axes = None, *, keepdims: bool = False, initial: Any = None, where: Any = True) -> Any:
    """Elements that share the extreme value share the derivative equally, an initial value among them."""
    return _extreme(min_, np.minimum, a, axis, keepdims=keepdims, initial=initial, where=where)


@implements(np.ptp)
def _ptp(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Any:
    return _max(a, axis, keepdims=keepdims) - _min(a, axis, keepdims=keepdims)

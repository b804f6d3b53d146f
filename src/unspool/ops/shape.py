"""Functions that arrange the elements of one array in another way.

NumPy gives views for most of them, and in-place writes must go through those. So everything here is said in terms of
three primitives that can be undone (``put``): reshape, transpose, and indexing.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from operator import index as as_int
from typing import Any, NoReturn

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced, bind, primal, view_of
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.ops.families import linear, unbroadcast
from unspool.ops.index import getitem_primitive
from unspool.ops.samples import some
from unspool.ops.table import implements

Axes = int | Sequence[int] | None


def axes_of(axis: Axes, ndim: int) -> tuple[int, ...]:
    """Axes as NumPy takes them (one, several, None for all), as non-negative numbers in the order given.

    >>> axes_of(-1, 3), axes_of((0, -1), 3), axes_of(None, 2)
    ((2,), (0, 2), (0, 1))
    """
    if axis is None:
        return tuple(range(ndim))
    given: Any = axis if isinstance(axis, tuple | list) else (axis,)
    numbers = tuple([as_int(a) for a in given])
    for a in numbers:
        if not -ndim <= a < ndim:
            raise np.exceptions.AxisError(a, ndim)
    result = tuple([a % ndim for a in numbers])
    if len(set(result)) != len(result):
        raise ValueError(f"the axes {axis} name one axis twice")
    return result


def axis_of(axis: int, ndim: int) -> int:
    """One axis as a non-negative number."""
    return axes_of(axis, ndim)[0]


def as_array(value: Any) -> Any:
    """An array-like as an array; a traced value as it is."""
    return value if isinstance(value, Traced) else np.asarray(value)


# --- reshape ----------------------------------------------------------------------------------------------------------
reshape = linear(
    lambda x, shape: x.reshape(shape),
    lambda ct, x, shape: ct.reshape(x.shape),
    name="reshape",
    type_rule=lambda x, shape: ArrayType(x.dtype, shape),
    put=lambda base, part, shape: np.reshape(part, base.shape),
    samples=lambda: [
        ((some(2, 6),), {"shape": (3, 4)}),
        ((some(),), {"shape": (1, 1)}),
        ((some(1),), {"shape": ()}),
    ],
)


@implements(np.reshape)
def _reshape(a: Any, shape: Any, order: str = "C") -> Any:
    lengths = [as_int(d) for d in shape] if isinstance(shape, tuple | list) else [as_int(shape)]
    if lengths.count(-1) == 1:
        rest = prod([d for d in lengths if d != -1])
        if rest == 0 or a.size % rest:
            raise ValueError(f"cannot reshape array of size {a.size} into shape {tuple(lengths)}")
        lengths[lengths.index(-1)] = a.size // rest
    if order == "C":
        return bind(reshape, a, shape=tuple(lengths))
    if order != "F":
        _refuse_order("numpy.reshape", order)
    return np.transpose(bind(reshape, np.transpose(a), shape=tuple(lengths[::-1])))


@implements(np.ravel)
def _ravel(a: Any, order: str = "C") -> Any:
    if order not in ("C", "F"):
        _refuse_order("numpy.ravel", order)
    flat = bind(reshape, a if order == "C" else np.transpose(a), shape=(a.size,))
    value = primal(flat)
    return np.copy(flat) if isinstance(value, np.ndarray) and not value.flags.c_contiguous else flat


def _refuse_order(name: str, order: str) -> NoReturn:
    raise UnsupportedError(
        f"{name}: no derivative rule for order={order!r}, which depends on the memory layout, and a value that is "
        "computed again may lie in memory in another way. Use order='C' or 'F'."
    )


@implements(np.squeeze)
def _squeeze(a: Any, axis: Axes = None) -> Any:
    dropped = [k for k, d in enumerate(a.shape) if d == 1] if axis is None else axes_of(axis, a.ndim)
    if any(a.shape[k] != 1 for k in dropped):
        raise ValueError("cannot select an axis to squeeze out which has size not equal to one")
    return bind(reshape, a, shape=tuple([d for k, d in enumerate(a.shape) if k not in dropped]))


@implements(np.expand_dims)
def _expand_dims(a: Any, axis: Axes) -> Any:
    ndim = a.ndim + (len(axis) if isinstance(axis, tuple | list) else 1)
    new = axes_of(axis, ndim)
    rest = iter(a.shape)
    return bind(reshape, a, shape=tuple([1 if k in new else next(rest) for k in range(ndim)]))


def _at_least(arrays: tuple[Any, ...], shape_of: Any) -> Any:
    results = []
    for a in arrays:
        array = a if hasattr(a, "reshape") else np.asarray(a)
        shape = shape_of(array.shape)
        results.append(array if shape == array.shape else array.reshape(shape))
    return results[0] if len(results) == 1 else tuple(results)


@implements(np.atleast_1d)
def _atleast_1d(*arys: Any) -> Any:
    return _at_least(arys, lambda shape: shape or (1,))


@implements(np.atleast_2d)
def _atleast_2d(*arys: Any) -> Any:
    return _at_least(arys, lambda shape: (1,) * (2 - len(shape)) + shape)


@implements(np.atleast_3d)
def _atleast_3d(*arys: Any) -> Any:
    return _at_least(
        arys,
        lambda shape: ((1, 1, 1), (1, *shape, 1), (*shape, 1))[len(shape)] if len(shape) < 3 else shape,
    )


# --- transpose --------------------------------------------------------------------------------------------------------
def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    result = [0] * len(axes)
    for k, axis in enumerate(axes):
        result[axis] = k
    return tuple(result)


transpose = linear(
    lambda x, axes: x.transpose(axes),
    lambda ct, x, axes: ct.transpose(_inverse(axes)),
    name="transpose",
    type_rule=lambda x, axes: ArrayType(x.dtype, tuple([x.shape[k] for k in axes])),
    put=lambda base, part, axes: np.transpose(part, _inverse(axes)),
    samples=lambda: [((some(2, 3, 4),), {"axes": (2, 0, 1)}), ((some(3),), {"axes": (0,)})],
)


@implements(np.transpose)
def _transpose(a: Any, axes: Any = None) -> Any:
    ndim = a.ndim
    chosen = tuple(range(ndim))[::-1] if axes is None else axes_of(tuple(axes), ndim)
    if len(chosen) != ndim:
        raise ValueError("axes don't match array")
    return a if ndim == 0 else bind(transpose, a, axes=chosen)


@implements(np.matrix_transpose)
def _matrix_transpose(x: Any) -> Any:
    return _swapaxes(x, -1, -2)


@implements(np.swapaxes)
def _swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    axes = list(range(a.ndim))
    i, j = axis_of(axis1, a.ndim), axis_of(axis2, a.ndim)
    axes[i], axes[j] = j, i
    return bind(transpose, a, axes=tuple(axes))


@implements(np.moveaxis)
def _moveaxis(a: Any, source: Axes, destination: Axes) -> Any:
    froms, tos = axes_of(source, a.ndim), axes_of(destination, a.ndim)
    if len(froms) != len(tos):
        raise ValueError("`source` and `destination` arguments must have the same number of elements")
    axes = [k for k in range(a.ndim) if k not in froms]
    for to, source_axis in sorted(zip(tos, froms, strict=True)):
        axes.insert(to, source_axis)
    return bind(transpose, a, axes=tuple(axes))


@implements(np.rollaxis)
def _rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    ndim = a.ndim
    source = axis_of(axis, ndim)
    before = start + ndim if start < 0 else start
    if not 0 <= before <= ndim:
        raise np.exceptions.AxisError(start, ndim + 1)
    axes = list(range(ndim))
    axes.remove(source)
    axes.insert(before - (source < before), source)
    return bind(transpose, a, axes=tuple(axes))


# --- broadcasting -----------------------------------------------------------------------------------------------------
def _read_only(base: Any, part: Any, shape: tuple[int, ...]) -> NoReturn:
    raise ValueError("assignment destination is read-only: an array was broadcast, and its elements stand in it twice")


broadcast = linear(
    np.broadcast_to,
    lambda ct, x, shape: unbroadcast(ct, x.shape),
    name="broadcast_to",
    type_rule=lambda x, shape: ArrayType(x.dtype, shape),
    put=_read_only,
    samples=lambda: [((some(3, 1),), {"shape": (2, 3, 4)}), ((some(),), {"shape": (2,)})],
)


@implements(np.broadcast_to)
def _broadcast_to(array: Any, shape: Any) -> Any:
    return bind(broadcast, array, shape=tuple(shape) if isinstance(shape, tuple | list) else (as_int(shape),))


@implements(np.broadcast_arrays)
def _broadcast_arrays(*args: Any) -> tuple[Any, ...]:
    shape = np.broadcast_shapes(*[np.shape(a) for a in args])
    return tuple([a if np.shape(a) == shape else np.broadcast_to(a, shape) for a in args])


@implements(np.meshgrid)
def _meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Any, ...]:
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    n = len(xi)
    position = list(range(n))
    if indexing == "xy" and n > 1:
        position[:2] = 1, 0
    grids = [np.reshape(x, tuple([-1 if k == position[i] else 1 for k in range(n)])) for i, x in enumerate(xi)]
    if not sparse:
        grids = list(np.broadcast_arrays(*grids))
    return tuple([np.copy(grid) for grid in grids] if copy else grids)


# --- turning round ----------------------------------------------------------------------------------------------------
@implements(np.flip)
def _flip(m: Any, axis: Axes = None) -> Any:
    turned = axes_of(axis, m.ndim)
    return m[tuple([slice(None, None, -1) if k in turned else slice(None) for k in range(m.ndim)])]


@implements(np.flipud)
def _flipud(m: Any) -> Any:
    return _flip(m, 0)


@implements(np.fliplr)
def _fliplr(m: Any) -> Any:
    return _flip(m, 1)


@implements(np.rot90)
def _rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    i, j = axes_of(tuple(axes), m.ndim)
    quarter = k % 4
    if quarter == 0:
        return m[...]
    if quarter == 2:
        return _flip(m, (i, j))
    return _swapaxes(_flip(m, j), i, j) if quarter == 1 else _flip(_swapaxes(m, i, j), j)


def _roll_evaluate(x: Any, shift: tuple[int, ...], axis: tuple[int, ...]) -> Any:
    for s, k in zip(shift, axis, strict=True):
        n = x.shape[k]
        cut = -s % n if n else 0
        lead = (slice(None),) * k
        x = np.concatenate((x[(*lead, slice(cut, None))], x[(*lead, slice(cut))]), axis=k)  # a third of np.roll's time
    return x


roll: Primitive = linear(
    _roll_evaluate,
    lambda ct, x, shift, axis: bind(roll, ct, shift=tuple([-s for s in shift]), axis=axis),
    name="roll",
    type_rule=lambda x, shift, axis: x,
    samples=lambda: [
        ((some(5),), {"shift": (2,), "axis": (0,)}),
        ((some(3, 4),), {"shift": (-1, 5), "axis": (1, 0)}),
    ],
)


@implements(np.roll)
def _roll(a: Any, shift: Any, axis: Axes = None) -> Any:
    if axis is None and a.ndim == 1:
        axis = 0
    if axis is None:
        total = sum(map(as_int, shift)) if isinstance(shift, tuple | list) else as_int(shift)
        return np.reshape(bind(roll, np.ravel(a), shift=(total,), axis=(0,)), a.shape)
    axes = tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    shifts = tuple(shift) if isinstance(shift, tuple | list) else (shift,)
    n = max(len(axes), len(shifts))
    axes, shifts = (v * n if len(v) == 1 else v for v in (axes, shifts))
    if len(axes) != len(shifts):
        raise ValueError("'shift' and 'axis' should be scalars or 1D sequences")
    return bind(roll, a, shift=tuple([as_int(s) for s in shifts]), axis=tuple([axis_of(k, a.ndim) for k in axes]))


# --- diagonals and triangles ------------------------------------------------------------------------------------------
def _on_diagonal(shape: tuple[int, ...], offset: int) -> slice:
    """Where the diagonal of a matrix lies among its elements in order."""
    rows, columns = shape
    start = offset if offset >= 0 else -offset * columns
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    return slice(start, start + length * (columns + 1) - columns if length else start, columns + 1)


@implements(np.diagonal)
def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    matrix = np.moveaxis(a, (axis1, axis2), (-2, -1))
    *batch, rows, columns = matrix.shape
    shape, index = (*batch, rows * columns), (..., _on_diagonal((rows, columns), offset))
    found = np.reshape(matrix, shape)[index]
    if isinstance(found, Traced):  # a view in NumPy, of an array with gaps too, which reshape copies
        view_of(found, matrix, (reshape, {"shape": shape}), (getitem_primitive, {"index": index}))
    return found


@implements(np.diag)
def _diag(v: Any, k: int = 0) -> Any:
    if v.ndim == 2:
        return _diagonal(v, k)
    if v.ndim != 1:
        raise ValueError("Input must be 1- or 2-d.")
    n = v.shape[0] + abs(k)
    flat = np.zeros_like(v, shape=n * n)
    flat[_on_diagonal((n, n), k)] = v
    return np.reshape(flat, (n, n))


@implements(np.diagflat)
def _diagflat(v: Any, k: int = 0) -> Any:
    return _diag(np.ravel(v), k)


@implements(np.trace)
def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    return np.sum(_diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


def _lower(shape: tuple[int, ...], k: int) -> np.ndarray:
    rows, columns = shape[-2:] if len(shape) > 1 else shape * 2
    return np.tri(rows, columns, k, bool)


@implements(np.tril)
def _tril(m: Any, k: int = 0) -> Any:
    return np.where(_lower(m.shape, k), m, 0)


@implements(np.triu)
def _triu(m: Any, k: int = 0) -> Any:
    return np.where(_lower(m.shape, k - 1), 0, m)

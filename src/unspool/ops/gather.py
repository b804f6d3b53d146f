"""Elements picked by position: take, take_along_axis and their kin.

Positions that are plain arrays go by indexing. Positions that are themselves results (of argsort, while a program is
being traced) are an operand of `along`, so that they may differ from step to step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from operator import index as as_int
from typing import Any

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced, bind
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.ops.families import general
from unspool.ops.samples import some
from unspool.ops.shape import as_array, axis_of
from unspool.ops.table import implements

_Shape = tuple[int, ...]


# --- along an axis ----------------------------------------------------------------------------------------------------
def _scatter(part: Any, indices: Any, shape: _Shape, axis: int) -> Any:
    out = np.zeros(shape, part.dtype)
    np.add.at(out, along_index(shape, indices, axis), part)
    return out


def along_index(shape: _Shape, indices: Any, axis: int) -> tuple[Any, ...]:
    """The key that stands for positions along one axis, the other axes being in step."""
    ndim = len(shape)
    steps = [np.arange(n).reshape([-1 if j == k else 1 for j in range(ndim)]) for k, n in enumerate(shape)]
    return (*steps[:axis], indices, *steps[axis + 1 :])


def _no_cotangent(ct: Any, y: Any, x: Any, indices: Any, **params: Any) -> Any:
    return np.zeros(indices.shape, indices.dtype)  # never asked for: positions are not differentiated


_POSITIONS = np.array([[2, 0, 2, 1], [0, 0, 1, -1]])

scatter: Primitive = general(
    _scatter,
    lambda ct, y, part, indices, shape, axis: bind(along, ct, indices, axis=axis),
    _no_cotangent,
    name="scatter_along_axis",
    jvp=lambda tangents, y, part, indices, shape, axis: bind(scatter, tangents[0], indices, shape=shape, axis=axis),
    type_rule=lambda part, indices, shape, axis: ArrayType(part.dtype, shape),
    samples=lambda: [
        ((some(2, 4), _POSITIONS), {"shape": (2, 3), "axis": 1}),
        ((some(2, 4), _POSITIONS), {"shape": (3, 4), "axis": 0}),
    ],
)


def _along_type(x: ArrayType, indices: ArrayType, axis: int) -> ArrayType:
    rest = [(*t.shape[:axis], *t.shape[axis + 1 :]) for t in (x, indices)]
    shape = np.broadcast_shapes(*rest)
    return ArrayType(x.dtype, (*shape[:axis], indices.shape[axis], *shape[axis:]))


along: Primitive = general(
    np.take_along_axis,
    lambda ct, y, x, indices, axis: bind(scatter, ct, indices, shape=x.shape, axis=axis),
    _no_cotangent,
    name="take_along_axis",
    jvp=lambda tangents, y, x, indices, axis: bind(along, tangents[0], indices, axis=axis),
    type_rule=_along_type,
    samples=lambda: [
        ((some(2, 3), _POSITIONS), {"axis": 1}),
        ((some(3, 4), _POSITIONS), {"axis": 0}),
        ((some(3, 4), _POSITIONS[:, :1]), {"axis": 0}),
        ((some(4), np.array([1, 1, 3])), {"axis": 0}),
    ],
)


@implements(np.take_along_axis)
def _take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    arr, indices = as_array(arr), as_array(indices)
    if axis is None:
        arr, axis = np.ravel(arr), 0
    if len(indices.shape) != len(arr.shape):
        raise ValueError("`indices` and `arr` must have the same number of dimensions")
    if indices.dtype.kind not in "iu":
        raise IndexError("`indices` must be an integer array")
    return bind(along, arr, indices, axis=axis_of(axis, len(arr.shape)))


# --- take -------------------------------------------------------------------------------------------------------------
@implements(np.take)
def take(a: Any, indices: Any, axis: int | None = None, *, mode: str = "raise") -> Any:
    """Elements at these positions, plain or traced ones; `numpy.take` looks at its first operand only."""
    a, indices = as_array(a), as_array(indices)
    if axis is None:
        a, axis = np.ravel(a), 0
    along_axis = axis_of(axis, len(a.shape))
    n = a.shape[along_axis]
    if mode == "wrap":
        indices = np.remainder(indices, n)
    elif mode == "clip":
        indices = np.clip(indices, 0, n - 1)
    elif mode != "raise":
        raise ValueError(f"clipmode must be one of 'clip', 'raise', or 'wrap' (got {mode!r})")
    if isinstance(indices, np.ndarray | np.generic):
        return a[(*(slice(None),) * along_axis, indices)]
    shape = (*a.shape[:along_axis], *indices.shape, *a.shape[along_axis + 1 :])
    flat = (*a.shape[:along_axis], prod(indices.shape), *a.shape[along_axis + 1 :])
    positions = np.reshape(indices, [-1 if k == along_axis else 1 for k in range(len(a.shape))])
    return np.reshape(bind(along, a, np.broadcast_to(positions, flat), axis=along_axis), shape)


@implements(np.compress)
def _compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    return take(a, np.flatnonzero(condition), axis=axis)


@implements(np.extract)
def _extract(condition: Any, arr: Any) -> Any:
    return take(np.ravel(arr), np.flatnonzero(condition))


@implements(np.choose)
def _choose(a: Any, choices: Sequence[Any], *, mode: str = "raise") -> Any:
    options = list(choices)
    n = len(options)
    numbers = as_array(a)
    if mode == "wrap":
        numbers = np.remainder(numbers, n)
    elif mode == "clip":
        numbers = np.clip(numbers, 0, n - 1)
    elif mode != "raise":
        raise ValueError(f"clipmode must be one of 'clip', 'raise', or 'wrap' (got {mode!r})")
    elif bool(np.any((numbers < 0) | (numbers >= n))):
        raise ValueError("invalid entry in choice array")
    result = options[0]
    for k in range(1, n):
        result = np.where(numbers == k, options[k], result)
    shape = np.broadcast_shapes(numbers.shape, *[np.shape(option) for option in options])
    return np.broadcast_to(result, shape) if np.shape(result) != shape else result


# --- left out, put in, repeated ---------------------------------------------------------------------------------------
@implements(np.delete)
def _delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    if axis is None:
        arr, axis = np.ravel(arr), 0
    return take(arr, np.delete(np.arange(arr.shape[axis]), obj), axis=axis)


@implements(np.insert)
def _insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    arr, values = as_array(arr), as_array(values)
    if axis is None:
        arr, axis = np.ravel(arr), 0
    along_axis = axis_of(axis, arr.ndim)
    n = arr.shape[along_axis]
    places = np.arange(n)[obj] if isinstance(obj, slice) else np.asarray(obj)
    if places.dtype == bool:
        places = np.flatnonzero(places)
    if values.ndim < arr.ndim:
        values = np.reshape(values, (1,) * (arr.ndim - values.ndim) + values.shape)
    if places.ndim == 0:
        values = np.moveaxis(values, 0, along_axis)  # NumPy's rule for one place: values[0], values[1] ... follow there
    count = places.size if places.size != 1 else values.shape[along_axis]
    shape = (*arr.shape[:along_axis], count, *arr.shape[along_axis + 1 :])
    joined = np.concatenate((arr, np.astype(np.broadcast_to(values, shape), arr.dtype)), axis=along_axis)
    order = np.insert(np.arange(n), obj, np.arange(n, n + count))
    return take(joined, order, axis=along_axis)


@implements(np.resize)
def _resize(a: Any, new_shape: Any) -> Any:
    shape = tuple(map(as_int, new_shape)) if isinstance(new_shape, tuple | list) else (as_int(new_shape),)
    if any(d < 0 for d in shape):
        raise ValueError("all elements of `new_shape` must be non-negative")
    if a.size == 0 or prod(shape) == 0:
        return np.zeros_like(a, shape=shape)
    return np.reshape(np.ravel(a)[np.arange(prod(shape)) % a.size], shape)


# --- piecewise --------------------------------------------------------------------------------------------------------
@implements(np.piecewise)
def _piecewise(x: Any, condlist: Any, funclist: Sequence[Callable[..., Any] | float], *args: Any) -> Any:
    x = as_array(x)
    conditions = [condlist] if _is_single(condlist, x.ndim) else list(condlist)
    if any(isinstance(condition, Traced) for condition in conditions):
        raise UnsupportedError(
            "numpy.piecewise: the conditions are not known while the step is being compiled, and which elements a "
            "function gets depends on them. Use np.where or np.select, which compute every branch everywhere."
        )
    masks = [np.broadcast_to(np.asarray(condition, bool), x.shape) for condition in conditions]
    if len(masks) == len(funclist) - 1:
        masks.append(~np.any(masks, axis=0))
    if len(masks) != len(funclist):
        n = len(masks)
        raise ValueError(f"with {n} condition(s), either {n} or {n + 1} functions are expected")
    y = np.zeros_like(x)
    for mask, function in zip(masks, funclist, strict=True):
        if not callable(function):
            y[mask] = function
        elif mask.any():
            y[mask] = function(x[mask], *args)
    return y


def _is_single(condlist: Any, ndim: int) -> bool:
    if not isinstance(condlist, list | tuple) and np.ndim(condlist) == 0:
        return True
    return not isinstance(condlist[0], list | np.ndarray | Traced) and ndim != 0


# --- nests of blocks --------------------------------------------------------------------------------------------------
def _depth(nest: Any) -> int:
    return 1 + max(map(_depth, nest)) if isinstance(nest, list) else 0


@implements(np.block)
def _block(arrays: Any) -> Any:
    depth = _depth(arrays)
    ndim = max(depth, _rank(arrays))

    def joined(nest: Any, level: int) -> Any:
        if not isinstance(nest, list):
            block = as_array(nest)
            return np.reshape(block, (1,) * (ndim - block.ndim) + block.shape)
        if not nest:
            raise ValueError("List at arrays cannot be empty")
        return np.concatenate([joined(part, level + 1) for part in nest], axis=ndim - depth + level)

    return np.copy(joined(arrays, 0)) if depth == 0 else joined(arrays, 0)


def _rank(nest: Any) -> int:
    return max(map(_rank, nest), default=0) if isinstance(nest, list) else int(np.ndim(nest))

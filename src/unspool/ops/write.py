"""NumPy's functions that write into an array: on a traced array they write through its handle.

``np.add.at(u, index, v)`` and the like have no result; the handle u stands for the new value afterwards, as it does
after ``u[index] = v``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.errors import DetachedError, UnsupportedError
from unspool.ir.listener import Traced, bind, overwrite
from unspool.ir.primitive import Primitive
from unspool.ops.families import cast, fit, general
from unspool.ops.gather import along_index
from unspool.ops.index import Index, as_index, getitem
from unspool.ops.samples import some
from unspool.ops.shape import as_array, axis_of
from unspool.ops.table import implements


def _handle(target: Any, name: str) -> Any:
    if not isinstance(target, Traced):
        raise DetachedError(
            f"{name}: a traced value was about to be written into a plain NumPy array, which would lose its "
            "derivative. Make the array with np.zeros_like(x) or unspool.numpy.zeros(shape)."
        )
    return target


# --- numpy.ufunc.at ---------------------------------------------------------------------------------------------------
def _added(x: Any, value: Any, index: Index) -> Any:
    out = np.array(x, order="K")
    np.add.at(out, index, value)
    return out


def _added_jvp(tangents: tuple[Any, Any], y: Any, x: Any, value: Any, index: Index) -> Any:
    tx, tv = tangents
    tx = np.zeros(y.shape, y.dtype) if tx is None else tx
    return tx if tv is None else bind(add_at, tx, tv, index=index)


add_at: Primitive = general(
    _added,
    lambda ct, y, x, value, index: ct,
    lambda ct, y, x, value, index: fit(getitem(ct, index), value),
    name="add_at",
    jvp=_added_jvp,
    type_rule=lambda x, value, index: x,
    samples=lambda: [
        ((some(4), some(3, turn=0.2)), {"index": (np.array([2, 0, 2]),)}),
        ((some(3, 4), some(2, 1, turn=0.2)), {"index": (np.array([1, 1]), slice(1, 4))}),
        ((some(4), some(turn=0.2)), {"index": (np.array([True, False, True, False]),)}),
    ],
)


@implements(np.add.at)
def _add_at(a: Any, indices: Any, b: Any) -> None:
    handle = _handle(a, "numpy.add.at")
    value = as_array(b)
    if not np.can_cast(value.dtype, a.dtype, "same_kind"):
        raise UnsupportedError(
            f"numpy.add.at: cannot add {value.dtype} to {a.dtype} in place. Convert the values (np.real(v)) or make "
            "the array of that dtype."
        )
    value, index = cast(value, a.dtype), as_index(indices)
    if not overwrite(handle, index, value, add=True):
        handle[...] = bind(add_at, handle, value, index=index)


@implements(np.subtract.at)
def _subtract_at(a: Any, indices: Any, b: Any) -> None:
    _add_at(_handle(a, "numpy.subtract.at"), indices, np.negative(as_array(b)))


# --- by mask ----------------------------------------------------------------------------------------------------------
@implements(np.copyto)
def _copyto(dst: Any, src: Any, *, casting: str = "same_kind", where: Any = True) -> None:
    handle, source = _handle(dst, "numpy.copyto"), src if isinstance(src, int | float | complex) else as_array(src)
    kind = np.result_type(source, dst.dtype) if isinstance(source, int | float | complex) else source.dtype
    if not np.can_cast(kind, dst.dtype, casting):  # type: ignore[arg-type]
        raise TypeError(f"Cannot cast array data from {kind!r} to {dst.dtype!r} according to the rule {casting!r}")
    if where is True:
        handle[...] = source
    else:
        np.broadcast_shapes(dst.shape, np.shape(where))
        handle[...] = np.where(where, source, handle)


def _cycled(values: Any, count: int) -> Any:
    flat = np.ravel(as_array(values))
    return flat if flat.shape[0] in (1, count) else flat[np.arange(count) % flat.shape[0]]


@implements(np.place)
def _place(arr: Any, mask: Any, vals: Any) -> None:
    handle = _handle(arr, "numpy.place")
    chosen = np.reshape(as_array(mask), arr.shape).astype(bool)
    count = int(np.count_nonzero(chosen))
    if count:
        handle[chosen] = _cycled(vals, count)[: max(count, 1)]


@implements(np.putmask)
def _putmask(a: Any, /, mask: Any, values: Any) -> None:
    handle = _handle(a, "numpy.putmask")
    full = np.reshape(np.broadcast_to(_cycled(values, a.size), (a.size,)), a.shape)
    handle[...] = np.where(np.reshape(as_array(mask), a.shape), full, handle)


# --- by position ------------------------------------------------------------------------------------------------------
@implements(np.put)
def _put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    handle = _handle(a, "numpy.put")
    positions = np.ravel(np.asarray(ind))
    if mode == "wrap":
        positions = positions % a.size
    elif mode == "clip":
        positions = np.clip(positions, 0, a.size - 1)
    elif mode != "raise":
        raise ValueError(f"clipmode must be one of 'clip', 'raise', or 'wrap' (got {mode!r})")
    if np.any((positions < -a.size) | (positions >= a.size)):
        raise IndexError(f"numpy.put: an index is out of bounds for an array of size {a.size}")
    if positions.size:
        handle[np.unravel_index(positions % a.size, a.shape)] = _cycled(v, positions.size)[: positions.size]


@implements(np.put_along_axis)
def _put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None) -> None:
    handle = _handle(arr, "numpy.put_along_axis")
    if axis is None:
        _put(arr, indices, values)
    else:
        handle[along_index(arr.shape, as_array(indices), axis_of(axis, arr.ndim))] = values


@implements(np.fill_diagonal)
def _fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    handle = _handle(a, "numpy.fill_diagonal")
    marks = np.zeros(a.shape, bool)
    np.fill_diagonal(marks, True, wrap)
    places = np.nonzero(marks)
    if places[0].size:
        handle[places] = _cycled(val, places[0].size)[: places[0].size]

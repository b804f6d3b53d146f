"""Functions that join arrays, take them apart, and repeat them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import index as as_int
from typing import Any

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive, Read
from unspool.layout import ArrayType
from unspool.ops.families import cast, fit, variadic
from unspool.ops.samples import some
from unspool.ops.shape import axis_of
from unspool.ops.table import implements


# --- concatenate and stack --------------------------------------------------------------------------------------------
def _concatenate_vjp(chosen: list[int], ct: Any, *xs: Any, axis: int) -> tuple[Any, ...]:
    ends = list(accumulate([np.shape(x)[axis] for x in xs], initial=0))
    lead = (slice(None),) * axis
    return tuple([cast(ct[(*lead, slice(ends[k], ends[k + 1]))], xs[k].dtype) for k in chosen])


def _concatenate_type(*types: ArrayType, axis: int) -> ArrayType:
    shape = types[0].shape
    n = sum([t.shape[axis] for t in types])
    return ArrayType(np.result_type(*[t.dtype for t in types]), (*shape[:axis], n, *shape[axis + 1 :]))


def _joined_tangents(joining: Any, tangents: tuple[Any, ...], y: Any, xs: tuple[Any, ...], axis: int) -> Any:
    parts = [np.zeros(np.shape(x), y.dtype) if t is None else t for t, x in zip(tangents, xs, strict=True)]
    return fit(bind(joining, *parts, axis=axis), y)


concatenate: Primitive = variadic(
    lambda *xs, axis: np.concatenate(xs, axis=axis),
    _concatenate_vjp,
    name="concatenate",
    type_rule=_concatenate_type,
    jvp=lambda tangents, y, *xs, axis: _joined_tangents(concatenate, tangents, y, xs, axis),
    read=Read.TYPE,
    samples=lambda: [
        ((some(2, 3), some(1, 3, turn=0.2), some(0, 3)), {"axis": 0}),
        ((some(2, 3), some(2, 1, turn=0.2)), {"axis": 1}),
        ((some(4),), {"axis": 0}),
    ],
)


def _stack_vjp(chosen: list[int], ct: Any, *xs: Any, axis: int) -> tuple[Any, ...]:
    lead = (slice(None),) * axis
    return tuple([cast(ct[(*lead, k)], xs[k].dtype) for k in chosen])


stack: Primitive = variadic(
    lambda *xs, axis: np.stack(xs, axis=axis),
    _stack_vjp,
    name="stack",
    type_rule=lambda *types, axis: ArrayType(
        np.result_type(*[t.dtype for t in types]), (*types[0].shape[:axis], len(types), *types[0].shape[axis:])
    ),
    jvp=lambda tangents, y, *xs, axis: _joined_tangents(stack, tangents, y, xs, axis),
    read=Read.TYPE,
    samples=lambda: [
        ((some(2, 3), some(2, 3, turn=0.2)), {"axis": 1}),
        ((some(), some(turn=0.2), some(turn=0.3)), {"axis": 0}),
    ],
)


@implements(np.concatenate)
def _concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    parts = list(arrays)
    if axis is None:
        return bind(concatenate, *[np.ravel(part) for part in parts], axis=0)
    return bind(concatenate, *parts, axis=axis_of(axis, np.ndim(parts[0])))


@implements(np.stack)
def _stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    parts = list(arrays)
    return bind(stack, *parts, axis=axis_of(axis, np.ndim(parts[0]) + 1))


def _each(function: Any, arrays: Sequence[Any]) -> list[Any]:
    return [function(array) for array in arrays]


@implements(np.hstack)
def _hstack(tup: Sequence[Any]) -> Any:
    parts = _each(np.atleast_1d, tup)
    return _concatenate(parts, 0 if np.ndim(parts[0]) == 1 else 1)


@implements(np.vstack)
def _vstack(tup: Sequence[Any]) -> Any:
    return _concatenate(_each(np.atleast_2d, tup), 0)


@implements(np.dstack)
def _dstack(tup: Sequence[Any]) -> Any:
    return _concatenate(_each(np.atleast_3d, tup), 2)


@implements(np.column_stack)
def _column_stack(tup: Sequence[Any]) -> Any:
    parts = [np.atleast_1d(part) for part in tup]
    return _concatenate([np.reshape(p, (-1, 1)) if np.ndim(p) == 1 else p for p in parts], 1)


@implements(np.append)
def _append(arr: Any, values: Any, axis: int | None = None) -> Any:
    if axis is None:
        return _concatenate([np.ravel(arr), np.ravel(values)], 0)
    return _concatenate([arr, values], axis)


# --- taking apart: views, by indexing ---------------------------------------------------------------------------------
@implements(np.array_split)
def _array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    along = axis_of(axis, ary.ndim)
    n = ary.shape[along]
    if np.ndim(indices_or_sections) == 0:
        sections = as_int(indices_or_sections)
        if sections <= 0:
            raise ValueError("number sections must be larger than 0.")
        size, more = divmod(n, sections)
        cuts = list(accumulate([size + 1] * more + [size] * (sections - more), initial=0))
    else:
        cuts = [0, *[as_int(i) for i in indices_or_sections], n]
    lead = (slice(None),) * along
    return [ary[(*lead, slice(start, stop))] for start, stop in pairwise(cuts)]


@implements(np.split)
def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    if np.ndim(indices_or_sections) == 0 and ary.shape[axis] % as_int(indices_or_sections):
        raise ValueError("array split does not result in an equal division")
    return _array_split(ary, indices_or_sections, axis)


@implements(np.hsplit)
def _hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    return _split(ary, indices_or_sections, 1 if ary.ndim > 1 else 0)


@implements(np.vsplit)
def _vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    return _split(ary, indices_or_sections, 0)


@implements(np.dsplit)
def _dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    return _split(ary, indices_or_sections, 2)


# --- repeating --------------------------------------------------------------------------------------------------------
@implements(np.tile)
def _tile(A: Any, reps: Any) -> Any:  # noqa: N803 - NumPy's name
    counts = tuple([as_int(r) for r in reps]) if np.ndim(reps) else (as_int(reps),)
    ndim = max(len(counts), A.ndim)
    counts = (1,) * (ndim - len(counts)) + counts
    shape = (1,) * (ndim - A.ndim) + A.shape
    spread = np.reshape(A, tuple([n for d in shape for n in (1, d)]))
    wide = np.broadcast_to(spread, tuple([n for r, d in zip(counts, shape, strict=True) for n in (r, d)]))
    return np.copy(np.reshape(wide, tuple([r * d for r, d in zip(counts, shape, strict=True)])))


@implements(np.repeat)
def _repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    if axis is None:
        return _repeat(np.ravel(a), repeats, 0)
    along = axis_of(axis, a.ndim)
    return a[(*(slice(None),) * along, np.repeat(np.arange(a.shape[along]), repeats))]


# --- pad --------------------------------------------------------------------------------------------------------------
_MODES = ("constant", "edge", "wrap", "reflect", "symmetric")


@implements(np.pad)
def _pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Any:
    if mode not in _MODES:
        raise UnsupportedError(
            f"numpy.pad: no derivative rule for mode={mode!r} (modes with a rule: {', '.join(_MODES)}). Write the "
            "border with slices and np.concatenate."
        )
    widths = _pairs(pad_width, array.ndim)
    values = _pairs(constant_values, array.ndim) if mode == "constant" else [(0, 0)] * array.ndim
    for axis, ((before, after), filling) in enumerate(zip(widths, values, strict=True)):
        before, after = as_int(before), as_int(after)
        if before < 0 or after < 0:
            raise ValueError("index can't contain negative values")
        if before == 0 and after == 0:
            continue
        array = _pad_axis(array, axis, (before, after), mode, filling)
    return np.copy(array)


def _pairs(given: Any, ndim: int) -> list[Any]:
    """(before, after) for each axis, out of all the forms in which NumPy takes them."""
    if isinstance(given, dict):
        pairs: list[Any] = [(0, 0)] * ndim
        for axis, width in given.items():
            pairs[axis] = tuple(width) if isinstance(width, tuple | list) else (width, width)
        return pairs
    return [tuple(pair) for pair in np.broadcast_to(np.asarray(given), (ndim, 2)).tolist()]


def _pad_axis(array: Any, axis: int, width: tuple[int, int], mode: str, filling: tuple[Any, Any]) -> Any:
    before, after = width
    n = array.shape[axis]
    lead = (slice(None),) * axis
    if mode == "constant":
        sides = [
            np.full((*array.shape[:axis], w, *array.shape[axis + 1 :]), value).astype(array.dtype)
            for w, value in zip(width, filling, strict=True)
        ]
        return _concatenate([sides[0], array, sides[1]], axis)
    if n == 0:
        raise ValueError(f"can't extend empty axis {axis} using modes other than 'constant' or 'empty'")
    if mode == "wrap" and before <= n and after <= n:  # slices are views, and cheaper to go back through than gathering
        return _concatenate([array[(*lead, slice(n - before, n))], array, array[(*lead, slice(after))]], axis)
    return array[(*lead, np.pad(np.arange(n), width, mode=mode))]  # type: ignore[call-overload]

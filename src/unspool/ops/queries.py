"""Functions whose results have no derivative: positions, counts, truths, shapes and types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced, bind
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.ops.families import constant
from unspool.ops.samples import some
from unspool.ops.table import TABLE, Entry, implements, name_of


def query(function: Callable[..., Any], *parameters: str, n_arrays: int = 1, **about: Any) -> Primitive:
    """Enrol a NumPy function without a derivative, with the names of the parameters that follow its arrays."""
    about.setdefault("samples", lambda: [((some(2, 3),) * n_arrays, {})])
    primitive = constant(function, **about)

    def call(*args: Any, **kwargs: Any) -> Any:
        positional = dict(zip(parameters, args[n_arrays:], strict=False))
        return bind(primitive, *args[:n_arrays], **positional, **kwargs)

    TABLE[function] = Entry(name_of(function), call, n_arrays + len(parameters), frozenset(parameters), None, "zero")
    return primitive


def _depends_on_values(name: str) -> Callable[..., Any]:
    def type_rule(*types: Any, **params: Any) -> Any:
        raise UnsupportedError(
            f"numpy.{name}: the number of elements of the result depends on the values, so that it cannot be part of a "
            "compiled step. Use np.where with a mask, which keeps the shape."
        )

    return type_rule


_function: Any
for _function in (np.argmax, np.argmin):
    query(_function, "axis", "keepdims")
for _function in (np.all, np.any):
    query(_function, "axis", "keepdims")
_ALL, _ANY = TABLE[np.all], TABLE[np.any]


@implements(np.all, derivative="zero")
def _all(a: Any, axis: Any = None, *, keepdims: bool = False, where: Any = True) -> Any:
    chosen = a if where is True else np.logical_or(a, np.logical_not(where))
    return (
        _ALL(chosen, axis=axis, keepdims=keepdims)
        if isinstance(chosen, Traced)
        else np.all(chosen, axis, None, keepdims)
    )


@implements(np.any, derivative="zero")
def _any(a: Any, axis: Any = None, *, keepdims: bool = False, where: Any = True) -> Any:
    chosen = a if where is True else np.logical_and(a, where)
    return (
        _ANY(chosen, axis=axis, keepdims=keepdims)
        if isinstance(chosen, Traced)
        else np.any(chosen, axis, None, keepdims)
    )


query(np.count_nonzero, "axis", "keepdims")
query(np.argsort, "axis", "kind", "stable")
query(np.argpartition, "kth", "axis", samples=lambda: [((some(5),), {"kth": 2})])
for _function in (np.nonzero, np.flatnonzero, np.argwhere):
    query(_function, type_rule=_depends_on_values(_function.__name__))
query(np.searchsorted, "side", n_arrays=2, samples=lambda: [((np.arange(4.0), some(3)), {})])
query(np.digitize, "right", n_arrays=2, samples=lambda: [((some(3), np.arange(4.0)), {})])
query(np.isin, "assume_unique", "invert", n_arrays=2)
query(np.array_equal, "equal_nan", n_arrays=2)
query(np.array_equiv, n_arrays=2)
query(np.isclose, "rtol", "atol", "equal_nan", n_arrays=2)
query(np.allclose, "rtol", "atol", "equal_nan", n_arrays=2)
for _function in (np.isreal, np.iscomplex, np.isposinf, np.isneginf):
    query(_function)
query(np.round, "decimals")
TABLE[np.around] = TABLE[np.round]
query(np.fix)


# --- shapes and types: plain Python, whatever listens -----------------------------------------------------------------
@implements(np.shape, derivative="zero")
def _shape(a: Any) -> tuple[int, ...]:
    shape: tuple[int, ...] = a.shape
    return shape


@implements(np.ndim, derivative="zero")
def _ndim(a: Any) -> int:
    return len(a.shape)


@implements(np.size, derivative="zero")
def _size(a: Any, axis: int | None = None) -> int:
    return int(a.size if axis is None else a.shape[axis])


@implements(np.tril_indices_from, derivative="zero")
def _tril_indices_from(arr: Any, k: int = 0) -> Any:
    m, n = _sides(arr)
    return np.tril_indices(m, k, n)


@implements(np.triu_indices_from, derivative="zero")
def _triu_indices_from(arr: Any, k: int = 0) -> Any:
    m, n = _sides(arr)
    return np.triu_indices(m, k, n)


def _sides(arr: Any) -> tuple[int, int]:
    if arr.ndim != 2:
        raise ValueError("input array must be 2-d")
    return arr.shape[0], arr.shape[1]


@implements(np.diag_indices_from, derivative="zero")
def _diag_indices_from(arr: Any) -> Any:
    if arr.ndim < 2 or len(set(arr.shape)) > 1:
        raise ValueError("All dimensions of input must be of equal length")
    return np.diag_indices(arr.shape[0], arr.ndim)


@implements(np.iscomplexobj, derivative="zero")
def _iscomplexobj(x: Any) -> bool:
    return bool(x.dtype.kind == "c")


@implements(np.isrealobj, derivative="zero")
def _isrealobj(x: Any) -> bool:
    return bool(x.dtype.kind != "c")


def _dtype(value: Any) -> Any:
    return ArrayType.of(value).dtype if isinstance(value, Traced) else value


@implements(np.result_type, derivative="zero")
def _result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    return np.result_type(*[_dtype(a) for a in arrays_and_dtypes])


@implements(np.common_type, derivative="zero")
def _common_type(*arrays: Any) -> Any:
    return np.common_type(*[np.empty(0, a.dtype) for a in arrays])


@implements(np.can_cast, derivative="zero")
def _can_cast(from_: Any, to: Any, casting: Any = "same_kind") -> bool:
    return np.can_cast(_dtype(from_), to, casting)


@implements(np.may_share_memory, np.shares_memory, derivative="zero")
def _shares_memory(a: Any, b: Any) -> bool:
    return a is b

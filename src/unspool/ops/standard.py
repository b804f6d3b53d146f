"""Names that stand for other functions: those of the array API standard, chains of products, tensor equations."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from operator import index as as_int
from typing import Any

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ops.shape import Axes, as_array, axes_of
from unspool.ops.table import implements


# --- the array API standard -------------------------------------------------------------------------------------------
@implements(np.linalg.vector_norm)
def _vector_norm(x: Any, /, *, axis: Axes = None, keepdims: bool = False, ord: Any = 2) -> Any:
    axes = axes_of(axis, x.ndim)
    rest = [k for k in range(x.ndim) if k not in axes]
    if axis is None:
        flat, along = np.ravel(x), 0
    elif isinstance(axis, tuple):
        lengths = [x.shape[k] for k in rest]
        flat, along = np.reshape(np.transpose(x, (*axes, *rest)), (prod([x.shape[k] for k in axes]), *lengths)), 0
    else:
        flat, along = x, axes[0]
    norm = np.linalg.norm(flat, axis=along, ord=ord)
    return np.reshape(norm, [1 if k in axes else d for k, d in enumerate(x.shape)]) if keepdims else norm


@implements(np.linalg.matrix_norm)
def _matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return np.linalg.norm(x, axis=(-2, -1), keepdims=keepdims, ord=ord)


@implements(np.linalg.cross)
def _cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return np.cross(x1, x2, axis=axis)


@implements(np.linalg.outer)
def _outer(x1: Any, x2: Any, /) -> Any:
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        raise ValueError("Input arrays must be one-dimensional")
    return np.outer(x1, x2)


@implements(np.linalg.trace)
def _trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    return np.trace(x, offset, -2, -1, dtype)


@implements(np.linalg.diagonal)
def _diagonal(x: Any, /, *, offset: int = 0) -> Any:
    return np.diagonal(x, offset, -2, -1)


@implements(np.linalg.matmul)
def _matmul(x1: Any, x2: Any, /) -> Any:
    return np.matmul(x1, x2)


@implements(np.linalg.matrix_transpose)
def _matrix_transpose(x: Any, /) -> Any:
    return np.swapaxes(x, -1, -2)


@implements(np.linalg.tensordot)
def _tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    return np.tensordot(x1, x2, axes)


def _conjugate(x: Any) -> Any:
    return np.conj(x) if x.dtype.kind == "c" else x


def _vecdot_of_last(x1: Any, x2: Any) -> Any:
    left, right = as_array(x1), as_array(x2)
    return np.matmul(_conjugate(left)[..., None, :], right[..., :, None])[..., 0, 0]


@implements(np.vecdot)
def _vecdot(x1: Any, x2: Any, /) -> Any:
    return _vecdot_of_last(x1, x2)


@implements(np.linalg.vecdot)
def _linalg_vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return _vecdot_of_last(np.moveaxis(as_array(x1), axis, -1), np.moveaxis(as_array(x2), axis, -1))


if hasattr(np, "matvec"):  # since NumPy 2.2

    @implements(np.matvec)
    def _matvec(x1: Any, x2: Any, /) -> Any:
        return np.matmul(x1, as_array(x2)[..., None])[..., 0]

    @implements(np.vecmat)
    def _vecmat(x1: Any, x2: Any, /) -> Any:
        return np.matmul(_conjugate(as_array(x1))[..., None, :], x2)[..., 0, :]


def _cumulative(cumulate: Any, x: Any, axis: int | None, dtype: Any, start: int | None) -> Any:
    if axis is None and x.ndim != 1:
        raise ValueError("For arrays which have more than one dimension ``axis`` argument is required.")
    along = axes_of(0 if axis is None else axis, x.ndim)[0]
    result = cumulate(x, axis=along, dtype=dtype)
    if start is None:
        return result
    shape = [1 if k == along else d for k, d in enumerate(x.shape)]
    return np.concatenate((np.full(shape, start, result.dtype), result), axis=along)


if hasattr(np, "cumulative_sum"):  # since NumPy 2.1

    @implements(np.cumulative_sum)
    def _cumulative_sum(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
        return _cumulative(np.cumsum, x, axis, dtype, 0 if include_initial else None)

    @implements(np.cumulative_prod)
    def _cumulative_prod(
        x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
    ) -> Any:
        return _cumulative(np.cumprod, x, axis, dtype, 1 if include_initial else None)

    @implements(np.unstack)
    def _unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
        rows = np.moveaxis(x, axis, 0)
        return tuple([rows[k] for k in range(rows.shape[0])])


# --- chains of products -----------------------------------------------------------------------------------------------
@implements(np.linalg.multi_dot)
def _multi_dot(arrays: Sequence[Any]) -> Any:
    factors = [as_array(a) for a in arrays]
    if len(factors) < 2:
        raise ValueError("Expecting at least two arrays.")
    if len(factors) == 2:
        return np.dot(*factors)
    first, last = factors[0].ndim, factors[-1].ndim
    if first == 1:
        factors[0] = factors[0][None, :]
    if last == 1:
        factors[-1] = factors[-1][:, None]
    if any(f.ndim != 2 for f in factors):
        raise np.linalg.LinAlgError("multi_dot: the arrays must have two axes, the first and the last one or two")
    product = _chained(factors)
    return product[0, 0] if first == last == 1 else np.ravel(product) if 1 in (first, last) else product


def _chained(factors: list[Any]) -> Any:
    """The product in the order that takes the fewest multiplications [CLRS, chapter 15.2]."""
    n = len(factors)
    d = [f.shape[0] for f in factors] + [factors[-1].shape[1]]
    if n == 3:  # in NumPy's words, so that ties are broken as there
        left = d[0] * d[2] * (d[1] + d[3])
        right = d[1] * d[3] * (d[0] + d[2])
        a, b, c = factors
        return (a @ b) @ c if left < right else a @ (b @ c)
    cost = [[0] * n for _ in range(n)]
    cut = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            prices = [cost[i][k] + cost[k + 1][j] + d[i] * d[k + 1] * d[j + 1] for k in range(i, j)]
            cost[i][j] = min(prices)
            cut[i][j] = i + prices.index(cost[i][j])

    def product(i: int, j: int) -> Any:
        return factors[i] if i == j else product(i, cut[i][j]) @ product(cut[i][j] + 1, j)

    return product(0, n - 1)


# --- tensor equations -------------------------------------------------------------------------------------------------
@implements(np.linalg.tensorinv)
def _tensorinv(a: Any, ind: int = 2) -> Any:
    if ind <= 0:
        raise ValueError("Invalid ind argument.")
    rows = prod(a.shape[ind:])
    return np.reshape(np.linalg.inv(np.reshape(a, (rows, -1))), (*a.shape[ind:], *a.shape[:ind]))


@implements(np.linalg.tensorsolve)
def _tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    a, b = as_array(a), as_array(b)
    if axes is not None:
        last = [as_int(k) for k in axes]
        a = np.transpose(a, [*[k for k in range(a.ndim) if k not in last], *last])
    unknown = a.shape[b.ndim :]
    if prod(unknown) != b.size:
        raise np.linalg.LinAlgError(
            "Input arrays must satisfy the requirement prod(a.shape[b.ndim:]) == prod(a.shape[:b.ndim])"
        )
    return np.reshape(np.linalg.solve(np.reshape(a, (b.size, b.size)), np.ravel(b)), unknown)


@implements(np.linalg.cond)
def _cond(x: Any, p: Any = None) -> Any:
    if p is None or p in (2, -2):
        s = np.linalg.svd(x, compute_uv=False)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    if isinstance(p, str) and p != "fro":
        raise UnsupportedError(f"numpy.linalg.cond: no derivative rule for p={p!r}. Use p=2, 1, inf or 'fro'.")
    inverse = np.linalg.inv(x)
    return np.linalg.norm(x, p, axis=(-2, -1)) * np.linalg.norm(inverse, p, axis=(-2, -1))

"""scipy.sparse: how matrices of traced numbers are made; the places of the numbers are plain."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced
from unspool.ops.patterns import Ordered, Pattern, Shape
from unspool.ops.shape import as_array
from unspool.ops.sparse import collected
from unspool.ops.sparse_arrays import SparseArray
from unspool.ops.table import implements

ss: Any = scipy.sparse


def _numbers(data: Any, dtype: Any) -> Any:
    numbers = as_array(data)
    return numbers if dtype is None else np.astype(numbers, dtype)


def _places(values: Any) -> np.ndarray:
    if isinstance(values, Traced):
        raise UnsupportedError("scipy.sparse: the places of the numbers of a sparse matrix are plain integers.")
    return np.array(values, int)


def _compressed(arg1: Any, shape: Any, dtype: Any, kind: tuple[bool, bool]) -> SparseArray:
    by_rows, is_matrix = kind
    if isinstance(arg1, SparseArray):
        converted = arg1.tocsr() if by_rows else arg1.tocsc()
        return SparseArray(converted.pattern, _numbers(converted.data, dtype), is_matrix)
    if not isinstance(arg1, tuple) or len(arg1) not in (2, 3):
        raise UnsupportedError(
            "scipy.sparse: which places of a dense traced array are zero depends on the values. Give its numbers and "
            "their places: (data, (row, col)) or (data, indices, indptr)."
        )
    if len(arg1) == 2:
        return _from_triplets(arg1, shape, dtype, kind)
    indices, indptr = _places(arg1[1]), _places(arg1[2])
    n_major = len(indptr) - 1
    if shape is None:
        n_minor = int(indices.max(initial=-1)) + 1
        shape = (n_major, n_minor) if by_rows else (n_minor, n_major)
    pattern = Pattern(indptr, indices, (int(shape[0]), int(shape[1])), by_rows)
    pattern.matrix(np.zeros(len(indices))).check_format(full_check=True)
    return SparseArray(pattern, _numbers(arg1[0], dtype), is_matrix)


def _from_triplets(arg1: tuple[Any, Any], shape: Any, dtype: Any, kind: tuple[bool, bool]) -> SparseArray:
    data, (row, column) = arg1
    rows, columns = _places(row), _places(column)
    if shape is None:
        shape = (int(rows.max(initial=-1)) + 1, int(columns.max(initial=-1)) + 1)
    ss.coo_array((np.zeros(len(rows)), (rows, columns)), shape=shape)  # SciPy's errors
    ordered = Ordered(rows, columns, (int(shape[0]), int(shape[1])), kind[0])
    return SparseArray(ordered.pattern, collected(ordered, _numbers(data, dtype)), kind[1])


def _constructor(theirs: Any, by_rows: bool, is_matrix: bool) -> None:
    @implements(theirs)
    def construct(arg1: Any, shape: Any = None, dtype: Any = None, copy: bool = False) -> SparseArray:
        """From (data, (row, col)), (data, indices, indptr), or another matrix; the places are plain."""
        return _compressed(arg1, shape, dtype, (by_rows, is_matrix))


for _name, _by_rows in (("csr", True), ("csc", False), ("coo", True)):
    _constructor(getattr(ss, f"{_name}_array"), _by_rows, False)
    _constructor(getattr(ss, f"{_name}_matrix"), _by_rows, True)


@lru_cache(maxsize=32)
def _of_diagonals(offsets: tuple[int, ...], shape: Shape, by_rows: bool) -> Ordered:
    rows, columns = [], []
    for offset in offsets:
        along = np.arange(_diagonal_length(offset, shape))
        rows.append(along + max(-offset, 0))
        columns.append(along + max(offset, 0))
    return Ordered(np.concatenate(rows), np.concatenate(columns), shape, by_rows)


def _diagonal_length(offset: int, shape: Shape) -> int:
    return min(shape[0] + offset, shape[1] - offset, *shape)


def _diagonals(
    diagonals: Any, offsets: Any, shape: Any, dtype: Any, *, format: str | None, is_matrix: bool
) -> SparseArray:
    if format not in (None, "csr", "csc", "dia", "coo"):
        raise UnsupportedError(f"scipy.sparse.diags: format={format!r} on traced values; use 'csr' or 'csc'.")
    single = np.ndim(offsets) == 0 and (isinstance(diagonals, Traced) or np.ndim(diagonals[0]) == 0)
    given: Sequence[Any] = [diagonals] if single else diagonals
    numbers = [np.atleast_1d(as_array(d)) for d in given]
    places = tuple([int(k) for k in np.atleast_1d(_places(offsets))])
    if len(numbers) != len(places):
        raise ValueError("Different number of diagonals and offsets.")
    if shape is None:
        n = numbers[0].shape[0] + abs(places[0])
        shape = (n, n)
    size = int(shape[0]), int(shape[1])
    pieces = []
    for number, offset in zip(numbers, places, strict=True):
        length = _diagonal_length(offset, size)
        if length < 0:
            raise ValueError(f"Offset {offset} out of bounds")
        if number.shape[0] < length and number.shape[0] != 1:
            raise ValueError(f"Diagonal length {number.shape[0]} at offset {offset} does not agree with size {size}.")
        pieces.append(np.broadcast_to(number, (length,)) if number.shape[0] == 1 else number[:length])
    ordered = _of_diagonals(places, size, format != "csc")
    return SparseArray(ordered.pattern, collected(ordered, _numbers(np.concatenate(pieces), dtype)), is_matrix)


@implements(ss.diags)
def _diags(diagonals: Any, offsets: Any = 0, shape: Any = None, format: str | None = None, dtype: Any = None) -> Any:
    """The result is kept by rows, or by columns with format="csc"."""
    return _diagonals(diagonals, offsets, shape, dtype, format=format, is_matrix=True)


@implements(ss.diags_array)
def _diags_array(
    diagonals: Any, /, *, offsets: Any = 0, shape: Any = None, format: str | None = None, dtype: Any = None
) -> Any:
    """The result is kept by rows, or by columns with format="csc"."""
    return _diagonals(diagonals, offsets, shape, dtype, format=format, is_matrix=False)

"""scipy.linalg: matrices put together from vectors and blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from unspool.errors import UnsupportedError
from unspool.ops.shape import as_array
from unspool.ops.table import implements

sl: Any = scipy.linalg


@implements(sl.block_diag)
def _block_diag(*arrs: Any) -> Any:
    blocks = [np.atleast_2d(as_array(a)) for a in arrs]
    if any(block.ndim != 2 for block in blocks):
        raise UnsupportedError("scipy.linalg.block_diag: no derivative rule for stacks of blocks. Loop over the stack.")
    n = sum(block.shape[1] for block in blocks)
    rows, before = [], 0
    for block in blocks:
        rows.append(np.pad(block, [(0, 0), (before, n - before - block.shape[1])]))
        before += block.shape[1]
    return np.concatenate(rows)


def _column(name: str, c: Any) -> Any:
    vector = as_array(c)
    if vector.ndim != 1:
        raise UnsupportedError(
            f"scipy.linalg.{name}: no derivative rule for an array of shape {vector.shape}. Pass one column."
        )
    return vector


def _conjugate(c: Any) -> Any:
    return np.conj(c) if c.dtype.kind == "c" else c


@implements(sl.toeplitz)
def _toeplitz(c: Any, r: Any = None) -> Any:
    column = _column("toeplitz", c)
    row = _conjugate(column) if r is None else _column("toeplitz", r)
    m, n = column.shape[0], row.shape[0]
    values = np.concatenate((column[::-1], row[1:]))
    return values[np.arange(n)[None, :] - np.arange(m)[:, None] + m - 1]


@implements(sl.hankel)
def _hankel(c: Any, r: Any = None) -> Any:
    column = _column("hankel", c)
    row = np.zeros_like(column) if r is None else _column("hankel", r)
    values = np.concatenate((column, row[1:]))
    return values[np.arange(column.shape[0])[:, None] + np.arange(row.shape[0])[None, :]]


@implements(sl.circulant)
def _circulant(c: Any) -> Any:
    column = as_array(c)
    n = column.shape[-1]
    return column[..., (np.arange(n)[:, None] - np.arange(n)[None, :]) % n]


@implements(sl.companion)
def _companion(a: Any) -> Any:
    coefficients = _column("companion", a)
    n = coefficients.shape[0]
    if n < 2:
        raise ValueError("The length of `a` along the last axis must be at least 2.")
    first = -coefficients[1:] / coefficients[0]
    return np.concatenate((first[None, :], np.eye(n - 2, n - 1, dtype=first.dtype)))


@implements(sl.khatri_rao)
def _khatri_rao(a: Any, b: Any) -> Any:
    a, b = as_array(a), as_array(b)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError("The both arrays should be 2-dimensional, with the same number of columns.")
    return np.reshape(a[:, None, :] * b[None, :, :], (-1, a.shape[1]))

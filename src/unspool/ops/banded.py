"""scipy.linalg: banded systems, whose matrix is given by its diagonals.

The tridiagonal one is LAPACK's, which is the algorithm of Thomas with pivoting.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive
from unspool.ops.linalg import turned
from unspool.ops.samples import complex_some, some
from unspool.ops.shape import as_array
from unspool.ops.systems import solution_type, system
from unspool.ops.table import implements

sl: Any = scipy.linalg


def _diagonals(n: int, lower: int, upper: int) -> list[tuple[slice, slice]]:
    """For each row of a band which rows and which columns of the matrix its numbers stand in."""
    ranges = []
    for offset in range(upper, -lower - 1, -1):
        row, column = min(max(-offset, 0), n), min(max(offset, 0), n)
        length = n - max(row, column)
        ranges.append((slice(row, row + length), slice(column, column + length)))
    return ranges


def _filled(v: Any, place: slice, n: int) -> Any:
    """Numbers in their place among n, zeros elsewhere, along the last axis."""
    around = (place.start, n - place.stop)
    return v if around == (0, 0) else np.pad(v, [(0, 0)] * (len(v.shape) - 1) + [around])


def _band_of(w: Any, y: Any, lower: int, upper: int) -> Any:
    """The band of ``w @ y.T``: what is cotangent to the numbers of a banded matrix."""
    n = w.shape[-2]
    sums = [(np.sum(w[..., i, :] * y[..., j, :], axis=-1), j) for i, j in _diagonals(n, lower, upper)]
    return np.stack([_filled(row, place, n) for row, place in sums], axis=-2)


def _band_times(ab: Any, y: Any, lower: int, upper: int) -> Any:
    """A banded matrix times the columns of y."""
    n = y.shape[-2]
    total: Any = 0.0
    for k, (i, j) in enumerate(_diagonals(n, lower, upper)):
        total = total + turned(_filled(turned(ab[..., k, j, None] * y[..., j, :]), i, n))
    return total


def _turned_band(ab: Any, lower: int, upper: int) -> Any:
    """The band of the transpose: its rows in reverse order, each moved to where its columns are rows."""
    n = ab.shape[-1]
    rows = [_filled(ab[..., k, j], i, n) for k, (i, j) in enumerate(_diagonals(n, lower, upper))]
    return np.stack(rows[::-1], axis=-2)


def _dominant(ab: Any, row: int) -> Any:
    """A band for samples, in which the diagonal outweighs the rest."""
    ab[row] += 8.0
    return ab


def _banded(ab: Any, b: Any, lower: int, upper: int, check: bool) -> Any:
    return sl.solve_banded((lower, upper), ab, b, check_finite=check)


solve_banded: Primitive = system(
    _banded,
    lambda ab, ct, lower, upper, check: bind(
        solve_banded, _turned_band(ab, lower, upper), ct, lower=upper, upper=lower, check=False
    ),
    lambda tab, y, ab, lower, upper, check: _band_times(tab, y, lower, upper),
    lambda w, y, ab, lower, upper, check: _band_of(w, y, lower, upper),
    name="solve_banded",
    type_rule=solution_type,
    samples=lambda: [
        ((_dominant(some(3, 5), 1), some(5)), {"lower": 1, "upper": 1, "check": True}),
        ((_dominant(some(4, 5), 1), some(5, 2)), {"lower": 2, "upper": 1, "check": True}),
        ((_dominant(some(2, 4), 1), some(4)), {"lower": 0, "upper": 1, "check": False}),
        ((_dominant(complex_some(3, 4), 1), some(4)), {"lower": 1, "upper": 1, "check": True}),
        ((_dominant(some(4, 2), 2), some(2)), {"lower": 1, "upper": 2, "check": True}),
    ],
)


@implements(sl.solve_banded)
def _solve_banded(  # noqa: PLR0917 - SciPy's signature
    l_and_u: tuple[int, int],
    ab: Any,
    b: Any,
    overwrite_ab: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """With (1, 1) the tridiagonal solve of LAPACK; the corners of the band have the derivative zero."""
    lower, upper = l_and_u
    return bind(solve_banded, as_array(ab), as_array(b), lower=int(lower), upper=int(upper), check=bool(check_finite))


# --- Hermitian and positive definite -----------------------------------------------------------------------------
def _full_band(ab: Any, lower: bool) -> Any:
    """Both halves of a Hermitian band of which one is given."""
    width = ab.shape[-2] - 1
    given, diagonal = (ab[..., 1:, :], ab[..., :1, :]) if lower else (ab[..., :-1, :], ab[..., -1:, :])
    if width == 0:
        return np.real(diagonal) + 0.0 * diagonal if ab.dtype.kind == "c" else diagonal
    other = _turned_band(given, *((width, -1) if lower else (-1, width)))
    if ab.dtype.kind == "c":
        other, diagonal = np.conj(other), np.astype(np.real(diagonal), ab.dtype)
    return np.concatenate((other, diagonal, given) if lower else (given, diagonal, other), axis=-2)


def _half_band(c: Any, lower: bool, like: Any) -> Any:
    """The transpose of `_full_band`."""
    width = c.shape[-2] // 2
    above, diagonal, below = c[..., :width, :], c[..., width : width + 1, :], c[..., width + 1 :, :]
    if like.dtype.kind == "c":
        diagonal = np.astype(np.real(diagonal), c.dtype)
    if width == 0:
        return diagonal
    own, other = (below, _turned_band(above, -1, width)) if lower else (above, _turned_band(below, width, -1))
    own = own + (np.conj(other) if c.dtype.kind == "c" else other)
    return np.concatenate((diagonal, own) if lower else (own, diagonal), axis=-2)


def _conjugated(a: Any) -> Any:
    return np.conj(a) if a.dtype.kind == "c" else a


solveh_banded: Primitive = system(
    lambda ab, b, lower, check: sl.solveh_banded(ab, b, lower=lower, check_finite=check),
    lambda ab, ct, lower, check: bind(solveh_banded, _conjugated(ab), ct, lower=lower, check=False),
    lambda tab, y, ab, lower, check: _band_times(_full_band(tab, lower), y, tab.shape[-2] - 1, tab.shape[-2] - 1),
    lambda w, y, ab, lower, check: _half_band(_band_of(w, y, ab.shape[-2] - 1, ab.shape[-2] - 1), lower, ab),
    name="solveh_banded",
    type_rule=solution_type,
    samples=lambda: [
        ((_dominant(some(2, 5), 1), some(5)), {"lower": False, "check": True}),
        ((_dominant(some(3, 4), 0), some(4, 2)), {"lower": True, "check": True}),
        ((_dominant(complex_some(3, 4), 2).copy(), some(4)), {"lower": False, "check": False}),
        ((_dominant(some(1, 3), 0), some(3)), {"lower": True, "check": True}),
    ],
)


@implements(sl.solveh_banded)
def _solveh_banded(  # noqa: PLR0917 - SciPy's signature
    ab: Any,
    b: Any,
    overwrite_ab: bool = False,
    overwrite_b: bool = False,
    lower: bool = False,
    check_finite: bool = True,
) -> Any:
    """Of a complex band the imaginary part of the diagonal is not read, and has the derivative zero."""
    return bind(solveh_banded, as_array(ab), as_array(b), lower=bool(lower), check=bool(check_finite))

"""Products with sparse matrices: linear in the vector, and in the numbers of the matrix, which stay in their places.

Two primitives are each other's transposes: the product with a matrix, and the outer product of two blocks of columns
taken at the places of the numbers only. Whatever else is linear in the numbers (sums, conversions, diagonals) is a
product with a plain matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.ir.listener import Traced, bind
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.ops.families import bilinear, fit
from unspool.ops.outside import Holder
from unspool.ops.patterns import Ordered, Pattern, parts_of
from unspool.ops.samples import complex_some, some


def _sampled(u: Any, v: Any, pattern: Pattern) -> Any:
    rows, columns = pattern.rows, pattern.columns
    if u.ndim == 1:
        return u[rows] * v[columns]
    total = np.zeros(pattern.nnz, np.result_type(u.dtype, v.dtype))
    for k in range(u.shape[1]):
        total += u[rows, k] * v[columns, k]
    return total


def _product_type(data: ArrayType, x: ArrayType, pattern: Pattern) -> ArrayType:
    return ArrayType(np.result_type(data.dtype, x.dtype), (pattern.shape[0], *x.shape[1:]))


_PATTERN = Pattern(np.array([0, 2, 2, 5]), np.array([1, 3, 0, 1, 1]), (3, 4))  # an empty row, and a place twice

product: Primitive = bilinear(
    lambda data, x, pattern: pattern.matrix(data) @ x,
    lambda ct, y, data, x, pattern: fit(bind(outer_at, ct, x, pattern=pattern), data),
    lambda ct, y, data, x, pattern: fit(bind(product, data, ct, pattern=pattern.T), x),
    name="sparse_product",
    type_rule=_product_type,
    samples=lambda: [
        ((some(5), some(4)), {"pattern": _PATTERN}),
        ((some(5), some(3, 2)), {"pattern": _PATTERN.T}),
        ((complex_some(5), some(4)), {"pattern": _PATTERN}),
        ((some(0), some(2)), {"pattern": Pattern(np.zeros(3, int), np.zeros(0, int), (2, 2))}),
    ],
)
outer_at: Primitive = bilinear(
    _sampled,
    lambda ct, y, u, v, pattern: fit(bind(product, ct, v, pattern=pattern), u),
    lambda ct, y, u, v, pattern: fit(bind(product, ct, u, pattern=pattern.T), v),
    name="outer_at",
    type_rule=lambda u, v, pattern: ArrayType(np.result_type(u.dtype, v.dtype), (pattern.nnz,)),
    samples=lambda: [
        ((some(3), some(4)), {"pattern": _PATTERN}),
        ((some(4, 2), some(3, 2)), {"pattern": _PATTERN.T}),
    ],
)


def multiplied(pattern: Pattern, data: Any, x: Any) -> Any:
    """The product of a sparse matrix with a vector, or with the columns of a matrix."""
    if len(x.shape) not in (1, 2):
        raise ValueError(f"could not interpret dimensions: a sparse matrix times an array of shape {x.shape}")
    if x.shape[0] != pattern.shape[1]:
        raise ValueError(f"matmul: dimension mismatch: {pattern.shape} and {x.shape}")
    return bind(product, data, x, pattern=pattern)


def collected(ordered: Ordered, data: Any) -> Any:
    """Numbers given place by place, in the order of a pattern, and added up where they share a place."""
    if ordered.groups is None:
        return data[ordered.order]
    return bind(product, np.ones(len(ordered.order)), data, pattern=ordered.groups)


def parts(matrix: Any) -> tuple[Pattern, Any]:
    """The pattern and the numbers of a sparse matrix, SciPy's or one that holds traced values."""
    return (matrix.pattern, matrix.data) if isinstance(matrix, Holder) else parts_of(matrix)


# --- traced arrays beside sparse matrices -----------------------------------------------------------------------------
def before(matrix: Any, x: Traced) -> Any:
    """``matrix @ x``."""
    return multiplied(*parts(matrix), x)


def behind(x: Any, matrix: Any) -> Any:
    """``x @ matrix``."""
    pattern, data = parts(matrix)
    if len(x.shape) == 1:
        return multiplied(pattern.T, data, x)
    return np.transpose(multiplied(pattern.T, data, np.transpose(x)))

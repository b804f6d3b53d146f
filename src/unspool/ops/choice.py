"""Functions that choose among their operands. Ties share the cotangent equally."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unspool.ir.listener import Traced, bind
from unspool.layout import ArrayType
from unspool.ops.arithmetic import not_equal
from unspool.ops.families import piecewise
from unspool.ops.samples import some
from unspool.ops.table import implements


def _chosen(ct: Any, more: Any, tie: Any) -> Any:
    return np.where(more, ct, np.where(tie, 0.5 * ct, 0.0))


maximum = piecewise(
    np.maximum,
    lambda ct, z, x, y: _chosen(ct, x > y, x == y),
    lambda ct, z, x, y: _chosen(ct, y > x, x == y),
    emit="np.maximum({0}, {1})",
)
minimum = piecewise(
    np.minimum,
    lambda ct, z, x, y: _chosen(ct, x < y, x == y),
    lambda ct, z, x, y: _chosen(ct, y < x, x == y),
    emit="np.minimum({0}, {1})",
)
fmax = piecewise(  # fmax and fmin pass over a NaN
    np.fmax,
    lambda ct, z, x, y: _chosen(ct, np.logical_or(x > y, np.isnan(y)), x == y),
    lambda ct, z, x, y: _chosen(ct, np.logical_or(y > x, np.isnan(x)), x == y),
    emit="np.fmax({0}, {1})",
)
fmin = piecewise(
    np.fmin,
    lambda ct, z, x, y: _chosen(ct, np.logical_or(x < y, np.isnan(y)), x == y),
    lambda ct, z, x, y: _chosen(ct, np.logical_or(y < x, np.isnan(x)), x == y),
    emit="np.fmin({0}, {1})",
)


def _where_type(condition: Any, x: Any, y: Any) -> ArrayType:
    dtype = np.result_type(*[getattr(v, "dtype", v) for v in (x, y)])
    return ArrayType(dtype, np.broadcast_shapes(*[getattr(v, "shape", ()) for v in (condition, x, y)]))


where = piecewise(
    np.where,
    lambda ct, z, c, x, y: np.zeros_like(ct),  # never asked for: a condition is not differentiated
    lambda ct, z, c, x, y: np.where(c, ct, 0.0),
    lambda ct, z, c, x, y: np.where(c, 0.0, ct),
    also=(),
    emit="({1} if {0} else {2})",
    type_rule=_where_type,
    samples=lambda: [
        ((some(5) > 0, some(5, turn=0.1), some(5, turn=0.2)), {}),
        ((some(3, 1) > 0, some(4), some(2, 1, 1)), {}),
        ((some(4) > 0, some(), some(4)), {}),
    ],
)


@implements(np.where)
def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        return np.nonzero(condition)
    if x is None or y is None:
        raise ValueError("numpy.where: give both x and y, or neither")
    return bind(where, _truth(condition), x, y)


def _truth(condition: Any) -> Any:
    """A condition as booleans, which have no derivative."""
    if isinstance(condition, Traced) and ArrayType.of(condition).dtype.kind != "b":
        return bind(not_equal, condition, 0)
    return condition


@implements(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low = a_min if min is None else min
    high = a_max if max is None else max
    if low is None and high is None:
        return np.positive(a)
    clipped = a if low is None else np.maximum(a, low)
    return clipped if high is None else np.minimum(clipped, high)


@implements(np.select)
def _select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    result = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        result = bind(where, _truth(condition), choice, result)
    return result


@implements(np.nan_to_num)
def _nan_to_num(x: Any, *, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    if x.dtype.kind == "c":
        re, im = [_nan_to_num(part, nan=nan, posinf=posinf, neginf=neginf) for part in (np.real(x), np.imag(x))]
        return re + 1j * im
    limits = np.finfo(x.dtype)
    finite = np.where(np.isnan(x), nan, x)
    finite = np.where(x == np.inf, float(limits.max) if posinf is None else posinf, finite)
    return np.where(x == -np.inf, float(limits.min) if neginf is None else neginf, finite)

"""Counts: bincount and histogram. A count has no derivative, a sum of weights has one."""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced, bind
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.ops.families import cast, constant, linear
from unspool.ops.samples import some
from unspool.ops.shape import as_array
from unspool.ops.table import implements

bincount: Primitive = linear(
    lambda weights, places, length: np.bincount(places, weights, length),
    lambda ct, weights, places, length: cast(ct[places], weights.dtype),
    name="bincount",
    type_rule=lambda weights, places, length: ArrayType(np.dtype(float), (length,)),
    samples=lambda: [
        ((some(5),), {"places": np.array([2, 0, 2, 3, 0]), "length": 6}),
        ((some(3).astype(np.float32),), {"places": np.array([1, 1, 0]), "length": 2}),
    ],
)


@implements(np.bincount)
def _bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    if isinstance(x, Traced):
        raise UnsupportedError(
            "numpy.bincount: the length of the result depends on the values that are counted, which are not known "
            "while the step is being compiled. Compute them from plain numbers."
        )
    numbers = np.array(x)
    length = max(int(numbers.max(initial=-1)) + 1, minlength)
    return bind(bincount, as_array(weights), places=numbers, length=length)


# --- histogram --------------------------------------------------------------------------------------------------------
counts = constant(
    lambda a, bins, range: np.histogram(a, bins, range)[0],
    name="histogram_counts",
    samples=lambda: [
        ((some(9),), {"bins": 4, "range": None}),
        ((some(9),), {"bins": np.arange(-2.0, 3), "range": None}),
    ],
)


@implements(np.histogram)
def _histogram(
    a: Any, bins: Any = 10, range: Any = None, density: bool | None = None, *, weights: Any = None
) -> tuple[Any, Any]:
    edges = _edges(a, bins, range)
    if weights is None:
        fixed = np.array(bins) if np.ndim(bins) else bins
        number = bind(counts, a, bins=fixed, range=None if range is None else tuple(range))
    else:
        number = _weighted(a, as_array(weights), edges)
    if density:
        number = number / np.diff(edges) / np.sum(number)
    return number, edges


def _edges(a: Any, bins: Any, range: Any) -> Any:
    if isinstance(bins, str | Traced):
        raise UnsupportedError(
            "numpy.histogram: on a traced value, bins= is a number of bins or a plain array of their edges."
        )
    if np.ndim(bins):
        return np.array(bins)
    if range is not None or a.size == 0:
        return np.histogram_bin_edges(np.zeros(0), bins, range)
    low, high = np.min(a), np.max(a)
    flat = low == high
    return np.linspace(np.where(flat, low - 0.5, low), np.where(flat, high + 0.5, high), bins + 1)


def _weighted(a: Any, weights: Any, edges: Any) -> Any:
    flat, heavy = np.ravel(as_array(a)), np.ravel(weights)
    last = edges.shape[0] - 1
    place = np.where(flat == edges[-1], last - 1, np.searchsorted(edges, flat, side="right") - 1)
    inside = np.logical_and(place >= 0, place < last)
    return _bincount(place[inside], heavy[inside], last)

"""Functions on grids: interpolation, differences, quadrature, points evenly spread."""

from __future__ import annotations

from math import pi
from operator import index as as_int
from typing import Any

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced, bind
from unspool.ops.families import general
from unspool.ops.gather import take
from unspool.ops.samples import some
from unspool.ops.shape import Axes, as_array, axes_of, axis_of
from unspool.ops.table import implements


# --- interp -----------------------------------------------------------------------------------------------------------
def _double(value: Any) -> Any:
    array = as_array(value)
    dtype = np.dtype(complex if array.dtype.kind == "c" else float)
    return array if array.dtype == dtype else np.astype(array, dtype)


@implements(np.interp)
def _interp(  # noqa: PLR0917 - NumPy's signature
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: float | None = None
) -> Any:
    """At a node the derivative with respect to x is that of the interval behind it, at the last one of that before."""
    x, xp, fp = _double(x), _double(xp), _double(fp)
    if xp.ndim != 1 or fp.ndim != 1:
        raise ValueError("Data points must be 1-D sequences")
    if xp.shape[0] != fp.shape[0]:
        raise ValueError("fp and xp are not of the same length")
    if xp.shape[0] == 0:
        raise ValueError("array of sample points is empty")
    if period is not None:
        if period == 0:
            raise ValueError("period must be a non-zero value")
        period, left, right = abs(period), None, None
        x, xp = np.remainder(x, period), np.remainder(xp, period)
        order = np.argsort(xp)
        xp, fp = take(xp, order), take(fp, order)
        xp = np.concatenate((xp[-1:] - period, xp, xp[:1] + period))
        fp = np.concatenate((fp[-1:], fp, fp[:1]))
    first, last = xp[0], xp[-1]
    if xp.shape[0] == 1:
        inside = np.where(np.isnan(x), x, fp[0])
    else:
        k = np.minimum(np.maximum(np.searchsorted(xp, x, side="right") - 1, 0), xp.shape[0] - 2)
        x0, x1, f0, f1 = take(xp, k), take(xp, k + 1), take(fp, k), take(fp, k + 1)
        width = x1 - x0
        slope = (f1 - f0) / np.where(width == 0, 1.0, width)
        at_end = x == last
        inside = slope * (x - np.where(at_end, x1, x0)) + np.where(at_end, f1, f0)
    outside = np.where(x > last, fp[-1] if right is None else right, inside)
    return np.where(x < first, fp[0] if left is None else left, outside)


# --- gradient ---------------------------------------------------------------------------------------------------------
def _spacings(f: Any, given: tuple[Any, ...], axes: tuple[int, ...]) -> list[Any]:
    """For each axis the spacing: a number, or an array of those between neighbours."""
    if not given:
        return [1.0] * len(axes)
    if len(given) == 1 and np.ndim(given[0]) == 0:
        return [given[0]] * len(axes)
    if len(given) != len(axes):
        raise TypeError("invalid number of arguments")
    spacings = []
    for axis, distance in zip(axes, given, strict=True):
        if np.ndim(distance) == 0:
            spacings.append(distance)
            continue
        points = as_array(distance)
        if points.ndim != 1:
            raise ValueError("distances must be either scalars or 1d")
        if points.shape[0] != f.shape[axis]:
            raise ValueError("when 1d, distances must match the length of the corresponding dimension")
        steps = np.diff(points if points.dtype.kind == "f" else np.astype(points, float))
        # NumPy takes one number for equal steps; that would lose the derivative with respect to the others
        equal = not isinstance(steps, Traced) and bool((steps == steps[0]).all())
        spacings.append(steps[0] if equal else steps)
    return spacings


def _slope(f: Any, h: Any, edge_order: int) -> Any:
    """Central differences along the first axis, one-sided at its ends."""
    even = np.ndim(h) == 0
    if even:
        inner = (f[2:] - f[:-2]) / (2.0 * h)
    else:
        column = np.reshape(h, (-1, *(1,) * (f.ndim - 1)))
        before, after = column[:-1], column[1:]
        a = -after / (before * (before + after))
        b = (after - before) / (before * after)
        c = before / (after * (before + after))
        inner = a * f[:-2] + b * f[1:-1] + c * f[2:]
    if edge_order == 1:
        start = (f[1] - f[0]) / (h if even else h[0])
        end = (f[-1] - f[-2]) / (h if even else h[-1])
    else:
        if even:
            weights = (-1.5 / h, 2.0 / h, -0.5 / h), (0.5 / h, -2.0 / h, 1.5 / h)
        else:
            p, q, r, s = h[0], h[1], h[-2], h[-1]
            weights = (
                (-(2.0 * p + q) / (p * (p + q)), (p + q) / (p * q), -p / (q * (p + q))),
                (s / (r * (r + s)), -(s + r) / (r * s), (2.0 * s + r) / (s * (r + s))),
            )
        (a, b, c), (u, v, w) = weights
        start = a * f[0] + b * f[1] + c * f[2]
        end = u * f[-3] + v * f[-2] + w * f[-1]
    return np.concatenate((start[None], inner, end[None]))


@implements(np.gradient)
def _gradient(f: Any, *varargs: Any, axis: Axes = None, edge_order: int = 1) -> Any:
    f = as_array(f)
    axes = axes_of(axis, f.ndim)
    if edge_order not in (1, 2):
        raise ValueError("'edge_order' greater than 2 not supported")
    results = []
    for k, h in zip(axes, _spacings(f, varargs, axes), strict=True):
        if f.shape[k] < edge_order + 1:
            raise ValueError(
                "Shape of array too small to calculate a numerical gradient, at least (edge_order + 1) elements are "
                "required."
            )
        slope = np.moveaxis(_slope(np.moveaxis(f, k, 0), h, edge_order), 0, k)
        results.append(np.astype(slope, f.dtype) if f.dtype.kind in "fc" else slope)
    return results[0] if len(results) == 1 else tuple(results)


# --- quadrature and differences ---------------------------------------------------------------------------------------
@implements(np.trapezoid)
def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = as_array(y)
    along = axis_of(axis, y.ndim)
    width = dx
    if x is not None:
        points = as_array(x)
        if points.ndim == 1:
            width = np.reshape(np.diff(points), [-1 if k == along else 1 for k in range(y.ndim)])
        else:
            width = np.diff(points, axis=axis)
    lead = (slice(None),) * along
    return np.sum(width * (y[(*lead, slice(1, None))] + y[(*lead, slice(None, -1))]) / 2.0, axis=along)


@implements(np.ediff1d)
def _ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    flat = np.ravel(as_array(ary))
    parts = (to_begin, flat[1:] - flat[:-1], to_end)
    return np.concatenate([np.ravel(as_array(part)) for part in parts if part is not None])


unwrap = general(
    lambda p, discont, axis, period: np.unwrap(p, discont, axis, period=period),
    lambda ct, y, p, discont, axis, period: ct,  # the corrections are constant where they do not jump
    name="unwrap",
    jvp=lambda tangents, y, p, discont, axis, period: tangents[0],
    type_rule=lambda p, discont, axis, period: p,
    samples=lambda: [
        ((some(7, low=-6.0, high=6.0),), {"discont": None, "axis": 0, "period": 2 * pi}),
        ((some(2, 5, low=-6.0, high=6.0),), {"discont": 3.0, "axis": 1, "period": 4.0}),
    ],
)


@implements(np.unwrap)
def _unwrap(p: Any, discont: float | None = None, axis: int = -1, *, period: float = 2 * pi) -> Any:
    return bind(unwrap, p, discont=discont, axis=axis_of(axis, p.ndim), period=period)


# --- evenly spread ----------------------------------------------------------------------------------------------------
@implements(np.linspace)
def _linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, *, axis: int = 0
) -> Any:
    n = as_int(num)
    if n < 0:
        raise ValueError(f"Number of samples, {n}, must be non-negative.")
    start, stop = (as_array(v) * 1.0 for v in (start, stop))
    delta = stop - start
    intervals = n - 1 if endpoint else n
    counts = np.reshape(np.arange(float(n)), (-1, *(1,) * np.ndim(delta)))
    if intervals > 0:
        step = delta / intervals
        points = np.where(step == 0, counts / intervals * delta, counts * step) + start
    else:
        step, points = np.nan, counts * delta + start
    if endpoint and n > 1:
        points = np.concatenate((points[:-1], np.broadcast_to(stop, delta.shape)[None]))
    points = np.moveaxis(points, 0, axis) if axis != 0 else points
    return (points, step) if retstep else points


@implements(np.logspace)
def _logspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, *, axis: int = 0) -> Any:
    exponents = _linspace(start, stop, num, endpoint)
    powers = np.power(base, exponents)
    return np.moveaxis(powers, 0, axis) if axis != 0 else powers


@implements(np.geomspace)
def _geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, *, axis: int = 0) -> Any:
    """Between real numbers of one sign."""
    first, last = (as_array(v) * 1.0 for v in (start, stop))
    if first.dtype.kind == "c" or last.dtype.kind == "c":
        raise UnsupportedError(
            "numpy.geomspace: no derivative rule between complex numbers. Use np.exp(np.linspace(...)) of logarithms."
        )
    sign = np.sign(first)
    points = sign * _logspace(np.log10(first * sign), np.log10(last * sign), num, endpoint)
    shape = points.shape[1:]
    ends = [np.broadcast_to(end, shape)[None] for end in (first, last)]
    n = points.shape[0]
    if n > 1 and endpoint:
        points = np.concatenate((ends[0], points[1:-1], ends[1]))
    elif n > 0:
        points = np.concatenate((ends[0], points[1:]))
    return np.moveaxis(points, 0, axis) if axis != 0 else points

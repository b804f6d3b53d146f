"""scipy.integrate: integrals of samples, whose points and distances may be differentiated as well as the values."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.integrate

from unspool.errors import UnsupportedError
from unspool.ops.shape import as_array, axis_of
from unspool.ops.table import implements

si: Any = scipy.integrate


def _samples(y: Any, x: Any, dx: Any, axis: int) -> tuple[Any, Any]:
    """The values with the axis of integration last, and the distances between their points: an array, or a number."""
    y = as_array(y)
    along = axis_of(axis, y.ndim)
    n = y.shape[along]
    if n == 0:
        raise ValueError("At least one point is required along `axis`.")
    values = np.moveaxis(y, along, -1)
    if x is None:
        distance = as_array(dx)
        if distance.ndim == 0:
            return values, distance
        return values, np.moveaxis(np.reshape(distance, (1,) * (y.ndim - distance.ndim) + distance.shape), along, -1)
    points = as_array(x)
    if points.ndim not in (1, y.ndim):
        raise ValueError("If given, shape of x must be 1-D or the same as y.")
    points = points if points.ndim == 1 else np.moveaxis(points, along, -1)
    if points.shape[-1] != n:
        raise ValueError("If given, length of x along axis must be the same as y.")
    return values, points[..., 1:] - points[..., :-1]


def _one_distance(name: str, dx: Any) -> None:
    if np.ndim(dx):
        raise UnsupportedError(f"scipy.integrate.{name}: no derivative rule for dx= as an array. Pass x=, the points.")


def _divided(a: Any, b: Any) -> Any:
    """a / b, and 0 where b is 0."""
    zero = b == 0
    return np.where(zero, 0.0, a / np.where(zero, 1.0, b))


@implements(si.trapezoid)
def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    return np.trapezoid(y, x, dx, axis)


@implements(si.cumulative_trapezoid)
def _cumulative_trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1, initial: float | None = None) -> Any:
    values, distances = _samples(y, x, dx, axis)
    sums = np.cumsum(distances * (values[..., 1:] + values[..., :-1]) / 2.0, axis=-1)
    if initial is not None:
        if initial != 0:
            raise ValueError("`initial` must be `None` or `0`.")
        sums = np.concatenate((np.zeros_like(sums, shape=(*sums.shape[:-1], 1)), sums), axis=-1)
    return np.moveaxis(sums, -1, axis)


# --- Simpson's rule ---------------------------------------------------------------------------------------------------
def _over_pairs(values: Any, distances: Any) -> Any:
    """The sum of the integrals of the parabolas through points 0 to 2, 2 to 4, and so on."""
    first, middle, last = values[..., :-2:2], values[..., 1:-1:2], values[..., 2::2]
    if np.ndim(distances) == 0:
        return np.sum(first + 4.0 * middle + last, axis=-1) * (distances / 3.0)
    a, b = distances[..., ::2], distances[..., 1::2]
    both = a + b
    weights = 2.0 - _divided(b, a), both * _divided(both, a * b), 2.0 - _divided(a, b)
    return np.sum(both / 6.0 * (first * weights[0] + middle * weights[1] + last * weights[2]), axis=-1)


@implements(si.simpson)
def _simpson(y: Any, x: Any = None, *, dx: Any = 1.0, axis: int = -1) -> Any:
    """An even number of points ends with Cartwright's correction for the last interval [C2017]."""
    _one_distance("simpson", dx)
    values, distances = _samples(y, x, dx, axis)
    n = values.shape[-1]
    if n % 2 == 1:
        return _over_pairs(values, distances)
    a, b = (distances, distances) if x is None else (distances[..., max(n - 3, 0)], distances[..., -1])
    if n == 2:
        return 0.5 * b * (values[..., 1] + values[..., 0])
    before = values[..., :-1], distances if x is None else distances[..., :-1]
    last = _divided(2.0 * b**2 + 3.0 * a * b, 6.0 * (a + b))
    middle = _divided(b**2 + 3.0 * a * b, 6.0 * a)
    first = _divided(b**3, 6.0 * a * (a + b))
    return _over_pairs(*before) + last * values[..., -1] + middle * values[..., -2] - first * values[..., -3]


def _first_halves(values: Any, distances: Any) -> Any:
    """For each three neighbouring points the integral of their parabola over the first of the two intervals."""
    a, b = distances[..., :-1], distances[..., 1:]
    part = a / (a + b)
    third = part * a / b
    first, middle, last = values[..., :-2], values[..., 1:-1], values[..., 2:]
    return a / 6.0 * ((3.0 - part) * first + (3.0 + third + part) * middle - third * last)


@implements(si.cumulative_simpson)
def _cumulative_simpson(y: Any, *, x: Any = None, dx: Any = 1.0, axis: int = -1, initial: float | None = None) -> Any:
    values, distances = _samples(y, x, dx, axis)
    n = values.shape[-1]
    if n < 3:
        sums = np.moveaxis(_cumulative_trapezoid(y, x, dx, axis), axis, -1)
    else:
        widths = np.broadcast_to(distances, (*values.shape[:-1], n - 1))
        forward = _first_halves(values, widths)
        backward = _first_halves(values[..., ::-1], widths[..., ::-1])[..., ::-1]
        from_right = np.arange(n - 1) % 2 == 1  # every other interval is the second one of its parabola, and the last
        from_right[-1] = True
        parts = np.where(
            from_right,
            np.concatenate((backward[..., :1], backward), axis=-1),
            np.concatenate((forward, forward[..., -1:]), axis=-1),
        )
        sums = np.cumsum(parts, axis=-1)
    if initial is not None:
        start = np.broadcast_to(initial, (*sums.shape[:-1], 1))
        sums = np.concatenate((start, sums + initial), axis=-1)
    return np.moveaxis(sums, -1, axis)


# --- Romberg's rule ---------------------------------------------------------------------------------------------------
@implements(si.romb)
def _romb(y: Any, dx: Any = 1.0, axis: int = -1, show: bool = False) -> Any:
    """A linear function of the samples, by Richardson's extrapolation of trapezoids."""
    if show:
        raise UnsupportedError("scipy.integrate.romb: show=True is not supported on a traced value. Leave it out.")
    _one_distance("romb", dx)
    values, _ = _samples(y, None, dx, axis)
    intervals = values.shape[-1] - 1
    levels = max(intervals, 1).bit_length() - 1
    if intervals < 1 or 1 << levels != intervals:
        raise ValueError("Number of samples must be one plus a non-negative power of 2.")
    row: list[Any] = []
    for level in range(levels + 1):
        step = intervals >> level
        trapezoids = np.trapezoid(values[..., ::step], dx=step * dx, axis=-1)
        new = [trapezoids]
        for k, before in enumerate(row):
            new.append(new[-1] + (new[-1] - before) / (4.0 ** (k + 1) - 1.0))
        row = new
    return row[-1]

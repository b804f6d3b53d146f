"""Values on regular grids, looked up between the nodes: RegularGridInterpolator, interpn, map_coordinates.

At a node the derivative with respect to the point is that of the interval behind it, at the last one of that before.
Nodes are plain; values and points may be differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import Any, NoReturn

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced, primal
from unspool.layout import ArrayType
from unspool.ops.gather import take
from unspool.ops.shape import as_array

Cell = tuple[Any, Any]  # the number of the lower node along one axis, and how far the point is on the way to the next


def plain_nodes(grid: Sequence[Any], name: str) -> list[np.ndarray]:
    """The nodes along each axis, checked."""
    nodes = []
    for k, points in enumerate(grid):
        if isinstance(points, Traced):
            raise UnsupportedError(
                f"{name}: no derivative rule with respect to the nodes of the grid (dimension {k}). Pass plain nodes, "
                "and let the values or the points depend on the parameters."
            )
        array = np.array(points, float)
        if array.ndim != 1 or array.size < 1:
            raise ValueError(f"The points in dimension {k} must be 1-dimensional")
        steps = np.diff(array)
        if not (np.all(steps > 0) or np.all(steps < 0)):
            raise ValueError(f"The points in dimension {k} must be strictly ascending or descending")
        nodes.append(array)
    return nodes


def ascending(nodes: Sequence[np.ndarray], values: Any) -> tuple[list[np.ndarray], Any]:
    """Nodes and values with every axis turned so that it ascends."""
    down = tuple([k for k, points in enumerate(nodes) if points.size > 1 and points[0] > points[-1]])
    return [points[::-1] if k in down else points for k, points in enumerate(nodes)], (
        np.flip(values, down) if down else values
    )


def cell_of(points: np.ndarray, x: Any) -> Cell:
    """Where a coordinate lies among the nodes of one axis; beyond them the outermost interval goes on."""
    if points.size == 1:
        return np.zeros(x.shape, int), 0.0 * x
    k = np.clip(np.searchsorted(points, x, side="right") - 1, 0, points.size - 2)
    low = take(points, k)
    return k, (x - low) / (take(points, k + 1) - low)


def _flat(shape: tuple[int, ...], numbers: Sequence[Any]) -> Any:
    position: Any = 0
    for n, k in zip(shape, numbers, strict=True):
        position = position * n + k
    return position


def looked_up(values: Any, n_axes: int, numbers: Sequence[Any]) -> Any:
    """The values at these nodes of the first axes: ``values[numbers]``, where the numbers may be traced."""
    shape = values.shape[:n_axes]
    rows = np.reshape(values, (prod(shape), *values.shape[n_axes:]))
    return take(rows, _flat(shape, numbers), axis=0)


def _lifted(weight: Any, n_axes: int) -> Any:
    return np.reshape(weight, (*weight.shape, *(1,) * n_axes))


def between(values: Any, cells: Sequence[Cell], at: Callable[[int, Any], Any] = lambda axis, number: number) -> Any:
    """The multilinear interpolation: 2**d corners, weighted; ``at`` says which node a number stands for."""
    n_axes = len(cells)
    total: Any = 0.0
    for corner in product((0, 1), repeat=n_axes):
        weight: Any = 1.0
        for side, (_, way) in zip(corner, cells, strict=True):
            weight = weight * (way if side else 1 - way)
        numbers = [at(axis, k + side) for axis, (side, (k, _)) in enumerate(zip(corner, cells, strict=True))]
        total = total + looked_up(values, n_axes, numbers) * _lifted(weight, values.ndim - n_axes)
    return total


def coordinates(xi: Any, n_axes: int) -> list[Any]:
    """The coordinates of points, one array per axis, out of the forms in which SciPy takes them."""
    if isinstance(xi, tuple) or (isinstance(xi, list) and any(isinstance(part, Traced) for part in xi)):
        parts = [as_array(part) * 1.0 for part in (xi[0] if isinstance(xi, tuple) and len(xi) == 1 else xi)]
        if len(parts) == n_axes:
            shape = np.broadcast_shapes(*[part.shape for part in parts])
            return [np.broadcast_to(part, shape) for part in parts]
        xi = np.stack(parts)
    points = as_array(xi) * 1.0
    if points.ndim == 1:
        points = np.reshape(points, (-1, 1) if n_axes == 1 else (1, -1))
    if points.shape[-1] != n_axes:
        raise ValueError(
            f"The requested sample points xi have dimension {points.shape[-1]} but this RegularGridInterpolator has "
            f"dimension {n_axes}"
        )
    return [points[..., k] for k in range(n_axes)]


def _known(x: Any) -> np.ndarray:
    array = primal(x)
    if isinstance(array, ArrayType):
        _unknown()
    return np.asarray(array)


def _unknown() -> NoReturn:
    raise UnsupportedError(
        "scipy.interpolate.RegularGridInterpolator: with bounds_error=True the points are looked at, which are not "
        "known while a step is being compiled. Pass bounds_error=False, with fill_value=None to extrapolate."
    )


def refuse_outside(nodes: Sequence[np.ndarray], xs: Sequence[Any]) -> None:
    """Raise where a point is outside of the grid."""
    for k, (points, x) in enumerate(zip(nodes, xs, strict=True)):
        known = _known(x)
        if not (np.all(points[0] <= known) and np.all(known <= points[-1])):
            raise ValueError(f"One of the requested xi is out of bounds in dimension {k}")


def on_grid(nodes: Sequence[np.ndarray], values: Any, xs: Sequence[Any], *, method: str, fill_value: Any) -> Any:
    """The values between ascending nodes at points given by one array per axis; None extrapolates."""
    cells = [cell_of(points, x) for points, x in zip(nodes, xs, strict=True)]
    if method == "linear":
        result = between(values, cells, lambda axis, number: np.minimum(number, nodes[axis].size - 1))
    else:
        numbers = [np.where(way <= 0.5, k, k + 1) for k, way in cells]
        result = looked_up(values, len(nodes), [np.minimum(k, p.size - 1) for k, p in zip(numbers, nodes, strict=True)])
    lost: Any = False
    outside: Any = False
    for points, x in zip(nodes, xs, strict=True):
        lost = np.logical_or(lost, np.isnan(x))
        outside = np.logical_or(outside, np.logical_or(x < points[0], x > points[-1]))
    behind = values.ndim - len(nodes)
    if fill_value is not None:
        result = np.where(_lifted(outside, behind), fill_value, result)
    return np.where(_lifted(lost, behind), np.nan, result)


# --- by numbers of nodes, with a border -------------------------------------------------------------------------------
def _wrapped(c: Any, n: int) -> Any:
    period = float(n - 1)
    c = np.where(c < 0, c + period * (np.floor(-c / period) + 1), c)
    return np.where(c > period, c - period * np.floor(c / period), c)


def _mirrored(c: Any, n: int) -> Any:
    r = np.remainder(c, 2.0 * (n - 1))
    return np.where(r > n - 1, 2.0 * (n - 1) - r, r)


def _reflected(c: Any, n: int) -> Any:
    r = np.remainder(c + 0.5, 2.0 * n)
    return np.where(r > n, 2.0 * n - r, r) - 0.5


def _held(c: Any, low: float, high: float) -> Any:
    """The coordinate kept within a range, at the ends of which it has the derivative of the inside."""
    return np.where(c < low, low, np.where(c > high, high, c))


_INSIDE: dict[str, Callable[[Any, int], Any]] = {
    "nearest": lambda c, n: _held(c, 0.0, n - 1.0),
    "wrap": lambda c, n: _wrapped(c, n) if n > 1 else 0.0 * c,
    "mirror": lambda c, n: _mirrored(c, n) if n > 1 else 0.0 * c,
    "reflect": _reflected,
    "grid-mirror": _reflected,
    "grid-wrap": lambda c, n: np.remainder(c, float(n)),
    "constant": lambda c, n: _held(c, 0.0, n - 1.0),
    "grid-constant": lambda c, n: _held(c, -1.0, float(n)),
}
MODES = tuple(_INSIDE)
_BEYOND = ("grid-wrap", "reflect", "grid-mirror")  # with intervals beyond the first and the last node


def _node(mode: str, k: Any, n: int) -> Any:
    """The node that a number stands for beside the border."""
    if mode == "grid-wrap":
        return np.remainder(k, n)
    return np.clip(k, 0, n - 1)


def by_number(values: Any, xs: Sequence[Any], *, order: int, mode: str, cval: Any) -> Any:
    """The values at fractional numbers of nodes, of order 0 or 1, with one of SciPy's borders."""
    shape = values.shape
    outside: Any = False
    if mode == "constant":
        for c, n in zip(xs, shape, strict=True):
            outside = np.logical_or(outside, np.logical_or(c < 0, c > n - 1))
    inside = [_INSIDE[mode](c, n) for c, n in zip(xs, shape, strict=True)]
    if mode == "grid-constant":
        values = np.pad(values, 1, constant_values=cval)
        inside, shape = [c + 1.0 for c in inside], values.shape
    if order == 0:
        numbers = [np.astype(np.floor(c + 0.5), int) for c in inside]
        result = looked_up(values, len(shape), [_node(mode, k, n) for k, n in zip(numbers, shape, strict=True)])
    else:
        floors = [np.floor(c) for c in inside]
        if mode not in _BEYOND:  # at the last node the interval before it
            floors = [np.minimum(k, max(n - 2.0, 0.0)) for k, n in zip(floors, shape, strict=True)]
        cells = [(np.astype(k, int), c - k) for k, c in zip(floors, inside, strict=True)]
        result = between(values, cells, lambda axis, number: _node(mode, number, shape[axis]))
    return np.where(outside, cval, result) if mode == "constant" else result

"""scipy.interpolate: piecewise polynomials through points, of which knots and values may both be differentiated.

The slopes at the knots solve a tridiagonal system; everything else is arithmetic. At a knot the derivative with respect
to the point is that of the interval behind it, at the last one of that before.
"""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np
import scipy.interpolate

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced, bind, primal
from unspool.layout import ArrayType
from unspool.ops.banded import solve_banded
from unspool.ops.gather import take
from unspool.ops.shape import as_array, axis_of
from unspool.ops.table import enrol_class

sp: Any = scipy.interpolate


# --- slopes at the knots ----------------------------------------------------------------------------------------------
def _tridiagonal(rows: tuple[Any, Any, Any], right: Any) -> Any:
    """The solution for the columns of the right-hand side; rows: upper, middle, lower, each in its place."""
    flat = np.reshape(right, (right.shape[0], -1))
    solution = bind(solve_banded, np.stack(rows), flat, lower=1, upper=1, check=False)
    return np.reshape(solution, right.shape)


def _column(v: Any, like: Any) -> Any:
    return np.reshape(v, (*v.shape, *(1,) * (like.ndim - 1)))


def _end(condition: Any, steps: Any, slopes: Any) -> tuple[Any, Any, Any]:
    """The equation at the first knot: (middle, upper, right-hand side); the last one is the mirror image."""
    a, b = steps[0], steps[1] if steps.shape[0] > 1 else steps[0]
    if isinstance(condition, str):  # not-a-knot: the third derivative does not jump at the second knot
        both = a + b
        return b, both, ((a + 2 * both) * b * slopes[0] + a * a * slopes[1]) / both
    order, value = condition
    if order == 1:
        return 1.0, 0.0, value
    return 2.0 * a, a, 3.0 * a * slopes[0] - 0.5 * value * a * a


def _natural_slopes(steps: Any, slopes: Any, conditions: list[Any]) -> Any:
    n = steps.shape[0] + 1
    if n == 2:  # a straight line, unless a condition bends it
        conditions = [(1, slopes[0]) if isinstance(c, str) else c for c in conditions]
    if n == 3 and all(isinstance(c, str) for c in conditions):  # a parabola
        a, b = steps[0], steps[1]
        middle = (b * slopes[0] + a * slopes[1]) / (a + b)
        return np.stack([2 * slopes[0] - middle, middle, 2 * slopes[1] - middle])
    first = _end(conditions[0], steps, slopes)
    last = _end(_turned(conditions[1]), steps[::-1], slopes[::-1])
    wide = _column(steps, slopes)
    zero = np.zeros(1)
    upper = np.concatenate((zero, np.reshape(first[1], 1), steps[:-1]))
    middle = np.concatenate((np.reshape(first[0], 1), 2 * (steps[:-1] + steps[1:]), np.reshape(last[0], 1)))
    lower = np.concatenate((steps[1:], np.reshape(last[1], 1), zero))
    inner = 3 * (wide[1:] * slopes[:-1] + wide[:-1] * slopes[1:])
    ends = [np.broadcast_to(end[2], slopes.shape[1:])[None] for end in (first, last)]
    return _tridiagonal((upper, middle, lower), np.concatenate((ends[0], inner, ends[1])))


def _turned(condition: Any) -> Any:
    """A condition seen from the other end: the slope keeps its sign in the equation, the bend changes it."""
    if isinstance(condition, str) or condition[0] == 1:
        return condition
    return condition[0], -condition[1]


def _periodic_slopes(steps: Any, slopes: Any) -> Any:
    """A tridiagonal system with corners, by the formula of Sherman and Morrison."""
    n = steps.shape[0]
    if n == 1:
        return np.concatenate((slopes, slopes))
    before, wide = np.roll(steps, 1), _column(steps, slopes)
    right = 3 * (wide * np.roll(slopes, 1, axis=0) + np.roll(wide, 1, axis=0) * slopes)
    diagonal = 2 * (before + steps)
    if n == 2:  # both neighbours are the same knot
        across = steps[0] + steps[1]
        s = np.stack([diagonal[1] * right[0] - across * right[1], diagonal[0] * right[1] - across * right[0]])
        s = s / (diagonal[0] * diagonal[1] - across * across)
        return np.concatenate((s, s[:1]))
    top, bottom, pivot = steps[:1], steps[-2:-1], -diagonal[:1]
    changed = np.concatenate((diagonal[:1] - pivot, diagonal[1:-1], diagonal[-1:] - top * bottom / pivot))
    zero = np.zeros(1)
    rows = np.concatenate((zero, before[:-1])), changed, np.concatenate((steps[1:], zero))
    corner = np.concatenate((pivot, np.zeros(n - 2), bottom))
    solved = _tridiagonal(rows, np.concatenate((np.reshape(right, (n, -1)), corner[:, None]), axis=1))
    y, q = solved[:, :-1], solved[:, -1:]
    ratio = top / pivot
    s = np.reshape(y - q * ((y[:1] + ratio * y[-1:]) / (1 + q[:1] + ratio * q[-1:])), right.shape)
    return np.concatenate((s, s[:1]))


def _harmonic_slopes(steps: Any, slopes: Any) -> Any:
    """The slopes of [FB1984], which keep the curve monotone."""
    if slopes.shape[0] == 1:
        return np.concatenate((slopes, slopes))
    wide = _column(steps, slopes)
    h0, h1, m0, m1 = wide[:-1], wide[1:], slopes[:-1], slopes[1:]
    flat = np.logical_or(np.sign(m0) != np.sign(m1), m0 == 0)
    before, behind = 2 * h1 + h0, h1 + 2 * h0
    safe = [np.where(flat, 1.0, m) for m in (m0, m1)]
    inner = np.where(flat, 0.0, (before + behind) / (before / safe[0] + behind / safe[1]))
    ends = [_one_sided(w[0], w[1], m[0], m[1]) for w, m in ((wide, slopes), (wide[::-1], slopes[::-1]))]
    return np.concatenate((ends[0][None], inner, ends[1][None]))


def _one_sided(h0: Any, h1: Any, m0: Any, m1: Any) -> Any:
    d = ((2 * h0 + h1) * m0 - h0 * m1) / (h0 + h1)
    d = np.where(np.logical_and(np.sign(m0) != np.sign(m1), np.abs(d) > 3.0 * np.abs(m0)), 3.0 * m0, d)
    return np.where(np.sign(d) != np.sign(m0), 0.0, d)


# --- polynomials between the knots ------------------------------------------------------------------------------------
def hermite(steps: Any, y: Any, slopes_at_knots: Any) -> Any:
    """The coefficients of the cubics with these values and slopes, the highest power first."""
    wide = _column(steps, y)
    slopes = (y[1:] - y[:-1]) / wide
    bend = (slopes_at_knots[:-1] + slopes_at_knots[1:] - 2 * slopes) / wide
    return np.stack([bend / wide, (slopes - slopes_at_knots[:-1]) / wide - bend, slopes_at_knots[:-1], y[:-1]])


def interval_of(knots: Any, x: Any) -> Any:
    """The number of the interval in which a point lies; beyond the ends the outermost one."""
    return np.clip(np.searchsorted(knots, x, side="right") - 1, 0, knots.shape[0] - 2)


def at_points(c: Any, knots: Any, x: Any, nu: int) -> Any:
    """The derivative of order nu at points: an array of shape (*x.shape, *c.shape[2:])."""
    k = interval_of(knots, x)
    way = _lifted(x - take(knots, k), c.ndim - 2)
    degree = c.shape[0] - 1
    total: Any = np.zeros((*x.shape, *c.shape[2:]))
    for row in range(max(degree - nu + 1, 0)):
        power = degree - row
        total = total * way + take(c[row], k, axis=0) * float(factorial(power) // factorial(power - nu))
    return total


def _lifted(v: Any, n_axes: int) -> Any:
    return np.reshape(v, (*v.shape, *(1,) * n_axes))


class PPoly:
    """A piecewise polynomial: `scipy.interpolate.PPoly` with coefficients, knots and points that may be traced.

    ``c`` has the shape (degree + 1, intervals, ...), the highest power first; ``x`` are the knots. It can be called,
    differentiated and integrated; what SciPy's can do beyond that (roots, and so on) needs plain values.
    """

    def __init__(self, c: Any, x: Any, extrapolate: bool | str | None = None, axis: int = 0) -> None:
        coefficients = as_array(c)
        self._set(np.moveaxis(coefficients, (axis, axis + 1), (0, 1)), as_array(x), extrapolate, axis)

    def _set(self, c: Any, x: Any, extrapolate: bool | str | None, axis: int) -> None:
        self.c, self.x, self.axis = c, x, axis
        self.extrapolate = True if extrapolate is None else extrapolate

    def _like(self, c: Any, extrapolate: bool | str) -> PPoly:
        """Other polynomials between the same knots."""
        other = PPoly.__new__(PPoly)
        other._set(c, self.x, extrapolate, self.axis)
        return other

    def _adopt(self, theirs: Any) -> None:
        self._set(theirs.c, theirs.x, theirs.extrapolate, theirs.axis)

    def _scipys(self) -> Any:
        if isinstance(self.c, Traced) or isinstance(self.x, Traced):
            return None
        return sp.PPoly.construct_fast(self.c, self.x, self.extrapolate, self.axis)

    def __getattr__(self, name: str) -> Any:
        scipys = None if name.startswith("_") or name in ("c", "x") else self._scipys()
        if scipys is None:
            raise AttributeError(
                f"{type(self).__name__} of traced values has no attribute {name!r}: it can be called, and has "
                "derivative, antiderivative and integrate."
            )
        return getattr(scipys, name)

    def __call__(self, x: Any, nu: int = 0, extrapolate: bool | str | None = None) -> Any:
        """The values, or derivatives of order ``nu``, at points of any shape."""
        scipys = None if isinstance(x, Traced) else self._scipys()
        if scipys is not None:
            return scipys(x, nu, extrapolate)
        beyond = self.extrapolate if extrapolate is None else extrapolate
        points = as_array(x) * 1.0
        first, last = self.x[0], self.x[-1]
        if beyond == "periodic":
            points = first + np.remainder(points - first, last - first)
        result = at_points(self.c, self.x, points, nu)
        if not beyond:
            outside = np.logical_or(points < first, points > last)
            result = np.where(_lifted(outside, self.c.ndim - 2), np.nan, result)
        if self.axis:
            own = tuple(range(points.ndim))
            result = np.moveaxis(result, own, [self.axis + k for k in own])
        return result

    def derivative(self, nu: int = 1) -> PPoly:
        """The piecewise polynomial that is the derivative of order ``nu``."""
        if nu < 0:
            return self.antiderivative(-nu)
        degree = self.c.shape[0] - 1
        powers = range(degree, max(nu, 0) - 1, -1)
        rows = [self.c[degree - p] * float(factorial(p) // factorial(p - nu)) for p in powers]
        return self._like(np.stack(rows) if rows else 0.0 * self.c[:1], self.extrapolate)

    def antiderivative(self, nu: int = 1) -> PPoly:
        """The continuous piecewise polynomial, zero at the first knot, of which this is the derivative of order nu."""
        if nu <= 0:
            return self.derivative(-nu)
        degree = self.c.shape[0] - 1
        rows = [self.c[k] / float(degree - k + 1) for k in range(degree + 1)]
        steps = _column(self.x[1:] - self.x[:-1], self.c[0])
        gained: Any = 0.0
        for row in rows:
            gained = (gained + row) * steps
        sums = np.cumsum(gained, axis=0)
        start = np.concatenate((0.0 * sums[:1], sums[:-1]))
        extrapolate = False if self.extrapolate == "periodic" else self.extrapolate
        result = self._like(np.stack([*rows, start]), extrapolate)
        return result if nu == 1 else result.antiderivative(nu - 1)

    def integrate(self, a: Any, b: Any, extrapolate: bool | str | None = None) -> Any:
        """The integral from a to b."""
        scipys = None if isinstance(a, Traced) or isinstance(b, Traced) else self._scipys()
        if scipys is not None:
            return scipys.integrate(a, b, extrapolate)
        beyond = self.extrapolate if extrapolate is None else extrapolate
        if beyond == "periodic":
            raise UnsupportedError(
                "scipy.interpolate: no derivative rule for integrate of a periodic curve. Take the antiderivative, and "
                "add whole periods."
            )
        total = self.antiderivative()
        return total(b, extrapolate=beyond) - total(a, extrapolate=beyond)


def _any_traced(*values: Any) -> bool:
    return any(isinstance(v, Traced) or (isinstance(v, list | tuple) and _any_traced(*v)) for v in values)


def _through(x: Any, y: Any, axis: int, name: str) -> tuple[Any, Any, Any, int]:
    """Knots, their distances, and the values with the axis of the knots first."""
    knots, values = as_array(x) * 1.0, as_array(y) * 1.0
    along = axis_of(axis, values.ndim)
    values = np.moveaxis(values, along, 0)
    if knots.ndim != 1 or knots.shape[0] < 2 or values.shape[0] != knots.shape[0]:
        raise ValueError(f"{name}: x must be one-dimensional, with at least 2 elements, one for each of y along axis")
    steps = knots[1:] - knots[:-1]
    known = primal(steps)
    if not isinstance(known, ArrayType) and not np.all(np.asarray(known) > 0):
        raise ValueError(f"{name}: x must be a strictly increasing sequence")
    return knots, steps, values, along


class CubicSpline(PPoly):
    """`scipy.interpolate.CubicSpline`: twice differentiable, through points that may be traced.

    ``bc_type`` is SciPy's: "not-a-knot", "periodic", "clamped", "natural", or two of these or of (order, value). The
    arguments of the call and the knots may be traced too.

    >>> import unspool
    >>> x = np.arange(4.0)
    >>> unspool.grad(lambda y: CubicSpline(x, y)(1.5))(x**2).round(4)
    array([-0.0625,  0.5625,  0.5625, -0.0625])
    """

    def __init__(
        self, x: Any, y: Any, axis: int = 0, bc_type: Any = "not-a-knot", extrapolate: bool | str | None = None
    ) -> None:
        if not _any_traced(x, y, bc_type):
            self._adopt(sp.CubicSpline(x, y, axis, bc_type, extrapolate))
            return
        knots, steps, values, along = _through(x, y, axis, "scipy.interpolate.CubicSpline")
        conditions = _conditions(bc_type, values)
        slopes = (values[1:] - values[:-1]) / _column(steps, values)
        periodic = conditions[0] == "periodic"
        solve = _periodic_slopes(steps, slopes) if periodic else _natural_slopes(steps, slopes, conditions)
        beyond = ("periodic" if periodic else True) if extrapolate is None else extrapolate
        self._set(hermite(steps, values, solve), knots, beyond, along)


def _conditions(bc_type: Any, values: Any) -> list[Any]:
    if isinstance(bc_type, str):
        known = primal(values)
        if bc_type == "periodic" and not isinstance(known, ArrayType):
            ends = np.asarray(known)[[0, -1]]
            if not np.allclose(ends[0], ends[1], rtol=1e-15, atol=1e-15):
                raise ValueError("The first and last `y` point must be identical when bc_type='periodic'.")
        bc_type = (bc_type, bc_type)
    elif len(bc_type) != 2 or any(isinstance(c, str) and c == "periodic" for c in bc_type):
        raise ValueError("bc_type: give one condition for each end; 'periodic' stands for both")
    named = {"clamped": (1, 0.0), "natural": (2, 0.0), "not-a-knot": "not-a-knot", "periodic": "periodic"}
    conditions = []
    for condition in bc_type:
        if isinstance(condition, str):
            if condition not in named:
                raise ValueError(f"bc_type={condition} is not allowed.")
            conditions.append(named[condition])
            continue
        order, value = condition
        if order not in (1, 2) or np.shape(value) != values.shape[1:]:
            raise ValueError(f"bc_type: the order must be 1 or 2, and the value of shape {values.shape[1:]}")
        conditions.append((order, value))
    return conditions


class CubicHermiteSpline(PPoly):
    """`scipy.interpolate.CubicHermiteSpline`: through points with given slopes, all of which may be traced."""

    def __init__(self, x: Any, y: Any, dydx: Any, axis: int = 0, extrapolate: bool | str | None = None) -> None:
        if not _any_traced(x, y, dydx):
            self._adopt(sp.CubicHermiteSpline(x, y, dydx, axis, extrapolate))
            return
        name = "scipy.interpolate.CubicHermiteSpline"
        knots, steps, values, along = _through(x, y, axis, name)
        slopes = np.moveaxis(as_array(dydx) * 1.0, along, 0)
        if slopes.shape != values.shape:
            raise ValueError(f"{name}: dydx has the shape {slopes.shape} and y {values.shape}; they must be the same")
        self._set(hermite(steps, values, slopes), knots, extrapolate, along)


class PchipInterpolator(PPoly):
    """`scipy.interpolate.PchipInterpolator`: monotone where the points are, which may be traced."""

    def __init__(self, x: Any, y: Any, axis: int = 0, extrapolate: bool | None = None) -> None:
        if not _any_traced(x, y):
            self._adopt(sp.PchipInterpolator(x, y, axis, extrapolate))
            return
        knots, steps, values, along = _through(x, y, axis, "scipy.interpolate.PchipInterpolator")
        slopes = (values[1:] - values[:-1]) / _column(steps, values)
        self._set(hermite(steps, values, _harmonic_slopes(steps, slopes)), knots, extrapolate, along)


for _theirs, _ours in (
    (sp.PPoly, PPoly),
    (sp.CubicSpline, CubicSpline),
    (sp.CubicHermiteSpline, CubicHermiteSpline),
    (sp.PchipInterpolator, PchipInterpolator),
):
    enrol_class(_theirs, _ours)

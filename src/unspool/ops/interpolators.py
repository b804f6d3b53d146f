"""scipy.interpolate and scipy.ndimage on regular grids, under SciPy's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.interpolate

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced
from unspool.ops.grids import ascending, coordinates, on_grid, plain_nodes, refuse_outside
from unspool.ops.shape import as_array
from unspool.ops.table import enrol_class, implements

sp: Any = scipy.interpolate
_METHODS = ("linear", "nearest")


class RegularGridInterpolator:
    """`scipy.interpolate.RegularGridInterpolator`, whose values and points may be traced; the nodes are plain.

    Methods "linear" and "nearest"; the others raise `UnsupportedError` on traced values. Without traced values it is
    SciPy's. A point outside of the grid raises ValueError, or with ``bounds_error=False`` gives ``fill_value``, or the
    extrapolation where that is None.

    >>> import unspool
    >>> def f(values, x):
    ...     return RegularGridInterpolator((np.arange(3.0),), values)(x[:, None])[0]
    >>> unspool.grad(f)(np.array([1.0, 2.0, 5.0]), np.array([1.25]))
    array([0.  , 0.75, 0.25])
    """

    def __init__(
        self,
        points: Sequence[Any],
        values: Any,
        method: str = "linear",
        bounds_error: bool = True,
        fill_value: Any = np.nan,
        **solver: Any,
    ) -> None:
        name = "scipy.interpolate.RegularGridInterpolator"
        nodes = plain_nodes(points, name)
        self._scipys = None
        if not isinstance(values, Traced) and not isinstance(fill_value, Traced):
            given = np.array(values)  # its own copy: the user's array may be written later
            self._scipys = sp.RegularGridInterpolator(tuple(nodes), given, method, bounds_error, fill_value, **solver)
            values = given
        elif solver:
            raise UnsupportedError(f"{name}: solver= is not supported on a traced value. Leave it out.")
        array = as_array(values)
        if len(nodes) > array.ndim or any(p.size != n for p, n in zip(nodes, array.shape, strict=False)):
            raise ValueError(f"There are {[p.size for p in nodes]} points and values of shape {array.shape}")
        self._nodes, self._values = ascending(nodes, array if array.dtype.kind in "fc" else np.astype(array, float))
        self.method = method
        self.bounds_error = bounds_error
        self.fill_value = fill_value

    @property
    def grid(self) -> tuple[np.ndarray, ...]:
        """The nodes along each axis, ascending."""
        return tuple(self._nodes)

    @property
    def values(self) -> Any:
        """The values at the nodes."""
        return self._values

    def __call__(self, xi: Any, method: str | None = None, *, nu: Any = None) -> Any:
        """The values at points: an array of shape (..., d), or d arrays that broadcast."""
        chosen = self.method if method is None else method
        if self._scipys is not None and not _any_traced(xi):
            return self._scipys(xi, method) if nu is None else self._scipys(xi, method, nu=nu)
        if chosen not in _METHODS or nu is not None:
            what = f"method={chosen!r}" if nu is None else "nu="
            raise UnsupportedError(
                f"scipy.interpolate.RegularGridInterpolator: no derivative rule for {what} on a traced value (methods "
                f"with a rule: {', '.join(_METHODS)}). For smooth curves use unspool.scipy.interpolate.CubicSpline."
            )
        xs = coordinates(xi, len(self._nodes))
        if self.bounds_error:
            refuse_outside(self._nodes, xs)
        fill_value = None if self.bounds_error else self.fill_value
        return on_grid(self._nodes, self._values, xs, method=chosen, fill_value=fill_value)


def _any_traced(xi: Any) -> bool:
    return isinstance(xi, Traced) or (isinstance(xi, list | tuple) and any(map(_any_traced, xi)))


enrol_class(sp.RegularGridInterpolator, RegularGridInterpolator)


@implements(sp.interpn)
def _interpn(  # noqa: PLR0917 - SciPy's signature
    points: Sequence[Any],
    values: Any,
    xi: Any,
    method: str = "linear",
    bounds_error: bool = True,
    fill_value: Any = np.nan,
) -> Any:
    """Methods "linear" and "nearest"; the nodes are plain."""
    return RegularGridInterpolator(points, values, method, bounds_error, fill_value)(xi)

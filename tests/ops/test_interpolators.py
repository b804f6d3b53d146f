"""Values on regular grids: values and points that are differentiated, borders, refusals, SciPy's values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.interpolate as sp

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import DetachedError, UnsupportedError
from unspool.layout import ArrayType
from unspool.scipy import interpolate
from unspool.tracer import trace

GRID = (np.array([0.0, 0.5, 2.0]), np.array([3.0, 2.0, 0.5, 0.0]))  # the second one descends
VALUES = some(3, 4)
POINTS = np.array([[0.1, 0.2], [0.7, 2.6], [1.9, 1.1], [0.5001, 2.9]])


def looked_up(values: Any, points: Any, **how: Any) -> Any:
    return interpolate.RegularGridInterpolator(GRID, values, **how)(points)


@pytest.mark.parametrize("method", ["linear", "nearest"])
def test_values_and_points(method: str) -> None:
    for values in (VALUES, some(3, 4, 2), complex_some(3, 4)):
        agrees(lambda v, p: looked_up(v, p, method=method), values, POINTS, exact=False)
        agrees(lambda v: looked_up(v, POINTS, method=method), values, exact=False)
        found = unspool.vjp(lambda v: looked_up(v, POINTS, method=method), values)[0]
        np.testing.assert_allclose(found, sp.RegularGridInterpolator(GRID, values, method)(POINTS), atol=1e-14)
    agrees(lambda p: looked_up(VALUES, p, method=method), POINTS, exact=False)
    agrees(lambda v, p: interpolate.RegularGridInterpolator(GRID, v)(p, method), VALUES, POINTS[0], exact=False)


def test_points_in_other_forms() -> None:
    agrees(lambda x, y: looked_up(VALUES, (x, y)), POINTS[:, :1], POINTS[:2, 1], exact=False)
    agrees(lambda x: looked_up(VALUES, (x, 1.0)), 0.7, exact=False)
    agrees(lambda x: looked_up(VALUES, [x, 1.0]), 0.7, exact=False)
    line = interpolate.RegularGridInterpolator((GRID[0],), VALUES[:, 0])
    agrees(line, POINTS[:, 0], exact=False)
    agrees(line, POINTS[:, :1], exact=False)
    with pytest.raises(ValueError, match="dimension 2"):
        unspool.vjp(line, POINTS)
    single = interpolate.RegularGridInterpolator((GRID[0], [1.0]), VALUES[:, :1])
    agrees(lambda x: single((x, 1.0)), 0.7, exact=False)


def test_outside() -> None:
    outside = np.array([[-1.0, 1.0], [0.7, 9.0], [1.0, 1.0], [np.nan, 1.0]])
    with pytest.raises(ValueError, match="out of bounds in dimension 0"):
        unspool.vjp(lambda v: looked_up(v, outside), VALUES)
    for fill in (np.nan, 5.0, None):
        how = {"bounds_error": False, "fill_value": fill}
        for method in ("linear", "nearest"):
            found = unspool.vjp(lambda v: looked_up(v, outside, method=method, **how), VALUES)[0]
            expected = sp.RegularGridInterpolator(GRID, VALUES, method, **how)(outside)
            np.testing.assert_allclose(found, expected, atol=1e-14)
        agrees(lambda v, p: looked_up(v, p, **how), VALUES, outside[2:3], exact=False)
    agrees(lambda p: looked_up(VALUES, p, bounds_error=False, fill_value=None), outside[:3], exact=False)


def test_at_nodes_the_derivative_is_that_of_one_interval() -> None:
    line = interpolate.RegularGridInterpolator((np.arange(3.0),), np.array([0.0, 1.0, 5.0]))
    gradient = unspool.grad(lambda x: np.sum(line(x)))
    np.testing.assert_array_equal(gradient(np.array([0.0, 1.0, 2.0])), [1.0, 4.0, 4.0])


def test_interpn() -> None:
    agrees(lambda v, p: interpolate.interpn(GRID, v, p), VALUES, POINTS, exact=False)
    agrees(lambda p: interpolate.interpn(GRID, VALUES, p, "nearest", False, None), POINTS, exact=False)


def test_without_traced_values_it_is_scipys() -> None:
    for method in ("linear", "cubic"):
        grid = (np.arange(5.0), np.arange(6.0))
        ours = interpolate.RegularGridInterpolator(grid, some(5, 6), method)
        np.testing.assert_array_equal(ours(POINTS), sp.RegularGridInterpolator(grid, some(5, 6), method)(POINTS))
    assert [p.tolist() for p in ours.grid] == [p.tolist() for p in grid]
    np.testing.assert_array_equal(ours.values, some(5, 6))


def test_a_later_write_into_the_values_is_not_seen() -> None:
    mine = VALUES.copy()
    table = interpolate.RegularGridInterpolator(GRID, mine)
    before = table(POINTS)
    mine[:] = np.nan
    np.testing.assert_array_equal(table(POINTS), before)


def test_refusals() -> None:
    with pytest.raises(UnsupportedError, match="method='cubic'"):
        unspool.vjp(lambda v: looked_up(v, POINTS, method="cubic"), VALUES)
    with pytest.raises(UnsupportedError, match="nu="):
        unspool.vjp(lambda v: interpolate.RegularGridInterpolator(GRID, v)(POINTS, nu=(1, 0)), VALUES)
    with pytest.raises(UnsupportedError, match="nodes of the grid"):
        unspool.vjp(lambda x: interpolate.RegularGridInterpolator((x,), np.arange(3.0)), GRID[0])
    with pytest.raises(UnsupportedError, match="solver="):
        unspool.vjp(lambda v: interpolate.RegularGridInterpolator(GRID, v, solver=None), VALUES)
    for grid in ((np.zeros(3), GRID[1]), (np.zeros((3, 1)), GRID[1]), (GRID[0][:2], GRID[1]), (*GRID, GRID[0])):
        with pytest.raises(ValueError):
            unspool.vjp(lambda v, g=grid: interpolate.RegularGridInterpolator(g, v), VALUES)


def test_in_a_program() -> None:
    types = ArrayType.of(VALUES), ArrayType.of(POINTS)
    program = trace(lambda v, p: looked_up(v, p, bounds_error=False, fill_value=None), *types)
    assert program.equations
    with pytest.raises((UnsupportedError, DetachedError), match="bounds_error=False"):
        trace(looked_up, *types)

"""Forward mode pays per input, reverse mode per result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.test_table import cells
from unspool.diagnostics import jacobian_costs
from unspool.diagnostics.costs import JacobianCost, JacobianCosts
from unspool.errors import InputError


def layer(n: int, m: int) -> tuple[Callable[[Any], Any], Any]:
    matrix = np.linspace(-1, 1, n * m).reshape(m, n)
    return (lambda x: np.tanh(matrix @ x)), np.linspace(0, 1, n)


def test_operations_grow_with_inputs_or_with_results() -> None:
    found = {(c.n, c.m): c for c in jacobian_costs(layer, n=[1, 2, 8], m=[1, 2, 8]).costs}
    assert len(found) == 9
    per_input = found[2, 1].forward_operations - found[1, 1].forward_operations
    per_result = found[1, 2].reverse_operations - found[1, 1].reverse_operations
    for (n, m), cost in found.items():
        assert cost.forward_operations == found[1, 1].forward_operations + (n - 1) * per_input
        assert cost.reverse_operations == found[1, 1].reverse_operations + (m - 1) * per_result
        assert cost.forward_seconds > 0 < cost.reverse_seconds


def costs(n: int, reverse: list[tuple[int, float]]) -> tuple[JacobianCost, ...]:
    return tuple([JacobianCost(n, m, 100, round(100 * r), 1.0, r) for m, r in reverse])


def test_the_crossover_lies_where_the_costs_are_equal() -> None:
    found = JacobianCosts((*costs(4, [(16, 4.0), (1, 0.25), (4, 0.5)]), *costs(8, [(1, 2.0), (2, 3.0)])))
    crossover = found.crossover(4, "seconds")
    assert crossover == pytest.approx(4 * 4 ** (1 / 3))  # log 0.5 to log 4: zero at a third of the way from 4 to 16
    assert found.crossover(4) == pytest.approx(crossover)
    assert found.crossover(8) is None
    assert "n = 4: both modes cost the same at m = 6.35 by operations, m = 6.35 by seconds" in str(found)
    assert "n = 8: both" not in str(found)
    with pytest.raises(InputError, match=r"no costs for n=5; there are costs for \[4, 8\]"):
        found.crossover(5)
    with pytest.raises(InputError, match='by "operations" or by "seconds"'):
        found.crossover(4, "bytes")


def test_it_shows_itself() -> None:
    found = JacobianCosts((*costs(4, [(1, 0.25), (4, 2.0)]), *costs(8, [(1, 2.0), (2, 3.0)])))
    rows = cells(found.table._repr_html_())
    assert [row[-1] for row in rows] == ["cheaper", "reverse", "forward", "forward", "forward"]
    figure = Figure()
    found.draw(figure)
    assert len(figure.axes[0].lines) == 5  # two modes for two n, and one crossover


def test_sizes_are_checked() -> None:
    with pytest.raises(InputError, match=r"make\(2, 3\) made a function of 2 numbers with 1 results"):
        jacobian_costs(lambda n, m: (np.sum, np.ones(n)), n=[2], m=[3])

"""The formula swells, the derivative does not."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.test_table import cells
from unspool.diagnostics import expression_swell
from unspool.errors import PolicyError


def logistic(x: Any) -> Any:
    return 4 * x * (1 - x)


def test_the_logistic_map() -> None:
    found = expression_swell(logistic, 6)
    assert [line.iterations for line in found.lines] == [1, 2, 3, 4, 5, 6]
    assert [line.reverse for line in found.lines] == [8 * n for n in range(1, 7)]
    lengths = [line.derivative for line in found.lines]
    assert all(b > 2.5 * a for a, b in pairwise(lengths))
    assert [line.value for line in found.lines] == [3 * 2**n - 2 for n in range(1, 7)]
    assert all(line.distinct <= line.derivative for line in found.lines)
    degrees = [2**n for n in range(1, 6)]  # multiplied out, a polynomial of degree 2^n - 1
    assert all(
        line.expanded is not None and line.expanded > d / 2 for line, d in zip(found.lines, degrees, strict=False)
    )
    assert found.lines[5].expanded is None


def test_it_stops_before_it_takes_minutes() -> None:
    found = expression_swell(logistic, 1000)
    assert 9 <= len(found.lines) < 12
    assert found.lines[-1].derivative > 10**5


def test_a_function_that_does_not_swell() -> None:
    found = expression_swell(lambda x: x + 1, 5)
    assert [line.derivative for line in found.lines] == [0] * 5


def test_it_shows_itself() -> None:
    found = expression_swell(logistic, 6)
    rows = cells(found._repr_html_())
    assert rows[0] == ["iterations", "value", "derivative", "multiplied out", "different parts", "reverse mode"]
    assert rows[6][3] == "too long"
    assert len(found.markdown().splitlines()) == 10
    assert str(found).splitlines()[0] == "Operations of the formulas of logistic, and of reverse mode:"


def test_iterations_are_at_least_one() -> None:
    with pytest.raises(PolicyError, match="iterations is 0"):
        expression_swell(np.sin, 0)

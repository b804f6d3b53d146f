"""Trace tables end where the derivatives are, and every line is right by itself."""

from __future__ import annotations

import itertools
from typing import Any
from unicodedata import normalize

import numpy as np
import pytest

import unspool
from tests.test_table import cells
from unspool.diagnostics.traces import TraceTable, trace_table
from unspool.errors import InputError, ReplayError


def textbook(x1: Any, x2: Any) -> Any:
    return np.log(x1) + x1 * x2 - np.sin(x2)


def columns(table: TraceTable) -> list[tuple[str, float, str, float]]:
    """The lines, without the marks above the letters."""
    return [
        (
            line.name,
            float(line.value),
            normalize("NFD", line.derivative_formula).translate({0x307: None, 0x304: None}),
            float(line.derivative),
        )
        for line in table.lines
    ]


def test_the_tangent_trace_of_the_textbook() -> None:
    table = trace_table(textbook)(2.0, 5.0, mode="forward")
    assert table.result == 5.5
    log, sin, cos = np.log(2.0), np.sin(5.0), np.cos(5.0)
    expected = [
        ("v₋₁", 2.0, "", 1.0),
        ("v₀", 5.0, "", 0.0),
        ("v₁", log, "0.5·v₋₁", 0.5),
        ("v₂", 10.0, "5·v₋₁ + 2·v₀", 5.0),
        ("v₃", log + 10, "v₁ + v₂", 5.5),
        ("v₄", sin, f"{cos:.4g}·v₀", 0.0),
        ("v₅", log + 10 - sin, "v₃ - v₄", 5.5),
        ("y", log + 10 - sin, "v₅", 5.5),
    ]
    assert columns(table) == expected
    assert str(table).splitlines()[-1] == "In the direction (1, 0) the tangent of the result is 5.5."


def test_the_adjoint_trace_of_the_textbook() -> None:
    table = trace_table(textbook)(2.0, 5.0)
    assert table.result == pytest.approx((5.5, 2 - np.cos(5.0)), rel=1e-15)
    assert [line[2:] for line in columns(table)] == [
        ("v₂·5 + v₁·0.5", 5.5),
        ("v₄·0.2837 + v₂·2", pytest.approx(1.7163378145367738, rel=1e-15)),
        ("v₃", 1.0),
        ("v₃", 1.0),
        ("v₅", 1.0),
        ("-v₅", -1.0),
        ("y", 1.0),
        ("", 1.0),
    ]
    assert [line.formula for line in table.lines] == [
        "x1",
        "x2",
        "log(v₋₁)",
        "v₋₁·v₀",
        "v₁ + v₂",
        "sin(v₀)",
        "v₃ - v₄",
        "v₅",
    ]
    assert str(table).splitlines()[-1] == "The derivative with respect to (x1, x2) is (5.5, 1.716)."


def test_three_ways_to_show_it_say_the_same() -> None:
    table = trace_table(textbook)(2.0, 5.0)
    rows = [list(line.cells) for line in table.lines]
    assert cells(table._repr_html_())[1:] == rows
    markdown = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.markdown().splitlines()]
    assert markdown[2 : 2 + len(rows)] == rows
    assert str(table).count("\n") == len(rows) + 1


def network(w: Any, x: Any) -> Any:
    h = np.tanh(w @ x)
    h[0] = h[1] * x[0]
    return np.sum(h**2) / x[1]


NETWORK = np.linspace(-1.0, 1.0, 6).reshape(3, 2), np.array([0.3, 2.0])


def test_arrays_end_at_the_gradient_and_at_the_directional_derivative() -> None:
    reverse = trace_table(network)(*NETWORK)
    for adjoint, gradient in zip(reverse.result, unspool.grad(network, (0, 1))(*NETWORK), strict=True):
        np.testing.assert_array_equal(adjoint, gradient)
    direction = np.ones((3, 2)), np.array([0.0, -1.0])
    forward = trace_table(network)(*NETWORK, mode="forward", tangents=direction)
    assert forward.result == unspool.jvp(network, NETWORK, direction)[1]
    assert "∂v" in str(forward)


def test_without_a_direction_the_first_number_moves() -> None:
    first = np.zeros((3, 2))
    first[0, 0] = 1.0
    expected = unspool.jvp(network, NETWORK, (first, np.zeros(2)))[1]
    assert trace_table(network)(*NETWORK, mode="forward").result == expected


def test_the_tangent_of_every_line_follows_from_those_before() -> None:
    """<partials, tangents> along the edges: the two runs, on the tape and in forward mode, see the same operations."""

    def f(x: Any, y: Any) -> Any:
        a = np.exp(x) / y
        b = np.hypot(a, y) - a * a
        return np.maximum(a, b) ** 3 * -1.0

    table = trace_table(f)(0.3, 1.2, mode="forward", tangents=(0.4, -2.0))
    values = {line.name: line.derivative for line in table.lines}
    checked = 0
    for name, _, formula, derivative in columns(table)[2:-1]:
        total = 0.0
        for sign, term in zip(*_signed(formula), strict=True):
            factor, _, other = term.rpartition("·")
            total += sign * float(factor or 1) * values[other]
        assert total == pytest.approx(derivative, rel=3e-3), name
        checked += 1
    assert checked >= 7


def _signed(formula: str) -> tuple[list[int], list[str]]:
    words = formula.removeprefix("-").split(" ")
    signs = [-1 if formula[0] == "-" else 1] + [-1 if word == "-" else 1 for word in words[1::2]]
    return signs, words[::2]


def test_several_results_are_for_forward_mode() -> None:
    def f(x: Any) -> Any:
        return {"a": x * x, "b": (x, 1.0)}

    table = trace_table(f)(3.0, mode="forward")
    assert table.result == (6.0, 1.0)
    assert [line.name for line in table.lines] == ["v₀", "v₁", "y₁", "y₂"]
    with pytest.raises(InputError, match=r'something else than one real number .*mode="forward"'):
        trace_table(f)(3.0)


def test_a_loop_is_one_line() -> None:
    def f(x: Any) -> Any:
        return unspool.fori_loop(0, 3, lambda i, u: u * x, x, policy="revolve-1")

    assert trace_table(f)(2.0).result == (32.0,)
    assert trace_table(f)(2.0, mode="forward").result == 32.0
    assert [line.name for line in trace_table(f)(2.0).lines] == ["v₀", "v₁", "y"]


def test_a_function_that_does_not_repeat_itself_is_found_out() -> None:
    calls = itertools.count()

    def f(x: Any) -> Any:
        return np.sin(x) if next(calls) == 0 else np.cos(x)

    with pytest.raises(ReplayError, match=r"f computed sin as its operation 0 \(at test_traces.py:\d+\) .* and cos"):
        trace_table(f)(1.0, mode="forward")


def test_modes_and_directions_are_checked() -> None:
    with pytest.raises(InputError, match='has the mode "forward" or "reverse"'):
        trace_table(textbook)(2.0, 5.0, mode="backward")
    with pytest.raises(InputError, match="the adjoint of the result is 1"):
        trace_table(textbook)(2.0, 5.0, tangents=(1.0, 0.0))
    with pytest.raises(InputError, match="tangents has the structure"):
        trace_table(textbook)(2.0, 5.0, mode="forward", tangents=(1.0,))


def test_a_long_trace_is_shown_in_part() -> None:
    def f(x: Any) -> Any:
        for _ in range(1000):
            x = np.negative(x)
        return x

    table = trace_table(f)(1.0)
    assert len(table.lines) == 1002
    assert "802 more" in str(table)
    assert str(table).count("\n") < 205

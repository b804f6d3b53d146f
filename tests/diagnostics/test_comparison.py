"""Every way to a derivative arrives at the same, as far as it can."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import unspool
from tests.test_table import cells
from unspool.diagnostics import derivatives_compared, n_operations
from unspool.errors import InputError, UnsupportedError

EPS = np.finfo(float).eps


def logistic(x: Any) -> Any:
    for _ in range(3):
        x = 4 * x * (1 - x)
    return x


def slope(x: float) -> float:
    """Of three iterations, by the chain rule."""
    total = 1.0
    for _ in range(3):
        total, x = total * 4 * (1 - 2 * x), 4 * x * (1 - x)
    return total


def test_all_methods_agree_within_their_errors() -> None:
    found = derivatives_compared(logistic, 0.3)
    assert found.value == logistic(0.3)
    bounds = {
        "forward differences": 1e-5,
        "central differences": 1e-7,
        "symbolic": 1e-14,
        "forward mode": 1e-14,
        "reverse mode": 1e-14,
    }
    assert [method.name for method in found.methods] == list(bounds)
    for method in found.methods:
        assert method.derivative == pytest.approx(slope(0.3), rel=bounds[method.name])
        assert method.error == pytest.approx(abs(method.derivative / slope(0.3) - 1), abs=1e-14)
        assert method.seconds is not None
        assert method.seconds > 0
    assert found.reference == "the formula with 30 digits"


def test_operations_are_those_that_are_carried_out() -> None:
    found = derivatives_compared(logistic, 0.3)
    assert n_operations(logistic, 0.3) == 9
    assert found["forward differences"].operations == 18
    assert found["central differences"].operations == 18
    assert found["reverse mode"].operations == n_operations(unspool.grad(logistic), 0.3)
    assert found["symbolic"].operations == 98  # of a function of nine operations: the expression has swollen


def norm_of_waves(x: Any) -> Any:
    waves = np.sin(x[1:]) * x[:-1]
    return np.sum(waves**2) / np.linalg.norm(x)


def test_arrays() -> None:
    x = np.linspace(0.3, 1.2, 5)
    found = derivatives_compared(norm_of_waves, x)
    gradient = unspool.grad(norm_of_waves)(x)
    for method in found.methods:
        assert method.derivative.shape == (5,)
        np.testing.assert_allclose(method.derivative, gradient, rtol=1e-5)
    assert found["forward mode"].operations == 5 * n_operations(
        lambda x: unspool.jvp(norm_of_waves, (x,), (np.eye(5)[0],)), x
    )


def test_errors_of_differences_follow_truncation_and_rounding() -> None:
    def f(x: Any) -> Any:
        return np.exp(x) * np.sin(x)

    errors = derivatives_compared(f, 0.7).differences
    assert errors.h[0] == 0.1
    assert errors.h[-1] == 1e-15
    first = np.exp(0.7) * (np.sin(0.7) + np.cos(0.7))
    second = 2 * np.exp(0.7) * np.cos(0.7)
    third = 2 * np.exp(0.7) * (np.cos(0.7) - np.sin(0.7))
    for k, h in enumerate(errors.h):
        assert errors.truncation_forward[k] == pytest.approx(h / 2 * abs(second / first), rel=1e-12)
        assert errors.truncation_central[k] == pytest.approx(h**2 / 6 * abs(third / first), rel=1e-12)
        assert errors.rounding[k] == pytest.approx(EPS * (f(0.7) + 0.7 * first) / h / first, rel=1e-12)
    forward, central = np.array(errors.forward), np.array(errors.central)
    np.testing.assert_allclose(forward[1:6], errors.truncation_forward[1:6], rtol=0.05)
    np.testing.assert_allclose(central[1:4], errors.truncation_central[1:4], rtol=0.05)
    assert np.all(forward[9:] < 4 * np.array(errors.rounding[9:]))
    assert np.all(central[7:] < 4 * np.array(errors.rounding[7:]))
    assert 6 <= np.argmin(forward) + 1 <= 10
    assert 4 <= np.argmin(central) + 1 <= 7


def test_what_has_no_formula_says_why() -> None:
    def looping(x: Any) -> Any:
        return unspool.fori_loop(0, 3, lambda i, u: np.sin(u), x, policy="none")

    found = derivatives_compared(looping, 0.5)
    assert found["symbolic"].derivative is None
    assert "fori_loop" in found["symbolic"].why
    assert found.reference == "reverse mode"
    assert found["reverse mode"].error == 0.0
    assert "fori_loop" in str(found)

    def long(x: Any) -> Any:
        for _ in range(40):
            x = 4 * x * (1 - x)
        return x

    assert derivatives_compared(long, 0.3)["symbolic"].why == "not derived: the expression has 3.3e+12 operations"

    def deep(x: Any) -> Any:
        for _ in range(2000):
            x = np.sin(x)
        return x

    assert "nested too deeply" in derivatives_compared(deep, 0.3)["symbolic"].why


def test_a_branch_that_was_taken_is_the_formula() -> None:
    def f(x: Any) -> Any:
        return np.where(x > 0, x * x, -x) if x < 10 else x

    assert derivatives_compared(f, 3.0)["symbolic"].derivative == 6.0
    assert derivatives_compared(f, -3.0)["symbolic"].derivative == -1.0


def test_it_shows_itself() -> None:
    found = derivatives_compared(logistic, 0.3)
    text = str(found)
    assert "logistic = " in text.splitlines()[0]
    assert text.count("\n1e-") == 15
    assert found.markdown().count("\n| ---") == 2
    html = found._repr_html_()
    table, svg = html[: html.index("<svg")], html[html.index("<svg") :]
    assert [row[0] for row in cells(table)[1:]] == [method.name for method in found.methods]
    assert ET.fromstring(svg).tag.endswith("svg")
    figure = Figure()
    found.differences.draw(figure)
    assert len(figure.axes[0].lines) == 5


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="x is complex"):
        derivatives_compared(abs, 1j)
    with pytest.raises(InputError, match="not one number"):
        derivatives_compared(lambda x: x * 2, np.ones(2))
    with pytest.raises(InputError, match="integers"):
        derivatives_compared(lambda x: x * 2, 3)


def test_without_sympy() -> None:
    code = """
import sys
sys.modules["sympy"] = None
from unspool.diagnostics import derivatives_compared, expression_swell
found = derivatives_compared(lambda x: x * x, 0.5)
assert found["symbolic"].why == "SymPy is not installed: pip install 'unspool[sympy]'"
assert found.reference == "reverse mode"
assert "SymPy is not installed" in str(found)
expression_swell(lambda x: x * x, 2)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith("ImportError: unspool.interop.sympy makes formulas")
    assert "pip install 'unspool[sympy]'" in done.stderr

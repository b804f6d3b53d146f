"""Formulas compute what the programs compute, and their derivatives what the tape does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import sympy

import unspool
from unspool.diagnostics.recorded import record
from unspool.errors import InputError, UnsupportedError
from unspool.interop.sympy import (
    as_function,
    derivatives,
    exact,
    n_distinct,
    n_operations,
    symbols,
    to_sympy,
    values_of,
)
from unspool.ops import PRIMITIVES
from unspool.ops.samples import some

ELEMENTWISE = """
    add subtract multiply divide power float_power negative positive square reciprocal sqrt cbrt hypot absolute fabs exp
    exp2 expm1 log log2 log10 log1p logaddexp sin cos tan arcsin arccos arctan arctan2 sinh cosh tanh arcsinh arccosh
    arctanh sinc deg2rad radians rad2deg degrees maximum minimum
""".split()  # noqa: SIM905 - a list of names reads as text


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_every_elementary_function_has_its_formula(name: str) -> None:
    function = getattr(np, name)
    n = 1 if name == "sinc" else function.nin
    at = [0.55, 0.35][:n] if name != "arccosh" else [1.7]
    program = record(function, at).program()
    names = symbols(2)[:n]
    (value,) = to_sympy(program, *names)
    assert values_of([value], names, at) == pytest.approx([function(*at)], rel=1e-14)
    gradient = unspool.grad(function, tuple(range(n)))(*at)
    assert values_of(derivatives(value, names), names, at) == pytest.approx(gradient, rel=1e-13)
    assert as_function(names, [value])(*at) == pytest.approx([function(*at)], rel=1e-13)


def moved(x: Any) -> Any:
    u = np.stack([x[0], x[1:].sum(), np.prod(x)])
    u[1] = u[0] * 2.0
    w = np.concatenate([u, np.roll(x, 1)])[::-1].reshape(2, 3).T
    return np.einsum("ij,kj->ik", w, w) @ np.array([1.0, 0.5, 0.1]) + np.max(x) - np.cumsum(u)


def test_what_moves_and_adds_is_done_on_symbols() -> None:
    x = some(3)
    program = record(moved, (x,)).program()
    names = symbols(3)
    (values,) = to_sympy(program, names)
    assert values.shape == (3,)
    at = x.tolist()
    assert values_of(values, names, at) == pytest.approx(moved(x).tolist(), rel=1e-13)
    jacobian = unspool.jacobian(moved)(x)
    for row, value in zip(jacobian, values, strict=True):
        assert values_of(derivatives(value, names), names, at) == pytest.approx(row.tolist(), rel=1e-12)


def test_constants_are_exact() -> None:
    assert exact(3.0) == 3
    assert exact(0.25) == sympy.Rational(1, 4)
    assert exact(0.1) == sympy.Float(0.1, 40)
    assert abs(exact(0.1) - sympy.Rational(*(0.1).as_integer_ratio())) < 1e-35
    assert exact(1 - 2j) == 1 - 2 * sympy.I
    assert (exact(-math.inf), exact(math.inf)) == (-sympy.oo, sympy.oo)
    assert exact(math.nan) is sympy.nan

    program = record(lambda x: x * np.array([2.0, 0.1]) + np.where(x > 0, 1.0, x), (np.array([1.0, -1.0]),)).program()
    (value,) = to_sympy(program, symbols(2))
    x0, x1 = symbols(2)
    assert value[0] == 2 * x0 + 1
    assert sympy.simplify(value[1] - (exact(0.1) + 1) * x1) == 0


def test_lengths_count_what_is_written_and_what_is_different() -> None:
    x, y = sympy.symbols("x y")
    assert n_operations(x) == 0
    assert n_operations(x + y + 2) == 2
    assert n_operations(2 * x * y) == 2
    assert n_operations(x**2, sympy.sin(x)) == 2
    square = (x + y) ** 2
    assert (n_operations(square + sympy.exp(square)), n_distinct(square + sympy.exp(square))) == (6, 4)
    doubled: Any = x
    for _ in range(60):  # 2^60 operations are counted, for they are few different ones
        doubled = sympy.sin(doubled) * sympy.cos(doubled)
    assert n_operations(doubled) == 3 * (2**60 - 1)
    assert n_distinct(doubled) == 180


def test_what_has_no_formula_is_refused_by_name() -> None:
    program = record(lambda x: np.sum(np.sort(x)), (np.ones(3),)).program()
    with pytest.raises(UnsupportedError, match=r"\(at test_sympy.py:\d+\) has no formula in SymPy"):
        to_sympy(program, symbols(3))
    converted = record(lambda x: np.sum(x, dtype=np.float32), (np.ones(3),)).program()
    with pytest.raises(UnsupportedError, match=r"sum .*has no formula"):
        to_sympy(converted, symbols(3))
    with pytest.raises(InputError, match=r"operand 0 has the shape \(2,\); the program was made for f64\[3\]"):
        to_sympy(program, symbols(2))
    with pytest.raises(InputError, match="1 inputs; 2 were given"):
        to_sympy(program, symbols(3), symbols(3))


def test_every_formula_belongs_to_a_primitive() -> None:
    from unspool.interop.sympy import _FORMULAS

    assert set(ELEMENTWISE) | {"where"} == set(_FORMULAS) <= set(PRIMITIVES)

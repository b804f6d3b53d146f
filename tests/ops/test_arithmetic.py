"""Operators and rounding: values, derivatives, and the points where rules are guarded."""

from __future__ import annotations

import operator
import warnings
from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, same_bits, some
from unspool.errors import ZeroGradientWarning
from unspool.ops import TABLE

X, Y = some(3, 4), some(4, low=0.5, high=2.0, turn=0.4)
P = some(3, 4, low=0.2, high=2.0)
Z, W = complex_some(4), complex_some(4, turn=0.35)

BINARY = (
    np.add,
    np.subtract,
    np.multiply,
    np.divide,
    np.power,
    np.float_power,
    np.remainder,
    np.mod,
    np.fmod,
    np.floor_divide,
    np.copysign,
)
OPERATORS = (
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.pow,
    operator.mod,
    operator.floordiv,
)


@pytest.mark.parametrize("ufunc", BINARY)
def test_binary_functions(ufunc: Any) -> None:
    agrees(ufunc, P, Y)
    agrees(ufunc, Y, P)
    agrees(lambda x: ufunc(x, 1.5), P)
    agrees(lambda x: ufunc(1.5, x), P)
    agrees(lambda x: ufunc(x, np.array([1, 2, 3, 2])), P)
    agrees(ufunc, P.astype(np.float32), Y.astype(np.float32), tolerance=3e-2, h=1e-2)
    agrees(ufunc, 1.7, P)


@pytest.mark.parametrize("op", OPERATORS)
def test_operators(op: Any) -> None:
    agrees(op, P, Y)
    agrees(lambda x: op(x, 2), P)
    agrees(lambda x: op(2, x), P)
    agrees(lambda x: op(x, 0.7), P)
    agrees(op, 1.7, 0.6)
    agrees(op, P.astype(np.float32), Y, tolerance=5e-2, h=1e-2)


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow])
def test_complex_operators(op: Any) -> None:
    agrees(op, Z, W)
    agrees(op, Z, some(4))
    agrees(op, some(4, low=0.1), Z)
    agrees(lambda x: op(x, 2), Z)
    agrees(lambda x: op(x, 1.5 - 0.5j), some(4, low=0.1))


@pytest.mark.parametrize(
    "f",
    [np.negative, np.positive, np.square, np.reciprocal, np.sqrt, np.cbrt, np.absolute, np.fabs, abs, operator.neg],
)
def test_functions_of_one_operand(f: Any) -> None:
    agrees(f, P)
    agrees(f, 1.3)
    agrees(f, P.astype(np.float32), tolerance=3e-2, h=1e-2)


@pytest.mark.parametrize("f", [np.negative, np.square, np.reciprocal, np.sqrt, np.absolute])
def test_complex_functions_of_one_operand(f: Any) -> None:
    agrees(f, Z)
    agrees(f, 1.3 - 0.4j)


def test_complex_sign() -> None:
    agrees(np.sign, Z, exact=False)
    assert unspool.grad(lambda z: np.real(np.sign(z)))(0j) == 1.0


@pytest.mark.parametrize("f", [np.floor, np.ceil, np.trunc, np.rint, np.sign, np.round, np.fix, np.heaviside])
def test_what_rounds_has_no_derivative(f: Any) -> None:
    def rounded(x: Any) -> Any:
        return f(x, 0.5) if f is np.heaviside else f(x)

    agrees(lambda x: x * rounded(x), X)
    with pytest.warns(ZeroGradientWarning, match="rounding"):
        assert np.all(unspool.grad(lambda x: np.sum(rounded(x)))(X) == 0)


COMPARISONS = (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal)
LOGICAL = (np.logical_and, np.logical_or, np.logical_xor)


@pytest.mark.parametrize("f", [*COMPARISONS, *LOGICAL])
def test_comparisons_are_plain(f: Any) -> None:
    seen = []
    unspool.grad(lambda x, y: (seen.append(f(x, y)), seen.append(f(x, 0.5)), np.sum(x))[-1])(X, Y)
    same_bits(seen, [f(X, Y), f(X, 0.5)])
    assert all(type(s) is np.ndarray for s in seen)


@pytest.mark.parametrize("f", [np.isfinite, np.isinf, np.isnan, np.signbit, np.logical_not])
def test_questions_are_plain(f: Any) -> None:
    x = np.array([1.0, np.inf, np.nan, -0.0])
    seen = []
    unspool.grad(lambda x: (seen.append(f(x)), np.sum(x))[-1])(x)
    same_bits(seen, [f(x)])


def test_divmod() -> None:
    agrees(np.divmod, P, Y)


# --- guarded points ---------------------------------------------------------------------------------------------------
ZERO = np.array([0.0, 4.0])


@pytest.mark.parametrize("f", [np.sqrt, lambda x: x**0.5, lambda x: np.power(x, 0.5), lambda x: x ** np.array(0.5)])
def test_a_root_masked_at_zero_stays_out(f: Any) -> None:
    def loss(x: Any) -> Any:
        return np.sum(np.where(x > 0, f(x), 0.0))

    np.testing.assert_array_equal(unspool.grad(loss)(ZERO), [0.0, 0.25])
    np.testing.assert_allclose(unspool.hessian(loss)(ZERO), [[0.0, 0.0], [0.0, -1 / 32]])
    np.testing.assert_array_equal(unspool.grad(lambda x: np.sum(f(x)))(ZERO), [np.inf, 0.25])


def test_absolute_and_sign_at_zero() -> None:
    assert unspool.grad(np.abs)(0.0) == 0
    assert unspool.grad(np.abs)(0j) == 0
    assert unspool.grad(np.fabs)(0.0) == 0
    assert unspool.hessian(lambda z: np.abs(z) ** 2)(1.5) == 2.0


def test_powers_at_zero() -> None:
    assert unspool.grad(lambda x: x**2)(0.0) == 0
    assert unspool.hessian(lambda x: x**2)(0.0) == 2
    assert unspool.hessian(lambda x: np.power(x, np.array(2.0)))(0.0) == 2
    assert unspool.grad(lambda x: x**0)(0.0) == 0
    assert unspool.grad(lambda x: x**1)(0.0) == 1
    assert unspool.grad(np.power, argnums=1)(0.0, 2.0) == 0
    assert unspool.grad(np.power, argnums=1)(0.0, 0.0) == 0
    assert unspool.grad(lambda p: 0.0**p)(2.0) == 0
    np.testing.assert_array_equal(unspool.grad(lambda x: np.sum(x ** np.array([0.0, 3.0])))(np.zeros(2)), [0, 0])
    np.testing.assert_array_equal(unspool.grad(lambda x: np.sum(x**3))(np.array([-2.0, 0.0])), [12.0, 0.0])


def test_a_quotient_masked_at_its_pole_stays_out() -> None:
    def loss(x: Any, y: Any) -> Any:
        return np.sum(np.where(y == 0, 0.0, x / y)) + np.sum(np.where(y == 0, 0.0, np.reciprocal(y)))

    x, y = np.array([1.0, 2.0]), np.array([0.0, 4.0])
    with np.errstate(divide="ignore"):
        of_x, of_y = unspool.grad(loss, argnums=(0, 1))(x, y)
        second = unspool.hessian(lambda y: loss(x, y))(y)
    np.testing.assert_array_equal(of_x, [0.0, 0.25])
    np.testing.assert_array_equal(of_y, [0.0, -3 / 16])
    np.testing.assert_array_equal(second, [[0.0, 0.0], [0.0, 6 / 64]])


def test_rules_do_not_warn_where_the_function_does_not() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for f in (np.sqrt, np.cbrt, lambda x: x**0.5, np.abs, lambda x: x**2):
            unspool.grad(lambda x, f=f: np.sum(f(x)))(ZERO)
        for f in (np.arcsin, np.arccos):
            assert np.all(np.isinf(unspool.grad(lambda x, f=f: np.sum(f(x)))(np.array([1.0, -1.0]))))
        assert np.isinf(unspool.grad(np.arccosh)(1.0))


def test_large_cotangents_with_zeros_are_guarded_too() -> None:
    x = np.zeros(10_000)
    np.testing.assert_array_equal(unspool.grad(lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0.0)))(x), x)


def test_an_integer_exponent_keeps_single_precision() -> None:
    x = np.linspace(1, 2, 3, dtype=np.float32)
    for p in (2, 2.0, 0.5, np.float32(3), np.array([1, 2, 3], np.int8)):
        out, pullback = unspool.vjp(lambda x, p=p: x**p, x)
        assert out.dtype == pullback(np.ones_like(out))[0].dtype == np.float32
    assert unspool.vjp(lambda p: 2.0**p, x)[1](x)[0].dtype == np.float32


def test_every_ufunc_of_the_table_names_itself() -> None:
    for function, entry in TABLE.items():
        if isinstance(function, np.ufunc):
            assert entry.name in (f"numpy.{function.__name__}", f"scipy.special.{function.__name__}")
            assert entry.n_positional == function.nin


def test_masked_overflows_of_powers_stay_out() -> None:
    mask = np.array([False, True])
    with np.errstate(over="ignore"):
        gradient = unspool.grad(lambda x: np.sum(np.where(mask, x**3, 0.0)))(np.array([1e200, 2.0]))
    np.testing.assert_array_equal(gradient, [0.0, 12.0])


def test_exponents_of_negative_bases_do_not_warn() -> None:
    of_base, of_exponent = unspool.grad(np.power, argnums=(0, 1))(-2.0, 3.0)
    assert of_base == 12.0
    assert np.isnan(of_exponent)


@pytest.mark.parametrize("zero", [0.0, -0.0, 0, np.float64(0.0)])
def test_the_derivative_of_a_division_by_a_number_that_is_zero_is_infinite_and_no_error(zero: float) -> None:
    with np.errstate(all="ignore"):
        expected = np.array([1.0, 1.0]) / zero
        same_bits(unspool.grad(lambda u: np.sum(u / zero))(np.ones(2)), expected)
        same_bits(unspool.jvp(lambda u: u / zero, (np.ones(2),), (np.ones(2),))[1], expected)
        assert np.isnan(unspool.grad(lambda u: np.real(np.sum(u / 0j)))(np.ones(2))).all()

"""Arithmetic and comparison operators, and what rounds."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from unspool.ir.listener import bind
from unspool.ops.families import constant, has_zeros, minus_one, one, piecewise, scalar, term_of
from unspool.ops.samples import Sample, complex_some, elementwise_samples, some
from unspool.ops.table import implements

POSITIVE = ((0.2, 3.0),)
AWAY_FROM_ZERO = ((-2.0, 2.0), (0.3, 2.0))


def _power_by_base(z: Any, x: Any, p: Any) -> Any:
    if p.__class__ in (float, int, complex):
        return p * x ** (p - 1) if p != 0 else 0.0
    return p * x ** np.where(p == 0, 1, p - 1)  # where p is 0 the factor p decides, whatever x is


def _power_by_exponent(z: Any, x: Any, p: Any) -> Any:
    if isinstance(x, int | float):
        return z * (math.log(x) if x > 0 else 0.0 if x == 0 else math.nan)
    return z * np.log(np.where(x == 0, 1, x))  # 0**p does not move with p


_guarded_base = term_of(_power_by_base, 1.0, None, True)


def _power_quickly(ct: Any, z: Any, x: Any, p: Any) -> tuple[Any]:
    """The rule for the base; for exponents like 2 and 3 there is no pole, and nothing to be quiet about."""
    if p.__class__ not in (int, float) or p < 1 or has_zeros(ct):
        return (_guarded_base(ct, z, x, p),)
    return (ct * (p * (x if p == 2 else x ** (p - 1))),)


add = scalar(np.add, one, one, emit="({0} + {1})")
subtract = scalar(np.subtract, one, minus_one, emit="({0} - {1})")
multiply = scalar(
    np.multiply,
    lambda z, x, y: y,
    lambda z, x, y: x,
    emit="({0} * {1})",
    quick={  # the most frequent rule of all: without two calls inside
        (1, 2): lambda ct, z, x, y: (ct * y,),
        (2, 2): lambda ct, z, x, y: (ct * x,),
        (3, 2): lambda ct, z, x, y: (ct * y, ct * x),
    },
)


def _inverse(y: Any) -> Any:
    if isinstance(y, complex) and y == 0:  # NumPy divides by a Python number that is 0, and Python does not
        return complex(math.nan, math.nan)
    if isinstance(y, float | int) and y == 0:
        return math.copysign(math.inf, y)
    return 1.0 / y


divide = scalar(
    np.divide,
    lambda z, x, y: _inverse(y),
    lambda z, x, y: -z / y,
    guard=1.0,
    pole=2,
    emit="({0} / {1})",
    domain=AWAY_FROM_ZERO,
)
negative = scalar(np.negative, minus_one, emit="(-{0})")
positive = scalar(np.positive, one, emit="(+{0})")
square = scalar(np.square, lambda y, x: 2 * x, emit="({0} * {0})")
reciprocal = scalar(np.reciprocal, lambda y, x: -y * y, guard=1.0, emit="(1.0 / {0})", domain=POSITIVE)
power = scalar(  # evaluated as the operator, whose bits differ from those of np.power for complex numbers
    np.power,
    _power_by_base,
    _power_by_exponent,
    guard=1.0,
    quiet=True,
    quick={(1, 2): _power_quickly},
    evaluate=operator.pow,
    emit="({0} ** {1})",
    domain=((0.2, 2.0), (-2.0, 3.0)),
)
float_power = scalar(
    np.float_power,
    _power_by_base,
    _power_by_exponent,
    guard=1.0,
    quiet=True,
    domain=((0.2, 2.0), (-2.0, 3.0)),
)
sqrt = scalar(np.sqrt, lambda y, x: 0.5 / y, guard=1.0, pole=0, quiet=True, emit="math.sqrt({0})", domain=POSITIVE)
cbrt = scalar(np.cbrt, lambda y, x: 1 / (3 * y * y), guard=1.0, pole=0, quiet=True, domain=POSITIVE)
remainder = scalar(np.remainder, one, lambda z, x, y: -np.floor_divide(x, y), emit="({0} % {1})", domain=AWAY_FROM_ZERO)
fmod = scalar(np.fmod, one, lambda z, x, y: -np.rint((x - z) / y), emit="math.fmod({0}, {1})", domain=AWAY_FROM_ZERO)


@implements(np.divmod)
def _divmod(x1: Any, x2: Any) -> tuple[Any, Any]:
    return np.floor_divide(x1, x2), np.remainder(x1, x2)


# --- size and sign, with the derivative 0 at 0 ------------------------------------------------------------------------
def _of_absolute(ct: Any, y: Any, x: Any) -> Any:
    if x.dtype.kind != "c":
        return ct * np.sign(x)
    r = np.abs(x)
    return ct * np.conj(x) / np.where(r == 0, 1, r)


absolute = piecewise(
    np.absolute,
    _of_absolute,
    emit="abs({0})",
    samples=lambda: [*elementwise_samples(1, ()), ((complex_some(5),), {})],
)
fabs = scalar(np.fabs, lambda y, x: np.sign(x), emit="abs({0})")
copysign = scalar(np.copysign, lambda z, x, y: np.sign(x) * np.sign(z), lambda z, x, y: 0.0, domain=AWAY_FROM_ZERO)
real_sign = constant(np.sign)


@implements(np.sign)
def _sign(x: Any) -> Any:
    if x.dtype.kind != "c":
        return bind(real_sign, x)
    r = np.abs(x)
    return x / np.where(r == 0, 1, r)


def _truths(n: int) -> list[Sample]:
    return [(tuple([some(5, turn=0.2 * k) > 0 for k in range(n)]), {})]


# --- what has no derivative, or the derivative 0 ----------------------------------------------------------------------
floor = constant(np.floor, emit="np.floor({0})")
ceil = constant(np.ceil, emit="np.ceil({0})")
trunc = constant(np.trunc, emit="np.trunc({0})")
rint = constant(np.rint, emit="np.rint({0})")
floor_divide = piecewise(  # with a rule, because operators go the short way of a tape
    np.floor_divide,
    lambda ct, z, x, y: np.zeros_like(ct),
    lambda ct, z, x, y: np.zeros_like(ct),
    emit="({0} // {1})",
    domain=AWAY_FROM_ZERO,
)
heaviside = constant(np.heaviside)
spacing = constant(np.spacing)
less = constant(np.less, emit="({0} < {1})")
less_equal = constant(np.less_equal, emit="({0} <= {1})")
greater = constant(np.greater, emit="({0} > {1})")
greater_equal = constant(np.greater_equal, emit="({0} >= {1})")
equal = constant(np.equal, emit="({0} == {1})")
not_equal = constant(np.not_equal, emit="({0} != {1})")
logical_and = constant(np.logical_and)
logical_or = constant(np.logical_or)
logical_xor = constant(np.logical_xor)
logical_not = constant(np.logical_not)
bitwise_and = constant(np.bitwise_and, emit="({0} & {1})", samples=lambda: _truths(2))
bitwise_or = constant(np.bitwise_or, emit="({0} | {1})", samples=lambda: _truths(2))
bitwise_xor = constant(np.bitwise_xor, emit="({0} ^ {1})", samples=lambda: _truths(2))
invert = constant(np.invert, samples=lambda: _truths(1))
isfinite = constant(np.isfinite, emit="math.isfinite({0})")
isinf = constant(np.isinf, emit="math.isinf({0})")
isnan = constant(np.isnan, emit="math.isnan({0})")
signbit = constant(np.signbit)

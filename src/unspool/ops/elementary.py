"""Exponentials, logarithms, trigonometric and hyperbolic functions."""

from __future__ import annotations

from math import log, pi
from typing import Any

import numpy as np

from unspool.ops.arithmetic import POSITIVE
from unspool.ops.families import scalar

INSIDE = ((-0.9, 0.9),)
LN2, LN10 = log(2), log(10)

# --- exponentials and logarithms; guarded, because where() is how poles are masked in user code -----------------------
exp = scalar(np.exp, lambda y, x: y, guard=1.0, emit="math.exp({0})")
exp2 = scalar(np.exp2, lambda y, x: LN2 * y, guard=1.0, emit="(2.0 ** {0})")
expm1 = scalar(np.expm1, lambda y, x: y + 1, guard=1.0, emit="math.expm1({0})")
log_ = scalar(np.log, lambda y, x: 1 / x, guard=1.0, pole=1, emit="math.log({0})", domain=POSITIVE)
log2 = scalar(np.log2, lambda y, x: 1 / (LN2 * x), guard=1.0, pole=1, emit="math.log2({0})", domain=POSITIVE)
log10 = scalar(np.log10, lambda y, x: 1 / (LN10 * x), guard=1.0, pole=1, emit="math.log10({0})", domain=POSITIVE)
log1p = scalar(np.log1p, lambda y, x: 1 / (1 + x), guard=0.0, emit="math.log1p({0})", domain=((-0.8, 3.0),))


def _finite(z: Any) -> Any:
    return np.where(np.isinf(z), 0, z)  # both operands -inf: their share of a sum of zeros is zero


logaddexp = scalar(
    np.logaddexp, lambda z, x, y: np.exp(x - _finite(z)), lambda z, x, y: np.exp(y - _finite(z)), guard=0.0
)
logaddexp2 = scalar(
    np.logaddexp2, lambda z, x, y: np.exp2(x - _finite(z)), lambda z, x, y: np.exp2(y - _finite(z)), guard=0.0
)

# --- trigonometric ----------------------------------------------------------------------------------------------------
sin = scalar(np.sin, lambda y, x: np.cos(x), emit="math.sin({0})")
cos = scalar(np.cos, lambda y, x: -np.sin(x), emit="math.cos({0})")
tan = scalar(np.tan, lambda y, x: 1 + y * y, emit="math.tan({0})", domain=((-1.2, 1.2),))
arcsin = scalar(
    np.arcsin,
    lambda y, x: 1 / np.sqrt(1 - x * x),
    guard=0.0,
    quiet=True,
    emit="math.asin({0})",
    domain=INSIDE,
)
arccos = scalar(
    np.arccos,
    lambda y, x: -1 / np.sqrt(1 - x * x),
    guard=0.0,
    quiet=True,
    emit="math.acos({0})",
    domain=INSIDE,
)
arctan = scalar(np.arctan, lambda y, x: 1 / (1 + x * x), emit="math.atan({0})")


def _over_square(x: Any, y: Any, by: Any) -> Any:
    r = np.hypot(x, y)
    r = np.where(r == 0, 1, r)
    return by / r / r


arctan2 = scalar(
    np.arctan2,
    lambda z, y, x: _over_square(y, x, x),
    lambda z, y, x: -_over_square(y, x, y),
    emit="math.atan2({0}, {1})",
)
hypot = scalar(
    np.hypot,
    lambda z, x, y: x / np.where(z == 0, 1, z),
    lambda z, x, y: y / np.where(z == 0, 1, z),
    emit="math.hypot({0}, {1})",
)
deg2rad = scalar(np.deg2rad, lambda y, x: pi / 180, emit="math.radians({0})")
rad2deg = scalar(np.rad2deg, lambda y, x: 180 / pi, emit="math.degrees({0})")
radians = scalar(np.radians, lambda y, x: pi / 180, emit="math.radians({0})")
degrees = scalar(np.degrees, lambda y, x: 180 / pi, emit="math.degrees({0})")


def _sinc_slope(y: Any, x: Any) -> Any:
    t = pi * x
    near = np.abs(t) < 0.1
    s = t * t
    series = -pi * t * (1 / 3 - s * (1 / 30 - s * (1 / 840 - s * (1 / 45360 - s / 3991680))))
    return np.where(near, series, (np.cos(t) - y) / np.where(near, 1, x))


sinc = scalar(np.sinc, _sinc_slope, also=(np.sinc,))

# --- hyperbolic -------------------------------------------------------------------------------------------------------
sinh = scalar(np.sinh, lambda y, x: np.cosh(x), emit="math.sinh({0})")
cosh = scalar(np.cosh, lambda y, x: np.sinh(x), emit="math.cosh({0})")
tanh = scalar(np.tanh, lambda y, x: 1 - y * y, emit="math.tanh({0})")
arcsinh = scalar(np.arcsinh, lambda y, x: 1 / np.sqrt(1 + x * x), emit="math.asinh({0})")
arccosh = scalar(
    np.arccosh,
    lambda y, x: 1 / (np.sqrt(x - 1) * np.sqrt(x + 1)),
    guard=2.0,
    quiet=True,
    emit="math.acosh({0})",
    domain=((1.1, 3.0),),
)
arctanh = scalar(np.arctanh, lambda y, x: 1 / (1 - x * x), guard=0.0, emit="math.atanh({0})", domain=INSIDE)

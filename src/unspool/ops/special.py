"""The ufuncs of scipy.special. This module imports SciPy; `TABLE` imports this module when one of them is met.

Orders and shape parameters (the v of jv, the a of gammainc, the a and b of betainc) have no rule: they may be numbers
and plain arrays, not traced values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import pi, sqrt
from typing import Any, NoReturn

import numpy as np
import scipy.special as sp
from scipy.special import _ufuncs

from unspool.errors import UnsupportedError
from unspool.ops.arithmetic import POSITIVE
from unspool.ops.elementary import LN2, LN10
from unspool.ops.families import scalar
from unspool.ops.samples import Sample, some

_zeta: Any = getattr(_ufuncs, "_zeta")  # noqa: B009 - sp.zeta is a function around it

_UNIT = ((0.1, 0.9),)
_NEAR = ((-1.5, 1.5),)
_ROOT_PI = sqrt(pi)
_ROOT_2PI = sqrt(2 * pi)


def no_rule(name: str, which: str) -> Callable[..., NoReturn]:
    """The partial derivative with respect to a parameter that has none."""

    def partial(y: Any, *xs: Any) -> NoReturn:
        raise UnsupportedError(
            f"scipy.special.{name}: no derivative rule with respect to {which}. Pass a plain number or array there, or "
            "give the function a rule with unspool.custom_vjp."
        )

    partial.__doc__ = f"Not in {which}."
    return partial


def with_parameters(*domain: tuple[float, float], orders: tuple[int, ...] = (0, 1, 2, 3)) -> Any:
    """Samples whose leading operands, the parameters, are whole numbers, which are not differentiated."""

    def samples() -> Iterator[Sample]:
        (low, high), parameters = domain[-1], len(domain)
        whole = np.array(orders)
        yield (*(whole,) * parameters, some(len(orders), low=low, high=high)), {}
        yield (*(whole,) * parameters, some(3, 1, low=low, high=high)), {}
        yield (*(whole[1],) * parameters, some(low=low, high=high)), {}

    return samples


# --- error functions --------------------------------------------------------------------------------------------------
erf = scalar(sp.erf, lambda y, x: 2 / _ROOT_PI * np.exp(-x * x))
erfc = scalar(sp.erfc, lambda y, x: -2 / _ROOT_PI * np.exp(-x * x))
erfcx = scalar(sp.erfcx, lambda y, x: 2 * (x * y - 1 / _ROOT_PI))
erfi = scalar(sp.erfi, lambda y, x: 2 / _ROOT_PI * np.exp(x * x), guard=0.0)
dawsn = scalar(sp.dawsn, lambda y, x: 1 - 2 * x * y)
erfinv = scalar(sp.erfinv, lambda y, x: 0.5 * _ROOT_PI * np.exp(y * y), guard=0.0, domain=((-0.9, 0.9),))
erfcinv = scalar(sp.erfcinv, lambda y, x: -0.5 * _ROOT_PI * np.exp(y * y), guard=0.0, domain=((0.1, 1.9),))
ndtr = scalar(sp.ndtr, lambda y, x: np.exp(-0.5 * x * x) / _ROOT_2PI)
log_ndtr = scalar(sp.log_ndtr, lambda y, x: np.exp(-0.5 * x * x - y) / _ROOT_2PI)
ndtri = scalar(sp.ndtri, lambda y, x: _ROOT_2PI * np.exp(0.5 * y * y), guard=0.0, domain=_UNIT)


# --- gamma and its kin ------------------------------------------------------------------------------------------------
def _real_psi(x: Any) -> Any:
    if np.iscomplexobj(x):
        raise UnsupportedError("scipy.special.psi: no derivative rule at complex points; SciPy has no trigamma there.")
    return sp.psi(x)


gamma = scalar(sp.gamma, lambda y, x: y * sp.psi(x), guard=1.0, domain=((0.3, 4.0),))
gammaln = scalar(sp.gammaln, lambda y, x: sp.psi(x), guard=1.0, domain=((0.3, 4.0),))
loggamma = scalar(sp.loggamma, lambda y, x: sp.psi(x), guard=1.0, domain=((0.3, 4.0),))
psi = scalar(sp.psi, lambda y, x: _zeta(2.0, x), guard=1.0, evaluate=_real_psi, domain=((0.3, 4.0),))
zeta = scalar(
    _zeta,
    no_rule("zeta", "the exponent x"),
    lambda y, x, q: -x * _zeta(x + 1.0, q),
    name="zeta",
    samples=with_parameters((0.3, 4.0), orders=(2, 3, 4)),
)
beta = scalar(
    sp.beta,
    lambda y, a, b: y * (sp.psi(a) - sp.psi(a + b)),
    lambda y, a, b: y * (sp.psi(b) - sp.psi(a + b)),
    guard=1.0,
    domain=POSITIVE,
)
betaln = scalar(
    sp.betaln,
    lambda y, a, b: sp.psi(a) - sp.psi(a + b),
    lambda y, a, b: sp.psi(b) - sp.psi(a + b),
    guard=1.0,
    domain=POSITIVE,
)


def gamma_density(a: Any, x: Any) -> Any:
    """The density of the gamma distribution."""
    return np.exp(sp.xlogy(a - 1, x) - x - sp.gammaln(a))


def beta_density(a: Any, b: Any, x: Any) -> Any:
    """The density of the beta distribution."""
    return np.exp(sp.xlogy(a - 1, x) + sp.xlog1py(b - 1, -x) - sp.betaln(a, b))


_SHAPES = (1, 2, 3)
gammainc = scalar(
    sp.gammainc,
    no_rule("gammainc", "the shape a"),
    lambda y, a, x: gamma_density(a, x),
    samples=with_parameters((0.2, 3.0), orders=_SHAPES),
)
gammaincc = scalar(
    sp.gammaincc,
    no_rule("gammaincc", "the shape a"),
    lambda y, a, x: -gamma_density(a, x),
    samples=with_parameters((0.2, 3.0), orders=_SHAPES),
)
gammaincinv = scalar(
    sp.gammaincinv,
    no_rule("gammaincinv", "the shape a"),
    lambda y, a, x: 1 / gamma_density(a, y),
    samples=with_parameters(*_UNIT, orders=_SHAPES),
)
betainc = scalar(
    sp.betainc,
    no_rule("betainc", "the shape a"),
    no_rule("betainc", "the shape b"),
    lambda y, a, b, x: beta_density(a, b, x),
    samples=with_parameters(*_UNIT, *_UNIT, orders=_SHAPES),
)
betaincinv = scalar(
    sp.betaincinv,
    no_rule("betaincinv", "the shape a"),
    no_rule("betaincinv", "the shape b"),
    lambda y, a, b, x: 1 / beta_density(a, b, y),
    samples=with_parameters(*_UNIT, *_UNIT, orders=_SHAPES),
)

# --- logistic and entropic --------------------------------------------------------------------------------------------
expit = scalar(sp.expit, lambda y, x: y * (1 - y))
logit = scalar(sp.logit, lambda y, x: 1 / (x * (1 - x)), guard=0.5, quiet=True, domain=_UNIT)
log_expit = scalar(sp.log_expit, lambda y, x: sp.expit(-x))


def _ratio(x: Any, y: Any) -> Any:
    """x / y, with 0 / 0 = 0."""
    none = np.logical_and(x == 0, y == 0)
    return x / np.where(none, 1, y)


xlogy = scalar(
    sp.xlogy, lambda z, x, y: np.log(y), lambda z, x, y: _ratio(x, y), guard=1.0, quiet=True, domain=POSITIVE
)
xlog1py = scalar(
    sp.xlog1py,
    lambda z, x, y: np.log1p(y),
    lambda z, x, y: _ratio(x, 1 + y),
    guard=1.0,
    quiet=True,
    domain=((-2.0, 2.0), (-0.8, 3.0)),
)
entr = scalar(sp.entr, lambda y, x: -1 - np.log(x), guard=1.0, quiet=True, domain=POSITIVE)
rel_entr = scalar(
    sp.rel_entr,
    lambda z, x, y: np.log(x / y) + 1,
    lambda z, x, y: -_ratio(x, y),
    guard=1.0,
    quiet=True,
    domain=POSITIVE,
)
kl_div = scalar(
    sp.kl_div,
    lambda z, x, y: np.log(x / y),
    lambda z, x, y: 1 - _ratio(x, y),
    guard=1.0,
    quiet=True,
    domain=POSITIVE,
)

# --- Bessel functions -------------------------------------------------------------------------------------------------
j0 = scalar(sp.j0, lambda y, x: -sp.j1(x), domain=((-6.0, 6.0),))
j1 = scalar(sp.j1, lambda y, x: 0.5 * (sp.j0(x) - sp.jv(2, x)), domain=((-6.0, 6.0),))
jv = scalar(
    sp.jv,
    no_rule("jv", "the order v"),
    lambda y, v, x: 0.5 * (sp.jv(v - 1, x) - sp.jv(v + 1, x)),
    samples=with_parameters((0.2, 6.0)),
)
y0 = scalar(sp.y0, lambda y, x: -sp.y1(x), guard=1.0, domain=((0.4, 6.0),))
y1 = scalar(sp.y1, lambda y, x: 0.5 * (sp.y0(x) - sp.yv(2, x)), guard=1.0, domain=((0.4, 6.0),))
yv = scalar(
    sp.yv,
    no_rule("yv", "the order v"),
    lambda y, v, x: 0.5 * (sp.yv(v - 1, x) - sp.yv(v + 1, x)),
    samples=with_parameters((0.6, 6.0)),
)
yn = scalar(
    sp.yn,
    no_rule("yn", "the order n"),
    lambda y, n, x: 0.5 * (sp.yv(n - 1, x) - sp.yv(n + 1, x)),
    samples=with_parameters((0.6, 6.0)),
)
i0 = scalar(sp.i0, lambda y, x: sp.i1(x))
i1 = scalar(sp.i1, lambda y, x: 0.5 * (sp.i0(x) + sp.iv(2, x)))
i0e = scalar(sp.i0e, lambda y, x: sp.i1e(x) - np.sign(x) * y)
i1e = scalar(sp.i1e, lambda y, x: 0.5 * (sp.i0e(x) + sp.ive(2, x)) - np.sign(x) * y)
iv = scalar(
    sp.iv,
    no_rule("iv", "the order v"),
    lambda y, v, x: 0.5 * (sp.iv(v - 1, x) + sp.iv(v + 1, x)),
    samples=with_parameters((0.2, 3.0)),
)


def _real_ive(v: Any, x: Any) -> Any:
    if np.iscomplexobj(x):
        raise UnsupportedError("scipy.special.ive: no derivative rule at complex points, where it is not holomorphic.")
    return sp.ive(v, x)


ive = scalar(
    sp.ive,
    no_rule("ive", "the order v"),
    lambda y, v, x: 0.5 * (sp.ive(v - 1, x) + sp.ive(v + 1, x)) - np.sign(x) * y,
    evaluate=_real_ive,
    samples=with_parameters((0.2, 3.0)),
)
k0 = scalar(sp.k0, lambda y, x: -sp.k1(x), guard=1.0, domain=((0.3, 4.0),))
k1 = scalar(sp.k1, lambda y, x: -0.5 * (sp.k0(x) + sp.kv(2, x)), guard=1.0, domain=((0.3, 4.0),))
kv = scalar(
    sp.kv,
    no_rule("kv", "the order v"),
    lambda y, v, x: -0.5 * (sp.kv(v - 1, x) + sp.kv(v + 1, x)),
    samples=with_parameters((0.3, 4.0)),
)

# --- exponential integrals, and SciPy's own versions of NumPy's functions ---------------------------------------------
exp1 = scalar(sp.exp1, lambda y, x: -np.exp(-x) / x, guard=1.0, domain=((0.3, 3.0),))
expi = scalar(sp.expi, lambda y, x: np.exp(x) / x, guard=1.0, domain=((0.3, 3.0),))
exp10 = scalar(sp.exp10, lambda y, x: LN10 * y, guard=1.0, domain=_NEAR)
exp2 = scalar(sp.exp2, lambda y, x: LN2 * y, guard=1.0, name="special.exp2")
expm1 = scalar(sp.expm1, lambda y, x: y + 1, guard=1.0, name="special.expm1")
log1p = scalar(sp.log1p, lambda y, x: 1 / (1 + x), guard=0.0, name="special.log1p", domain=((-0.8, 3.0),))
cosm1 = scalar(sp.cosm1, lambda y, x: -np.sin(x))

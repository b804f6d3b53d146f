"""scipy.special: rarer ufuncs, and the functions that are none.

Orders and shape parameters have no rule, as in `unspool.ops.special`.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

import numpy as np
import scipy.special

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced, bind
from unspool.ir.primitive import Primitive
from unspool.ops.families import cast, constant, fit, general, scalar
from unspool.ops.reduce import opened, reduced
from unspool.ops.samples import some
from unspool.ops.shape import Axes, as_array, axes_of
from unspool.ops.special import beta_density, gamma_density, no_rule, with_parameters
from unspool.ops.table import implements

sp: Any = scipy.special

_UNIT = ((0.1, 0.9),)
_POSITIVE = ((0.3, 3.0),)
_SHAPES = (1, 2, 3)
_DEGREES = pi / 180


# --- gamma and its kin, distributions ---------------------------------------------------------------------------------
rgamma = scalar(sp.rgamma, lambda y, x: -y * sp.psi(x), guard=1.0, domain=_POSITIVE)
gammasgn = constant(sp.gammasgn)
poch = scalar(
    sp.poch,
    lambda y, z, m: y * (sp.psi(z + m) - sp.psi(z)),
    lambda y, z, m: y * sp.psi(z + m),
    guard=1.0,
    domain=_POSITIVE,
)
binom = scalar(
    sp.binom,
    lambda y, n, k: y * (sp.psi(n + 1) - sp.psi(n - k + 1)),
    lambda y, n, k: y * (sp.psi(n - k + 1) - sp.psi(k + 1)),
    guard=1.0,
    domain=((3.2, 5.0), (0.3, 2.0)),
)
gammainccinv = scalar(
    sp.gammainccinv,
    no_rule("gammainccinv", "the shape a"),
    lambda y, a, x: -1 / gamma_density(a, y),
    samples=with_parameters(*_UNIT, orders=_SHAPES),
)
betaincc = scalar(
    sp.betaincc,
    no_rule("betaincc", "the shape a"),
    no_rule("betaincc", "the shape b"),
    lambda y, a, b, x: -beta_density(a, b, x),
    samples=with_parameters(*_UNIT, *_UNIT, orders=_SHAPES),
)


def student_density(df: Any, t: Any) -> Any:
    """The density of Student's distribution."""
    return np.exp(-sp.betaln(df / 2, 0.5) - 0.5 * np.log(df) - 0.5 * (df + 1) * np.log1p(t * t / df))


stdtr = scalar(
    sp.stdtr,
    no_rule("stdtr", "the degrees of freedom"),
    lambda y, df, t: student_density(df, t),
    samples=with_parameters((-2.0, 2.0), orders=(1, 2, 3, 5)),
)
stdtrit = scalar(
    sp.stdtrit,
    no_rule("stdtrit", "the degrees of freedom"),
    lambda y, df, p: 1 / student_density(df, y),
    samples=with_parameters(*_UNIT, orders=(1, 2, 3, 5)),
)
ndtri_exp = scalar(
    sp.ndtri_exp, lambda y, x: sqrt(2 * pi) * np.exp(x + 0.5 * y * y), guard=-1.0, domain=((-3.0, -0.2),)
)


# --- elliptic integrals, exponential integrals ------------------------------------------------------------------------
hyp0f1 = scalar(
    sp.hyp0f1,
    no_rule("hyp0f1", "the parameter v"),
    lambda y, v, z: sp.hyp0f1(v + 1, z) / v,
    samples=with_parameters((-2.0, 2.0), orders=_SHAPES),
)
hyp1f1 = scalar(
    sp.hyp1f1,
    no_rule("hyp1f1", "the parameter a"),
    no_rule("hyp1f1", "the parameter b"),
    lambda y, a, b, z: a / b * sp.hyp1f1(a + 1, b + 1, z),
    samples=with_parameters(*((-1.5, 1.5),) * 2, orders=_SHAPES),
)
hyp2f1 = scalar(
    sp.hyp2f1,
    no_rule("hyp2f1", "the parameter a"),
    no_rule("hyp2f1", "the parameter b"),
    no_rule("hyp2f1", "the parameter c"),
    lambda y, a, b, c, z: a * b / c * sp.hyp2f1(a + 1, b + 1, c + 1, z),
    samples=with_parameters(*((-0.8, 0.6),) * 3, orders=_SHAPES),
)


def _slope_of_k(m: Any) -> Any:
    return cast(pi / 8 * sp.hyp2f1(1.5, 1.5, 2.0, m), m.dtype)


def _slope_of_k_near_one(y: Any, p: Any) -> Any:
    near = p <= 0.5
    q = np.where(near, p, 0.5)
    direct = -(sp.ellipe(1 - q) / q - np.where(near, y, 1.0)) / (2 * (1 - q))
    return np.where(near, direct, -_slope_of_k(1 - np.where(near, 0.5, p)))


ellipk = scalar(sp.ellipk, lambda y, m: _slope_of_k(m), guard=0.5, domain=((-0.9, 0.9),))
ellipkm1 = scalar(sp.ellipkm1, _slope_of_k_near_one, guard=0.5, domain=((0.1, 1.5),))
ellipe = scalar(
    sp.ellipe, lambda y, m: cast(-pi / 8 * sp.hyp2f1(0.5, 1.5, 2.0, m), m.dtype), guard=0.5, domain=((-0.9, 0.9),)
)
expn = scalar(
    sp.expn,
    no_rule("expn", "the order n"),
    lambda y, n, x: -sp.expn(n - 1, x),
    samples=with_parameters((0.3, 3.0), orders=(3, 4, 5)),
)


def _series(w: Any, *coefficients: float) -> Any:
    total: Any = 0.0
    for coefficient in coefficients[::-1]:
        total = total * w + coefficient
    return total


def _slope_of_exprel(y: Any, x: Any) -> Any:
    near = np.abs(x) < 0.02
    small, other = np.where(near, x, 0.0), np.where(near, 1.0, x)
    direct = (np.exp(other) - np.where(near, 1.0, y)) / other
    return np.where(near, _series(small, 1 / 2, 1 / 3, 1 / 8, 1 / 30, 1 / 144, 1 / 840, 1 / 5760), direct)


def _slope_of_spence(z: Any) -> Any:
    w = 1 - z
    near = np.abs(w) < 0.02
    direct = np.log(np.where(near, 2.0, z)) / np.where(near, 1.0, w)
    return np.where(near, -_series(np.where(near, w, 0.0), *[1 / (k + 1) for k in range(9)]), direct)


exprel = scalar(sp.exprel, _slope_of_exprel, domain=((-2.0, 2.0),))
spence = scalar(sp.spence, lambda y, z: _slope_of_spence(z), guard=2.0, domain=((0.2, 3.0),))
wrightomega = scalar(sp.wrightomega, lambda y, z: y / (1 + y))

# --- Bessel functions, scaled and of the third kind -------------------------------------------------------------------
k0e = scalar(sp.k0e, lambda y, x: y - sp.k1e(x), guard=1.0, domain=_POSITIVE)
k1e = scalar(sp.k1e, lambda y, x: y - 0.5 * (sp.k0e(x) + sp.kve(2, x)), guard=1.0, domain=_POSITIVE)
kve = scalar(
    sp.kve,
    no_rule("kve", "the order v"),
    lambda y, v, x: y - 0.5 * (sp.kve(v - 1, x) + sp.kve(v + 1, x)),
    samples=with_parameters((0.3, 4.0)),
)
kn = scalar(
    sp.kn,
    no_rule("kn", "the order n"),
    lambda y, n, x: -0.5 * (sp.kn(n - 1, x) + sp.kn(n + 1, x)),
    samples=with_parameters((0.3, 4.0)),
)
for _name in ("hankel1", "hankel2"):
    _ufunc = getattr(sp, _name)
    scalar(
        _ufunc,
        no_rule(_name, "the order v"),
        lambda y, v, z, h=_ufunc: 0.5 * (h(v - 1, z) - h(v + 1, z)),
        samples=with_parameters((0.6, 6.0)),
    )

# --- logarithms, penalties, angles ------------------------------------------------------------------------------------
boxcox = scalar(
    sp.boxcox,
    lambda y, x, k: np.exp((k - 1) * np.log(x)),
    no_rule("boxcox", "the exponent lmbda"),
    guard=1.0,
    samples=lambda: [((some(3, low=0.3, high=3.0), np.array([0, 1, 2])), {})],
)
huber = scalar(
    sp.huber,
    lambda y, d, r: np.where(np.abs(r) <= d, 0.0, np.abs(r) - d),
    lambda y, d, r: np.where(np.abs(r) <= d, r, d * np.sign(r)),
    domain=((0.9, 1.1), (1.3, 3.0)),
)
pseudo_huber = scalar(
    sp.pseudo_huber,
    lambda y, d, r: (2 * d * d + r * r) / np.sqrt(d * d + r * r) - 2 * d,
    lambda y, d, r: r * d / np.sqrt(d * d + r * r),
    domain=((0.5, 2.0), (-2.0, 2.0)),
)
cbrt = scalar(sp.cbrt, lambda y, x: 1 / (3 * y * y), guard=1.0, quiet=True, name="special.cbrt", domain=_POSITIVE)
sindg = scalar(sp.sindg, lambda y, x: _DEGREES * sp.cosdg(x), domain=((-50.0, 50.0),))
cosdg = scalar(sp.cosdg, lambda y, x: -_DEGREES * sp.sindg(x), domain=((-50.0, 50.0),))
wofz = scalar(
    sp.wofz,
    lambda y, z: -2 * z * y + 2j / sqrt(pi),
    samples=lambda: [((some(4) + 1j * some(4, turn=0.3),), {})],
)


# --- sums of exponentials ---------------------------------------------------------------------------------------------
def _logsumexp(a: Any, b: Any, axis: tuple[int, ...], keepdims: bool, signed: bool) -> Any:
    y = sp.logsumexp(a, axis, b, keepdims, signed)
    return np.asarray(y[0] if signed else y)[()]


def _shares(y: Any, a: Any, b: Any, *, axis: tuple[int, ...], keepdims: bool, signed: bool) -> Any:
    """The derivative with respect to b: what an element adds to the logarithm, in units of its weight."""
    total = opened(y, a.shape, axis, keepdims)
    lost = np.logical_or(a == -np.inf, total == -np.inf)
    share = np.where(lost, 0.0, np.exp(np.where(lost, 0.0, a - np.where(lost, 0.0, total))))
    if not signed:
        return share
    return share * opened(bind(sign_of_sum, a, b, axis=axis, keepdims=keepdims), a.shape, axis, keepdims)


def _logsumexp_jvp(tangents: tuple[Any, Any], y: Any, a: Any, b: Any, **params: Any) -> Any:
    ta, tb = tangents
    share = _shares(y, a, b, **params)
    change: Any = 0.0
    if ta is not None:
        change = ta * b * share
    if tb is not None:
        change = change + tb * share
    return fit(np.sum(change, axis=params["axis"], keepdims=params["keepdims"]), y)


def _of_terms(ct: Any, y: Any, a: Any, b: Any, *, axis: Any, keepdims: bool, signed: bool) -> Any:
    return fit(
        opened(ct, a.shape, axis, keepdims) * b * _shares(y, a, b, axis=axis, keepdims=keepdims, signed=signed), a
    )


def _of_weights(ct: Any, y: Any, a: Any, b: Any, *, axis: Any, keepdims: bool, signed: bool) -> Any:
    return fit(opened(ct, a.shape, axis, keepdims) * _shares(y, a, b, axis=axis, keepdims=keepdims, signed=signed), b)


logsumexp: Primitive = general(
    _logsumexp,
    _of_terms,
    _of_weights,
    name="logsumexp",
    jvp=_logsumexp_jvp,
    type_rule=lambda a, b, axis, keepdims, signed: reduced(a, axis, keepdims),
    samples=lambda: [
        ((some(3, 4), some(3, 4, low=0.5)), {"axis": (1,), "keepdims": False, "signed": False}),
        ((some(3, 4), some(3, 4, turn=0.2)), {"axis": (0, 1), "keepdims": True, "signed": True}),
        ((30 * some(4), np.ones(4)), {"axis": (0,), "keepdims": False, "signed": False}),
    ],
)
sign_of_sum = constant(
    lambda a, b, axis, keepdims: np.asarray(sp.logsumexp(a, axis, b, keepdims, True)[1])[()],
    name="logsumexp_sign",
    type_rule=lambda a, b, axis, keepdims: reduced(a, axis, keepdims),
    samples=lambda: [((some(3), some(3)), {"axis": (0,), "keepdims": False})],
)


@implements(sp.logsumexp)
def _bound_logsumexp(
    a: Any, axis: Axes = None, b: Any = None, keepdims: bool = False, return_sign: bool = False
) -> Any:
    """Terms of -inf have the derivative zero."""
    terms = as_array(a)
    weights = np.ones(terms.shape) if b is None else as_array(b) * 1.0
    if terms.dtype.kind == "c" or weights.dtype.kind == "c":
        raise UnsupportedError("scipy.special.logsumexp: no derivative rule for complex numbers. Use np.log(np.sum()).")
    shape = np.broadcast_shapes(terms.shape, weights.shape)
    terms = np.broadcast_to(terms * 1.0, shape)
    axes = axes_of(axis, len(shape))
    how = {"axis": axes, "keepdims": bool(keepdims)}
    y = bind(logsumexp, terms, np.broadcast_to(weights, shape), signed=bool(return_sign), **how)
    return (y, bind(sign_of_sum, terms, np.broadcast_to(weights, shape), **how)) if return_sign else y


@implements(sp.log_softmax)
def _log_softmax(x: Any, axis: Axes = None) -> Any:
    return x - _bound_logsumexp(x, axis, keepdims=True)


@implements(sp.softmax)
def _softmax(x: Any, axis: Axes = None) -> Any:
    return np.exp(_log_softmax(x, axis))


# --- derivatives of the digamma function ------------------------------------------------------------------------------
def _plain(name: str, value: Any, what: str) -> np.ndarray:
    if isinstance(value, Traced):
        raise UnsupportedError(f"scipy.special.{name}: no derivative rule with respect to {what}. Pass a plain number.")
    return np.asarray(value)


@implements(sp.polygamma)
def _polygamma(n: Any, x: Any) -> Any:
    order = _plain("polygamma", n, "the order n")
    safe = np.maximum(order, 1)
    higher = (-1.0) ** (safe + 1) * sp.gamma(safe + 1.0) * sp.zeta(safe + 1, x)
    return higher if np.all(order > 0) else np.where(order == 0, sp.psi(x), higher)


@implements(sp.multigammaln)
def _multigammaln(a: Any, d: Any) -> Any:
    n = int(_plain("multigammaln", d, "the dimension d"))
    total: Any = n * (n - 1) * 0.25 * np.log(pi)
    for j in range(n):
        total = total + sp.gammaln(a - j / 2)
    return total

"""scipy.stats: densities and distribution functions of some distributions.

Densities are differentiated in all their arguments; distribution functions not in the shapes of t, gamma, beta and
chi2. The values are SciPy's to rounding. Outside of its support a density is zero, and so is its derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from math import log, pi
from typing import Any

import numpy as np
import scipy.special
import scipy.stats

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced, bind, primal
from unspool.layout import ArrayType
from unspool.ops.shape import as_array
from unspool.ops.systems import solve_triangular
from unspool.ops.table import TABLE, Entry

sp: Any = scipy.special
st: Any = scipy.stats
Formula = Callable[..., Any]

_LOG_ROOT_2PI = 0.5 * log(2 * pi)
_EITHER = Parameter.POSITIONAL_OR_KEYWORD


def _enrol(distribution: str, method: str, names: tuple[str, ...], formula: Formula, **defaults: Any) -> None:
    """Let a formula answer for a method of a distribution; names that have no default must be given."""
    name = f"scipy.stats.{distribution}.{method}"

    def call(*args: Any, **kwargs: Any) -> Any:
        given = defaults | dict(zip(names, args, strict=False)) | kwargs
        missing = [n for n in names if n not in given]
        if missing:
            raise TypeError(f"{name}: missing the argument {missing[0]}")
        return formula(*[given[n] for n in names])

    call.__doc__ = formula.__doc__
    parameters = [Parameter(n, _EITHER, default=defaults.get(n, Parameter.empty)) for n in names]
    call.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    TABLE[getattr(getattr(st, distribution), method)] = Entry(name, call, len(names), frozenset(names))


# --- continuous, of one variable --------------------------------------------------------------------------------------
def _logarithm(p: Any, rest: Any) -> Any:
    """The logarithm of a probability, exact to rounding for all but certain ones too, by what is left to one."""
    zero, likely = p == 0, p > 0.5
    unlikely = np.log(np.where(np.logical_or(zero, likely), 1.0, p))
    return np.where(zero, -np.inf, np.where(likely, np.log1p(-np.where(likely, rest, 0.0)), unlikely))[()]


def _continuous(
    name: str,
    *shapes: str,
    log_density: Formula,
    below: Formula,
    above: Formula,
    support: tuple[float, float] = (-np.inf, np.inf),
    **methods: Formula,
) -> None:
    """Enrol a distribution from its logarithmic density and the probabilities below and above, on its support."""
    low, high = support
    middle = 0.5 if high == 1 else 1.0

    def standard(x: Any, given: tuple[Any, ...]) -> tuple[Any, Any, Any, tuple[Any, ...]]:
        *parameters, loc, scale = given
        width = np.where(as_array(scale) > 0, scale, np.nan)
        z = (as_array(x) - loc) / width
        inside = np.logical_and(z >= low, z <= high)
        return z, inside, width, tuple(parameters)

    def kept(z: Any, result: Any) -> Any:
        return np.where(np.isnan(z), np.nan, result)[()]

    def logpdf(x: Any, *given: Any) -> Any:
        z, inside, width, parameters = standard(x, given)
        value = log_density(np.where(inside, z, middle), *parameters) - np.log(width)
        return kept(z, np.where(inside, value, -np.inf))

    def pdf(x: Any, *given: Any) -> Any:
        return np.exp(logpdf(x, *given))

    def probability(formula: Formula, outside: tuple[float, float]) -> Formula:
        def of(x: Any, *given: Any) -> Any:
            z, inside, _, parameters = standard(x, given)
            value = formula(np.where(inside, z, middle), *parameters)
            return kept(z, np.where(inside, value, np.where(z < low, *outside)))

        of.__doc__ = f"Not in {' and '.join(shapes)}." if shapes else None
        return of

    cdf, sf = probability(below, (0.0, 1.0)), probability(above, (1.0, 0.0))
    all_methods: dict[str, Formula] = {
        "logpdf": logpdf,
        "pdf": pdf,
        "cdf": cdf,
        "sf": sf,
        "logcdf": lambda *args: _logarithm(cdf(*args), sf(*args)),
        "logsf": lambda *args: _logarithm(sf(*args), cdf(*args)),
    }
    for method in ("logcdf", "logsf"):
        all_methods[method].__doc__ = cdf.__doc__
    for method, formula in (all_methods | methods).items():
        first = "q" if method in ("ppf", "isf") else "x"
        _enrol(name, method, (first, *shapes, "loc", "scale"), formula, loc=0.0, scale=1.0)


def _units(x: Any, loc: Any, scale: Any) -> Any:
    return (as_array(x) - loc) / np.where(as_array(scale) > 0, scale, np.nan)


_continuous(
    "norm",
    log_density=lambda z: -0.5 * z * z - _LOG_ROOT_2PI,
    below=sp.ndtr,
    above=lambda z: sp.ndtr(-z),
    logcdf=lambda x, loc, scale: sp.log_ndtr(_units(x, loc, scale)),
    logsf=lambda x, loc, scale: sp.log_ndtr(-_units(x, loc, scale)),
    ppf=lambda q, loc, scale: sp.ndtri(as_array(q)) * scale + loc,
    isf=lambda q, loc, scale: -sp.ndtri(as_array(q)) * scale + loc,
)
_continuous(
    "t",
    "df",
    log_density=lambda z, df: -sp.betaln(df / 2.0, 0.5) - 0.5 * np.log(df) - 0.5 * (df + 1.0) * np.log1p(z * z / df),
    below=lambda z, df: sp.stdtr(df, z),
    above=lambda z, df: sp.stdtr(df, -z),
)
_continuous(
    "gamma",
    "a",
    log_density=lambda z, a: sp.xlogy(a - 1.0, z) - z - sp.gammaln(a),
    below=lambda z, a: sp.gammainc(a, z),
    above=lambda z, a: sp.gammaincc(a, z),
    support=(0.0, np.inf),
)
_continuous(
    "beta",
    "a",
    "b",
    log_density=lambda z, a, b: sp.xlog1py(b - 1.0, -z) + sp.xlogy(a - 1.0, z) - sp.betaln(a, b),
    below=lambda z, a, b: sp.betainc(a, b, z),
    above=lambda z, a, b: sp.betaincc(a, b, z),
    support=(0.0, 1.0),
)
_continuous(
    "chi2",
    "df",
    log_density=lambda z, df: sp.xlogy(df / 2.0 - 1.0, z) - z / 2.0 - sp.gammaln(df / 2.0) - 0.5 * log(2) * df,
    below=lambda z, df: sp.gammainc(df / 2.0, z / 2.0),
    above=lambda z, df: sp.gammaincc(df / 2.0, z / 2.0),
    support=(0.0, np.inf),
)


# --- counts -----------------------------------------------------------------------------------------------------------
def _counts(k: Any, loc: Any) -> Any:
    if isinstance(k, Traced) or isinstance(loc, Traced):
        raise UnsupportedError(
            "scipy.stats.poisson: counts k and their origin loc are whole numbers, which have no derivative. Pass "
            "plain ones."
        )
    return np.asarray(k, float) - loc


def _logpmf(k: Any, mu: Any, loc: Any) -> Any:
    """In mu."""
    count = _counts(k, loc)
    inside = np.logical_and(count >= 0, count == np.floor(count))
    safe = np.where(inside, count, 0.0)
    return np.where(inside, sp.xlogy(safe, mu) - sp.gammaln(safe + 1.0) - mu, -np.inf)[()]


def _pmf(k: Any, mu: Any, loc: Any) -> Any:
    """In mu."""
    return np.exp(_logpmf(k, mu, loc))


def _poisson(upper: bool) -> Formula:
    def probability(k: Any, mu: Any, loc: Any) -> Any:
        count = np.floor(_counts(k, loc))
        value = (sp.gammainc if upper else sp.gammaincc)(np.maximum(count, 0.0) + 1.0, mu)
        return np.where(count >= 0, value, 1.0 if upper else 0.0)[()]

    probability.__doc__ = "In mu."
    return probability


for _method, _formula in (("logpmf", _logpmf), ("pmf", _pmf), ("cdf", _poisson(False)), ("sf", _poisson(True))):
    _enrol("poisson", _method, ("k", "mu", "loc"), _formula, loc=0.0)


# --- of several variables ---------------------------------------------------------------------------------------------
def _dirichlet_logpdf(x: Any, alpha: Any) -> Any:
    """The parts are looked at: each must be positive, and their sum one."""
    parts, alpha = as_array(x), as_array(alpha) * 1.0
    known = [primal(v) for v in (parts, alpha)]
    if not any(isinstance(v, ArrayType) for v in known):
        st.dirichlet.logpdf(*[np.asarray(v) for v in known])  # its errors
    if parts.shape[0] + 1 == alpha.shape[0]:
        parts = np.concatenate((parts, 1.0 - np.sum(parts, axis=0, keepdims=True)))
    shape = (-1, *(1,) * (parts.ndim - 1))
    normalised = sp.gammaln(np.sum(alpha)) - np.sum(sp.gammaln(alpha))
    return normalised + np.sum(sp.xlogy(np.reshape(alpha, shape) - 1.0, parts), axis=0)


def _dirichlet_pdf(x: Any, alpha: Any) -> Any:
    """The parts are looked at: each must be positive, and their sum one."""
    return np.exp(_dirichlet_logpdf(x, alpha))


_enrol("dirichlet", "logpdf", ("x", "alpha"), _dirichlet_logpdf)
_enrol("dirichlet", "pdf", ("x", "alpha"), _dirichlet_pdf)


def _dimension(mean: Any, cov: Any) -> int:
    return int(np.shape(mean)[0] if np.ndim(mean) else np.shape(cov)[0] if np.ndim(cov) == 2 else 1)


def _factor(cov: Any, n: int) -> Any:
    """The lower Cholesky factor of the covariance: of a matrix, a diagonal, or one number for all variables."""
    covariance = as_array(cov) * 1.0
    if covariance.ndim < 2:
        return np.diag(np.broadcast_to(np.sqrt(covariance), (n,)))
    return np.linalg.cholesky(covariance)


def _normal_logpdf(x: Any, mean: Any, cov: Any, allow_singular: bool = False) -> Any:
    """By the Cholesky factor, which reads the lower triangle of the covariance, where the derivative lies."""
    if allow_singular:
        raise UnsupportedError("scipy.stats.multivariate_normal: no derivative rule for allow_singular=True.")
    points = as_array(x) * 1.0
    n = _dimension(mean, cov)
    if points.ndim == 0:
        points = np.reshape(points, (1,))
    elif points.ndim == 1 and n == 1:
        points = points[:, None]
    factor = _factor(cov, n)
    away = np.broadcast_to(points - (0.0 if mean is None else mean), (*points.shape[:-1], n))
    rows = np.reshape(away, (-1, n))
    z = bind(solve_triangular, factor, np.transpose(rows), lower=True, unit=False, trans=0, check=False)
    distance = np.reshape(np.sum(z * z, axis=0), away.shape[:-1])
    return -0.5 * distance - n * _LOG_ROOT_2PI - np.sum(np.log(np.diagonal(factor)))


def _normal_pdf(x: Any, mean: Any, cov: Any, allow_singular: bool = False) -> Any:
    """By the Cholesky factor, which reads the lower triangle of the covariance, where the derivative lies."""
    return np.exp(_normal_logpdf(x, mean, cov, allow_singular))


def _normal_entropy(mean: Any, cov: Any) -> Any:
    """By the Cholesky factor, which reads the lower triangle of the covariance, where the derivative lies."""
    n = _dimension(mean, cov)
    factor = _factor(cov, n)
    return n * (0.5 + _LOG_ROOT_2PI) + np.sum(np.log(np.diagonal(factor)))


_DEFAULTS: dict[str, Any] = {"mean": None, "cov": 1.0}
for _method, _density in (("logpdf", _normal_logpdf), ("pdf", _normal_pdf)):
    _names = ("x", "mean", "cov", "allow_singular")
    _enrol("multivariate_normal", _method, _names, _density, allow_singular=False, **_DEFAULTS)
_enrol("multivariate_normal", "entropy", ("mean", "cov"), _normal_entropy, **_DEFAULTS)

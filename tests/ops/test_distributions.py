"""Densities and distribution functions: SciPy's values everywhere, derivatives inside, zeros outside."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import scipy.stats

import unspool
from tests.ops.agreement import agrees, some
from unspool.errors import UnsupportedError
from unspool.scipy import stats

METHODS = ("pdf", "logpdf", "cdf", "logcdf", "sf", "logsf")
SHAPES: dict[str, tuple[float, ...]] = {"norm": (), "t": (3.5,), "gamma": (2.5,), "beta": (2.5, 1.7), "chi2": (3.2,)}
INSIDE = some(3, 4, low=0.1, high=0.9)
EVERYWHERE = np.array([-3.0, -0.0, 0.0, 0.3, 1.0, 2.0, 40.0, np.nan])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SHAPES)
def test_values(name: str, method: str) -> None:
    ours, theirs = getattr(getattr(stats, name), method), getattr(getattr(scipy.stats, name), method)
    for scale in (1.0, 2.5, -1.0, np.array([1.0, -1.0] * 4)):
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = theirs(EVERYWHERE, *SHAPES[name], 0.1, scale)
            found = unspool.vjp(lambda x: ours(x, *SHAPES[name], 0.1, scale), EVERYWHERE)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SHAPES)
def test_derivatives(name: str, method: str) -> None:
    f, shapes = getattr(getattr(stats, name), method), SHAPES[name]
    agrees(lambda x, loc, scale: f(x, *shapes, loc, scale), INSIDE, 0.05, 1.2, exact=False)
    agrees(lambda x: f(x, *shapes), INSIDE, exact=False)
    agrees(lambda scale: f(0.4, *shapes, scale=scale), INSIDE + 1, exact=False)
    if "pdf" in method:
        agrees(f, INSIDE, *shapes, exact=False)
    elif shapes:
        with pytest.raises(UnsupportedError, match="no derivative rule with respect to"):
            unspool.grad(lambda s: f(0.4, s, *shapes[1:]))(shapes[0])


@pytest.mark.parametrize("name", ["gamma", "beta", "chi2"])
def test_outside_of_the_support_nothing_changes(name: str) -> None:
    for method in ("pdf", "cdf", "sf"):
        f = getattr(getattr(stats, name), method)
        gradient = unspool.grad(lambda x: np.sum(f(x, *SHAPES[name])))(np.array([-1.0, -3.0]))
        np.testing.assert_array_equal(gradient, [0.0, 0.0])


def test_tails_of_the_normal_distribution() -> None:
    gradient = unspool.grad(stats.norm.logcdf)(-40.0)
    assert gradient == pytest.approx(40.02496, rel=1e-6)
    for f in (stats.norm.ppf, stats.norm.isf):
        agrees(f, INSIDE, exact=False)
        agrees(f, INSIDE, 0.3, 2.0, exact=False)


def test_poisson() -> None:
    k = np.array([0, 1, 3, 7, -1])
    for method in ("pmf", "logpmf", "cdf", "sf"):
        f = getattr(stats.poisson, method)
        mu = some(5, low=0.5, high=4.0)
        at = k[:4] if method == "logpmf" else k
        agrees(lambda mu: f(at, mu), mu[: len(at)], exact=False)
        agrees(lambda mu: f(2, mu, 1), 1.3, exact=False)
        found = unspool.vjp(lambda mu: f(np.array([1.5, 2.0, -0.5]), mu), 1.3)[0]
        np.testing.assert_allclose(found, f(np.array([1.5, 2.0, -0.5]), 1.3), rtol=1e-12)
        with pytest.raises(UnsupportedError, match="whole numbers"):
            unspool.vjp(lambda x: f(x, 2.0), 1.0)


def test_dirichlet() -> None:
    alpha, x = np.array([1.5, 2.0, 3.5]), np.array([0.2, 0.3, 0.5])
    for f in (stats.dirichlet.pdf, stats.dirichlet.logpdf):
        agrees(lambda a: f(x, a), alpha, exact=False)
        agrees(f, x[:2], alpha, exact=False)
        agrees(lambda a: f(np.stack([x, x[::-1]], 1), a), alpha, exact=False)
        with pytest.raises(ValueError, match="simplex"):
            unspool.vjp(f, x + 0.1, alpha)


def test_multivariate_normal() -> None:
    mean, root = some(3), some(3, 3)
    cov = root @ root.T + np.eye(3)
    for f in (stats.multivariate_normal.pdf, stats.multivariate_normal.logpdf):
        for x in (some(3, turn=0.2), some(4, 3), some(2, 2, 3)):
            agrees(lambda x, m, r: f(x, m, r @ r.T + np.eye(3)), x, mean, root, exact=False)
        agrees(lambda x, d: f(x, mean, d), some(3), np.array([1.0, 2.0, 0.5]), exact=False)
        agrees(lambda x, c: f(x, mean, c), some(3), 2.0, exact=False)
        agrees(lambda x: f(x), some(5), exact=False)
        agrees(lambda x: f(x, 0.3, 2.0), 1.2, exact=False)
        lower = np.tril(np.ones((3, 3)))
        gradient = unspool.grad(lambda c: f(some(3), mean, c))(cov)
        assert np.all(gradient[lower == 0] == 0)
        with pytest.raises(UnsupportedError, match="allow_singular"):
            unspool.vjp(lambda x: f(x, mean, cov, True), some(3))
    agrees(lambda r: stats.multivariate_normal.entropy(mean, r @ r.T + np.eye(3)), root, exact=False)
    agrees(lambda d: stats.multivariate_normal.entropy(mean, d), np.array([1.0, 2.0, 0.5]), exact=False)
    agrees(lambda d: stats.multivariate_normal.entropy(cov=d), 1.5, exact=False)


def test_second_derivatives() -> None:
    agrees(unspool.grad(lambda p: stats.t.logpdf(0.3, p[0], p[1], p[2])), np.array([3.0, 0.1, 1.5]), exact=False)
    agrees(unspool.grad(lambda p: stats.beta.logpdf(0.3, p[0], p[1])), np.array([2.0, 1.5]), exact=False)


def test_frozen_distributions() -> None:
    agrees(lambda m, s: stats.norm(m, s).logpdf(INSIDE), 0.3, 1.2, exact=False)
    agrees(lambda a: stats.gamma(a, scale=2.0).pdf(INSIDE), 1.7, exact=False)
    assert type(stats.norm(0.0, 1.0)) is type(scipy.stats.norm(0.0, 1.0))


def test_arguments() -> None:
    with pytest.raises(TypeError, match="missing the argument a"):
        unspool.vjp(stats.gamma.logpdf, 1.0)
    with pytest.raises(UnsupportedError, match="shape="):
        unspool.vjp(lambda x: stats.norm.logpdf(x, shape=3), 1.0)
    assert stats.norm.rvs(size=2, random_state=0).shape == (2,)
    assert stats.norm.name == "norm"
    assert "norm" in repr(stats.norm) or "Distribution" in repr(stats.norm)
    with pytest.raises(AttributeError):
        _ = stats.norm.no_such
    assert copy.copy(stats.norm).logpdf(0.0) == scipy.stats.norm.logpdf(0.0)

"""scipy.stats for traced values: densities and distribution functions; what is not listed here is SciPy's own."""

from __future__ import annotations

from functools import partial
from typing import Any

import scipy.stats as _scipy

from unspool.ops import TABLE
from unspool.scipy.mirror import any_traced, mirrored


class Distribution:
    """One of SciPy's distributions, whose methods with a derivative rule take traced values.

    It can be called with its parameters, as SciPy's: the result has the same methods without those parameters.

    >>> import unspool
    >>> unspool.grad(lambda mean: norm.logpdf(1.0, mean))(0.25)
    np.float64(0.75)
    """

    def __init__(self, theirs: Any) -> None:
        self._theirs = theirs

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_theirs":  # asked while a copy is being made
            raise AttributeError(name)
        method = getattr(self._theirs, name)
        return mirrored(method) if callable(method) and TABLE.get(method) is not None else method

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The distribution with these parameters."""
        if any_traced(args) or any_traced(kwargs.values()):
            return Frozen(self, args, kwargs)
        return self._theirs(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Distribution({self._theirs!r})"


class Frozen:
    """A distribution with traced parameters."""

    def __init__(self, distribution: Distribution, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._distribution, self._args, self._kwargs = distribution, args, kwargs

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return partial(_called, getattr(self._distribution, name), self._args, self._kwargs)


def _called(method: Any, parameters: tuple[Any, ...], named: dict[str, Any], *args: Any) -> Any:
    return method(*args, *parameters, **named)


beta = Distribution(_scipy.beta)
chi2 = Distribution(_scipy.chi2)
dirichlet = Distribution(_scipy.dirichlet)
gamma = Distribution(_scipy.gamma)
multivariate_normal = Distribution(_scipy.multivariate_normal)
norm = Distribution(_scipy.norm)
poisson = Distribution(_scipy.poisson)
t = Distribution(_scipy.t)


def __getattr__(name: str) -> Any:
    return getattr(_scipy, name)

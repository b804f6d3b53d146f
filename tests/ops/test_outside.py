"""SciPy's own functions given traced values: refused by name, with the function that takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.interpolate
import scipy.linalg
import scipy.optimize
import scipy.sparse
import scipy.special
import scipy.stats

import unspool
from unspool.errors import DetachedError, UnsupportedError

A = np.eye(3) * 3 + 0.1
T = np.arange(3.0)

WITH_A_RULE = {
    "scipy.linalg.solve": lambda x: scipy.linalg.solve(A, x),
    "scipy.linalg.solve_triangular": lambda x: scipy.linalg.solve_triangular(np.outer(x, x) + A, T),
    "scipy.linalg.solve_banded": lambda x: scipy.linalg.solve_banded((1, 1), A, x),
    "scipy.linalg.lu_factor": lambda x: scipy.linalg.lu_factor(A * x),
}
WITHOUT = {
    "scipy.linalg.signm": lambda x: scipy.linalg.signm(A * x),
    "scipy.interpolate.BSpline": lambda x: scipy.interpolate.BSpline(np.arange(9.0), np.ones(5), 3)(x + 3),
    "scipy.integrate.nquad": lambda x: scipy.integrate.nquad(lambda t: t * x[0], [(0, 1)]),
    "scipy.stats.cauchy": scipy.stats.cauchy.logpdf,
}


@pytest.mark.parametrize("name", WITH_A_RULE)
def test_the_way_out_is_named(name: str) -> None:
    with pytest.raises(DetachedError, match=rf"{name} was given .* Use unspool\.{name}, "):
        unspool.vjp(WITH_A_RULE[name], T)


@pytest.mark.parametrize("name", WITHOUT)
def test_what_has_no_rule_is_named(name: str) -> None:
    with pytest.raises(DetachedError, match=rf"{name} was given .* unspool.custom_vjp"):
        unspool.vjp(WITHOUT[name], T)


def test_the_users_own_mistake_inside_a_callback_is_not_blamed_on_scipy() -> None:
    def f(x: Any) -> Any:
        def residual(y: Any) -> Any:
            np.zeros(3)[:] = x  # the user's own
            return y

        return scipy.optimize.fixed_point(residual, np.ones(3))

    with pytest.raises(DetachedError, match=r"^a traced value of shape"):
        unspool.vjp(f, T)


def test_what_behaves_as_an_array_and_is_none_is_refused_as_an_operand() -> None:
    class Series:
        __array_priority__ = 1000

        def __rmul__(self, other: Any) -> str:
            return "something else"

    for call in (lambda x: x * Series(), lambda x: np.multiply(x, Series()), lambda x: Series() @ x):
        with pytest.raises((UnsupportedError, TypeError), match="Series"):
            unspool.vjp(call, T)

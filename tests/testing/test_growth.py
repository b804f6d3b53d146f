"""The growth of the cotangent: known for linear maps, of the known sign for Lorenz-63."""

from __future__ import annotations

from math import inf, log
from typing import Any

import numpy as np
import pytest

from unspool.testing.growth import adjoint_growth


def _lorenz(rho: float, dt: float = 0.01) -> Any:
    def rate(u: Any) -> Any:
        x, y, z = u
        return np.stack([10.0 * (y - x), x * (rho - z) - y, x * y - 8.0 / 3.0 * z])

    def step(i: int, u: Any) -> Any:
        a = rate(u)
        b = rate(u + 0.5 * dt * a)
        c = rate(u + 0.5 * dt * b)
        return u + dt / 6 * (a + 2 * b + 2 * c + rate(u + dt * c))

    return step


@pytest.mark.parametrize("rho", [0.5, 1.0, 1.3])
@pytest.mark.parametrize("policy", ["none", "every-7", "revolve-3"])
def test_a_linear_map_grows_by_its_spectral_radius(rho: float, policy: str) -> None:
    matrix = rho * np.array([[np.cos(1.0), -np.sin(1.0)], [np.sin(1.0), np.cos(1.0)]])
    growth = adjoint_growth(lambda i, u: matrix @ u, np.ones(2), 40, policy=policy)
    assert growth.rate == pytest.approx(log(rho), abs=1e-12)
    assert growth.norms == pytest.approx(rho ** np.arange(40, -1, -1.0))
    assert growth.n_steps == 40


def test_the_norms_are_the_same_to_the_last_bit_under_every_policy() -> None:
    step, init = _lorenz(28.0), np.array([1.0, 1.0, 20.0])
    one, other = (adjoint_growth(step, init, 100, policy=policy).norms for policy in ("none", "revolve-4"))
    assert np.array_equal(one, other)


def test_a_chaotic_system_is_warned_of() -> None:
    growth = adjoint_growth(_lorenz(28.0), np.array([1.0, 1.0, 20.0]), 4500, policy="every-500")
    assert growth.rate == pytest.approx(0.009, abs=0.002)  # the exponent is 0.906 per unit of time
    assert not growth.meaningful
    assert growth.horizon_steps < 4500
    assert "chaotic" in str(growth)
    assert "rate: +0.00" in str(growth)


def test_below_the_transition_the_cotangent_shrinks() -> None:
    growth = adjoint_growth(_lorenz(12.0), np.array([1.0, 1.0, 10.0]), 1500, policy="every-500")
    assert growth.rate < -0.001
    assert growth.meaningful
    assert growth.horizon_steps == inf
    assert "shrinks" in growth.verdict
    assert "forgets" in growth.verdict


def test_growth_within_the_digits_is_no_warning() -> None:
    growth = adjoint_growth(lambda i, u: 1.01 * u, 1.0, 100)
    assert growth.meaningful
    assert growth.verdict == "The cotangent grows by 1.00% per step back: over 100 steps by 0.4 of 16 digits."


def test_a_nest_and_a_cotangent_of_ones_own() -> None:
    def step(i: int, state: Any) -> Any:
        return {"u": 2.0 * state["u"], "n": state["n"] + 1}

    growth = adjoint_growth(step, {"u": np.ones(3), "n": 0}, 5, {"u": np.array([3.0, 0.0, 4.0]), "n": 0})
    assert growth.norms.tolist() == [160.0, 80.0, 40.0, 20.0, 10.0, 5.0]


def test_what_vanishes_or_overflows_has_no_rate_or_one_of_what_is_left() -> None:
    forgotten = adjoint_growth(lambda i, u: 0.0 * u, np.ones(2), 5)
    assert np.isnan(forgotten.rate)
    assert "no rate" in forgotten.verdict
    exploded = adjoint_growth(lambda i, u: 1e100 * u * np.ones(2) / 1e90, 1e-300 * np.ones(2), 40)
    assert exploded.rate == pytest.approx(log(1e10))
    assert not exploded.meaningful
    assert "<pre>" in exploded._repr_html_()

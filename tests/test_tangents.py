"""Forward mode: a tangent beside every value, nothing kept."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest

import unspool
from unspool import jvp
from unspool.errors import ClosedError
from unspool.tangents import Tangents

X, V = np.array([0.3, -0.2, 0.5]), np.array([1.0, 2.0, -1.0])


def test_nothing_is_kept_however_long_it_takes() -> None:
    refs: list[Any] = []

    def f(x: Any) -> Any:
        for _ in range(50):
            x = np.sin(x) * 1.01
            refs.append(weakref.ref(x.value))
            assert sum(ref() is not None for ref in refs) <= 2
        return x

    jvp(f, (X,), (V,))
    assert len(refs) == 50


def test_values_that_do_not_move_have_no_tangent() -> None:
    sweep = Tangents()

    def f(x: Any) -> Any:
        still = np.zeros_like(x) + 1.0
        assert still.node is None
        moved = still * x
        assert moved.node is not None
        return moved, still, np.round(x), x > 0

    out, tangent = jvp(f, (X,), (V,))
    assert tangent[0].tolist() == V.tolist()
    assert tangent[1].tolist() == tangent[2].tolist() == tangent[3].tolist() == [0.0, 0.0, 0.0]
    assert out[3].dtype == bool
    assert sweep.tangent_of(3.0) is None
    assert sweep.primal_of(3.0) == 3.0


def test_writes_carry_tangents_along() -> None:
    def f(x: Any) -> Any:
        u = np.zeros_like(x)
        u[1:] = x[:-1] * 2
        u[0] = 5.0
        view = u[::2]
        view *= x[0]
        return u

    out, tangent = jvp(f, (X,), (V,))
    assert out.tolist() == [5 * 0.3, 2 * 0.3, 2 * -0.2 * 0.3]
    np.testing.assert_allclose(tangent, [5.0, 2.0, 2 * 2.0 * 0.3 + 2 * -0.2 * 1.0])


def test_a_value_that_escapes_raises_when_it_is_used() -> None:
    leaked: list[Any] = []
    jvp(lambda x: leaked.append(x) or x, (X,), (V,))
    with pytest.raises(ClosedError, match="had ended"):
        leaked[0] * 2


def test_the_tangent_is_linear_in_its_direction() -> None:
    f = lambda x: np.cumsum(np.tanh(x)) * np.linalg.norm(x)
    one, other = jvp(f, (X,), (V,))[1], jvp(f, (X,), (X,))[1]
    np.testing.assert_allclose(jvp(f, (X,), (2 * V - 3 * X,))[1], 2 * one - 3 * other, rtol=1e-13)
    assert not jvp(f, (X,), (np.zeros(3),))[1].any()


def test_loops_in_forward_mode_run_every_step_once_more_at_most() -> None:
    calls = [0]

    def step(i: int, u: Any) -> Any:
        calls[0] += 1
        return np.sin(u)

    jvp(lambda x: unspool.fori_loop(0, 10, step, x, policy="revolve-2"), (X,), (V,))
    assert calls[0] <= 11

"""A loop as a primitive: its rules are loops again, so that every nesting of transforms closes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unspool
from unspool import grad, hvp, jvp, scan, vjp

X = np.array([0.3, -0.2, 0.5])


def _f(x: Any, policy: Any) -> Any:
    rows = x[:2] * np.array([1.0, 2.0])

    def step(s: Any, r: Any) -> Any:
        u, n, v = s
        new = np.tanh(u * x[2] + r) + 0.1 * v, n + 1, v * np.cos(u[0]) * (1 + n)
        return new, {"w": u * v, "k": n}

    (u, n, v), ys = scan(step, (x * 1.0, 0, x[1]), rows, policy=policy)
    assert n == 2
    assert ys["k"].tolist() == [0, 1]
    return np.sum(u**2) * v + np.sum(ys["w"] ** 2)


def _python(x: Any) -> Any:
    u, v, total = x * 1.0, x[1], 0.0
    for n in range(2):
        r = x[n] * (n + 1.0)
        total = total + np.sum((u * v) ** 2)
        u, v = np.tanh(u * x[2] + r) + 0.1 * v, v * np.cos(u[0]) * (1 + n)
    return np.sum(u**2) * v + total


MODES = st.lists(st.sampled_from(["grad", "jvp"]), min_size=1, max_size=3)


@settings(max_examples=25)
@given(modes=MODES, policy=st.sampled_from(["none", "every-1", "revolve-1", "online-1"]))
def test_any_nesting_through_a_loop_equals_that_through_a_python_loop(modes: list[str], policy: str) -> None:
    v = np.array([0.4, 0.1, -0.3])

    def deeper(f: Any, mode: str) -> Any:
        if mode == "grad":
            return lambda x: np.sum(grad(f)(x) * v)
        return lambda x: jvp(f, (x,), (v,))[1]

    def nested(f: Any) -> Any:
        for mode in modes:
            f = deeper(f, mode)
        return f(X)

    assert nested(lambda x: _f(x, policy)) == pytest.approx(float(nested(_python)), rel=1e-10, abs=1e-12)


def test_a_pullback_of_a_loop_is_itself_differentiated() -> None:
    def g(x: Any, policy: Any) -> Any:
        _, pullback = vjp(lambda y: unspool.fori_loop(0, 3, lambda i, u: np.sin(u) * x, y, policy=policy), x)
        return np.sum(pullback(x**2)[0])

    h = 1e-6
    for policy in ("none", "every-2", "revolve-1"):
        found = grad(lambda x, p=policy: g(x, p))(X)
        expected = [(g(X + h * e, policy) - g(X - h * e, policy)) / (2 * h) for e in np.eye(3)]
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


def test_transforms_of_a_loop_of_no_steps() -> None:
    f = lambda x: np.sum(unspool.fori_loop(0, 0, lambda i, u: u * x, x) ** 2)
    np.testing.assert_allclose(hvp(f)(X, X), 2 * X)
    g = lambda x: np.sum(scan(lambda u, r: (u * r, u * x), x, np.zeros((0, 3)))[1]) + x[0]
    assert grad(g)(X).tolist() == [1.0, 0.0, 0.0]
    assert jvp(g, (X,), (X,))[1] == X[0]
    w = lambda x: unspool.while_loop(lambda u: False, lambda u: u * 2, x) ** 2
    assert (grad(w)(3.0), grad(grad(w))(3.0), jvp(w, (3.0,), (1.0,))[1]) == (6.0, 2.0, 6.0)


def test_a_step_that_reads_more_later_is_followed_in_nested_transforms_too() -> None:
    def f(x: Any, policy: Any) -> Any:
        parts = [x[k] * 1.0 for k in range(3)]

        def step(i: int, u: Any) -> Any:
            return u * parts[i] + parts[0] if i < 3 else u

        return unspool.fori_loop(0, 3, step, x[1], policy=policy)

    def python(x: Any) -> Any:
        u = x[1]
        for i in range(3):
            u = u * x[i] + x[0]
        return u

    for policy in ("none", "revolve-1"):
        np.testing.assert_allclose(hvp(lambda x, p=policy: f(x, p))(X, X), hvp(python)(X, X), rtol=1e-13)


def test_in_place_steps_and_views_pass_through_nested_transforms() -> None:
    def f(x: Any, loop: Any) -> Any:
        w = x * 2.0
        view = w[1:]
        w[0] = x[2] ** 2

        def step(i: int, u: Any) -> Any:
            v = u[::-1]
            v *= view[0]
            u[1:] += w[0] * u[:-1]
            return u

        return np.sum(loop(3, step, x * 1.0) ** 2)

    def python(n: int, step: Any, u: Any) -> Any:
        for i in range(n):
            u = step(i, u)
        return u

    for policy in ("none", "every-2", "revolve-1", "online-1"):
        ours = lambda n, step, u, p=policy: unspool.fori_loop(0, n, step, u, policy=p)
        np.testing.assert_allclose(
            hvp(lambda x, loop=ours: f(x, loop))(X, X), hvp(lambda x: f(x, python))(X, X), rtol=1e-12
        )

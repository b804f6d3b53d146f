"""Counters, flags and tables of whole numbers in the state and the rows of compiled loops."""

from typing import Any

import numpy as np
import pytest

import unspool
import unspool.worth
from unspool import fori_loop, grad, hvp, jit, jvp, scan, value_and_grad, while_loop
from unspool.errors import UnsupportedError

DATA = np.cos(np.arange(60.0))
K = 0.97


def counter(k: Any, **how: Any) -> Any:
    return np.sum(fori_loop(0, 30, lambda i, s: (s[0] + 1, s[1] * k + 0.1 * s[0]), (0, np.ones(3)), **how)[1])


def backwards(k: Any, **how: Any) -> Any:
    return fori_loop(0, 30, lambda i, s: (s[0] - 2, s[1] * k + 1e-2 * s[0] ** 2), (50, 1.0), **how)[1]


def condition(k: Any, **how: Any) -> Any:
    n, u = while_loop(lambda s: s[0] < 40, lambda s: (s[0] + 1, s[1] * k + 0.01 * s[0]), (0, np.ones(3)), **how)
    return np.sum(u) * n


def rows_and_flags(k: Any, **how: Any) -> Any:
    def step(s: Any, x: Any) -> Any:
        n, flag, u = s
        u = np.where(flag, u * k, u + 0.1 * x[0])
        return (n + 3, (u > 0.5) & x[1], u), u * x[0]

    n, _, u, ys = *(s := scan(step, (1, True, 1.0), (np.arange(20), np.arange(20) % 3 > 0), **how))[0], s[1]
    return u + np.sum(ys) + 0.1 * n


def table(k: Any, **how: Any) -> Any:
    return fori_loop(0, 25, lambda i, s: (s[0] + 2, s[1] * k + DATA[s[0] // 2] + DATA[s[0]]), (0, 1.0), **how)[1]


def accepted(k: Any, **how: Any) -> Any:
    def step(i: Any, s: Any) -> Any:
        n, u = s
        return np.where(u > 0.3, n + 1, n), u * k + 1e-3 * n

    n, u = fori_loop(0, 40, step, (np.int64(1), 1.0), **how)
    return u * n


def fields(k: Any, **how: Any) -> Any:
    def step(i: Any, s: Any) -> Any:
        n, u = s
        return n + np.array([1, 2]), u + 0.01 * k * np.roll(u, 1, axis=0) * n[1] + 1e-4 * n[0]

    n, u = fori_loop(0, 12, step, (np.array([1, 5]), np.sin(np.arange(1200.0)).reshape(40, 30)), **how)
    return np.sum(u * u) + n[0]


LOOPS = [counter, backwards, condition, rows_and_flags, table, accepted, fields]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("policy", ["none", "every-4", "online-3"])
def test_the_gradient_is_that_of_the_tape(loop: Any, policy: str) -> None:
    with unspool.observe() as log:
        found = value_and_grad(lambda k: loop(k, compile=True, policy=policy))(K)
    assert log[-1].compiled
    np.testing.assert_allclose(found, value_and_grad(lambda k: loop(k, compile=False, policy=policy))(K), rtol=1e-12)
    h = 1e-6
    np.testing.assert_allclose(found[1], (loop(K + h) - loop(K - h)) / (2 * h), rtol=1e-6)


@pytest.mark.parametrize("loop", LOOPS)
def test_forward_mode_and_second_derivatives(loop: Any) -> None:
    for f in (lambda g: jvp(g, (K,), (1.0,))[1], lambda g: hvp(g)(K, 1.0)):
        found, expected = [f(lambda k, how=how: loop(k, compile=how)) for how in (True, False)]
        np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize("loop", [counter, backwards, table, fields])
def test_counters_under_jit(loop: Any) -> None:
    fast = jit(value_and_grad(loop))
    for k in (K, 0.9):
        np.testing.assert_allclose(fast(k), value_and_grad(loop)(k), rtol=1e-12)


@pytest.mark.parametrize("compile", [True, False])
def test_results_keep_their_types(compile: bool) -> None:
    n, flag, many, u = fori_loop(
        0, 5, lambda i, s: (s[0] + 1, ~s[1], s[2] * 2, s[3] * 0.5), (3, True, np.arange(3), 1.0), compile=compile
    )
    assert (type(n), n, type(flag), flag) == (np.int64, 8, np.bool_, False)
    np.testing.assert_array_equal(many, [0, 32, 64], strict=True)
    assert (type(u), u) == (np.float64, 2.0**-5)


def growing(k: Any, **how: Any) -> Any:
    return fori_loop(0, 30, lambda i, s: (s[0] * 3, s[1] * k + 1e-9 * s[0]), (1, 1.0), **how)[1]


def test_numbers_that_grow_too_large_run_on_the_tape(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnsupportedError, match=r"a whole number in the state of fori_loop reaches 2\*\*30"):
        grad(lambda k: growing(k, compile=True))(K)
    monkeypatch.setattr(unspool.worth, "ENOUGH_STEPS", 1)
    with unspool.observe() as log:
        found = grad(growing)(K)
    assert found == grad(lambda k: growing(k, compile=False))(K)
    assert "reaches 2**30" in log[0].not_compiled


def test_numbers_that_are_too_large_at_the_start() -> None:
    for init, xs in ((2**40, np.arange(3)), (0, np.full(3, -(2**30)))):
        with pytest.raises(UnsupportedError, match=r"has whole numbers of 2\*\*30 or more"):
            scan(lambda s, x: ((s[0], s[1] + s[0] + x), None), (init, 0.0), xs, compile=True)


def test_a_counter_of_very_many_steps_is_watched() -> None:
    def loss(k: Any, by: int) -> Any:
        return fori_loop(0, 300, lambda i, s: (s[0] + by, s[1] * k), (0, 1.0), compile=True)[1]

    assert grad(lambda k: loss(k, 1000))(K) == pytest.approx(300 * K**299)
    with pytest.raises(UnsupportedError, match="reaches"):
        grad(lambda k: loss(k, 2**25))(K)


@pytest.mark.parametrize("init", [np.int32(0), np.uint8(0)])
def test_other_whole_numbers_are_refused(init: Any) -> None:
    with pytest.raises(UnsupportedError, match="only float64, int64 and bool are compiled"):
        fori_loop(0, 3, lambda i, s: (s[0] + init.dtype.type(1), s[1] * 0.5), (init, 1.0), compile=True)


def test_a_counter_that_becomes_a_float_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"returns f64\[\] in the place of i64\[\]"):
        fori_loop(0, 3, lambda i, s: (s[0] + 1.0, s[1] * 0.5), (0, 1.0), compile=True)

"""Equal keys promise equal programs: whatever a step can depend on changes its key, or it has none."""

from __future__ import annotations

import math
import random
import time
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from unspool import fori_loop, grad, scan, traced_steps
from unspool.adjoint.fingerprint import Fingerprint, Unknown

SCALE, TABLE, NAMED = 2.0, np.arange(3.0), {"a": [1.0, (2, "x")]}
CONFIG = ModuleType("configuration")
CONFIG.__file__ = "configuration.py"
CONFIG.RATE = 0.5  # type: ignore[attr-defined]
U = np.array([0.3, -0.2, 0.5])


def helper(u: Any) -> Any:
    return u * SCALE + TABLE


def key(function: Any) -> Any:
    return Fingerprint().of(function)


def make(a: Any, b: Any = 1.0) -> Any:
    def step(i: Any, u: Any) -> Any:
        return helper(u) * a + math.sin(b) + NAMED["a"][0] + CONFIG.RATE + np.sum(u)

    return step


def test_a_function_made_anew_of_the_same_things_has_the_same_key() -> None:
    assert key(make(2.0)) == key(make(2.0))
    assert key(make(np.arange(4.0))) == key(make(np.arange(4.0)))
    large = np.arange(10_000.0)
    assert key(make(large)) == key(make(large.copy()))


@pytest.mark.parametrize(
    "other",
    [3.0, 2, True, -2.0, "2.0", None, np.float64(2.0), np.float32(2.0), np.array(2.0), [2.0], (2.0,), helper, np.sin],
    ids=str,
)
def test_what_the_closure_holds_is_part_of_the_key(other: Any) -> None:
    assert key(make(2.0)) != key(make(other))


def test_zeros_by_sign_nan_by_itself_and_arrays_by_every_element() -> None:
    assert key(make(0.0)) != key(make(-0.0))
    assert key(make(np.nan)) == key(make(np.nan))
    large = np.zeros(10_000)
    before = key(make(large))
    large[7777] = -0.0
    assert key(make(large)) != before
    assert key(make(np.zeros((2, 3)))) != key(make(np.zeros((3, 2))))


def test_globals_of_the_function_and_of_those_that_it_calls_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key(make(2.0))
    for name, value in {"SCALE": 2.5, "TABLE": TABLE + 1.0, "NAMED": {"a": [1.5, (2, "x")]}, "helper": np.cos}.items():
        with monkeypatch.context() as patch:
            patch.setitem(globals(), name, value)
            assert key(make(2.0)) != before, name
    with monkeypatch.context() as patch:
        patch.setattr(CONFIG, "RATE", 0.25)
        assert key(make(2.0)) != before
    assert key(make(2.0)) == before


def test_code_and_defaults_count() -> None:
    def first(i: Any, u: Any, rate: float = 0.1) -> Any:
        return u * rate

    def second(i: Any, u: Any, rate: float = 0.2) -> Any:
        return u * rate

    assert key(first) != key(second)
    assert key(partial(first, rate=0.3)) != key(partial(first, rate=0.4))
    assert key(partial(first, rate=0.3)) == key(partial(first, rate=0.3))


def _importing(i: Any, u: Any) -> Any:
    from math import pi

    return u * pi


def test_attributes_of_a_function_count() -> None:
    def step(i: Any, u: Any) -> Any:
        return u * step.rate

    step.rate = 0.5
    before = key(step)
    assert key(step) == before
    step.rate = 0.6
    assert key(step) != before


def test_code_that_is_exchanged_counts_and_is_not_taken_for_another_that_has_its_place() -> None:
    def step(i: Any, u: Any) -> Any:
        return u

    keys = set()
    for rate in range(50):
        step.__code__ = eval(f"lambda i, u: u * {rate}").__code__
        found = Fingerprint()
        keys.add(found.of(step))
        assert step.__code__ in found.alive
    assert len(keys) > 1


class Model:
    rate = 0.5

    def step(self, i: Any, u: Any) -> Any:
        return u * self.rate


@pytest.mark.parametrize(
    "function",
    [
        make(np.random.default_rng(0)),
        make(random.Random(0)),
        make(np.random.default_rng(0).normal),
        make(Model()),
        make({1.0, 2.0}),
        make(np.array([None])),
        make(open),
        Model().step,
        make(np.ma.array([1.0])),
        make(np.poly1d([1.0, 2.0])),
        make(np.vectorize(abs)),
        make(np.nditer(np.ones(2))),
        lambda i, u: u * globals()["RATE"],
        lambda i, u: u * eval("RATE"),
        lambda i, u: u * getattr(math, "pi"),  # noqa: B009
        lambda i, u: u * vars(math)["pi"],
        lambda i, u: u * math.__dict__["pi"],
        lambda i, u: u * np.loadtxt("rate.txt"),
        _importing,
        lambda i, u: (lambda: _importing(i, u))(),  # noqa: PLC3002
        lambda i, u: u * time.perf_counter(),
        lambda i, u: u + np.random.normal(),
        lambda i, u: u + random.random(),
    ],
)
def test_what_cannot_be_looked_into_has_no_key(function: Any) -> None:
    with pytest.raises(Unknown):
        key(function)


def test_a_function_that_calls_itself_has_a_key() -> None:
    def down(n: int, u: Any) -> Any:
        return u if n == 0 else down(n - 1, u * 0.5)

    assert key(down) == key(down)


# --- in loops ---------------------------------------------------------------------------------------------------------
def test_a_loop_is_traced_once_for_the_same_step_and_again_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    real = traced_steps.record

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        return real(*args, **options)

    monkeypatch.setattr(traced_steps, "record", counted)
    weights = np.array([0.5, 0.25, 0.125])

    def loss(u: Any, p: Any, rate: float) -> Any:
        def step(u: Any, x: Any) -> Any:
            u = u - rate * np.sin(p * u) * weights
            return u, {"seen": np.sum(u)}

        end, ys = scan(step, u, None, 5, compile=True)
        return np.sum(end) + np.sum(ys["seen"] ** 2)

    def plain(u: Any, p: Any, rate: float) -> Any:
        total = 0.0
        for _ in range(5):
            u = u - rate * np.sin(p * u) * weights
            total = total + np.sum(u) ** 2
        return np.sum(u) + total

    def check(rate: float) -> int:
        before = calls
        found = grad(lambda u, p: loss(u, p, rate), argnums=(0, 1))(U, U + 1.0)
        expected = grad(lambda u, p: plain(u, p, rate), argnums=(0, 1))(U, U + 1.0)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-13)
        return calls - before

    assert check(0.375) == 2  # twice, since it is new
    assert check(0.375) == 0
    assert check(0.4375) == 2
    assert check(0.375) == 0
    weights[1] = 0.75  # an array is known by its content
    assert check(0.375) == 2
    weights[1] = 0.25
    assert check(0.375) == 0


@pytest.mark.parametrize("written", ["nothing", "the array", "the view", "both", "afterwards"])
def test_views_of_traced_arrays_are_captured_with_what_they_hold_then(written: str) -> None:
    def loss(v: Any, **options: Any) -> Any:
        whole = v * v
        part = whole[1:]
        if written in ("the array", "both"):
            whole[-1] = 3.0
        if written in ("the view", "both"):
            part[0] = v[0]
        end = np.sum(fori_loop(0, 5, lambda i, u: u + 0.1 * np.sum(part) * u, U, **options))
        if written == "afterwards":
            part += 1.0
            whole[:] = whole * 2.0
            end = end + np.sum(part)
        return end

    for given in (U, U + 1.0):
        found = grad(lambda v: loss(v, compile=True))(given)
        np.testing.assert_allclose(found, grad(lambda v: loss(v, compile=False))(given), rtol=1e-13)


def test_a_captured_view_does_not_make_a_step_new(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = traced_steps.record
    monkeypatch.setattr(traced_steps, "record", lambda *args, **options: calls.append(1) or real(*args, **options))

    def loss(v: Any) -> Any:
        part = (v * v)[1:]
        return np.sum(fori_loop(0, 5, lambda i, u: u + 0.2 * np.sum(part) * u, U, compile=True))

    grad(loss)(U)
    n = len(calls)
    grad(loss)(U)
    assert len(calls) == n


def test_captures_are_found_again_wherever_the_values_come_from() -> None:
    def loss(a: Any, b: Any, first: bool) -> Any:
        pair = (a, b) if first else (b, a)
        return np.sum(fori_loop(0, 4, lambda i, u: u * 0.9 + 0.1 * pair[0] * np.cos(pair[1]), U, compile=True))

    def plain(a: Any, b: Any, first: bool) -> Any:
        u: Any = U
        for _ in range(4):
            u = u * 0.9 + 0.1 * (a * np.cos(b) if first else b * np.cos(a))
        return np.sum(u)

    for first in (True, False, True, True):
        found = grad(loss, argnums=(0, 1))(U, U * 2.0, first)
        expected = grad(plain, argnums=(0, 1))(U, U * 2.0, first)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-13)

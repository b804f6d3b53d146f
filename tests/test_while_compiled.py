"""While loops as machine code: as many steps as the condition says, and the derivatives that the tape gives."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import unspool
from tests.oracles import same_bits
from unspool import grad, hessian, hvp, jacobian, jvp, observe, value_and_grad, while_loop
from unspool.errors import NonFiniteError, PolicyError, UnsupportedError

NUMBERS, FIELD = np.array([1.0, 2.0, 3.0]), np.linspace(0.5, 1.5, 32 * 33).reshape(32, 33)
POLICIES: list[dict[str, Any]] = [{}, *({"policy": p} for p in ("none", "every-3", "online-1", "online-4"))]


def _root(x: Any, a: Any, **how: Any) -> Any:
    """Newton's method for square roots."""
    return while_loop(lambda v: np.sum(np.abs(v * v - a * x)) > 1e-10, lambda v: (v + a * x / v) / 2, x + 1.0, **how)


def _adaptive(u: Any, a: Any, **how: Any) -> Any:
    """Heun's method with step sizes that follow the error."""

    def rhs(v: Any) -> Any:
        return -a * v + 0.1 * np.sin(v)

    def step(state: Any) -> Any:
        v, t, h = state
        first = rhs(v)
        second = rhs(v + h * first)
        error = np.sqrt(np.mean((h / 2 * (second - first)) ** 2)) + 1e-12
        fine = error < 1e-4
        factor = np.minimum(2.0, np.maximum(0.3, 0.9 * np.sqrt(1e-4 / error)))
        return np.where(fine, v + h / 2 * (first + second), v), np.where(fine, t + h, t), h * factor

    return while_loop(lambda state: state[1] < 2.0, step, (u, 0.0, 0.5), **how)[0]


def _branching(u: Any, a: Any, **how: Any) -> Any:
    """A branch in the body, and two in the condition."""

    def step(state: Any) -> Any:
        v, n = state
        v = 0.5 * v if np.max(v) > 3.0 else v * a + 0.1
        return v, n + 1.0

    return while_loop(lambda state: state[1] < 40 and np.sum(state[0]) > 0.1, step, (u, 0.0), **how)[0]


def _negated(u: Any, a: Any, **how: Any) -> Any:
    """A condition that answers with a Python bool."""
    return while_loop(lambda v: not np.sum(v * v) < 0.5, lambda v: v * (1 - 0.1 * a), u, **how)


def _either(u: Any, a: Any, **how: Any) -> Any:
    def more(v: Any) -> Any:
        return np.sum(v) > 2.0 or np.max(v) > 0.5

    return while_loop(more, lambda v: v - 0.05 * a * np.sin(v), u, **how)


def _captures_in_the_condition(u: Any, a: Any, **how: Any) -> Any:
    return while_loop(lambda v: np.mean(v) < 20.0 * a, lambda v: v * 1.1, u, **how)


def _plain_arrays(u: Any, a: Any, **how: Any) -> Any:
    limits = np.array([1.0, 0.3])
    return while_loop(lambda v: np.any(np.mean(v) > limits), lambda v: v * (0.8 + 0.01 * a), u, **how)


LOOPS: dict[str, Callable[..., Any]] = {
    "Newton": _root,
    "adaptive": _adaptive,
    "branches": _branching,
    "not": _negated,
    "or": _either,
    "captures in the condition": _captures_in_the_condition,
    "plain arrays": _plain_arrays,
}


@pytest.mark.parametrize("u", [NUMBERS, FIELD], ids=["numbers", "field"])
@pytest.mark.parametrize("name", LOOPS)
def test_a_compiled_loop_agrees_with_the_tape_under_any_policy(name: str, u: Any) -> None:
    def loss(u: Any, a: Any, **how: Any) -> Any:
        return np.sum(LOOPS[name](u, a, **how) ** 2)

    with observe() as taped:
        value, expected = value_and_grad(lambda u, a: loss(u, a, compile=False), argnums=(0, 1))(u, 0.9)
    found = []
    for how in POLICIES:
        with observe() as log:
            found.append(value_and_grad(lambda u, a, h=how: loss(u, a, compile=True, **h), argnums=(0, 1))(u, 0.9))
        assert [(r.compiled, r.n_steps) for r in log] == [(True, taped[0].n_steps)]
        assert log[0].steps == log[0].predicted_steps >= 2 * log[0].n_steps
        assert log[0].peak_bytes <= log[0].predicted_peak_bytes
    for ours, back in found:
        np.testing.assert_allclose(ours, value, rtol=1e-13)
        for one, other in zip(back, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13 * np.max(np.abs(other)))
        assert same_bits([ours, *back], [found[0][0], *found[0][1]])
    assert same_bits(loss(u, 0.9, compile=True), found[0][0])


@pytest.mark.parametrize("name", ["Newton", "adaptive", "branches", "plain arrays"])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    def loss(a: Any, **how: Any) -> Any:
        return np.sum(LOOPS[name](NUMBERS, a, **how) ** 2)

    step = 1e-6
    expected = (loss(0.9 + step, compile=False) - loss(0.9 - step, compile=False)) / (2 * step)
    np.testing.assert_allclose(grad(lambda a: loss(a, compile=True))(0.9), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["Newton", "adaptive", "branches", "not", "captures in the condition"])
def test_nested_transforms_agree_with_the_tape(name: str) -> None:
    def loss(u: Any, **how: Any) -> Any:
        return np.sum(LOOPS[name](u, u[0] * 0.9, **how) ** 2)

    v = np.array([0.3, -0.2, 0.1])
    for transform in (
        lambda f: jvp(f, (NUMBERS,), (v,)),
        lambda f: hvp(f)(NUMBERS, v),
        lambda f: hessian(f)(NUMBERS),
        lambda f: jacobian(grad(f))(NUMBERS),
        lambda f: grad(lambda u: np.sum(grad(f)(u) ** 2))(NUMBERS),
    ):
        expected = transform(lambda u: loss(u, compile=False))
        with observe() as log:
            found = transform(lambda u: loss(u, compile=True))
        assert all(report.compiled for report in log)
        for one, other in zip(np.atleast_1d(found), np.atleast_1d(expected), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)


# --- how many steps ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("n", [0, 1, 2, 15, 16, 17, 1000])
def test_as_many_steps_as_the_condition_says(n: int) -> None:
    def f(x: Any, **how: Any) -> Any:
        return while_loop(lambda s: s[1] < n, lambda s: (np.sin(s[0]) + x, s[1] + 1.0), (x, 0.0), **how)[0]

    with observe() as log:
        found = value_and_grad(lambda x: f(x, compile=True))(0.5)
    assert (log[0].n_steps, log[0].compiled) == (n, n > 0)
    np.testing.assert_allclose(found, value_and_grad(lambda x: f(x, compile=False))(0.5), rtol=1e-12)
    assert f(0.5, compile=True) == found[0]


def test_a_loop_that_was_compiled_may_take_no_step_the_next_time() -> None:
    f = grad(lambda x: while_loop(lambda u: u < 10, lambda u: u * 2, x, compile=True))
    assert [f(x) for x in (1.0, 20.0, 1.0, 5.0)] == [16.0, 1.0, 16.0, 2.0]


@pytest.mark.parametrize("start", [0.3 * NUMBERS, FIELD], ids=["numbers", "field"])
def test_a_condition_on_the_last_digit_is_decided_by_the_machine_code(start: Any) -> None:
    def step(u: Any) -> Any:
        return u * np.exp(-0.01 * np.cos(u)) + 0.01 * np.tanh(u)

    def f(x: Any, limit: Any) -> Any:
        return np.sum(while_loop(lambda v: np.sum(v) < limit, step, x, compile=True))

    u = start
    for n in range(1, 30):
        u = step(u)
        with observe() as log:
            grad(f, argnums=(0, 1))(start, np.sum(u))
        assert log[0].compiled
        assert log[0].n_steps in (n, n + 1)


def test_a_condition_without_traced_values() -> None:
    going = [True]

    def f(x: Any) -> Any:
        return while_loop(lambda u: going[0], lambda u: u * 2, x, compile=True)

    going[0] = False
    assert grad(f)(3.0) == 1.0


@pytest.mark.parametrize("gradient", [False, True])
def test_a_loop_without_an_end_can_be_interrupted(gradient: bool) -> None:
    def f(x: Any) -> Any:
        return while_loop(lambda u: u > -1.0, lambda u: u * 0.999, x, compile=True)

    threading.Timer(1.0, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        grad(f)(1.0) if gradient else f(1.0)


def test_what_comes_after_the_end_is_not_computed() -> None:
    """At the end, the step would divide by zero and take the root of a negative number."""

    def f(x: Any, **how: Any) -> Any:
        return while_loop(lambda u: u > 0.0, lambda u: u - np.sqrt(u) / np.abs(u) * 0.25 - 0.125, x, **how)

    expected = value_and_grad(lambda x: f(x, compile=False))(1.0)
    np.testing.assert_allclose(value_and_grad(lambda x: f(x, compile=True))(1.0), expected, rtol=1e-13)


def test_a_call_that_fails_after_the_end_is_not_heard_of() -> None:
    def f(x: Any, **how: Any) -> Any:
        def step(u: Any) -> Any:
            matrix = np.diag(np.maximum(u - 0.5, 0.0)) + 0.0 * u[:, None]
            return u - 0.01 * np.sum(np.linalg.cholesky(matrix)) * np.ones(3)

        return np.sum(while_loop(lambda u: np.min(u) > 0.5, step, x, **how))

    expected = value_and_grad(lambda x: f(x, compile=False))(NUMBERS)
    with observe() as log:
        found = value_and_grad(lambda x: f(x, compile=True))(NUMBERS)
    assert log[0].compiled
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-13)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-12)


def test_a_call_that_fails_before_the_end_is_raised() -> None:
    def step(u: Any) -> Any:
        return u - 0.01 * np.linalg.cholesky(np.diag(u) - np.eye(3))[0, 0] - 0.2

    for compile in (False, True):
        with pytest.raises(np.linalg.LinAlgError):
            grad(lambda x: np.sum(while_loop(lambda u: np.min(u) > -5.0, step, x, compile=compile)))(NUMBERS + 1.0)


# --- what is asked for, and what is refused ---------------------------------------------------------------------------
def test_a_policy_that_must_know_the_number_of_steps_is_refused() -> None:
    with pytest.raises(PolicyError, match="must know the number of steps, and a while loop does not"):
        grad(lambda x: _root(x, 1.0, compile=True, policy="revolve-3"))(2.0)


def test_auto_keeps_to_its_memory() -> None:
    def f(u: Any) -> Any:
        return np.sum(while_loop(lambda s: s[1] < 500, lambda s: (np.sin(s[0]), s[1] + 1.0), (u, 0.0), **how)[0])

    how: dict[str, Any] = {"compile": True, "policy": "none"}
    expected = grad(f)(NUMBERS)
    how = {"compile": True, "policy": "auto", "memory": 2000}
    with observe() as log:
        assert same_bits(grad(f)(NUMBERS), expected)
    assert 0 < log[0].peak_bytes <= log[0].predicted_peak_bytes <= 2000


@pytest.mark.parametrize("gradient", [False, True])
def test_a_bar_is_shown(gradient: bool, capsys: pytest.CaptureFixture[str]) -> None:
    def f(x: Any) -> Any:
        return while_loop(lambda u: u < 1000.0, lambda u: u * 1.01, x, compile=True, progress=True, policy="online-3")

    grad(f)(1.0) if gradient else f(1.0)
    shown = capsys.readouterr().err
    assert "while_loop: 695step" in shown
    assert ("while_loop: 100%" in shown) is gradient


def test_check_finite_listens_to_the_tape() -> None:
    with pytest.raises(NonFiniteError), np.errstate(divide="ignore"):
        grad(lambda x: while_loop(lambda u: u < 1e9, lambda u: 1 / (u - 2.0), x, check_finite=True))(2.5)
    with pytest.raises(PolicyError, match="check_finite=True and compile=True"):
        _root(2.0, 1.0, check_finite=True, compile=True)


CALLS = [0]


def _counting(v: Any) -> Any:
    CALLS[0] += 1
    return v < 1e3


def _drawing(v: Any) -> Any:
    return v < 1e3 + 0.0 * RNG.random()


def _writing(v: Any) -> Any:
    v[0] = 2.0
    return np.sum(v) < 1e3


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("condition", "x", "message"),
    [
        (_counting, 1.0, r"the (step|condition) of while_loop changes CALLS\[0\] \(in its condition\)"),
        (_drawing, 1.0, "in its condition"),
        (_writing, NUMBERS, "the condition of while_loop writes into the state"),
        (lambda v: float(unspool.stop_gradient(v)) < 1e3, 1.0, "float"),
    ],
)
def test_conditions_that_are_refused(condition: Any, x: Any, message: str) -> None:
    def loss(x: Any, **how: Any) -> Any:
        return np.sum(while_loop(condition, lambda v: v * 1.5, x, **how))

    with pytest.raises((UnsupportedError, unspool.errors.DetachedError), match=message):
        grad(lambda x: loss(x, compile=True))(x)
    grad(loss)(x)


def test_a_random_generator_in_the_state_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="carries the random generator"):
        while_loop(lambda s: s[0] < 3, lambda s: (s[0] + s[1].random(), s[1]), (0.0, RNG), compile=True)


def test_a_while_loop_in_the_step_of_another() -> None:
    def f(x: Any, **how: Any) -> Any:
        def step(u: Any) -> Any:
            return u + 0.1 * while_loop(lambda v: abs(v * v - u) > 1e-9, lambda v: (v + u / v) / 2, u)

        return while_loop(lambda u: u < 30.0, step, x, **how)

    with observe() as log:
        found = value_and_grad(lambda x: f(x, compile=True))(5.0)
    assert log[-1].compiled
    np.testing.assert_allclose(found, value_and_grad(lambda x: f(x, compile=False))(5.0), rtol=1e-12)

"""Which loops compile="auto" compiles: a rule on the step, its types and the number of steps, and on nothing else."""

from __future__ import annotations

import gc
import random
from typing import Any

import numpy as np
import pytest

import unspool.worth
from tests.oracles import same_bits
from unspool import fori_loop, grad, hvp, observe, scan, value_and_grad, while_loop
from unspool.traced_steps import TracedSteps

P = np.array([10.0, 28.0, 8 / 3])
ZERO = np.float32(0)
U = np.array([1.0, 1.1, 0.9])


def _field(u: Any, p: Any) -> Any:
    return np.stack([p[0] * (u[1] - u[0]), u[0] * (p[1] - u[2]) - u[1], u[0] * u[1] - p[2] * u[2]])


def _runge_kutta(u: Any, p: Any) -> Any:
    k1 = _field(u, p)
    k2 = _field(u + 0.005 * k1, p)
    k3 = _field(u + 0.005 * k2, p)
    k4 = _field(u + 0.01 * k3, p)
    return u + 0.01 / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def _while(u: Any, p: Any, n: float, **how: Any) -> Any:
    def step(state: Any) -> Any:
        return _runge_kutta(state[0], p), state[1] + 1.0

    return np.sum(while_loop(lambda state: state[1] < n, step, (u, 0.0), **how)[0])


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The operations that were found, loop by loop."""
    found: list[int] = []
    operations = unspool.worth.operations

    def spy(*given: Any) -> int:
        found.append(operations(*given))
        return found[-1]

    monkeypatch.setattr(unspool.worth, "operations", spy)
    return found


def _reports(f: Any, *given: Any) -> list[tuple[bool, str | None]]:
    with observe() as log:
        f(*given)
    return [(report.compiled, report.not_compiled) for report in log]


# --- a known number of steps ------------------------------------------------------------------------------------------
def test_a_loop_is_compiled_where_steps_times_operations_are_enough(counts: list[int]) -> None:
    def loss(u: Any, n: int) -> Any:
        return np.sum(fori_loop(0, n, lambda i, v: _runge_kutta(v, P), u))

    least = unspool.worth.FEWEST_STEPS
    assert _reports(grad(loss), U, least - 1) == [(False, f"too few steps on 3 numbers: {least - 1}")]
    assert counts == []  # so short a loop is not looked at
    assert _reports(grad(loss), U, least) == [(False, f"too few steps on 3 numbers: {least}")]
    (n,) = counts
    enough = -(-unspool.worth.ENOUGH_OPERATIONS // n)
    assert _reports(grad(loss), U, enough - 1) == [(False, f"too few steps on 3 numbers: {enough - 1}")]
    assert _reports(grad(loss), U, enough) == [(True, None)]
    assert counts == [n, n, n]


def test_what_does_not_hang_on_the_state_is_not_counted(counts: list[int]) -> None:
    def loss(u: Any, p: Any, x: Any) -> Any:
        def step(v: Any, row: Any) -> Any:
            gain = np.exp(-np.sum(p * p)) + 0.5
            return np.sin(v * gain) + row, row * gain

        end, out = scan(step, u, x)
        return np.sum(end) + np.sum(out)

    x = np.ones((300, 3))
    for argnums in (0, 1, 2, (0, 1, 2)):
        grad(loss, argnums=argnums)(U, P, x)
    loss(U, P, x)
    assert counts == [4] * 5


def test_a_trace_is_counted_once_and_the_count_hangs_on_no_earlier_call(monkeypatch: pytest.MonkeyPatch) -> None:
    traced = []
    real = unspool.worth._counted

    def spy(*given: Any) -> Any:
        traced.append(real(*given))
        return traced[-1]

    monkeypatch.setattr(unspool.worth, "_counted", spy)

    def loss(u: Any, limit: float) -> Any:
        def step(i: Any, v: Any) -> Any:
            return v * 0.99 + 0.01 * (np.sin(v) if np.max(v) < limit else np.cos(np.cos(np.cos(v))))

        return np.sum(fori_loop(0, 300, step, u))

    def smooth(u: Any) -> Any:
        return np.sum(fori_loop(0, 300, lambda i, v: np.cos(np.sin(v)) * v, u))

    for _ in range(3):
        grad(smooth)(U)
    assert traced == [(3, False)]
    for factor in (1.0, 2.0, 1.0):
        grad(lambda u: loss(u, 1.5))(factor * U)
    assert traced[1:] == [(6, True), (8, True), (6, True)]


def test_value_and_gradient_have_the_same_bits_every_time() -> None:
    def loss(u: Any, p: Any) -> Any:
        return np.sum(fori_loop(0, 700, lambda i, v: _runge_kutta(v, p), u))

    value = loss(U, P)
    for argnums in (0, 1, (0, 1)):
        assert same_bits(value_and_grad(loss, argnums=argnums)(U, P)[0], value)
    assert same_bits(loss(U, P), value)


def test_generators_are_not_drawn_from_to_count() -> None:
    rng, plain = np.random.default_rng(1), np.random.default_rng(1)

    def step(i: Any, u: Any) -> Any:
        return np.sin(u) + 0.01 * rng.normal()

    def legacy(i: Any, u: Any) -> Any:
        return np.sin(u) + 0.01 * np.random.normal() + 0.01 * random.random()

    np.random.seed(3)
    random.seed(3)
    found = fori_loop(0, 300, step, 1.0), fori_loop(0, 300, legacy, 1.0)
    np.random.seed(3)
    random.seed(3)
    u = 1.0
    for _ in range(300):
        u = np.sin(u) + 0.01 * plain.normal()
    assert found == (u, fori_loop(0, 300, legacy, 1.0, compile=False))


def test_a_step_that_cannot_be_compiled_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    real = TracedSteps._explored

    def spy(self: Any, *given: Any) -> Any:
        tried.append(given)
        return real(self, *given)

    monkeypatch.setattr(TracedSteps, "_explored", spy)

    def loss(u: Any) -> Any:
        return np.sum(fori_loop(0, 10_000, lambda i, v: np.real(np.exp(1j * v)), u, policy="none"))

    seen = [_reports(grad(loss), U) for _ in range(3)]
    assert seen[0] == seen[1] == seen[2]
    assert "c128" in str(seen[0][0][1])
    assert len(tried) == 1


# --- a while loop -----------------------------------------------------------------------------------------------------
def test_a_while_loop_goes_over_to_machine_code_where_it_is_long(counts: list[int]) -> None:
    assert _reports(grad(_while), U, P, 100.0) == [(False, "too few steps before the condition failed")]
    assert counts == []
    assert _reports(grad(_while), U, P, 300.0) == [(False, "too few steps before the condition failed")]
    (n,) = counts
    enough = -(-unspool.worth.ENOUGH_OPERATIONS // n)
    assert _reports(grad(_while), U, P, enough) == [(False, "too few steps before the condition failed")]
    for _ in range(2):
        assert _reports(grad(_while), U, P, enough + 1.0) == [(True, None)]


@pytest.mark.parametrize("n", [100.0, 700.0])
def test_a_while_loop_gives_the_same_bits_with_and_without_a_gradient(n: float) -> None:
    value = _while(U, P, n)
    found = value_and_grad(_while, argnums=(0, 1))(U, P, n)
    assert same_bits(found[0], value)
    expected = value_and_grad(_while, argnums=(0, 1))(U, P, n, compile=n > 500)
    assert same_bits([found[0], *found[1]], [expected[0], *expected[1]])
    assert same_bits(_while(U, P, n), value)
    np.testing.assert_allclose(
        hvp(lambda u: _while(u, P, n))(U, U), hvp(lambda u: _while(u, P, n, compile=False))(U, U), rtol=1e-6
    )


def test_a_while_loop_that_cannot_be_compiled_goes_on_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unspool.worth, "ENOUGH_STEPS", 50)

    class Weights:
        """Something that cannot be looked into."""

        a = 0.999

    def loss(u: Any, weights: Any, p: Any, **how: Any) -> Any:
        def step(state: Any) -> Any:
            _CALLS.append(1)
            v, k = state
            return np.real(np.exp(1j * v)) * weights.a * p[0] / 10.0, k + p[0] / 10.0

        return np.sum(while_loop(lambda state: state[1] < 100.0, step, (u, 0.0), policy="none", **how)[0])

    _CALLS.clear()
    with observe() as log:
        found = value_and_grad(loss, argnums=(0, 2))(U, Weights(), P)
    assert [(report.compiled, report.n_steps) for report in log] == [(False, 100)]
    assert "too few" not in str(log[0].not_compiled)
    assert 100 < len(_CALLS) < 110
    expected = value_and_grad(lambda *given: loss(*given, compile=False), argnums=(0, 2))(U, Weights(), P)
    assert same_bits([found[0], *found[1]], [expected[0], *expected[1]])


_CALLS: list[int] = []


@pytest.mark.parametrize("first", [10, 900])
def test_a_while_loop_of_too_many_paths_runs_on_the_tape_to_its_end(first: int) -> None:
    def loss(u: Any, p: Any, **how: Any) -> Any:
        def step(state: Any) -> Any:
            v, k = state
            for j in range(10):
                if k == first + j:
                    v = v * (1 + 0.001 * j)
            return _runge_kutta(v, p), k + 1.0

        return np.sum(while_loop(lambda state: state[1] < 1000, step, (u, 0.0), **how)[0])

    with observe() as log:
        found = value_and_grad(loss, argnums=(0, 1))(U, P)
    assert [(report.compiled, report.n_steps) for report in log] == [(False, 1000)]
    assert "more than 8 paths" in str(log[0].not_compiled)
    expected = value_and_grad(loss, argnums=(0, 1))(U, P, compile=False)
    assert same_bits([found[0], *found[1]], [expected[0], *expected[1]])
    assert same_bits(loss(U, P), found[0])


def test_a_run_of_a_while_loop_leaves_no_cycle_behind() -> None:
    gradient = grad(_while)
    gradient(U, P, 50.0)
    gc.collect()
    gc.disable()
    try:
        gradient(U, P, 50.0)
        _while(U, P, 50.0)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_while_loop_on_floats_of_another_kind_stays_on_the_tape(counts: list[int]) -> None:
    def loss(u: Any) -> Any:
        return np.sum(while_loop(lambda s: s[1] < 300, lambda s: (np.sin(s[0]), s[1] + np.float32(1)), (u, ZERO))[0])

    assert _reports(grad(loss), U) == [(False, "too few steps before the condition failed")]
    assert counts == []


def test_a_while_loop_that_counts_in_an_integer_goes_over() -> None:
    def loss(u: Any) -> Any:
        return np.sum(while_loop(lambda s: s[1] < 12_000, lambda s: (np.sin(s[0]), s[1] + 1), (u, 0))[0])

    assert _reports(grad(loss), U) == [(True, None)]

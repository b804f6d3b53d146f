"""Steps that branch: compiled along the paths that they take, never along a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import unspool
import unspool.worth
from tests.oracles import same_bits
from unspool import fori_loop, grad, hvp, jvp, scan, value_and_grad
from unspool.adjoint import joined, record
from unspool.errors import DetachedError, UnsupportedError
from unspool.layout import ArrayType
from unspool.traced_steps import TracedSteps

N = 120
NUMBERS, FIELD = np.array([1.0, 2.0, 3.0]), np.linspace(0.5, 1.5, 32 * 33).reshape(32, 33)
ROWS, FIELDS = np.linspace(-1, 1, 3 * N).reshape(N, 3), np.sin(np.arange(N * 32 * 33.0)).reshape(N, 32, 33)


def _rows_of(u: Any) -> np.ndarray:
    return ROWS if u.ndim == 1 else FIELDS


def _parity(i: Any, u: Any, a: Any) -> Any:
    return u * 0.999 if i % 2 else u - 0.01 * np.sin(a * u)


def _state(i: Any, u: Any, a: Any) -> Any:
    if np.max(u) > 1.4:
        return u * 0.99
    if np.ravel(u)[0] < 0.1:
        return u + a
    return u - 0.01 * u**2


def _once(i: Any, u: Any, a: Any) -> Any:
    return u * a if i == N // 3 else u * 0.999


def _previous(i: Any, u: Any, a: Any) -> Any:
    rows = _rows_of(u)
    u = u * 0.99
    if i > 0:
        u = u + a * rows[i - 1]
    return u


def _written(i: Any, u: Any, a: Any) -> Any:
    u = np.copy(u)
    if i % 3 == 0:
        u[1:-1] *= a
    else:
        u[0] += 0.001 * u[-1]
    return u


def _roots(i: Any, u: Any, a: Any) -> Any:
    top = np.max(u)
    if top > 2.5:
        return u - 0.01 * np.sqrt(top - 2.5)
    return u - 0.01 * np.sqrt(3.0 - top) * a


def _trips(i: Any, u: Any, a: Any) -> Any:
    x = u
    while np.max(np.abs(x * x - a - u)) > 1e-10:
        x = (x + (a + u) / x) / 2
    return x


STEPS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "on the number of the step": _parity,
    "on the state": _state,
    "once": _once,
    "around a row": _previous,
    "around a write": _written,
    "around a root": _roots,
    "as often as it takes": _trips,
}


def _loss(step: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return lambda u, a: np.sum(fori_loop(0, N, lambda i, u: step(i, u, a), u, **options) ** 2)


@pytest.mark.parametrize("start", [NUMBERS, FIELD], ids=["numbers", "fields"])
@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_branches_follows_the_path_of_each_step(name: str, start: np.ndarray) -> None:
    step = STEPS[name]
    value, found = value_and_grad(_loss(step, compile=True, policy="none"), (0, 1))(start, 0.7)
    expected_value, expected = value_and_grad(_loss(step, compile=False, policy="none"), (0, 1))(start, 0.7)
    np.testing.assert_allclose(value, expected_value, rtol=1e-12)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-13 * np.max(np.abs(other)))
    for policy in ("every-7", "revolve-4"):
        again = value_and_grad(_loss(step, compile=True, policy=policy), (0, 1))(start, 0.7)
        assert same_bits([value, *found], [again[0], *again[1]])


@pytest.mark.parametrize("start", [NUMBERS, FIELD], ids=["numbers", "fields"])
def test_a_path_that_comes_up_late_is_learned_and_kept(start: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    learned = []
    real = TracedSteps.learned

    def counted(self: Any, code: Any, step: int, state: Any) -> Any:
        learned.append(step)
        return real(self, code, step, state)

    monkeypatch.setattr(TracedSteps, "learned", counted)

    def step(i: Any, u: Any) -> Any:
        if i == 40:
            u = u * 1.5
        return u * 0.75 if i == 41 else u * 0.875

    def loss(u: Any) -> Any:
        return np.sum(fori_loop(0, N, step, u, compile=True, policy="revolve-3"))

    for _ in range(2):
        np.testing.assert_allclose(grad(loss)(start), np.full(start.shape, 0.875 ** (N - 1) * 1.5 * 0.75), rtol=1e-12)
    assert learned == [40]  # and the path of step 41 lay ahead


def test_the_state_of_the_call_decides_and_not_that_of_the_trace() -> None:
    def loss(u: Any) -> Any:
        return fori_loop(0, 50, lambda i, u: u * 0.5 if u > 1.0 else u * 0.75, u, compile=True)

    for start in (0.5, 3.0, 1000.0):
        halved = sum(start * 0.5**k > 1.0 for k in range(50))
        assert grad(loss)(start) == 0.5**halved * 0.75 ** (50 - halved)


def test_a_value_from_outside_decides_anew_in_every_call() -> None:
    def loss(u: Any, flag: Any) -> Any:
        return np.sum(fori_loop(0, 4, lambda i, u: u * (0.5 if flag else 0.75), u, compile=True))

    for flag in (1.0, 0.0, 1.0):
        found, of_flag = grad(loss, (0, 1))(NUMBERS, flag)
        np.testing.assert_array_equal(found, np.full(3, (0.5 if flag else 0.75) ** 4))
        assert of_flag == 0.0


def test_rows_and_outputs_of_a_scan_that_branches() -> None:
    def loss(u: Any, xs: Any, **options: Any) -> Any:
        def step(u: Any, x: Any) -> Any:
            if x[0] > 0:
                u = u + x
                return u, np.sum(u)
            return u * 0.9, np.sum(x * u)

        end, ys = scan(step, u, xs, **options)
        return np.sum(end) + np.sum(ys**2)

    xs = np.random.default_rng(1).normal(size=(40, 3))
    found = grad(lambda *a: loss(*a, compile=True), (0, 1))(NUMBERS, xs)
    expected = grad(lambda *a: loss(*a, compile=False), (0, 1))(NUMBERS, xs)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_second_derivatives_follow_the_paths() -> None:
    def loss(u: Any, **options: Any) -> Any:
        return np.sum(fori_loop(0, 30, lambda i, u: np.sin(u) if i % 2 else u * u * 0.5 + 0.1, u, **options))

    u, v = NUMBERS / 4, np.array([1.0, -2.0, 0.5])
    for transform in (lambda f: hvp(f)(u, v), lambda f: jvp(f, (u,), (v,))[1]):
        found = transform(lambda u: loss(u, compile=True))
        expected = transform(lambda u: loss(u, compile=False))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_tangent_loop_is_compiled_with_its_rows_and_captures() -> None:
    def loss(u: Any, a: Any, **options: Any) -> Any:
        return np.sum(fori_loop(0, N, lambda i, u: u - 0.01 * np.sin(a * u) + 0.1 * ROWS[i], u, **options) ** 2)

    def mixed(**options: Any) -> list[Any]:
        both = grad(lambda a: np.sum(grad(loss)(NUMBERS, a, **options)))(0.7)
        return [hvp(lambda u: loss(u, 0.7, **options))(NUMBERS, ROWS[0]), both]

    with unspool.observe() as log:
        found = mixed(compile=True)
    assert all(report.compiled for report in log)
    for one, other in zip(found, mixed(compile=False), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_a_nan_of_a_path_that_is_not_taken_goes_nowhere() -> None:
    def step(i: Any, u: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.log(u) + 5.0 if u > 0 else u * u

    with np.errstate(all="ignore"):
        found = grad(lambda u: fori_loop(0, 3, step, u, compile=True))(-2.0)
    assert np.isfinite(found)
    assert found == grad(lambda u: fori_loop(0, 3, step, u, compile=False))(-2.0)


def _binary(i: Any, u: Any) -> Any:
    for bit in range(6):
        if (i // 2**bit) % 2:
            u = u * 0.99
    return u


def test_too_many_paths_run_on_the_tape(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnsupportedError, match=r"more than 8 paths through its branches \(test_branches.py"):
        grad(lambda u: np.sum(fori_loop(0, 64, _binary, u, compile=True)))(NUMBERS)
    monkeypatch.setattr(unspool.worth, "ENOUGH_STEPS", 64)
    with unspool.observe() as log:
        found = grad(lambda u: np.sum(fori_loop(0, 64, _binary, u)))(NUMBERS)
    assert "more than 8 paths" in (log[0].not_compiled or "")
    assert same_bits([found], [grad(lambda u: np.sum(fori_loop(0, 64, _binary, u, compile=False)))(NUMBERS)])


def test_paths_that_cannot_be_learned_late_run_on_the_tape(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first steps are compiled; a later one leaves what can be compiled."""

    def step(i: Any, u: Any) -> Any:
        return np.sort(u) * 0.9 if i == 50 else u * 0.99

    def loss(u: Any, **options: Any) -> Any:
        return np.sum(fori_loop(0, N, step, u, **options) * np.arange(3.0))

    monkeypatch.setattr(unspool.worth, "ENOUGH_STEPS", N)
    with pytest.raises(UnsupportedError, match=r"branches .* and calls Python"):
        grad(lambda u: loss(u, compile=True))(NUMBERS)
    with unspool.observe() as log:
        found = value_and_grad(loss)(NUMBERS)
    assert ["calls Python" in (report.not_compiled or "") for report in log] == [True]
    assert same_bits([*found], [*value_and_grad(lambda u: loss(u, compile=False))(NUMBERS)])
    assert same_bits([loss(NUMBERS)], [loss(NUMBERS, compile=False)])


def test_a_branch_without_values_and_one_on_an_array_are_refused() -> None:
    types = [ArrayType.of(NUMBERS)]

    def step(k: Any, state: list[Any], inputs: list[Any], read: Any) -> tuple[list[Any], list[Any]]:
        return [state[0] if state[0][0] > 0 else -state[0]], []

    with pytest.raises(DetachedError, match="branch on the value"):
        record(step, types, [], lambda j: types[0], lambda: 0)
    with pytest.raises(ValueError, match="ambiguous"):
        grad(lambda u: np.sum(fori_loop(0, 4, lambda i, u: u if u > 0 else -u, u, compile=True)))(NUMBERS)


def test_a_branch_on_what_never_changes_is_no_branch() -> None:
    def step(k: Any, state: list[Any], inputs: list[Any], read: Any) -> tuple[list[Any], list[Any]]:
        weights = k.listener.constant(np.ones(3))
        return [state[0] * 2.0 if np.sum(weights) > 2.0 else state[0]], []

    found = record(step, [ArrayType.of(NUMBERS)], [], lambda j: ArrayType.of(NUMBERS), lambda: 0)
    assert found.branches == ()
    assert not joined([found]).watched


def test_a_branch_on_what_never_changes_does_not_hide_that_others_have_no_value() -> None:
    def step(k: Any, state: list[Any], inputs: list[Any], read: Any) -> tuple[list[Any], list[Any]]:
        weights = k.listener.constant(np.ones(3))
        return [state[0] if np.sum(weights) > 2.0 and state[0][0] > 0 else -state[0]], []

    with pytest.raises(DetachedError, match="branch on the value"):
        record(step, [ArrayType.of(NUMBERS)], [], lambda j: ArrayType.of(NUMBERS), lambda: 0)


def test_a_budget_holds_for_a_step_that_branches() -> None:
    with unspool.observe() as log:
        grad(lambda u: np.sum(fori_loop(0, N, lambda i, u: _parity(i, u, 0.7), u, memory="200 kB", compile=True)))(
            FIELD
        )
    assert log[0].compiled
    assert log[0].peak_bytes <= log[0].predicted_peak_bytes <= 200_000


# --- drawn steps ------------------------------------------------------------------------------------------------------
ACTIONS: list[Callable[..., Any]] = [
    lambda i, v, W, V, a: np.tanh(v @ W),
    lambda i, v, W, V, a: v * 0.9 + 0.1 * V,
    lambda i, v, W, V, a: v + 0.1 * np.sin(a * v),
    lambda i, v, W, V, a: v * 0.95 + 0.05 * DRAWN[i],
    lambda i, v, W, V, a: np.roll(v, 1, -1) * 0.9,
    lambda i, v, W, V, a: np.where(v > 0, v, 0.1 * v),
    lambda i, v, W, V, a: v - 0.01 * np.sum(v * V),
]
QUESTIONS: list[Callable[..., Any]] = [
    lambda i, u, a, m, t: i % m == 0,
    lambda i, u, a, m, t: np.sum(u) > t,
    lambda i, u, a, m, t: u[..., 0].sum() * a < t,
    lambda i, u, a, m, t: i > 3 * m and np.max(np.abs(u)) > 0.5,
    lambda i, u, a, m, t: True,
]
DRAWN = np.random.default_rng(7).normal(size=(40, 4, 5))


@pytest.mark.parametrize("seed", range(6))
def test_drawn_steps_that_branch_agree_with_the_tape(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [
        (ACTIONS[rng.integers(len(ACTIONS))], QUESTIONS[rng.integers(len(QUESTIONS))], rng.integers(1, 7), rng.normal())
        for _ in range(3)
    ]

    def step(i: Any, u: Any, W: Any, V: Any, a: Any) -> Any:
        for action, question, m, t in parts:
            u = action(i, u, W, V, a) if question(i, u, a, int(m), float(t)) else u * 0.98
        return u

    def loss(u: Any, W: Any, V: Any, a: Any, **options: Any) -> Any:
        return np.sum(fori_loop(0, 40, lambda i, u: step(i, u, W, V, a), u, **options) ** 2)

    given = rng.normal(size=(4, 5)), 0.3 * rng.normal(size=(5, 5)), 0.5 * rng.normal(size=(4, 5)), 0.7
    gradient = grad(loss, (0, 1, 2, 3))
    found, expected = gradient(*given, compile=True), gradient(*given, compile=False)
    moved = gradient(given[0] * (1 + 2e-16), *given[1:], compile=False)
    for one, other, near in zip(found, expected, moved, strict=True):
        size = np.max(np.abs(other))
        assert np.max(np.abs(one - other)) <= 1e-12 * size + 100 * np.max(np.abs(near - other))
    assert same_bits([*found], [*gradient(*given, compile=True, policy="revolve-3")])

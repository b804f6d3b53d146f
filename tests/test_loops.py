"""Loops: equal bits under every policy, the schedule's number of steps, and gradients to all that a step reads."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import unspool
import unspool.numpy as unp
from tests.oracles import Counted, central, complex_step, same_bits
from unspool import fori_loop, grad, scan, value_and_grad, while_loop
from unspool.errors import DetachedError, InputError, PolicyError, ReplayError, StateError
from unspool.schedules import (
    Every,
    Mixed,
    Online,
    Revolve,
    Schedule,
    StoreAll,
    Tier,
    Uneven,
    simulate,
)
from unspool.tree import flatten

X = np.array([0.3, -0.2, 0.5])


def _in_ram(schedule: Schedule, n: int) -> bool:
    return not simulate(schedule, n, state_bytes=1).peak_slots[Tier.DISK]


FAMILIES: list[Callable[[int], Schedule]] = [
    lambda c: StoreAll(),
    Every,
    Revolve,
    lambda c: Revolve(c, leaf=1 + c % 3),
    Online,
]
SCHEDULES = st.builds(lambda make, c: make(c), st.sampled_from(FAMILIES), st.integers(1, 6))
FIXED: list[Any] = [
    "none",
    "every-1",
    "every-3",
    "every-100",
    "revolve-1",
    "revolve-2",
    "revolve-5",
    "binomial-3",
    "online-1",
    "online-3",
    Revolve(2, leaf=3),
    Online(2, leaf=2),
]


# --- random steps under random policies -------------------------------------------------------------------------------
PIECES: dict[str, Callable[[Any, Any, int], Any]] = {
    "decay": lambda u, p, i: u - 0.1 * p[0] * u,
    "wave": lambda u, p, i: u + 0.05 * np.sin(p[1] * u + i),
    "diffuse": lambda u, p, i: u + 0.1 * (np.roll(u, 1) - 2 * u + np.roll(u, -1)),
    "in place": lambda u, p, i: _in_place(u, p),
    "matrix": lambda u, p, i: 0.5 * (np.outer(p, p) @ u) + 0.5 * u,
    "reverse": lambda u, p, i: u[::-1] * np.cos(p[2]),
    "norm": lambda u, p, i: u / np.sqrt(1.0 + np.sum(u * u)),
    "branch": lambda u, p, i: u * p[0] if i % 2 else u + p,
    "clip": lambda u, p, i: np.where(u > 0.4, 0.9 * u, u),
    "power": lambda u, p, i: 0.9 * np.exp(-(u**2)) + 0.1 * p,
}


def _in_place(u: Any, p: Any) -> Any:
    v = u[1:]
    v += 0.1 * u[:-1] * p[1:]
    u[0] *= 0.9
    return u


def _composed(names: list[str], u: Any, p: Any, i: int) -> Any:
    for name in names:
        u = PIECES[name](u, p, i)
    return u


NAMES = st.lists(st.sampled_from(sorted(PIECES)), min_size=1, max_size=4)


@given(names=NAMES, n=st.integers(0, 13), schedule=SCHEDULES)
def test_gradient_has_the_same_bits_under_every_policy_and_takes_the_steps_that_the_schedule_says(
    names: list[str], n: int, schedule: Schedule
) -> None:
    p = np.array([0.7, -0.4, 0.9])

    def loss(policy: Any, step: Any, u: Any, p: Any) -> Any:
        u = fori_loop(0, n, lambda i, u: step(u, p, i), u, policy=policy)
        return np.sum(u * u * np.array([1.0, 2.0, 3.0]))

    def function(u: Any, p: Any, i: int) -> Any:
        return _composed(names, u, p, i)

    every = Counted(function)
    value, expected = value_and_grad(lambda u, p: loss("none", every, u, p), argnums=(0, 1))(X, p)
    assert every.calls == n
    step = Counted(function)
    with unspool.observe() as log:
        again, found = value_and_grad(lambda u, p: loss(schedule, step, u, p), argnums=(0, 1))(X, p)
    assert same_bits([value, *expected], [again, *found])
    cost = simulate(schedule, n, state_bytes=log[0].state_bytes, residual_bytes=log[0].residual_bytes)
    assert step.calls == cost.steps == schedule.steps(n) == log[0].steps
    assert log[0].peak_snapshot_bytes <= cost.peak_slots[0] * log[0].state_bytes

    def plain(u: Any, p: Any) -> Any:
        u = u.copy()
        for i in range(n):
            u = _composed(names, u.copy(), p, i)
        return np.sum(u * u * np.array([1.0, 2.0, 3.0]))

    assert value == plain(X, p)
    np.testing.assert_allclose(found[0], central(lambda u: plain(u, p), X), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found[1], central(lambda p: plain(X, p), p), rtol=1e-6, atol=1e-7)


@given(names=NAMES, limit=st.integers(0, 12), slots=st.integers(1, 5), family=st.sampled_from(["online", "every"]))
def test_a_loop_of_unknown_length_has_the_gradient_of_the_same_number_of_known_steps(
    names: list[str], limit: int, slots: int, family: str
) -> None:
    p = np.array([0.7, -0.4, 0.9])

    def by_while(u: Any, p: Any, policy: Any, step: Any) -> Any:
        end, _ = while_loop(lambda s: s[1] < limit, lambda s: (step(s[0], p, 1), s[1] + 1), (u, 0), policy=policy)
        return np.sum(end**2)

    def by_fori(u: Any, p: Any) -> Any:
        return np.sum(fori_loop(0, limit, lambda i, u: _composed(names, u, p, 1), u) ** 2)

    step = Counted(lambda u, p, i: _composed(names, u, p, i))
    found = grad(lambda u, p: by_while(u, p, f"{family}-{slots}", step), argnums=(0, 1))(X, p)
    expected = grad(by_fori, argnums=(0, 1))(X, p)
    assert same_bits(found, expected)
    assert step.calls >= limit
    unseen = Counted(lambda u, p, i: _composed(names, u, p, i))
    assert same_bits(grad(lambda u, p: by_while(u, p, "none", unseen), argnums=(0, 1))(X, p), expected)
    assert unseen.calls == limit


@pytest.mark.parametrize("schedule", [Every(6), Revolve(4), Revolve(3, leaf=4), Online(4), StoreAll()], ids=str)
def test_measured_bytes_stay_below_the_predicted(schedule: Schedule) -> None:
    n = 60
    assert _in_ram(schedule, n)
    with unspool.observe() as log:
        grad(lambda u: np.sum(fori_loop(0, n, lambda i, u: u + 0.01 * np.sin(u), u, policy=schedule)))(np.zeros(500))
    (report,) = log
    assert report.state_bytes == 4000
    assert 0 < report.peak_bytes <= report.predicted_peak_bytes
    assert report.steps == report.predicted_steps == schedule.steps(n)
    assert report.reversed


@pytest.mark.parametrize("policy", FIXED, ids=str)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 7])
def test_scan_differentiates_init_rows_outputs_and_closures_under_every_policy(policy: Any, n: int) -> None:
    rows = np.linspace(-0.5, 0.7, 2 * n).reshape(n, 2)
    weights = np.cos(np.arange(n))

    def step(c: Any, u: Any, x: Any) -> tuple[Any, Any]:
        u = u + 0.1 * np.tanh(u * c) * x
        return u, {"sum": np.sum(u) * x[0], "all": (u, None)}

    def loss(u: Any, rows: Any, c: Any, policy: Any = policy) -> Any:
        end, ys = scan(lambda u, x: step(c, u, x), u, rows, policy=policy)
        assert ys["all"][1] is None
        assert ys["all"][0].shape == (n, 2)
        return np.sum(end**2) + np.sum(weights * ys["sum"]) + np.sum(ys["all"][0] ** 3)

    def plain(u: Any, rows: Any, c: Any) -> Any:
        total: Any = 0.0
        for k in range(n):
            u, y = step(c, u, rows[k])
            total = total + weights[k] * y["sum"] + np.sum(y["all"][0] ** 3)
        return total + np.sum(u**2)

    args = np.array([0.4, -0.9]), rows, np.array([1.1, 0.6])
    found = grad(loss, argnums=(0, 1, 2))(*args)
    expected = [complex_step(lambda z, k=k: plain(*args[:k], z, *args[k + 1 :]), args[k]) for k in range(3)]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)
    assert same_bits(found, grad(lambda *a: loss(*a, policy="none"), argnums=(0, 1, 2))(*args))


# --- states -----------------------------------------------------------------------------------------------------------
@dataclass
class Cell:
    u: Any
    v: Any


Pair = namedtuple("Pair", ["left", "right"])


def test_a_state_is_any_nest_and_comes_back_as_the_same() -> None:
    init = {
        "cell": Cell(np.ones(2), 0.5),
        "pair": Pair([1.0, None], (2.0,)),
        "count": 0,
        "on": True,
        "z": 1j,
        "empty": (),
    }

    def step(i: int, s: Any) -> Any:
        assert isinstance(s["cell"], Cell)
        assert isinstance(s["pair"], Pair)
        assert s["pair"].left[1] is None
        assert s["count"] == i
        a = s["cell"].u * s["pair"].left[0] + s["cell"].v
        return {
            "cell": Cell(a * 0.5, s["cell"].v * s["pair"].right[0] * 0.4),
            "pair": Pair([np.sum(a) * 0.3, None], (s["pair"].right[0] + np.real(s["z"]) * 0.1,)),
            "count": s["count"] + 1,
            "on": not s["on"],
            "z": s["z"] * (0.5 + 0.1j),
            "empty": (),
        }

    def loss(u: Any, policy: Any) -> Any:
        s = fori_loop(0, 5, step, {**init, "cell": Cell(u, 0.5)}, policy=policy)
        assert (s["count"], bool(s["on"])) == (5, False)
        assert s["empty"] == ()
        return np.sum(s["cell"].u) + s["pair"].left[0] * s["cell"].v

    def plain(u: Any) -> Any:
        s: Any = {**init, "cell": Cell(u, 0.5)}
        for i in range(5):
            s = step(i, s)
        return np.sum(s["cell"].u) + s["pair"].left[0] * s["cell"].v

    u = np.array([0.4, 0.7])
    gradients = [grad(loss)(u, policy) for policy in FIXED]
    np.testing.assert_allclose(gradients[0], complex_step(plain, u), rtol=1e-12)
    assert all(same_bits(gradients[0], other) for other in gradients)


@pytest.mark.parametrize("policy", FIXED, ids=str)
@pytest.mark.parametrize(
    "init",
    [
        np.float64(0.3),
        np.array(0.3),
        np.float32(0.3),
        np.zeros((0, 3)),
        np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.linspace(0, 1, 6).reshape(2, 3)),
        np.linspace(0, 1, 24).reshape(4, 6)[::-2, ::3],
        np.array([0.1 + 0.2j, -0.3 + 0.1j]),
        np.array([0.1 + 0.2j], np.complex64),
        np.array([1.0, np.nan, np.inf, -0.0]),
        np.linspace(0, 1, 3).astype(">f8"),
        np.linspace(0, 1, 3).astype(np.longdouble),
        np.linspace(0, 1, 3).astype(np.float16),
    ],
    ids=lambda a: f"{a.dtype}{list(a.shape)}{'C' if a.flags.c_contiguous else 'F'}",
)
def test_every_kind_of_array_is_a_state(init: Any, policy: Any) -> None:
    def loss(u: Any, policy: Any) -> Any:
        with np.errstate(invalid="ignore"):
            end = fori_loop(0, 4, lambda i, u: u * u * 0.5 + u, u, policy=policy)
        return np.sum(np.real(end))

    expected = grad(loss)(init, "none")
    found = grad(loss)(init, policy)
    assert found.dtype == init.dtype.newbyteorder("=")
    assert found.shape == init.shape
    assert same_bits(found, expected)
    u, slope = init.astype(complex), np.ones(init.shape, complex)
    with np.errstate(invalid="ignore"):
        for _ in range(4):
            u, slope = u * u * 0.5 + u, slope * (u + 1.0)
        rough = init.dtype.itemsize <= 4 or init.dtype == np.complex64
        expected = slope if init.dtype.kind == "c" else slope.real
        finite = np.isfinite(expected)
    np.testing.assert_allclose(found[finite], expected[finite], rtol=1e-2 if rough else 1e-12)


# --- what a step reads from outside -----------------------------------------------------------------------------------
@pytest.mark.parametrize("policy", FIXED, ids=str)
def test_closures_over_traced_values_at_several_levels_get_their_gradient(policy: Any) -> None:
    def loss(x: Any) -> Any:
        a = np.sin(x)
        params = {"list": [x[0], a[1:]], "view": x[::2]}

        def inner(j: int, v: Any) -> Any:
            return v + 0.1 * x[2] * params["view"] * np.sum(a)

        def outer(i: int, u: Any) -> Any:
            b = u * params["list"][0]
            v = fori_loop(0, 2, lambda j, v: inner(j, v) + b[0], u[::2] * 1.0, policy=policy)
            return u + 0.05 * np.sum(v) * a + 0.1 * np.sum(params["list"][1]) * b

        return np.sum(fori_loop(0, 4, outer, x * 2.0, policy=policy) ** 2)

    def plain(x: Any) -> Any:
        a = np.sin(x)
        u = x * 2.0
        for _ in range(4):
            b = u * x[0]
            v = u[::2] * 1.0
            for _ in range(2):
                v = v + 0.1 * x[2] * x[::2] * np.sum(a) + b[0]
            u = u + 0.05 * np.sum(v) * a + 0.1 * np.sum(a[1:]) * b
        return np.sum(u**2)

    found = grad(loss)(X)
    np.testing.assert_allclose(found, complex_step(plain, X), rtol=1e-11)
    v = np.array([0.2, 0.5, -0.3])
    exact = central(lambda z: complex_step(plain, z) @ v, X)
    np.testing.assert_allclose(unspool.hvp(loss)(X, v), exact, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("policy", ["none", "every-2", "revolve-1", "online-2"])
def test_a_captured_array_may_be_written_before_and_after_the_loop_and_views_of_it_are_seen_as_they_are(
    policy: Any,
) -> None:
    def f(x: Any, loop: Any) -> Any:
        w = x * 1.0
        old_view = w[1:]
        w[1] = 5.0 * x[0]
        u = loop(lambda i, u: u * 0.9 + 0.1 * old_view[0] * w[2] + old_view[1], x[0] * 1.0)
        w *= 100.0
        old_view += 3.0
        return u * u + np.sum(w)

    def python_loop(step: Any, u: Any) -> Any:
        for i in range(5):
            u = step(i, u)
        return u

    found = grad(lambda x: f(x, lambda step, u: fori_loop(0, 5, step, u, policy=policy)))(X)
    np.testing.assert_allclose(found, complex_step(lambda x: f(x, python_loop), X), rtol=1e-12)


@pytest.mark.parametrize("policy", ["none", "every-2", "revolve-1", "online-2"])
def test_parameters_of_one_step_each_are_captured_one_by_one(policy: Any) -> None:
    def loss(*weights: Any) -> Any:
        def step(i: int, u: Any) -> Any:
            return np.tanh(u * weights[i]) + 0.1

        return fori_loop(0, 4, step, 0.5, policy=policy) ** 2

    def plain(w: Any) -> Any:
        u = 0.5
        for k in range(4):
            u = np.tanh(u * w[k]) + 0.1
        return u**2

    weights = np.array([0.3, 0.5, -0.7, 1.1])
    np.testing.assert_allclose(grad(loss, argnums=(0, 1, 2, 3))(*weights), complex_step(plain, weights), rtol=1e-12)
    np.testing.assert_allclose(
        unspool.jvp(loss, tuple(weights), (1.0, 0.0, 0.0, 0.0))[1], complex_step(plain, weights)[0], rtol=1e-12
    )


def test_a_write_to_an_array_from_outside_the_loop_is_refused_with_the_way_out() -> None:
    def loss(x: Any) -> Any:
        w = x * 1.0

        def step(i: int, u: Any) -> Any:
            w[0] = u
            return u

        return fori_loop(0, 3, step, x[0])

    with pytest.raises(StateError, match="pass the array as part of the initial state") as caught:
        grad(loss)(X)
    assert "in step 0 of fori_loop" in caught.value.__notes__

    def through_a_view(x: Any) -> Any:
        view = (x * 1.0)[1:]
        return fori_loop(0, 3, lambda i, u: view.__imul__(2.0)[0] + u, x[0])

    with pytest.raises(StateError, match="from outside the loop"):
        grad(through_a_view)(X)


@pytest.mark.parametrize("policy", ["none", "every-2", "revolve-1", "online-2"])
def test_plain_arrays_are_the_steps_own_business(policy: Any) -> None:
    work = np.empty(3)
    table = [1.0, 2.0, 3.0]

    def step(i: int, u: Any) -> Any:
        work[:] = np.cos(i + np.arange(3.0))
        table[0] = 1.0 + i
        v = u * work
        work[:] = 1e6
        v = v + 0.1 * u * table
        table[0] = 1e6
        return v

    def plain(u: Any) -> Any:
        for i in range(5):
            u = u * np.cos(i + np.arange(3.0)) + 0.1 * u * np.array([1.0 + i, 2.0, 3.0])
        return np.sum(u**2)

    found = grad(lambda u: np.sum(fori_loop(0, 5, step, u, policy=policy) ** 2))(X)
    np.testing.assert_allclose(found, complex_step(plain, X), rtol=1e-12)


@pytest.mark.parametrize("policy", ["none", "every-2", "revolve-1", "online-2"])
def test_arrays_that_the_caller_changes_after_the_sweep_give_the_right_gradient_or_an_error(policy: Any) -> None:
    init, rows, captured = X.copy(), np.ones((4, 3)), np.array([0.5, 0.6, 0.7])

    def f(c: Any) -> Any:
        end, ys = scan(lambda u, x: (u * x * captured + c, u), init, rows, policy=policy)
        return end, ys

    expected = unspool.vjp(f, np.ones(3))[1]((np.ones(3), np.ones((4, 3))))
    (end, ys), pullback = unspool.vjp(f, np.ones(3))
    init[:] = rows[:] = 1e9
    end[:] = ys[:] = -1.0
    assert same_bits(pullback((np.ones(3), np.ones((4, 3)))), expected)
    assert same_bits(pullback((np.ones(3), np.ones((4, 3)))), expected)
    captured[:] = 100.0
    with pytest.raises(ReplayError, match="came out differently"):
        pullback((np.ones(3), np.ones((4, 3))))


@pytest.mark.parametrize("policy", ["none", "every-2", "revolve-1", "online-2"])
def test_a_captured_plain_array_that_is_changed_before_the_way_back_is_found(policy: Any) -> None:
    captured = np.array([0.5, 0.6, 0.7])
    _, pullback = unspool.vjp(lambda u: fori_loop(0, 5, lambda i, u: u * captured, u, policy=policy), X)
    captured[:] = 3.0
    if policy == "none":
        np.testing.assert_allclose(pullback(np.ones(3))[0], np.array([0.5, 0.6, 0.7]) ** 5, rtol=1e-15)
    else:
        with pytest.raises(ReplayError, match="an array that is changed meanwhile"):
            pullback(np.ones(3))
    captured[:] = [0.5, 0.6, 0.7]
    np.testing.assert_allclose(pullback(np.ones(3))[0], np.array([0.5, 0.6, 0.7]) ** 5, rtol=1e-15)


@pytest.mark.parametrize("policy", FIXED, ids=str)
def test_a_pullback_can_be_called_again_and_its_arguments_and_results_are_its_own(policy: Any) -> None:
    _, pullback = unspool.vjp(lambda u, c: fori_loop(0, 5, lambda i, u: u * np.cos(c * u), u, policy=policy), X, X + 1)
    ct = np.array([1.0, -2.0, 0.5])
    first = pullback(ct)
    kept = [g.copy() for g in first]
    assert ct.tolist() == [1.0, -2.0, 0.5]
    for g in first:
        g *= 7.0
    assert ct.tolist() == [1.0, -2.0, 0.5]
    assert same_bits(pullback(ct), kept)
    np.testing.assert_allclose(pullback(2 * ct)[0], 2 * kept[0], rtol=1e-15)
    assert same_bits(pullback(ct), kept)


# --- nesting ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("inner_policy", ["none", "every-2", "revolve-1"])
@pytest.mark.parametrize("outer_policy", ["none", "every-2", "revolve-1", "online-2"])
def test_loops_in_loops_in_loops(inner_policy: Any, outer_policy: Any) -> None:
    def loss(x: Any, loop: Any) -> Any:
        def innermost(k: int, w: Any) -> Any:
            return w * 0.9 + 0.05 * np.sin(w * x)

        def middle(j: int, v: Any) -> Any:
            return loop(2, innermost, v, inner_policy) + 0.1 * x[0]

        def outer(i: int, u: Any) -> Any:
            return loop(3, middle, u, inner_policy) * np.cos(0.1 * i)

        return np.sum(loop(4, outer, x * 1.0, outer_policy) ** 2)

    def ours(n: int, step: Any, u: Any, policy: Any) -> Any:
        return fori_loop(0, n, step, u, policy=policy)

    def python(n: int, step: Any, u: Any, policy: Any) -> Any:
        for i in range(n):
            u = step(i, u)
        return u

    found = grad(lambda x: loss(x, ours))(X)
    np.testing.assert_allclose(found, complex_step(lambda x: loss(x, python), X), rtol=1e-12)
    assert same_bits(found, grad(lambda x: loss(x, lambda n, s, u, p: fori_loop(0, n, s, u)))(X))


def test_a_gradient_inside_a_step_is_differentiated_too() -> None:
    def energy(u: Any, k: Any) -> Any:
        return np.sum(k * u**4 + 0.5 * u**2)

    def loss(x: Any, policy: Any) -> Any:
        def step(i: int, u: Any) -> Any:
            return u - 0.1 * grad(energy)(u, x[1])

        return np.sum(fori_loop(0, 4, step, x, policy=policy) ** 2)

    def plain(x: Any) -> Any:
        u = x
        for _ in range(4):
            u = u - 0.1 * (4 * x[1] * u**3 + u)
        return np.sum(u**2)

    for policy in FIXED:
        np.testing.assert_allclose(grad(loss)(X, policy), complex_step(plain, X), rtol=1e-12)
    v = np.array([0.2, -0.1, 0.4])
    second = central(lambda z: complex_step(plain, z) @ v, X)
    for policy in ("none", "revolve-1", "every-2"):
        np.testing.assert_allclose(unspool.hvp(lambda x, p=policy: loss(x, p))(X, v), second, rtol=1e-7)


def test_every_transform_passes_through_a_loop_in_a_loop_under_every_policy() -> None:
    def f(x: Any, policy: Any) -> Any:
        def step(u: Any, row: Any) -> tuple[Any, Any]:
            v = fori_loop(0, 2, lambda j, v: v + 0.1 * np.sin(v * x), u, policy=policy)
            return v * row, np.sum(v) * x

        end, ys = scan(step, x, np.linspace(0.9, 1.1, 4), policy=policy)
        return np.sum(end**3) + np.sum(ys**2)

    def plain(x: Any) -> Any:
        u, total = x, 0.0
        for row in np.linspace(0.9, 1.1, 4):
            v = u
            for _ in range(2):
                v = v + 0.1 * np.sin(v * x)
            total = total + np.sum((np.sum(v) * x) ** 2)
            u = v * row
        return np.sum(u**3) + total

    gradient = complex_step(plain, X)
    matrix = np.stack([central(lambda z, k=k: complex_step(plain, z)[k], X) for k in range(3)])
    v = np.array([0.2, -0.1, 0.4])
    for policy in ("none", "every-2", "revolve-2", "online-2"):
        g = lambda x, p=policy: f(x, p)
        np.testing.assert_allclose(grad(g)(X), gradient, rtol=1e-12)
        np.testing.assert_allclose(unspool.jvp(g, (X,), (v,))[1], gradient @ v, rtol=1e-12)
        np.testing.assert_allclose(unspool.hvp(g)(X, v), matrix @ v, rtol=1e-6)
        np.testing.assert_allclose(grad(lambda x, g=g: np.sum(grad(g)(x) * v))(X), matrix @ v, rtol=1e-6)
        np.testing.assert_allclose(grad(lambda x, g=g: unspool.jvp(g, (x,), (v,))[1])(X), matrix @ v, rtol=1e-6)
        np.testing.assert_allclose(
            unspool.jvp(lambda x, g=g: unspool.jvp(g, (x,), (v,))[1], (X,), (v,))[1], v @ matrix @ v, rtol=1e-6
        )
    np.testing.assert_allclose(unspool.hessian(lambda x: f(x, "revolve-1"))(X), matrix, rtol=1e-6)
    third = grad(lambda x: np.sum(unspool.hvp(lambda y: f(y, "every-2"))(x, v) * v))(X)
    by_differences = central(lambda x: v @ unspool.hvp(lambda y: f(y, "none"))(x, v), X)
    np.testing.assert_allclose(third, by_differences, rtol=1e-5)


def test_a_while_loop_in_a_step_and_a_step_in_a_while_loop() -> None:
    def root(a: Any) -> Any:
        return while_loop(lambda x: abs(x * x - a) > 1e-13, lambda x: (x + a / x) / 2, 1.0, policy="online-2")

    def loss(a: Any, policy: Any) -> Any:
        return fori_loop(0, 3, lambda i, u: root(u) + 0.5 * a, a, policy=policy)

    def plain(a: Any) -> Any:
        u = a
        for _ in range(3):
            u = np.sqrt(u) + 0.5 * a
        return u

    expected = complex_step(plain, np.float64(2.0))
    for policy in FIXED:
        np.testing.assert_allclose(grad(loss)(2.0, policy), expected, rtol=1e-9)
    assert unspool.jvp(root, (4.0,), (1.0,))[1] == pytest.approx(0.25, rel=1e-9)
    assert grad(grad(root))(4.0) == pytest.approx(-1 / 32, rel=1e-6)


# --- checkpoint -------------------------------------------------------------------------------------------------------
def test_checkpoint_runs_the_function_twice_and_gives_the_same_bits() -> None:
    def function(u: Any, *, scale: Any) -> Any:
        return {"a": np.sin(np.exp(u)) * scale["s"], "b": [u[0], None]}

    counted = Counted(lambda u, scale: function(u, scale=scale))

    def loss(u: Any, s: Any, f: Any) -> Any:
        out = f(u, s)
        return np.sum(out["a"] ** 2) * out["b"][0]

    wrapped = unspool.checkpoint(counted)
    plain = grad(loss, argnums=(0, 1))(X, 2.0, lambda u, s: function(u, scale={"s": s}))
    found = grad(loss, argnums=(0, 1))(X, 2.0, lambda u, s: wrapped(u, {"s": s}))
    assert same_bits(found, plain)
    assert counted.calls == 2
    keyword = unspool.checkpoint(function)
    assert same_bits(grad(loss, argnums=(0, 1))(X, 2.0, lambda u, s: keyword(u, scale={"s": s})), plain)
    assert keyword(X, scale={"s": 1.0})["b"] == [X[0], None]


def test_checkpointed_functions_nest_in_each_other_and_in_loops_and_see_closures() -> None:
    def loss(x: Any, checkpoint: Any, policy: Any) -> Any:
        @checkpoint
        def inner(u: Any) -> Any:
            return np.sin(u * x)

        @checkpoint
        def outer(u: Any, k: int) -> Any:
            return inner(u) + 0.1 * inner(inner(u)) * k

        return np.sum(fori_loop(0, 3, lambda i, u: outer(u, 2), x, policy=policy))

    for policy in ("none", "revolve-1"):
        found = grad(loss)(X, unspool.checkpoint, policy)
        assert same_bits(found, grad(loss)(X, lambda f: f, "none"))
        v = np.array([0.1, 0.2, 0.3])
        np.testing.assert_allclose(
            unspool.hvp(lambda x, p=policy: loss(x, unspool.checkpoint, p))(X, v),
            unspool.hvp(lambda x: loss(x, lambda f: f, "none"))(X, v),
            rtol=1e-12,
        )


# --- steps that do not repeat themselves ------------------------------------------------------------------------------
@pytest.mark.parametrize("policy", ["every-2", "revolve-1", "revolve-3", "online-2"])
def test_a_step_that_draws_from_a_global_generator_raises_where_it_would_be_run_again(policy: Any) -> None:
    rng = np.random.default_rng(0)

    def loss(u: Any) -> Any:
        return np.sum(fori_loop(0, 8, lambda i, u: u * rng.normal(size=3), u, policy=policy))

    with pytest.raises(ReplayError, match=r"step \d+.* came out differently") as caught:
        grad(loss)(X)
    assert "random" in str(caught.value)
    assert "xs of scan" in str(caught.value)
    assert 'policy="none"' in str(caught.value)
    assert grad(lambda x: x**2)(3.0) == 6.0


def test_a_step_that_draws_from_a_global_generator_has_the_right_gradient_when_nothing_runs_twice() -> None:
    rng = np.random.default_rng(0)
    drawn: list[Any] = []

    def step(i: int, u: Any) -> Any:
        drawn.append(rng.normal(size=3))
        return u * drawn[-1]

    found = grad(lambda u: np.sum(fori_loop(0, 8, step, u, policy="none")))(X)
    np.testing.assert_allclose(found, np.prod(drawn, axis=0), rtol=1e-14)


@pytest.mark.parametrize(
    "policy", [Every(3), Revolve(1), Revolve(2), Revolve(3, leaf=2), Online(2), Every(100)], ids=str
)
def test_a_step_that_changes_at_any_call_is_found_or_did_no_harm(policy: Schedule) -> None:
    n = 10
    for change in range(1, policy.steps(n) + 1):
        calls = [0]

        def step(i: int, u: Any, change: int = change, calls: list[int] = calls) -> Any:
            calls[0] += 1
            return u * (2.0 if calls[0] <= change else 3.0)

        def loss(x: Any, step: Any = step) -> Any:
            return fori_loop(0, n, step, x, policy=policy)

        try:
            value, gradient = value_and_grad(loss)(1.0)
        except ReplayError:
            continue
        assert gradient == value, f"the step changed after call {change}"


def test_a_step_that_puts_out_something_else_the_second_time_raises() -> None:
    calls = [0]

    def step(u: Any, _: None) -> tuple[Any, Any]:
        calls[0] += 1
        return u * 0.5, u * calls[0]

    with pytest.raises(ReplayError, match=r"output of step \d of scan"):
        grad(lambda u: np.sum(scan(step, u, None, 5, policy="revolve-1")[1]))(1.0)


def test_a_step_that_reads_something_new_the_second_time_raises() -> None:
    calls = [0]

    def loss(x: Any) -> Any:
        def step(i: int, u: Any) -> Any:
            calls[0] += 1
            return u * x[0] + (0.0 * x[1:].sum() if calls[0] > 6 else 0.0)

        a = x * 1.0
        return fori_loop(
            0, 6, lambda i, u: step(i, u) + (0.0 * a[0] if calls[0] > 6 else 0.0), x[0], policy="revolve-1"
        )

    with pytest.raises(ReplayError, match="had not read"):
        grad(loss)(X)


def test_a_generator_carried_in_the_state_is_replayed() -> None:
    def loss(u: Any, policy: Any) -> Any:
        def step(s: Any, _: None) -> tuple[Any, None]:
            u, seed = s
            rng = np.random.default_rng(int(seed))
            return (u * rng.normal(size=3), rng.integers(2**31)), None

        (u, _), _ = scan(step, (u, 7), None, 8, policy=policy)
        return np.sum(u)

    expected = grad(loss)(X, "none")
    assert all(same_bits(grad(loss)(X, policy), expected) for policy in ("every-3", "revolve-2", "online-2"))


# --- a state that changes ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("step", "says"),
    [
        (lambda i, u: u[:-1], [r"step 0", r"was f64\[3\] and became f64\[2\]"]),
        (lambda i, u: u.astype(np.float32), [r"f64\[3\]", r"f32\[3\]", "astype"]),
        (lambda i, u: u * 1j, [r"f64\[3\]", r"c128\[3\]"]),
        (lambda i, u: (u, u), ["structure", r"\(\*, \*\)"]),
        (lambda i, u: None, ["structure", "became None"]),
        (lambda i, u: u if i < 2 else u[None], ["step 2", r"f64\[1, 3\]"]),
        (lambda i, u: u if i < 2 else {"u": u}, ["step 2", r"\{'u': \*\}"]),
        (lambda i, u: np.zeros(3, int), [r"i64\[3\]"]),
        (lambda i, u: "state", ["state"]),
        (lambda i, u: object(), ["state"]),
    ],
)
def test_a_state_that_changes_its_type_or_structure_raises_with_both(step: Any, says: list[str]) -> None:
    for policy in ("none", "revolve-2"):
        with pytest.raises(StateError) as caught:
            grad(lambda u, p=policy: np.sum(fori_loop(0, 4, step, u, policy=p)))(X)
        for words in says:
            assert caught.match(words)
        assert any("of fori_loop" in note for note in caught.value.__notes__)
    with pytest.raises(StateError):
        fori_loop(0, 4, step, X)


def test_a_state_that_starts_as_an_int_says_how_to_start() -> None:
    with pytest.raises(StateError, match=r"start from a\s+float \(1\.0 for 1\)"):
        grad(lambda x: fori_loop(0, 3, lambda i, u: u * x, 1))(2.0)


def test_where_in_the_state_a_type_changed_is_said() -> None:
    with pytest.raises(StateError, match=r"state\['b'\]\[1\]"):
        grad(
            lambda x: fori_loop(0, 3, lambda i, s: {"a": s["a"], "b": (1.0, s["a"][:1])}, {"a": x, "b": (1.0, x)})["a"][
                0
            ]
        )(X)


@pytest.mark.parametrize("bad", ["abc", object(), np.array(["a"]), np.array([None])])
def test_a_state_or_an_output_that_is_no_array_is_refused(bad: Any) -> None:
    with pytest.raises(InputError, match="initial state"):
        fori_loop(0, 3, lambda i, u: u, (1.0, bad))
    with pytest.raises(StateError, match="put out something"):
        grad(lambda x: scan(lambda u, _: (u, bad), x, None, 3)[0])(1.0)


def test_outputs_that_change_raise() -> None:
    sizes = iter((2, 3, 3))
    with pytest.raises(StateError, match=r"the output of scan changed its type in step 1"):
        scan(lambda u, _: (u, np.zeros(next(sizes))), 1.0, None, 3)
    nests = iter((1.0, (1.0, 2.0)))
    with pytest.raises(StateError, match=r"output of scan was \* and became \(\*, \*\) in step 1"):
        scan(lambda u, _: (u, next(nests)), 1.0, None, 3)
    with pytest.raises(StateError, match="must return a pair"):
        scan(lambda u, _: u, 1.0, None, 3)


# --- errors at any position -------------------------------------------------------------------------------------------
class BrokenError(Exception):
    pass


@pytest.mark.parametrize("kind", [BrokenError, KeyboardInterrupt])
@pytest.mark.parametrize("policy", ["none", "every-3", "revolve-1", "revolve-3", "online-2"])
def test_an_error_at_any_call_of_the_step_passes_through_with_the_step_and_leaves_nothing_open(
    policy: Any, kind: Any
) -> None:
    n = 6
    total = Counted(lambda i, u: u * 1.5)
    expected = grad(lambda x: fori_loop(0, n, total, x, policy=policy))(1.0)
    for fatal in range(1, total.calls + 1):
        calls = [0]
        at: list[int] = []

        def step(i: int, u: Any, calls: list[int] = calls, fatal: int = fatal, at: list[int] = at) -> Any:
            calls[0] += 1
            if calls[0] == fatal:
                at.append(i)
                raise kind("here")
            return u * 1.5

        def loss(x: Any, step: Any = step) -> Any:
            return fori_loop(0, n, step, x, policy=policy)

        with pytest.raises(kind, match="here") as caught:
            grad(loss)(1.0)
        assert caught.value.__notes__ == [f"in step {at[0]} of fori_loop"]
        assert grad(loss)(1.0) == expected


@pytest.mark.parametrize("policy", ["none", "every-3", "revolve-1"])
def test_an_error_in_the_adjoint_passes_through_with_the_step_and_the_pullback_works_again(policy: Any) -> None:
    broken = [True]

    @unspool.custom_vjp
    def fragile(u: Any) -> Any:
        return u * 2

    def bwd(k: Any, ct: Any) -> Any:
        if broken[0] and k < 10:
            raise BrokenError("in the rule")
        return (2 * ct,)

    fragile.defvjp(lambda u: (u * 2, u), bwd)
    _, pullback = unspool.vjp(lambda x: fori_loop(0, 6, lambda i, u: fragile(u), x, policy=policy), 1.0)
    with pytest.raises(BrokenError, match="in the rule") as caught:
        pullback(1.0)
    assert caught.value.__notes__ == ["in the adjoint of step 3 of fori_loop"]
    broken[0] = False
    assert pullback(1.0) == (64.0,)


@pytest.mark.parametrize("policy", ["none", "revolve-1"])
def test_the_outer_tape_stays_usable_after_an_error_that_f_catches(policy: Any) -> None:
    def f(x: Any) -> Any:
        y = x * 3

        def step(i: int, u: Any) -> Any:
            if i == 2:
                raise BrokenError
            return u * y

        try:
            y = fori_loop(0, 5, step, x, policy=policy)
        except BrokenError:
            y = y * x
        try:
            grad(lambda z: step(2, z))(x)
        except BrokenError:
            y = y + x
        return y + fori_loop(0, 2, lambda i, u: u * x, y, policy=policy)

    x = 1.3
    expected = 6 * x + 1 + 12 * x**3 + 3 * x**2
    assert grad(f)(x) == pytest.approx(expected, rel=1e-14)
    assert unspool.jvp(f, (x,), (1.0,))[1] == pytest.approx(expected, rel=1e-14)
    assert grad(grad(f))(x) == pytest.approx(6 + 36 * x**2 + 6 * x, rel=1e-13)


def test_a_value_that_leaks_from_a_step_raises_when_it_is_used() -> None:
    path: list[Any] = []

    def f(x: Any) -> Any:
        def step(i: int, u: Any) -> Any:
            path.append(u)
            return u * x

        end = fori_loop(0, 3, step, x, policy="revolve-1")
        return end + path[1] * 1.0

    with pytest.raises(unspool.errors.ClosedError, match="carry it in the state"):
        grad(f)(2.0)
    with pytest.raises(unspool.errors.ClosedError):
        fori_loop(0, 3, lambda i, u: u * path[0], 1.0)


def test_what_would_detach_raises_inside_a_step_too() -> None:
    store = np.zeros(3)

    def step(i: int, u: Any) -> Any:
        store[i] = u
        return u

    for loss in (
        lambda x: fori_loop(0, 3, lambda i, u: float(u) * x, x),
        lambda x: fori_loop(0, 3, lambda i, u: u * np.asarray(x), x),
        lambda x: fori_loop(0, 3, step, x),
    ):
        with pytest.raises((DetachedError, ValueError)) as caught:
            grad(loss)(2.0)
        assert "in step 0 of fori_loop" in caught.value.__notes__


# --- what is refused before the first step ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "policy", ["sometimes", "every", "revolve-x", "", 3, "every-0", "revolve-0", "online-0", "every--1"]
)
def test_a_policy_that_makes_no_sense_is_refused_before_the_first_step(policy: Any) -> None:
    step = Counted(lambda i, u: u)
    for run in (
        lambda: fori_loop(0, 3, step, 1.0, policy=policy),
        lambda: while_loop(lambda u: u < 3, lambda u: step(0, u), 1.0, policy=policy),
        lambda: scan(lambda u, _: (step(0, u), None), 1.0, None, 3, policy=policy),
    ):
        with pytest.raises(PolicyError):
            run()
    assert step.calls == 0


def test_lengths_that_make_no_sense_are_refused_before_the_first_step() -> None:
    step = Counted(lambda i, u: u)
    pairs = Counted(lambda u, x: (u, None))
    with pytest.raises(PolicyError, match="negative"):
        fori_loop(3, 0, step, 1.0)
    with pytest.raises(PolicyError, match="negative"):
        scan(pairs, 1.0, None, -1)
    with pytest.raises(InputError, match=r"disagree about the number of steps: \[3, 4\]"):
        scan(pairs, 1.0, (np.zeros(3), np.zeros((4, 2))))
    with pytest.raises(InputError, match="disagree"):
        scan(pairs, 1.0, np.zeros(3), 4)
    with pytest.raises(InputError, match="no axes"):
        scan(pairs, 1.0, 3.0)
    with pytest.raises(InputError, match="needs xs, or a length"):
        scan(pairs, 1.0)
    for bad in (2.0, True, "3", None):
        with pytest.raises(InputError, match="must be an int"):
            fori_loop(0, bad, step, 1.0)
    with pytest.raises(InputError, match="while_loop"):
        grad(lambda x: fori_loop(0, x, step, 1.0))(2.0)
    assert step.calls == pairs.calls == 0


def test_a_while_loop_refuses_a_policy_that_must_know_its_length() -> None:
    step = Counted(lambda u: u * 2)
    with pytest.raises(PolicyError, match=r"Online\(slots\)"):
        grad(lambda x: while_loop(lambda u: u < 10, step, x, policy="revolve-3"))(1.0)
    assert step.calls == 0


# --- outside of transforms --------------------------------------------------------------------------------------------
def test_without_a_transform_a_loop_runs_each_step_once_and_gives_plain_arrays() -> None:
    step = Counted(lambda i, u: u * 2)
    result = fori_loop(0, 5, step, np.ones(2), policy="revolve-1")
    assert type(result) is np.ndarray
    assert result.tolist() == [32.0, 32.0]
    assert step.calls == 5
    end, ys = scan(lambda u, x: (u + x, (u, x)), 0, np.arange(4))
    assert (end, ys[0].tolist(), ys[0].dtype) == (6, [0, 0, 1, 3], np.dtype(int))
    assert while_loop(lambda u: u < 100, lambda u: u * 3, 1) == 243


def test_the_steps_of_a_loop_that_nothing_flows_into_are_run_once() -> None:
    step = Counted(lambda i, u: u * 2)
    value, gradient = value_and_grad(lambda x: x * fori_loop(0, 5, step, 1.0, policy="revolve-1"))(3.0)
    assert (value, gradient) == (96.0, 32.0)
    assert step.calls == 5


def test_integers_and_booleans_in_the_state_count_without_a_derivative() -> None:
    def loss(x: Any, policy: Any) -> Any:
        def step(i: int, s: Any) -> Any:
            u, count, hits, flags = s
            assert isinstance(count, np.integer)
            count = count + 1
            hits[i % 2] += int(count)
            flags = flags ^ (hits > 3)
            return u * x + count, count, hits, flags

        u, count, hits, _ = fori_loop(0, 5, step, (1.0, 0, np.zeros(2, int), np.zeros(2, bool)), policy=policy)
        assert (count, hits.tolist()) == (5, [9, 6])
        return u

    def plain(x: Any) -> Any:
        u: Any = 1.0
        for i in range(5):
            u = u * x + (i + 1)
        return u

    for policy in FIXED:
        assert grad(loss)(0.7, policy) == pytest.approx(float(complex_step(plain, 0.7)), rel=1e-14)


def test_creation_functions_in_a_step_hold_traced_values() -> None:
    def loss(x: Any, policy: Any) -> Any:
        def step(i: int, u: Any) -> Any:
            w = unp.zeros(3)
            for k in range(3):
                w[k] = u[k] * x[(k + i) % 3]
            return w + unp.array([u[0], 1.0, u[2]])

        return np.sum(fori_loop(0, 3, step, x, policy=policy))

    def plain(x: Any) -> Any:
        u = x
        for i in range(3):
            u = u * np.roll(x, -i) + np.array([u[0], 1.0, u[2]])
        return np.sum(u)

    for policy in FIXED:
        np.testing.assert_allclose(grad(loss)(X, policy), complex_step(plain, X), rtol=1e-13)


def test_a_long_loop_takes_no_recursion_and_a_state_of_a_float_little_memory() -> None:
    n = 20_000
    with unspool.observe() as log:
        gradient = grad(lambda x: fori_loop(0, n, lambda i, u: u * x, 1.0, policy="revolve-40"))(1.0)
    assert gradient == n
    assert log[0].peak_bytes < 10_000


@pytest.mark.parametrize("schedule", [Mixed(3), Uneven(3, (1,) * 12)], ids=str)
def test_other_schedules_in_memory_give_the_same_bits(schedule: Schedule) -> None:
    loss = lambda u, p: np.sum(fori_loop(0, 12, lambda i, u: np.sin(u) + 0.1 * u, u, policy=p))
    assert _in_ram(schedule, 12)
    assert same_bits(grad(loss)(X, schedule), grad(loss)(X, "none"))


def test_a_progress_bar_counts_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    grad(lambda x: fori_loop(0, 5, lambda i, u: u * x, x, policy="every-2", progress=True))(1.5)
    shown = capsys.readouterr().err
    assert "fori_loop" in shown
    assert "14/14" in shown  # 9 evaluations and 5 adjoints
    assert flatten(fori_loop(0, 5, lambda i, u: u, 1.0, progress=True))[0] == [1.0]


@pytest.mark.parametrize("threads", [0, -1, 2.0, True, "2", 257, np.float64(3.0)])
def test_threads_are_a_number_of_threads(threads: Any) -> None:
    def step(i: Any, u: Any) -> Any:
        raise AssertionError("no step may run")

    with pytest.raises(InputError, match=r"threads=.* from 1 to 256"):
        fori_loop(0, 3, step, X, threads=threads)
    with pytest.raises(InputError, match=r"threads=.* from 1 to 256"):
        scan(step, X, np.ones(3), threads=threads)


def test_threads_of_loops_that_are_not_compiled_change_nothing() -> None:
    def loss(u: Any, threads: Any) -> Any:
        end, ys = scan(lambda u, x: (np.sin(u) * x, u), u, np.array([0.5, 0.7, 0.9]), threads=threads)
        return np.sum(end) + np.sum(ys)

    expected = grad(loss)(X, None)
    for threads in (1, np.int64(3), 8):
        assert same_bits(grad(loss)(X, threads), expected)

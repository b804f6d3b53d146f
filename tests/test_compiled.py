"""Compiled loops equal the tape, under every policy to the bit; what machine code cannot do is refused by name."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

import unspool
import unspool.numpy as unp
import unspool.worth
from tests.adjoint.steps import LINES, SHAPES, make_step, state_of
from tests.oracles import central, complex_step, same_bits, taylor_order
from unspool import fori_loop, grad, hessian, hvp, jvp, scan, value_and_grad, vjp, while_loop
from unspool.codegen.number_drive import NumberDrive
from unspool.errors import DetachedError, PolicyError, ReplayError, StateError, UnspoolError, UnsupportedError
from unspool.schedules import Every, Mixed, Online, Revolve, Schedule, StoreAll, TwoLevel, Uneven, simulate
from unspool.stores import arena

U = np.array([0.3, -0.2, 0.5])
P = np.array([0.7, -0.4, 0.9])
C = np.array([0.3, -0.8, 0.5])

POLICIES: list[Any] = [
    {"policy": StoreAll()},
    {"policy": Every(3)},
    {"policy": "every-100"},
    {"policy": Revolve(2)},
    {"policy": Revolve(3, leaf=2)},
    {"policy": Mixed(2)},
    {"policy": Online(2)},
    {"memory": "400 B"},
    {"memory": None},
]


def step_of_u(i: Any, u: Any, p: Any) -> Any:
    """The step that most tests share, so that it is compiled once."""
    v = u + 0.1 * np.sin(p * u[::-1]) - 0.05 * u**3 + 0.01 * np.sum(p) * (i % 3)
    v[0] *= 0.9
    return v


def loss_of_u(u: Any, p: Any, n: int = 20, **options: Any) -> Any:
    end = fori_loop(0, n, lambda i, u: step_of_u(i, u, p), u, **options)
    return np.sum(end * end * np.array([1.0, 2.0, 3.0]))


def plain_loss_of_u(u: Any, p: Any, n: int = 20) -> Any:
    u = np.array(u)
    for i in range(n):
        u = step_of_u(i, u, p)
    return np.sum(u * u * np.array([1.0, 2.0, 3.0]))


def _close(found: Any, expected: Any, rtol: float = 1e-12) -> None:
    """To ``rtol`` of the largest element; NaN and infinities in the same places."""
    for one, other in zip(found, expected, strict=True):
        assert np.shape(one) == np.shape(other)
        assert np.asarray(one).dtype == np.asarray(other).dtype
        finite = np.abs(other)[np.isfinite(other)] if np.ndim(other) else np.abs(other)
        scale = np.max(finite, initial=1e-300, where=np.isfinite(finite))
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * scale)


# --- random steps -----------------------------------------------------------------------------------------------------
@settings(max_examples=8)
@given(lines=LINES, shapes=SHAPES, rough=st.booleans(), n=st.sampled_from([1, 2, 5, 7]))
def test_random_steps_have_the_gradient_of_the_tape_under_every_policy(
    lines: Any, shapes: Any, rough: bool, n: int
) -> None:
    step = make_step(lines, rough=rough)
    state, xs = state_of(shapes), np.sin(np.arange(2.0 * n) + 0.4).reshape(n, 2)  # not 0, where steps may have kinks
    weights = [np.cos(np.arange(np.size(u)) + 1.0).reshape(np.shape(u)) for u in state]

    def objective(end: Any, ys: Any) -> Any:
        return sum(np.sum(w * u) for w, u in zip(weights, end, strict=True)) + np.sum(ys * np.arange(1.0, n + 1))

    def loss(state: Any, xs: Any, c: Any, **options: Any) -> Any:
        end, ys = scan(lambda s, x: _numbered(step, s, x, c), (*state, np.float64(0.0)), xs, **options)
        return objective(end[:-1], ys)

    def _numbered(step: Any, s: Any, x: Any, c: Any) -> Any:
        new, y = step(2, [*s[:-1]], x, c)
        return (*new, s[-1] + 1.0), y * (1.0 + 0.1 * s[-1])

    def flat(state: Any, xs: Any, c: Any, **options: Any) -> Any:
        value, back = value_and_grad(lambda *a: loss(*a, **options), argnums=(0, 1, 2))(state, xs, c)
        return [value, *back[0], *back[1:]]

    expected = flat(tuple(state), xs, C, compile=False, policy="none")
    found = [flat(tuple(state), xs, C, compile=True, **options) for options in (POLICIES[0], *POLICIES)]
    _close(found[0], expected)
    for other in found[1:]:
        assert same_bits(other, found[0])
    value, back = unspool.jit(value_and_grad(loss, argnums=(0, 1, 2)))(tuple(state), xs, C)
    _close([value, *back[0], *back[1:]], expected)

    def plain(state: Any, xs: Any, c: Any) -> Any:
        ys = []
        for k in range(n):
            new, y = step(2, [u * 1.0 for u in state], xs[k] * 1.0, c)
            state, ys = new, [*ys, y * (1.0 + 0.1 * k)]
        return objective(state, np.stack(ys))

    if rough:
        direction = central(lambda h: plain([u + h * 0.3 for u in state], xs - h, C + h), 0.0)
        moved = 0.3 * sum(np.sum(g) for g in found[0][1:-2]) - np.sum(found[0][-2]) + np.sum(found[0][-1])
        np.testing.assert_allclose(moved, direction, rtol=1e-5, atol=1e-6)
    else:
        _close([found[0][-1]], [complex_step(lambda c: plain(state, xs, c), C)], 1e-11)
        _close([found[0][-2]], [complex_step(lambda x: plain(state, x, C), xs)], 1e-11)


@settings(max_examples=4)
@given(lines=LINES, lower=st.integers(-4, 7))
def test_random_steps_use_the_number_of_the_step(lines: Any, lower: int) -> None:
    step = make_step(lines, rough=True)

    def loss(u: Any, c: Any, **options: Any) -> Any:
        (end,) = fori_loop(lower, lower + 6, lambda k, s: tuple(step(k, [*s], c[1:], c)[0]), (u,), **options)
        return np.sum(end**2)

    expected = value_and_grad(loss, argnums=(0, 1))(U, C, compile=False)
    found = [value_and_grad(lambda u, c, o=o: loss(u, c, compile=True, **o), argnums=(0, 1))(U, C) for o in POLICIES]
    _close([found[0][0], *found[0][1]], [expected[0], *expected[1]])
    for value, back in found:
        assert same_bits([value, *back], [found[0][0], *found[0][1]])


def test_the_shared_step_against_tape_complex_step_and_taylor() -> None:
    found = grad(loss_of_u, argnums=(0, 1))(U, P, compile=True)
    _close(found, grad(loss_of_u, argnums=(0, 1))(U, P, compile=False))
    _close(found, [complex_step(lambda u: plain_loss_of_u(u, P), U), complex_step(lambda p: plain_loss_of_u(U, p), P)])
    assert taylor_order(lambda p: loss_of_u(U, p, compile=True), found[1], P) > 1.9
    assert loss_of_u(U, P, compile=True) == plain_loss_of_u(U, P)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 13, 101])
@pytest.mark.parametrize("options", POLICIES, ids=str)
def test_gradients_have_the_same_bits_under_every_policy_and_counts_are_those_of_the_schedule(
    options: Any, n: int
) -> None:
    if n == 101 and "memory" in options:
        options = {"memory": "10 kB"} if options["memory"] is None else {"memory": "1 kB"}
    expected = value_and_grad(loss_of_u, argnums=(0, 1))(U, P, n, compile=True, policy="none")
    with unspool.observe() as log:
        found = value_and_grad(lambda u, p: loss_of_u(u, p, n, compile=True, **options), argnums=(0, 1))(U, P)
        again = value_and_grad(lambda u, p: loss_of_u(u, p, n, compile=True, **options), argnums=(0, 1))(U, P)
    assert same_bits([found[0], *found[1]], [expected[0], *expected[1]])
    assert same_bits([again[0], *again[1]], [expected[0], *expected[1]])
    for report in log:
        assert report.compiled
        assert report.not_compiled is None
        assert report.reversed
        assert report.state_bytes == report.residual_bytes == 24
        cost = simulate(report.policy, n, state_bytes=24, residual_bytes=24)
        assert (report.steps, report.records, report.saves, report.loads) == (
            cost.steps,
            cost.records,
            cost.saves,
            cost.loads,
        )
        assert report.peak_bytes == report.predicted_peak_bytes
        if "memory" in options and options["memory"] is not None:
            assert report.peak_bytes <= report.plan.budget_bytes


def test_a_row_of_inputs_is_not_taken_for_a_capture_nor_a_capture_for_a_state() -> None:
    """Four loops with the same equations, compiled one after the other: u * c with c from four places."""
    rows, c = np.array([2.0, 3.0, 5.0]), np.float64(3.0)

    def by_row(u: Any, c: Any) -> Any:
        return scan(lambda u, x: (u * x, None), u, c * rows, compile=True)[0]

    def by_capture(u: Any, c: Any) -> Any:
        return fori_loop(0, 3, lambda k, u: u * c, u, compile=True)

    def by_state(u: Any, c: Any) -> Any:
        return fori_loop(0, 3, lambda k, s: (s[0] * s[1], s[1] * 2.0), (u, c), compile=True)[0]

    def by_capture_and_output(u: Any, c: Any) -> Any:
        end, ys = scan(lambda u, _: (u * c, c * 2.0), u, None, 3, compile=True)
        return end + np.sum(ys)

    def values(u: float, c: float) -> Any:
        return [
            (u * c**3 * 30, (c**3 * 30, 3 * u * c**2 * 30)),
            (u * c**3, (c**3, 3 * u * c**2)),
            (u * c**3 * 8, (c**3 * 8, 3 * u * c**2 * 8)),
            (u * c**3 + 6 * c, (c**3, 3 * u * c**2 + 6)),
        ]

    loops = [by_row, by_capture, by_state, by_capture_and_output]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        for j in order:
            value, back = value_and_grad(loops[j], argnums=(0, 1))(np.float64(0.5), c)
            expected = values(0.5, 3.0)[j]
            np.testing.assert_allclose([value, *back], [expected[0], *expected[1]], rtol=1e-14)


# --- infinities, NaN, zeros -------------------------------------------------------------------------------------------
EDGES: dict[str, Callable[[Any], Any]] = {
    "1/x": lambda x: 1 / x,
    "x/x": lambda x: x / x,
    "sqrt": np.sqrt,
    "log": np.log,
    "log1p": np.log1p,
    "arcsin": np.arcsin,
    "arccosh": np.arccosh,
    "arctanh": np.arctanh,
    "exp": lambda x: np.exp(800 * x),
    "power": lambda x: x**1.5,
    "negative power": lambda x: x**-2,
    "to a power": lambda x: 2.0**x,
    "x**x": lambda x: x**x,
    "0*": lambda x: x * 0.0,
    "0": lambda x: x * 0,
    "masked log": lambda x: np.where(x > 0, np.log(x), 0.0),
    "masked pole": lambda x: np.where(x != 0, 1 / x, x),
    "safe pole": lambda x: np.where(x != 0, 1 / np.where(x == 0, 1.0, x), x),
    "masked root": lambda x: np.where(x > 0.6, np.sqrt(x - 0.5), 0.0),
    "abs": np.abs,
    "sign": np.sign,
    "maximum": lambda x: np.maximum(x, 0.5),
    "fmax": lambda x: np.fmax(x, 0.5),
    "clip": lambda x: np.clip(x, -1, 1),
    "remainder": lambda x: np.remainder(x, 0.3),
    "fmod": lambda x: np.fmod(x, 0.3),
    "floor_divide": lambda x: x // 0.3 + 1 // x,
    "arctan2": lambda x: np.arctan2(x, -0.0),
    "hypot": lambda x: np.hypot(x, 0.0),
    "tanh": lambda x: np.tanh(1000 * x),
    "sum": lambda x: np.sum(np.stack([x, -x, 1 / x])),
    "isnan": lambda x: np.where(np.isnan(x), 0.0, x),
}
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -1e-310, 1.0, -1.0, 0.5, 2.5, -2.5, 1e308, -1e308])


@pytest.mark.filterwarnings("ignore::unspool.errors.ZeroGradientWarning")
def test_infinities_nan_and_poles_are_those_of_the_tape_and_raise_nothing() -> None:
    """All functions are outputs of one loop; each is differentiated alone by its column."""

    def table(xs: Any, compile: bool) -> Any:
        def step(u: Any, x: Any) -> Any:
            return u, np.stack([f(x) for f in EDGES.values()])

        return scan(step, np.float64(0.0), xs, compile=compile, policy="none")[1]

    with np.errstate(all="ignore"):
        found, pull = vjp(lambda xs: table(xs, True), SPECIAL)
        expected, pull_tape = vjp(lambda xs: table(xs, False), SPECIAL)
        for j, name in enumerate(EDGES):
            np.testing.assert_allclose(found[:, j], expected[:, j], rtol=1e-14, err_msg=name)
            signs = np.signbit(found[:, j]) == np.signbit(expected[:, j])
            assert (signs | np.isnan(expected[:, j])).all(), name
            for seed in (1.0, 0.0, -2.0):
                ct = np.zeros(found.shape)
                ct[:, j] = seed
                (one,), (other,) = pull(ct), pull_tape(ct)
                alone = grad(lambda xs, f=EDGES[name], s=seed: s * np.sum(f(xs)))(SPECIAL)
                bad = ~np.isclose(one, other, rtol=1e-13, atol=0, equal_nan=True)
                # where the sum over all columns is NaN on the tape by 0 * inf of another column, this one alone decides
                bad &= ~np.isclose(one, alone, rtol=1e-13, atol=0, equal_nan=True)
                bad &= (seed != 0) | (one != 0)  # a cotangent of zero is zero, whatever overflows beside it
                assert not bad.any(), (name, seed, SPECIAL[bad], one[bad], other[bad], alone[bad])


def test_nan_in_the_state_and_the_cotangent_go_where_the_tape_lets_them() -> None:
    for u in ([np.nan, 1.0, 2.0], [np.inf, 1.0, 2.0], [0.0, -0.0, 1e308]):
        with np.errstate(all="ignore"):
            found = value_and_grad(loss_of_u, argnums=(0, 1))(np.array(u), P, 2, compile=True)
            expected = value_and_grad(loss_of_u, argnums=(0, 1))(np.array(u), P, 2, compile=False)
        _close([found[0], *found[1]], [expected[0], *expected[1]])


# --- states -----------------------------------------------------------------------------------------------------------
def test_arrays_in_any_memory_layout_share_one_compilation() -> None:
    def loss(m: Any, xs: Any, **options: Any) -> Any:
        end, ys = scan(lambda m, x: (0.9 * m + x[0] * np.sin(m.T), (m[0], np.sum(x))), m, xs, **options)
        return np.sum(end * end) + np.sum(ys[0] ** 2) + np.sum(ys[1] * ys[1])

    m, xs = np.arange(4.0).reshape(2, 2), np.cos(np.arange(30.0)).reshape(5, 3, 2)
    expected = grad(loss, argnums=(0, 1))(m, xs, compile=False)
    big = np.zeros((10, 3, 2))
    big[::2] = xs
    swapped = xs.astype(">f8")
    seen = [
        grad(lambda a, b: loss(a, b, compile=True), argnums=(0, 1))(state, rows)
        for state in (m, np.asfortranarray(m), m[::-1][::-1])
        for rows in (xs, np.asfortranarray(xs), big[::2], xs[::-1][::-1], swapped)
    ]
    _close(seen[0], expected)
    assert all(same_bits(one, seen[0]) for one in seen)


def test_a_nest_of_numbers_arrays_and_nothing_is_a_state() -> None:
    def loss(x: Any, **options: Any) -> Any:
        init = {"a": (x[0], [x[1:]]), "none": None, "empty": np.zeros((0, 2)), "plain": 0.25}

        def step(k: int, s: Any) -> Any:
            a, (b,) = s["a"]
            return {
                "a": (a + 0.1 * np.sum(b), [b * s["plain"]]),
                "none": None,
                "empty": s["empty"] * 2,
                "plain": s["plain"],
            }

        end = fori_loop(0, 4, step, init, **options)
        assert end["empty"].shape == (0, 2)
        return end["a"][0] ** 2 + np.sum(end["a"][1][0])

    _close([grad(loss)(U, compile=True)], [grad(loss)(U, compile=False)], 1e-14)
    _close([grad(lambda x: loss(x, compile=True, policy="revolve-1"))(U)], [grad(loss)(U, compile=False)], 1e-14)


def test_a_state_without_elements_and_outputs_only() -> None:
    def loss(xs: Any, **options: Any) -> Any:
        end, ys = scan(lambda s, x: ((), x * x), (), xs, **options)
        assert end == ()
        return np.sum(ys)

    for policy in ("none", "every-2", "revolve-2"):
        assert same_bits(grad(lambda xs: loss(xs, compile=True, policy=policy))(U), 2 * U)


def test_what_comes_back_is_the_users_own() -> None:
    xs = np.ones((4, 2))
    out, pull = vjp(lambda u, x: scan(lambda u, x: (u + x, u * x), u, x, compile=True), np.ones(2), xs)
    first = pull((np.ones(2), np.ones((4, 2))))
    kept = [np.array(ct) for ct in first]
    for array in (out[0], out[1], *first, xs):
        array[...] = np.nan
    assert same_bits([*pull((np.ones(2), np.ones((4, 2))))], kept)


# --- what a step reads from outside -----------------------------------------------------------------------------------
def test_a_plain_array_may_be_written_between_forward_and_backward_and_between_calls() -> None:
    weights = np.array([1.0, 2.0, -0.0])

    def f(u: Any, **options: Any) -> Any:
        return np.sum(fori_loop(0, 5, lambda k, u: 0.9 * u + 0.1 * weights * u[::-1], u, **options))

    for policy in ("none", "every-2", "revolve-1"):
        weights[:] = [1.0, 2.0, -0.0]
        expected = grad(lambda u: f(u, compile=False))(U)
        _, pull = vjp(lambda u, policy=policy: f(u, compile=True, policy=policy), U)
        weights[:] = 100.0
        _close(pull(1.0), [expected])
        _close(pull(1.0), [expected])
        _close([grad(lambda u: f(u, compile=True))(U)], [grad(lambda u: f(u, compile=False))(U)])
        weights[:] = np.nan
        assert np.isnan(grad(lambda u: f(u, compile=True))(U)).all()


@pytest.mark.parametrize(("one", "other"), [(0.0, -0.0), (1.0, 1.0 + 2**-52), (np.nan, 1.0), (np.inf, -np.inf)])
def test_steps_with_other_constants_do_not_share_code(one: float, other: float) -> None:
    def f(u: Any, constant: float, **options: Any) -> Any:
        return fori_loop(0, 1, lambda k, u: 1.0 / (u * constant), u, **options)

    for constant in (one, other, one):
        with np.errstate(all="ignore"):
            expected = value_and_grad(lambda u, c=constant: f(u, c, compile=False))(2.0)
        found = value_and_grad(lambda u, c=constant: f(u, c, compile=True))(2.0)
        assert np.array_equal(found, expected, equal_nan=True)
        assert np.array_equal(np.signbit(found), np.signbit(expected)) or np.isnan(constant)


def test_captured_views_are_seen_as_they_are_and_cannot_be_written() -> None:
    def f(x: Any, loop: Any) -> Any:
        w = x * 1.0
        old_view = w[1:]
        w[1] = 5.0 * x[0]
        u = loop(lambda i, u: u * 0.9 + 0.1 * old_view[0] * w[2] + old_view[1], x[0] * 1.0)
        w *= 100.0
        return u * u + np.sum(w)

    def loop(step: Any, u: Any) -> Any:
        return fori_loop(0, 5, step, u, compile=True)

    def python_loop(step: Any, u: Any) -> Any:
        for i in range(5):
            u = step(i, u)
        return u

    _close([grad(lambda x: f(x, loop))(U)], [complex_step(lambda x: f(x, python_loop), U)])

    def writes(x: Any, through_view: bool) -> Any:
        w = x * 1.0

        def step(i: int, u: Any) -> Any:
            target = w[1:] if through_view else w
            target *= 2.0
            return u * w[1]

        return fori_loop(0, 3, step, x[0], compile=True)

    for through_view in (False, True):
        with pytest.raises(StateError, match="pass the array as part of the initial state"):
            grad(writes)(U, through_view)


def test_in_place_writes_and_creation_functions_in_the_step() -> None:
    def f(x: Any, **options: Any) -> Any:
        def step(i: int, u: Any) -> Any:
            u[0] += 0.1 * u[1]
            v = u[1:]
            v *= x[:2]
            w = unp.zeros(3)
            for k in range(3):
                w[k] = u[k] * x[2 - k] + w[k - 1]
            w[::2] -= 0.1
            return w + np.zeros_like(u) + 0.1 * np.full_like(u, 2.0)

        return np.sum(fori_loop(0, 4, step, x, **options) ** 2)

    expected = grad(f)(U, compile=False)
    _close([grad(lambda x: f(x, compile=True, policy="revolve-1"))(U)], [expected])


def test_numbers_of_one_step_each_are_captured_one_by_one_on_the_tape_after_a_refused_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unspool.worth, "ENOUGH_STEPS", 1)

    def loss(*weights: Any) -> Any:
        def step(k: Any, u: Any) -> Any:
            if not isinstance(k, int):  # while it is traced, it reads something else
                return u * weights[3] * np.arange(9.0)[k]
            return np.tanh(u * weights[k]) + 0.1

        return fori_loop(0, 3, step, 0.5) ** 2

    def plain(w: Any) -> Any:
        u: Any = 0.5
        for k in range(3):
            u = np.tanh(u * w[k]) + 0.1
        return u**2

    weights = np.array([0.3, 0.5, -0.7, 1.1])
    np.testing.assert_allclose(grad(loss, argnums=(0, 1, 2, 3))(*weights), complex_step(plain, weights), rtol=1e-12)


# --- what is refused --------------------------------------------------------------------------------------------------
DATA = np.linspace(0.5, 1.5, 40)
MATRIX = np.cos(np.arange(36.0)).reshape(12, 3)
RNG = np.random.default_rng(3)
MEMORY: dict[str, Any] = {"count": 0, "list": []}


def _counting(i: Any, u: Any) -> Any:
    MEMORY["count"] += 1
    return u * 0.9 if MEMORY["count"] % 1000 else u + 1.0


def _appending(i: Any, u: Any) -> Any:
    MEMORY["list"].append(i)
    return u * 0.9


def _jumping(i: Any, u: Any) -> Any:
    return u + 1.0 if RNG.random() < 1e-9 else u * 0.9


def _buffered(i: Any, u: Any, buffer: Any = np.zeros(2)) -> Any:  # noqa: B008
    buffer += 0.0625
    return u * 0.9 + buffer[0] * 0.0


def _reads_a_number_that_was_written(i: Any, u: Any) -> Any:
    number = u[i % 3]
    u *= 0.5
    return u * 0.9 + 0.1 * number


@pytest.mark.parametrize(
    "step",
    [
        lambda i, u: u * DATA[i],
        lambda i, u: u + u[i % 3] * DATA[-1 - i],
        lambda i, u: u * MATRIX[i] + MATRIX[i, 1] * MATRIX[i + 2, ::-1],
        _reads_a_number_that_was_written,
    ],
)
def test_arrays_are_indexed_by_the_number_of_the_step(step: Any) -> None:
    def loss(u: Any, p: Any, **options: Any) -> Any:
        return np.sum(fori_loop(1, 9, lambda i, s: step(i, s) + p[i % 3] * np.sin(p[(i + 1) % 3]), u, **options) ** 2)

    expected = value_and_grad(loss, argnums=(0, 1))(U, P, compile=False)
    found = [value_and_grad(lambda u, p, o=o: loss(u, p, compile=True, **o), argnums=(0, 1))(U, P) for o in POLICIES]
    _close([found[0][0], *found[0][1]], [expected[0], *expected[1]])
    for value, back in found:
        assert same_bits([value, *back], [found[0][0], *found[0][1]])


def _writes_a_row(i: Any, u: Any) -> Any:
    row = u[i % 3]
    row *= 0.5
    return u * 0.9


def _writes_a_part_of_a_row(i: Any, u: Any) -> Any:
    part = u[i % 3, 1:][::-1]
    part += 0.25
    return u * 0.9


def _writes_a_number(i: Any, u: Any) -> Any:
    number = u[:, 1][i % 3, ...]
    number *= 0.5
    return u * 0.9


def _reads_a_row_that_was_written(i: Any, u: Any) -> Any:
    row = u[i % 3]
    u *= 0.5
    return u * 0.9 + row


@pytest.mark.parametrize(
    "step", [_writes_a_row, _writes_a_part_of_a_row, _writes_a_number, _reads_a_row_that_was_written]
)
def test_a_row_at_the_number_of_the_step_is_a_view_and_so_not_compiled_where_it_matters(
    step: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss(u: Any, **options: Any) -> Any:
        return np.sum(fori_loop(0, 4, step, u, policy="none", **options) ** 2)

    with pytest.raises(UnsupportedError, match="a row at an index that only the step knows"):
        grad(lambda u: loss(u, compile=True))(MATRIX)
    monkeypatch.setattr(unspool.worth, "ENOUGH_STEPS", 4)
    assert same_bits(grad(loss)(MATRIX), grad(lambda u: loss(u, compile=False))(MATRIX))


def test_short_loops_inside_a_step_are_written_out() -> None:
    def loss(u: Any, p: Any, **options: Any) -> Any:
        def step(i: Any, s: Any) -> Any:
            inner = fori_loop(0, 3, lambda j, v: v * 0.9 + 0.01 * np.sin(p * v) * j, s)
            end, ys = scan(lambda c, x: (c * x, np.sum(c) * x), inner, DATA[:4])
            return end + 0.1 * np.sum(ys * ys)

        return np.sum(fori_loop(0, 5, step, u, **options) ** 2)

    expected = value_and_grad(loss, argnums=(0, 1))(U, P, compile=False)
    found = value_and_grad(loss, argnums=(0, 1))(U, P, compile=True, policy="revolve-2")
    _close([found[0], *found[1]], [expected[0], *expected[1]])


@pytest.mark.parametrize(
    ("shape", "axis", "keepdims"), [((3,), None, False), ((2, 3), 0, False), ((2, 3), (0, 1), True)]
)
@pytest.mark.parametrize("extremum", [np.max, np.min])
def test_extrema_of_a_few_numbers_are_numbers(extremum: Any, shape: Any, axis: Any, keepdims: bool) -> None:
    def step(i: Any, u: Any) -> Any:
        return u * 0.9 + 0.05 * extremum(np.sin(u), axis=axis, keepdims=keepdims)

    u = np.sin(np.arange(np.prod(shape)) + 0.4).reshape(shape)
    assert "s0 = state[0]" in unspool.inspect(step, u).source  # numbers, not nests
    for start in (u, np.round(u), np.where(u > 0.9, np.nan, u)):  # ties share the derivative; a NaN is an extremum
        found, expected = [
            value_and_grad(lambda u, how=how: np.sum(fori_loop(0, 6, step, u, compile=how) ** 2))(start)
            for how in (True, False)
        ]
        _close(found, expected)


def test_a_longer_while_loop_inside_a_step_is_refused_by_name() -> None:
    def step(i: Any, u: Any) -> Any:
        return while_loop(lambda v: np.sum(v) > 1e-4, lambda v: v * 0.9, u)

    with pytest.raises(UnsupportedError, match=r"inside a step.* 64 steps"):
        grad(lambda u: np.sum(fori_loop(0, 4, step, u, compile=True)))(U)
    np.testing.assert_array_equal(
        grad(lambda u: np.sum(fori_loop(0, 4, step, u)))(U),
        grad(lambda u: np.sum(fori_loop(0, 4, step, u, compile=False)))(U),
    )


def test_an_inner_loop_whose_state_changes_its_type_is_refused() -> None:
    with pytest.raises(StateError, match="changed its type in step 0"):
        grad(
            lambda u: np.sum(
                fori_loop(0, 4, lambda i, s: s * fori_loop(0, 2, lambda j, n: n * 0.5, 1), u, compile=True)
            )
        )(U)


def test_an_index_outside_of_an_array_is_told_with_the_step() -> None:
    with pytest.raises(IndexError, match="step 40 of the loop"):
        grad(lambda u: np.sum(fori_loop(0, 50, lambda i, s: s * DATA[i], u, compile=True)))(U)


def test_an_array_that_is_indexed_and_written_is_not_compiled() -> None:
    buffer = np.ones(4)

    def step(i: Any, u: Any) -> Any:
        buffer[0] += 1.0
        return u * buffer[i]

    with pytest.raises(UnspoolError):
        grad(lambda u: np.sum(fori_loop(0, 4, step, u, compile=True)))(U)


def test_rows_of_arrays_in_nests_and_in_functions_that_the_step_calls() -> None:
    given = {"forces": DATA, "more": (np.cos(DATA), [lambda i: DATA[i]])}

    def step(i: Any, u: Any) -> Any:
        return u * 0.9 + given["forces"][i] * given["more"][0][i] + given["more"][1][0](i)

    found = grad(lambda u: np.sum(fori_loop(0, 4, step, u, compile=True) ** 2))(U)
    _close([found], [grad(lambda u: np.sum(fori_loop(0, 4, step, u, compile=False) ** 2))(U)])


def test_a_nest_that_is_read_by_rows_and_changed_is_not_compiled() -> None:
    given: dict[str, Any] = {"forces": DATA, "last": None}

    def step(i: Any, u: Any) -> Any:
        given["last"] = given["forces"][i]
        return u * given["last"]

    with pytest.raises(UnsupportedError, match="changes a list or a dict"):
        grad(lambda u: np.sum(fori_loop(0, 4, step, u, compile=True)))(U)
    assert given["last"] is None


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "float": (lambda i, u: u * float(u[0]), DetachedError, r"float\(\)"),
    "range(k)": (lambda i, u: u + sum(range(i)), DetachedError, "index"),
    "list[k]": (lambda i, u: u * [1.0, 2.0, 3.0, 4.0][i], DetachedError, "index"),
    "slice": (lambda i, u: u + np.sum(u[: i + 1]), DetachedError, "index"),
    "asarray": (lambda i, u: u + np.asarray(u), DetachedError, "plain NumPy array"),
    "rng": (lambda i, u: u + np.random.normal(), UnsupportedError, "changes numpy.random"),
    "own rng": (lambda i, u: u + RNG.normal(), UnsupportedError, "changes RNG"),
    "rare jump": (_jumping, UnsupportedError, "changes RNG"),
    "python rng": (lambda i, u: u + random.random(), UnsupportedError, "changes random"),
    "unseeded": (lambda i, u: u + np.random.default_rng().normal(), UnsupportedError, "second time"),
    "clock": (lambda i, u: u + time.perf_counter(), UnsupportedError, "second time"),
    "counter": (_counting, UnsupportedError, r"changes MEMORY\['count'\]"),
    "list": (_appending, UnsupportedError, r"changes MEMORY\['list'\]"),
    "buffer": (_buffered, UnsupportedError, "changes "),
    "fft": (lambda i, u: np.real(np.fft.fft(u)), UnsupportedError, r"fftn in test_compiled.py:\d+ gives c128"),
    "complex": (lambda i, u: np.real(np.exp(1j * u)), UnsupportedError, r"test_compiled.py:\d+ is c128"),
    "float32": (lambda i, u: u * u.astype(np.float32), UnsupportedError, r"astype in test_compiled.py:\d+ is f32"),
    "whole": (lambda i, u: u * (i**20 % 7), UnsupportedError, r"power in test_compiled.py:\d+ makes whole numbers"),
    "bits": (lambda i, u: u * (i & 1), UnsupportedError, "bitwise_and"),
    "foreign": (lambda i, u: special.ber(u), UnsupportedError, "ber"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_compiled_is_refused_by_name_and_runs_on_the_tape(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message) as caught:
        grad(lambda u: np.sum(fori_loop(0, 4, step, u, compile=True)))(U)
    assert any("compile=True asks for" in note for note in caught.value.__notes__)
    assert isinstance(caught.value, UnspoolError)

    def loss(u: Any, **options: Any) -> Any:
        return np.sum(fori_loop(0, 4, step, u, policy="none", **options) ** 2)

    monkeypatch.setattr(unspool.worth, "ENOUGH_STEPS", 4)
    if name in ("float", "asarray", "foreign"):  # nor can the tape do these
        with pytest.raises(kind, match=message) as caught:
            grad(loss)(U)
        assert "in step 0 of fori_loop" in caught.value.__notes__
        return
    with unspool.observe() as log:
        found = value_and_grad(loss)(U)
    (report,) = log
    assert not report.compiled
    assert re.match(rf"{kind.__name__}.*{message}", report.not_compiled)
    if kind is DetachedError:
        assert re.match(r"DetachedError in test_compiled.py:\d+: ", report.not_compiled)
    if message != "second time" and not message.startswith("changes"):  # what each run draws for itself
        assert same_bits([*found], [*value_and_grad(loss)(U, compile=False)])


BEYOND_NUMBERS: dict[str, Any] = {
    "linalg": lambda i, u: np.linalg.solve(np.eye(3) * 2.0, u),
    "maximum of all": lambda i, u: u / np.max(np.abs(u)),
    "large": lambda i, u: u + 1e-6 * np.sum(np.sin(np.outer(DATA, np.arange(999.0)) * u[0])),
}


@pytest.mark.parametrize("name", BEYOND_NUMBERS)
def test_small_states_that_numbers_are_not_enough_for_are_compiled_as_fields(name: str) -> None:
    def loss(u: Any, **options: Any) -> Any:
        return np.sum(fori_loop(0, 4, BEYOND_NUMBERS[name], u, **options) ** 2)

    with unspool.observe() as log:
        found = [value_and_grad(loss)(U, compile=True, policy=policy) for policy in ("none", "every-2", "revolve-1")]
    assert all(report.compiled for report in log)
    _close(found[0], value_and_grad(loss)(U, compile=False, policy="none"))
    assert all(same_bits([*other], [*found[0]]) for other in found[1:])


@pytest.mark.parametrize(
    ("init", "found"),
    [
        (np.ones(2, np.float32), "f32"),
        (np.ones(2, complex), "c128"),
        (np.float32(1.0), "f32"),
        (np.ones(2, np.longdouble), "f128"),
    ],
)
def test_states_of_other_types_are_refused(init: Any, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def loss(u: Any, **options: Any) -> Any:
        return np.sum(np.real(fori_loop(0, 3, lambda i, u: u * u * 0.5, u, **options)))

    with pytest.raises(UnsupportedError, match=f"{found}.*only float64, int64 and bool are compiled"):
        grad(lambda u: loss(u, compile=True))(init)
    monkeypatch.setattr(unspool.worth, "ENOUGH_STEPS", 1)
    with unspool.observe() as log:
        automatic = grad(loss)(init)
    assert same_bits(automatic, grad(lambda u: loss(u, compile=False))(init))
    assert log[0].not_compiled.startswith("UnsupportedError")


def test_truths_among_the_outputs_are_refused() -> None:
    def outputs(u: Any, **options: Any) -> Any:
        return scan(lambda u, x: (u * 2.0, u > 0), u, None, 3, **options)[0]

    with pytest.raises(UnsupportedError, match="only float64 is compiled"):
        grad(lambda u: outputs(u, compile=True))(1.5)
    assert grad(outputs)(1.5) == grad(lambda u: outputs(u, compile=False))(1.5)


@pytest.mark.parametrize(
    "step", [lambda i, u: u[:2], lambda i, u: u.astype(np.float32), lambda i, u: u > 0, lambda i, u: (u, u)]
)
def test_a_state_that_changes_is_an_error_in_every_mode(step: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unspool.worth, "ENOUGH_STEPS", 1)
    with pytest.raises((StateError, UnsupportedError)):
        grad(lambda u: np.sum(fori_loop(0, 3, step, u, compile=True)))(U)
    with pytest.raises(StateError, match="step 0"):
        grad(lambda u: np.sum(fori_loop(0, 3, step, u)))(U)


@pytest.mark.parametrize("options", [{"compile": True}, {"compile": "auto"}, {"compile": False}], ids=str)
def test_an_error_of_the_step_is_raised_as_it_is(options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unspool.worth, "ENOUGH_STEPS", 1)

    def step(i: int, u: Any) -> Any:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        grad(lambda u: np.sum(fori_loop(0, 3, step, u, **options)))(U)
    with pytest.raises(ValueError, match="broadcast"):
        grad(lambda u: np.sum(fori_loop(0, 3, lambda i, u: u * np.ones(4), u, **options)))(U)
    with pytest.raises(NameError):
        grad(lambda u: np.sum(fori_loop(0, 3, lambda i, u: u * unknown, u, **options)))(U)  # type: ignore[name-defined]  # noqa: F821


def test_tiers_on_disk_are_refused() -> None:
    before = arena._ARENA.n_bytes
    with pytest.raises(PolicyError, match="disk"):
        grad(lambda u: loss_of_u(u, P, 50, compile=True, policy=TwoLevel(7, 2)))(U)
    assert arena._ARENA.n_bytes >= before
    with pytest.raises(PolicyError, match="compile='yes'"):
        loss_of_u(U, P, compile="yes")


def test_a_plan_with_too_little_memory_is_refused_with_the_least() -> None:
    with pytest.raises(PolicyError, match="48"):
        grad(lambda u: loss_of_u(u, P, 50, compile=True, memory=30))(U)


def test_auto_compiles_from_enough_steps_on_and_a_refused_loop_names_the_line() -> None:
    def loss(u: Any, n: int, **options: Any) -> Any:
        return np.sum(fori_loop(0, n, lambda i, u: step_of_u(i, u, P), u, **options))

    n = unspool.worth.ENOUGH_STEPS
    with unspool.observe() as log:
        found = grad(lambda u: loss(u, n, memory="10 kB"))(U)
        grad(lambda u: loss(u, n - 9_990))(U)
        grad(lambda u: loss(u, 3, compile=False))(U)
    assert [report.compiled for report in log] == [True, False, False]
    assert [report.not_compiled for report in log] == [None, "too few steps on 3 numbers: 10", "compile=False"]
    assert same_bits(found, grad(lambda u: loss(u, n, compile=True, policy="none"))(U))
    assert log[0].peak_bytes <= 10_000


def test_a_random_step_on_the_tape_repeats_itself_or_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unspool.worth, "ENOUGH_STEPS", 1)
    with pytest.raises(ReplayError, match="came out differently"):
        grad(lambda u: np.sum(fori_loop(0, 9, lambda i, u: u + RNG.normal() * u, u, policy="revolve-1")))(U)


# --- transforms -------------------------------------------------------------------------------------------------------
def test_second_derivatives_of_compiled_loops_are_those_of_taped_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def f(u: Any, **options: Any) -> Any:
        return loss_of_u(u, P, 5, policy="every-2", **options)

    v = np.array([0.2, 0.5, -0.3])
    exact = central(lambda u: complex_step(lambda z: plain_loss_of_u(z, P, 5), u) @ v, U)
    monkeypatch.setattr(unspool.worth, "ENOUGH_STEPS", 1)  # tangent loops are compiled too
    for options in ({"compile": True}, {"compile": "auto"}):
        g = lambda u, options=options: f(u, **options)
        h = lambda u: f(u, compile=False)
        _close([hvp(g)(U, v)], [hvp(h)(U, v)], 1e-11)
        np.testing.assert_allclose(hvp(g)(U, v), exact, rtol=1e-6, atol=1e-8)
        _close([*jvp(g, (U,), (v,))], [*jvp(h, (U,), (v,))], 1e-12)
        _close([grad(lambda u, g=g: np.sum(grad(g)(u) * v))(U)], [hvp(h)(U, v)], 1e-11)
        _close([hessian(g)(U)], [hessian(h)(U)], 1e-11)


def test_gradients_of_captures_through_nested_transforms() -> None:
    def f(p: Any, **options: Any) -> Any:
        return loss_of_u(U * p, p, 4, **options)

    _close([hessian(lambda p: f(p, compile=True))(P)], [hessian(lambda p: f(p, compile=False))(P)], 1e-11)


def test_a_pullback_may_be_called_again() -> None:
    _, pull = vjp(lambda u, p: loss_of_u(u, p, 11, compile=True, policy="revolve-2"), U, P)
    first, second = pull(1.0), pull(1.0)
    assert same_bits([*first], [*second])
    _close([*pull(-2.0)], [-2 * ct for ct in first])
    tape = vjp(lambda u, p: loss_of_u(u, p, 11, compile=False), U, P)[1](1.0)
    _close([*first], [*tape])


def test_rules_of_the_user_and_gradients_inside_a_compiled_step() -> None:
    doubled = unspool.custom_vjp(lambda x: x * 2)
    doubled.defvjp(lambda x: (x * 2, x), lambda x, ct: (ct * 5 + np.clip(x, -0.1, 0.1),))
    bent = unspool.custom_jvp(lambda x: x * 2)
    bent.defjvp(lambda primals, tangents: (primals[0] * 2, tangents[0] * 3 * primals[0]))

    def f(u: Any, **options: Any) -> Any:
        def step(i: int, u: Any) -> Any:
            return 0.1 * doubled(u) + 0.2 * bent(u) - 0.01 * grad(lambda v: np.sum(v**3))(u)

        return np.sum(fori_loop(0, 3, step, u, **options))

    _close([grad(lambda u: f(u, compile=True))(U)], [grad(lambda u: f(u, compile=False))(U)])


INNER: dict[str, Any] = {
    "fori_loop": lambda i, u: fori_loop(0, 3, lambda j, v: 0.9 * v + 0.1 * u * v, u),
    "checkpoint": lambda i, u: unspool.checkpoint(lambda v: np.sin(v) * 0.9)(u),
    "while_loop": lambda i, u: while_loop(lambda v: np.sum(v * v) > 0.2, lambda v: 0.8 * v, u),
}


@pytest.mark.parametrize("name", INNER)
def test_loops_inside_a_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unspool.worth, "ENOUGH_STEPS", 4)

    def f(u: Any, **options: Any) -> Any:
        return np.sum(fori_loop(0, 4, INNER[name], u, policy="none", **options) ** 2)

    with unspool.observe() as log:
        found = grad(f)(U)
    assert log[0].compiled
    _close([found], [grad(lambda u: f(u, compile=False))(U)])


def _writes_its_state(i: Any, u: Any) -> Any:
    def inner(j: Any, s: Any) -> Any:
        v, w, plain = s
        v *= 0.5
        w[0] = 1.0
        plain += 1.0
        return v, u, plain

    v, w, plain = fori_loop(0, 3, inner, (u, u, PLAIN))
    w[1] = 7.0
    return 0.5 * u + 0.3 * v + 0.01 * w * plain


def _writes_its_rows(i: Any, u: Any) -> Any:
    rows = np.stack([u, u * 2])

    def inner(v: Any, x: Any) -> Any:
        x *= 0.5
        v += x
        return v, v

    v, ys = scan(inner, u * 1.0, rows)
    v *= 0.9
    return 0.5 * u + 0.1 * v + 0.01 * np.sum(rows + ys, axis=0)


PLAIN = np.full(3, 0.25)


@pytest.mark.parametrize("step", [_writes_its_state, _writes_its_rows])
def test_loops_inside_a_step_write_into_their_own_state_and_rows(step: Any) -> None:
    def f(u: Any, **options: Any) -> Any:
        return np.sum(fori_loop(0, 4, step, u, **options) ** 2)

    _close([grad(lambda u: f(u, compile=True))(U)], [grad(lambda u: f(u, compile=False))(U)])
    assert same_bits(PLAIN, np.full(3, 0.25))


def test_a_compiled_loop_inside_a_step_on_the_tape() -> None:
    def f(u: Any, p: Any, compile: bool) -> Any:
        def outer(i: int, v: Any) -> Any:
            w = p * v[0]
            view = p[1:]
            inner = fori_loop(0, 3, lambda j, z: step_of_u(j, z, w) + 0.1 * view[0] * u, v, compile=compile)
            return inner if i % 2 else inner * 0.9

        return np.sum(fori_loop(0, 3, outer, u, compile=False, policy="every-2") ** 2)

    found = grad(f, argnums=(0, 1))(U, P, True)
    _close(found, grad(f, argnums=(0, 1))(U, P, False))


# --- the driver, from outside -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("work", [1, 7])
def test_ranges_cut_into_slices_change_nothing(work: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [value_and_grad(loss_of_u, argnums=(0, 1))(U, P, 23, compile=True, **o) for o in POLICIES]
    _slices(monkeypatch, work)
    for options, (value, back) in zip(POLICIES, expected, strict=True):
        again, found = value_and_grad(loss_of_u, argnums=(0, 1))(U, P, 23, compile=True, **options)
        assert same_bits([again, *found], [value, *back])


def _slices(monkeypatch: pytest.MonkeyPatch, work: int, between: Callable[[int], None] | None = None) -> None:
    """Let the driver come up for air after so many steps."""
    init = NumberDrive.__init__

    def short(self: NumberDrive, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self._work = work
        if between is not None:
            self._tick = between

    monkeypatch.setattr(NumberDrive, "__init__", short)


@pytest.mark.parametrize("at", [1, 2, 7, 11, 19])
@pytest.mark.parametrize("policy", ["none", "every-4", "revolve-3"])
def test_an_interrupt_between_slices_leaves_nothing_held(policy: str, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = grad(loss_of_u, argnums=(0, 1))(U, P, 40, compile=True, policy=policy)
    calls = 0

    def interrupt(_: int) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        _slices(patch, 4, interrupt)
        arena.release()
        with pytest.raises(KeyboardInterrupt):
            grad(loss_of_u, argnums=(0, 1))(U, P, 40, compile=True, policy=policy)
    held = sum(buffer.nbytes for buffer in arena._ARENA.free)
    assert held == arena._ARENA.n_bytes
    assert same_bits(grad(loss_of_u, argnums=(0, 1))(U, P, 40, compile=True, policy=policy), expected)


def test_buffers_go_back_to_the_arena_and_are_taken_again() -> None:
    arena.release()
    options = {"compile": True, "policy": "every-5"}
    grad(loss_of_u)(U, P, 30, **options)
    kept = {id(buffer) for buffer in arena._ARENA.free}
    assert sum(buffer.nbytes for buffer in arena._ARENA.free) == arena._ARENA.n_bytes == 24 * (5 + 5)
    grad(loss_of_u)(U, P, 30, **options)
    assert {id(buffer) for buffer in arena._ARENA.free} == kept


def test_a_loop_that_is_never_reversed_gives_its_buffers_back() -> None:
    arena.release()
    value_and_grad(lambda x: x * fori_loop(0, 30, lambda i, u: u * 0.5, 1.0, compile=True, policy="every-5"))(3.0)
    assert arena._ARENA.n_bytes > 0


def test_the_progress_bar_counts_to_its_total(capsys: pytest.CaptureFixture[str]) -> None:
    for policy, total in (("none", 80), ("every-7", Every(7).steps(40) + 40), ("revolve-3", Revolve(3).steps(40) + 40)):
        grad(loss_of_u)(U, P, 40, compile=True, policy=policy, progress=True)
        shown = capsys.readouterr().err
        assert "fori_loop" in shown
        assert f"{total}/{total}" in shown


def test_eight_threads_share_steps_and_have_their_own() -> None:
    def work(number: int) -> Any:
        def own(u: Any) -> Any:
            return np.sum(fori_loop(0, 9, lambda k, u: u * (1.0 + number % 3) * 0.3, u, compile=True))

        barrier.wait()
        result = []
        for policy in ("none", "every-2", "revolve-2"):
            result.append(grad(loss_of_u, argnums=(0, 1))(U, P, 15 + number % 2, compile=True, policy=policy))
            result.append((grad(own)(U),))
        return result

    barrier = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(work, range(8)))
    barrier = threading.Barrier(1)
    for number, found in enumerate(together):
        for one, other in zip(found, work(number), strict=True):
            assert same_bits([*one], [*other])


def test_a_schedule_of_the_user_is_carried_out_as_it_is() -> None:
    schedules: list[Schedule] = [Uneven(3, (1,) * 12), Online(3, leaf=2)]
    for schedule in schedules:
        found = grad(loss_of_u, argnums=(0, 1))(U, P, 12, compile=True, policy=schedule)
        assert same_bits([*found], [*grad(loss_of_u, argnums=(0, 1))(U, P, 12, compile=True, policy="none")])


def test_a_step_of_no_module_reads_rows_of_a_plain_array() -> None:
    """As `exec` makes it in a namespace without a name."""
    made: dict[str, Any] = {"np": np, "table": np.linspace(0.1, 0.9, 20)}
    exec("def step(i, u): return u + table[i] * np.sin(u)", made)
    assert made["step"].__module__ in (None, "builtins")

    def loss(u: Any, **how: Any) -> Any:
        return np.sum(fori_loop(0, 20, made["step"], u, **how))

    np.testing.assert_allclose(grad(loss)(U, compile=True), grad(loss)(U, compile=False), rtol=1e-12)


def test_a_mask_as_an_index_is_refused_with_the_way_out() -> None:
    def step(i: int, u: Any) -> Any:
        u[u < 0] = 0.0
        return u

    with pytest.raises(DetachedError, match=r"traced mask of shape \(3,\).*np.where\(mask, a, b\)"):
        grad(lambda u: np.sum(fori_loop(0, 9, step, u, compile=True)))(U)
    assert grad(lambda u: np.sum(fori_loop(0, 9, step, u, compile=False)))(U).tolist() == [1.0, 0.0, 1.0]

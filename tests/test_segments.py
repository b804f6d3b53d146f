"""Forgetting and replaying: the same bits as the plain tape, within the budget, with nothing left over."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unspool
from tests.oracles import same_bits
from unspool.errors import BudgetError, ClosedError, PolicyError, ReplayError, UnsupportedError, ZeroGradientWarning
from unspool.ir.listener import active, listening
from unspool.memory import as_bytes
from unspool.segments import Forgetful

POLICIES: list[dict[str, Any]] = [
    {"policy": "none"},
    {"policy": "every-1"},
    {"policy": "every-7"},
    {"policy": "every-1000"},
    {"policy": "online-1"},
    {"policy": "online-2"},
    {"policy": "online-5"},
    {"policy": unspool.Online(40)},
    {"memory": "140 kB"},
    {"memory": "200 kB"},
    {"policy": "auto", "memory": "600 kB"},
    {"memory": "1 GB"},
]
X = np.random.default_rng(0).normal(size=(24, 20))


def diffused(u: Any, rate: Any) -> Any:
    """Nonlinear, with slices, in-place writes through a view, masks, a trajectory, marks."""
    total = np.zeros_like(u)
    seen = []
    for i in range(40):
        slope = u[1:] - u[:-1]
        flux = rate * slope / (1 + slope**2)
        new = np.copy(u)
        new[1:-1] += 0.1 * (flux[1:] - flux[:-1])
        row = new[0]
        row *= 0.9
        new = np.where(new > 0.2, new, np.tanh(new) + 0.01 * i)
        total += new * X
        u = new
        if i % 10 == 3:
            seen.append(u)
        unspool.mark()
    return np.sum(u**2) + np.mean(total) + np.sum(np.stack(seen) ** 3)


def unmarked(u: Any, rate: Any) -> Any:
    for _ in range(30):
        u = u + 0.1 * np.sin(rate * u) @ np.full((20, 20), 0.05)
        u = u - np.mean(u, axis=0)
    return np.sum(u * u)


@pytest.mark.parametrize("how", POLICIES, ids=str)
@pytest.mark.parametrize("program", [diffused, unmarked], ids=lambda f: f.__name__)
def test_the_gradient_has_the_bits_of_the_plain_tape(program: Any, how: dict[str, Any]) -> None:
    expected = unspool.value_and_grad(program, (0, 1))(X, 0.7)
    with unspool.observe() as log:
        found = unspool.value_and_grad(program, (0, 1), **how)(X, 0.7)
    assert same_bits(found[0], expected[0])
    assert same_bits(list(found[1]), list(expected[1]))
    if "memory" in how:
        assert log[0].peak_bytes <= as_bytes(how["memory"])


def test_what_fits_is_kept_and_nothing_is_computed_twice() -> None:
    with unspool.observe() as log:
        unspool.grad(diffused, memory="1 GB")(X, 0.7)
    assert log[0].steps == log[0].n_steps == 42  # and one mark before the program set its first


@pytest.mark.parametrize("slots", [1, 2, 3, 5, 10])
def test_steps_are_recomputed_as_often_as_the_schedule_says(slots: int) -> None:
    def f(u: Any) -> Any:
        for _ in range(60):
            u = np.sin(u)
            unspool.mark()
        return u

    with unspool.observe() as log:
        unspool.grad(f, policy=f"online-{slots}")(0.3)
    report = log[0]
    assert (report.n_steps, report.records) == (61, 60)  # the last step, after the last mark, is empty
    # a loop records its last step in the sweep; this tape cannot know which will be the last
    assert report.steps - report.records <= unspool.Online(slots).steps(61)


def test_a_smaller_budget_takes_more_steps() -> None:
    counts = []
    for kilobytes in (1000, 400, 200, 140):
        with unspool.observe() as log:
            unspool.grad(diffused, memory=kilobytes * 1000)(X, 0.7)
        counts.append(log[0].steps)
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_a_budget_that_cannot_be_kept_raises_and_says_what_it_takes() -> None:
    with pytest.raises(BudgetError, match=r"memory=4\.00 kB is too little after .* operations"):
        unspool.grad(diffused, memory="4 kB")(X, 0.7)
    assert active() == []


def test_in_place_writes_views_and_work_buffers() -> None:
    def f(u: Any) -> Any:
        work = np.zeros_like(u)
        inner = work[1:-1]
        for i in range(20):
            inner[...] = u[1:-1] * u[:-2]
            work[0] = u[-1]
            work[[2, 4]] += 1.0
            np.add.at(work, np.array([1, 1, 3]), u[:3])
            u = u + 0.1 * work / (1 + i)
            np.multiply(u, 0.99, out=u)
        return np.sum(u**2) + np.sum(inner)

    x = np.linspace(0.1, 1, 8)
    expected = unspool.grad(f)(x)
    for how in ({"policy": "every-3"}, {"policy": "online-2"}, {"policy": "every-50"}, {"memory": "30 kB"}):
        assert same_bits(unspool.grad(f, **how)(x), expected)


def test_plain_arrays_and_random_draws_are_kept_as_they_were() -> None:
    def f(u: Any) -> Any:
        rng = np.random.default_rng(1)
        buffer = np.empty(u.shape)
        wide = np.zeros((u.shape[0], 2 * u.shape[1]))
        for _ in range(12):
            buffer[...] = rng.normal(size=u.shape)
            wide[:, ::2] = buffer
            u = np.sin(u * buffer) + wide[:, ::2] + rng.normal()
            u = u @ np.broadcast_to(buffer[0], (u.shape[1], u.shape[1]))
            unspool.mark()
        return np.sum(u)

    expected = unspool.grad(f)(X)
    for how in ({"policy": "every-2"}, {"policy": "online-2"}, {"memory": "300 kB"}):
        assert same_bits(unspool.grad(f, **how)(X), expected)


def test_the_same_plain_array_is_kept_once_and_masks_not_at_all() -> None:
    big = np.random.default_rng(0).normal(size=20_000)

    def f(u: Any) -> Any:
        for _ in range(10):
            positive = u > 0
            u = np.where(positive, u * big, unspool.numpy.zeros(u.shape) + 0.5 * u)
            unspool.mark()
        return np.sum(u)

    tape = Forgetful(None, 10**9, "f")
    with listening(tape):
        f(tape.input(big))
        tape.close()
    arrays = [c for c in tape.transcript.constants if isinstance(c, np.ndarray) and c.size > 1]
    assert sum([a.nbytes for a in arrays]) == 2 * big.nbytes  # big, and zeros
    assert same_bits(unspool.grad(f, policy="online-2")(big), unspool.grad(f)(big))


def test_a_mask_that_was_written_into_is_kept_as_it_was_read() -> None:
    def f(u: Any) -> Any:
        for _ in range(6):
            mask = u > 0
            mask[0] = ~mask[0]
            late = u < 0.1
            u = np.where(mask, u * u, 0.3 * u)
            unspool.mark()
            u = np.where(late, u, 0.5 * u)
            mask[...] = True
            late[...] = False
        return np.sum(u)

    x = X[0]
    for how in ({"policy": "online-2"}, {"policy": "every-2"}, {"memory": "1 GB"}):
        assert same_bits(unspool.grad(f, **how)(x), unspool.grad(f)(x))


def test_results_of_several_parts_and_linear_algebra() -> None:
    def f(a: Any) -> Any:
        for _ in range(5):
            q, r = np.linalg.qr(a)
            a = np.sin(q) + 0.1 * np.linalg.inv(r + 3 * np.eye(4)) @ a
            parts = np.split(a, 2)
            a = np.concatenate([parts[1], parts[0]])
            unspool.mark()
        return np.sum(a)

    a = np.random.default_rng(2).normal(size=(4, 4))
    for policy in ("every-2", "online-2", "online-1"):
        assert same_bits(unspool.grad(f, policy=policy)(a), unspool.grad(f)(a))


def test_loops_and_custom_rules_inside() -> None:
    @unspool.custom_vjp
    def cube(x: Any) -> Any:
        return x**3

    cube.defvjp(lambda x: (x**3, x), lambda x, ct: (3 * x**2 * ct,))

    def f(u: Any, k: Any) -> Any:
        for _ in range(6):
            u = unspool.fori_loop(0, 5, lambda i, v: v + 0.01 * k * np.sin(v), u, policy="revolve-2")
            u, rows = unspool.scan(lambda c, x: (c * 0.99, c * x), u, np.linspace(0, 1, 3))
            u = u + cube(0.1 * rows[1])
            unspool.mark()
        return np.sum(u)

    expected = unspool.grad(f, (0, 1))(X, 0.3)
    for how in ({"policy": "every-2"}, {"policy": "online-2"}, {"memory": "60 kB"}, {"memory": "1 GB"}):
        assert same_bits(list(unspool.grad(f, (0, 1), **how)(X, 0.3)), list(expected))


def test_a_rule_that_does_not_repeat_itself_is_found_out() -> None:
    rng = np.random.default_rng(0)

    @unspool.custom_vjp
    def noisy(x: Any) -> Any:
        return x + rng.normal()

    noisy.defvjp(lambda x: (noisy(x), None), lambda _, ct: (ct,))

    def f(u: Any) -> Any:
        for _ in range(5):
            u = noisy(np.sin(u))
            unspool.mark()
        return np.sum(u)

    with pytest.raises(ReplayError, match=r"noisy .* computed another result of shape"):
        unspool.grad(f, policy="online-2")(X)


def test_aux_and_dead_ends_and_a_loss_without_a_parameter() -> None:
    def f(u: Any) -> Any:
        seen = []
        for _ in range(10):
            u = np.cos(u)
            np.exp(u)  # nobody reads it
            seen.append(u)
            unspool.mark()
        return np.sum(seen[4]), {"last": u, "first": seen[0]}

    (value, aux), gradient = unspool.value_and_grad(f, has_aux=True, policy="online-2")(X)
    (expected, expected_aux), expected_gradient = unspool.value_and_grad(f, has_aux=True)(X)
    assert same_bits([value, aux["last"], aux["first"], gradient], [
        expected, expected_aux["last"], expected_aux["first"], expected_gradient,
    ])  # fmt: skip
    with pytest.warns(ZeroGradientWarning):
        assert same_bits(unspool.grad(lambda u: 3.0, policy="online-2")(X), np.zeros_like(X))
    assert same_bits(unspool.grad(lambda u: u, policy="online-2")(2.0), np.float64(1.0))


def test_a_pullback_can_be_called_again() -> None:
    def f(u: Any) -> Any:
        for _ in range(20):
            u = u + 0.1 * np.sin(u)
            unspool.mark()
        return u, np.sum(u)

    _, plain = unspool.vjp(f, X)
    for how in ({"policy": "online-3"}, {"policy": "every-4"}, {"memory": "20 kB"}):
        _, pullback = unspool.vjp(f, X, **how)
        for scale in (1.0, -2.0, 1.0):
            ct = (scale * np.ones_like(X), np.float64(0.5))
            assert same_bits(pullback(ct)[0], plain(ct)[0])


def test_other_transforms_inside_are_differentiated() -> None:
    def f(u: Any) -> Any:
        for _ in range(4):
            u = u - 0.1 * unspool.grad(lambda v: np.sum(np.sin(v) ** 2))(u)
            _, moved = unspool.jvp(np.tanh, (u,), (u,))
            u = u + 0.1 * moved
            unspool.mark()
        return np.sum(u**2)

    assert same_bits(unspool.grad(f, policy="online-2")(X), unspool.grad(f)(X))


def test_other_transforms_around_are_refused_by_name() -> None:
    gradient = unspool.grad(lambda u: np.sum(np.sin(u) ** 3), policy="online-2")
    for outer in (
        lambda: unspool.grad(lambda u: np.sum(gradient(u)))(X),
        lambda: unspool.jvp(gradient, (X,), (X,)),
        lambda: unspool.grad(lambda k: np.sum(unspool.grad(lambda u: k * np.sum(u * u), policy="every-3")(X)))(1.0),
    ):
        with pytest.raises(UnsupportedError, match="outermost transform"):
            outer()
    assert active() == []


def test_policies_that_make_no_sense_are_refused() -> None:
    for how, message in (
        ({"policy": "revolve-3"}, "asks for the number of steps"),
        ({"policy": "online-3", "memory": "1 MB"}, "Leave one of the two out"),
        ({"policy": "often"}, "there is no policy"),
        ({"memory": "much"}, "no amount of memory"),
        ({"policy": unspool.Online(3, leaf=2)}, "leaf="),
    ):
        with pytest.raises(PolicyError, match=message):
            unspool.grad(diffused, **how)(X, 0.7)


def test_an_exception_leaves_nothing_held() -> None:
    kept: list[Any] = []

    def f(u: Any) -> Any:
        for i in range(30):
            u = np.sin(u)
            kept.append(weakref.ref(u.value))
            kept.append(weakref.ref(u.listener))
            unspool.mark()
            if i == 20:
                raise KeyError("on the way")
        return np.sum(u)

    for how in ({"policy": "online-3"}, {"memory": "1 GB"}, {"memory": "20 kB"}):
        with pytest.raises(KeyError):
            unspool.grad(f, **how)(X)
        assert active() == []
        gc.collect()
        assert [ref for ref in kept if ref() is not None] == []


def test_nothing_is_held_after_the_gradient() -> None:
    kept: list[Any] = []

    def f(u: Any) -> Any:
        for _ in range(30):
            u = np.sin(u) + u
            kept.append(weakref.ref(u.value))
            unspool.mark()
        return np.sum(u)

    gc.disable()  # freed at once, not by a collection
    try:
        unspool.grad(f, policy="online-3")(X)
        assert [ref for ref in kept if ref() is not None] == []
    finally:
        gc.enable()


def test_a_value_cannot_be_used_after_its_function() -> None:
    out: list[Any] = []
    unspool.grad(lambda u: (out.append(u * 2), np.sum(u))[1], policy="online-2")(X)
    with pytest.raises(ClosedError):
        out[0] + 1.0


def test_the_tape_keeps_its_structure_in_less_than_100_bytes_a_node() -> None:
    def f(u: Any) -> Any:
        for _ in range(2000):
            v = np.roll(u, 1) - u
            u = u + 0.1 * v * 0.5
            unspool.mark()
        return np.sum(u)

    tape = Forgetful(unspool.Online(5), None, "f")
    with listening(tape):
        f(tape.input(X))
        tape.close()
    assert len(tape.transcript) > 10_000
    assert tape.transcript.n_bytes < 30 * len(tape.transcript)


def test_values_are_forgotten_while_the_program_runs() -> None:
    alive: list[int] = []
    refs: list[Any] = []

    def f(u: Any) -> Any:
        for _ in range(50):
            u = np.sin(u) * u
            refs.append(weakref.ref(u.value))
            unspool.mark()
            alive.append(sum(ref() is not None for ref in refs))
        return np.sum(u)

    unspool.grad(f, policy="online-4")(X)
    assert max(alive) <= 6


def test_a_mark_without_a_tape_and_in_the_step_of_a_loop_does_nothing() -> None:
    unspool.mark()

    def step(i: int, u: Any) -> Any:
        unspool.mark()
        return u + 0.1 * np.sin(u)

    def f(u: Any) -> Any:
        return np.sum(unspool.fori_loop(0, 10, step, u))

    assert same_bits(unspool.grad(f, policy="online-2")(X), unspool.grad(f)(X))


def test_threads_have_their_own_tapes_and_marks() -> None:
    expected = unspool.grad(diffused)(X, 0.7)
    found: dict[int, Any] = {}

    def work(k: int) -> None:
        found[k] = unspool.grad(diffused, policy=f"online-{k}")(X, 0.7)

    threads = [threading.Thread(target=work, args=(k,)) for k in (2, 3, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [2, 3, 5]
    assert all(same_bits(gradient, expected) for gradient in found.values())


# --- random programs --------------------------------------------------------------------------------------------------
UNARY = [np.sin, np.tanh, np.negative, np.abs, lambda x: x**2, lambda x: x[::-1], lambda x: x.T.copy(), np.copy]
BINARY = [np.add, np.multiply, lambda x, y: x - y, lambda x, y: np.where(x > y, x, y), np.maximum]


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(
        st.one_of(
            st.tuples(st.just("unary"), st.integers(0, len(UNARY) - 1), st.integers(0, 30), st.integers(0, 30)),
            st.tuples(st.just("binary"), st.integers(0, len(BINARY) - 1), st.integers(0, 30), st.integers(0, 30)),
            st.tuples(st.just("write"), st.integers(0, 2), st.integers(0, 30), st.integers(0, 30)),
            st.tuples(st.just("mark"), st.just(0), st.just(0), st.just(0)),
            st.tuples(st.just("forget"), st.just(0), st.integers(0, 30), st.just(0)),
        ),
        max_size=40,
    ),
    how=st.sampled_from(POLICIES[1:8] + POLICIES[-1:]),
)
def test_random_straight_line_programs(lines: list[tuple[str, int, int, int]], how: dict[str, Any]) -> None:
    def f(x: Any) -> Any:
        values = [x, np.copy(x), 0.5 * x]
        for what, which, first, second in lines:
            a, b = values[first % len(values)], values[second % len(values)]
            if what == "unary":
                values.append(0.9 * UNARY[which](a))
            elif what == "binary":
                values.append(0.5 * BINARY[which](a, b))
            elif what == "write":
                target = values[1]
                if which == 0:
                    target[0] = b[1]
                elif which == 1:
                    target[1:] *= b[:-1]
                else:
                    view = target[:, 1]
                    view += b[1]
                    values.append(view * a)
            elif what == "mark":
                unspool.mark()
            elif len(values) > 3:
                values.pop(3 + first % (len(values) - 3))
        return sum([np.sum(value) for value in values])

    x = np.random.default_rng(0).normal(size=(3, 3))
    with np.errstate(all="ignore"):
        assert same_bits(unspool.grad(f, **how)(x), unspool.grad(f)(x))

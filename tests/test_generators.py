"""Random generators in the state: the numbers of a plain loop, under every policy, and the state of one afterwards."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import unspool
from tests.oracles import complex_step, same_bits
from unspool import fori_loop, grad, scan, value_and_grad, while_loop
from unspool.errors import DetachedError, InputError, ReplayError, StateError, UnsupportedError
from unspool.generators import set_words, words_of

X = np.array([0.3, -0.2, 0.5])
POLICIES: list[Any] = ["none", "every-1", "every-3", "revolve-1", "revolve-4", "online-2", None]
KINDS = [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]


def _step(i: int, state: Any) -> Any:
    u, rng = state
    u = u + 0.1 * rng.normal(size=u.shape) * u
    if i % 2:
        u = u + 0.01 * float(rng.integers(5, dtype=np.uint32))  # half a word: the other half is kept for the next draw
    return u, rng


def _plain(u: Any, rng: Any, n: int) -> Any:
    for i in range(n):
        u, rng = _step(i, (u, rng))
    return u


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", KINDS)
def test_draws_are_those_of_a_plain_loop_and_so_is_the_generator_after_it(kind: Any, policy: Any) -> None:
    mine, other = (np.random.Generator(kind(7)) for _ in range(2))
    twin = np.random.Generator(kind(7))

    def loss(u: Any, rng: Any = mine) -> Any:
        end, after = fori_loop(0, 9, _step, (u, rng), policy=policy)
        assert after is rng
        return np.sum(end**2)

    value, gradient = value_and_grad(loss)(X)
    assert value == np.sum(_plain(X, twin, 9) ** 2)
    assert mine.normal() == twin.normal()
    expected = complex_step(lambda u: np.sum(_plain(u, np.random.Generator(kind(7)), 9) ** 2), X)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)
    stored = grad(lambda u: np.sum(fori_loop(0, 9, _step, (u, other), policy="none")[0] ** 2))(X)
    assert same_bits(gradient, stored)


def test_without_a_transform_it_is_a_plain_loop() -> None:
    mine, twin = np.random.default_rng(3), np.random.default_rng(3)
    end, after = fori_loop(0, 6, _step, (X, mine))
    assert same_bits(end, _plain(X, twin, 6))
    assert after is mine
    assert mine.normal() == twin.normal()


@pytest.mark.parametrize("policy", POLICIES)
def test_scan_and_while_loop_carry_several_and_a_pullback_can_be_called_again(policy: Any) -> None:
    def f(u: Any, rngs: Any, loop: str) -> Any:
        def step(state: Any, x: Any) -> Any:
            u, n, rngs = state
            rngs["b"], rngs["a"] = rngs["a"], rngs["b"]  # each step the other one draws first
            u = u * rngs["a"].normal(1.0, 0.1, size=3) + 0.1 * rngs["b"].uniform() * x
            return (u, n + 1, rngs), rngs["a"].integers(10)

        if loop == "scan":
            (u, _, _), drawn = scan(step, (u, 0, rngs), np.ones(5), policy=policy)
            return u, drawn
        how = "online-2" if str(policy).startswith("revolve") else policy
        u, _, _ = while_loop(lambda s: s[1] < 5, lambda s: step(s, 1.0)[0], (u, 0, rngs), policy=how)
        return u, np.zeros(5, int)

    for loop in ("scan", "while"):
        rngs = {"a": np.random.default_rng(1), "b": np.random.default_rng(2)}
        (end, _), pullback = unspool.vjp(lambda u: f(u, rngs, loop), X)
        rngs["a"].normal(size=100)  # is the user's business by now
        first = pullback((np.ones(3), np.zeros(5)))
        assert same_bits(pullback((np.ones(3), np.zeros(5))), first)
        fresh = {"a": np.random.default_rng(1), "b": np.random.default_rng(2)}
        _, moved = unspool.jvp(lambda u: f(u, fresh, loop)[0], (X,), (np.ones(3),))
        np.testing.assert_allclose(np.sum(moved), np.sum(first[0]), rtol=1e-12)
        assert np.all(np.isfinite(end))


def test_transforms_nest_and_loops_nest() -> None:
    def loss(u: Any, policy: Any, seed: int = 5) -> Any:
        def outer(i: int, state: Any) -> Any:
            u, rng = fori_loop(0, 3, _step, state, policy=policy)
            return u * rng.uniform(0.5, 1.0), rng

        end, _ = fori_loop(0, 4, outer, (u, np.random.default_rng(seed)), policy=policy)
        return np.sum(end**3)

    def plain(u: Any) -> Any:
        rng = np.random.default_rng(5)
        for _ in range(4):
            u = _plain(u, rng, 3) * rng.uniform(0.5, 1.0)
        return np.sum(u**3)

    expected = grad(loss)(X, "none")
    np.testing.assert_allclose(expected, complex_step(plain, X), rtol=1e-12)
    v = np.array([0.2, -0.1, 0.4])
    second = unspool.hvp(lambda u: loss(u, "none"))(X, v)
    for policy in ("every-2", "revolve-1", "online-2"):
        assert same_bits(grad(loss)(X, policy), expected)
        assert same_bits(unspool.hvp(lambda u, p=policy: loss(u, p))(X, v), second)


def test_a_checkpointed_function_draws_the_same_twice() -> None:
    calls = [0]

    @unspool.checkpoint
    def noisy(u: Any, rng: Any) -> Any:
        calls[0] += 1
        return np.sin(u) * rng.normal(size=3)

    mine, twin = np.random.default_rng(3), np.random.default_rng(3)
    found = grad(lambda u: np.sum(noisy(noisy(u, mine), mine)))(X)
    assert calls == [4]
    a, b = twin.normal(size=3), twin.normal(size=3)
    np.testing.assert_allclose(found, np.cos(np.sin(X) * a) * b * np.cos(X) * a, rtol=1e-12)
    assert mine.normal() == twin.normal()


def test_snapshots_count_the_bytes_of_a_generator() -> None:
    for kind in KINDS:
        rng = np.random.Generator(kind(0))
        with unspool.observe() as log:
            grad(lambda u: np.sum(fori_loop(0, 9, _step, (u, rng), policy="every-3")[0]))(X)
        assert log[0].state_bytes == 64 + words_of(rng).nbytes  # arrays begin at multiples of 64 bytes
        assert log[0].peak_snapshot_bytes >= 2 * log[0].state_bytes


def test_the_comparison_covers_the_generator() -> None:
    calls = [0]

    def step(i: int, state: Any) -> Any:
        u, rng = state
        calls[0] += 1
        if calls[0] > 9:
            rng.normal()
        return u * 1.0, rng

    rng = np.random.default_rng(0)
    with pytest.raises(ReplayError, match=r"the state\[1\] of fori_loop before step \d came out differently"):
        grad(lambda u: np.sum(fori_loop(0, 9, step, (u, rng), policy="every-3")[0]))(X)


def test_one_that_is_captured_instead_of_carried_is_found_and_the_message_says_to_carry_it() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ReplayError, match=r"reads the random generator rng .* in the state \(`u, rng = state`"):
        grad(lambda u: np.sum(fori_loop(0, 9, lambda i, u: u * rng.normal(), u, policy="every-3")))(X)


def test_a_draw_is_a_constant_and_cannot_depend_on_a_traced_value() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DetachedError):
        grad(lambda u: np.sum(fori_loop(0, 3, lambda i, s: (rng.normal(s[0]), s[1]), (u, rng))[0]))(X)


# --- refusals ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("bad", [np.random.RandomState(0), random.Random(0), np.random.PCG64(0)])
def test_other_kinds_are_refused_with_the_one_to_carry(bad: Any) -> None:
    with pytest.raises(
        InputError, match=rf"state\[1\] of scan is a {type(bad).__name__}\. Carry a np.random.Generator"
    ):
        scan(lambda s, _: (s, None), (X, bad), None, 3)


def test_the_same_one_twice_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match=r"state\['b'\] of fori_loop is the same random generator as state\['a'\]"):
        fori_loop(0, 3, lambda i, s: s, {"a": rng, "b": rng})
    other = np.random.default_rng(1)
    with pytest.raises(StateError, match="became the same one in step 0 of fori_loop"):
        fori_loop(0, 3, lambda i, s: {"a": s["a"], "b": s["a"]}, {"a": rng, "b": other})


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (lambda rng: np.random.Generator(np.random.Philox(0)), "kind PCG64 and became one of kind Philox in step 0"),
        (lambda rng: 1.0, "became something of type float in step 0"),
        (lambda rng: rng.normal(size=3), "became something of type ndarray in step 0"),
    ],
)
def test_a_step_must_return_what_it_got(returned: Any, says: str) -> None:
    with pytest.raises(StateError, match=says):
        fori_loop(0, 3, lambda i, s: (s[0], returned(s[1])), (X, np.random.default_rng(0)))


def test_one_that_appears_where_there_was_none_is_refused() -> None:
    with pytest.raises(StateError):
        fori_loop(0, 3, lambda i, u: np.random.default_rng(0), 1.0)
    with pytest.raises(StateError):
        scan(lambda u, x: (u, np.random.default_rng(0)), 1.0, None, 3)


def test_a_condition_that_draws_is_refused() -> None:
    with pytest.raises(StateError, match=r"condition of while_loop drew from the random generator state\[1\]"):
        while_loop(lambda s: s[1].uniform() < 0.5, lambda s: s, (X, np.random.default_rng(0)))


def test_machine_code_cannot_draw_and_says_so() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UnsupportedError, match=r"fori_loop carries the random generator state\[1\], and compile=True"):
        fori_loop(0, 3, _step, (X, rng), compile=True)


def test_children_are_not_spawned_inside() -> None:
    with pytest.raises(TypeError, match="spawn"):
        fori_loop(0, 3, lambda i, s: (s[0], s[1].spawn(1)[0]), (X, np.random.default_rng(0)))


# --- the parts --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_words_hold_all_of_a_state(kind: Any) -> None:
    one, other = np.random.Generator(kind(1)), np.random.Generator(kind(2))
    one.integers(5, dtype=np.uint32)
    set_words(other, words_of(one))
    assert repr(one.bit_generator.state) == repr(other.bit_generator.state)
    assert (
        one.integers(2**32, size=3, dtype=np.uint32).tolist() == other.integers(2**32, size=3, dtype=np.uint32).tolist()
    )

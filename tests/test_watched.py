"""What a step reads besides its state may not change between its runs, and the message says which line reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import unspool
from unspool.errors import ReplayError
from unspool.watched import Reads, bits_of

POLICIES = ("revolve-1", "revolve-2", "every-2", "online-2")


@pytest.mark.parametrize("n", [3, 1000])
@pytest.mark.parametrize("policy", POLICIES)
def test_an_array_that_was_written_since_is_found_where_no_state_shows_it(policy: str, n: int) -> None:
    work = np.full(n, 2.0)
    loss = _zero_times(work, policy)
    assert unspool.grad(loss)(np.zeros(n))[0] == 64.0
    _, pullback = unspool.vjp(loss, np.zeros(n))
    work[-1] = 3.0
    with pytest.raises(ReplayError, match=r"what step \d of fori_loop reads, work at test_watched\.py:\d+, came out"):
        pullback(1.0)


def _zero_times(work: np.ndarray, policy: str) -> Callable[..., Any]:
    return lambda x: np.sum(unspool.fori_loop(0, 6, lambda i, u: u * work, x, policy=policy, compile=False))


def test_a_write_between_two_loops_of_one_function_is_found() -> None:
    def loss(x: Any) -> Any:
        work = np.ones(3)
        y = unspool.fori_loop(0, 4, lambda i, u: u * work, x, policy="revolve-1")
        work[:] = 5.0
        return np.sum(y * work)

    with pytest.raises(ReplayError, match="work at"):
        unspool.grad(loss)(np.zeros(3))


@pytest.mark.parametrize("policy", ["none", *POLICIES])
def test_a_work_array_that_every_step_fills_anew_is_no_change(policy: str) -> None:
    work = np.empty(3)

    def step(i: int, u: Any) -> Any:
        work[:] = i + 1.0
        return u * work

    gradient = unspool.grad(lambda x: np.sum(unspool.fori_loop(0, 5, step, x, policy=policy)))
    np.testing.assert_array_equal(gradient(np.zeros(3)), 120.0)


def test_numbers_of_numpy_and_indices_are_read_too() -> None:
    table, order = np.array([2.0, 3.0]), np.array([0, 1, 2])
    steps: tuple[tuple[Callable[..., Any], Callable[[], Any]], ...] = (
        (lambda i, u: u * table[0], lambda: table.__setitem__(0, 5.0)),
        (lambda i, u: u[order] * 2.0, lambda: order.__setitem__(0, 2)),
    )
    for step, change in steps:
        _, pullback = unspool.vjp(
            lambda x, step=step: np.sum(unspool.fori_loop(0, 6, step, x, policy="revolve-1", compile=False)),
            np.zeros(3),
        )
        change()
        with pytest.raises(ReplayError, match=r"test_watched\.py"):
            pullback(1.0)


def test_numbers_that_are_none_are_equal_to_themselves() -> None:
    gap = np.array([np.nan, 0.5])

    def step(i: int, u: Any) -> Any:
        return np.fmax(np.fmax(u, gap), np.float64("nan"))

    gradient = unspool.grad(lambda x: np.sum(unspool.fori_loop(0, 6, step, x, policy="revolve-1")))(np.ones(2))
    assert gradient.tolist() == [1.0, 1.0]


@given(size=st.integers(1, 3000), seed=st.integers(0, 9), places=st.tuples(st.integers(0, 2999), st.integers(0, 2999)))
def test_any_element_and_any_exchange_changes_the_number(size: int, seed: int, places: tuple[int, int]) -> None:
    value = np.random.default_rng(seed).normal(size=size)
    first, second = (p % size for p in places)
    moved, exchanged = value.copy(), value.copy()
    moved[first] = np.nextafter(moved[first], np.inf)
    exchanged[[first, second]] = exchanged[[second, first]]
    assert bits_of(value) == bits_of(value.copy())
    assert bits_of(moved) != bits_of(value)
    assert (bits_of(exchanged) == bits_of(value)) == (first == second)
    assert bits_of(value[::-1]) == bits_of(value[::-1].copy())
    if size > 1:
        assert bits_of(np.roll(value, 1)) != bits_of(value)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32, np.float64, np.complex128, np.longdouble])
def test_arrays_of_every_type_have_a_number(dtype: Any) -> None:
    value = np.arange(3000).reshape(2, 1500).astype(dtype)
    other = value.copy()
    other[1, 700] = not other[1, 700]
    assert bits_of(value) == bits_of(value.copy()) != bits_of(other)


def test_of_a_long_loop_some_steps_are_remembered() -> None:
    reads = Reads()
    for step in range(20_000):
        assert reads.agrees(step, step)
    known = [step for step in range(20_000) if not reads.agrees(step, -1)]
    assert 2048 <= len(known) <= 4096
    assert all(reads.agrees(step, step) for step in range(20_000))
    assert np.ptp(np.diff(known)) == 0

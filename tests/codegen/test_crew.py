"""A crew shares the nests of a step: the bits are those of one thread, whoever comes first."""

from __future__ import annotations

import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codegen.field_steps import HOW, LINES, SHAPES
from tests.codegen.plain import crews, plainly
from tests.oracles import same_bits
from tests.test_compiled_fields import POLICIES, _flat, _random
from unspool import fori_loop, grad, observe, traced_steps
from unspool.codegen import build, crew, nests, shares
from unspool.codegen.control import Crew, Trials
from unspool.codegen.crew_code import judge
from unspool.codegen.shares import is_large, part_of

U = np.sin(np.arange(70.0 * 66.0)).reshape(70, 66)
TABLE = np.ones(20)


@pytest.fixture
def everything_is_shared() -> Iterator[None]:
    """Nests of any size, and steps as if they were compiled for the first time."""
    with (
        patch.object(shares, "LEAST_WORK", 0),
        patch.object(shares, "ROWS", 2),
        patch.object(build, "_BUILT", OrderedDict()),
        patch.object(traced_steps, "_TRACED", OrderedDict()),
    ):
        yield


def _step(i: Any, u: Any) -> Any:
    """A stencil, a sum of everything, one of each row and one of each column."""
    v = u * 1.0
    v[1:-1, 1:-1] += 0.1 * (u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4.0 * u[1:-1, 1:-1])
    v = np.sin(v) - 1e-3 * np.mean(v * v) - 0.1 * np.mean(v, axis=0)
    return v - 0.1 * np.max(v, axis=1, keepdims=True)


def _gradient(threads: int | None, *, steps: int = 40, step: Any = _step, u: Any = U) -> np.ndarray:
    def loss(u: Any) -> Any:
        return np.sum(fori_loop(0, steps, step, u, policy="revolve-5", compile=True, threads=threads) ** 2)

    found: np.ndarray = grad(loss)(u)
    return found


# --- the text ---------------------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("everything_is_shared")
@settings(max_examples=80)
@given(
    lines=LINES,
    how=HOW,
    shapes=SHAPES,
    n=st.integers(1, 3),
    counted=st.booleans(),
    order=st.integers(1, 4).flatmap(lambda n: st.permutations(range(n))),
)
def test_random_steps_in_any_order(lines: Any, how: int, shapes: Any, n: int, counted: bool, order: Any) -> None:
    loss, args = _random(lines, how, shapes, n, counted=counted, most=150)
    with plainly():
        expected = _flat(loss, args, compile=True, policy="revolve-1")
        with crews(order), patch.object(nests, "_LONG", 1):  # a border in parts, not in strips
            found = _flat(loss, args, compile=True, policy="revolve-1", threads=max(2, len(order)))
    assert same_bits(found, expected)


@pytest.mark.usefixtures("everything_is_shared")
@pytest.mark.parametrize("order", [(0, 1), (1, 0), (2, 0, 3, 1)], ids=str)
def test_every_kind_of_sum_is_shared_in_any_order(order: Any) -> None:
    def step(i: Any, u: Any) -> Any:
        return _step(i, u) - 0.01 * np.sum(u) / 60.0

    def loss(u: Any, **options: Any) -> Any:
        return np.sum(fori_loop(0, 2, step, u, **options))

    small = U[:3, :40]
    with plainly():
        expected = _flat(loss, (small,), compile=True, policy="none")
        with crews(order) as turns:
            found = _flat(loss, (small,), compile=True, policy="none", threads=len(order))
    assert turns.jobs > 0
    assert same_bits(found, expected)


@pytest.mark.usefixtures("everything_is_shared")
@pytest.mark.parametrize("order", [(0, 1), (2, 0, 3, 1)], ids=str)
def test_a_product_of_a_vector_is_shared_by_panels_in_any_order(order: Any) -> None:
    def loss(weights: Any, u: Any, **options: Any) -> Any:
        return np.sum(fori_loop(0, 2, lambda i, u: np.tanh(weights @ u), u, **options))

    args = U[:, :4].reshape(140, 2) @ np.ones((2, 140)) / 280.0, U[0].repeat(3)[:140]
    with plainly():
        expected = _flat(loss, args, compile=True, policy="none")
        (one,) = build._BUILT.values()
        with crews(order) as turns:
            found = _flat(loss, args, compile=True, policy="none", threads=len(order))
        *_, other = build._BUILT.values()
    assert "for panel in range(0, 2)" in one.source
    assert "for panel in range(2 * part // parts" in other.source
    assert turns.jobs > 0
    assert same_bits(found, expected)


def _cells(bounds: Any, part: int, parts: int) -> Any:
    return [range(*[eval(end, {"part": part, "parts": parts}) for end in pair]) for pair in bounds]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 50)), min_size=1, max_size=3), st.integers(1, 9))
def test_the_parts_of_a_box_are_the_box(ends: Any, parts: int) -> None:
    box = tuple([(low, low + n) for low, n in ends])
    bounds = part_of(box)
    cells = [range(low, high) for low, high in box]
    cut = [_cells(bounds, part, parts) for part in range(parts)]
    for axis, whole in enumerate(cells):
        if all(ranges[axis] == whole for ranges in cut):
            continue
        assert [i for ranges in cut for i in ranges[axis]] == [*whole]
        sizes = [len(ranges[axis]) for ranges in cut]
        assert max(sizes) - min(sizes) <= 16


def test_a_nest_is_large_by_its_elements_and_by_what_is_done_to_each() -> None:
    assert not is_large(((0, 100), (0, 100)), ["a = b + c"])
    assert is_large(((0, 1000), (0, 100)), ["a = b + c"])
    assert is_large(((0, 100), (0, 100)), ["a = exp(b)"])
    assert not is_large((), ["a = exp(b)"] * 10**5)


def test_steps_without_large_nests_have_the_text_for_one_thread() -> None:
    with patch.object(build, "_BUILT", OrderedDict()), patch.object(traced_steps, "_TRACED", OrderedDict()):
        assert same_bits(_gradient(2, u=U[:20]), _gradient(None, u=U[:20]))
        one, other = build._BUILT.values()
        assert one.source == other.source


# --- machine code -----------------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("everything_is_shared")
def test_any_number_of_threads_leaves_the_same_bits() -> None:
    expected = _gradient(None)
    for threads in (1, 2, 3, 5, 80):
        assert same_bits(_gradient(threads), expected), threads


@pytest.mark.usefixtures("everything_is_shared")
def test_every_policy_leaves_the_same_bits() -> None:
    def loss(u: Any, **options: Any) -> Any:
        return np.sum(fori_loop(0, 12, _step, u, compile=True, **options) ** 2)

    expected = _flat(loss, (U,), policy="none")
    for options in POLICIES:
        assert same_bits(_flat(loss, (U,), threads=3, **options), expected), options


@pytest.mark.usefixtures("everything_is_shared")
def test_several_loops_at_once_have_a_crew_each() -> None:
    expected, found = _gradient(None), []
    loops = [threading.Thread(target=lambda: found.append(_gradient(2))) for _ in range(4)]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()
    assert len(found) == 4
    assert all(same_bits(one, expected) for one in found)


@pytest.mark.usefixtures("everything_is_shared")
def test_an_error_in_a_step_lets_all_threads_go() -> None:
    def outside(i: Any, u: Any) -> Any:
        return u * TABLE[i]

    def singular(i: Any, u: Any) -> Any:
        m = np.eye(66) * np.where(i > 3, 0.0, 1.0)
        return np.sin(u) + np.linalg.solve(m, u[0])

    expected = _gradient(None)
    for _ in range(3):
        with pytest.raises(IndexError, match="step 20 of the loop"):
            _gradient(3, step=outside)
        with pytest.raises(np.linalg.LinAlgError):
            _gradient(3, step=singular)
        assert same_bits(_gradient(3), expected)


def test_what_is_not_shared_has_the_same_bits() -> None:
    def numbers(threads: int | None, compile: bool) -> Any:
        options: Any = {"compile": compile, "threads": threads, "policy": "none"}
        return grad(lambda a: fori_loop(0, 50, lambda i, u: u - 0.1 * np.sin(u), a, **options))(0.7)

    for compile in (True, False):
        assert same_bits(numbers(3, compile), numbers(None, compile))


@pytest.mark.usefixtures("everything_is_shared")
def test_a_plan_counts_on_the_threads() -> None:
    with observe() as log:
        found = grad(lambda u: np.sum(fori_loop(0, 300, _step, u, compile=True, threads=2, memory="8 MB") ** 2))(U)
    assert log[0].peak_bytes <= 8_000_000
    assert log[0].compiled
    assert same_bits(found, grad(lambda u: np.sum(fori_loop(0, 300, _step, u, compile=True, policy="none") ** 2))(U))


# --- the threads ------------------------------------------------------------------------------------------------------
def _waiting_asleep(taken: crew.Crew) -> bool:
    for _ in range(10_000):
        if taken._block[Crew.SLEEPERS] == taken.threads - 1:
            return True
        threading.Event().wait(0.001)
    return False


def test_a_crew_without_work_sleeps_and_is_used_again() -> None:
    taken = crew.take(3)
    assert _waiting_asleep(taken)
    crew.give(taken)
    assert crew.take(3) is taken
    crew.give(taken)


def _names() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("unspool crew")]


def test_crews_end_before_the_process_does() -> None:
    crew.give(crew.take(3))
    assert _names()
    crew._dismiss()
    assert not _names()


@pytest.mark.usefixtures("everything_is_shared")
def test_the_child_of_a_fork_has_crews_of_its_own() -> None:
    expected = _gradient(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, which BLAS may have
        child = os.fork()
    if not child:
        os._exit(0 if same_bits(_gradient(2), expected) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert same_bits(_gradient(2), expected)


@pytest.mark.usefixtures("everything_is_shared")
def test_a_crew_is_smaller_where_there_are_no_more_threads() -> None:
    expected = _gradient(None)
    crew._dismiss()
    start, started = threading.Thread.start, []

    def scarce(thread: Any) -> None:
        if len(started) == 1:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    with patch.object(threading.Thread, "start", scarce):
        assert same_bits(_gradient(4), expected)
        taken = crew.take(4)
    assert taken.threads == 2
    taken.dismiss()


# --- whether it pays --------------------------------------------------------------------------------------------------
def _shared(times: Any, n: int) -> np.ndarray:
    """Which of n calls are shared, where ``times(k)`` are the nanoseconds of call k alone and shared."""
    trials = np.array([Trials.BEGIN])
    found = []
    for k in range(n):
        found.append(bool(trials[0, Trials.SHARED]))
        judge.py_func(trials, 0, times(k)[found[-1]])
    return np.array(found)


def test_calls_are_shared_while_that_is_quicker() -> None:
    assert _shared(lambda k: (100, 60), 10_000).mean() > 0.99
    assert _shared(lambda k: (100, 150), 20_000).mean() < 0.02
    later = _shared(lambda k: (100, 60) if k < 3000 or k > 6000 else (100, 500), 20_000)
    assert later[:3000].mean() > 0.99
    assert later[3100:6000].mean() < 0.05
    assert later[-8000:].mean() > 0.99
    assert _shared(lambda k: (100, 10**6), 20_000).sum() < 40  # one call shows it

"""Kernels on the tape: a step is recorded with what it read, weighed without counting twice, reversed once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.oracles import same_bits
from unspool.closure import Captures
from unspool.codegen.fallback import Steps, plain
from unspool.errors import ReplayError, StateError
from unspool.replay import replay_message

U = np.array([0.3, -0.2, 0.5])


def _steps(step: Any = None, **about: Any) -> Steps:
    def sine(k: int, state: list[Any], inputs: list[Any], around: Any) -> Any:
        return [np.sin(state[0]) * (k + 1.0)], [np.sum(state[0])]

    options: dict[str, Any] = {"xs": [], "captures": Captures(), "values": [], "n_steps": 5, "names": ("",)}
    return Steps(step or sine, (U,), loop_name="toy", **{**options, **about})


def test_advance_and_record_leave_the_same_bits_in_any_cut() -> None:
    (whole,), stop = _steps().advance((U,), 0, 5)
    assert stop == 5
    cut = _steps()
    state, _ = cut.advance((U,), 0, 2)
    state, reached, residuals = cut.record(state, 2, 4)
    assert (reached, len(residuals)) == (4, 2)
    state, _ = cut.advance(state, 4, 5)
    assert same_bits(state[0], whole)
    recorded, _, _ = _steps().record((U,), 0, 5)
    assert same_bits(recorded[0], whole)


def test_reverse_carries_cotangents_of_state_and_outputs_and_empties_the_residuals() -> None:
    steps = _steps()
    _, _, residuals = steps.record((U,), 0, 2)
    steps.cts_ys = [np.array([10.0, 100.0, 0.0, 0.0, 0.0])]
    (ct,) = steps.reverse((np.ones(3),), residuals, 0, 2)
    inner = 2 * np.cos(np.sin(U)) + 100.0
    np.testing.assert_allclose(ct, inner * np.cos(U) + 10.0, rtol=1e-15)
    assert residuals == []


def test_residuals_are_weighed_once_however_often_they_are_held() -> None:
    big = np.ones(10_000)

    def step(k: int, state: list[Any], inputs: list[Any], around: Any) -> Any:
        u = state[0]
        return [u * u * np.sin(u) * u], []

    steps = Steps(step, (big,), xs=[], captures=Captures(), values=[], n_steps=2, names=("",), loop_name="toy")
    _, _, residuals = steps.record((big,), 0, 1)
    weight = steps.residual_bytes(residuals)
    assert 4 * 80_000 <= weight < 5 * 80_000 + 4_000  # u, u*u, sin u, u*u*sin u
    assert steps.residual_bytes([]) == 0


def test_the_plain_leaves_that_a_step_returns_are_copied() -> None:
    buffer = np.zeros(3)

    def step(k: int, state: list[Any], inputs: list[Any], around: Any) -> Any:
        buffer[:] = k + 1.0
        return [buffer], []

    steps = _steps(step)
    (first,), _ = steps.advance((U,), 0, 1)
    steps.advance((first,), 1, 2)
    assert first.tolist() == [1.0, 1.0, 1.0]


def test_a_step_sees_its_own_copy_of_integers_and_its_row_of_the_inputs() -> None:
    seen: list[Any] = []

    def step(k: int, state: list[Any], inputs: list[Any], around: Any) -> Any:
        count = state[0]
        count += inputs[0]
        seen.append(plain(inputs[0]).tolist())
        return [count], []

    counts = np.zeros(2, int)
    rows = np.arange(6).reshape(3, 2)
    steps = Steps(step, (counts,), xs=[rows], captures=Captures(), values=[], n_steps=3, names=("",), loop_name="toy")
    (end,), _ = steps.advance((counts,), 0, 3)
    assert end.tolist() == [6, 9]
    assert counts.tolist() == [0, 0]
    assert seen == rows.tolist()


def test_types_are_checked_with_the_name_of_the_leaf() -> None:
    steps = _steps(lambda k, state, inputs, around: ([state[0][:1]], []), names=("['u']",))
    with pytest.raises(
        StateError, match=r"toy changed its type in step 3: state\['u'\] was f64\[3\] and became f64\[1\]"
    ) as e:
        steps.advance((U,), 3, 4)
    assert e.value.__notes__ == ["in step 3 of toy"]


def test_outputs_are_compared_when_a_step_runs_again() -> None:
    calls = [0]

    def step(k: int, state: list[Any], inputs: list[Any], around: Any) -> Any:
        calls[0] += 1
        return state, [calls[0]]

    steps = _steps(step)
    steps.advance((U,), 0, 3)
    with pytest.raises(ReplayError, match="the output of step 1 of toy came out differently"):
        steps.record((U,), 1, 2)
    assert "xs of scan" in replay_message("it")

"""The executor: six verbs on bytes, whatever the steps are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.errors import PolicyError, ReplayError
from unspool.kernels import Kernels
from unspool.layout import Layout
from unspool.observers import LoopReport
from unspool.run import Run
from unspool.schedules import (
    Action,
    Every,
    Load,
    Online,
    Record,
    Reverse,
    Revolve,
    Save,
    Schedule,
    StoreAll,
    Tier,
    simulate,
)
from unspool.stores import RamStore

LAYOUT = Layout.of([np.zeros(2)])


@dataclass
class Toy:
    """Steps u -> 2 u + k, whose adjoint doubles the cotangent and notes the step and its state."""

    end: int | None = None
    drift: float = 0.0

    def __post_init__(self) -> None:
        self.calls = 0
        self.reversed: list[tuple[int, float]] = []

    def step(self, state: Any, k: int) -> Any:
        self.calls += 1
        return (2 * state[0] + k + self.drift * self.calls,)

    def advance(self, state: Any, start: int, stop: int) -> Any:
        for k in range(start, stop):
            if not self.going(state, k):
                return state, k
            state = self.step(state, k)
        return state, stop

    def record(self, state: Any, start: int, stop: int) -> Any:
        residuals = []
        for k in range(start, stop):
            if not self.going(state, k):
                return state, k, residuals
            residuals.append((k, float(state[0][0])))
            state = self.step(state, k)
        return state, stop, residuals

    def reverse(self, cts: Any, residuals: list[Any], start: int, stop: int) -> Any:
        for k in range(stop - 1, start - 1, -1):
            residual = residuals.pop()
            assert residual[0] == k
            self.reversed.append(residual)
            cts = (2 * cts[0],)
        assert residuals == []
        return cts

    def going(self, state: Any, k: int) -> bool:
        return self.end is None or k < self.end

    def run(self, schedule: Schedule, n: int | None, report: LoopReport | None = None) -> Run:
        kernels = Kernels(
            advance=self.advance,
            record=self.record,
            reverse=self.reverse,
            rehearse=lambda residuals: None,
            going=self.going,
            residual_bytes=lambda residuals: 10 * len(residuals),
            layout=LAYOUT,
        )
        stores = {Tier.RAM: RamStore(LAYOUT)}
        return Run(
            kernels,
            schedule,
            stores,
            n,
            replay_error=lambda m: f"step {m.step} array {m.difference.position}",
            report=report,
        )


def _states(n: int) -> list[float]:
    values = [1.0]
    for k in range(n):
        values.append(2 * values[-1] + k)
    return values


FAMILIES = [Every, Revolve, Online, lambda c: StoreAll(), lambda c: Revolve(c, leaf=2), lambda c: Online(c, leaf=3)]


@given(make=st.sampled_from(FAMILIES), slots=st.integers(1, 6), n=st.integers(0, 40))
def test_every_step_is_reversed_once_from_its_own_state(make: Any, slots: int, n: int) -> None:
    schedule, toy = make(slots), Toy()
    report = LoopReport("toy", schedule, n, state_bytes=LAYOUT.n_bytes)
    run = toy.run(schedule, n, report)
    (final,) = run.forward((np.ones(2),))
    assert final.tolist() == [_states(n)[-1]] * 2
    (ct,) = run.reverse((np.array([1.0, 3.0]),))
    assert ct.tolist() == [2.0**n, 3 * 2.0**n]
    assert toy.reversed == [(k, _states(n)[k]) for k in reversed(range(n))]
    cost = simulate(schedule, n, state_bytes=LAYOUT.n_bytes, residual_bytes=10)
    assert toy.calls == report.steps == cost.steps
    assert report.records == cost.records
    assert report.peak_residual_bytes == 10 * cost.peak_taped
    assert run.stores[Tier.RAM].n_bytes == 0


@given(make=st.sampled_from([Every, Online, lambda c: StoreAll()]), slots=st.integers(1, 6), n=st.integers(0, 40))
def test_a_loop_that_ends_by_itself_is_reversed_in_the_same_way(make: Any, slots: int, n: int) -> None:
    toy = Toy(end=n)
    run = toy.run(make(slots), None)
    (final,) = run.forward((np.ones(2),))
    assert (final[0], run.n_steps) == (_states(n)[-1], n)
    (ct,) = run.reverse((np.ones(2),))
    assert ct[0] == 2.0**n
    assert toy.reversed == [(k, _states(n)[k]) for k in reversed(range(n))]
    assert run.stores[Tier.RAM].n_bytes == 0


@pytest.mark.parametrize("schedule", [Every(2), Revolve(1), Revolve(3), Online(2)], ids=str)
def test_a_replay_that_differs_is_an_error_and_nothing_is_held_after_it(schedule: Schedule) -> None:
    toy = Toy(drift=1e-3)
    run = toy.run(schedule, 9)
    run.forward((np.ones(2),))
    with pytest.raises(ReplayError, match=r"step \d array 0"):
        run.reverse((np.ones(2),))
    assert run.stores[Tier.RAM].n_bytes == 0


def test_steps_that_run_once_are_not_compared() -> None:
    run = Toy(drift=1e-3).run(StoreAll(), 9)
    run.forward((np.ones(2),))
    assert run.reverse((np.ones(2),))[0][0] == 2.0**9


def test_an_error_in_the_sweep_closes_the_stores() -> None:
    class Broken(Toy):
        def step(self, state: Any, k: int) -> Any:
            if k == 5:
                raise KeyboardInterrupt
            return super().step(state, k)

    run = Broken().run(Every(2), 9)
    with pytest.raises(KeyboardInterrupt):
        run.forward((np.ones(2),))
    assert run.stores[Tier.RAM].n_bytes == 0


def test_a_tier_without_a_store_is_named() -> None:
    class OnDisk(Schedule):
        def actions(self, n_steps: int) -> Iterator[Action]:
            yield Save(0, Tier.DISK)
            yield Record(0, n_steps)
            yield Reverse(0, n_steps)
            yield Load(0, Tier.DISK)

    with pytest.raises(PolicyError, match="no store"):
        Toy().run(OnDisk(), 3).forward((np.ones(2),))


def test_an_unknown_length_needs_a_schedule_that_can_do_without() -> None:
    with pytest.raises(PolicyError, match=r"Online\(slots\)"):
        Toy(end=3).run(Revolve(2), None).forward((np.ones(2),))

"""The planner: its predictions against the machine, its choices against exhaustive search."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.errors import BudgetError
from unspool.plan_disk import Disk, choose_with_disk
from unspool.planner import Plan, StepPrices, choose, choose_online, predict
from unspool.schedules import Every, FoldedSchedule, Online, Revolve, StoreAll, TwoLevel, simulate

SIZES = st.sampled_from([1, 3, 8, 40])


def prices(state: int, residual: int, copy: float = 0.01) -> StepPrices:
    return StepPrices(state, residual, 1.0, 1.2, 2.0, copy, copy, 0.0)


@given(st.integers(0, 300), SIZES, SIZES, st.floats(0, 1))
def test_the_prediction_is_what_the_machine_counts_and_fits_the_budget(
    n: int, state: int, residual: int, share: float
) -> None:
    budget = int(state + residual + share * n * residual)
    plan = choose(n, prices(state, residual), budget)
    cost = simulate(plan.schedule, n, state_bytes=state, residual_bytes=residual)
    assert cost.peak_bytes <= plan.cost.peak_bytes <= max(budget, 0)
    assert (cost.steps, cost.saves, cost.loads) == (plan.cost.steps, plan.cost.saves, plan.cost.loads)


@given(st.integers(2, 120), SIZES, SIZES, st.floats(0, 1))
def test_no_leaf_and_slots_are_faster_than_the_choice(n: int, state: int, residual: int, share: float) -> None:
    budget = int(state + residual + share * n * residual)
    chosen = choose(n, prices(state, residual, copy=0.0), budget).cost.seconds
    best = (
        min(
            predict(Revolve(slots, leaf), n, prices(state, residual, copy=0.0)).seconds
            for leaf in range(1, n)
            if leaf * residual + state <= budget
            for slots in [max(1, min(n, (budget - leaf * residual) // state))]
        )
        if n > 1 and residual + state <= budget
        else chosen
    )
    assert chosen <= best * (1 + 1e-12)


def test_leaves_gain_what_the_formulas_say() -> None:
    for n, residual, budget, factor in [(10**4, 4, 500, 1.99), (10**4, 1, 200, 1.99), (10**3, 1, 100, 1.923)]:
        plan = choose(n, prices(1, residual, copy=0.0), budget)
        assert plan.cost.recomputation_factor <= factor + 0.005


def test_storing_everything_is_chosen_where_it_fits_and_memory_is_free() -> None:
    plan = choose(1000, prices(8, 24), 24_000)
    assert plan.schedule == StoreAll()
    assert plan.cost.steps == 1000


def test_storing_everything_is_not_chosen_where_fresh_memory_costs_more_than_a_step() -> None:
    touch = StepPrices(8, 24, 1.0, 1.2, 2.0, 0.01, 0.01, touch_seconds=0.2)
    plan = choose(1000, touch, 24_000)
    assert isinstance(plan.schedule, Revolve)
    assert "touching" in plan.reason


def test_too_small_a_budget_names_the_least_that_works() -> None:
    with pytest.raises(BudgetError, match=r"least that works.* 32 bytes"):
        choose(1000, prices(8, 24), 31)
    assert choose(1000, prices(8, 24), 32).cost.peak_bytes == 32


def test_a_million_steps_are_planned_by_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    def enumerated(self: Revolve, n_steps: int) -> None:
        raise AssertionError("the planner went through the actions one by one")

    monkeypatch.setattr(FoldedSchedule, "actions", enumerated)
    plan = choose(10**6, prices(8 * 10**6, 24 * 10**6), 2 * 10**9)
    assert plan.cost.recomputation_factor < 3.7
    assert "revolve-" in str(plan)


def test_the_frontier_falls_from_the_least_budget_to_storing_everything() -> None:
    curve = choose(1000, prices(8, 24), 2000).frontier(12)
    assert curve[0].peak_bytes <= 32
    assert curve[-1].schedule == StoreAll()
    assert all(a.peak_bytes < b.peak_bytes and a.seconds > b.seconds for a, b in pairwise(curve))


def test_a_plan_prints_the_choice_its_reason_and_the_classical_policies() -> None:
    text = str(choose(1000, prices(8, 24), 2000))
    assert "1,000 steps in 2.00 kB" in text
    assert "→" in text
    assert "none" in text
    assert "every-" in text
    assert "revolve-" in text


def test_every_k_is_predicted_like_the_machine() -> None:
    cost = simulate(Every(7), 100, state_bytes=8, residual_bytes=24)
    guess = predict(Every(7), 100, prices(8, 24))
    assert (cost.steps, cost.saves, cost.loads) == (guess.steps, guess.saves, guess.loads)
    assert cost.peak_bytes <= guess.peak_bytes <= 14 * 8 + 7 * 24


@given(st.integers(1, 200), SIZES, SIZES, st.floats(0, 0.5))
def test_a_plan_with_a_disk_fits_memory_and_disk(n: int, state: int, residual: int, share: float) -> None:
    budget = int(state + residual + share * n * residual)
    disk = Disk(n_bytes=max(1, n * state // 2), write_seconds=1e-3, read_seconds=1e-3)
    plan: Plan = choose_with_disk(n, prices(state, residual), budget, disk)
    cost = simulate(plan.schedule, n, state_bytes=state, residual_bytes=residual)
    assert cost.peak_bytes <= plan.cost.peak_bytes <= budget
    assert cost.steps == plan.cost.steps
    assert cost.peak_slots[1] * state <= disk.n_bytes


def test_a_fast_disk_is_used_and_a_slow_one_is_not() -> None:
    sizes = prices(10, 30)
    fast = choose_with_disk(10_000, sizes, 1000, Disk(10**9, 1e-6, 1e-6))
    slow = choose_with_disk(10_000, sizes, 1000, Disk(10**9, 1e6, 1e6))
    assert isinstance(fast.schedule, TwoLevel)
    assert isinstance(slow.schedule, Revolve)
    assert fast.cost.steps < slow.cost.steps
    assert "on disk" in fast.reason


@given(SIZES, SIZES, st.integers(0, 10**4), st.integers(0, 300))
def test_a_loop_of_unknown_length_fits_too(state: int, residual: int, more: int, n: int) -> None:
    budget = state + residual + more
    schedule = choose_online(prices(state, residual), budget)
    assert isinstance(schedule, Online)
    cost = simulate(schedule, n, state_bytes=state, residual_bytes=residual)
    assert cost.peak_bytes <= budget
    with pytest.raises(BudgetError, match="least that works"):
        choose_online(prices(state, residual), state + residual - 1)

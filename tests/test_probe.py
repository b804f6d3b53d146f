"""Policy "auto": the contract on bytes, and what measuring may cost."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import unspool
from unspool import probe
from unspool.errors import BudgetError, PolicyError
from unspool.schedules import Revolve, StoreAll


def nonlinear(i: int, u: np.ndarray) -> np.ndarray:
    return u + 0.01 * np.sin(u) * np.cos(0.1 * i * u)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small loops be measured as large ones are."""
    monkeypatch.setattr(probe, "at_once", lambda: 0)
    monkeypatch.setattr(probe, "TINY", 0)


def gradient(n: int, size: int, **how: object) -> tuple[np.ndarray, unspool.observe]:
    with unspool.observe() as log:
        g = unspool.grad(lambda x: np.sum(unspool.fori_loop(0, n, nonlinear, x, **how) ** 2))(np.linspace(0, 1, size))
    return g, log


@given(st.integers(0, 80), st.sampled_from([1, 10, 1000]), st.floats(0, 1))
@pytest.mark.usefixtures("measured")
def test_measured_is_at_most_predicted_is_at_most_the_budget(n: int, size: int, share: float) -> None:
    reference, stored = gradient(n, size, policy="none")
    least = stored[0].state_bytes + stored[0].residual_bytes
    budget = int(least + share * max(0, stored[0].predicted_peak_bytes - least)) + 1
    g, log = gradient(n, size, memory=budget)
    report = log[0]
    assert report.peak_bytes <= report.predicted_peak_bytes <= budget
    assert report.predicted_peak_bytes <= report.plan.cost.peak_bytes <= budget
    np.testing.assert_array_equal(g, reference)


@pytest.mark.usefixtures("measured")
def test_measuring_runs_no_step_for_its_own_sake_where_the_schedule_advances() -> None:
    calls = []

    def step(i: int, u: np.ndarray) -> np.ndarray:
        calls.append(i)
        return nonlinear(i, u)

    with unspool.observe() as log:
        unspool.grad(lambda x: np.sum(unspool.fori_loop(0, 400, step, x, memory=40_000, compile=False)))(np.ones(100))
    assert isinstance(log[0].policy, Revolve)
    assert log[0].policy.leaf < 400
    assert len(calls) == log[0].steps == log[0].plan.cost.steps


def test_a_small_loop_is_stored_at_once_and_no_step_runs_twice() -> None:
    calls = []

    def step(i: int, u: np.ndarray) -> np.ndarray:
        calls.append(i)
        return u * 1.5

    with unspool.observe() as log:
        unspool.grad(lambda x: unspool.fori_loop(0, 50, step, x))(2.0)
    assert log[0].policy == StoreAll()
    assert calls == list(range(50))


def test_auto_is_the_default_and_its_name_may_be_written() -> None:
    for how in ({}, {"policy": "auto"}, {"policy": "Auto", "memory": "1 GB"}, {"memory": "10%"}):
        _, log = gradient(5, 3, **how)
        assert log[0].plan is not None
        assert log[0].policy == StoreAll()


def test_a_budget_that_cannot_be_met_is_refused_before_the_sweep() -> None:
    calls = []

    def step(i: int, u: np.ndarray) -> np.ndarray:
        calls.append(i)
        return np.sin(u)

    with pytest.raises(BudgetError, match=r"least that works for any number of steps is (\d+) bytes") as caught:
        unspool.grad(lambda x: np.sum(unspool.fori_loop(0, 1000, step, x, memory=5000, compile=False)))(np.ones(1000))
    assert len(calls) == 1  # the one that was weighed
    least = int(str(caught.value).split(" bytes")[0].split()[-1])
    unspool.grad(lambda x: np.sum(unspool.fori_loop(0, 20, step, x, memory=least)))(np.ones(1000))


def test_memory_beside_another_policy_is_refused() -> None:
    with pytest.raises(PolicyError, match="policy='auto'"):
        unspool.fori_loop(0, 3, nonlinear, np.ones(2), policy="none", memory="1 GB")
    with pytest.raises(PolicyError, match="512 MB"):
        unspool.fori_loop(0, 3, nonlinear, np.ones(2), memory="plenty")


@pytest.mark.usefixtures("measured")
def test_a_while_loop_keeps_to_the_budget_too() -> None:
    def f(x: np.ndarray, **how: object) -> np.ndarray:
        return np.sum(unspool.while_loop(lambda s: s[0] < 200, lambda s: (s[0] + 1, np.sin(s[1])), (0, x), **how)[1])

    x = np.linspace(0.1, 1, 50)
    reference = unspool.grad(lambda x: f(x, policy="none"))(x)
    with unspool.observe() as log:
        g = unspool.grad(lambda x: f(x, memory=20_000))(x)
    np.testing.assert_array_equal(g, reference)
    assert log[0].peak_bytes <= log[0].predicted_peak_bytes <= 20_000


def test_an_exception_while_measuring_names_the_step() -> None:
    def step(i: int, u: np.ndarray) -> np.ndarray:
        if i == 0:
            raise ZeroDivisionError("no")
        return u

    with pytest.raises(ZeroDivisionError) as caught:
        unspool.grad(lambda x: unspool.fori_loop(0, 5, step, x))(1.0)
    assert "step 0" in caught.value.__notes__[0]


def test_plan_measures_and_explains() -> None:
    chosen = unspool.plan(nonlinear, np.ones(1000), 2000, memory="10 MB")
    assert chosen.cost.peak_bytes <= 10**7
    assert chosen.prices.state_bytes == 8000
    assert chosen.prices.advance_seconds > 0
    assert chosen.prices.reverse_seconds > 0
    assert "2,000 steps in 10.0 MB" in str(chosen)
    assert unspool.plan(nonlinear, np.ones(3), 0).schedule == StoreAll()
    assert unspool.plan(nonlinear, np.ones(3), 1).cost.steps == 1


@pytest.mark.parametrize("megabytes", [32, 128, 384, 1024])
def test_the_resident_set_grows_by_the_budget_and_sixteen_mebibytes_at_most(megabytes: int) -> None:
    """In a fresh process, with so many megabytes of would-be storage and a twelfth of it as the budget."""
    code = f"""
        import threading, time, numpy as np, psutil, unspool
        def step(i, u):
            return u + 0.01 * np.sin(u) * np.cos(u)
        def loss(x, n, budget):
            return np.sum(unspool.fori_loop(0, n, step, x, memory=budget) ** 2)
        gradient = unspool.grad(loss)
        x = np.linspace(0, 1, 65_536)
        gradient(x, 2, "1 GB")
        per_step = unspool.plan(step, x, 10).prices.residual_bytes
        n = {megabytes} * 10**6 // per_step
        budget = max(2 * 10**6, {megabytes} * 10**6 // 12)
        process = psutil.Process()
        peak = before = process.memory_info().rss
        done = False
        def watch():
            global peak
            while not done:
                peak = max(peak, process.memory_info().rss)
                time.sleep(0.001)
        watcher = threading.Thread(target=watch)
        watcher.start()
        gradient(x, n, budget)
        done = True
        watcher.join()
        print(peak - before - budget)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(run.stdout) <= 16 * 2**20

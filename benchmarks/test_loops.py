"""What a step costs under each policy when the user's function is called, beside the plain NumPy loop."""

import gc
from statistics import median
from time import process_time

import numpy as np
import pytest

import unspool
from benchmarks.problems.network import network
from unspool import Every, Online, Revolve, StoreAll
from unspool.schedules import Mixed

N = 2000
START = np.linspace(0.1, 0.9, 10)
POLICIES = (StoreAll(), Every(1), Every(45), Revolve(20), Revolve(20, leaf=50), Online(20), Mixed(50), "auto")


def step(i, u):
    return u * 0.999


def loss(start, policy):
    return np.sum(unspool.fori_loop(0, N, step, start, policy=policy, compile=False))


def per_step(benchmark):
    if benchmark.stats is not None:  # None with --benchmark-disable
        benchmark.extra_info["ns per step"] = round(benchmark.stats.stats.median * 1e9 / N)
        benchmark.extra_info["beside"] = "test_plain_numpy"


def test_plain_numpy(benchmark):
    """The loop without unspool."""

    def run():
        u = START
        for i in range(N):
            u = step(i, u)
        return np.sum(u)

    benchmark.group = "forwards"
    benchmark(run)
    per_step(benchmark)


def test_forwards(benchmark):
    """The loop of unspool when nothing is differentiated."""
    benchmark.group = "forwards"
    benchmark(loss, START, "none")
    per_step(benchmark)


def test_tape_without_loop(benchmark):
    """A Python loop on one tape: no policy at all."""

    def run(start):
        u = start
        for i in range(N):
            u = step(i, u)
        return np.sum(u)

    benchmark.group = "gradient"
    benchmark(unspool.value_and_grad(run), START)
    per_step(benchmark)


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_gradient(benchmark, policy):
    """Value and gradient under a policy."""
    gradient = unspool.value_and_grad(loss)
    np.testing.assert_allclose(gradient(START, policy)[1], 0.999**N)
    benchmark.group = "gradient"
    benchmark(gradient, START, policy)
    per_step(benchmark)


def test_auto_costs_nothing_where_everything_fits():
    """`auto` beside "none" in turn, CPU seconds: the median of the ratios of pairs is 1 but for noise."""
    problem = network(n_steps=1000, units=32)
    ratios = []
    for number in range(20):
        seconds = {}
        for policy in ("auto", "none") if number % 2 else ("none", "auto"):
            gc.collect()
            begin = process_time()
            problem.gradient(*problem.parameters, policy=policy)
            seconds[policy] = process_time() - begin
        ratios.append(seconds["auto"] / seconds["none"])
    print(f"auto / none: {median(ratios):.3f}")
    assert median(ratios) < 1.05

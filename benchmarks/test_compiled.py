"""Compiled loops beside hand-written Numba and JAX, one by one; ``python -m benchmarks.yardstick`` is the table of all.

JAX is measured where it is installed: ``scan`` with ``checkpoint`` on the step, or the plain scan for the network.
"""

import numpy as np
import pytest

from benchmarks.long_loops import CASES, Case, lorenz, network, trivial, wave
from benchmarks.problems.advection import advection
from benchmarks.problems.burgers import burgers
from benchmarks.problems.descent import descent
from benchmarks.problems.heat import heat
from benchmarks.problems.lstm import lstm
from benchmarks.problems.ode import ode
from benchmarks.problems.problem import difference
from benchmarks.rivals.hand import by_hand
from benchmarks.yardstick import TOLERANCE
from unspool import Revolve, StoreAll

TIMED = ["lorenz-10", "lorenz-100000", "lorenz-1000000", "trivial-1000000", "network-128"]
SMALL = {
    "lorenz": Case(lorenz, 67),
    "trivial": Case(trivial, 67),
    "network": Case(lambda n: network(n, 24), 67),
    **{
        f"wave by {step}": Case(lambda n, step=step: wave(n, 32, step=step), 67, {"step": step})
        for step in ("slices", "zeros", "roll")
    },
    "heat": Case(lambda n: heat(n, 12), 67),
    "descent": Case(lambda n: descent(n, 9, 5), 67),
    "lax-wendroff": Case(lambda n: advection(n, 20, scheme="lax-wendroff"), 67),
    "toon": Case(lambda n: advection(n, 20, scheme="toon"), 67),
    "burgers": Case(lambda n: burgers(n, 12), 67),
    "ode": Case(lambda n: ode(n, n, 8), 67),
    "lstm": Case(lambda n: lstm(n, 2, 5), 67),
}
SCHEDULES = [(1, 67), (1, 1), (2, 1), (3, 1), (5, 1), (30, 1), (8, 10), (3, 8), (2, 2), (30, 32), (67, 1)]


def exact(problem, error):
    return problem.tolerance if problem.name == "toon" else error


def hand(case, slots=1, leaf=None):
    return by_hand(case.problem(), slots=slots, leaf=leaf or case.n_steps, **case.options)


def ours(case, policy):
    problem = case.problem()

    def gradient():
        value, cts = problem.gradient(*problem.parameters, policy=policy)
        return value, *cts

    return gradient


def jax(case):
    pytest.importorskip("jax")
    from benchmarks.rivals.xla import variants

    wanted = "matrix, scan" if case.make is network else "scan, checkpoint"
    return next(make for label, make in variants(case.problem(), **case.options) if label.endswith(wanted))()


TOOLS = {
    "by hand": hand,
    "by hand, revolve-30": lambda case: hand(case, 30, 1),
    "unspool, none": lambda case: ours(case, StoreAll()),
    "unspool, revolve-30": lambda case: ours(case, Revolve(30)),
    "jax": jax,
}


@pytest.mark.parametrize("name", TIMED)
@pytest.mark.parametrize("tool", TOOLS)
def test_timed(benchmark, tool, name):
    case = CASES[name]
    gradient = TOOLS[tool](case)
    assert difference(tuple(map(np.asarray, gradient())), hand(case)()) < TOLERANCE
    benchmark.group = name
    benchmark.pedantic(gradient, rounds=9 if case.n_steps > 10**5 else 25, warmup_rounds=1)


@pytest.mark.parametrize("name", SMALL)
def test_by_hand_is_the_gradient(benchmark, name):
    """The hand-written loops under many schedules, and JAX, beside our tape on small sizes."""
    case = SMALL[name]
    problem = case.problem()
    value, cts = problem.gradient(*problem.parameters, policy="none", compile=False)
    for slots, leaf in SCHEDULES:
        assert difference(hand(case, slots, leaf)(), (value, *cts)) < exact(problem, 1e-13)
    benchmark.group = "small sizes, by hand"
    benchmark(hand(case))


@pytest.mark.parametrize("name", SMALL)
def test_jax_is_the_gradient(benchmark, name):
    pytest.importorskip("jax")
    from benchmarks.rivals.xla import variants

    case = SMALL[name]
    for label, make in variants(case.problem(), **case.options):
        assert difference(tuple(map(np.asarray, make()())), hand(case)()) < exact(case.problem(), 1e-10), label
    benchmark.group = "small sizes, JAX"
    benchmark(make())

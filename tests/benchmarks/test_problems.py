"""The problems of the benchmarks: right gradients by the tape, by hand, and by the machine code of every policy."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from benchmarks.measure import along
from benchmarks.problems import PROBLEMS, SIZES, made, root, shortened
from benchmarks.problems.problem import Problem, difference
from benchmarks.rivals import RIVALS
from benchmarks.rivals.rival import policies, slots_and_leaf
from unspool.schedules import Revolve

TINY = {
    "lorenz": {"n_steps": 37},
    "wave": {"n_steps": 37, "size": 24},
    "network": {"n_steps": 37, "units": 5},
    "heat": {"n_steps": 37, "size": 6},
    "descent": {"n_steps": 37, "samples": 7, "weights": 3},
    "lax-wendroff": {"n_steps": 37, "size": 12},
    "toon": {"n_steps": 37, "size": 12},
    "burgers": {"n_steps": 37, "size": 6},
    "ode": {"n_steps": 37, "planned": 37, "size": 6},
    "lstm": {"n_steps": 37, "layers": 2, "bits": 3},
}
SCHEDULES = [(1, 37), (1, 1), (2, 1), (3, 1), (5, 1), (30, 1), (8, 5), (3, 8), (2, 2), (37, 1), (30, 32)]


def tiny(name: str) -> Problem:
    return PROBLEMS[name][0](**TINY[name])


def by_tape(problem: Problem) -> tuple[np.ndarray, ...]:
    value, cts = problem.gradient(*problem.parameters, policy="none", compile=False)
    return value, *cts


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_tape_has_the_slope_of_the_loss(name: str) -> None:
    problem = tiny(name)
    rng = np.random.default_rng(2)
    direction = [rng.normal(size=p.shape) * np.max(np.abs(p)) for p in problem.parameters]
    means, slope = along(problem, direction)
    terms = np.concatenate([
        np.ravel(ct * d) for ct, d in zip(by_tape(problem)[1:], direction, strict=True)
    ])  # fmt: skip
    bound = problem.tolerance if name == "toon" else {"complex step": 1e-13, "central differences": 1e-9}[means]
    assert abs(np.sum(terms) - slope) < bound * np.linalg.norm(terms)


@pytest.mark.parametrize("name", ["heat", "ode"])
def test_the_loop_by_hand_has_the_gradient_of_the_tape_under_every_schedule(name: str) -> None:
    from benchmarks.rivals.hand import by_hand

    problem = tiny(name)
    expected = by_tape(problem)
    for slots, leaf in SCHEDULES:
        gradient = by_hand(problem, slots=slots, leaf=leaf)
        assert difference(gradient(), expected) < 1e-12
        assert difference(gradient(), expected) < 1e-12  # with the buffers as the first call left them


@pytest.mark.parametrize("name", ["descent", "burgers"])
@pytest.mark.parametrize("policy", ["none", "every-6", "revolve-5", "online-4"])
def test_steps_with_assignments_are_compiled_with_the_gradient_of_the_tape(name: str, policy: str) -> None:
    problem = tiny(name)
    value, cts = problem.gradient(*problem.parameters, policy=policy, compile=True)
    assert difference((value, *cts), by_tape(problem)) < 1e-12


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("rival", ["jax", "equinox", "torch", "autograd", "pyrevolve"])
def test_what_is_installed_has_the_gradient_of_the_tape(name: str, rival: str) -> None:
    for package in RIVALS[rival].packages:
        pytest.importorskip(package)
    problem = tiny(name)
    for label in RIVALS[rival].labels(problem.n_steps):
        found = tuple(map(np.asarray, RIVALS[rival].make(problem, label)()()))
        assert difference(found, by_tape(problem)) < max(problem.tolerance, 1e-10)


def test_every_problem_has_every_size_and_is_seeded() -> None:
    for name, (maker, sizes) in PROBLEMS.items():
        assert list(sizes) == list(SIZES)
        for how in sizes.values():
            inspect.signature(maker).bind(**how)
        first, second = tiny(name), tiny(name)
        assert first.loss(*first.parameters) == second.loss(*second.parameters)
        assert first.name == name


def test_a_shortened_problem_starts_as_the_whole_one_and_has_two_segments() -> None:
    whole, short = made("ode", "small"), shortened("ode", "small")
    assert short.n_steps == 2 * root(whole.n_steps) < whole.n_steps
    assert whole.constants["h"] == short.constants["h"]
    assert np.array_equal(whole.parameters[0], short.parameters[0])


def test_policies_by_hand_run_as_many_steps_as_the_schedule_of_their_name() -> None:
    assert policies(20) == ("none", "every-5")
    assert policies(100) == ("none", "every-10", "revolve-30")
    assert slots_and_leaf("every-10", 95) == (10, 10)
    assert slots_and_leaf("none", 95) == (1, 95)
    assert Revolve(*slots_and_leaf("revolve-30", 95)) == Revolve(30)

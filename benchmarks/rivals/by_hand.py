"""Adjoints written by hand in Numba, under the same schedules as unspool's."""

from __future__ import annotations

from typing import Any

from benchmarks.problems.problem import Problem
from benchmarks.rivals.rival import Rival, policies, slots_and_leaf


def make(problem: Problem, label: str) -> Any:
    """The loop of ``hand`` with the numbers of the policy."""
    from benchmarks.rivals.hand import by_hand

    slots, leaf = slots_and_leaf(label, problem.n_steps)
    return lambda: by_hand(problem, slots=slots, leaf=leaf, **problem.options)


HAND = Rival("by hand in Numba", ("numba",), policies, make)

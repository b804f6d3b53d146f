"""unspool itself: the loss alone, and its gradient on the tape, compiled, and as it comes."""

from __future__ import annotations

from typing import Any

from benchmarks.problems.problem import Problem
from benchmarks.rivals.rival import Gradient, Rival, policies


def _with(compile: bool | str) -> Any:
    def make(problem: Problem, label: str) -> Any:
        both = problem.gradient

        def gradient() -> tuple[Any, ...]:
            value, cts = both(*problem.parameters, policy=label, compile=compile)
            return value, *cts

        return lambda: gradient

    return make


def _primal(problem: Problem, label: str) -> Any:
    def value() -> tuple[Any, ...]:
        return (problem.loss(*problem.parameters, compile=False),)

    gradient: Gradient = value
    return lambda: gradient


PRIMAL = Rival("the loss alone in NumPy", (), lambda n: ("no gradient",), _primal, differentiates=False)
DEFAULT = Rival("unspool as it comes", (), lambda n: ("auto",), _with("auto"))
TAPE = Rival("unspool on the tape", (), policies, _with(False))
COMPILED = Rival("unspool compiled", ("numba",), policies, _with(True))

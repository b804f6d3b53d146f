"""unspool itself: the loss alone, and its gradient on the tape, compiled, and as it comes."""

from __future__ import annotations

import copy
from typing import Any
from unittest.mock import patch

import numpy as np

import unspool
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


def fori_loop(lower: int, upper: int, body: Any, start: Any, **how: Any) -> Any:
    """The loop as Python has it."""
    state = copy.deepcopy(start)  # the step may write into it
    for k in range(lower, upper):
        state = body(k, state)
    return state


def scan(body: Any, start: Any, rows: Any = None, length: int | None = None, **how: Any) -> Any:
    """The same with rows to read, and ys."""
    state, ys = copy.deepcopy(start), []
    for k in range(len(rows[0]) if length is None else length):
        state, y = body(state, None if rows is None else tuple(row[k] for row in rows))
        ys.append(y)
    return state, np.stack(ys)


def _primal(problem: Problem, label: str) -> Any:
    def through_unspool() -> tuple[Any, ...]:
        return (problem.loss(*problem.parameters, compile=False),)

    def plainly() -> tuple[Any, ...]:
        with patch.object(unspool, "fori_loop", fori_loop), patch.object(unspool, "scan", scan):
            return through_unspool()

    value: Gradient = plainly if label == PLAIN else through_unspool
    return lambda: value


PLAIN = "a Python loop"

PRIMAL = Rival("NumPy, no gradient", (), lambda n: (PLAIN, "unspool's loop"), _primal, differentiates=False)
DEFAULT = Rival("unspool as it comes", (), lambda n: ("auto",), _with("auto"))
TAPE = Rival("unspool on the tape", (), policies, _with(False))
COMPILED = Rival("unspool compiled", ("numba",), policies, _with(True))

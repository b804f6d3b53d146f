"""Operations are counted as they are carried out."""

from __future__ import annotations

from typing import Any

import numpy as np

import unspool
from unspool.diagnostics import n_operations
from unspool.diagnostics.counting import seconds


def test_what_depends_on_the_arguments_is_counted() -> None:
    constant = np.ones(3)

    def f(x: Any) -> Any:
        scaled = np.sin(constant) * 2  # not on a traced value
        return np.sum(scaled * x) + x[0]

    assert n_operations(f, np.ones(3)) == 4  # multiply, sum, getitem, add


def test_a_derivative_is_counted_with_its_rules() -> None:
    def chain(n: int) -> Any:
        def f(x: Any) -> Any:
            for _ in range(n):
                x = np.sin(x)
            return x

        return f

    for n in (1, 2, 7):
        assert n_operations(chain(n), 0.5) == n
        assert n_operations(unspool.grad(chain(n)), 0.5) == 3 * n  # sin; cos and a product on the way back


def test_steps_of_a_loop_are_counted_as_often_as_they_run() -> None:
    def f(x: Any) -> Any:
        return unspool.fori_loop(0, 10, lambda i, u: np.sin(u), x, policy="none")

    def again(x: Any) -> Any:
        return unspool.fori_loop(0, 10, lambda i, u: np.sin(u), x, policy="revolve-1")

    assert n_operations(f, 0.5) == 11
    forward = unspool.simulate(unspool.Revolve(1), 10).steps - 10  # evaluations that are run again
    assert n_operations(unspool.grad(again), 0.5) == n_operations(unspool.grad(f), 0.5) + forward


def test_operations_with_several_results_and_none() -> None:
    assert n_operations(lambda a: np.linalg.eigh(a)[0], np.eye(2)) == 1
    assert n_operations(lambda x: x, 1.0) == 0


def test_a_call_is_measured_more_than_once() -> None:
    calls: list[None] = []
    assert seconds(lambda: calls.append(None)) > 0
    assert len(calls) > 3

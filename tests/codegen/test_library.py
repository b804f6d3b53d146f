"""Products, and what kernels leave to Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.codegen.kernels import Carried, check, program_of

U = np.sin(np.arange(60.0))


def _matrix(m: int, n: int) -> np.ndarray:
    return np.sin(1.0 + np.arange(float(m * n))).reshape(m, n)


@pytest.mark.parametrize(("m", "k", "n"), [(5, 7, 6), (1, 20, 3), (20, 1, 20), (18, 18, 1), (4, 4, 4), (23, 5, 1)])
def test_products_of_matrices_and_vectors(m: int, k: int, n: int) -> None:
    a, b, x = _matrix(m, k), _matrix(k, n), _matrix(1, k)[0]
    check(lambda a, b: a @ b, a, b)
    check(lambda a, b: (a @ b).T @ a, a, b)
    check(lambda a, b: b.T @ a.T, a, b)
    check(lambda a, b: np.dot(a.T, a) + np.dot(b, b.T), a, b)
    check(lambda a, x: (a @ x, x @ a.T, x @ x, np.inner(x, x * 2), np.dot(a, x)), a, x)
    check(lambda a, x: (np.sin(a) * 2) @ (x + 1), a, x)
    check(lambda a: a.T @ np.sin(a[:, 0]), a)


# --- Python -----------------------------------------------------------------------------------------------------------
CALLS: dict[str, Any] = {
    "gather": lambda u: u[np.array([3, 0, 3, 59])] * 2,
    "scatter": lambda u: _scattered(u),
    "solve": lambda u: np.linalg.solve(np.eye(6) * 9.0 + np.reshape(u[:36], (6, 6)), np.reshape(u[:24], (6, 4))),
    "several results": lambda u: np.linalg.eigh(np.eye(5) + np.outer(u[:5], u[:5]))[0],
    "truths": lambda u: np.sum(u > 0.0) * u + np.cumsum(u > 0.3),
    "whole numbers": lambda u: np.argsort(u) * u,
    "every other": lambda u: _every_other(u),
    "einsum": lambda u: np.einsum("i,j->ij", u[:4], u[4:9]),
    "nothing": lambda u: (np.cumsum(u[:0]), np.sum(u[:0]), np.prod(u[:0])),
    "a number": lambda u: np.prod(u[3] * np.ones(()) * u[:2]) * np.sort(u),
}


def _scattered(u: Any) -> Any:
    v = np.sin(u)
    np.add.at(v, np.array([0, -1, 0]), u[:3])
    return v


def _every_other(u: Any) -> Any:
    v = u * 2.0
    v[::2] = u[:30]
    return v


@pytest.mark.parametrize("name", CALLS)
def test_what_has_no_nest_is_evaluated_by_python(name: str) -> None:
    carried = check(CALLS[name], U, rtol=1e-12)
    assert carried.places.calls


def test_a_call_names_its_operands_and_results_by_their_places() -> None:
    carried = Carried(program_of(lambda u, m: np.linalg.solve(m, u), U[:4], np.eye(4)))
    (call,) = carried.places.calls
    assert call.equation.primitive.name == "solve"
    assert (call.operands, call.results) == ((3, 2), (4,))

"""Banded systems: every width, real and complex, stacks, and what of a band is not read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.scipy import linalg

B, V = some(4, 2), some(4)


def _band(n_rows: int, n: int, diagonal: int, dtype: Any = float) -> Any:
    band = (complex_some if dtype is complex else some)(n_rows, n)
    band[diagonal] += 8.0
    return band


@pytest.mark.parametrize(("lower", "upper", "n"), [(1, 1, 6), (2, 1, 6), (0, 2, 5), (3, 0, 5), (1, 1, 1), (2, 3, 2)])
def test_solve_banded(lower: int, upper: int, n: int) -> None:
    for dtype in (float,) if n == 1 else (float, complex):  # SciPy itself fails on one complex number
        band = _band(lower + upper + 1, n, upper, dtype)
        for b in (some(n), some(n, 2)):
            agrees(lambda ab, b: linalg.solve_banded((lower, upper), ab, b), band, b)
    agrees(lambda b: linalg.solve_banded((lower, upper), band, b, check_finite=False), some(n))


def test_the_corners_of_a_band_are_not_read() -> None:
    of_band = unspool.grad(lambda ab: np.sum(linalg.solve_banded((1, 1), ab, V)))(_band(3, 4, 1))
    assert of_band[0, 0] == of_band[2, -1] == 0
    assert np.count_nonzero(of_band) == 10


def test_a_band_is_the_matrix_it_stands_for() -> None:
    band = _band(4, 5, 2)

    def full(ab: Any) -> Any:
        return np.diag(ab[0, 2:], 2) + np.diag(ab[1, 1:], 1) + np.diag(ab[2]) + np.diag(ab[3, :-1], -1)

    found = unspool.grad(lambda ab: np.sum(linalg.solve_banded((1, 2), ab, some(5)) ** 3))(band)
    expected = unspool.grad(lambda ab: np.sum(np.linalg.solve(full(ab), some(5)) ** 3))(band)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_stacks_of_banded_systems() -> None:
    bands = np.stack([_band(3, 4, 1), 2 * _band(3, 4, 1)])
    for b in (V, B, some(2, 4, 3)):
        agrees(lambda ab, b: linalg.solve_banded((1, 1), ab, b), bands, b)


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_solveh_banded(n_rows: int, lower: bool) -> None:
    for dtype in (float, complex):
        band = _band(n_rows, 5, 0 if lower else -1, dtype)
        for b in (some(5), some(5, 2)):
            agrees(lambda ab, b: linalg.solveh_banded(ab, b, lower=lower), band, b)


def test_second_derivatives_through_a_loop_of_implicit_steps() -> None:
    n = 6

    def final(k: Any) -> Any:
        band = np.stack([-k * np.ones(n), 1 + 2 * k * np.ones(n), -k * np.ones(n)])
        u = unspool.fori_loop(0, 20, lambda i, u: linalg.solve_banded((1, 1), band, u), some(n), policy="revolve-3")
        return np.sum(u**2)

    h = 1e-5
    gradient = unspool.grad(final)
    np.testing.assert_allclose(gradient(0.3), (final(0.3 + h) - final(0.3 - h)) / (2 * h), rtol=1e-8)
    second = unspool.hessian(final)(0.3)
    np.testing.assert_allclose(second, (gradient(0.3 + h) - gradient(0.3 - h)) / (2 * h), rtol=1e-7)

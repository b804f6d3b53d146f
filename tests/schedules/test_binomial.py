from functools import lru_cache
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.schedules import Binomial, revolve_advances
from unspool.schedules.binomial import beta, repetitions, stride


@lru_cache(None)
def optimum(n_steps: int, slots: int) -> int:
    """Return t(n, c) by its recursion: the law that the closed form and the strides must meet."""
    if n_steps <= 1:
        return 0
    if slots == 1:
        return n_steps * (n_steps - 1) // 2
    return min(i + optimum(i, slots) + optimum(n_steps - i, slots - 1) for i in range(1, n_steps))


@pytest.mark.parametrize("slots", range(1, 9))
def test_closed_form_is_the_optimum(slots: int) -> None:
    for n_steps in range(1, 81):
        assert revolve_advances(n_steps, slots) == optimum(n_steps, slots)


@pytest.mark.parametrize("slots", range(1, 9))
def test_every_stride_is_optimal_and_leaves_its_parts_in_place(slots: int) -> None:
    for n_steps in range(2, 81):
        for r in (repetitions(n_steps, slots), repetitions(n_steps + 1, slots)):  # two fit on an edge
            i, once = stride(n_steps, slots, r, beta(slots, r))
            assert once == beta(slots, r - 1)
            assert beta(slots, r - 2) <= i <= beta(slots, r - 1)
            assert beta(slots - 1, r - 1) <= n_steps - i <= beta(slots - 1, r)
            rest = optimum(n_steps - i, slots - 1) if slots > 1 else 0
            assert i + optimum(i, slots) + rest == optimum(n_steps, slots)


@given(st.integers(0, 10**12), st.integers(1, 10**6))
def test_repetitions_are_the_least(n_steps: int, slots: int) -> None:
    r = repetitions(n_steps, slots)
    assert beta(slots, r) >= n_steps
    assert r == 0 or beta(slots, r - 1) < n_steps


def test_numbers_beyond_64_bits() -> None:
    n_steps = 10**30
    r = repetitions(n_steps, 20)
    assert revolve_advances(n_steps, 20) == r * n_steps - comb(20 + r, r - 1)
    first = next(Binomial(0, n_steps, 20).actions())
    assert 0 < first.stop < n_steps  # type: ignore[union-attr]


def test_a_range_deeper_than_the_recursion_limit() -> None:
    assert sum(1 for _ in Binomial(0, 5000, 5000).actions()) > 5000

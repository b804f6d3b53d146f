"""What it costs to plan a million steps: the choice by formula, and all actions as rows of integers."""

import numpy as np
import pytest

from unspool.planner import StepPrices, choose
from unspool.schedules import Revolve, batches

N = 10**6


def test_choice(benchmark):
    prices = StepPrices(8 * 10**6, 24 * 10**6, 0.006, 0.006, 0.012, 0.0016, 0.0016)
    plan = benchmark(choose, N, prices, 2 * 10**9)
    assert plan.cost.peak_bytes <= 2 * 10**9


@pytest.mark.parametrize("slots", [2, 3, 20, 1000, N])
def test_rows(benchmark, slots):
    def rows():
        return sum(int(np.count_nonzero(batch[:, 0] == 2)) for batch in batches(Revolve(slots), N))

    rows()  # compiles what unfolds
    assert benchmark(rows) == N

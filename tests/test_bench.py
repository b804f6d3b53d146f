"""The study of the terminal: a wave with a right gradient, the same under every policy, measured as predicted."""

from __future__ import annotations

import numpy as np
import pytest

from tests.oracles import taylor_order
from unspool.bench import study, wave
from unspool.errors import BudgetError
from unspool.schedules import StoreAll
from unspool.transforms import grad


def test_its_gradient_explains_the_loss() -> None:
    loss, velocity = wave(20, 12, policy=StoreAll())
    assert taylor_order(loss, np.asarray(grad(loss)(velocity)), velocity) > 1.9


@pytest.mark.parametrize("compiled", [False, True])
def test_policies_are_compared_by_bits_steps_and_bytes(compiled: bool) -> None:
    found = study(n_steps=30, size=10, rounds=2, compiled=compiled)
    assert found.bitwise_equal
    assert [r.compiled for r in found.log] == [compiled] * len(found.log)
    assert len(found.seconds) == len(found.names) == len(found.log)
    assert found.names[:2] == ["none", "every-5"]
    assert found.log[0].steps == 30
    assert all(r.steps == r.predicted_steps and r.peak_bytes <= r.predicted_peak_bytes for r in found.log)
    assert found.log[-1].peak_bytes <= found.plan.budget_bytes < found.log[0].peak_bytes


def test_the_memory_for_auto_is_kept_or_refused() -> None:
    assert study(n_steps=30, size=10, rounds=1, memory=20_000).plan.budget_bytes == 20_000
    with pytest.raises(BudgetError, match="least that works"):
        study(n_steps=30, size=10, rounds=1, memory=100)

"""Law 10: what is measured is at most what is predicted, under every schedule."""

import numpy as np
import pytest

import unspool
from unspool.schedules import Every, Mixed, Online, Revolve, Schedule, StoreAll


@pytest.mark.parametrize(
    "schedule", [StoreAll(), Every(7), Revolve(4), Revolve(3, leaf=5), Online(4), Mixed(4)], ids=repr
)
def test_measured_bytes_are_at_most_the_predicted(schedule: Schedule) -> None:
    def loss(u: np.ndarray) -> np.ndarray:
        return np.sum(unspool.fori_loop(0, 60, lambda i, u: u + 0.01 * np.sin(u), u, policy=schedule))

    with unspool.observe() as log:
        unspool.grad(loss)(np.zeros(500))
    assert 0 < log[0].peak_bytes <= log[0].predicted_peak_bytes


@pytest.mark.parametrize("schedule", [StoreAll(), Every(7), Online(4), Online(3, leaf=5)], ids=repr)
def test_a_loop_of_unknown_length_holds_no_more_than_predicted(schedule: Schedule) -> None:
    def loss(u: np.ndarray) -> np.ndarray:
        return np.sum(
            unspool.while_loop(
                lambda s: s[0] < 300, lambda s: (s[0] + 1, s[1] + 0.01 * np.sin(s[1])), (0, u), policy=schedule
            )[1]
        )

    with unspool.observe() as log:
        unspool.grad(loss)(np.zeros(500))
    assert 0 < log[0].peak_bytes <= log[0].predicted_peak_bytes
    assert log[0].steps == log[0].predicted_steps

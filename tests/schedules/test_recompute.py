import pytest

from tests.schedules.contract import ScheduleContract
from unspool.schedules import Schedule, simulate
from unspool.schedules.recompute import Recompute


class TestRecompute(ScheduleContract):
    def make(self, slots: int) -> Schedule:
        return Recompute()

    def most(self, slots: int, n_steps: int) -> tuple[int, ...]:
        return (1, 0)


@pytest.mark.parametrize("n_steps", [0, 1, 100])
def test_everything_is_computed_twice(n_steps: int) -> None:
    cost = simulate(Recompute(), n_steps, state_bytes=10, residual_bytes=3)
    assert (cost.steps, cost.peak_taped) == (2 * n_steps, n_steps)
    assert cost.peak_bytes == (max(10, 3 * n_steps) if n_steps else 0)

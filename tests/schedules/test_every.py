import pytest

from tests.schedules.contract import ScheduleContract
from unspool.errors import PolicyError
from unspool.schedules import Every, Schedule, simulate


class TestEvery(ScheduleContract):
    def make(self, slots: int) -> Schedule:
        return Every(slots)

    def most(self, slots: int, n_steps: int) -> tuple[int, ...]:
        return (max(0, -(-n_steps // slots) - 1), 0)  # the last period needs none


@pytest.mark.parametrize("n_steps", [1, 2, 9, 10, 11, 99, 100, 101])
@pytest.mark.parametrize("period", [1, 2, 7, 10, 200])
def test_all_but_the_last_period_is_computed_twice(n_steps: int, period: int) -> None:
    last = n_steps % period or period
    cost = simulate(Every(period), n_steps)
    assert cost.steps == 2 * n_steps - last
    assert cost.peak_taped == min(period, n_steps)


@pytest.mark.parametrize("period", [0, -1, 1.0, True, "3", None])
def test_refuses_what_is_no_period(period: int) -> None:
    with pytest.raises(PolicyError, match=r"period is .*; give an int of 1 or more"):
        Every(period)

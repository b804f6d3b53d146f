import pytest

from tests.schedules.contract import ScheduleContract
from unspool.errors import PolicyError
from unspool.schedules import Drop, Schedule, Tier, TwoLevel, revolve_advances, simulate


class TestTwoLevel(ScheduleContract):
    def make(self, slots: int) -> Schedule:
        return TwoLevel(7, slots)

    def most(self, slots: int, n_steps: int) -> tuple[int, ...]:
        return (slots, -(-n_steps // 7))


class TestTwoLevelInLeaves(ScheduleContract):
    def make(self, slots: int) -> Schedule:
        return TwoLevel(25, slots, leaf=4)

    def most(self, slots: int, n_steps: int) -> tuple[int, ...]:
        return (slots, -(-n_steps // 25))


class TestTwoLevelInLeavesLongerThanThePeriod(ScheduleContract):
    def make(self, slots: int) -> Schedule:
        return TwoLevel(5, slots, leaf=12)

    def most(self, slots: int, n_steps: int) -> tuple[int, ...]:
        return (0, -(-n_steps // 5))


@pytest.mark.parametrize("n_steps", [1, 9, 10, 11, 50, 99, 101, 500])
@pytest.mark.parametrize("period", [1, 3, 10, 25])
@pytest.mark.parametrize("slots", [1, 2, 5])
def test_formula(n_steps: int, period: int, slots: int) -> None:
    whole, rest = divmod(n_steps - 1, period)  # the last step is recorded in the sweep, `rest` go before it
    periods = [period] * whole + [rest]
    way_back = sum(length + revolve_advances(length, slots + 1) for length in periods)
    assert simulate(TwoLevel(period, slots), n_steps).steps == n_steps + way_back


def test_disk_snapshots_outlive_their_period() -> None:
    actions = list(TwoLevel(10, 3).actions(35))
    drops = [action for action in actions if isinstance(action, Drop) and action.tier == Tier.DISK]
    assert [action.step for action in drops] == [30, 20, 10, 0]
    assert actions[-1] == drops[-1]


@pytest.mark.parametrize("number", [0, -1, 1.0, True, "3", None])
def test_refuses_what_is_no_number(number: int) -> None:
    for arguments in ((number, 1), (1, number), (1, 1, number)):
        with pytest.raises(PolicyError, match="give an int of 1 or more"):
            TwoLevel(*arguments)

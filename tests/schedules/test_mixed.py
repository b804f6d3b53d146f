from functools import lru_cache

import pytest
from checkpoint_schedules import MixedCheckpointSchedule

from tests.schedules.contract import ScheduleContract, check
from tests.schedules.others import count
from unspool.errors import PolicyError
from unspool.schedules import Mixed, Revolve, Schedule, simulate

TABLE = [
    (50, 3, 209),
    (50, 5, 138),
    (50, 10, 94),
    (50, 20, 81),
    (250, 5, 1164),
    (250, 10, 717),
    (250, 20, 519),
    (250, 50, 454),
    (1000, 5, 6828),
    (1000, 10, 3921),
    (1000, 20, 2823),
    (1000, 40, 2142),
    (1000, 100, 1909),
]


class TestMixed(ScheduleContract):
    largest = 300

    def make(self, slots: int) -> Schedule:
        return Mixed(min(slots, 40))

    def check(self, slots: int, n_steps: int) -> None:
        cost = simulate(self.make(slots), n_steps, state_bytes=1, residual_bytes=1)
        assert cost.steps == self.make(slots).steps(n_steps)
        assert cost.peak_bytes <= slots + 1  # the tape of the step that is reversed next


@lru_cache(None)
def optimum(n: int, s: int, state: int, residual: int) -> float:
    """Return M(n, s) by its recursion."""
    if n <= 1:
        return n
    ways = [1 + optimum(n - 1, s - residual, state, residual)] if s >= residual else []
    if s >= state:
        ways += [i + optimum(i, s, state, residual) + optimum(n - i, s - state, state, residual) for i in range(1, n)]
    return min(ways, default=float("inf"))


@pytest.mark.parametrize(("n_steps", "slots", "steps"), TABLE)
def test_table(n_steps: int, slots: int, steps: int) -> None:
    assert Mixed(slots).steps(n_steps) == steps
    assert simulate(Mixed(slots), n_steps).steps == steps


@pytest.mark.parametrize("slots", [1, 2, 5, 30])
def test_closed_forms(slots: int) -> None:
    for n_steps in range(1, slots + 2):
        assert Mixed(slots).steps(n_steps) == n_steps
    assert Mixed(1).steps(slots + 1) == (slots + 1) * (slots + 2) // 2 - 1


@pytest.mark.parametrize(("n_steps", "slots"), [(2, 1), (10, 3), (40, 4), (60, 11)])
def test_as_cheap_as_others(n_steps: int, slots: int) -> None:
    assert Mixed(slots).steps(n_steps) == count(MixedCheckpointSchedule(n_steps, slots))[0]


@pytest.mark.parametrize(("state", "residual"), [(1, 1), (1, 2), (2, 1), (3, 2), (1, 5), (4, 1)])
@pytest.mark.parametrize("slots", [4, 5, 9])
def test_real_sizes_are_kept_to(slots: int, state: int, residual: int) -> None:
    schedule = Mixed(slots, state_size=state, residual_size=residual)
    for n_steps in range(40):
        cost = simulate(schedule, n_steps, state_bytes=state, residual_bytes=residual)
        assert cost.steps == schedule.steps(n_steps) == optimum(n_steps, slots, state, residual)
        assert cost.peak_bytes <= slots + residual
        assert cost.steps <= Revolve(slots // state).steps(n_steps)


def test_residuals_too_large_to_be_kept_leave_revolve() -> None:
    assert Mixed(5, residual_size=100).steps(200) == Revolve(5).steps(200)
    assert check(Mixed(5, residual_size=100), 60).peak_taped == 1


@pytest.mark.parametrize("number", [0, -1, 1.0, True])
def test_refuses_what_is_no_number(number: int) -> None:
    for arguments in ((number,), (3, number), (3, 1, number)):
        with pytest.raises(PolicyError, match="give an int of 1 or more"):
            Mixed(*arguments)


def test_refuses_a_state_that_does_not_fit() -> None:
    with pytest.raises(PolicyError, match="slots is 3, and a state takes 4"):
        Mixed(3, state_size=4)

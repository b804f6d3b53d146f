import pytest

from tests.schedules.contract import ScheduleContract
from unspool.errors import PolicyError
from unspool.schedules import Revolve, Schedule, revolve_advances, simulate

SLOTS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50)
ADVANCES = {  # t(n, c) of the closed form, and of the published programs
    10: (45, 20, 15, 14, 13, 12, 10),
    14: (91, 36, 27, 22, 21, 20, 18, 16),
    50: (1225, 285, 180, 144, 122, 114, 95, 88, 83, 78, 68),
    100: (4950, 845, 490, 374, 316, 280, 245, 222, 183, 178, 168, 148),
    250: (31125, 3479, 1785, 1288, 1040, 920, 780, 672, 597, 497, 468, 448),
    1000: (499500, 28820, 12155, 7998, 6284, 5284, 4285, 3636, 3031, 2747, 2472, 1948),
}
CASES = [(n, c, t) for n, row in ADVANCES.items() for c, t in zip(SLOTS, row, strict=False)]


class TestRevolve(ScheduleContract):
    def make(self, slots: int) -> Schedule:
        return Revolve(slots)


class TestRevolveInLeaves(ScheduleContract):
    def make(self, slots: int) -> Schedule:
        return Revolve(slots, leaf=3)


@pytest.mark.parametrize(("n_steps", "slots", "advances"), CASES)
def test_table(n_steps: int, slots: int, advances: int) -> None:
    assert revolve_advances(n_steps, slots) == advances
    assert simulate(Revolve(slots), n_steps).advances == advances


@pytest.mark.parametrize(("n_steps", "slots", "advances"), [(50, 7, 105), (225, 15, 522), (14, 3, 27)])
def test_published(n_steps: int, slots: int, advances: int) -> None:
    cost = simulate(Revolve(slots), n_steps)
    assert cost.advances == advances
    assert cost.steps == n_steps + advances


def test_published_saves() -> None:
    assert simulate(Revolve(7), 50).saves == 28


@pytest.mark.parametrize("n_steps", [2, 3, 10, 50])
@pytest.mark.parametrize("spare", [-1, 0, 5, 10**6])
def test_with_a_slot_for_each_state_each_is_saved_once(n_steps: int, spare: int) -> None:
    cost = simulate(Revolve(max(1, n_steps + spare)), n_steps)
    assert cost.saves == cost.advances == cost.peak_slots[0] == n_steps - 1


@pytest.mark.parametrize("leaf", [2, 3, 10, 77])
@pytest.mark.parametrize("slots", [1, 2, 5, 23, 100])
@pytest.mark.parametrize("n_steps", [1, 76, 77, 78, 1000])
def test_leaves_cost_no_more_than_whole_ones(n_steps: int, slots: int, leaf: int) -> None:
    cost = simulate(Revolve(slots, leaf), n_steps)
    assert cost.steps <= n_steps + leaf * revolve_advances(-(-n_steps // leaf), slots)
    assert cost.peak_taped == min(leaf, n_steps)


@pytest.mark.parametrize(
    ("n_steps", "slots", "leaf", "factor"),
    [(10_000, 496, 1, 2.95), (10_000, 100, 100, 1.99), (10_000, 199, 1, 2.98), (1000, 99, 1, 2.90)],
)
def test_recomputation_factors(n_steps: int, slots: int, leaf: int, factor: float) -> None:
    assert Revolve(slots, leaf).steps(n_steps) / n_steps == pytest.approx(factor, abs=0.006)


def test_leaves_are_the_largest_gain() -> None:
    assert Revolve(23, leaf=77).steps(1000) / 1000 == pytest.approx(1.92, abs=0.006)
    assert Revolve(100, leaf=100).steps(10_000) / 10_000 == pytest.approx(1.99, abs=0.006)


@pytest.mark.parametrize("number", [0, -1, 1.0, True, "3", None])
def test_refuses_what_is_no_number(number: int) -> None:
    with pytest.raises(PolicyError, match="slots is"):
        Revolve(number)
    with pytest.raises(PolicyError, match="leaf is"):
        Revolve(3, number)

import checkpoint_schedules
import pytest

from tests.schedules.contract import ScheduleContract
from tests.schedules.others import count
from unspool.errors import PolicyError
from unspool.schedules import HRevolve, Prices, Revolve, Schedule, simulate


def disk(price: float) -> Prices:
    """Return prices of a disk whose writes and reads cost the same, in evaluations."""
    return Prices(write=(0, price), read=(0, price))


class TestHRevolve(ScheduleContract):
    sizes = range(1, 6)
    largest = 500

    def make(self, slots: int) -> Schedule:
        slots = min(slots, 50)
        return HRevolve((slots - slots // 2, slots // 2), disk(3))

    def most(self, slots: int, n_steps: int) -> tuple[int, ...]:
        return (slots - slots // 2, slots // 2)


class TestThreeLevels(ScheduleContract):
    sizes = range(1, 6)
    largest = 300

    def make(self, slots: int) -> Schedule:
        return HRevolve((min(slots, 30), 2, 3), Prices(1, 2, (0.5, 1, 4), (0.25, 2, 4)))

    def most(self, slots: int, n_steps: int) -> tuple[int, ...]:
        return (slots, 2, 3)

    def check(self, slots: int, n_steps: int) -> None:
        cost = simulate(self.make(slots), n_steps)
        assert all(used <= most for used, most in zip(cost.peak_slots, self.most(slots, n_steps), strict=False))
        assert cost.steps == self.make(slots).steps(n_steps)


@pytest.mark.parametrize(
    ("slots", "price", "expected"),
    [
        ((2, 4), 1, (28, 62, 184, 424)),
        ((2, 4), 5, (30, 80, 230, 505)),
        ((5, 5), 2, (23, 53, 158, 357)),
    ],
)
def test_table(slots: tuple[int, int], price: int, expected: tuple[int, ...]) -> None:
    schedule = HRevolve(slots, disk(price))
    for n_steps, total in zip((10, 20, 50, 100), expected, strict=True):
        assert schedule.price(n_steps) == total
        assert disk(price).of(simulate(schedule, n_steps)) == total


@pytest.mark.parametrize("slots", [(1, 1), (2, 4), (5, 5), (1, 2, 3)])
def test_memory_free_of_charge_is_revolve(slots: tuple[int, ...]) -> None:
    free = (0,) * len(slots)
    for n_steps in (0, 1, 2, 10, 50, 100):
        schedule = HRevolve(slots, Prices(write=free, read=free))
        assert schedule.price(n_steps) == Revolve(sum(slots)).steps(n_steps)


@pytest.mark.parametrize("n_steps", [2, 5, 33, 60])
@pytest.mark.parametrize(("ram", "on_disk", "price"), [(2, 4, 1), (2, 4, 5), (3, 2, 2), (1, 1, 3)])
def test_as_cheap_as_others(n_steps: int, ram: int, on_disk: int, price: int) -> None:
    other = checkpoint_schedules.HRevolve(n_steps, ram, on_disk, uf=1, ub=1, wd=price, rd=price)
    steps, writes, reads = count(other)
    assert HRevolve((ram, on_disk), disk(price)).price(n_steps) == steps + price * (writes + reads)


@pytest.mark.parametrize(
    "prices",
    [
        Prices(2, 5, (0, 3), (0, 7)),
        Prices(0.5, 0.25, (1, 8), (2, 0)),
        Prices(1, 3, (4, 4), (0.5, 0.5)),
    ],
)
def test_the_price_is_what_the_run_costs(prices: Prices) -> None:
    schedule = HRevolve((2, 3), prices)
    for n_steps in range(70):
        assert schedule.price(n_steps) == prices.of(simulate(schedule, n_steps))


def test_evaluations_and_reversals_are_priced_apart() -> None:
    dear_reversal, dear_step = Prices(1, 100, (0, 3), (0, 3)), Prices(100, 1, (0, 3), (0, 3))
    cheap = simulate(HRevolve((2, 4), dear_reversal), 100)
    few = simulate(HRevolve((2, 4), dear_step), 100)
    assert few.steps == Revolve(6).steps(100) < cheap.steps
    assert HRevolve((2, 4), dear_reversal).price(100) == 99 * 100 + HRevolve((2, 4), disk(3)).price(100)


def test_three_levels_are_no_worse_than_two() -> None:
    two = HRevolve((2, 4), disk(5))
    three = HRevolve((2, 4, 10), Prices(write=(0, 5, 20), read=(0, 5, 20)))
    for n_steps in (10, 100, 300):
        assert three.price(n_steps) <= two.price(n_steps)
    assert simulate(three, 300).peak_slots[2] > 0


@pytest.mark.parametrize(
    ("slots", "prices", "says"),
    [
        ((), Prices(), "empty"),
        ((0, 3), disk(1), "slots is 0"),
        ((3, -1), disk(1), "slots is -1"),
        ((3, 1.5), disk(1), "slots is 1.5"),
        ((3,), disk(1), "1 levels"),
        ((3, 3), Prices(write=(0, 1), read=(0,)), "2 levels"),
    ],
)
def test_refuses_what_makes_no_sense(slots: tuple[int, ...], prices: Prices, says: str) -> None:
    with pytest.raises(PolicyError, match=says):
        HRevolve(slots, prices)

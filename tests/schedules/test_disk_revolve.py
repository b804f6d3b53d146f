import checkpoint_schedules
import pytest

from tests.schedules.contract import ScheduleContract
from tests.schedules.others import count
from unspool.errors import PolicyError
from unspool.schedules import DiskRevolve, Prices, Revolve, Schedule, Tier, simulate

PRICES = Prices(write=(0, 2), read=(0, 2))


class TestDiskRevolve(ScheduleContract):
    largest = 5000

    def make(self, slots: int) -> Schedule:
        return DiskRevolve(slots, PRICES)

    def most(self, slots: int, n_steps: int) -> tuple[int, ...]:
        return (slots, n_steps)


@pytest.mark.parametrize(
    ("ram", "n_steps", "price"),
    [(2, 10, 30), (2, 50, 190), (2, 100, 390), (5, 10, 23), (5, 50, 158), (5, 100, 333)],
)
def test_table(ram: int, n_steps: int, price: int) -> None:
    schedule = DiskRevolve(ram, PRICES)
    assert schedule.price(n_steps) == price
    assert PRICES.of(simulate(schedule, n_steps)) == price


@pytest.mark.parametrize("n_steps", [1, 2, 7, 33, 80])
@pytest.mark.parametrize("ram", [1, 2, 4])
def test_as_cheap_as_others(n_steps: int, ram: int) -> None:
    steps, writes, reads = count(checkpoint_schedules.DiskRevolve(n_steps, ram, uf=1, ub=1, wd=2, rd=2))
    assert DiskRevolve(ram, PRICES).price(n_steps) == steps + 2 * (writes + reads)


@pytest.mark.parametrize("prices", [Prices(2.5, 7, (0, 3), (0, 1)), Prices(1, 1, (0, 50), (0, 50))])
def test_the_price_is_what_the_run_costs(prices: Prices) -> None:
    for n_steps in range(80):
        schedule = DiskRevolve(3, prices)
        cost = simulate(schedule, n_steps)
        assert prices.of(cost) == schedule.price(n_steps)
        assert cost.tier_saves[Tier.DISK] == cost.tier_loads[Tier.DISK]
        assert schedule.price(n_steps) <= prices.of(simulate(Revolve(3), n_steps))


def test_a_disk_that_costs_too_much_is_not_used() -> None:
    cost = simulate(DiskRevolve(3, Prices(write=(0, 10**6), read=(0, 0))), 200)
    assert cost.tier_saves[Tier.DISK] == 0
    assert cost.steps == Revolve(3).steps(200)


@pytest.mark.parametrize("prices", [Prices(), Prices(write=(0, 1, 2), read=(0, 1, 2)), Prices(1, 1, (1, 2), (0, 2))])
def test_refuses_prices_for_other_levels(prices: Prices) -> None:
    with pytest.raises(PolicyError, match="HRevolve"):
        DiskRevolve(3, prices)


@pytest.mark.parametrize("number", [0, -1, 1.0, True])
def test_refuses_what_is_no_number(number: int) -> None:
    with pytest.raises(PolicyError, match="ram is"):
        DiskRevolve(number, PRICES)

from collections import Counter

import pytest
from checkpoint_schedules import MultistageCheckpointSchedule

from tests.schedules.contract import ScheduleContract
from tests.schedules.others import count
from unspool.errors import PolicyError
from unspool.schedules import Binomial, Load, Multistage, Revolve, Save, Schedule, Tier, simulate
from unspool.schedules.multistage import spread, traffic


class TestMultistage(ScheduleContract):
    def make(self, slots: int) -> Schedule:
        return Multistage(slots // 2, slots - slots // 2)

    def most(self, slots: int, n_steps: int) -> tuple[int, ...]:
        return (slots // 2, slots - slots // 2)


class TestMultistageInLeaves(TestMultistage):
    def make(self, slots: int) -> Schedule:
        return Multistage(slots // 2, slots - slots // 2, leaf=5)


@pytest.mark.parametrize("slots", range(1, 9))
def test_traffic_is_counted_right(slots: int) -> None:
    for n_steps in range(2, 80):
        counted = Counter({0: 1})
        for action in Binomial(0, n_steps, slots, tiers=tuple(range(slots))).actions():
            if isinstance(action, Save | Load):
                counted[action.tier] += 1
        assert traffic(n_steps, slots) == [counted[depth] for depth in range(len(counted))]


def test_traffic_of_a_million_steps() -> None:
    cost = traffic(10**6, 20)
    assert len(cost) == 20
    assert cost == sorted(cost)


def test_the_busiest_are_in_ram() -> None:
    assert spread([3, 9, 5, 9], ram=2) == (Tier.DISK, Tier.RAM, Tier.DISK, Tier.RAM)
    assert spread([5, 5, 5], ram=1) == (Tier.DISK, Tier.DISK, Tier.RAM)
    assert spread([1], ram=4) == (Tier.RAM,)


@pytest.mark.parametrize("n_steps", [2, 5, 10, 20, 50, 100])
@pytest.mark.parametrize(("ram", "disk"), [(2, 4), (1, 5), (5, 1), (3, 3)])
def test_no_more_evaluations_or_traffic_than_others(n_steps: int, ram: int, disk: int) -> None:
    cost = simulate(Multistage(ram, disk), n_steps)
    steps, writes, reads = count(MultistageCheckpointSchedule(n_steps, ram, disk))
    assert cost.steps == steps == Revolve(ram + disk).steps(n_steps)
    assert cost.tier_saves[Tier.DISK] + cost.tier_loads[Tier.DISK] <= writes + reads


@pytest.mark.parametrize("n_steps", [1, 2, 50])
def test_one_tier_may_be_empty(n_steps: int) -> None:
    assert simulate(Multistage(0, 3), n_steps).peak_slots[Tier.RAM] == 0
    assert simulate(Multistage(3, 0), n_steps) == simulate(Revolve(3), n_steps)


@pytest.mark.parametrize("number", [-1, 1.0, True, "3", None])
def test_refuses_what_is_no_number(number: int) -> None:
    for arguments in ((number, 1), (1, number), (1, 1, number)):
        with pytest.raises(PolicyError, match="give an int of"):
            Multistage(*arguments)


def test_refuses_no_slots_at_all() -> None:
    with pytest.raises(PolicyError, match="both 0"):
        Multistage(0, 0)

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.schedules.contract import check
from unspool.errors import PolicyError
from unspool.schedules import Advance, Drop, Record, Revolve, Save, Uneven


def optimum(slots: int, cost: list[int], size: list[int]) -> float:
    """Return the least total of the evaluations, by trying every split."""

    @lru_cache(None)
    def way(start: int, stop: int, free: int) -> float:
        if stop - start == 1:
            return 0
        ways = []
        for middle in range(start + 1, stop):
            right = 0.0
            if stop - middle > 1:
                right = way(middle, stop, free - size[middle]) if size[middle] <= free else float("inf")
            ways.append(sum(cost[start:middle]) + right + way(start, middle, free))
        return min(ways)

    return sum(cost) + (way(0, len(cost), slots - size[0]) if cost else 0)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n_steps=st.integers(0, 14), slots=st.integers(1, 8))
def test_is_the_optimum_within_the_slots(data: st.DataObject, n_steps: int, slots: int) -> None:
    cost = data.draw(st.lists(st.integers(0, 9), min_size=n_steps, max_size=n_steps))
    size = data.draw(st.lists(st.integers(0, 9), min_size=n_steps, max_size=n_steps))
    size[:1] = [min(first, slots) for first in size[:1]]
    schedule = Uneven(slots, cost, size)
    check(schedule, n_steps)
    price = held = most = 0
    for action in schedule.actions(n_steps):
        match action:
            case Advance(start, stop) | Record(start, stop):
                price += sum(cost[start:stop])
            case Save(step, _):
                held += size[step]
                most = max(most, held)
            case Drop(step, _):
                held -= size[step]
    assert price == schedule.price(n_steps) == optimum(slots, cost, size)
    assert most <= slots


@pytest.mark.parametrize("slots", [1, 2, 3, 7])
def test_equal_costs_are_revolve(slots: int) -> None:
    for n_steps in range(40):
        schedule = Uneven(slots, [1] * n_steps)
        assert schedule.price(n_steps) == Revolve(slots).steps(n_steps) == check(schedule, n_steps).steps


def test_arrays_will_do() -> None:
    schedule = Uneven(3, np.arange(10.0), np.ones(10, int).tolist())
    assert schedule.price(10) == Uneven(3, list(range(10))).price(10)
    assert hash(schedule) == hash(Uneven(3, [float(k) for k in range(10)]))


def test_a_shorter_run_is_planned_as_such() -> None:
    assert list(Uneven(2, [3, 1, 4, 1, 5]).actions(3)) == list(Uneven(2, [3, 1, 4]).actions(3))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((0, [1]), "slots is 0"),
        ((2, [1, -1]), "a cost is -1"),
        ((2, [1, float("inf")]), "a cost is inf"),
        ((2, [1, 1], [1, -1]), "size is -1"),
        ((2, [1, 1], [1, 1.5]), "size is 1.5"),
        ((2, [1, 1], [1]), "2 costs and 1 sizes"),
        ((2, [1, 1], [3, 1]), "the first state takes 3"),
    ],
)
def test_refuses_what_makes_no_sense(arguments: tuple[object, ...], says: str) -> None:
    with pytest.raises(PolicyError, match=says):
        Uneven(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("n_steps", [6, -1, True])
def test_refuses_other_lengths(n_steps: int) -> None:
    with pytest.raises(PolicyError, match="n_steps is"):
        Uneven(2, [1] * 5).actions(n_steps)

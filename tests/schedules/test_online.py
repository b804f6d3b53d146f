from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.schedules.contract import ScheduleContract
from unspool.errors import PolicyError
from unspool.schedules import Advance, Online, Revolve, Schedule, revolve_advances, simulate
from unspool.schedules.binomial import beta
from unspool.schedules.online import placements


class TestOnline(ScheduleContract):
    examples = 2
    largest = 20_000

    def make(self, slots: int) -> Schedule:
        return Online(min(slots, 60))


class TestOnlineInLeaves(ScheduleContract):
    examples = 2
    largest = 50_000

    def make(self, slots: int) -> Schedule:
        return Online(min(slots, 60), leaf=4)


TABLE = [  # what Walther's and Stumm's own program needs
    (3, 50, 230),
    (3, 100, 607),
    (3, 1000, 13246),
    (5, 100, 428),
    (5, 1000, 7409),
    (10, 500, 2144),
    (10, 1000, 4636),
    (10, 5000, 30637),
    (20, 500, 1748),
    (20, 2000, 9458),
    (20, 5000, 23858),
]


@pytest.mark.parametrize(("slots", "n_steps", "steps"), TABLE)
def test_no_further_from_the_optimum_than_published(slots: int, n_steps: int, steps: int) -> None:
    cost = simulate(Online(slots), n_steps)
    assert Revolve(slots).steps(n_steps) <= cost.steps <= steps


@pytest.mark.parametrize("slots", [1, 2, 3, 4, 5, 6, 7, 9, 12])
def test_optimal_as_far_as_algorithm_one(slots: int) -> None:
    for n_steps in range(beta(slots, 2) + 1):
        assert simulate(Online(slots), n_steps).steps == Revolve(slots).steps(n_steps)


def evaluations(slots: int) -> Iterator[int]:
    """Yield what 1, 2, 3 ... steps cost, without running each of them: from one sweep, by closed forms."""
    held, n_steps = [0], 1
    for place, dropped in placements(slots):
        while n_steps <= place + 1:  # a snapshot is of no use to the last step
            yield _evaluations(held, n_steps, slots)
            n_steps += 1
        if dropped is not None:
            held.remove(dropped)
        held.append(place)
    while True:
        yield _evaluations(held, n_steps, slots)
        n_steps += 1


def _evaluations(held: list[int], n_steps: int, slots: int) -> int:
    """Return the price: the last step is recorded in the sweep, the others are reversed range by range."""
    ranges = enumerate(pairwise([*held, n_steps - 1]))
    way_back = sum(stop - start + revolve_advances(stop - start, slots - used) for used, (start, stop) in ranges)
    return n_steps + way_back


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_the_price_of_one_sweep_is_the_price_of_each_run(slots: int) -> None:
    priced = evaluations(slots)
    for n_steps in range(1, 120):
        assert next(priced) == simulate(Online(slots), n_steps).steps


EXCESS = [(1, 0, 0), (2, 0.011, 0.097), (3, 0.011, 0.052), (5, 0.006, 0.023), (10, 0.0012, 0.006), (20, 2e-4, 0.002)]


@pytest.mark.parametrize(("slots", "average", "worst"), EXCESS)
def test_excess_over_a_known_length(slots: int, average: float, worst: float) -> None:
    online = zip(range(1, 2500), evaluations(slots), strict=False)
    excess = [steps / Revolve(slots).steps(n_steps) - 1 for n_steps, steps in online]
    assert min(excess) >= 0
    assert max(excess) <= worst
    assert sum(excess) / len(excess) <= average


@pytest.mark.parametrize("slots", [2, 3, 5, 10])
@pytest.mark.parametrize("r", [3, 4, 5])
def test_optimal_at_the_end_of_each_stage(slots: int, r: int) -> None:
    assert Online(slots).steps(beta(slots, r)) == Revolve(slots).steps(beta(slots, r))


@pytest.mark.parametrize("slots", [1, 2, 3, 8, 20])
def test_no_more_snapshots_than_slots(slots: int) -> None:
    held, latest = {0}, 0
    for _, (place, dropped) in zip(range(500), placements(slots), strict=False):
        assert place > latest
        if dropped is not None:
            held.remove(dropped)
        held.add(place)
        latest = place
        assert len(held) <= slots
        assert 0 in held


def test_leaves_lie_at_multiples() -> None:
    sweep = [action for action in Online(4, leaf=5).actions(500) if isinstance(action, Advance)]
    saved = [action.step for action in Online(4, leaf=5).actions(500) if hasattr(action, "step")]
    assert sweep
    assert simulate(Online(4, leaf=5), 500).peak_taped == 5
    assert all(step % 5 == 0 for step in saved[:40])


@pytest.mark.parametrize("n_steps", [100, 1000])
def test_leaves_pay(n_steps: int) -> None:
    assert Online(10, leaf=10).steps(n_steps) < Online(20).steps(n_steps)


@pytest.mark.parametrize("number", [0, -1, 1.0, True, "3", None])
def test_refuses_what_is_no_number(number: int) -> None:
    with pytest.raises(PolicyError, match="slots is"):
        Online(number)
    with pytest.raises(PolicyError, match="leaf is"):
        Online(3, number)

from collections.abc import Iterator

import pytest

from unspool.errors import PolicyError, ScheduleError
from unspool.schedules import (
    Action,
    Advance,
    Drop,
    Every,
    Load,
    Machine,
    Record,
    Reverse,
    Save,
    Schedule,
    Tier,
    simulate,
)

ILLEGAL: list[tuple[list[Action], Action, str]] = [
    ([], Advance(1, 2), "live state"),
    ([], Record(1, 2), "live state"),
    ([], Advance(0, 0), "later stop"),
    ([], Record(0, 0), "later stop"),
    ([], Advance(0, 5), "beyond the end"),
    ([Advance(0, 3)], Advance(3, 2), "later stop"),
    ([Save(0), Advance(0, 3), Record(3, 4), Reverse(3, 4), Load(0)], Advance(0, 4), "cotangent"),
    ([Record(0, 2)], Reverse(0, 2), "final state"),
    ([Save(0), Record(0, 4), Load(0)], Reverse(0, 4), "final state"),
    ([Record(0, 4)], Reverse(0, 2), "cotangent must be at stop"),
    ([Record(0, 4)], Reverse(4, 4), "later stop"),
    ([Advance(0, 4)], Reverse(3, 4), "top of the tape"),
    ([Advance(0, 3), Record(3, 4)], Reverse(2, 4), "top of the tape"),
    ([Save(0), Advance(0, 3), Record(3, 4), Load(0)], Record(0, 1), "earlier|later steps"),
    ([], Save(1), "live state"),
    ([Save(0)], Save(0), "saved there already"),
    ([], Save(0, -1), "numbered from 0"),
    ([], Load(0), "no such snapshot"),
    ([Save(0)], Load(0), "live already"),
    ([Save(0), Advance(0, 1)], Load(0, Tier.DISK), "no such snapshot"),
    ([Save(0), Advance(0, 1), Drop(0)], Load(0), "no such snapshot"),
    ([Save(0)], Drop(0, Tier.DISK), "no such snapshot"),
    ([Save(0), Drop(0)], Drop(0), "no such snapshot"),
]


@pytest.mark.parametrize(("legal", "illegal", "law"), ILLEGAL)
def test_refuses_what_breaks_a_law(legal: list[Action], illegal: Action, law: str) -> None:
    machine = Machine(4)
    for action in legal:
        machine.apply(action)
    with pytest.raises(ScheduleError, match=law) as caught:
        machine.apply(illegal)
    assert str(caught.value).startswith(f"{illegal}: ")
    assert "live state is at" in str(caught.value)


UNFINISHED: list[tuple[list[Action], str]] = [
    ([], "arrive at step 0"),
    ([Record(0, 4), Reverse(1, 4)], "arrive at step 0"),
    ([Save(0), Record(0, 4), Reverse(0, 4)], "no snapshot"),
    ([Save(0), Record(0, 4), Reverse(0, 4), Load(0), Drop(0)], ""),
]


@pytest.mark.parametrize(("actions", "law"), UNFINISHED)
def test_says_what_is_left_at_the_end(actions: list[Action], law: str) -> None:
    machine = Machine(4)
    for action in actions:
        machine.apply(action)
    if law:
        with pytest.raises(ScheduleError, match=law):
            machine.finish()
    else:
        assert machine.finish().records == 4


def test_no_step_costs_nothing() -> None:
    cost = Machine(0).finish()
    assert (cost.steps, cost.saves, cost.loads, cost.peak_bytes, cost.recomputation_factor) == (0, 0, 0, 0, 1.0)


@pytest.mark.parametrize("n_steps", [-1, 1.5, True])
def test_refuses_what_is_no_length(n_steps: int) -> None:
    with pytest.raises(PolicyError, match="number of steps"):
        Machine(n_steps)


class Slanted(Schedule):
    """Most residuals are held while few snapshots are, and the other way round."""

    def actions(self, n_steps: int) -> Iterator[Action]:
        yield Record(0, 3)
        for k in range(3, n_steps - 1):
            yield Save(k)
            yield Advance(k, k + 1)
        yield Record(n_steps - 1, n_steps)
        yield Reverse(n_steps - 1, n_steps)
        for k in reversed(range(3, n_steps - 1)):
            yield Load(k)
            yield Drop(k)
            yield Record(k, k + 1)
            yield Reverse(k, k + 1)
        yield Reverse(1, 3)
        yield Reverse(0, 1)


def test_peak_is_exact_over_time() -> None:
    cost = simulate(Slanted(), 8, state_bytes=10, residual_bytes=3)
    assert cost.peak_slots == (4, 0)
    assert cost.peak_taped == 4
    assert cost.peak_bytes == 4 * 10 + 4 * 3
    apart = simulate(Every(5), 12, state_bytes=10, residual_bytes=100)
    assert (apart.peak_slots, apart.peak_taped) == ((2, 0), 5)
    assert apart.peak_bytes == 1 * 10 + 5 * 100  # one of the two is dropped before five steps are recorded


def test_disk_takes_no_memory() -> None:
    machine = Machine(1, state_bytes=7)
    for action in (Save(0, Tier.DISK), Record(0, 1), Reverse(0, 1), Drop(0, Tier.DISK)):
        machine.apply(action)
    cost = machine.finish()
    assert (cost.peak_bytes, cost.peak_slots, cost.tier_saves) == (0, (0, 1), (0, 1))


def test_a_state_may_be_held_on_two_tiers() -> None:
    machine = Machine(1)
    for action in (Save(0, 2), Save(0), Record(0, 1), Reverse(0, 1), Drop(0, 2), Drop(0)):
        machine.apply(action)
    assert machine.finish().peak_slots == (1, 0, 1)

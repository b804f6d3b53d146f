from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unspool.errors import PolicyError
from unspool.schedules import (
    Action,
    Advance,
    Binomial,
    Drop,
    Every,
    FoldedSchedule,
    Load,
    Online,
    Record,
    Reverse,
    Revolve,
    Save,
    Schedule,
    StoreAll,
    Tier,
    batches,
    decode,
    encode,
)
from unspool.schedules.encode import VERBS


def decoded(schedule: Schedule, n_steps: int, rows: int) -> list[Action]:
    """Return the actions that the batches of a schedule encode."""
    return [action for batch in batches(schedule, n_steps, rows=rows) for action in decode(batch)]


def test_verbs_are_numbered() -> None:
    actions = [Advance(1, 2), Record(3, 4), Reverse(5, 6), Save(7), Load(8, Tier.DISK), Drop(9, 2)]
    rows = encode(actions)
    assert rows.dtype == np.int64
    assert rows.tolist() == [[0, 1, 2], [1, 3, 4], [2, 5, 6], [3, 7, 0], [4, 8, 1], [5, 9, 2]]
    assert list(decode(rows)) == actions


def test_nothing_is_an_array_of_no_rows() -> None:
    assert encode([]).shape == (0, 3)
    assert list(batches(Revolve(3), 0)) == []


class Tiered(FoldedSchedule):
    """One binomial part over three tiers, beginning elsewhere than at 0."""

    def folded(self, n_steps: int) -> Iterator[Action | Binomial]:
        yield Save(0, 2)
        turn = n_steps // 3
        yield Advance(0, turn)
        yield Save(turn, 2)
        yield Binomial(turn, n_steps, 6, 2, (2, 0, 1, 1, 0))
        yield Load(0, 2)
        yield Binomial(0, turn, 5, 1, (2, 1, 0))
        yield Drop(turn, 2)
        yield Drop(0, 2)


class Plain(Schedule):
    """A schedule that is not folded."""

    def actions(self, n_steps: int) -> Iterator[Action]:
        return Every(3).actions(n_steps)


@pytest.mark.parametrize("schedule", [StoreAll(), Every(3), Revolve(1), Revolve(4), Tiered(), Plain()], ids=repr)
@pytest.mark.parametrize("rows", [4, 5, 7, 1000])
def test_batches_are_the_actions(schedule: Schedule, rows: int) -> None:
    for n_steps in range(6, 40):
        assert decoded(schedule, n_steps, rows) == list(schedule.actions(n_steps))


@settings(max_examples=60, deadline=None)
@given(
    n_steps=st.integers(0, 1500),
    slots=st.integers(1, 2000),
    leaf=st.integers(1, 50),
    rows=st.integers(4, 3000),
)
def test_batches_are_the_actions_of_the_binomial_family(n_steps: int, slots: int, leaf: int, rows: int) -> None:
    for schedule in (Revolve(slots, leaf), Online(slots, leaf)):
        assert decoded(schedule, n_steps, rows) == list(schedule.actions(n_steps))


@pytest.mark.parametrize("rows", [4, 10, 64])
def test_batches_are_no_longer_than_said(rows: int) -> None:
    sizes = [len(batch) for batch in batches(Revolve(5), 500, rows=rows)]
    assert max(sizes) <= rows
    assert min(sizes[:-1]) > rows - 4


def test_batches_are_not_reused() -> None:
    first, second = list(batches(Revolve(3), 30, rows=100))[:2]
    assert not np.shares_memory(first, second)


@pytest.mark.parametrize("slots", [2, 3, 20, 1000, 10**6])
def test_a_million_steps_are_reversed_in_order(slots: int) -> None:
    starts = [batch[batch[:, 0] == VERBS.index(Reverse), 1] for batch in batches(Revolve(slots), 10**6)]
    assert np.array_equal(np.concatenate(starts), np.arange(10**6)[::-1])
    assert Revolve(slots).steps(10**6) > 10**6


def test_batches_add_up_to_the_closed_form() -> None:
    advanced = 0
    for batch in batches(Revolve(20), 10**6):
        forward = batch[batch[:, 0] <= 1]
        advanced += int((forward[:, 2] - forward[:, 1]).sum())
    assert advanced == Revolve(20).steps(10**6)


def test_refuses_what_is_no_length() -> None:
    with pytest.raises(PolicyError, match="number of steps"):
        batches(Plain(), -1)

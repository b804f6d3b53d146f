"""The laws that every schedule must pass: subclass it, say how to make one, and inherit the tests."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unspool.errors import PolicyError
from unspool.schedules import Cost, Reverse, Schedule, Tier, simulate
from unspool.schedules.binomial import beta

AWKWARD = (0, 1, 2, 3, 97, 100, 499, 1009)


def check(schedule: Schedule, n_steps: int) -> Cost:
    """Run a schedule through the machine, and state the two laws that matter most once more."""
    cost = simulate(schedule, n_steps, state_bytes=1)
    reversed_steps = [
        step
        for action in schedule.actions(n_steps)
        if isinstance(action, Reverse)
        for step in reversed(range(action.start, action.stop))
    ]
    assert reversed_steps == list(reversed(range(n_steps)))
    assert cost.n_steps == n_steps
    assert cost.steps == schedule.steps(n_steps)
    assert cost.records == n_steps
    assert cost.peak_bytes == cost.peak_slots[Tier.RAM]
    return cost


class ScheduleContract:
    """Every schedule, for every number of steps, whatever its number of slots."""

    sizes = range(1, 10)
    largest = 100_000
    examples = 4
    one_snapshot_per_state = True

    def make(self, slots: int) -> Schedule:
        """Return a schedule that may hold `slots` snapshots in all."""
        raise NotImplementedError

    def most(self, slots: int, n_steps: int) -> tuple[int, ...]:
        """Return how many slots it may use on each tier."""
        return (slots, 0)

    def check(self, slots: int, n_steps: int) -> None:
        """Check it for one size."""
        cost = check(self.make(slots), n_steps)
        assert all(used <= most for used, most in zip(cost.peak_slots, self.most(slots, n_steps), strict=True))

    @pytest.mark.parametrize("n_steps", range(61))
    def test_small(self, n_steps: int) -> None:
        for slots in self.sizes:
            self.check(slots, n_steps)

    @pytest.mark.parametrize("slots", [1, 2, 3, 4, 7, 20])
    def test_awkward(self, slots: int) -> None:
        edge = beta(slots, 2)
        for n_steps in {*AWKWARD, slots, slots + 1, slots + 2, edge - 1, edge, edge + 1}:
            self.check(slots, n_steps)

    def test_large(self) -> None:
        @settings(max_examples=self.examples, deadline=None, derandomize=True)
        @given(n_steps=st.integers(0, self.largest), slots=st.integers(4, self.largest))
        def holds(n_steps: int, slots: int) -> None:
            self.check(slots, n_steps)

        holds()

    def test_medium(self) -> None:
        @settings(max_examples=40, deadline=None)
        @given(n_steps=st.integers(0, 700), slots=st.integers(1, 40))
        def holds(n_steps: int, slots: int) -> None:
            self.check(slots, n_steps)

        holds()

    def test_has_no_state(self) -> None:
        schedule = self.make(3)
        interrupted: Iterator[object] = schedule.actions(50)
        next(interrupted)
        assert list(schedule.actions(50)) == list(schedule.actions(50))
        assert schedule == self.make(3)
        assert hash(schedule) == hash(self.make(3))

    @pytest.mark.parametrize("n_steps", [-1, 2.0, True, "3"])
    def test_refuses_what_is_no_length(self, n_steps: int) -> None:
        with pytest.raises(PolicyError, match="number of steps"):
            simulate(self.make(3), n_steps)
        with pytest.raises(PolicyError, match="number of steps"):
            self.make(3).steps(n_steps)

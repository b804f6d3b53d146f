"""The laws that every schedule must pass, as shipped, with lengths and slots drawn by hypothesis."""

from hypothesis import given, settings
from hypothesis import strategies as st

from unspool.testing import contracts
from unspool.testing.contracts import AWKWARD, check

__all__ = ["AWKWARD", "ScheduleContract", "check"]


class ScheduleContract(contracts.ScheduleContract):
    """The shipped contract, with draws that shrink."""

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

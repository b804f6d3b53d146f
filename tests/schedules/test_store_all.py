from tests.schedules.contract import ScheduleContract
from unspool.schedules import Schedule, StoreAll, simulate


class TestStoreAll(ScheduleContract):
    def make(self, slots: int) -> Schedule:
        return StoreAll()

    def most(self, slots: int, n_steps: int) -> tuple[int, ...]:
        return (0, 0)


def test_nothing_is_computed_twice() -> None:
    cost = simulate(StoreAll(), 100, residual_bytes=3)
    assert (cost.steps, cost.recomputation_factor, cost.peak_taped, cost.peak_bytes) == (100, 1.0, 100, 300)

from collections.abc import Iterator, Mapping

import pytest

from unspool.schedules import (
    FOREVER,
    Action,
    Advance,
    Drop,
    Every,
    Machine,
    Online,
    OnlineSchedule,
    Record,
    Reverse,
    Save,
    Schedule,
    StoreAll,
)


def run_until(schedule: OnlineSchedule, n_steps: int, *, taped: int) -> Machine:
    """Run a loop that ends by itself, as an executor does that keeps the last `taped` steps on its tape."""
    machine, held = Machine(n_steps), {}
    sweep = schedule.sweep()
    while machine.position < n_steps:
        match action := next(sweep):
            case Save(step, tier):
                held[step] = tier
            case Drop(step, _):
                del held[step]
            case Record(start, stop):
                action = Record(start, min(stop, n_steps))
            case Advance(start, stop):
                turn = max(start, n_steps - taped)
                if stop >= n_steps > turn:
                    if turn > start:
                        machine.apply(Advance(start, turn))
                    action = Record(turn, n_steps)
                else:
                    action = Advance(start, min(stop, n_steps))
        machine.apply(action)
    taped = machine.n_taped
    if taped:
        machine.apply(Reverse(n_steps - taped, n_steps))
    for action in schedule.unwind(n_steps - taped, held):
        machine.apply(action)
    machine.finish()
    return machine


ONLINE = [StoreAll(), Every(1), Every(4), Online(1), Online(2), Online(5), Online(5, leaf=3)]


@pytest.mark.parametrize("schedule", ONLINE, ids=str)
@pytest.mark.parametrize("taped", [0, 1, 4])
def test_a_loop_may_end_anywhere(schedule: OnlineSchedule, taped: int) -> None:
    for n_steps in range(80):
        machine = run_until(schedule, n_steps, taped=taped)
        assert machine.records == n_steps


@pytest.mark.parametrize("schedule", ONLINE, ids=str)
def test_to_know_the_end_is_worth_a_few_evaluations(schedule: OnlineSchedule) -> None:
    for n_steps in range(1, 80):
        known, unknown = schedule.steps(n_steps), run_until(schedule, n_steps, taped=0).steps
        assert known <= unknown + 2 * schedule.last


def test_a_sweep_may_go_on_forever() -> None:
    assert next(StoreAll().sweep()) == Record(0, FOREVER)
    assert FOREVER == 2**63 - 1


class Forgetful(OnlineSchedule):
    """Keep nothing but the initial state, and count."""

    @property
    def last(self) -> int:
        return 1

    def sweep(self) -> Iterator[Action]:
        yield Save(0)
        yield Advance(0, FOREVER)

    def unwinding(self, n_steps: int, held: Mapping[int, int]) -> Iterator[Action]:
        yield from Online(1).unwind(n_steps, held)


def test_only_three_things_make_an_online_schedule() -> None:
    assert Forgetful().steps(10) == 10 + 45


def test_abstract() -> None:
    for abstract in (Schedule, OnlineSchedule):
        with pytest.raises(TypeError, match="abstract"):
            abstract()  # type: ignore[abstract]

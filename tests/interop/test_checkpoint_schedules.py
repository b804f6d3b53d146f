"""Both ways between their schedules and ours: theirs under our laws, ours under their words, and the same counts."""

import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import checkpoint_schedules as cs
import numpy as np
import pytest

import unspool
from tests.interop import theirs
from tests.interop.theirs import DISK, RAM, WORK
from unspool.errors import PolicyError, ScheduleError
from unspool.interop.checkpoint_schedules import from_checkpoint_schedules, to_checkpoint_schedules
from unspool.schedules import (
    Action,
    Advance,
    DiskRevolve,
    Drop,
    Every,
    HRevolve,
    Load,
    Mixed,
    Multistage,
    Online,
    Prices,
    Record,
    Reverse,
    Revolve,
    Save,
    Schedule,
    StoreAll,
    TwoLevel,
    Uneven,
    revolve_advances,
    simulate,
)
from unspool.schedules.recompute import Recompute

LENGTHS = range(1, 41)
PRICES = Prices(write=(0, 2), read=(0, 2))  # what theirs assume

# Each of their classes that computes an adjoint, and how many states may be in RAM and on disk.
THEIRS = [
    (cs.SingleMemoryStorageSchedule, (), {}, (0, 0)),
    (cs.SingleDiskStorageSchedule, (), {}, (0, 0)),
    (cs.SingleDiskStorageSchedule, (), {"move_data": True}, (0, 0)),
    (cs.Revolve, (1,), {}, (1, 0)),
    (cs.Revolve, (4,), {}, (4, 0)),
    (cs.MultistageCheckpointSchedule, (3, 0), {}, (3, 0)),
    (cs.MultistageCheckpointSchedule, (2, 3), {"trajectory": "revolve"}, (2, 3)),
    (cs.MultistageCheckpointSchedule, (0, 2), {}, (0, 2)),
    (cs.DiskRevolve, (2,), {}, (2, 40)),
    (cs.DiskRevolve, (3,), {"wd": 0.5, "rd": 0.5}, (3, 40)),
    (cs.PeriodicDiskRevolve, (2,), {}, (2, 40)),
    (cs.HRevolve, (2, 2), {}, (2, 2)),
    (cs.HRevolve, (1, 4), {"wd": 1, "rd": 0.25}, (1, 4)),
    (cs.MixedCheckpointSchedule, (3,), {}, (0, 3)),
    (cs.MixedCheckpointSchedule, (5,), {"storage": RAM}, (5, 0)),
    (cs.TwoLevelCheckpointSchedule, (7, 2), {"binomial_storage": RAM}, (2, 6)),
    (cs.TwoLevelCheckpointSchedule, (10, 1), {}, (0, 5)),
]
OURS = [
    StoreAll(),
    Every(1),
    Every(4),
    Every(100),
    Recompute(),
    Revolve(1),
    Revolve(3),
    Revolve(50),
    Revolve(2, leaf=5),
    Online(1),
    Online(3),
    Online(4, leaf=3),
    TwoLevel(6, 2),
    TwoLevel(9, 1, leaf=2),
    Multistage(2, 3),
    Multistage(0, 3),
    DiskRevolve(2, PRICES),
    HRevolve((2, 2), PRICES),
    HRevolve((3,), Prices()),
    Mixed(1),
    Mixed(4),
    Mixed(9, state_size=2, residual_size=3),
    Uneven(3, cost=[1 + k % 5 for k in range(40)]),
]


@dataclass(frozen=True)
class Said(Schedule):
    """A schedule that says what it is told, whatever the number of steps."""

    said: tuple[Action, ...]

    def actions(self, n_steps: int) -> Iterable[Action]:
        return iter(self.said)


class Scripted(cs.CheckpointSchedule):
    """One of theirs that says what it is told."""

    def __init__(self, max_n: int, said: Iterable[cs.CheckpointAction]) -> None:
        super().__init__(max_n)
        self.said = said

    def _iterator(self):
        yield from self.said

    def uses_storage_type(self, storage_type: object) -> bool:
        return True


class Numbered(Scripted):
    """The same, with the n and the r that its actions lead to."""

    def _iterator(self):
        for action in self.said:
            match action:
                case cs.Forward():
                    self._n = action.n1
                case cs.Copy() | cs.Move():
                    self._n = action.n
                case cs.Reverse():
                    self._r = self.max_n - action.n0
            yield action


def name(value: object) -> str:
    return value.__name__ if isinstance(value, type) else str(value)


# --- theirs as ours ---------------------------------------------------------------------------------------------------
def test_no_class_of_theirs_is_forgotten() -> None:
    classes = {c for c in vars(cs).values() if isinstance(c, type) and issubclass(c, cs.CheckpointSchedule)}
    assert classes - {cs.CheckpointSchedule} == {c for c, *_ in THEIRS} | {cs.NoneCheckpointSchedule}


@pytest.mark.parametrize(("make", "parameters", "options", "most"), THEIRS, ids=name)
def test_theirs_pass_our_laws(
    make: type, parameters: tuple[int, ...], options: dict[str, object], most: tuple[int, int]
) -> None:
    schedule = from_checkpoint_schedules(make, *parameters, **options)
    for n in LENGTHS:
        if make is cs.HRevolve and n == 1:
            continue  # raises IndexError in the package: see below
        cost = simulate(schedule, n)
        online = "max_n" not in make.__init__.__code__.co_varnames
        independent = make(*parameters, **options) if online else make(n, *parameters, **options)
        tally = theirs.run(independent, n, leaves=True)
        assert cost.steps == tally.steps == schedule.steps(n)
        assert cost.records == n
        assert cost.tier_saves == (tally.writes[RAM], tally.writes[DISK])
        assert all(used <= allowed for used, allowed in zip(cost.peak_slots, most, strict=True))
        assert list(schedule.actions(n)) == list(schedule.actions(n))
    assert list(schedule.actions(0)) == []


def test_revolve_and_multistage_cost_what_ours_cost() -> None:
    for n in LENGTHS:
        for c in (1, 2, 3, 5):
            assert simulate(from_checkpoint_schedules(cs.Revolve, c), n).steps == Revolve(c).steps(n)
        for ram, disk in ((2, 0), (2, 3), (0, 3)):
            cost = simulate(from_checkpoint_schedules(cs.MultistageCheckpointSchedule, ram, disk), n)
            assert cost.steps == simulate(Multistage(ram, disk), n).steps


def test_disk_revolve_and_hrevolve_cost_what_ours_cost() -> None:
    """HRevolve at uf = ub only: the package hands them over to its tables the wrong way round."""
    for n in LENGTHS:
        for c in (1, 2, 4):
            cost = simulate(from_checkpoint_schedules(cs.DiskRevolve, c), n)
            assert PRICES.of(cost) == DiskRevolve(c, PRICES).price(n)
        for ram, disk in ((1, 2), (2, 4)):
            if n > 1:
                cost = simulate(from_checkpoint_schedules(cs.HRevolve, ram, disk), n)
                assert PRICES.of(cost) == HRevolve((ram, disk), PRICES).price(n)


def test_periodic_disk_revolve_is_no_better_than_disk_revolve() -> None:
    dearer = 0
    for n in LENGTHS:
        price = PRICES.of(simulate(from_checkpoint_schedules(cs.PeriodicDiskRevolve, 1), n))
        assert price >= DiskRevolve(1, PRICES).price(n)
        dearer += price > DiskRevolve(1, PRICES).price(n)
    assert dearer < len(LENGTHS)


def test_mixed_costs_what_ours_costs() -> None:
    for n in LENGTHS:
        for s in (1, 2, 3, 6):
            assert simulate(from_checkpoint_schedules(cs.MixedCheckpointSchedule, s), n).steps == Mixed(s).steps(n)


def test_two_level_costs_what_ours_costs_and_the_last_period_once_more() -> None:
    for n in LENGTHS:
        for period, slots in ((5, 1), (7, 2), (50, 3)):
            last = 1 + (n - 1) % period  # ours goes on from the sweep there, theirs reads the snapshot
            again = 1 + revolve_advances(last, slots + 1) - revolve_advances(last - 1, slots + 1)
            cost = simulate(from_checkpoint_schedules(cs.TwoLevelCheckpointSchedule, period, slots), n)
            assert cost.steps == TwoLevel(period, slots).steps(n) + again


def test_store_all_is_single_memory_storage() -> None:
    translated = from_checkpoint_schedules(cs.SingleMemoryStorageSchedule)
    assert list(translated.actions(9)) == list(StoreAll().actions(9))


def test_a_function_of_the_number_of_steps_will_do() -> None:
    schedule = from_checkpoint_schedules(lambda n: cs.Revolve(n, max(1, n // 10)))
    assert schedule.steps(40) == Revolve(4).steps(40)
    assert schedule.steps(10) == Revolve(1).steps(10)


def test_translated_is_a_value() -> None:
    schedule = from_checkpoint_schedules(cs.HRevolve, 2, 4, wd=5)
    assert schedule == from_checkpoint_schedules(cs.HRevolve, 2, 4, wd=5)
    assert schedule != from_checkpoint_schedules(cs.HRevolve, 2, 4, wd=6)
    assert hash(schedule) == hash(from_checkpoint_schedules(cs.HRevolve, 2, 4, wd=5))
    assert str(schedule) == "HRevolve(2, 4, wd=5)"


@pytest.mark.parametrize(
    "policy",
    [
        from_checkpoint_schedules(cs.Revolve, 3),
        from_checkpoint_schedules(cs.MultistageCheckpointSchedule, 4, 0),
        from_checkpoint_schedules(cs.MixedCheckpointSchedule, 4, storage=RAM),
        from_checkpoint_schedules(cs.SingleMemoryStorageSchedule),
        from_checkpoint_schedules(cs.SingleDiskStorageSchedule),
    ],
    ids=str,
)
def test_loops_take_them(policy: Schedule) -> None:
    """Bit for bit the gradient of the loop that keeps everything."""

    def loss(x: np.ndarray, policy: Schedule | str) -> np.ndarray:
        u = unspool.fori_loop(0, 23, lambda i, u: u + 0.1 * np.sin(u * (1 + i)), x, policy=policy)
        _, path = unspool.scan(lambda u, row: (u * row, u), u, np.linspace(0.9, 1.1, 17), policy=policy)
        return np.sum(path**2)

    x = np.linspace(0.2, 1, 5)
    value, gradient = unspool.value_and_grad(lambda x: loss(x, policy))(x)
    expected_value, expected = unspool.value_and_grad(lambda x: loss(x, "none"))(x)
    assert value == expected_value
    np.testing.assert_array_equal(gradient, expected)
    assert np.all(gradient != 0)


@pytest.mark.parametrize("policy", [cs.Revolve(10, 3), cs.Revolve, cs.SingleMemoryStorageSchedule()])
def test_loops_refuse_them_bare(policy: object) -> None:
    with pytest.raises(PolicyError, match=r"wrap it: .*from_checkpoint_schedules"):
        unspool.fori_loop(0, 10, lambda i, u: u, 1.0, policy=policy)


@pytest.mark.parametrize(
    ("make", "parameters", "message"),
    [
        (cs.Revolve(10, 3), (), r"from_checkpoint_schedules\(Revolve, ...\)"),
        (cs.NoneCheckpointSchedule, (), "NoneCheckpointSchedule keeps nothing for an adjoint"),
        ("revolve", (), "'revolve' makes no schedule"),
    ],
)
def test_refuses_what_makes_no_schedule(make: object, parameters: tuple[int, ...], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        from_checkpoint_schedules(make, *parameters)


OLD = cs.Revolve(10, 3)


@pytest.mark.parametrize(
    ("make", "parameters", "message"),
    [
        (lambda n: cs.NoneCheckpointSchedule(), (), "keeps nothing that a way back could start from"),
        (lambda n: cs.Revolve(9, 3), (), "made a schedule of 9 steps"),
        (lambda n: Revolve(3), (), r"made Revolve\(slots=3, leaf=1\)"),
        (cs.Revolve, (), "makes no schedule for n = 10: it raised TypeError"),
        (cs.Revolve, (0,), "makes no schedule for n = 10: it raised"),
        (lambda n: Scripted(n, [cs.Forward(0, n, False, True, WORK)]), (), "ended before the adjoint of 10 steps"),
        (lambda n: Scripted(n, [cs.Forward(0, n, True, False, WORK)]), (), "keeps nothing that a way back"),
        (lambda n: Scripted(n, [cs.Copy(0, WORK, RAM)]), (), "Copy.* is no action that is known here"),
        (lambda n: Scripted(n, ["forward"]), (), "'forward' is no action that is known here"),
    ],
)
def test_refuses_what_cannot_be_translated(make: Callable[..., object], parameters: tuple, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        simulate(from_checkpoint_schedules(make, *parameters), 10)


def test_refuses_one_that_was_used() -> None:
    kept = cs.Revolve(10, 3)
    schedule = from_checkpoint_schedules(lambda n: kept)
    assert simulate(schedule, 10).steps == Revolve(3).steps(10)
    with pytest.raises(PolicyError, match="make a new one"):
        simulate(schedule, 10)


@pytest.mark.parametrize(
    "said",
    [
        [cs.Forward(1, 2, False, True, WORK)],
        [cs.Forward(0, 2, False, False, WORK), cs.Reverse(2, 0, True)],
        [cs.Forward(0, 2, False, True, WORK), cs.Copy(0, RAM, WORK), cs.Copy(1, DISK, WORK), cs.EndReverse()],
        [cs.Forward(0, 2, True, False, RAM), cs.Move(0, DISK, WORK)],
    ],
    ids=str,
)
def test_theirs_that_break_a_law_are_caught_as_they_run(said: list[cs.CheckpointAction]) -> None:
    """In the loop itself, which trusts its schedule, and not only when they are simulated."""
    policy = from_checkpoint_schedules(lambda n: Scripted(n, said))
    with pytest.raises(ScheduleError):
        unspool.grad(lambda x: unspool.fori_loop(0, 2, lambda i, u: u * x, 1.0, policy=policy))(1.0)


def test_a_state_and_residuals_written_together_and_copied_between_storages() -> None:
    said = [
        cs.Forward(0, 2, True, True, DISK),
        cs.Forward(2, 3, False, True, WORK),
        cs.EndForward(),
        cs.Reverse(3, 2, True),
        cs.Copy(0, DISK, RAM),
        cs.Move(0, DISK, WORK),
        cs.Reverse(2, 0, True),
        cs.Move(0, RAM, cs.StorageType.NONE),
        cs.EndReverse(),
    ]
    assert list(from_checkpoint_schedules(lambda n: Scripted(n, said)).actions(3)) == [
        Save(0, 1),
        Record(0, 2),
        Record(2, 3),
        Reverse(2, 3),
        Load(0, 1),
        Save(0, 0),
        Drop(0, 1),
        Reverse(0, 2),
        Drop(0, 0),
    ]  # and nothing for the Move that deletes what was dropped already


# --- ours as theirs ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("schedule", OURS, ids=str)
def test_ours_keep_their_words(schedule: Schedule) -> None:
    for n in LENGTHS:
        cost = simulate(schedule, n)
        exported = to_checkpoint_schedules(schedule, n)
        assert isinstance(exported, cs.CheckpointSchedule)
        assert (exported.n, exported.r, exported.max_n, exported.is_exhausted) == (0, 0, n, False)
        tally = theirs.run(exported, n)
        assert exported.is_exhausted
        assert next(exported, None) is None
        assert tally.steps == cost.steps
        assert (tally.reads[RAM], tally.reads[DISK]) == cost.tier_loads
        assert (tally.writes[RAM], tally.writes[DISK]) <= cost.tier_saves
        assert exported.uses_storage_type(RAM) == (tally.peak[RAM] > 0)
        assert exported.uses_storage_type(DISK) == (tally.peak[DISK] > 0)
        assert tally.peak[RAM] <= cost.peak_slots[0] + (cost.peak_taped if isinstance(schedule, Mixed) else 0)
        assert tally.peak[DISK] <= cost.peak_slots[1]


@pytest.mark.parametrize("schedule", OURS, ids=str)
def test_there_and_back_is_the_same_work(schedule: Schedule) -> None:
    back = from_checkpoint_schedules(lambda n: to_checkpoint_schedules(schedule, n))
    for n in LENGTHS:
        here, there = simulate(schedule, n), simulate(back, n)
        assert (there.steps, there.records, there.tier_loads) == (here.steps, here.records, here.tier_loads)
        assert there.peak_taped == here.peak_taped
        assert all(a <= b for a, b in zip(there.peak_slots, here.peak_slots, strict=True))


@pytest.mark.parametrize(("make", "parameters", "options", "most"), THEIRS, ids=name)
def test_theirs_and_back_are_the_same_steps(
    make: type, parameters: tuple[int, ...], options: dict[str, object], most: tuple[int, int]
) -> None:
    schedule = from_checkpoint_schedules(make, *parameters, **options)
    for n in LENGTHS[1:]:
        assert theirs.run(to_checkpoint_schedules(schedule, n), n).steps == schedule.steps(n)


def test_residuals_that_are_not_reversed_at_once_are_kept_step_by_step() -> None:
    said = (Record(0, 2), Save(2), Advance(2, 3), Record(3, 4), Reverse(3, 4), Load(2), Drop(2), Record(2, 3))
    exported = to_checkpoint_schedules(Said((*said, Reverse(1, 3), Reverse(0, 1))), 4)
    assert [str(action) for action in exported] == [
        "Forward(0, 1, False, True, StorageType.RAM)",
        "Forward(1, 2, False, True, StorageType.RAM)",
        "Forward(2, 3, True, False, StorageType.RAM)",
        "Forward(3, 4, False, True, StorageType.WORK)",
        "EndForward()",
        "Reverse(4, 3, True)",
        "Move(2, StorageType.RAM, StorageType.WORK)",
        "Forward(2, 3, False, True, StorageType.WORK)",
        "Reverse(3, 2, True)",
        "Move(1, StorageType.RAM, StorageType.WORK)",
        "Reverse(2, 1, True)",
        "Move(0, StorageType.RAM, StorageType.WORK)",
        "Reverse(1, 0, True)",
        "EndReverse()",
    ]


def test_an_idle_load_is_not_said_and_its_snapshot_is_deleted() -> None:
    said = (Save(0), Save(0, 1), Advance(0, 1), Save(1), Advance(1, 2), *last(2), Load(0, 1), Load(1), Drop(1))
    rest = (*last(1), Load(0), *last(0), Drop(0), Drop(0, 1))
    schedule = Said((*said, *rest))
    tally = theirs.run(to_checkpoint_schedules(schedule, 3), 3)
    assert (tally.writes, tally.reads) == ({RAM: 2, DISK: 1}, {RAM: 2})
    assert [str(action) for action in to_checkpoint_schedules(schedule, 3)][:9] == [
        "Forward(0, 1, True, False, StorageType.RAM)",
        "Copy(0, StorageType.RAM, StorageType.DISK)",
        "Forward(1, 2, True, False, StorageType.RAM)",
        "Forward(2, 3, False, True, StorageType.WORK)",
        "EndForward()",
        "Reverse(3, 2, True)",
        "Move(0, StorageType.DISK, StorageType.NONE)",
        "Move(1, StorageType.RAM, StorageType.WORK)",
        "Forward(1, 2, False, True, StorageType.WORK)",
    ]


def last(step: int) -> tuple[Action, Action]:
    return Record(step, step + 1), Reverse(step, step + 1)


@pytest.mark.parametrize(
    ("said", "n", "message"),
    [
        ((), 0, "n_steps is 0"),
        ((Save(0, 2), Advance(0, 1), *last(1), Load(0, 2), *last(0), Drop(0, 2)), 2, "RAM and DISK only"),
        (
            (
                *(Save(0), Advance(0, 1), Save(1), Advance(1, 3), *last(3), Load(1), Advance(1, 2), *last(2), Drop(1)),
                *(Load(0), Advance(0, 1), *last(1), Load(0), *last(0), Drop(0)),
            ),
            4,
            "which that snapshot does not serve",
        ),
        (
            (Save(0), Record(0, 1), Advance(1, 2), *last(2), Load(0), Advance(0, 1), *last(1), Reverse(0, 1), Drop(0)),
            3,
            "the next is Record",
        ),
        (
            (
                *(Save(0), Advance(0, 2), *last(2), Load(0), Record(0, 1)),
                *(Load(0), Advance(0, 1), *last(1), Reverse(0, 1), Drop(0)),
            ),
            3,
            "the state and the residuals of step 0 are in RAM together",
        ),
        (
            (
                *(Save(0), Advance(0, 2), Record(2, 4), Reverse(3, 4), Load(0), Advance(0, 1), Reverse(2, 3)),
                *(*last(1), Load(0), *last(0), Drop(0)),
            ),
            4,
            "after residuals were read",
        ),
    ],
)
def test_refuses_what_theirs_have_no_words_for(said: tuple[Action, ...], n: int, message: str) -> None:
    assert simulate(Said(said), n).records == n
    with pytest.raises(PolicyError, match=message):
        to_checkpoint_schedules(Said(said), n)


def test_a_load_waits_for_residuals_to_be_reversed() -> None:
    said = (Save(0), Advance(0, 2), Record(2, 4), Reverse(3, 4), Load(0), Drop(0), Reverse(2, 3), Record(0, 2))
    assert [str(action) for action in to_checkpoint_schedules(Said((*said, Reverse(0, 2))), 4)] == [
        "Forward(0, 2, True, False, StorageType.RAM)",
        "Forward(2, 3, False, True, StorageType.RAM)",
        "Forward(3, 4, False, True, StorageType.WORK)",
        "EndForward()",
        "Reverse(4, 3, True)",
        "Move(2, StorageType.RAM, StorageType.WORK)",
        "Reverse(3, 2, True)",
        "Move(0, StorageType.RAM, StorageType.WORK)",
        "Forward(0, 2, False, True, StorageType.WORK)",
        "Reverse(2, 0, True)",
        "EndReverse()",
    ]


def test_ours_that_break_a_law_are_not_exported() -> None:
    with pytest.raises(ScheduleError, match="no snapshot may be left behind"):
        to_checkpoint_schedules(Said((Save(0), Record(0, 2), Reverse(0, 2))), 2)


# --- the package ------------------------------------------------------------------------------------------------------
def test_what_is_wrong_in_the_package() -> None:
    """Fails when the package is mended: then the caveats here can go."""
    with pytest.raises(IndexError):
        cs.HRevolve(1, 2, 2)
    with pytest.raises(PolicyError, match="makes no schedule for n = 1: it raised IndexError"):
        simulate(from_checkpoint_schedules(cs.HRevolve, 2, 2), 1)
    with pytest.raises(TypeError):  # None > 0
        cs.DiskRevolve(10, 2).uses_storage_type(DISK)
    assert not cs.TwoLevelCheckpointSchedule(5, 2, binomial_storage=RAM).uses_storage_type(DISK)
    with pytest.raises(AssertionError):  # HRevolve leaves a snapshot on disk when it reads the same state from RAM last
        theirs.run(cs.HRevolve(7, 1, 1), 7)
    prices = Prices(advance=1, reverse=4, write=(0, 2), read=(0, 2))
    swapped = simulate(from_checkpoint_schedules(cs.HRevolve, 2, 4, uf=1, ub=4), 60)
    assert prices.of(swapped) > HRevolve((2, 4), prices).price(60)


def test_the_checker_refuses() -> None:
    """Every rule of the checker is broken once, so that its silence says something."""
    forward, end, turn = cs.Forward(0, 2, False, True, WORK), cs.EndReverse(), cs.EndForward()
    saved = cs.Forward(0, 1, True, False, RAM), cs.Forward(1, 2, False, True, WORK), turn, cs.Reverse(2, 1, True)
    again = cs.Forward(0, 1, False, True, WORK), cs.Reverse(1, 0, True)
    move = cs.Move(0, RAM, WORK)
    assert theirs.run(Numbered(2, [forward, turn, cs.Reverse(2, 0, True), end]), 2).steps == 2
    assert theirs.run(Numbered(2, [*saved, move, *again, end]), 2).steps == 3
    broken = [
        [],
        ["forward"],
        [forward, end],
        [forward, cs.Reverse(2, 0, True)],
        [turn],
        [forward, turn, turn],
        [forward, turn, cs.Reverse(2, 1, True), end],
        [forward, turn, cs.Reverse(2, 0, False), end],
        [forward, turn, cs.Reverse(2, 1, True), cs.Reverse(1, 0, True), end],
        [forward, turn, cs.Reverse(1, 0, True)],
        [cs.Forward(0, 2, False, False, WORK), turn, cs.Reverse(2, 0, True)],
        [cs.Forward(0, 3, False, True, WORK)],
        [cs.Forward(1, 2, False, True, WORK)],
        [cs.Forward(0, 2, True, False, WORK)],
        [cs.Forward(0, 2, False, True, RAM), turn, cs.Reverse(2, 0, True)],
        [*saved, cs.Copy(0, RAM, WORK), *again, end],
        [*saved, cs.Move(0, DISK, WORK)],
        [*saved, cs.Move(0, RAM, cs.StorageType.NONE), *again, end],
        [*saved, move, cs.Forward(0, 1, False, False, WORK), cs.Forward(1, 2, False, True, WORK)],
    ]
    for said in broken:
        with pytest.raises(AssertionError):
            theirs.run(Numbered(2, said), 2)


def test_says_what_to_install_where_the_package_is_missing() -> None:
    code = "import sys; sys.modules['checkpoint_schedules'] = None; import unspool.interop.checkpoint_schedules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: unspool.interop.checkpoint_schedules")
    assert done.stderr.rstrip().endswith("pip install checkpoint_schedules")


def test_the_package_is_loaded_by_nothing_else() -> None:
    code = "import sys, unspool; assert not [m for m in sys.modules if 'checkpoint_schedules' in m]"
    subprocess.run([sys.executable, "-c", code], check=True)

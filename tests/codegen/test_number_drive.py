"""The driver: any schedule, any cut, the same bits; counts as simulated; buffers given back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.codegen.test_emit import adjoint_of, lorenz
from tests.oracles import same_bits
from unspool.codegen.build import build, run
from unspool.codegen.number_drive import NumberDrive, driver
from unspool.errors import PolicyError
from unspool.schedules import Every, Mixed, Online, Revolve, Schedule, StoreAll, Tier, TwoLevel, Uneven, simulate
from unspool.stores import arena

U, P = np.array([1.0, 1.1, 0.9]), np.array([10.0, 28.0, 8 / 3])
SCHEDULES: list[Schedule] = [
    StoreAll(),
    Every(1),
    Every(4),
    Every(1000),
    Revolve(1),
    Revolve(2),
    Revolve(5, leaf=3),
    Mixed(3),
    Online(1),
    Online(3, leaf=2),
]


def _scanned(k: Any, state: Any, inputs: Any, captures: Any) -> Any:
    """Lorenz with a forcing row and two outputs."""
    (u,), _ = lorenz(k, state, inputs, captures)
    return [u + inputs[0] * 0.01], [u[0] * inputs[0], np.sum(u) * k]


ADJOINT = adjoint_of(_scanned, [U], [P], [U])


def _rows(n: int) -> np.ndarray:
    return np.sin(np.arange(3.0 * n)).reshape(n, 3)


def _drive(n: int, work: int | None = None, **options: Any) -> NumberDrive:
    drive = run(build(ADJOINT), n_steps=n, xs=[_rows(n)], captures=[P], **options)
    assert isinstance(drive, NumberDrive)
    if work is not None:
        drive._work = work
    return drive


def _run(drive: NumberDrive, schedule: Schedule) -> list[Any]:
    n = drive.n_steps
    final, ys = drive.forward([U], schedule)
    back = drive.reverse([np.ones(3)], [np.cos(_rows(n)), np.ones(n)])
    return [*final, *ys, *back[0], *back[1], *back[2]]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 31, 64])
def test_every_schedule_and_every_cut_leave_the_same_bits(n: int) -> None:
    expected = _run(_drive(n), StoreAll())
    assert [x.shape for x in expected] == [(3,), (n, 3), (n,), (3,), (n, 3), (3,)]
    for schedule in SCHEDULES:
        for work in (None, 1, 7):
            assert same_bits(_run(_drive(n, work), schedule), expected), (schedule, work)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("n", [1, 2, 13, 31])
def test_counts_and_peaks_are_those_of_the_simulation(schedule: Schedule, n: int) -> None:
    ticks: list[int] = []
    drive = _drive(n, 5, tick=ticks.append)
    drive.forward([U], schedule)
    swept = drive.steps
    drive.reverse([np.ones(3)], [None, None])
    cost = simulate(schedule, n, state_bytes=24, residual_bytes=24)
    assert (drive.steps, drive.records, drive.saves, drive.loads) == (cost.steps, cost.records, cost.saves, cost.loads)
    assert drive.peak_snapshot_bytes == 24 * cost.peak_slots[Tier.RAM]
    assert drive.peak_bytes == cost.peak_bytes
    assert n <= swept <= drive.steps
    assert sum(ticks) == cost.steps + n
    assert max(ticks) <= 2 * 5


def test_without_a_schedule_all_steps_are_run_and_nothing_is_kept() -> None:
    arena.release()
    drive = _drive(31)
    final, ys = drive.forward([U], None)
    assert (drive.steps, drive.records, drive.peak_bytes) == (31, 0, 0)
    assert same_bits([*final, *ys], _run(_drive(31), StoreAll())[:3])


def test_missing_cotangents_are_zeros() -> None:
    drive = _drive(7)
    drive.forward([U], Every(2))
    (ct,), (row,), (total,) = drive.reverse([None], [None, None])
    assert not ct.any()
    assert not row.any()
    assert not total.any()


def test_buffers_are_given_back_whole_and_taken_again() -> None:
    arena.release()
    drive = _drive(30)
    drive.forward([U], Every(5))
    assert arena._ARENA.n_bytes == 0
    drive.reverse([np.ones(3)], [None, None])
    assert arena._ARENA.n_bytes == 24 * (5 + 5)
    assert all(buffer.base is None for buffer in arena._ARENA.free)
    drive.close()
    assert arena._ARENA.n_bytes == 24 * (5 + 5)  # given once
    addresses = {buffer.ctypes.data for buffer in arena._ARENA.free}
    drive = _drive(30)
    drive.forward([U], Every(5))
    drive.close()
    assert {buffer.ctypes.data for buffer in arena._ARENA.free} == addresses


def test_results_do_not_lie_in_buffers_that_go_back() -> None:
    first = _run(_drive(30), Every(5))
    kept = [np.array(x) for x in first]
    for buffer in arena._ARENA.free:
        buffer.view(float)[:] = np.nan
    drive = _drive(30)
    assert same_bits(_run(drive, Every(5)), kept)
    assert same_bits(first, kept)


@pytest.mark.parametrize("at", [1, 5, 9, 13])
def test_an_interrupt_closes_what_was_open(at: int) -> None:
    calls = []

    def tick(_: int) -> None:
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt

    drive = _drive(40, 6, tick=tick)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        drive.forward([U], Revolve(4))
        drive.reverse([np.ones(3)], [None, None])
    drive.close()
    assert len(drive._taped) == len(drive._slots) == 0
    assert same_bits(_run(_drive(40), Revolve(4)), _run(_drive(40), StoreAll()))


def test_a_tier_on_disk_is_refused() -> None:
    drive = _drive(50)
    with pytest.raises(PolicyError, match="disk"):  # noqa: PT012
        drive.forward([U], TwoLevel(7, 2))
        drive.reverse([None], [None, None])


def test_a_schedule_with_parameters_that_cannot_be_hashed() -> None:
    schedule = Uneven(3, [1] * 12)  # type: ignore[arg-type]
    assert same_bits(_run(_drive(12), schedule), _run(_drive(12), StoreAll()))


def test_there_is_one_driver_for_all_steps() -> None:
    assert driver() is driver()
    assert driver().addresses.keys() == {"drive"}

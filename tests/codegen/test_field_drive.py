"""The driver of steps on fields: any schedule, any cut, the same bits; peaks as predicted; buffers given back.

The step that most tests share is machine code; kernels and driver of all others are plain Python.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from itertools import count, pairwise
from typing import Any

import numpy as np
import pytest

from tests.codegen.plain import DRIVER, Plain, poisoned
from tests.codegen.test_emit import adjoint_of
from tests.oracles import same_bits
from unspool.adjoint import Adjoint
from unspool.codegen import field_drive
from unspool.codegen.build import build, run
from unspool.codegen.control import MORE, Fields
from unspool.codegen.field_drive import FieldDrive, driver
from unspool.codegen.field_step import field_step
from unspool.codegen.machine import CompiledFields
from unspool.codegen.places import room
from unspool.errors import PolicyError, ProgramError
from unspool.ir.evaluate import evaluate
from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive, Pull, Read
from unspool.schedules import Every, Mixed, Online, Revolve, Schedule, StoreAll, Tier, TwoLevel, Uneven, simulate
from unspool.stores import arena

U, V = np.sin(np.arange(20.0)), np.cos(np.arange(20.0))
M = np.cos(np.arange(400.0)).reshape(20, 20) * 0.1
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
    """Three leaves, one of them handed on; residuals; a call of Python; a matrix; outputs; the number of the step."""
    (u, v, w), (x,), (c, m) = state, inputs, captures
    new = 0.9 * u - 0.2 * v + 0.1 * np.exp(np.tanh(np.sin(np.roll(u, 1)))) * c + 0.01 * k
    new[2:5] += x * np.sort(w)[3:6]
    return [new, u, 0.5 * w + 0.1 * np.tanh(m @ w)], [new[::4], np.sum(w) * k]


ADJOINT = adjoint_of(_scanned, [U, V, V], [np.float64(0.3), M], [np.float64(0.0)])


def _plainly(adjoint: Adjoint) -> CompiledFields:
    step = field_step(adjoint)
    code: Any = Plain(step.text, step.kernels)
    return CompiledFields(step, code, sum(room(t) for t in adjoint.state), *step.taped_bytes())


def _machine() -> CompiledFields:
    compiled = build(ADJOINT)
    assert isinstance(compiled, CompiledFields)
    return compiled


@pytest.fixture
def plain_driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(field_drive, "driver", lambda with_crew: DRIVER)
    monkeypatch.setattr(arena, "take", poisoned)
    with np.errstate(all="ignore"):
        yield


def _xs(n: int) -> np.ndarray:
    return np.sin(np.arange(float(n)))


def _drive(n: int, work: int | None = None, compiled: Any = None, **options: Any) -> FieldDrive:
    drive = run(compiled or _machine(), n_steps=n, xs=[_xs(n)], captures=[np.float64(0.3), M], **options)
    if work is not None:
        drive._work = work
    return drive


def _back(drive: FieldDrive) -> list[Any]:
    n = drive.n_steps
    back = drive.reverse([np.cos(2 * U), None, np.ones(20)], [np.ones((n, 5)), np.cos(np.arange(float(n)))])
    return [*back[0], *back[1], *back[2]]


def _run(drive: FieldDrive, schedule: Schedule | None) -> list[Any]:
    final, ys = drive.forward([U, V, V], schedule)
    return [*final, *ys, *_back(drive)]


# --- bits -------------------------------------------------------------------------------------------------------------
def _expected(n: int) -> list[Any]:
    """By the interpreter, step by step."""
    state, saved, ys = [U, V, V], [], []
    for k in range(n):
        saved.append((np.int64(k), *state, _xs(n)[k], np.float64(0.3), M))
        *state, y, z = evaluate(ADJOINT.advance, *saved[-1])
        ys.append((y, z))
    cts, totals, rows = [np.cos(2 * U), np.zeros(20), np.ones(20)], [0.0, np.zeros((20, 20))], np.zeros(n)
    for k in reversed(range(n)):
        *cts, rows[k], c, m = evaluate(ADJOINT.reverse, *saved[k], *cts, np.ones(5), np.cos(np.float64(k)))
        totals = [totals[0] + c, totals[1] + m]
    outputs = [np.array([y for y, _ in ys]).reshape(n, 5), np.array([z for _, z in ys])]
    return [*state, *outputs, *cts, rows, *totals]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 19])
def test_every_schedule_and_every_cut_leave_the_same_bits(n: int) -> None:
    expected = _run(_drive(n), StoreAll())
    for one, other in zip(expected, _expected(n), strict=True):
        assert np.shape(one) == np.shape(other)
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)
    for schedule in SCHEDULES:
        for work in (None, 1, 7):
            assert same_bits(_run(_drive(n, work), schedule), expected), (schedule, work)


@pytest.mark.usefixtures("plain_driver")
def test_plain_python_does_the_same() -> None:
    """On memory that is NaN before it is written, with every index checked."""
    compiled = _plainly(ADJOINT)
    expected = _run(_drive(5, 3, compiled), StoreAll())
    for one, other in zip(expected, _expected(5), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)
    for schedule in (Every(3), Revolve(2), Revolve(3, leaf=2)):
        assert same_bits(_run(_drive(5, 2, compiled), schedule), expected)


@pytest.mark.usefixtures("plain_driver")
def test_the_cotangent_of_a_matrix_is_the_sum_over_more_steps_than_are_gathered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its factors are gathered in rows; the last rows are fewer."""
    from unspool.codegen import field_step as module

    for gathered in (1, 3, 8, 64):
        monkeypatch.setattr(module, "GATHERED", gathered)
        compiled = _plainly(ADJOINT)
        assert f"row = a[0] % {gathered}" in compiled.source
        for one, other in zip(_run(_drive(8, 2, compiled), Every(3)), _expected(8), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)


# --- counts and bytes -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("n", [1, 2, 13])
def test_counts_are_those_of_the_simulation_and_peaks_are_not_above_it(schedule: Schedule, n: int) -> None:
    ticks: list[int] = []
    drive = _drive(n, 5, tick=ticks.append)
    drive.forward([U, V, V], schedule)
    swept = drive.steps
    _back(drive)
    first, residual, state = _machine().first_bytes, _machine().residual_bytes, _machine().state_bytes
    cost = simulate(schedule, n, state_bytes=state, residual_bytes=residual)
    assert (drive.steps, drive.records, drive.saves, drive.loads) == (cost.steps, cost.records, cost.saves, cost.loads)
    assert 0 < drive.peak_bytes <= cost.peak_bytes + first
    assert drive.peak_snapshot_bytes <= state * cost.peak_slots[Tier.RAM]
    assert n <= swept <= drive.steps
    assert sum(ticks) == cost.steps + n
    assert max(ticks) <= 2 * 5


def test_recorded_steps_in_a_row_take_what_the_step_says() -> None:
    for n in (3, 4, 9):
        drive = _drive(n)
        drive.forward([U, V, V], StoreAll())
        assert drive.peak_bytes == n * _machine().residual_bytes + _machine().first_bytes
        drive.close()


def test_a_snapshot_refers_to_buffers_and_copies_none() -> None:
    """Snapshots of the states before and after a step share the leaf that is handed on."""
    drive = _drive(12)
    drive.forward([U, V, V], Every(1))
    assert drive.peak_bytes < 12 * _machine().state_bytes
    drive.close()


def test_without_a_schedule_all_steps_are_run_and_nothing_is_kept() -> None:
    drive = _drive(31)
    final, ys = drive.forward([U, V, V], None)
    assert (drive.steps, drive.records, drive.peak_bytes) == (31, 0, 0)
    drive.close()
    assert same_bits([*final, *ys], _run(_drive(31), StoreAll())[:5])


def test_at_the_end_nothing_is_held() -> None:
    for schedule in SCHEDULES:
        drive = _drive(13)
        drive.forward([U, V, V], schedule)
        close, drive.close = drive.close, lambda: None  # type: ignore[method-assign]
        _back(drive)
        arrays, control = drive._arrays, drive._control
        assert (control[Fields.HELD_BYTES], control[Fields.TOP], control[Fields.DEPTH]) == (0, 0, 0)
        assert not arrays["holds"].any()
        assert sorted(arrays["references"].tolist())[-4:] == [0, 1, 1, 1]  # the cotangents of the state
        assert arrays["references"].sum() == 3
        assert int(arrays["pool"][:, 1].sum()) == len(arrays["address"]) - 3
        free = [b for pool in arrays["pool"].tolist() for b in arrays["free"][pool[0] : pool[0] + pool[1]].tolist()]
        assert len({*free}) == len(free)
        close()


def test_missing_cotangents_are_zeros() -> None:
    drive = _drive(7)
    drive.forward([U, V, V], Every(2))
    back = drive.reverse([None] * 3, [None, None])
    assert not any(ct.any() for part in back for ct in part)


# --- buffers ----------------------------------------------------------------------------------------------------------
def test_buffers_are_as_large_as_the_kernels_take_them_for_and_lie_apart() -> None:
    drive = _drive(13)
    drive.forward([U, V, V], Every(4))
    sizes = [n_bytes for n_bytes, _ in drive._classes]
    ends = sorted(
        (address, address + sizes[cls])
        for address, cls in zip(drive._arrays["address"].tolist(), drive._arrays["class_of"].tolist(), strict=True)
    )
    assert all(stop <= start for (_, stop), (start, _) in pairwise(ends))
    chunks = sorted((c.ctypes.data, c.ctypes.data + c.nbytes) for c in drive._chunks)
    assert all(any(low <= start and stop <= high for low, high in chunks) for start, stop in ends)
    for t, cls in [*zip(ADJOINT.state, drive._leaf_classes, strict=True)]:
        assert sizes[cls] == room(t) >= 8 * t.size
    for kept, cls in zip(_machine().step.kept, drive._kept_classes, strict=True):
        assert sizes[cls] == room(kept.var.type) >= 8 * kept.var.type.size
    drive.close()


def test_the_driver_asks_for_buffers_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_drive.FieldDrive, "_make_room", lambda self, batch: None)
    asked: list[int] = []
    more = FieldDrive._more_buffers

    def counted(self: FieldDrive) -> None:
        asked.append(len(self._arrays["address"]))
        more(self)

    monkeypatch.setattr(FieldDrive, "_more_buffers", counted)
    expected = _run(_drive(40), StoreAll())
    assert len(asked) > 2
    assert asked == sorted(asked)
    asked.clear()
    assert same_bits(_run(_drive(40, 3), Revolve(3)), expected)
    assert asked
    assert MORE == 2


def test_buffers_are_given_back_whole_and_taken_again() -> None:
    arena.release()
    for _ in range(2):
        drive = _drive(30)
        drive.forward([U, V, V], Every(5))
        chunks = {id(chunk) for chunk in drive._chunks}
        assert chunks
        drive.close()
        drive.close()  # given once
        assert {id(buffer) for buffer in arena._ARENA.free} == chunks
        assert sum(buffer.nbytes for buffer in arena._ARENA.free) == arena._ARENA.n_bytes


def test_results_do_not_lie_in_buffers_that_go_back() -> None:
    first = _run(_drive(30), Every(5))
    kept = [np.array(x) for x in first]
    for buffer in arena._ARENA.free:
        buffer[: buffer.nbytes // 8 * 8].view(float)[:] = np.nan
    assert same_bits(_run(_drive(30), Every(5)), kept)
    assert same_bits(first, kept)


# --- what goes wrong --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("at", [1, 5, 9, 13])
def test_an_interrupt_between_slices_closes_what_was_open(at: int) -> None:
    calls = []

    def tick(_: int) -> None:
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt

    drive = _drive(40, 6, tick=tick)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        drive.forward([U, V, V], Revolve(4))
        _back(drive)
    drive.close()
    assert not drive._chunks
    assert same_bits(_run(_drive(40), Revolve(4)), _run(_drive(40), StoreAll()))


_NUMBERS = count()  # programs tell primitives apart by their names


class Boom(BaseException):
    """Not even an exception."""


def _failing(where: str, at: int) -> tuple[CompiledFields, list[int]]:
    """A step whose call of Python fails when it is called so often, forwards or backwards."""
    calls: list[int] = []

    def evaluated(x: Any) -> Any:
        calls.append(1)
        if len(calls) == at:
            raise Boom("mine")
        return x * 2.0

    def of(name: str, vjp: Any) -> Primitive:
        function = evaluated if name == where else (lambda x: x * 2.0)
        pull = Pull.reading(lambda ct, y, x: (vjp(ct),), (Read.NOTHING, Read.NOTHING))
        return Primitive(
            f"{name} {next(_NUMBERS)}", function, type_rule=lambda x: x, pull=lambda wanted, n, plain: pull
        )

    backwards = of("backwards", lambda ct: ct * 2.0)
    forwards = of("forwards", lambda ct: bind(backwards, ct) if where == "backwards" else ct * 2.0)
    adjoint = adjoint_of(lambda k, s, x, c: ([bind(forwards, s[0]) * 0.4], []), [U], [])
    return _plainly(adjoint), calls


@pytest.mark.usefixtures("plain_driver")
@pytest.mark.parametrize("schedule", [StoreAll(), Every(3), Revolve(2)], ids=str)
@pytest.mark.parametrize(("where", "at"), [("forwards", 1), ("forwards", 6), ("backwards", 1), ("backwards", 5)])
def test_an_error_in_a_call_of_python_comes_out_as_it_is(schedule: Schedule, where: str, at: int) -> None:
    compiled, calls = _failing(where, at)
    arena.release()
    drive = run(compiled, n_steps=8, xs=[], captures=[])
    drive._work = 3
    with pytest.raises(Boom, match="mine") as caught:  # noqa: PT012
        drive.forward([U], schedule)
        drive.reverse([U], [])
    assert len(calls) == at
    assert caught.value.__traceback__ is not None
    drive.close()
    assert not drive._chunks
    assert sum(buffer.nbytes for buffer in arena._ARENA.free) == arena._ARENA.n_bytes > 0


@pytest.mark.usefixtures("plain_driver")
def test_a_singular_matrix_is_a_linalg_error() -> None:
    adjoint = adjoint_of(lambda k, s, x, c: ([np.linalg.solve(c[0] * (k - 3.0), s[0])], []), [U], [np.eye(20)])
    drive = run(_plainly(adjoint), n_steps=8, xs=[], captures=[np.eye(20)])
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        drive.forward([U], Every(2))
    drive.close()


@pytest.mark.usefixtures("plain_driver")
def test_a_rule_that_errs_about_a_type_is_found_out() -> None:
    wrong = Primitive("wrong", lambda x: x > 0.5, type_rule=lambda x: x, differentiable=False)
    compiled = _plainly(adjoint_of(lambda k, s, x, c: ([s[0] * 0.5 + bind(wrong, s[0])], []), [U], []))
    drive = run(compiled, n_steps=2, xs=[], captures=[])
    with pytest.raises(ProgramError, match=r"wrong in .*gave b8\[20\], where its type rule says f64\[20\]"):
        drive.forward([U], None)
    drive.close()


@pytest.mark.usefixtures("plain_driver")
def test_an_index_outside_of_a_table_names_the_step() -> None:
    compiled = _plainly(adjoint_of(lambda k, s, x, c: ([s[0] * c[0][k]], []), [U], [M]))
    for schedule in (StoreAll(), Every(4), None):
        drive = run(compiled, n_steps=30, xs=[], captures=[M])
        with pytest.raises(IndexError, match="step 20 of the loop"):
            drive.forward([U], schedule)
        drive.close()


def test_a_tier_on_disk_is_refused() -> None:
    drive = _drive(50)
    with pytest.raises(PolicyError, match="disk"):  # noqa: PT012
        drive.forward([U, V, V], TwoLevel(7, 2))
        _back(drive)
    drive.close()


def test_a_schedule_with_parameters_that_cannot_be_hashed() -> None:
    schedule = Uneven(3, [1] * 12)  # type: ignore[arg-type]
    assert same_bits(_run(_drive(12), schedule), _run(_drive(12), StoreAll()))


def test_a_run_that_was_closed_is_let_go_of() -> None:
    drive = _drive(5)
    drive.forward([U, V, V], Every(2))
    drive.close()
    gone = weakref.ref(drive)
    del drive
    gc.collect()
    assert gone() is None


def test_there_is_one_driver_for_all_steps_of_one_thread_and_one_for_crews() -> None:
    for with_crew in (False, True):
        assert driver(with_crew) is driver(with_crew)
        assert driver(with_crew).addresses.keys() == {"drive"}
    assert driver(False) is not driver(True)

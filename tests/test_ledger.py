"""A ledger notes lines while it is open, and nobody pays for it when it is not."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import unspool
from unspool.ir.listener import listening
from unspool.ledger import Page, by_line, open_ledger, opened
from unspool.source_line import user_frame
from unspool.tape import Tape


def line() -> int:
    frame = user_frame()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_a_page_knows_the_line_of_every_node() -> None:
    tape = Tape()
    tape.nodes = Page()
    with listening(tape):
        x = tape.input(np.ones(100))
        y = np.sin(x) * x
        z = np.sum(y)
        here = line()
    assert [number - here for _, number in tape.nodes.places] == [-3, -2, -2, -1]
    assert {file for file, _ in tape.nodes.places} == {__file__}
    assert tape.sweep([(z.node, np.float64(1.0))], free=False)[0].shape == (100,)


def test_what_a_write_has_overwritten_belongs_to_its_line() -> None:
    tape = Tape()
    tape.nodes = Page()
    with listening(tape):
        u = np.copy(tape.input(np.ones(1000)))
        u[0] = 2.0
        y = u * u
        u[:500] = y[500:]
        here = line()
    entries = {entry.place[1] - here: entry for entry in by_line([tape])}
    assert y.shape == (1000,)
    assert 4000 < entries[-1].n_bytes < 6000


def test_bytes_belong_to_the_first_line_that_holds_them() -> None:
    tape = Tape()
    tape.nodes = Page()
    with listening(tape):
        x = tape.input(np.ones(1000))
        np.sin(x)  # holds x
        here = line()
        np.cos(x[1:])  # holds a view of it
        np.exp(x)  # holds its own result
        x + 1.0  # holds nothing
    entries = {entry.place[1] - here: entry for entry in by_line([tape])}
    assert {offset: entry.nodes for offset, entry in entries.items()} == {-1: 1, 1: 2, 2: 1, 3: 1}
    assert entries[-1].n_bytes > 8000
    assert entries[1].n_bytes < 1000
    assert entries[2].n_bytes > 8000
    assert entries[3].n_bytes < 400
    assert [entry.n_bytes for entry in by_line([tape])] == sorted([e.n_bytes for e in entries.values()], reverse=True)
    without = {entry.place[1] - here: entry for entry in by_line([tape], [x.value])}
    assert without[-1].n_bytes < 1000


def loop(policy: str, n: int = 20) -> Any:
    def step(i: int, u: Any) -> Any:
        return u + 0.1 * np.sin(u) * u

    return unspool.grad(lambda u: np.sum(unspool.fori_loop(0, n, step, u, policy=policy)))(np.ones(500))


@pytest.mark.parametrize("policy", ["none", "every-5", "revolve-3"])
def test_lines_of_a_loop_add_up_to_what_its_report_says(policy: str) -> None:
    with unspool.observe() as log:
        plain = loop(policy)
    with opened() as ledger, unspool.observe():
        watched = loop(policy)
    assert plain.tobytes() == watched.tobytes()
    (entry,) = ledger.loops.values()
    assert entry.n_steps == unspool.simulate(unspool.schedules.as_schedule(policy), 20).peak_taped
    rest = log[0].peak_residual_bytes - entry.n_bytes  # the lists of the nodes, which belong to no line
    assert 0 < rest <= 250 * entry.n_steps
    assert entry.place[0] == __file__


def test_a_ledger_is_open_in_one_thread_for_the_length_of_a_block() -> None:
    assert open_ledger() is None
    found = []
    with opened() as ledger:
        assert open_ledger() is ledger
        other = threading.Thread(target=lambda: found.append(open_ledger()))
        other.start()
        other.join()
        with opened() as inner:
            assert open_ledger() is inner
        assert open_ledger() is ledger
    assert found == [None]
    assert open_ledger() is None
    with pytest.raises(ZeroDivisionError), opened():
        loop(str(1 // 0))
    assert open_ledger() is None


def test_without_a_ledger_a_tape_is_a_plain_list() -> None:
    seen = []

    def step(i: int, u: Any) -> Any:
        seen.append(type(u.listener.nodes))
        return u * 2.0

    unspool.grad(lambda u: unspool.fori_loop(0, 3, step, u, policy="none"))(1.0)
    assert set(seen) == {list}
    with opened(), unspool.observe():
        seen.clear()
        unspool.grad(lambda u: unspool.fori_loop(0, 3, step, u, policy="none"))(1.0)
    assert set(seen) == {Page}

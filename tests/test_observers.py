"""Reports: counted, weighed, timed, per thread, and no cost where nobody looks."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import unspool
from unspool import fori_loop, grad, observe
from unspool.observers import logs


def _run(policy: Any, n: int = 12) -> Any:
    return grad(lambda u: np.sum(fori_loop(0, n, lambda i, u: u + 0.1 * np.sin(u), u, policy=policy)))(np.ones(100))


def test_a_report_counts_weighs_and_times_each_loop() -> None:
    with observe() as log:
        _run("none")
        _run("revolve-2")
    first, second = log
    assert (first.name, first.n_steps, first.steps, first.records, first.saves, first.loads) == (
        "fori_loop",
        12,
        12,
        12,
        0,
        0,
    )
    assert second.steps == second.predicted_steps > 12
    assert second.records == 12
    assert second.state_bytes == 800
    assert second.residual_bytes > 800
    assert second.peak_bytes <= second.predicted_peak_bytes < first.peak_bytes
    for report in log:
        assert report.reversed
        assert report.seconds["sweep"] > 0
        assert report.seconds["unwind"] > 0


def test_nothing_is_collected_outside_of_the_block_or_from_other_threads() -> None:
    with observe() as log:
        thread = threading.Thread(target=_run, args=("none",))
        thread.start()
        thread.join()
    _run("none")
    assert log == []
    assert logs() == []


def _observed_and_broken(seen: list[Any]) -> None:
    with observe() as log:
        _run("every-2")
        seen += log
        raise KeyError


def test_blocks_nest_and_close_after_an_error() -> None:
    inner: list[Any] = []
    with observe() as outer:
        _run("none")
        with pytest.raises(KeyError):
            _observed_and_broken(inner)
        _run("revolve-3")
    assert [str(r.policy) for r in outer] == ["none", "every-2", "revolve-3"]
    assert [str(r.policy) for r in inner] == ["every-2"]
    assert logs() == []


def test_a_loop_that_is_never_reversed_says_so() -> None:
    with observe() as log:
        unspool.vjp(lambda u: fori_loop(0, 4, lambda i, u: u * 2, u, policy="every-2"), 1.0)
    assert not log[0].reversed


def test_the_table_has_a_row_per_loop_in_units_that_a_person_reads() -> None:
    with observe() as log:
        _run("every-3", n=1200)
        unspool.grad(lambda x: unspool.while_loop(lambda u: u < 9, lambda u: u * 2, x, policy="online-2"))(1.0)
    lines = str(log).splitlines()
    assert lines[0].split()[:5] == ["loop", "policy", "steps", "run", "×"]
    assert lines[1].split()[:3] == ["fori_loop", "every-3", "1,200"]
    assert lines[2].split()[:3] == ["while_loop", "online-2", "4"]
    assert "kB" in lines[1]
    assert all(line == line.rstrip() for line in lines)
    assert str(type(log)()).startswith("loop")


def test_a_report_names_the_line_that_called_the_loop() -> None:
    with unspool.observe() as log:
        unspool.grad(lambda x: unspool.fori_loop(0, 3, lambda i, u: u * x, 1.0))(1.1)
    assert log[0].line is not None
    assert log[0].line.startswith("test_observers.py:")

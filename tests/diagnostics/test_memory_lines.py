"""Memory by line: the lines are those of the user, the bytes those of the tape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.test_table import cells
from unspool.diagnostics import memory_by_line
from unspool.diagnostics.memory_lines import Held, MemoryByLine
from unspool.errors import InputError
from unspool.ledger import open_ledger

N = 1000
ARRAY = 8 * N


def of(seen: MemoryByLine, text: str) -> list[Held]:
    """The lines in which a text stands."""
    return [line for line in seen.lines if text in line.source]


def step(i: int, u: Any) -> Any:
    v = np.sin(u)
    w = v * u
    return u + 0.01 * w


def simulation(x: Any, policy: Any = None) -> Any:
    y = np.exp(x)
    z = unspool.fori_loop(0, 100, step, y, policy=policy)
    return np.sum(z * y)


def test_without_loops() -> None:
    def f(x: Any) -> Any:
        y = np.exp(x)
        z = y + 3.0
        return np.sum(z * z)

    seen = memory_by_line(f)(np.ones(N))
    assert [line.source for line in seen.lines] == ["return np.sum(z * z)", "y = np.exp(x)", "z = y + 3.0"]
    assert [round(line.n_bytes / ARRAY) for line in seen.lines] == [1, 1, 0]
    assert [line.operations for line in seen.lines] == [2, 1, 1]
    assert {line.what for line in seen.lines} == {"on the tape"}
    assert seen.tape_bytes == sum(line.n_bytes for line in seen.lines)
    assert seen.loop_bytes == {}
    assert all(line.where.startswith("test_memory_lines.py:") for line in seen.lines)


@pytest.mark.parametrize(("policy", "taped", "snapshots"), [("none", 100, 0), ("every-10", 10, 9), ("revolve-5", 1, 5)])
def test_a_loop_holds_what_its_policy_lets_it_hold(policy: str, taped: int, snapshots: int) -> None:
    seen = memory_by_line(simulation)(np.ones(N), policy)
    (sine,), (product,) = of(seen, "v = np.sin(u)"), of(seen, "w = v * u")
    steps = "1 step" if taped == 1 else f"{taped} steps"
    for line in (sine, product):
        assert line.what == f"residuals of {steps} of fori_loop"
        assert line.operations == taped
        assert taped * ARRAY < line.n_bytes < taped * (ARRAY + 500)
        assert line.loop is not None
    saved = [line for line in seen.lines if line.what == "snapshots of fori_loop"]
    assert [line.n_bytes for line in saved] == [snapshots * ARRAY] * bool(snapshots)
    assert [line.loop for line in saved] == [line.where for line in saved]
    (call,) = of(seen, "unspool.fori_loop")  # the node of the loop itself
    assert call.loop is None
    assert call.where == sine.loop
    assert seen.loop_bytes[call.where] == sum(line.n_bytes for line in seen.lines if line.loop)


def test_policy_auto_is_seen_as_it_runs() -> None:
    seen = memory_by_line(lambda x: np.sum(unspool.fori_loop(0, 200, step, x, memory="300 kB")))(np.ones(N))
    with unspool.observe() as log:
        unspool.grad(lambda x: np.sum(unspool.fori_loop(0, 200, step, x, memory="300 kB")))(np.ones(N))
    assert 0 < sum(seen.loop_bytes.values()) <= 300_000
    assert log[0].peak_bytes <= 300_000


def test_a_compiled_loop_keeps_its_states() -> None:
    def decay(x: Any) -> Any:
        return np.sum(unspool.fori_loop(0, 100, lambda i, u: u - 0.01 * u * u, x, policy="none", compile=True))

    seen = memory_by_line(decay)(np.ones(3))
    (states,) = [line for line in seen.lines if line.loop]
    assert states.what == "states of recorded steps of fori_loop, compiled"
    assert states.n_bytes == 100 * 24


def test_a_loop_in_a_loop() -> None:
    def inner(i: int, u: Any) -> Any:
        return np.sin(u) * u

    def outer(i: int, u: Any) -> Any:
        return unspool.fori_loop(0, 3, inner, u, policy="none") + np.cos(u)

    seen = memory_by_line(lambda u: np.sum(unspool.fori_loop(0, 4, outer, u, policy="none")))(np.ones(N))
    assert of(seen, "return np.sin(u) * u")[0].what == "residuals of 3 steps of fori_loop"
    assert {line.what for line in of(seen, "np.cos(u)")} == {"residuals of 4 steps of fori_loop"}
    assert len(seen.loop_bytes) == 2


def test_arguments_are_chosen_and_results_are_any() -> None:
    def f(n: int, x: Any, y: Any) -> Any:
        return {"a": np.sin(x) * n, "b": np.exp(y)}

    one = memory_by_line(f, argnums=1)(3, np.ones(N), np.ones(N))
    both = memory_by_line(f, argnums=(1, 2))(3, np.ones(N), np.ones(N))
    assert round(one.tape_bytes / ARRAY) == 1
    assert round(both.tape_bytes / ARRAY) == 2
    with pytest.raises(InputError, match="integers"):
        memory_by_line(f)(3, np.ones(N), np.ones(N))


def test_it_shows_itself() -> None:
    seen = memory_by_line(simulation)(np.ones(N), "every-10")
    rows = cells(seen._repr_html_())
    assert rows[0] == ["line", "", "holds", "operations", "bytes"]
    assert rows[1][1:4] == ["w = v * u", "residuals of 10 steps of fori_loop", "10"]
    assert "17.2 kB on the tape at the turn" in str(seen).splitlines()[0]
    assert "at most for the loop at test_memory_lines.py:" in str(seen).splitlines()[0]
    assert seen.markdown().count("\n") == len(rows) + 2


def test_an_error_leaves_no_ledger_open() -> None:
    with pytest.raises(ZeroDivisionError):
        memory_by_line(lambda x: x * (1 // 0))(1.0)
    assert open_ledger() is None

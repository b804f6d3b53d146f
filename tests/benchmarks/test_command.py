"""``python -m benchmarks``: what it measures ends in a JSON, and a table; what cannot be done is told in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks.report import best, draw, tables, wrong

ROOT = Path(__file__).parents[2]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    return command.main()


def row(rival: str, label: str, **how: Any) -> dict[str, Any]:
    """What a measurement has found, or that it failed."""
    measured = {"seconds": 0.002, "first_call_seconds": 1.0, "peak_bytes": 4096, "difference": 1e-15}
    return {"rival": rival, "label": label, **({} if "failed" in how else measured), **how}


def result(*rows: dict[str, Any], **how: Any) -> dict[str, Any]:
    problem = {
        "name": "ode",
        "size": "small",
        "title": "GradBench ode",
        "n_steps": 100,
        "numbers": 16,
        "tolerance": 1e-9,
        "reference": {"by": "tape", "checked_by": "central differences", "error": 1e-12},
        "rows": list(rows),
    }
    return {
        "size": "small",
        "machine": {"processor": "a processor", "cores": 2, "memory_bytes": 10**9},
        "versions": {"numpy": "2.4"},
        "date": "2026-01-01T00:00:00",
        "absent": {"torch": ["torch"]},
        "problems": [problem | how],
    }


def test_two_rivals_are_measured_each_in_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "found.json"
    chosen = ["--problems", "network", "--rivals", "numpy,auto", "--json", str(file)]
    assert run(monkeypatch, *chosen) == 0
    found = json.loads(file.read_text())
    (problem,) = found["problems"]
    assert [(r["rival"], r["label"]) for r in problem["rows"]] == [
        ("numpy", "a Python loop"),
        ("numpy", "unspool's loop"),
        ("auto", "auto"),
    ]
    assert problem["reference"]["checked_by"] == "complex step"
    assert problem["reference"]["error"] < 1e-12
    auto = problem["rows"][2]
    assert (auto["policy"], auto["steps"], auto["difference"]) == ("none", 300, 0.0)
    assert auto["held_bytes"] > 300 * 32 * 8
    assert auto["peak_bytes"] is None or auto["peak_bytes"] > 300 * 32 * 8
    assert {"machine", "versions", "date", "environment"} <= set(found)
    assert "| network |" in capsys.readouterr().out


def test_a_measurement_that_fails_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failed = command.child(["network", "small", "numpy", "a Python loop", str(tmp_path / "missing.npz")], 60)
    assert list(failed) == ["failed"]
    assert "missing.npz" in failed["failed"]
    assert "\n" not in failed["failed"]
    assert command.child(["network", "small", "numpy", "a Python loop", "x"], 0.01) == {"failed": "took more than 0 s"}


def test_a_spent_budget_leaves_the_rest_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    assert (
        run(monkeypatch, "--budget", "0.5", "--rivals", "numpy", "--json", str(file), "--table", str(file) + ".md") == 0
    )
    found = json.loads(file.read_text())
    assert {p["failed"] for p in found["problems"]} == {"left out: the budget is spent"}
    assert "left out: the budget is spent" in Path(str(file) + ".md").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--problems", "weather"], "no problem is called 'weather'; there are lorenz, wave"),
        (["--rivals", "ours,theirs"], "no rival is called 'theirs'; there are numpy, hand"),
        (["--rivals", ","], "no rival is named"),
        (["--budget", "-1"], "give more than 0"),
        (["--json", "/nowhere/x.json"], "there is no directory /nowhere"),
        (["--redraw", "/nowhere/x.json"], "cannot be read"),
    ],
)
def test_mistakes_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert run(monkeypatch, *arguments) == 2
    line = capsys.readouterr().err
    assert told in line
    assert line.count("\n") == 1


def test_a_json_of_something_else_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other.json"
    file.write_text("[1]")
    assert run(monkeypatch, "--redraw", str(file)) == 2
    assert "is not what --json writes" in capsys.readouterr().err


def test_the_list_names_what_is_absent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "missing", lambda name: ["jax"] if name == "jax" else [])
    assert run(monkeypatch, "--list") == 0
    out = capsys.readouterr().out
    assert "JAX (absent: jax not installed)" in out
    assert "lax-wendroff  small n_steps=200, size=100" in out


def test_tables_have_ratios_to_the_quickest_by_hand_and_say_what_is_absent() -> None:
    rows = [row("hand", "none", seconds=0.001), row("hand", "every-10"), row("tape", "none", seconds=0.03, steps=150)]
    text = tables(result(*rows, row("jax", "scan", failed="took more than 60 s")))
    assert "| ode | 1.00 | 30.0 |" in text
    assert "| tape | none | 30.0 | 30.0 | 1.00 | 4.10 kB |  | 1.50 | 1e-15 |" in text
    assert "| jax | scan | took more than 60 s |" in text
    assert "Absent: torch (torch not installed)." in text


def test_a_wrong_gradient_and_a_failure_are_mistakes_and_a_timeout_is_none() -> None:
    found = result(row("hand", "none", difference=1e-3), row("jax", "scan", failed="ValueError: no"))
    assert wrong(found) == ["ode, hand, none: off by 1.0e-03 of the largest entry", "ode, jax, scan: ValueError: no"]
    assert wrong(result(row("hand", "none", difference=float("nan"))))
    assert not wrong(result(row("jax", "scan", failed="took more than 60 s"), row("hand", "none")))
    doubtful = {"by": "tape", "checked_by": "complex step", "error": 0.1}
    assert wrong(result(reference=doubtful)) == ["ode: the reference is off by 1.0e-01"]
    assert best(found["problems"][0], "jax") is None


def test_pictures_are_png_and_svg(tmp_path: Path) -> None:
    files = draw(result(row("hand", "none"), row("tape", "none", peak_bytes=None), row("auto", "auto")), tmp_path)
    assert sorted(file.name for file in files) == ["memory.png", "memory.svg", "times.png", "times.svg"]
    assert all(file.stat().st_size > 1000 for file in files)


def test_nothing_is_imported_before_it_is_measured() -> None:
    code = "import benchmarks.__main__, sys; print([m for m in ('numba', 'jax', 'torch') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

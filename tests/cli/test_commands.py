"""Each command, as text and as JSON, against what the library says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import unspool
from unspool import cli
from unspool.codegen import disk_cache
from unspool.planner import StepPrices, choose

SHORT = ["bench", "--steps", "12", "--size", "8", "--rounds", "1"]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """What a command that succeeds prints, read where it is JSON."""
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    return json.loads(out) if "--json" in words else out


def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["demo", "--steps-per-year", "4", "--out", str(tmp_path)]
    facts = run(capsys, *words, "--json")
    assert facts["n_steps"] == 80
    assert facts["bitwise_equal"] is True
    assert facts["residual"]["after"] < facts["residual"]["before"] / 2
    assert [Path(name).parent for name in facts["pictures"]] == [tmp_path] * 2
    assert facts["policies"][1]["schedule"] == "StoreAll()"
    assert facts["directional_derivative"]["reverse_mode"] == pytest.approx(
        facts["directional_derivative"]["complex_step"], abs=1e-8
    )


def test_plan(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", "--steps", "1e4", "--state", "1kB", "--residuals", "4kB", "--memory", "1MB"]
    prices = [*["--advance", "1"], *["--reverse", "2"]]
    plan = choose(10_000, StepPrices(1000, 4000, 1.0, 1.0, 2.0, 1000 / 5e9, 1000 / 5e9), 10**6)
    facts = run(capsys, *words, *prices, "--json")
    assert facts["chosen"]["schedule"] == repr(plan.schedule)
    assert facts["chosen"]["seconds"] == plan.cost.seconds
    assert len(facts["alternatives"]) == len(plan.alternatives)
    assert run(capsys, *words, *prices) == f"{plan}\n"


def test_plan_with_a_disk(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", "--steps", "1e4", "--state", "1MB", "--residuals", "3MB", "--memory", "10MB", "--disk", "10GB"]
    assert run(capsys, *words, "--json")["chosen"]["disk_bytes"] > 0


def test_bench_measures_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = run(capsys, *SHORT, "--out", str(tmp_path / "new"), "--json")
    assert facts["bitwise_equal"] is True
    assert [p["name"] for p in facts["policies"]][:2] == ["none", "every-3"]
    assert facts["policies"][-1]["name"] == f"auto: {facts['policies'][-1]['policy']}"
    for p in facts["policies"]:
        assert p["peak_bytes"] <= p["predicted_peak_bytes"]
        assert p["seconds"] > 0
    assert facts["policies"][1]["steps"] == unspool.simulate(unspool.Every(3), 12).steps
    assert facts["policies"][-1]["peak_bytes"] <= facts["budget_bytes"]
    for name in facts["pictures"]:
        assert Path(name).read_bytes().startswith(b"\x89PNG")
    assert len(facts["pictures"]) == 2


def test_bench_draws_a_table_the_points_and_the_schedule(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, *SHORT)
    for shown in ("on the tape", "bitwise equal: yes", "a  none", "a none   b every-3", "> run for the first time"):
        assert shown in text


def test_bench_in_a_memory_that_is_too_little(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*SHORT, "--memory", "100"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "The least that works" in line


def test_doctor_finds_nothing_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    facts = run(capsys, "doctor", "--json")
    assert facts["versions"]["unspool"] is not None
    assert {check["name"] for check in facts["self_test"]} == {
        "tape and complex step",
        "compiled and tape",
        "in a budget",
    }
    assert all(check["passed"] for check in facts["self_test"])
    assert facts["memory"]["budget_bytes"] <= facts["memory"]["available_bytes"] <= facts["memory"]["total_bytes"]
    assert facts["cache"]["not_used"] == disk_cache.reason()
    assert [library["of"] for library in facts["blas"]] == ["numpy", "scipy"]


def test_doctor_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "doctor", "--no-self-test")
    for shown in ("versions    unspool", "numba ", "processor ", "threads ", "BLAS  ", "memory  ", "cache  "):
        assert shown in text
    assert "self-test" not in text


def test_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "unspool"
    monkeypatch.setattr(disk_cache, "directory", lambda: folder)
    disk_cache.put("one", [disk_cache.Entry("f", "f", (), b"code")])
    facts = run(capsys, "cache", "--json")
    assert (facts["directory"], facts["files"], facts["not_used"]) == (str(folder), 1, None)
    assert "1 removed" in run(capsys, "cache", "--clear")
    folder.chmod(0o755)
    assert run(capsys, "cache").startswith("not used: ")


def test_functions(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = run(capsys, "functions", "numpy.trace", "--json")["functions"]
    assert (row["function"], row["derivative"]) == ("numpy.trace", "all orders")
    assert len(run(capsys, "functions", "--json")["functions"]) > 500

"""The saved costs of small operations, and what counts as growth."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks import baseline


def run(**info: float | str) -> dict[str, object]:
    return {"name": "test_tool", "extra_info": info}


UNIT = {"name": "test_numpy", "extra_info": {"ns per operation": 500, "beside": "test_numpy"}}


def test_times_are_multiples_of_the_same_work_in_numpy() -> None:
    found = baseline.entries([
        UNIT,
        run(**{"ns per operation": 1500, "beside": "test_numpy"}),
        {"name": "test_else", "extra_info": {}},
    ])  # fmt: skip
    assert found == {
        "test_numpy": {"ns per operation": 500},
        "test_tool": {"ns per operation": 1500, "× NumPy": 3.0},
    }


def test_a_slower_machine_is_no_growth_but_a_slower_tool_and_more_bytes_are() -> None:
    saved = {"entries": {"test": {"ns per operation": 1000, "× NumPy": 2.0, "bytes per operation": 100}, "gone": {}}}

    def grown(**now: float) -> list[str]:
        entries = {"test": now, "new": {"× NumPy": 9.0}}
        return [unit for _, unit, *_, grew in baseline.changes(saved, {"entries": entries}) if grew]

    assert grown(**{"ns per operation": 3000, "× NumPy": 2.1, "bytes per operation": 101}) == []
    assert grown(**{"ns per operation": 900, "× NumPy": 2.5, "bytes per operation": 103}) == [
        "× NumPy",
        "bytes per operation",
    ]


def test_the_table_shows_what_was_and_what_is() -> None:
    saved = {"date": "2026-01-01T00:00:00", "versions": {"commit": "abc"}}
    text = str(baseline.table([("test", "× NumPy", 2.0, 3.0, True)], saved))
    assert text.startswith("Saved 2026-01-01 at abc")
    assert text.splitlines()[-1].split() == ["test", "×", "NumPy", "2", "3", "1.50", "grew"]


def test_what_is_saved_has_a_multiple_for_every_time_of_ours_and_bytes_for_every_chain() -> None:
    saved = json.loads(baseline.BASELINE.read_text())
    units = [unit for figures in saved["entries"].values() for unit in figures]
    assert units.count("bytes per operation") == units.count("without arrays") == 3
    assert all(figure > 0 for figures in saved["entries"].values() for figure in figures.values())
    for name, figures in saved["entries"].items():
        if "numpy" not in name and "bytes" not in name:
            assert figures["× NumPy"] > 1
    assert {"machine", "versions", "date"} <= set(saved)


def test_a_baseline_that_is_missing_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["baseline", "--baseline", "/nowhere/small.json"])
    monkeypatch.setattr(subprocess, "run", None)
    with pytest.raises(SystemExit, match="2"):
        baseline.main()
    assert "there is no /nowhere/small.json: --save makes one" in capsys.readouterr().err

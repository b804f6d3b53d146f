"""The command line: one line for an error, 0, 1 or 2 for how it went."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from unspool import cli
from unspool.errors import PolicyError


def test_the_demo_gets_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(cli, "demo", lambda **kwargs: seen.append(kwargs))
    assert cli.main(["demo", "--steps-per-year", "7", "--out", "pictures"]) == 0
    assert cli.main(["demo"]) == 0
    assert seen == [{"steps_per_year": 7, "out": Path("pictures")}, {"steps_per_year": 100, "out": Path()}]


@pytest.mark.parametrize("error", [PolicyError("no such policy"), PermissionError("not yours")])
def test_an_error_is_told_in_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(cli, "demo", broken)
    assert cli.main(["demo"]) == 1
    shown = capsys.readouterr()
    assert shown.err == f"unspool: {error}\n"
    assert shown.out == ""


@pytest.mark.parametrize("wrong", [[], ["fit"], ["demo", "--steps-per-year", "0"], ["demo", "--steps-per-year", "x"]])
def test_a_wrong_call_ends_with_two_and_the_usage(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(wrong)
    assert ended.value.code == 2
    assert "usage: unspool" in capsys.readouterr().err


def test_it_is_a_module_that_runs() -> None:
    done = subprocess.run([sys.executable, "-m", "unspool", "--help"], capture_output=True, text=True, check=True)
    assert "demo" in done.stdout

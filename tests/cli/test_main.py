"""The command line: one line for an error; 0, 1 or 2 for how it went; JSON from every command."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from typing import Any

import pytest

from unspool import cli
from unspool.cli.command import CommandError, Outcome
from unspool.errors import PolicyError


def put(monkeypatch: pytest.MonkeyPatch, name: str, run: Any) -> None:
    """Let a command do something else."""
    monkeypatch.setitem(cli.COMMANDS, name, replace(cli.COMMANDS[name], run=run))


@pytest.mark.parametrize(
    "error", [PolicyError("no such policy"), PermissionError("not yours"), CommandError("cannot\n  be done")]
)
def test_an_error_is_told_in_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(chosen: Namespace) -> Outcome:
        raise error

    put(monkeypatch, "demo", broken)
    assert cli.main(["demo"]) == 1
    shown = capsys.readouterr()
    assert shown.err == f"unspool: {' '.join(str(error).split())}\n"
    assert shown.out == ""


def test_an_interrupt_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(chosen: Namespace) -> Outcome:
        raise KeyboardInterrupt

    put(monkeypatch, "bench", interrupted)
    assert cli.main(["bench"]) == 1
    assert capsys.readouterr().err == "unspool: interrupted\n"


def test_what_is_found_to_be_wrong_ends_with_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(monkeypatch, "doctor", lambda chosen: Outcome({"self_test": "bad"}, "bad", good=False))
    assert cli.main(["doctor"]) == 1
    assert capsys.readouterr().out == "bad\n"
    assert cli.main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"self_test": "bad"}


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["fit"],
        ["demo", "--steps-per-year", "0"],
        ["demo", "--steps-per-year", "x"],
        ["bench", "--memory", "lots"],
        ["bench", "--size", "1.5"],
        ["cache", "--forget"],
    ],
)
def test_a_wrong_call_ends_with_two_and_the_usage(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(wrong)
    assert ended.value.code == 2
    assert "usage: unspool" in capsys.readouterr().err


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_examples_that_can_be_typed_and_json(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "--json" in text
    put(monkeypatch, name, lambda chosen: Outcome({"ran": chosen.command}, "ran"))
    for example in cli.COMMANDS[name].examples:
        assert f"  {example}\n" in text
        program, *words = example.partition(" > ")[0].split()
        assert program == "unspool"
        assert cli.main([word.strip("'") for word in words]) == 0
    capsys.readouterr()
    assert cli.main([*words, *["--json"] * ("--json" not in words)]) == 0
    assert json.loads(capsys.readouterr().out) == {"ran": name}


def test_it_is_a_module_that_runs() -> None:
    done = subprocess.run([sys.executable, "-m", "unspool", "--help"], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in cli.COMMANDS)


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m unspool functions | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout in ("0\n", "1\n")  # it may be faster than the reader

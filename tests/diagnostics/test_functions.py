"""The function table: the page in docs is what the registry says, and nobody's entry is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unspool import cli
from unspool.diagnostics.functions import enrolled, page
from unspool.ops import TABLE

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.2.0", reason="earlier versions have fewer functions")
def test_the_page_is_what_the_registry_says() -> None:
    committed = (ROOT / "docs" / "functions.md").read_text()
    assert committed == page(), "run `unspool functions > docs/functions.md`"


def test_every_entry_has_one_line() -> None:
    shown = page().splitlines()
    for entry in enrolled():
        lines = [line for line in shown if line.startswith((f"| `{entry.name}` ", f"| `unspool.{entry.name}` "))]
        assert len(lines) == 1, entry.name
    assert len(enrolled()) == len({entry.name for entry in TABLE.values()})
    assert all(entry.derivative in ("all orders", "zero", "refused") for entry in enrolled())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("numpy.sum`", "| `numpy.sum` | all orders | axis, dtype, keepdims, initial, where | |"),
        ("numpy.floor`", "| `numpy.floor` | zero | | |"),
        ("numpy.unique`", "| `numpy.unique` | refused | | |"),
        ("numpy.add.at", "| `numpy.add.at` | all orders | | |"),
        ("special.jv`", "| `scipy.special.jv` | all orders | | Not in the order v. |"),
        ("stats.t.cdf", "| `unspool.scipy.stats.t.cdf` | all orders | loc, scale | Not in df. |"),
        ("linalg.block_diag", "| `unspool.scipy.linalg.block_diag` | all orders | | |"),
    ],
)
def test_lines(text: str, line: str) -> None:
    assert page(text) == line


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["functions"]) == 0
    assert capsys.readouterr().out == page()
    assert cli.main(["functions", "numpy.trace"]) == 0
    assert capsys.readouterr().out == page("numpy.trace") + "\n"

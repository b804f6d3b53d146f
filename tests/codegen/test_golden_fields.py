"""The text of a module for fields: the wave by slices, a write in place, and a line of receivers as the output.

After a change that is meant: ``python -m tests.codegen.test_golden_fields`` writes the golden file anew; review its diff.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from tests.codegen.test_emit import adjoint_of
from unspool.codegen.field_step import field_step

GOLDEN = Path(__file__).parent / "golden" / "wave_slices.py.txt"


def wave(k: Any, state: list[Any], inputs: list[Any], captures: list[Any]) -> Any:
    """A leapfrog step; the factor inside the border is captured."""
    (before, now), (factor,) = state, captures
    after = 2 * now - before
    after[1:-1, 1:-1] += factor * (
        now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2] - 4 * now[1:-1, 1:-1]
    )
    return [now, after], [after[3, 2:-2]]


def wave_source() -> str:
    """The text of its module, without line numbers."""
    field = np.zeros((32, 32))
    return re.sub(r"  # \S+:\d+", "", field_step(adjoint_of(wave, [field, field], [field[1:-1, 1:-1]])).text)


def test_the_source_of_the_wave_is_the_golden_file() -> None:
    assert wave_source() == GOLDEN.read_text(), "if this is meant: python -m tests.codegen.test_golden_fields"


def test_the_reverse_step_writes_over_cotangents_as_one_would_by_hand() -> None:
    reverse = wave_source()[wave_source().index("def reverse") :]
    assert len(set(re.findall(r"^ +(\w+)\[[^\]]*\] = ", reverse, flags=re.M))) == 3  # seeds, one cotangent, the total


if __name__ == "__main__":
    GOLDEN.write_text(wave_source())

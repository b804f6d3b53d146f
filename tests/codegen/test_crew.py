"""A crew shares the nests of a step: the bits are those of one thread, whoever comes first."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codegen.field_steps import HOW, LINES, SHAPES
from tests.codegen.plain import crews, plainly
from tests.oracles import same_bits
from tests.test_compiled_fields import _flat, _random
from unspool.codegen import shares


@pytest.fixture(autouse=True)
def everything_is_shared() -> Any:
    with patch.object(shares, "LEAST_WORK", 0), patch.object(shares, "ROWS", 2):
        yield


@settings(max_examples=400, phases=[__import__("hypothesis").Phase.generate])
@given(
    lines=LINES,
    how=HOW,
    shapes=SHAPES,
    n=st.integers(1, 3),
    counted=st.booleans(),
    order=st.integers(1, 4).flatmap(lambda n: st.permutations(range(n))),
)
def test_random_steps_in_any_order(lines: Any, how: int, shapes: Any, n: int, counted: bool, order: Any) -> None:
    loss, args = _random(lines, how, shapes, n, counted=counted, most=150)
    with plainly(), np.errstate(all="ignore"):
        expected = _flat(loss, args, compile=True, policy="revolve-1")
        with crews(order):
            found = _flat(loss, args, compile=True, policy="revolve-1", threads=max(2, len(order)))
    assert same_bits(found, expected)

"""Families: what a rule is made of, and what is kept for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ops.agreement import some
from unspool.ir.primitive import Read, reads_of
from unspool.layout import ArrayType
from unspool.ops import PRIMITIVES
from unspool.ops.families import cast, fit, linear, unbroadcast


@pytest.mark.parametrize(
    ("shape", "target"),
    [
        ((2, 3), (3,)),
        ((2, 3), (2, 1)),
        ((2, 3), (1, 1)),
        ((2, 3), ()),
        ((2, 3), (2, 3)),
        ((0, 3), (3,)),
        ((4, 1, 3), (1, 1)),
    ],
)
def test_a_cotangent_is_summed_where_its_operand_was_broadcast(shape: Any, target: Any) -> None:
    ct = some(*shape)
    found = unbroadcast(ct, target)
    assert found.shape == target
    ones = np.ones(target)
    np.testing.assert_allclose(np.sum(found * ones), np.sum(ct * np.broadcast_to(ones, shape)))


def test_a_cotangent_takes_the_dtype_of_its_operand() -> None:
    ct = some(3) + 1j
    for dtype in (np.float32, np.float64, np.complex64, np.complex128):
        assert cast(ct, np.dtype(dtype)).dtype == dtype
        assert fit(ct, ArrayType(np.dtype(dtype), ())).dtype == dtype


@pytest.mark.parametrize(
    ("name", "wanted", "plain", "reads"),
    [
        ("add", 3, True, "---"),
        ("add", 1, False, "-t-"),
        ("subtract", 3, False, "-tt"),
        ("multiply", 1, True, "--v"),
        ("multiply", 3, True, "-vv"),
        ("multiply", 1, False, "-tv"),
        ("divide", 1, True, "--v"),
        ("divide", 2, True, "v-v"),
        ("exp", 1, True, "v-"),
        ("sin", 1, True, "-v"),
        ("tanh", 1, True, "v-"),
        ("maximum", 3, True, "-vv"),
        ("where", 6, True, "-v--"),
        ("sum", 1, False, "-t"),
        ("roll", 1, False, "--"),
        ("transpose", 1, False, "--"),
        ("reshape", 1, False, "-t"),
        ("concatenate", 3, False, "-tt"),
        ("matmul", 1, False, "-tv"),
        ("matmul", 2, False, "-vt"),
        ("solve", 2, False, "-vt"),
        ("inv", 1, False, "v-"),
        ("max", 1, False, "vv"),
        ("cumsum", 1, False, "--"),
    ],
)
def test_only_what_a_rule_reads_is_kept(name: str, wanted: int, plain: bool, reads: str) -> None:
    pull = PRIMITIVES[name].pull_for(wanted, len(reads) - 1, plain)
    letters = {Read.NOTHING: "-", Read.TYPE: "t", Read.VALUE: "v"}
    assert "".join(letters[read] for read in pull.reads) == reads


def test_a_linear_rule_that_reads_a_value_is_a_mistake() -> None:
    mistaken = linear(np.negative, lambda ct, x: ct * x, name="mistaken")
    del PRIMITIVES["mistaken"]
    with pytest.raises(AssertionError, match="depends on the type"):
        mistaken.pull_for(1, 1, False)


def test_reads_through_inner_functions_count_as_values() -> None:
    assert reads_of(lambda ct, y, x: [x for _ in range(3)]) == (Read.NOTHING, Read.VALUE)
    assert reads_of(lambda ct, y, x: x.shape + x.shape) == (Read.NOTHING, Read.TYPE)
    assert reads_of(lambda ct, y, x: x.real) == (Read.NOTHING, Read.VALUE)

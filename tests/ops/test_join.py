"""Joining, splitting, repeating, padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some

A, B = some(2, 3), some(2, 3, turn=0.3)
V, W = some(3), some(3, turn=0.3)
T = some(2, 3, 4)

CASES = {
    "concatenate": (lambda a, b: np.concatenate([a, b]), A, B),
    "concatenate axis": (lambda a, b: np.concatenate((a, b, 2 * a), axis=-1), A, B),
    "concatenate flat": (lambda a, b: np.concatenate((a, b), axis=None), A, V),
    "concatenate with plain": (lambda a: np.concatenate((a, np.ones((1, 3)))), A),
    "concatenate the same": (lambda a: np.concatenate((a, a)), A),
    "concat": (lambda a, b: np.concat([a, b]), A, B),
    "concatenate rows": (np.concatenate, T),
    "concatenate complex": (lambda a, z: np.concatenate((a, z)), V, complex_some(2)),
    "stack": (lambda a, b: np.stack([a, b]), A, B),
    "stack axis": (lambda a, b: np.stack([a, b, a], axis=-1), A, B),
    "stack of numbers": (lambda x: np.stack([x[0], 2.0, x[1] * x[2]]), V),
    "stack complex": (lambda a, z: np.stack((a, z)), V, complex_some(3)),
    "hstack": (lambda a, b: np.hstack((a, b)), A, B),
    "hstack vectors": (lambda a, b: np.hstack((a, b, 1.0)), V, W),
    "vstack": (lambda a, b: np.vstack((a, b)), A, V),
    "dstack": (lambda a, b: np.dstack((a, b)), A, B),
    "dstack vectors": (lambda a, b: np.dstack((a, b)), V, W),
    "column_stack": (lambda a, b: np.column_stack((a, b)), A.T, W),
    "append": (np.append, A, V),
    "append axis": (lambda a, b: np.append(a, b, axis=1), A, B),
    "split": (lambda x: np.split(x, 3, axis=1), T),
    "split at": (lambda x: np.split(x, [1, 3], axis=-1), T),
    "array_split": (lambda x: np.array_split(x, 3, axis=2), T),
    "array_split at": (lambda x: np.array_split(x, [1]), T),
    "hsplit": (lambda x: np.hsplit(x, 3), T),
    "hsplit vector": (lambda x: np.hsplit(x, [1]), V),
    "vsplit": (lambda x: np.vsplit(x, 2), T),
    "dsplit": (lambda x: np.dsplit(x, 2), T),
    "tile": (lambda x: np.tile(x, 3), A),
    "tile axes": (lambda x: np.tile(x, (2, 1, 2)), A),
    "tile fewer": (lambda x: np.tile(x, (2,)), T),
    "tile number": (lambda x: np.tile(x, 3), 2.0),
    "repeat": (lambda x: np.repeat(x, 2), A),
    "repeat axis": (lambda x: np.repeat(x, 2, axis=1), A),
    "repeat counts": (lambda x: np.repeat(x, [0, 3, 1], axis=1), A),
    "repeat method": (lambda x: x.repeat(2, 0), A),
    "pad": (lambda x: np.pad(x, 1), A),
    "pad pairs": (lambda x: np.pad(x, ((1, 0), (2, 3)), constant_values=2.0), A),
    "pad values": (lambda x: np.pad(x, ((1, 2), (2, 1)), constant_values=((1, 2), (3, 4))), A),
    "pad one pair": (lambda x: np.pad(x, (1, 2), mode="constant"), A),
    "pad dict": (lambda x: np.pad(x, {1: (1, 2)}), A),
    "pad 0": (lambda x: np.pad(x, 0), A),
    **{
        f"pad {mode} {width}": (lambda x, m=mode, w=width: np.pad(x, w, mode=m), A)
        for mode in ("edge", "wrap", "reflect", "symmetric")
        for width in (1, ((0, 2), (2, 1)), ((5, 4), (0, 7)))
    },
    "pad complex": (lambda x: np.pad(x, 1, mode="wrap"), complex_some(3)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_agrees_with_numpy(case: Any) -> None:
    function, *args = case
    agrees(function, *args)


def test_single_precision_stays() -> None:
    a, b = A.astype(np.float32), B.astype(np.float32)
    for f in (
        lambda a, b: np.concatenate((a, b)),
        lambda a, b: np.stack((a, b)),
        lambda a, b: np.pad(a, 1) * np.sum(b),
    ):
        agrees(f, a, b, tolerance=1e-2, h=1e-2)
    agrees(lambda a, b: np.concatenate((a, b)), a, B, tolerance=1e-2, h=1e-2)


@pytest.mark.parametrize("mode", ["linear_ramp", "mean", "maximum", "median", "empty", lambda *_: None])
def test_pad_modes_without_a_rule(mode: Any) -> None:
    with pytest.raises(unspool.errors.UnsupportedError, match="mode="):
        unspool.grad(lambda x: np.sum(np.pad(x, 1, mode=mode)))(A)


def test_keywords_that_are_not_modelled() -> None:
    for f in (
        lambda x: np.concatenate((x, x), dtype=np.float32),
        lambda x: np.stack((x, x), casting="unsafe"),
        lambda x: np.pad(x, 1, mode="reflect", reflect_type="odd"),
        lambda x: np.pad(x, 1, mode="linear_ramp", end_values=2),
    ):
        with pytest.raises(unspool.errors.UnsupportedError, match="="):
            unspool.grad(lambda x, f=f: np.sum(f(x)))(A)


def test_uneven_splits() -> None:
    with pytest.raises(ValueError, match="equal division"):
        unspool.grad(lambda x: np.sum(np.split(x, 2, axis=1)[0]))(A)

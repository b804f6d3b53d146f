"""Cosine and sine transforms: every type, normalisation and length, and their inverses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.scipy import fft

A = some(4, 5)


@pytest.mark.parametrize("orthogonalize", [None, False, True])
@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["dct", "idct", "dst", "idst"])
def test_transforms(name: str, number: int, norm: Any, orthogonalize: Any) -> None:
    one, many = getattr(fft, name), getattr(fft, f"{name}n")
    for n in (None, 3, 6):
        agrees(lambda x: one(x, number, n, 0, norm, orthogonalize=orthogonalize), A)
    agrees(lambda x: many(x, number, (3, 4), norm=norm, workers=1, orthogonalize=orthogonalize), A)
    agrees(lambda x: many(x, type=number, axes=(1,), norm=norm, overwrite_x=False), complex_some(3, 2))


def test_lengths_of_one_and_two() -> None:
    for number in (2, 3, 4):
        for f in (fft.dct, fft.dst):
            for norm in (None, "ortho"):
                agrees(lambda x: f(x, number, norm=norm), some(1))
    agrees(lambda x: fft.dct(x, 1), some(2))
    agrees(lambda x: fft.dstn(x, axes=()), A)


def test_an_orthogonal_transform_keeps_lengths() -> None:
    gradient = unspool.grad(lambda x: np.sum(fft.dctn(x, norm="ortho") ** 2))(A)
    np.testing.assert_allclose(gradient, 2 * A, atol=1e-14)


def test_there_are_four_types() -> None:
    with pytest.raises(ValueError, match="type 5"):
        unspool.vjp(lambda x: fft.dct(x, 5), A)

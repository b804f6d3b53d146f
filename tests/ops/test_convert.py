"""Copies, dtypes, complex parts, arrays in the likeness of others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, same_bits, some

X, Z = some(3, 4), complex_some(3, 2)


@pytest.mark.parametrize(
    "f",
    [np.real, np.imag, np.conj, np.conjugate, np.angle, lambda z: np.angle(z, deg=True), np.abs, lambda z: z.conj()],
)
def test_parts_of_complex_numbers(f: Any) -> None:
    agrees(f, Z)
    agrees(f, Z[0, 0])
    agrees(f, X)
    agrees(f, Z.astype(np.complex64), tolerance=3e-2, h=1e-2)
    agrees(lambda z: np.exp(f(z) * (1 + 2j)), Z)


def test_real_parts_as_attributes() -> None:
    agrees(lambda z: z.real * z.imag, Z)
    agrees(lambda x: x.real * 2, X)


def test_astype() -> None:
    agrees(lambda x: x.astype(np.complex128) * 1j, X)
    agrees(lambda x: x.astype(np.float32), X, tolerance=1e-2, h=1e-2)
    agrees(lambda x: np.astype(x, float), X)
    agrees(lambda x: x.astype("f8"), X.astype(np.float32), tolerance=1e-2, h=1e-2)
    seen: list[Any] = []
    unspool.grad(lambda x: (seen.extend([x.astype(int), x.astype(bool)]), np.sum(x))[1])(X)
    same_bits(seen, [X.astype(int), X.astype(bool)])


def test_a_copy_is_not_a_view() -> None:
    def write(x: Any) -> Any:
        y = 1.0 * x
        z = np.copy(y)
        z[0] = 5.0
        w = y.copy()
        w *= 2.0
        return y + 3 * z + w

    agrees(write, X)


def test_arrays_in_the_likeness_of_a_traced_one() -> None:
    for make in (np.zeros_like, np.ones_like):
        agrees(lambda x, m=make: x + m(x), X)
        agrees(lambda x, m=make: x[0] * m(x, shape=(5, 4)), X)
        agrees(lambda x, m=make: x + m(x, dtype=np.float32), X)
        seen: list[Any] = []
        unspool.grad(lambda x, m=make, s=seen: (s.append(m(x, dtype=int)), np.sum(x))[1])(X)
        same_bits(seen, [make(X, dtype=int)])
    agrees(lambda x: x + np.full_like(x, 2.5), X)
    agrees(lambda x, v: x + np.full_like(x, v), X, 1.5)
    agrees(lambda x: np.full_like(x, 3, shape=(2, 3, 4)) * x, X)
    agrees(lambda x: np.zeros_like(x) + x, 1.5)


def test_what_was_made_can_be_written() -> None:
    def fill(x: Any) -> Any:
        out = np.empty_like(x)
        out[:2] = x[1:] ** 2
        out[2] = 1.0
        return out

    agrees(fill, X)


def test_keywords_that_are_not_modelled() -> None:
    with pytest.raises(unspool.errors.UnsupportedError, match=r"zeros_like.*order="):
        unspool.grad(lambda x: np.sum(np.zeros_like(x, order="F")))(X)
    with pytest.raises(unspool.errors.UnsupportedError, match=r"copy.*order="):
        unspool.grad(lambda x: np.sum(np.copy(x, order="F")))(X)

"""scipy.fft: every transform, odd and even lengths, every normalisation, SciPy's own values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError
from unspool.scipy import fft

COMPLEX = ("fft", "ifft", "irfft", "hfft")
REAL = ("rfft", "ihfft")
A, Z = some(4, 5), complex_some(4, 5)


@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
@pytest.mark.parametrize("name", [*COMPLEX, *REAL])
def test_transforms(name: str, norm: Any) -> None:
    x = A if name in REAL else Z
    one, two, many = (getattr(fft, name + dimensions) for dimensions in ("", "2", "n"))
    for n in (None, 1, 4, 7):
        if n != 1 or name in ("fft", "ifft", *REAL):
            agrees(lambda x: one(x, n, 0, norm), x)
    agrees(lambda x: two(x, norm=norm), x)
    agrees(lambda x: many(x, s=(3, 6), axes=(1, 0), norm=norm, workers=1, overwrite_x=True), x)
    agrees(many, x)


def test_single_precision_stays() -> None:
    agrees(fft.rfft, A.astype(np.float32), tolerance=5e-2, h=1e-2)


def test_refusals() -> None:
    for name in REAL:
        with pytest.raises(TypeError, match="real transform"):
            unspool.vjp(getattr(fft, name), Z)
    with pytest.raises(UnsupportedError, match="plan="):
        unspool.vjp(lambda x: fft.fft(x, plan=3), Z)
    with pytest.raises(ValueError, match="norm"):
        unspool.vjp(lambda x: fft.fft(x, norm="other"), Z)


def test_shifts() -> None:
    for f in (fft.fftshift, fft.ifftshift):
        agrees(f, A)
        agrees(lambda x, f=f: f(x, axes=1), A)
    assert fft.next_fast_len(13, real=True) == 15

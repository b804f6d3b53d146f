"""Fourier transforms: NumPy's bits, and derivatives for every length, axis and norm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.errors import UnsupportedError

X, Z = some(3, 4, 5), complex_some(3, 4, 5)
NORMS = (None, "backward", "ortho", "forward")
ONE = (np.fft.fft, np.fft.ifft, np.fft.rfft, np.fft.irfft, np.fft.hfft, np.fft.ihfft)
MANY = (np.fft.fft2, np.fft.ifft2, np.fft.rfft2, np.fft.irfft2, np.fft.fftn, np.fft.ifftn, np.fft.rfftn, np.fft.irfftn)
REAL_INPUT = (np.fft.rfft, np.fft.ihfft, np.fft.rfft2, np.fft.rfftn)


def _of(f: Any) -> np.ndarray:
    return X if f in REAL_INPUT else Z


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("f", ONE)
def test_transforms_along_one_axis(f: Any, norm: Any) -> None:
    for n in (None, 1, 2, 3, 7, 8):
        agrees(lambda x, n=n: f(x, n, norm=norm), _of(f))
    agrees(lambda x: f(x, axis=0, norm=norm), _of(f))
    agrees(lambda x: f(x, norm=norm), X)
    agrees(lambda x: f(x, 6, 1, norm), _of(f)[:, :, 0])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("f", MANY)
def test_transforms_along_many_axes(f: Any, norm: Any) -> None:
    agrees(lambda x: f(x, norm=norm), _of(f))
    agrees(lambda x: f(x, axes=(2, 0), norm=norm), _of(f))
    agrees(lambda x: f(x, s=(5, 3), axes=(0, 1), norm=norm), _of(f))
    agrees(lambda x: f(x, s=(-1, 6), axes=(-1, 0), norm=norm), _of(f))
    agrees(lambda x: f(x, norm=norm), X)


@pytest.mark.parametrize("f", [*ONE, *MANY])
def test_single_precision(f: Any) -> None:
    agrees(f, _of(f).astype(np.float32 if f in REAL_INPUT else np.complex64), tolerance=5e-2, h=1e-1)


@pytest.mark.parametrize("f", [np.fft.fftshift, np.fft.ifftshift])
def test_shifts(f: Any) -> None:
    agrees(f, X)
    agrees(f, Z)
    agrees(lambda x: f(x, axes=1), X)
    agrees(lambda x: f(x, axes=(0, -1)), X)


def test_there_and_back_is_the_identity() -> None:
    x = some(7)
    for there, back in ((np.fft.fft, np.fft.ifft), (np.fft.rfft, np.fft.irfft)):
        _, pullback = unspool.vjp(lambda x, t=there, b=back: np.real(b(t(x), 7)), x)
        np.testing.assert_allclose(pullback(x)[0], x, atol=1e-14)


def test_a_spectral_derivative_in_a_loop() -> None:
    k = 1j * np.fft.rfftfreq(8, 1 / 8)

    def energy(u: Any) -> Any:
        for _ in range(3):
            u = u - 0.01 * u * np.fft.irfft(k * np.fft.rfft(u), 8)
        return np.sum(u * u)

    agrees(energy, some(8))
    agrees(unspool.grad(energy), some(8), exact=False)


def test_into_an_array() -> None:
    def f(z: Any) -> Any:
        out = np.zeros_like(z)
        np.fft.fft(z, out=out)
        return out

    agrees(f, Z)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="Invalid norm value"):
        unspool.vjp(lambda x: np.fft.fft(x, norm="other"), X)
    with pytest.raises(ValueError, match="Invalid number of FFT data points"):
        unspool.vjp(lambda x: np.fft.fft(x, 0), X)
    with pytest.raises(ValueError, match="different lengths"):
        unspool.vjp(lambda x: np.fft.fftn(x, (2, 2), (0,)), X)
    with pytest.raises(ValueError, match="one axis twice"):
        unspool.vjp(lambda x: np.fft.fftn(x, axes=(0, 0)), X)
    with pytest.raises(TypeError, match="complex"):
        unspool.vjp(np.fft.rfft, Z)
    with pytest.raises(UnsupportedError, match="5 positional"):
        unspool.vjp(lambda x: np.fft.fft(x, None, -1, None, None), X)

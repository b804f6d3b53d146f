"""numpy.fft: discrete Fourier transforms under NumPy's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.ops.fourier import Transforms, one
from unspool.ops.shape import Axes, axes_of
from unspool.ops.table import implements

_NUMPYS = Transforms.by(np.fft)


@implements(np.fft.fft)
def _fft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    return _NUMPYS.complex(a, one(n), (axis,), norm, inverse=False)


@implements(np.fft.ifft)
def _ifft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    return _NUMPYS.complex(a, one(n), (axis,), norm, inverse=True)


@implements(np.fft.fftn)
def _fftn(a: Any, s: Any = None, axes: Axes = None, norm: str | None = None) -> Any:
    return _NUMPYS.complex(a, s, axes, norm, inverse=False)


@implements(np.fft.ifftn)
def _ifftn(a: Any, s: Any = None, axes: Axes = None, norm: str | None = None) -> Any:
    return _NUMPYS.complex(a, s, axes, norm, inverse=True)


@implements(np.fft.fft2)
def _fft2(a: Any, s: Any = None, axes: Axes = (-2, -1), norm: str | None = None) -> Any:
    return _NUMPYS.complex(a, s, axes, norm, inverse=False)


@implements(np.fft.ifft2)
def _ifft2(a: Any, s: Any = None, axes: Axes = (-2, -1), norm: str | None = None) -> Any:
    return _NUMPYS.complex(a, s, axes, norm, inverse=True)


@implements(np.fft.rfftn)
def _rfftn(a: Any, s: Any = None, axes: Axes = None, norm: str | None = None) -> Any:
    return _NUMPYS.real(a, s, axes, norm)


@implements(np.fft.rfft)
def _rfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    return _NUMPYS.real(a, one(n), (axis,), norm)


@implements(np.fft.rfft2)
def _rfft2(a: Any, s: Any = None, axes: Axes = (-2, -1), norm: str | None = None) -> Any:
    return _NUMPYS.real(a, s, axes, norm)


@implements(np.fft.irfftn)
def _irfftn(a: Any, s: Any = None, axes: Axes = None, norm: str | None = None) -> Any:
    return _NUMPYS.half(a, s, axes, norm)


@implements(np.fft.irfft)
def _irfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    return _NUMPYS.half(a, one(n), (axis,), norm)


@implements(np.fft.irfft2)
def _irfft2(a: Any, s: Any = None, axes: Axes = (-2, -1), norm: str | None = None) -> Any:
    return _NUMPYS.half(a, s, axes, norm)


@implements(np.fft.hfft)
def _hfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    return _NUMPYS.hermitian(a, one(n), (axis,), norm)


@implements(np.fft.ihfft)
def _ihfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    return _NUMPYS.inverse_hermitian(a, one(n), (axis,), norm)


# --- the zero frequency in the middle ---------------------------------------------------------------------------------
@implements(np.fft.fftshift)
def _fftshift(x: Any, axes: Axes = None) -> Any:
    numbers = axes_of(axes, x.ndim)
    return np.roll(x, [x.shape[k] // 2 for k in numbers], numbers)


@implements(np.fft.ifftshift)
def _ifftshift(x: Any, axes: Axes = None) -> Any:
    numbers = axes_of(axes, x.ndim)
    return np.roll(x, [-(x.shape[k] // 2) for k in numbers], numbers)

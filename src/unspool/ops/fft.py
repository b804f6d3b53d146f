"""Discrete Fourier transforms: linear maps, each of which is the transpose of another one up to weights.

The matrix of a transform of one length is symmetric, so that the transpose of ``fft`` in the pairing Re(sum(ct * v)) is
``fft`` again, of the same sign and the same norm. A real transform keeps one half of a spectrum that is Hermitian; its
transpose is the real inverse transform of the conjugate, in which the frequencies that stand for two count for half.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index as as_int
from typing import Any

import numpy as np

from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.ops.families import cast, linear
from unspool.ops.samples import complex_some, some
from unspool.ops.shape import Axes, axes_of
from unspool.ops.table import implements

Lengths = tuple[int, ...]

_SWAPPED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _complex(x: ArrayType) -> np.dtype[Any]:
    return np.result_type(x.dtype, np.complex64)


def _with(shape: Sequence[int], axes: Lengths, lengths: Lengths) -> Lengths:
    replaced = dict(zip(axes, lengths, strict=True))
    return tuple([replaced.get(k, d) for k, d in enumerate(shape)])


def _fitted(x: Any, shape: Lengths) -> Any:
    """The array cut off, or filled up with zeros, at the end of each axis: what a transform does first."""
    if any(d > n for d, n in zip(x.shape, shape, strict=True)):
        x = x[tuple([slice(min(d, n)) for d, n in zip(x.shape, shape, strict=True)])]
    if x.shape != shape:
        x = np.pad(x, [(0, n - d) for d, n in zip(x.shape, shape, strict=True)])
    return x


# --- complex to complex -----------------------------------------------------------------------------------------------
fftn: Primitive = linear(
    lambda x, axes, s, norm, inverse: (np.fft.ifftn if inverse else np.fft.fftn)(x, s, axes, norm),
    lambda ct, x, axes, s, norm, inverse: cast(
        _fitted(bind(fftn, ct, axes=axes, s=s, norm=norm, inverse=inverse), x.shape), x.dtype
    ),
    name="fftn",
    type_rule=lambda x, axes, s, norm, inverse: ArrayType(_complex(x), _with(x.shape, axes, s)),
    samples=lambda: [
        ((complex_some(5),), {"axes": (0,), "s": (5,), "norm": "backward", "inverse": False}),
        ((some(4, 3),), {"axes": (1, 0), "s": (3, 4), "norm": "ortho", "inverse": False}),
        ((complex_some(3, 4),), {"axes": (0,), "s": (5,), "norm": "forward", "inverse": True}),
        ((complex_some(3, 4),), {"axes": (0, 1), "s": (2, 5), "norm": "backward", "inverse": True}),
        ((some(3, 4),), {"axes": (1,), "s": (2,), "norm": "backward", "inverse": False}),
        ((some(3).astype(np.float32),), {"axes": (0,), "s": (3,), "norm": "ortho", "inverse": True}),
    ],
)


# --- real to half of a spectrum, and back: the last of the axes is the halved one -------------------------------------
def _weights(n: int, axis: int, ndim: int, dtype: Any) -> Any:
    """1 for the frequencies that stand for themselves (0, and n/2 of an even n), 1/2 for those that stand for two."""
    weights = np.full(n // 2 + 1, 0.5, np.empty(0, dtype).real.dtype)
    weights[0] = 1.0
    if n % 2 == 0:
        weights[-1] = 1.0
    return weights.reshape([-1 if k == axis else 1 for k in range(ndim)])


def _half_spectrum(lengths: Lengths) -> Lengths:
    return (*lengths[:-1], lengths[-1] // 2 + 1)


def _rfftn_transpose(ct: Any, x: Any, axes: Lengths, s: Lengths, norm: str) -> Any:
    weighted = np.conj(ct) * _weights(s[-1], axes[-1], ct.ndim, ct.dtype)
    return _fitted(bind(irfftn, weighted, axes=axes, s=s, norm=_SWAPPED[norm]), x.shape)


def _irfftn_transpose(ct: Any, x: Any, axes: Lengths, s: Lengths, norm: str) -> Any:
    spectrum = np.conj(bind(rfftn, ct, axes=axes, s=s, norm=_SWAPPED[norm]))
    return cast(_fitted(spectrum / _weights(s[-1], axes[-1], ct.ndim, ct.dtype), x.shape), x.dtype)


rfftn: Primitive = linear(
    lambda x, axes, s, norm: np.fft.rfftn(x, s, axes, norm),
    _rfftn_transpose,
    name="rfftn",
    type_rule=lambda x, axes, s, norm: ArrayType(_complex(x), _with(x.shape, axes, _half_spectrum(s))),
    samples=lambda: [
        ((some(5),), {"axes": (0,), "s": (5,), "norm": "backward"}),
        ((some(6),), {"axes": (0,), "s": (6,), "norm": "forward"}),
        ((some(3, 4),), {"axes": (1, 0), "s": (4, 3), "norm": "ortho"}),
        ((some(3, 4),), {"axes": (0, 1), "s": (5, 3), "norm": "backward"}),
        ((some(1),), {"axes": (0,), "s": (1,), "norm": "backward"}),
        ((some(4).astype(np.float32),), {"axes": (0,), "s": (4,), "norm": "ortho"}),
    ],
)
irfftn: Primitive = linear(
    lambda x, axes, s, norm: np.fft.irfftn(x, s, axes, norm),
    _irfftn_transpose,
    name="irfftn",
    type_rule=lambda x, axes, s, norm: ArrayType(_complex(x).type(0).real.dtype, _with(x.shape, axes, s)),
    samples=lambda: [
        ((complex_some(3),), {"axes": (0,), "s": (5,), "norm": "backward"}),
        ((complex_some(4),), {"axes": (0,), "s": (6,), "norm": "forward"}),
        ((complex_some(3, 4),), {"axes": (1, 0), "s": (4, 4), "norm": "ortho"}),
        ((complex_some(3, 2),), {"axes": (0, 1), "s": (2, 7), "norm": "backward"}),
        ((some(3),), {"axes": (0,), "s": (4,), "norm": "backward"}),
        ((complex_some(2).astype(np.complex64),), {"axes": (0,), "s": (3,), "norm": "ortho"}),
    ],
)


# --- NumPy's names ----------------------------------------------------------------------------------------------------
def _norm(norm: str | None) -> str:
    if norm is None:
        return "backward"
    if norm not in _SWAPPED:
        raise ValueError(f'Invalid norm value {norm}; should be "backward", "ortho" or "forward".')
    return norm


def _plan(a: Any, s: Any, axes: Axes, half: bool = False) -> tuple[Lengths, Lengths]:
    """The axes and the length of the transform along each; ``half``: the last length is that of a half spectrum."""
    if axes is None:
        axes = tuple(range(a.ndim)) if s is None else tuple(range(-len(s), 0))
    numbers = axes_of(axes, a.ndim)
    given = [-1] * len(numbers) if s is None else [-1 if n is None else as_int(n) for n in s]
    if len(given) != len(numbers):
        raise ValueError("Shape and axes have different lengths.")
    lengths = [a.shape[k] if n == -1 else n for n, k in zip(given, numbers, strict=True)]
    if half and given[-1] == -1:
        lengths[-1] = 2 * (lengths[-1] - 1)
    if any(n < 1 for n in lengths):
        raise ValueError(f"Invalid number of FFT data points ({min(lengths)}) specified.")
    return numbers, tuple(lengths)


def _one(n: int | None) -> tuple[int, ...]:
    return (-1,) if n is None else (as_int(n),)


def _transform(a: Any, s: Any, axes: Axes, norm: str | None, inverse: bool) -> Any:
    numbers, lengths = _plan(a, s, axes)
    if not numbers:
        return a
    return bind(fftn, a, axes=numbers, s=lengths, norm=_norm(norm), inverse=inverse)


def _real(a: Any) -> Any:
    if a.dtype.kind == "c":
        raise TypeError("a real transform on a complex array: use fft, or np.real(x)")
    return a


@implements(np.fft.fft)
def _fft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    return _transform(a, _one(n), (axis,), norm, False)


@implements(np.fft.ifft)
def _ifft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    return _transform(a, _one(n), (axis,), norm, True)


@implements(np.fft.fftn)
def _fftn(a: Any, s: Any = None, axes: Axes = None, norm: str | None = None) -> Any:
    return _transform(a, s, axes, norm, False)


@implements(np.fft.ifftn)
def _ifftn(a: Any, s: Any = None, axes: Axes = None, norm: str | None = None) -> Any:
    return _transform(a, s, axes, norm, True)


@implements(np.fft.fft2)
def _fft2(a: Any, s: Any = None, axes: Axes = (-2, -1), norm: str | None = None) -> Any:
    return _transform(a, s, axes, norm, False)


@implements(np.fft.ifft2)
def _ifft2(a: Any, s: Any = None, axes: Axes = (-2, -1), norm: str | None = None) -> Any:
    return _transform(a, s, axes, norm, True)


@implements(np.fft.rfftn)
def _rfftn(a: Any, s: Any = None, axes: Axes = None, norm: str | None = None) -> Any:
    numbers, lengths = _plan(_real(a), s, axes)
    return bind(rfftn, a, axes=numbers, s=lengths, norm=_norm(norm))


@implements(np.fft.rfft)
def _rfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    return _rfftn(a, _one(n), (axis,), norm)


@implements(np.fft.rfft2)
def _rfft2(a: Any, s: Any = None, axes: Axes = (-2, -1), norm: str | None = None) -> Any:
    return _rfftn(a, s, axes, norm)


@implements(np.fft.irfftn)
def _irfftn(a: Any, s: Any = None, axes: Axes = None, norm: str | None = None) -> Any:
    numbers, lengths = _plan(a, s, axes, half=True)
    return bind(irfftn, a, axes=numbers, s=lengths, norm=_norm(norm))


@implements(np.fft.irfft)
def _irfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    return _irfftn(a, _one(n), (axis,), norm)


@implements(np.fft.irfft2)
def _irfft2(a: Any, s: Any = None, axes: Axes = (-2, -1), norm: str | None = None) -> Any:
    return _irfftn(a, s, axes, norm)


@implements(np.fft.hfft)
def _hfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    return _irfft(np.conj(a), n, axis, _SWAPPED[_norm(norm)])


@implements(np.fft.ihfft)
def _ihfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    return np.conj(_rfft(a, n, axis, _SWAPPED[_norm(norm)]))


# --- the zero frequency in the middle ---------------------------------------------------------------------------------
@implements(np.fft.fftshift)
def _fftshift(x: Any, axes: Axes = None) -> Any:
    numbers = axes_of(axes, x.ndim)
    return np.roll(x, [x.shape[k] // 2 for k in numbers], numbers)


@implements(np.fft.ifftshift)
def _ifftshift(x: Any, axes: Axes = None) -> Any:
    numbers = axes_of(axes, x.ndim)
    return np.roll(x, [-(x.shape[k] // 2) for k in numbers], numbers)

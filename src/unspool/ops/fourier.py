"""Discrete Fourier transforms: linear maps, each of which is the transpose of another one up to weights.

The matrix of a transform of one length is symmetric, so that the transpose of ``fft`` in the pairing Re(sum(ct * v)) is
``fft`` again, of the same sign and the same norm. A real transform keeps one half of a spectrum that is Hermitian; its
transpose is the real inverse transform of the conjugate, in which the frequencies that stand for two count for half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index as as_int
from typing import Any

import numpy as np

from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.ops.families import cast, linear
from unspool.ops.samples import Sample, complex_some, some
from unspool.ops.shape import Axes, axes_of

Lengths = tuple[int, ...]

SWAPPED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _complex(x: ArrayType) -> np.dtype[Any]:
    return np.result_type(x.dtype, np.complex64)


def resized(shape: Sequence[int], axes: Lengths, lengths: Lengths) -> Lengths:
    """The shape with other lengths along some axes."""
    replaced = dict(zip(axes, lengths, strict=True))
    return tuple([replaced.get(k, d) for k, d in enumerate(shape)])


def fitted(x: Any, shape: Lengths) -> Any:
    """The array cut off, or filled up with zeros, at the end of each axis: what a transform does first."""
    if any(d > n for d, n in zip(x.shape, shape, strict=True)):
        x = x[tuple([slice(min(d, n)) for d, n in zip(x.shape, shape, strict=True)])]
    if x.shape != shape:
        x = np.pad(x, [(0, n - d) for d, n in zip(x.shape, shape, strict=True)])
    return x


# --- complex to complex; real to half of a spectrum, and back: the last of the axes is the halved one ----------------
def _weights(n: int, axis: int, ndim: int, dtype: Any) -> Any:
    """1 for the frequencies that stand for themselves (0, and n/2 of an even n), 1/2 for those that stand for two."""
    weights = np.full(n // 2 + 1, 0.5, np.empty(0, dtype).real.dtype)
    weights[0] = 1.0
    if n % 2 == 0:
        weights[-1] = 1.0
    return weights.reshape([-1 if k == axis else 1 for k in range(ndim)])


def _half_spectrum(lengths: Lengths) -> Lengths:
    return (*lengths[:-1], lengths[-1] // 2 + 1)


@dataclass(frozen=True, slots=True)
class Transforms:
    """The three maps of which all transforms are made, computed by one library."""

    fftn: Primitive
    rfftn: Primitive
    irfftn: Primitive

    @classmethod
    def by(cls, library: Any, prefix: str = "", **how: Any) -> Transforms:
        """Enrol those of numpy.fft, or of a module with the same functions that takes keywords more."""

        def rfftn_transpose(ct: Any, x: Any, axes: Lengths, s: Lengths, norm: str, **how: Any) -> Any:
            weighted = np.conj(ct) * _weights(s[-1], axes[-1], ct.ndim, ct.dtype)
            return fitted(bind(irfftn, weighted, axes=axes, s=s, norm=SWAPPED[norm], **how), x.shape)

        def irfftn_transpose(ct: Any, x: Any, axes: Lengths, s: Lengths, norm: str, **how: Any) -> Any:
            spectrum = np.conj(bind(rfftn, ct, axes=axes, s=s, norm=SWAPPED[norm], **how))
            return cast(fitted(spectrum / _weights(s[-1], axes[-1], ct.ndim, ct.dtype), x.shape), x.dtype)

        def samples_of(samples: Any) -> Any:
            return lambda: [(operands, params | how) for operands, params in samples()]

        fftn: Primitive = linear(
            lambda x, axes, s, norm, inverse, **how: (library.ifftn if inverse else library.fftn)(
                x, s, axes, norm, **how
            ),
            lambda ct, x, axes, s, norm, inverse, **how: cast(
                fitted(bind(fftn, ct, axes=axes, s=s, norm=norm, inverse=inverse, **how), x.shape), x.dtype
            ),
            name=f"{prefix}fftn",
            type_rule=lambda x, axes, s, norm, inverse, **how: ArrayType(_complex(x), resized(x.shape, axes, s)),
            samples=samples_of(_fftn_samples),
        )
        rfftn: Primitive = linear(
            lambda x, axes, s, norm, **how: library.rfftn(x, s, axes, norm, **how),
            rfftn_transpose,
            name=f"{prefix}rfftn",
            type_rule=lambda x, axes, s, norm, **how: ArrayType(_complex(x), resized(x.shape, axes, _half_spectrum(s))),
            samples=samples_of(_rfftn_samples),
        )
        irfftn: Primitive = linear(
            lambda x, axes, s, norm, **how: library.irfftn(x, s, axes, norm, **how),
            irfftn_transpose,
            name=f"{prefix}irfftn",
            type_rule=lambda x, axes, s, norm, **how: ArrayType(
                _complex(x).type(0).real.dtype, resized(x.shape, axes, s)
            ),
            samples=samples_of(_irfftn_samples),
        )
        return cls(fftn, rfftn, irfftn)

    def complex(self, a: Any, s: Any, axes: Axes, norm: str | None, inverse: bool, **how: Any) -> Any:
        """fftn or ifftn."""
        numbers, lengths = plan(a, s, axes)
        if not numbers:
            return a
        return bind(self.fftn, a, axes=numbers, s=lengths, norm=norm_of(norm), inverse=inverse, **how)

    def real(self, a: Any, s: Any, axes: Axes, norm: str | None, **how: Any) -> Any:
        """rfftn."""
        if a.dtype.kind == "c":
            raise TypeError("a real transform on a complex array: use fft, or np.real(x)")
        numbers, lengths = plan(a, s, axes)
        return bind(self.rfftn, a, axes=numbers, s=lengths, norm=norm_of(norm), **how)

    def half(self, a: Any, s: Any, axes: Axes, norm: str | None, **how: Any) -> Any:
        """irfftn."""
        numbers, lengths = plan(a, s, axes, half=True)
        return bind(self.irfftn, a, axes=numbers, s=lengths, norm=norm_of(norm), **how)

    def hermitian(self, a: Any, s: Any, axes: Axes, norm: str | None, **how: Any) -> Any:
        """hfftn."""
        return self.half(np.conj(a), s, axes, SWAPPED[norm_of(norm)], **how)

    def inverse_hermitian(self, a: Any, s: Any, axes: Axes, norm: str | None, **how: Any) -> Any:
        """ihfftn."""
        return np.conj(self.real(a, s, axes, SWAPPED[norm_of(norm)], **how))


def _fftn_samples() -> list[Sample]:
    return [
        ((complex_some(5),), {"axes": (0,), "s": (5,), "norm": "backward", "inverse": False}),
        ((some(4, 3),), {"axes": (1, 0), "s": (3, 4), "norm": "ortho", "inverse": False}),
        ((complex_some(3, 4),), {"axes": (0,), "s": (5,), "norm": "forward", "inverse": True}),
        ((complex_some(3, 4),), {"axes": (0, 1), "s": (2, 5), "norm": "backward", "inverse": True}),
        ((some(3, 4),), {"axes": (1,), "s": (2,), "norm": "backward", "inverse": False}),
        ((some(3).astype(np.float32),), {"axes": (0,), "s": (3,), "norm": "ortho", "inverse": True}),
    ]


def _rfftn_samples() -> list[Sample]:
    return [
        ((some(5),), {"axes": (0,), "s": (5,), "norm": "backward"}),
        ((some(6),), {"axes": (0,), "s": (6,), "norm": "forward"}),
        ((some(3, 4),), {"axes": (1, 0), "s": (4, 3), "norm": "ortho"}),
        ((some(3, 4),), {"axes": (0, 1), "s": (5, 3), "norm": "backward"}),
        ((some(1),), {"axes": (0,), "s": (1,), "norm": "backward"}),
        ((some(4).astype(np.float32),), {"axes": (0,), "s": (4,), "norm": "ortho"}),
    ]


def _irfftn_samples() -> list[Sample]:
    return [
        ((complex_some(3),), {"axes": (0,), "s": (5,), "norm": "backward"}),
        ((complex_some(4),), {"axes": (0,), "s": (6,), "norm": "forward"}),
        ((complex_some(3, 4),), {"axes": (1, 0), "s": (4, 4), "norm": "ortho"}),
        ((complex_some(3, 2),), {"axes": (0, 1), "s": (2, 7), "norm": "backward"}),
        ((some(3),), {"axes": (0,), "s": (4,), "norm": "backward"}),
        ((complex_some(2).astype(np.complex64),), {"axes": (0,), "s": (3,), "norm": "ortho"}),
    ]


# --- what users give --------------------------------------------------------------------------------------------------
def norm_of(norm: str | None) -> str:
    """The name of a normalisation."""
    if norm is None:
        return "backward"
    if norm not in SWAPPED:
        raise ValueError(f'Invalid norm value {norm}; should be "backward", "ortho" or "forward".')
    return norm


def plan(a: Any, s: Any, axes: Axes, half: bool = False) -> tuple[Lengths, Lengths]:
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


def one(n: int | None) -> tuple[int, ...]:
    """The length of a transform along one axis."""
    return (-1,) if n is None else (as_int(n),)

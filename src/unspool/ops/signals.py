"""scipy.signal: convolution and correlation along any axes, by sums or by transforms, and recursive filters.

The cotangent of one factor of a convolution is the convolution of the result's with the other one turned round, by the
same method: O(n log n) on the way back where it was so on the way forth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft
import scipy.signal

from unspool.errors import UnsupportedError
from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.ops.families import bilinear, fit, general
from unspool.ops.samples import complex_some, some
from unspool.ops.shape import Axes, as_array, axes_of, axis_of
from unspool.ops.table import TABLE, implements

sg: Any = scipy.signal
Lengths = tuple[int, ...]

_METHODS: dict[str, Callable[..., Any]] = {
    "auto": lambda a, v, mode, axes: sg.convolve(a, v, mode, "auto"),
    "direct": lambda a, v, mode, axes: sg.convolve(a, v, mode, "direct"),
    "fft": lambda a, v, mode, axes: sg.convolve(a, v, mode, "fft"),
    "transform": sg.fftconvolve,
    "overlap-add": sg.oaconvolve,
}


# --- convolution ------------------------------------------------------------------------------------------------------
def _start(n: int, m: int, mode: str) -> int:
    """Where the part that a mode keeps begins in the full convolution of sequences of n and m elements."""
    return {"full": 0, "same": (m - 1) // 2, "valid": min(n, m) - 1}[mode]


def _length(n: int, m: int, mode: str) -> int:
    return {"full": n + m - 1, "same": n, "valid": max(n, m) - min(n, m) + 1}[mode]


def _flipped(v: Any, axes: Lengths) -> Any:
    return v[tuple([slice(None, None, -1) if k in axes else slice(None) for k in range(len(v.shape))])]


def _full(ct: Any, n: Lengths, m: Lengths, axes: Lengths, mode: str) -> Any:
    """The cotangent of the full convolution of shapes n and m."""
    if mode == "full":
        return ct
    widths = [(0, 0)] * len(ct.shape)
    for k in axes:
        before = _start(n[k], m[k], mode)
        widths[k] = (before, n[k] + m[k] - 1 - ct.shape[k] - before)
    return np.pad(ct, widths)


def _left(ct: Any, y: Any, a: Any, v: Any, *, mode: str, axes: Lengths, method: str) -> Any:
    full = _full(ct, a.shape, v.shape, axes, mode)
    return fit(bind(convolve, full, _flipped(v, axes), mode="valid", axes=axes, method=method), a)


def _right(ct: Any, y: Any, a: Any, v: Any, *, mode: str, axes: Lengths, method: str) -> Any:
    full = _full(ct, a.shape, v.shape, axes, mode)
    return fit(bind(convolve, full, _flipped(a, axes), mode="valid", axes=axes, method=method), v)


def _type(a: ArrayType, v: ArrayType, mode: str, axes: Lengths, method: str) -> ArrayType:
    pairs = enumerate(zip(a.shape, v.shape, strict=True))
    shape = tuple([_length(n, m, mode) if k in axes else max(n, m) for k, (n, m) in pairs])
    return ArrayType(np.result_type(a.dtype, v.dtype), shape)


convolve: Primitive = bilinear(
    lambda a, v, mode, axes, method: _METHODS[method](a, v, mode, axes=axes),
    _left,
    _right,
    name="scipy.convolve",
    type_rule=_type,
    samples=lambda: [
        *[
            ((some(*n), some(*m, turn=0.2)), {"mode": mode, "axes": (0, 1), "method": method})
            for mode in ("full", "same", "valid")
            for n, m, method in (((4, 3), (2, 3), "direct"), ((2, 3), (3, 4), "fft"))
        ],
        ((some(2, 5), some(1, 3, turn=0.2)), {"mode": "same", "axes": (1,), "method": "transform"}),
        ((complex_some(5), some(2)), {"mode": "full", "axes": (0,), "method": "overlap-add"}),
        ((complex_some(5), complex_some(4)), {"mode": "same", "axes": (0,), "method": "auto"}),
    ],
)


def _operands(name: str, in1: Any, in2: Any, mode: str) -> tuple[Any, Any]:
    a, v = as_array(in1), as_array(in2)
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"scipy.signal.{name}: mode={mode!r}; acceptable mode flags are 'valid', 'same', or 'full'")
    if a.ndim != v.ndim:
        raise ValueError(f"scipy.signal.{name}: in1 and in2 should have the same dimensionality")
    if a.size == 0 or v.size == 0:
        raise UnsupportedError(f"scipy.signal.{name}: no derivative rule for arrays without elements.")
    return a, v


def _same_order(name: str, n: Lengths, m: Lengths, mode: str) -> None:
    pairs = list(zip(n, m, strict=True))
    if mode == "valid" and not (all(p >= q for p, q in pairs) or all(p <= q for p, q in pairs)):
        raise ValueError(
            f"scipy.signal.{name}: for 'valid' mode, one must be at least as large as the other in every dimension"
        )


def _all_axes(name: str, in1: Any, in2: Any, mode: str, method: str) -> Any:
    a, v = _operands(name, in1, in2, mode)
    if method not in ("auto", "direct", "fft"):
        raise ValueError("Acceptable method flags are 'auto', 'direct', or 'fft'.")
    _same_order(name, a.shape, v.shape, mode)
    if a.ndim == 0:
        return a * v
    return bind(convolve, a, v, mode=mode, axes=tuple(range(a.ndim)), method=method)


@implements(sg.convolve)
def _convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    return _all_axes("convolve", in1, in2, mode, method)


@implements(sg.correlate)
def _correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """The convolution with the second array turned round and conjugated."""
    second = as_array(in2)
    turned = _flipped(second, tuple(range(second.ndim)))
    return _all_axes("correlate", in1, np.conj(turned) if turned.dtype.kind == "c" else turned, mode, method)


def _along(name: str, method: str, operands: tuple[Any, Any], mode: str, axes: Axes) -> Any:
    a, v = _operands(name, *operands, mode)
    numbers = axes_of(axes, a.ndim)
    _same_order(name, tuple([a.shape[k] for k in numbers]), tuple([v.shape[k] for k in numbers]), mode)
    if mode == "same" and any(a.shape[k] < v.shape[k] for k in range(a.ndim) if k not in numbers):
        raise UnsupportedError(
            f"scipy.signal.{name}: no derivative rule for mode='same' where in1 is broadcast, of which SciPy keeps one "
            "part only. Broadcast in1 first."
        )
    return bind(convolve, a, v, mode=mode, axes=numbers, method=method) if numbers else a * v


@implements(sg.fftconvolve)
def _fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Axes = None) -> Any:
    return _along("fftconvolve", "transform", (in1, in2), mode, axes)


@implements(sg.oaconvolve)
def _oaconvolve(in1: Any, in2: Any, mode: str = "full", axes: Axes = None) -> Any:
    return _along("oaconvolve", "overlap-add", (in1, in2), mode, axes)


_BORDERS = {"fill": "constant", "wrap": "wrap", "symm": "symmetric"}


def _with_border(name: str, in1: Any, in2: Any, *, mode: str, boundary: str, fillvalue: Any, late: int) -> Any:
    """A border is put around the first array, of which what the mode keeps is convolved."""
    a, v = _operands(name, in1, in2, mode)
    if a.ndim != 2:
        raise ValueError(f"{name} inputs must both be 2-D arrays")
    if boundary not in _BORDERS:
        raise ValueError(f"scipy.signal.{name}: boundary={boundary!r}; choose 'fill', 'wrap' or 'symm'")
    _same_order(name, a.shape, v.shape, mode)
    if mode == "valid":
        return bind(convolve, a, v, mode=mode, axes=(0, 1), method="direct")
    widths = []
    for n, m in zip(a.shape, v.shape, strict=True):
        start = (m - 1 + late) // 2 if mode == "same" else 0
        widths.append((m - 1 - start, _length(n, m, mode) - n + start))
    filling = {"constant_values": fillvalue} if boundary == "fill" else {}
    padded = np.pad(a, widths, mode=_BORDERS[boundary], **filling)  # type: ignore[call-overload]
    return bind(convolve, padded, v, mode="valid", axes=(0, 1), method="direct")


@implements(sg.convolve2d)
def _convolve2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> Any:
    return _with_border("convolve2d", in1, in2, mode=mode, boundary=boundary, fillvalue=fillvalue, late=0)


@implements(sg.correlate2d)
def _correlate2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> Any:
    """The convolution with the second array turned round and conjugated."""
    second = as_array(in2)
    turned = _flipped(second, (0, 1))
    turned = np.conj(turned) if turned.dtype.kind == "c" else turned
    return _with_border("correlate2d", in1, turned, mode=mode, boundary=boundary, fillvalue=fillvalue, late=1)


# --- recursive filters ------------------------------------------------------------------------------------------------
def _unwound(a: Any, ct: Any, axis: int) -> Any:
    """The solution of the transposed recursion, which runs backwards."""
    one = np.ones(1, ct.real.dtype)
    return _flipped(bind(lfilter, one, a, _flipped(ct, (axis,)), axis=axis), (axis,))


def _delayed_sums(w: Any, x: Any, n: int, axis: int) -> Any:
    """For each delay below n the sum of w times x delayed."""
    w, x = np.moveaxis(w, axis, -1), np.moveaxis(x, axis, -1)
    length = x.shape[-1]
    return np.stack([np.sum(w[..., k:] * x[..., : max(length - k, 0)]) for k in range(n)])


def _lfilter_jvp(tangents: tuple[Any, Any, Any], y: Any, b: Any, a: Any, x: Any, *, axis: int) -> Any:
    tb, ta, tx = tangents
    change: Any = 0.0
    if tb is not None:
        change = change + bind(lfilter, tb, a, x, axis=axis)
    if ta is not None:
        change = change - bind(lfilter, ta, a, y, axis=axis)
    if tx is not None:
        change = change + bind(lfilter, b, a, tx, axis=axis)
    return fit(change, y)


def _of_signal(ct: Any, y: Any, b: Any, a: Any, x: Any, *, axis: int) -> Any:
    return fit(_flipped(bind(lfilter, b, a, _flipped(ct, (axis,)), axis=axis), (axis,)), x)


lfilter: Primitive = general(
    sg.lfilter,
    lambda ct, y, b, a, x, axis: fit(_delayed_sums(_unwound(a, ct, axis), x, b.shape[0], axis), b),
    lambda ct, y, b, a, x, axis: fit(-_delayed_sums(_unwound(a, ct, axis), y, a.shape[0], axis), a),
    _of_signal,
    name="lfilter",
    jvp=_lfilter_jvp,
    type_rule=lambda b, a, x, axis: ArrayType(np.result_type(b.dtype, a.dtype, x.dtype), x.shape),
    samples=lambda: [
        ((some(3), np.array([2.0, 0.5, -0.3]), some(6)), {"axis": 0}),
        ((some(2), np.array([1.5]), some(2, 5)), {"axis": 1}),
        ((some(4), np.array([1.0, 0.4]), some(3, 2)), {"axis": 0}),
        ((complex_some(2), np.array([1.0, 0.4]), some(5)), {"axis": 0}),
    ],
)


@implements(sg.lfilter)
def _lfilter(b: Any, a: Any, x: Any, axis: int = -1) -> Any:
    """The transposed filter runs backwards in time; O(n) both ways."""
    b, a, x = np.atleast_1d(as_array(b)), np.atleast_1d(as_array(a)), as_array(x)
    if b.ndim != 1 or a.ndim != 1 or b.size == 0 or a.size == 0:
        raise ValueError("scipy.signal.lfilter: b and a are sequences of at least one coefficient each")
    return bind(lfilter, b, a, x, axis=axis_of(axis, x.ndim))


@implements(sg.hilbert)
def _hilbert(x: Any, N: int | None = None, axis: int = -1) -> Any:  # noqa: N803 - SciPy's name
    if x.dtype.kind == "c":
        raise ValueError("x must be real.")
    n = x.shape[axis] if N is None else N
    weights = np.zeros(n)
    weights[0] = 1.0
    weights[1 : (n + 1) // 2] = 2.0
    if n % 2 == 0:
        weights[n // 2] = 1.0
    along = axis_of(axis, x.ndim)
    spectrum = TABLE[scipy.fft.fft](x, n, along)
    weighted = spectrum * np.reshape(weights, [-1 if k == along else 1 for k in range(x.ndim)])
    return TABLE[scipy.fft.ifft](weighted, axis=along)

"""Convolution and correlation of two sequences, by the sum that defines them: O(n m)."""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.listener import bind
from unspool.layout import ArrayType
from unspool.ops.families import bilinear, cast
from unspool.ops.samples import complex_some, some
from unspool.ops.shape import as_array
from unspool.ops.table import implements


def _start(n: int, m: int, mode: str) -> int:
    """Where the part that a mode keeps begins in the full convolution of sequences of n and m elements."""
    shorter = min(n, m)
    return {"full": 0, "same": (shorter - 1) // 2, "valid": shorter - 1}[mode]


def _length(n: int, m: int, mode: str) -> int:
    return {"full": n + m - 1, "same": max(n, m), "valid": max(n, m) - min(n, m) + 1}[mode]


def _against(ct: Any, n: int, other: Any, mode: str) -> Any:
    """The cotangent of the operand of n elements that was convolved with ``other``."""
    m = other.shape[0]
    before = _start(n, m, mode)
    full = np.pad(ct, (before, n + m - 1 - ct.shape[0] - before))
    product = bind(convolve, full, other[::-1], mode="full")
    return product[m - 1 : m - 1 + n]


convolve = bilinear(
    np.convolve,
    lambda ct, y, a, v, mode: cast(_against(ct, a.shape[0], v, mode), a.dtype),
    lambda ct, y, a, v, mode: cast(_against(ct, v.shape[0], a, mode), v.dtype),
    name="convolve",
    type_rule=lambda a, v, mode: ArrayType(np.result_type(a.dtype, v.dtype), (_length(a.shape[0], v.shape[0], mode),)),
    samples=lambda: [
        *[
            ((some(n), some(m, turn=0.2)), {"mode": mode})
            for mode in ("full", "same", "valid")
            for n, m in ((5, 3), (2, 4), (3, 3))
        ],
        ((complex_some(4), some(2)), {"mode": "same"}),
    ],
)


def _sequences(a: Any, v: Any, name: str, mode: str) -> tuple[Any, Any]:
    if mode not in ("full", "same", "valid"):
        raise UnsupportedError(f"{name}: mode={mode!r} on a traced value; use 'full', 'same' or 'valid'.")
    a, v = (np.atleast_1d(as_array(x)) for x in (a, v))
    if a.ndim != 1 or v.ndim != 1:
        raise ValueError("object too deep for desired array")
    if a.shape[0] == 0 or v.shape[0] == 0:
        raise ValueError("a cannot be empty" if a.shape[0] == 0 else "v cannot be empty")
    return a, v


@implements(np.convolve)
def _convolve(a: Any, v: Any, mode: str = "full") -> Any:
    return bind(convolve, *_sequences(a, v, "numpy.convolve", mode), mode=mode)


@implements(np.correlate)
def _correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    a, v = _sequences(a, v, "numpy.correlate", mode)
    turned = v[::-1]
    turned = np.conj(turned) if turned.dtype.kind == "c" else turned
    if mode == "same" and a.shape[0] < v.shape[0]:  # NumPy keeps another half when it exchanges the two
        start = a.shape[0] // 2
        return bind(convolve, a, turned, mode="full")[start : start + v.shape[0]]
    return bind(convolve, a, turned, mode=mode)

"""Copies, conversions of dtype, parts of complex numbers, and arrays made in the likeness of another."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.ops.families import cast, constant, general, linear, piecewise
from unspool.ops.samples import complex_some, elementwise_samples, some
from unspool.ops.table import implements

copy = linear(
    lambda x: x.copy(order="K") if isinstance(x, np.ndarray) else x,
    lambda ct, x: ct,
    name="copy",
    type_rule=lambda x: x,
    samples=lambda: elementwise_samples(1, ()),
)


@implements(np.copy)
def _copy(a: Any) -> Any:
    return bind(copy, a)


# --- dtype ------------------------------------------------------------------------------------------------------------
astype = linear(
    lambda x, dtype: x.astype(dtype),
    lambda ct, x, dtype: cast(ct, x.dtype),
    name="astype",
    type_rule=lambda x, dtype: ArrayType(dtype, x.shape),
    samples=lambda: [
        ((some(4),), {"dtype": np.dtype(np.float32)}),
        ((some(4),), {"dtype": np.dtype(np.complex128)}),
        ((some(2).astype(np.float32),), {"dtype": np.dtype(np.float64)}),
    ],
)
truncated = constant(
    lambda x, dtype: x.astype(dtype),
    name="astype_discrete",
    type_rule=lambda x, dtype: ArrayType(dtype, x.shape),
    samples=lambda: [((some(4),), {"dtype": np.dtype(np.int64)}), ((some(4),), {"dtype": np.dtype(bool)})],
)
whole = constant(  # of a float that is known to be a whole number: the compiler need not round it
    lambda x: x.astype(np.int64),
    name="whole",
    type_rule=lambda x: ArrayType(np.dtype(np.int64), x.shape),
    samples=lambda: [((np.array([2.0, -3.0, 0.0]),), {})],
)


@implements(np.astype)
def _astype(x: Any, dtype: Any, *, copy: bool = True) -> Any:
    target = np.dtype(dtype)
    if target == x.dtype:
        return _copy(x) if copy else x
    return bind(astype if target.kind in "fc" else truncated, x, dtype=target)


# --- complex numbers --------------------------------------------------------------------------------------------------
conjugate = piecewise(
    np.conjugate,
    lambda ct, y, x: np.conj(ct),
    samples=lambda: [*elementwise_samples(1, ()), ((complex_some(5),), {})],
)


def _part_jvp(part: Any) -> Any:
    return lambda tangents, y, x: bind(part, tangents[0])


def _complex(re: Any, im: Any) -> Any:
    out = np.empty(np.shape(re), np.result_type(re, np.complex64))
    out.real, out.imag = re, im
    return out[()]


from_parts: Primitive = general(  # re + im * 1j makes nan of an infinite part
    _complex,
    lambda ct, z, re, im: cast(np.real(ct), re.dtype),
    lambda ct, z, re, im: cast(-np.imag(ct), im.dtype),
    name="from_parts",
    jvp=lambda tangents, z, re, im: bind(from_parts, *[np.zeros_like(re) if t is None else t for t in tangents]),
    samples=lambda: [((some(5), some(5, turn=0.3)), {}), ((some(), some()), {})],
)
real = linear(
    lambda x: x.real,
    lambda ct, x: ct.astype(x.dtype),
    name="real",
    put=lambda base, part: bind(from_parts, part, np.imag(base)),
    samples=lambda: [((complex_some(5),), {}), ((complex_some(),), {})],
)
imag = linear(
    lambda x: x.imag,
    lambda ct, x: (ct * -1j).astype(x.dtype),
    name="imag",
    put=lambda base, part: bind(from_parts, np.real(base), part),
    samples=lambda: [((complex_some(5),), {}), ((complex_some(),), {})],
)


@implements(np.real)
def _real(val: Any) -> Any:
    return bind(real, val) if val.dtype.kind == "c" else val


@implements(np.imag)
def _imag(val: Any) -> Any:
    return bind(imag, val) if val.dtype.kind == "c" else np.zeros_like(val)


@implements(np.angle)
def _angle(z: Any, deg: bool = False) -> Any:
    angle = np.arctan2(_imag(z), _real(z)) if z.dtype.kind == "c" else np.arctan2(0.0, z)
    return angle * (180 / pi) if deg else angle


# --- in the likeness of -----------------------------------------------------------------------------------------------
def _likeness(make: Any, name: str) -> Any:
    return constant(
        lambda x, dtype, shape: make(x, dtype=dtype, shape=shape),
        name=name,
        type_rule=lambda x, dtype, shape: ArrayType(dtype or x.dtype, x.shape if shape is None else shape),
        samples=lambda: [
            ((some(2, 3),), {"dtype": None, "shape": None}),
            ((some(2),), {"dtype": np.dtype(np.float32), "shape": (3,)}),
        ],
    )


zeros_like = _likeness(np.zeros_like, "zeros_like")
ones_like = _likeness(np.ones_like, "ones_like")


def _like(primitive: Any, x: Any, dtype: Any, shape: Any) -> Any:
    lengths = shape if shape is None or isinstance(shape, tuple) else tuple(np.atleast_1d(shape).tolist())
    return bind(primitive, x, dtype=None if dtype is None else np.dtype(dtype), shape=lengths)


@implements(np.zeros_like)
def _zeros_like(a: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    return _like(zeros_like, a, dtype, shape)


@implements(np.empty_like)
def _empty_like(prototype: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    """Zeros: what is left in fresh memory would make a step compute something else when it is run again."""
    return _like(zeros_like, prototype, dtype, shape)


@implements(np.ones_like)
def _ones_like(a: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    return _like(ones_like, a, dtype, shape)


@implements(np.full_like)
def _full_like(a: Any, fill_value: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    full = _like(zeros_like, a, dtype, shape)
    full[...] = fill_value
    return full

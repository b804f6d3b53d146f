"""Products of vectors, matrices and tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unspool.ir.listener import bind
from unspool.ops.families import bilinear, cast, unbroadcast
from unspool.ops.samples import some
from unspool.ops.shape import axes_of, axis_of
from unspool.ops.table import TABLE, Entry, implements


# --- matmul -----------------------------------------------------------------------------------------------------------
def _turned(a: Any) -> Any:
    return np.swapaxes(a, -1, -2)


def _left(ct: Any, shape: tuple[int, ...], b: Any) -> Any:
    """The cotangent of a in ``a @ b``: ``ct @ b.T``, in all the cases that vectors and batches make."""
    if b.ndim == 1:
        return unbroadcast(np.expand_dims(ct, -1) * b if len(shape) > 1 else ct * b, shape)
    if len(shape) > 1:
        return unbroadcast(ct @ _turned(b), shape)
    if b.ndim == 2:
        return b @ ct
    return np.reshape(ct, -1) @ np.reshape(_turned(b), (-1, shape[0]))


def _right(ct: Any, a: Any, shape: tuple[int, ...]) -> Any:
    """The cotangent of b: ``a.T @ ct``."""
    if a.ndim == 1:
        return unbroadcast(a[:, None] * np.expand_dims(ct, -2) if len(shape) > 1 else ct * a, shape)
    if len(shape) > 1:
        return unbroadcast(_turned(a) @ ct, shape)
    if a.ndim == 2:
        return ct @ a
    return np.reshape(ct, -1) @ np.reshape(a, (-1, shape[0]))


matmul = bilinear(
    np.matmul,
    lambda ct, y, a, b: cast(_left(ct, a.shape, b), a.dtype),
    lambda ct, y, a, b: cast(_right(ct, a, b.shape), b.dtype),
    name="matmul",
    samples=lambda: [
        ((some(*left), some(*right, turn=0.2)), {})
        for left, right in (
            ((3,), (3,)),
            ((2, 3), (3,)),
            ((3,), (3, 2)),
            ((2, 3), (3, 4)),
            ((5, 2, 3), (3,)),
            ((3,), (5, 3, 2)),
            ((5, 1, 2, 3), (4, 3, 2)),
            ((2, 0), (0, 3)),
        )
    ],
)
TABLE[np.matmul] = Entry("numpy.matmul", lambda a, b: bind(matmul, a, b), 2, frozenset(), matmul)


# --- dot and inner: the last axis of a with one axis of b -------------------------------------------------------------
def _tensor_left(ct: Any, ndim: int, b: Any, axis: int) -> Any:
    rest = [k for k in range(b.ndim) if k != axis]
    return np.tensordot(ct, b, (range(ndim - 1, ndim - 1 + len(rest)), rest))


def _tensor_right(ct: Any, a: Any, axis: int) -> Any:
    lead = range(a.ndim - 1)
    return np.moveaxis(np.tensordot(a, ct, (lead, lead)), 0, axis)


_TENSORS = (((2, 3), (4, 3, 2)), ((2, 1, 3), (3,)), ((3,), (2, 3, 2)))

dot = bilinear(
    np.dot,
    lambda ct, y, a, b: cast(_tensor_left(ct, a.ndim, b, max(b.ndim - 2, 0)), a.dtype),
    lambda ct, y, a, b: cast(_tensor_right(ct, a, max(b.ndim - 2, 0)), b.dtype),
    name="dot",
    samples=lambda: [((some(*left), some(*right, turn=0.2)), {}) for left, right in _TENSORS],
)
inner = bilinear(
    np.inner,
    lambda ct, y, a, b: cast(_tensor_left(ct, a.ndim, b, b.ndim - 1), a.dtype),
    lambda ct, y, a, b: cast(_tensor_right(ct, a, b.ndim - 1), b.dtype),
    name="inner",
    samples=lambda: [
        ((some(2, 3), some(4, 2, 3, turn=0.2)), {}),
        ((some(3), some(3, turn=0.2)), {}),
        ((some(2, 3), some(4, 3, turn=0.2)), {}),
    ],
)


@implements(np.dot)
def _dot(a: Any, b: Any) -> Any:
    a, b = _array(a), _array(b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    return bind(matmul if a.ndim <= 2 and b.ndim <= 2 else dot, a, b)


@implements(np.inner)
def _inner(a: Any, b: Any) -> Any:
    a, b = _array(a), _array(b)
    return a * b if a.ndim == 0 or b.ndim == 0 else bind(inner, a, b)


def _array(value: Any) -> Any:
    return value if hasattr(value, "ndim") else np.asarray(value)


@implements(np.vdot)
def _vdot(a: Any, b: Any) -> Any:
    left = np.ravel(a)
    return _dot(np.conj(left) if left.dtype.kind == "c" else left, np.ravel(b))


@implements(np.outer)
def _outer(a: Any, b: Any) -> Any:
    return np.ravel(a)[:, None] * np.ravel(b)[None, :]


@implements(np.multiply.outer)
def _multiply_outer(A: Any, B: Any) -> Any:  # noqa: N803 - NumPy's name
    return np.reshape(A, np.shape(A) + (1,) * np.ndim(B)) * B


@implements(np.kron)
def _kron(a: Any, b: Any) -> Any:
    a, b = _array(a), _array(b)
    ndim = max(a.ndim, b.ndim)
    left, right = ((1,) * (ndim - v.ndim) + v.shape for v in (a, b))
    product = np.reshape(a, [n for d in left for n in (d, 1)]) * np.reshape(b, [n for d in right for n in (1, d)])
    return np.reshape(product, [m * n for m, n in zip(left, right, strict=True)])


@implements(np.tensordot)
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    a, b = _array(a), _array(b)
    if np.ndim(axes) == 0 and not isinstance(axes, list | tuple):
        of_a, of_b = tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes))
    else:
        of_a, of_b = (tuple(k) if isinstance(k, list | tuple | range) else (k,) for k in axes)
        of_a, of_b = axes_of(of_a, a.ndim), axes_of(of_b, b.ndim)
    if len(of_a) != len(of_b) or any(a.shape[i] != b.shape[j] for i, j in zip(of_a, of_b, strict=True)):
        raise ValueError("shape-mismatch for sum")
    rest_a, rest_b = ([k for k in range(v.ndim) if k not in of] for v, of in ((a, of_a), (b, of_b)))
    n = int(np.prod([a.shape[k] for k in of_a], dtype=int))
    rows = np.reshape(np.transpose(a, (*rest_a, *of_a)), (int(np.prod([a.shape[k] for k in rest_a], dtype=int)), n))
    columns = np.reshape(np.transpose(b, (*of_b, *rest_b)), (n, int(np.prod([b.shape[k] for k in rest_b], dtype=int))))
    return np.reshape(rows @ columns, [*[a.shape[k] for k in rest_a], *[b.shape[k] for k in rest_b]])


@implements(np.cross)
def _cross(  # noqa: PLR0917 - NumPy's signature
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(_array(a), axisa, -1), np.moveaxis(_array(b), axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ValueError("numpy.cross on a traced value: both vectors must have three components")
    (a0, a1, a2), (b0, b1, b2) = ([v[..., k] for k in range(3)] for v in (a, b))
    parts: Sequence[Any] = (a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0)
    return np.stack(parts, axis=axis_of(axisc, parts[0].ndim + 1))

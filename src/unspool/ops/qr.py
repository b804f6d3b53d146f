"""QR factors, on stacks of matrices too."""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.listener import bind
from unspool.layout import ArrayType
from unspool.ops.decompositions import eye_like, named
from unspool.ops.families import cast, general
from unspool.ops.linalg import adjoint, turned
from unspool.ops.samples import some
from unspool.ops.singular import completed, of_first
from unspool.ops.table import implements


def _imaginary(m: Any) -> Any:
    """i times the imaginary part of the diagonal: the diagonal of R is real."""
    eye = eye_like(m.shape[-1], m)
    return 1j * np.imag(np.diagonal(m, axis1=-2, axis2=-1))[..., None] * eye if m.dtype.kind == "c" else 0.0


def _tall_vjp(of_q: Any, of_r: Any, q: Any, r: Any) -> Any:
    inner: Any = 0.0
    if of_q is not None:
        inner = turned(q) @ of_q
    if of_r is not None:
        inner = inner - of_r @ turned(r)
    inner = np.tril(inner - adjoint(inner), -1) + _imaginary(inner) - inner
    result = np.conj(q) @ inner
    result = result if of_q is None else result + of_q
    return turned(np.linalg.solve(r, turned(result)))


def _tall_jvp(ta: Any, q: Any, r: Any) -> tuple[Any, Any]:
    scaled = turned(np.linalg.solve(turned(r), turned(ta)))
    inner = adjoint(q) @ scaled
    low = np.tril(inner, -1)
    skew = low - adjoint(low) + _imaginary(inner)
    return q @ (skew - inner) + scaled, (inner - skew) @ r


def _qr_vjp(ct: Any, y: Any, a: Any, complete: bool) -> Any:
    """The first columns of the matrix determine Q; of the others R is the part that Q sees."""
    (of_q, of_r), (q, r) = ct, y
    n = min(a.shape[-2:])
    of_q = of_first(of_q, q, n, "numpy.linalg.qr")
    q, others = q[..., :n], r[..., :n, n:]
    if a.shape[-1] == n or of_r is None:
        of_a = _tall_vjp(of_q, None if of_r is None else of_r[..., :n, :n], q, r[..., :n, :n])
        return cast(of_a if a.shape[-1] == n else np.concatenate((of_a, np.zeros_like(others)), axis=-1), a.dtype)
    of_others = of_r[..., :n, n:]
    more = np.conj(q @ others) @ adjoint(of_others)
    of_first_columns = _tall_vjp(more if of_q is None else of_q + more, of_r[..., :n, :n], q, r[..., :n, :n])
    return cast(np.concatenate((of_first_columns, np.conj(q) @ of_others), axis=-1), a.dtype)


def _qr_jvp(tangents: tuple[Any], y: Any, a: Any, complete: bool) -> tuple[Any, Any]:
    q, r = y
    (ta,) = tangents
    n = min(a.shape[-2:])
    first, others = q[..., :n], r[..., :n, n:]
    tq, tr = _tall_jvp(ta[..., :n], first, r[..., :n, :n])
    if a.shape[-1] > n:
        tr = np.concatenate((tr, adjoint(tq) @ (first @ others) + adjoint(first) @ ta[..., n:]), axis=-1)
    if r.shape[-2] > n:
        tr = np.concatenate((tr, np.zeros_like(r[..., n:, :])), axis=-2)
    return completed(tq, q), tr


def _qr_type(a: ArrayType, complete: bool) -> tuple[ArrayType, ArrayType]:
    *batch, m, n = a.shape
    k = m if complete else min(m, n)
    return ArrayType(a.dtype, (*batch, m, k)), ArrayType(a.dtype, (*batch, k, n))


qr = general(
    lambda a, complete: tuple(np.linalg.qr(a, "complete" if complete else "reduced")),
    _qr_vjp,
    name="qr",
    jvp=_qr_jvp,
    multiple=True,
    type_rule=_qr_type,
    samples=lambda: [
        ((some(3, 3) + 2 * np.eye(3),), {"complete": False}),
        ((some(4, 2),), {"complete": False}),
        ((some(2, 3, 2),), {"complete": True}),
        ((some(2, 4) + 2 * np.eye(2, 4),), {"complete": False}),
        ((some(3, 2) + 0.5j * some(3, 2, turn=0.3),), {"complete": False}),
        ((some(2, 3) + 2 * np.eye(2, 3) + 0.5j * some(2, 3, turn=0.3),), {"complete": True}),
    ],
)


@implements(np.linalg.qr)
def _qr(a: Any, mode: str = "reduced") -> Any:
    """The columns that complete Q have a derivative where the loss depends on the space alone that they span."""
    if mode not in ("reduced", "r", "complete"):
        raise UnsupportedError(
            f"numpy.linalg.qr: no derivative rule for mode={mode!r} (with a rule: 'reduced', 'complete', 'r'). Use "
            "mode='reduced'."
        )
    q, r = bind(qr, a, complete=mode == "complete")
    return r if mode == "r" else named(np.linalg.qr, q, r)

"""Pseudo-inverse, least squares, rank.

The rules of Golub and Pereyra (1973) hold for changes that keep the rank: those of a matrix of full rank all do. Of a
matrix that is not, `lstsq` raises; `pinv` gives the derivative along the changes that keep it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive, Pull, Read
from unspool.layout import ArrayType
from unspool.ops.averages import squared
from unspool.ops.families import cast, general
from unspool.ops.linalg import adjoint, turned
from unspool.ops.queries import query
from unspool.ops.samples import some
from unspool.ops.shape import as_array
from unspool.ops.table import enrol, implements


# --- pseudo-inverse ---------------------------------------------------------------------------------------------------
def _residual_makers(p: Any, a: Any) -> tuple[Any, Any]:
    """What projects on the complement of the range of a, and on its null space."""
    eyes = [np.eye(n, dtype=a.dtype) for n in a.shape[-2:]]
    return eyes[0] - a @ p, eyes[1] - p @ a


def _pinv_vjp(ct: Any, y: Any, a: Any, cutoff: Any) -> Any:
    left, right = _residual_makers(y, a)
    of_range = left @ turned(ct) @ y @ adjoint(y)
    of_null = adjoint(y) @ y @ turned(ct) @ right
    return np.conj(of_range + of_null) - turned(y) @ ct @ turned(y)


def _pinv_jvp(tangents: tuple[Any], y: Any, a: Any, cutoff: Any) -> Any:
    (ta,) = tangents
    left, right = _residual_makers(y, a)
    return y @ adjoint(y) @ adjoint(ta) @ left + right @ adjoint(ta) @ adjoint(y) @ y - y @ ta @ y


pinv: Primitive = general(
    lambda a, cutoff: np.linalg.pinv(a, rcond=cutoff),
    _pinv_vjp,
    name="pinv",
    jvp=_pinv_jvp,
    type_rule=lambda a, cutoff: ArrayType(a.dtype, (*a.shape[:-2], a.shape[-1], a.shape[-2])),
    samples=lambda: [
        ((some(4, 2),), {"cutoff": 1e-15}),
        ((some(2, 4),), {"cutoff": 1e-15}),
        ((some(2, 3, 3) + 2 * np.eye(3),), {"cutoff": 1e-15}),
        ((some(3, 2) + 0.5j * some(3, 2, turn=0.3),), {"cutoff": 1e-15}),
    ],
)


@implements(np.linalg.pinv)
def _pinv(a: Any, rcond: Any = None, *, rtol: Any = 1e-15) -> Any:
    if rcond is None:
        rcond = max(a.shape[-2:]) * np.finfo(a.dtype).eps if rtol is None else rtol
    return bind(pinv, a, cutoff=rcond)


# --- least squares ----------------------------------------------------------------------------------------------------
def _columns(b: Any) -> Any:
    return b[..., None] if len(b.shape) == 1 else b


def _lstsq_pull(wanted: int, n: int, plain: bool) -> Pull:
    def of_b_alone(ct: Any, y: Any, a: Any, b: Any, cutoff: float) -> tuple[Any, ...]:
        of_b = turned(np.linalg.pinv(a, cutoff)) @ _columns(ct)
        return (cast(np.reshape(of_b, b.shape), b.dtype),)

    def of_a_too(ct: Any, y: Any, a: Any, b: Any, cutoff: float) -> tuple[Any, ...]:
        p = np.linalg.pinv(a, cutoff)
        x, of_x = _columns(y), _columns(ct)
        of_b = turned(p) @ of_x
        _, null = _residual_makers(p, a)
        of_range = (_columns(b) - a @ x) @ turned(of_x) @ p @ adjoint(p)
        of_null = adjoint(p) @ x @ turned(of_x) @ null
        of_a = cast(np.conj(of_range + of_null) - of_b @ turned(x), a.dtype)
        return (of_a, cast(np.reshape(of_b, b.shape), b.dtype)) if wanted & 2 else (of_a,)

    if wanted & 1:
        return Pull.reading(of_a_too, (Read.VALUE, Read.VALUE, Read.VALUE))
    return Pull.reading(of_b_alone, (Read.NOTHING, Read.VALUE, Read.TYPE))


def _lstsq_jvp(tangents: tuple[Any, Any], y: Any, a: Any, b: Any, cutoff: float) -> Any:
    ta, tb = tangents
    p = np.linalg.pinv(a, cutoff)
    x, right = _columns(y), _columns(b)
    change: Any = 0.0
    if tb is not None:
        change = p @ _columns(tb)
    if ta is not None:
        _, null = _residual_makers(p, a)
        of_range = p @ adjoint(p) @ adjoint(ta) @ (right - a @ x)
        change = change + of_range + null @ adjoint(ta) @ adjoint(p) @ x - p @ ta @ x
    return cast(np.reshape(change, y.shape), y.dtype)


lstsq = enrol(
    Primitive(
        "lstsq",
        lambda a, b, cutoff: np.linalg.lstsq(a, b, cutoff)[0],
        type_rule=lambda a, b, cutoff: ArrayType(np.result_type(a.dtype, b.dtype), (a.shape[1], *b.shape[1:])),
        jvp=_lstsq_jvp,
        pull=_lstsq_pull,
        samples=lambda: [
            ((some(4, 2), some(4, turn=0.2)), {"cutoff": 1e-15}),
            ((some(4, 3), some(4, 2, turn=0.2)), {"cutoff": 1e-15}),
            ((some(2, 4), some(2, turn=0.2)), {"cutoff": 1e-15}),
            ((some(3, 2) + 0.5j * some(3, 2, turn=0.3), some(3)), {"cutoff": 1e-15}),
        ],
    )
)
rank = query(
    np.linalg.matrix_rank,
    "tol",
    "rtol",
    type_rule=lambda a, **params: ArrayType(np.dtype(np.intp), a.shape[:-2]),
    samples=lambda: [((some(3, 2),), {}), ((np.ones((2, 3, 3)),), {"tol": 1e-9})],
)


@implements(np.linalg.lstsq)
def _lstsq(a: Any, b: Any, rcond: float | None = None) -> tuple[Any, Any, Any, Any]:
    a, b = as_array(a), as_array(b)
    if a.ndim != 2 or b.ndim not in (1, 2) or a.shape[0] != b.shape[0]:
        raise np.linalg.LinAlgError("Incompatible dimensions")
    m, n = a.shape
    common = np.result_type(a.dtype, b.dtype)
    cutoff = float(np.finfo(common).eps * max(m, n)) if rcond is None else float(rcond)
    x = bind(lstsq, a, b, cutoff=cutoff)
    s = np.linalg.svd(a, compute_uv=False)
    n_independent = np.count_nonzero(s > cutoff * np.max(s)) if min(m, n) else 0
    if n_independent < min(m, n):
        raise UnsupportedError(
            f"numpy.linalg.lstsq: the matrix of shape {a.shape} has the rank {n_independent}, and the solution of a "
            "problem without full rank jumps with most changes of the matrix. Drop dependent columns; or, if the rank "
            "stays what it is, write np.linalg.pinv(a) @ b."
        )
    residuals = np.sum(squared(_columns(b) - a @ _columns(x)), axis=0) if m > n else np.zeros(0, s.dtype)
    return x, residuals, n_independent, s

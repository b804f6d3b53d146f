"""scipy.linalg: eigenvalues, singular values, QR factors, norms, least squares, in SciPy's words.

What differs from NumPy in its name or defaults only is NumPy's rule. What SciPy computes in another way, so that the
signs of vectors may differ, is a primitive with SciPy's values.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import scipy.linalg

from unspool.errors import UnsupportedError
from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.ops.decompositions import (
    diagonal_of,
    gaps,
    hermitian,
    on_diagonal,
    real_of,
    refuse_phase,
    symmetric,
    triangle_of_hermitian,
)
from unspool.ops.families import constant, general
from unspool.ops.linalg import adjoint, positive_definite, turned
from unspool.ops.samples import some
from unspool.ops.shape import Axes, as_array, axes_of
from unspool.ops.systems import inexact
from unspool.ops.table import implements

sl: Any = scipy.linalg


def _refuse(name: str, keyword: str, way_out: str) -> NoReturn:
    raise UnsupportedError(f"scipy.linalg.{name}: no derivative rule for {keyword} on a traced value. {way_out}")


# --- Hermitian: a v = w b v, the vectors normalised by b --------------------------------------------------------------
def _scaled(of_v: Any, v: Any, w: Any) -> Any:
    overlap = turned(v) @ of_v
    refuse_phase(diagonal_of(overlap), "scipy.linalg.eigh")
    return overlap * gaps(w, "scipy.linalg.eigh"), diagonal_of(overlap)


def _eigh_cotangents(ct: Any, y: Any) -> tuple[Any, Any]:
    """What is cotangent to V^H dA V and to V^H dB V."""
    (of_w, of_v), (w, v) = ct, y
    of_a: Any = 0.0
    of_b: Any = 0.0
    if of_w is not None:
        of_a = on_diagonal(of_w)
        of_b = -on_diagonal(of_w * w)
    if of_v is not None:
        across, along = _scaled(of_v, v, w)
        of_a = of_a + across
        of_b = of_b - across * w[..., None, :] - 0.5 * on_diagonal(np.real(along))
    return of_a, of_b


def _eigh_tangents(ta: Any, tb: Any, y: Any, lower: bool) -> tuple[Any, Any]:
    w, v = y
    inner: Any = 0.0
    length: Any = 0.0
    if ta is not None:
        inner = adjoint(v) @ hermitian(ta, lower) @ v
    if tb is not None:
        metric = adjoint(v) @ hermitian(tb, lower) @ v
        inner = inner - metric * w[..., None, :]
        length = -0.5 * on_diagonal(np.real(diagonal_of(metric)))
    return np.real(diagonal_of(inner)), v @ (inner * gaps(w, "scipy.linalg.eigh") + length)


def _with_vectors(c: Any, y: Any, lower: bool, like: Any) -> Any:
    v = y[1]
    return triangle_of_hermitian(np.conj(v) @ c @ turned(v), lower, like)


def _eigh_type(a: ArrayType, *b: ArrayType, lower: bool, check: bool) -> tuple[ArrayType, ArrayType]:
    dtype = inexact(a, *b)
    return ArrayType(real_of(dtype), a.shape[:-1]), ArrayType(dtype, a.shape)


eigh: Primitive = general(
    lambda a, lower, check: tuple(sl.eigh(a, lower=lower, check_finite=check)),
    lambda ct, y, a, lower, check: _with_vectors(_eigh_cotangents(ct, y)[0], y, lower, a),
    name="scipy.eigh",
    jvp=lambda tangents, y, a, lower, check: _eigh_tangents(tangents[0], None, y, lower),
    multiple=True,
    type_rule=_eigh_type,
    samples=lambda: [
        ((symmetric(3),), {"lower": True, "check": True}),
        ((symmetric(2),), {"lower": False, "check": False}),  # of more, LAPACK's signs change with the last digit
    ],
)
general_eigh: Primitive = general(
    lambda a, b, lower, check: tuple(sl.eigh(a, b, lower=lower, check_finite=check)),
    lambda ct, y, a, b, lower, check: _with_vectors(_eigh_cotangents(ct, y)[0], y, lower, a),
    lambda ct, y, a, b, lower, check: _with_vectors(_eigh_cotangents(ct, y)[1], y, lower, b),
    name="general_eigh",
    jvp=lambda tangents, y, a, b, lower, check: _eigh_tangents(tangents[0], tangents[1], y, lower),
    multiple=True,
    type_rule=_eigh_type,
    samples=lambda: [
        ((symmetric(3), positive_definite()), {"lower": True, "check": True}),
        ((symmetric(3), positive_definite()), {"lower": False, "check": True}),
    ],
)


@implements(sl.eigh)
def _eigh(
    a: Any,
    b: Any = None,
    *,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    type: int = 1,
    check_finite: bool = True,
) -> Any:
    """Of the generalised problem type 1; vectors of equal values have no derivative."""
    if type != 1:
        _refuse("eigh", f"type={type}", "Use type=1.")
    given = {"lower": bool(lower), "check": bool(check_finite)}
    w, v = bind(eigh, a, **given) if b is None else bind(general_eigh, as_array(a), as_array(b), **given)
    return w if eigvals_only else (w, v)


@implements(sl.eigvalsh)
def _eigvalsh(
    a: Any,
    b: Any = None,
    *,
    lower: bool = True,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    type: int = 1,
    check_finite: bool = True,
) -> Any:
    return _eigh(a, b, lower=lower, eigvals_only=True, type=type, check_finite=check_finite)


# --- in general -------------------------------------------------------------------------------------------------------
@implements(sl.eig)
def _eig(
    a: Any, *, right: bool = True, overwrite_a: bool = False, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    """The right vectors of one matrix; the values are complex, as SciPy has them."""
    if not right:
        return _eigvals(a)
    w, v = np.linalg.eig(a)
    return np.astype(w, np.result_type(w.dtype, np.complex64)), v


@implements(sl.eigvals)
def _eigvals(a: Any, *, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    w = np.linalg.eigvals(a)
    return np.astype(w, np.result_type(w.dtype, np.complex64))


@implements(sl.svd)
def _svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    check_finite: bool = True,
) -> Any:
    """The rule of numpy.linalg.svd."""
    if not compute_uv:
        return np.linalg.svdvals(a)
    return tuple(np.linalg.svd(a, full_matrices))


@implements(sl.svdvals)
def _svdvals(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    return np.linalg.svdvals(a)


# --- QR ---------------------------------------------------------------------------------------------------------------
column_order = constant(
    lambda a: sl.qr(a, mode="r", pivoting=True)[1],
    name="column_order",
    type_rule=lambda a: ArrayType(np.dtype(np.int32), a.shape[-1:]),
    samples=lambda: [((some(4, 3),), {})],
)


@implements(sl.qr)
def _qr(  # noqa: PLR0917 - SciPy's signature
    a: Any,
    overwrite_a: bool = False,
    lwork: Any = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> tuple[Any, ...]:
    """The rule of numpy.linalg.qr; with pivoting the derivative at a fixed order of the columns."""
    if mode not in ("full", "qr", "r", "economic"):
        _refuse("qr", f"mode={mode!r}", "Use mode='economic', 'full' or 'r'.")
    order = None
    if pivoting:
        order = bind(column_order, a)
        a = np.take(a, order, axis=1)
    q, r = np.linalg.qr(a, "reduced" if mode == "economic" else "complete")
    factors = (r,) if mode == "r" else (q, r)
    return factors if order is None else (*factors, order)


# --- norms and least squares ------------------------------------------------------------------------------------------
@implements(sl.norm)
def _norm(a: Any, ord: Any = None, axis: Axes = None, keepdims: bool = False, check_finite: bool = True) -> Any:
    """The rule of numpy.linalg.norm."""
    return np.linalg.norm(a, ord, axis if axis is None else axes_of(axis, np.ndim(a)), keepdims)


@implements(sl.pinv)
def _pinv(a: Any, *, atol: float | None = None, rtol: float | None = None, check_finite: bool = True) -> Any:
    """The rule of numpy.linalg.pinv."""
    if atol:
        _refuse("pinv", f"atol={atol!r}", "Use rtol=.")
    return np.linalg.pinv(a, rtol=max(a.shape[-2:]) * np.finfo(a.dtype).eps if rtol is None else rtol)


@implements(sl.lstsq)
def _lstsq(  # noqa: PLR0917 - SciPy's signature
    a: Any,
    b: Any,
    cond: float | None = None,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> tuple[Any, Any, Any, Any]:
    """The rule of numpy.linalg.lstsq."""
    a, b = as_array(a), as_array(b)
    cutoff = float(np.finfo(inexact(a, b)).eps) if cond is None else cond
    x, residuals, rank, s = np.linalg.lstsq(a, b, cutoff)
    if b.ndim == 1 and residuals.shape == (1,):
        residuals = residuals[0]
    return x, residuals, rank, s

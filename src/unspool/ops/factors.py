"""scipy.linalg: triangular factors (LU and Cholesky), and systems that are solved with them.

A factorisation that is made once serves every right-hand side, and every cotangent of one on the way back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced, bind
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.ops.families import cast, constant, general, linear
from unspool.ops.linalg import adjoint, cholesky_jvp, cholesky_vjp, positive_definite, turned, well_conditioned
from unspool.ops.samples import complex_some, some
from unspool.ops.shape import as_array
from unspool.ops.systems import inexact, solution_type, solve_triangular, system
from unspool.ops.table import implements

sl: Any = scipy.linalg


# --- LU ---------------------------------------------------------------------------------------------------------------
def _row_order(pivots: Any) -> Any:
    """Where each row of L U comes from in the matrix, from LAPACK's list of exchanges."""
    n = pivots.shape[-1]
    order = np.broadcast_to(np.arange(n), pivots.shape).copy()
    for k in range(n):
        pair = np.stack([np.full(pivots.shape[:-1], k), pivots[..., k]], axis=-1)
        np.put_along_axis(order, pair, np.take_along_axis(order, pair[..., ::-1], axis=-1), axis=-1)
    return order


_PIVOTS = np.array([2, 2, 2], np.int32)
row_order = constant(
    _row_order,
    name="row_order",
    type_rule=lambda pivots: ArrayType(np.dtype(int), pivots.shape),
    samples=lambda: [((_PIVOTS,), {}), ((np.array([[1, 1], [0, 1]]),), {})],
)
pivots_of = constant(
    lambda pivots: pivots,
    name="pivots",
    type_rule=lambda pivots: pivots,
    samples=lambda: [((_PIVOTS,), {})],
)


def _rows(m: Any, order: Any) -> Any:
    return np.take_along_axis(m, order[..., None], axis=-2)


def _lower(lu: Any) -> Any:
    """L out of the matrix that holds both factors."""
    return np.tril(lu, -1) + np.eye(lu.shape[-1], dtype=lu.dtype)


def _with_l(lu: Any, m: Any, trans: int) -> Any:
    return bind(solve_triangular, lu, m, lower=True, unit=True, trans=trans, check=False)


def _with_u(lu: Any, m: Any, trans: int) -> Any:
    return bind(solve_triangular, lu, m, lower=False, unit=False, trans=trans, check=False)


def _lu_vjp(ct: Any, y: Any, a: Any, check: bool) -> Any:
    (of_lu, _), (lu, pivots) = ct, y
    inner = np.tril(turned(_lower(lu)) @ np.tril(of_lu, -1), -1) + np.triu(np.triu(of_lu) @ turned(np.triu(lu)))
    rows = turned(_with_u(lu, turned(_with_l(lu, inner, 1)), 0))
    return _rows(rows, np.argsort(bind(row_order, pivots), axis=-1))


def _lu_jvp(tangents: tuple[Any], y: Any, a: Any, check: bool) -> tuple[Any, None]:
    lu, pivots = y
    rows = _rows(tangents[0], bind(row_order, pivots))
    inner = turned(_with_u(lu, turned(_with_l(lu, rows, 0)), 1))
    return _lower(lu) @ np.tril(inner, -1) + np.triu(inner) @ np.triu(lu), None


lu_factor: Primitive = general(
    lambda a, check: tuple(sl.lu_factor(a, check_finite=check)),
    _lu_vjp,
    name="lu_factor",
    jvp=_lu_jvp,
    multiple=True,
    type_rule=lambda a, check: (ArrayType(inexact(a), a.shape), ArrayType(np.dtype(np.int32), a.shape[:-1])),
    samples=lambda: [
        ((some(3, 3),), {"check": True}),
        ((well_conditioned(4),), {"check": True}),
        ((complex_some(3, 3),), {"check": False}),
    ],
)


@implements(sl.lu_factor)
def _lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, Any]:
    """The pivots are plain; the derivative is that at fixed pivots."""
    if a.shape[-1] != a.shape[-2]:
        raise UnsupportedError(
            f"scipy.linalg.lu_factor: no derivative rule for a matrix of shape {a.shape}, which is not square. Use "
            "np.linalg.qr."
        )
    lu, pivots = bind(lu_factor, a, check=bool(check_finite))
    return lu, bind(pivots_of, pivots)


@implements(sl.lu)
def _lu(
    a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True, p_indices: bool = False
) -> tuple[Any, ...]:
    """Square matrices only; the permutation is plain."""
    lu, pivots = _lu_factor(a, check_finite=check_finite)
    low, up = _lower(lu), np.triu(lu)
    back = np.argsort(bind(row_order, pivots), axis=-1)
    if permute_l:
        return _rows(low, back), up
    if p_indices:
        return back, low, up
    eye = np.broadcast_to(np.eye(a.shape[-1], dtype=lu.real.dtype), a.shape)
    return _rows(eye, back), low, up


def _lu_times(tlu: Any, y: Any, lu: Any, pivots: Any, *, trans: int, check: bool) -> Any:
    order = bind(row_order, pivots)
    low, up, t_low, t_up = _lower(lu), np.triu(lu), np.tril(tlu, -1), np.triu(tlu)
    if not trans:
        return _rows(t_low @ (up @ y) + low @ (t_up @ y), np.argsort(order, axis=-1))
    y = _rows(y, order)
    return turned(up) @ (turned(t_low) @ y) + turned(t_up) @ (turned(low) @ y)


def _lu_outer(w: Any, y: Any, lu: Any, pivots: Any, *, trans: int, check: bool) -> Any:
    left, right = (y, w) if trans else (w, y)
    left = _rows(left, bind(row_order, pivots))
    of_low = left @ turned(np.triu(lu) @ right)
    return np.tril(of_low, -1) + np.triu((turned(_lower(lu)) @ left) @ turned(right))


lu_solve: Primitive = system(
    lambda lu, b, pivots, trans, check: sl.lu_solve((lu, pivots), b, trans, check_finite=check),
    lambda lu, ct, pivots, trans, check: bind(lu_solve, lu, ct, pivots, trans=1 - trans, check=False),
    _lu_times,
    _lu_outer,
    name="lu_solve",
    type_rule=solution_type,
    samples=lambda: [
        ((well_conditioned(), some(3), _PIVOTS), {"trans": 0, "check": True}),
        ((well_conditioned(), some(3, 2), _PIVOTS), {"trans": 1, "check": True}),
        ((well_conditioned() + 0.4j * some(3, 3), some(3), _PIVOTS), {"trans": 0, "check": False}),
    ],
)


@implements(sl.lu_solve)
def _lu_solve(
    lu_and_piv: tuple[Any, Any], b: Any, trans: int = 0, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    lu, pivots = map(as_array, lu_and_piv)
    if trans == 2:
        lu, trans = np.conj(lu) if lu.dtype.kind == "c" else lu, 1
    return bind(lu_solve, lu, as_array(b), pivots, trans=int(trans), check=bool(check_finite))


# --- Cholesky ---------------------------------------------------------------------------------------------------------
def _factor_vjp(ct: Any, y: Any, a: Any, lower: bool, check: bool) -> Any:
    if lower:
        return cholesky_vjp(ct, y, a)
    return adjoint(cholesky_vjp(adjoint(ct), adjoint(y), adjoint(a)))  # the factors are conjugate transposes


def _factor_jvp(tangents: tuple[Any], y: Any, a: Any, lower: bool, check: bool) -> Any:
    if lower:
        return cholesky_jvp(tangents, y, a)
    return adjoint(cholesky_jvp((adjoint(tangents[0]),), adjoint(y), adjoint(a)))


cholesky = general(
    lambda a, lower, check: sl.cholesky(a, lower, check_finite=check),
    _factor_vjp,
    name="scipy.cholesky",
    jvp=_factor_jvp,
    type_rule=lambda a, lower, check: ArrayType(inexact(a), a.shape),
    samples=lambda: [
        ((positive_definite(),), {"lower": True, "check": True}),
        ((positive_definite(),), {"lower": False, "check": True}),
        ((positive_definite() + 0.3j * (some(3, 3) - some(3, 3).T),), {"lower": False, "check": True}),
    ],
)


@implements(sl.cholesky)
def _cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The triangle that is not read has the derivative zero."""
    return bind(cholesky, a, lower=bool(lower), check=bool(check_finite))


@implements(sl.cho_factor)
def _cho_factor(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, bool]:
    """The triangle that SciPy leaves undefined is zero."""
    return _cholesky(a, lower, check_finite=check_finite), lower


def _cho_times(tc: Any, y: Any, c: Any, lower: bool, check: bool) -> Any:
    if lower:
        factor, change = np.tril(c), np.tril(tc)
        return change @ (adjoint(factor) @ y) + factor @ (adjoint(change) @ y)
    factor, change = np.triu(c), np.triu(tc)
    return adjoint(change) @ (factor @ y) + adjoint(factor) @ (change @ y)


def _conj(a: Any) -> Any:
    return np.conj(a) if a.dtype.kind == "c" else a


def _cho_outer(w: Any, y: Any, c: Any, lower: bool, check: bool) -> Any:
    if lower:
        factor = _conj(np.tril(c))
        return np.tril(w @ (turned(y) @ factor) + _conj(y) @ (adjoint(w) @ factor))
    factor = _conj(np.triu(c))
    return np.triu((factor @ w) @ turned(y) + (factor @ _conj(y)) @ adjoint(w))


cho_solve: Primitive = system(
    lambda c, b, lower, check: sl.cho_solve((c, lower), b, check_finite=check),
    lambda c, ct, lower, check: bind(cho_solve, _conj(c), ct, lower=lower, check=False),
    _cho_times,
    _cho_outer,
    name="cho_solve",
    type_rule=solution_type,
    samples=lambda: [
        ((well_conditioned(), some(3)), {"lower": True, "check": True}),
        ((well_conditioned(), some(3, 2)), {"lower": False, "check": True}),
        ((well_conditioned() + 0.4j * some(3, 3), some(3)), {"lower": False, "check": False}),
        ((well_conditioned() + 0.4j * some(3, 3), some(3)), {"lower": True, "check": False}),
    ],
)


@implements(sl.cho_solve)
def _cho_solve(c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    c, lower = c_and_lower
    return bind(cho_solve, as_array(c), as_array(b), lower=bool(lower), check=bool(check_finite))


cho_solve_banded: Primitive = linear(
    lambda b, c, lower, check: sl.cho_solve_banded((c, lower), b, check_finite=check),
    lambda ct, b, c, lower, check: cast(bind(cho_solve_banded, ct, c=_conj(c), lower=lower, check=False), b.dtype),
    name="cho_solve_banded",
    type_rule=lambda b, c, lower, check: ArrayType(inexact(b, c), b.shape),
    samples=lambda: [
        ((some(4),), {"c": some(2, 4) + 4, "lower": True, "check": True}),
        ((some(4, 2),), {"c": complex_some(2, 4) + 4, "lower": False, "check": True}),
    ],
)


@implements(sl.cho_solve_banded)
def _cho_solve_banded(
    cb_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    """The factor is plain; to differentiate in the matrix use solveh_banded."""
    c, lower = cb_and_lower
    if isinstance(c, Traced):
        raise UnsupportedError(
            "scipy.linalg.cho_solve_banded: no derivative rule with respect to the factor. Use "
            "unspool.scipy.linalg.solveh_banded, which takes the matrix itself."
        )
    return bind(cho_solve_banded, as_array(b), c=np.array(c), lower=bool(lower), check=bool(check_finite))

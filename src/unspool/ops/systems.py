"""scipy.linalg: systems of equations whose matrix has a structure, each with the structure in its derivative too.

The matrix is given by numbers of which some are not read (one triangle, the corners of a band): those have the
derivative zero. The derivative of a solution is another solution with the same matrix, or with its transpose, so that a
structure is made use of on the way back as on the way forth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

from unspool.errors import UnsupportedError
from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive, Pull, Read
from unspool.layout import ArrayType
from unspool.ops.decompositions import hermitian, triangle_of_hermitian
from unspool.ops.families import fit, general
from unspool.ops.linalg import cofactors, turned, well_conditioned
from unspool.ops.samples import complex_some, some
from unspool.ops.shape import as_array
from unspool.ops.table import enrol, implements

sl: Any = scipy.linalg

Rule = Callable[..., Any]


def inexact(*types: Any) -> np.dtype[Any]:
    """The dtype in which LAPACK computes with operands of these types."""
    return np.result_type(*[t.dtype for t in types], np.float32)


# --- what all systems share -------------------------------------------------------------------------------------------
def columns(v: Any, vector: bool) -> Any:
    """Right-hand sides as the columns of a matrix."""
    return v[..., None] if vector else v


def system(evaluate: Rule, transposed: Rule, times: Rule, outer: Rule, *, name: str, **about: Any) -> Primitive:
    """Enrol ``evaluate(a, b)``, the solution y of a linear system whose matrix A is given by the array a.

    ``transposed(a, ct)`` solves with the transpose of A; ``times(ta, y, a)`` is the change of A times the columns of y;
    ``outer(w, y, a)`` is its transpose, the cotangent of a for that of A being ``w @ y.T``. All of them see the
    operands that follow b, which are not differentiated, and the keywords.
    """

    def solved(solve: Rule, a: Any, v: Any, *more: Any, vector: bool, **params: Any) -> Any:
        if vector and len(v.shape) > 1:  # of a stack of systems
            return solve(a, v[..., None], *more, **params)[..., 0]
        return solve(a, v, *more, **params)

    def pull(wanted: int, n: int, plain: bool) -> Pull:
        def rule(ct: Any, y: Any, a: Any, b: Any, *more: Any, **params: Any) -> tuple[Any, ...]:
            vector = len(b.shape) == 1
            w = solved(transposed, a, ct, *more, vector=vector, **params)
            cts = []
            if wanted & 1:
                cts.append(fit(-outer(columns(w, vector), columns(y, vector), a, *more, **params), a))
            if wanted & 2:
                cts.append(fit(w, b))
            return tuple(cts)

        rest = (Read.VALUE,) * (n - 2)
        return Pull.reading(rule, (Read.VALUE if wanted & 1 else Read.NOTHING, Read.VALUE, Read.TYPE, *rest))

    def jvp(tangents: tuple[Any, ...], y: Any, a: Any, b: Any, *more: Any, **params: Any) -> Any:
        ta, tb, *_ = tangents
        vector = len(b.shape) == 1
        right: Any = 0.0 if tb is None else tb
        if ta is not None:
            change = times(ta, columns(y, vector), a, *more, **params)
            right = right - (change[..., 0] if vector else change)
        return fit(np.broadcast_to(solved(again, a, right, *more, vector=vector, **params), y.shape), y)

    def again(a: Any, v: Any, *more: Any, **params: Any) -> Any:
        return bind(primitive, a, v, *more, **params)

    primitive = Primitive(name, evaluate, jvp=jvp, pull=pull, **about)
    return enrol(primitive)


def solution_type(a: ArrayType, b: ArrayType, *more: Any, **params: Any) -> ArrayType:
    """The type of the solution of a system whose matrix is given by an array with one column per unknown."""
    if len(b.shape) == 1:
        return ArrayType(inexact(a, b), (*a.shape[:-2], a.shape[-1]))
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return ArrayType(inexact(a, b), (*batch, a.shape[-1], b.shape[-1]))


# --- triangular -------------------------------------------------------------------------------------------------------
def triangle(m: Any, lower: bool, unit: bool) -> Any:
    """The part of a matrix that a triangular system reads."""
    return np.tril(m, -1 if unit else 0) if lower else np.triu(m, 1 if unit else 0)


def _triangular(a: Any, b: Any, *, lower: bool, unit: bool, trans: int, check: bool) -> Any:
    return sl.solve_triangular(a, b, trans, lower, unit, check_finite=check)


solve_triangular: Primitive = system(
    _triangular,
    lambda a, ct, lower, unit, trans, check: bind(
        solve_triangular, a, ct, lower=lower, unit=unit, trans=1 - trans, check=False
    ),
    lambda ta, y, a, lower, unit, trans, check: (
        turned(triangle(ta, lower, unit)) @ y if trans else triangle(ta, lower, unit) @ y
    ),
    lambda w, y, a, lower, unit, trans, check: triangle(y @ turned(w) if trans else w @ turned(y), lower, unit),
    name="solve_triangular",
    type_rule=solution_type,
    samples=lambda: [
        ((some(3, 3) + 3 * np.eye(3), some(3)), {"lower": True, "unit": False, "trans": 0, "check": True}),
        ((some(3, 3) + 3 * np.eye(3), some(3, 2)), {"lower": False, "unit": False, "trans": 1, "check": True}),
        ((some(3, 3), some(3)), {"lower": False, "unit": True, "trans": 0, "check": False}),
        (
            (complex_some(3, 3) + 3 * np.eye(3), some(3)),
            {"lower": True, "unit": False, "trans": 1, "check": True},
        ),
    ],
)


@implements(sl.solve_triangular)
def _solve_triangular(  # noqa: PLR0917 - SciPy's signature
    a: Any,
    b: Any,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """The triangle that is not read has the derivative zero."""
    a, b = as_array(a), as_array(b)
    number = {"N": 0, "T": 1, "C": 2}.get(trans, trans) if isinstance(trans, str) else trans
    if number not in (0, 1, 2):
        raise ValueError(f"trans={trans!r}: choose 0, 1, 2, 'N', 'T' or 'C'")
    if number == 2:
        a, number = np.conj(a) if a.dtype.kind == "c" else a, 1
    return bind(
        solve_triangular,
        a,
        b,
        lower=bool(lower),
        unit=bool(unit_diagonal),
        trans=number,
        check=bool(check_finite),
    )


# --- dense, with a structure that is assumed --------------------------------------------------------------------------
_NAMES = {
    None: "general",
    "gen": "general",
    "banded": "general",  # SciPy finds the width of the band in the values: it reads all of them
    "sym": "symmetric",
    "her": "hermitian",
    "pos": "hermitian",
    "positive definite": "hermitian",
}


def _band(m: Any, width: int) -> Any:
    return np.triu(np.tril(m, width), -width)


def _matrix(a: Any, assume: str | None, lower: bool) -> Any:
    """The matrix that is read out of a, linear in a over the real numbers."""
    structure = _NAMES.get(assume, assume)
    if structure == "symmetric":
        half = np.tril(a, -1) if lower else np.triu(a, 1)
        return half + turned(half) + _band(a, 0)
    if structure == "hermitian":
        return hermitian(a, lower)
    return _projected(a, structure)


def _of_matrix(c: Any, a: Any, assume: str | None, lower: bool) -> Any:
    """The transpose of `_matrix`."""
    structure = _NAMES.get(assume, assume)
    if structure == "symmetric":
        both = c + turned(c)
        return (np.tril(both, -1) if lower else np.triu(both, 1)) + _band(c, 0)
    if structure == "hermitian":
        return triangle_of_hermitian(c, lower, a)
    return _projected(c, structure)


def _projected(m: Any, structure: str | None) -> Any:
    if structure == "upper triangular":
        return np.triu(m)
    if structure == "lower triangular":
        return np.tril(m)
    return m if structure == "general" else _band(m, 0 if structure == "diagonal" else 1)


def _transposed(a: Any, assume: str | None, lower: bool) -> tuple[Any, str | None, bool]:
    turned_triangle = {"upper triangular": "lower triangular", "lower triangular": "upper triangular"}
    return turned(a), turned_triangle.get(assume or "", assume), not lower


def _solve_transposed(a: Any, ct: Any, assume: str | None, lower: bool, check: bool) -> Any:
    a, assume, lower = _transposed(a, assume, lower)
    return bind(solve, a, ct, assume=assume, lower=lower, check=False)


def _dense(a: Any, b: Any, assume: str | None, lower: bool, check: bool) -> Any:
    given = {} if assume is None else {"assume_a": assume}  # the default differs between versions of SciPy
    return sl.solve(a, b, lower, check_finite=check, **given)


solve: Primitive = system(
    _dense,
    _solve_transposed,
    lambda ta, y, a, assume, lower, check: _matrix(ta, assume, lower) @ y,
    lambda w, y, a, assume, lower, check: _of_matrix(w @ turned(y), a, assume, lower),
    name="scipy.solve",
    type_rule=solution_type,
    samples=lambda: [
        ((well_conditioned(), some(3)), {"assume": None, "lower": False, "check": True}),
        ((well_conditioned(), some(3, 2)), {"assume": "gen", "lower": False, "check": True}),
        ((well_conditioned(), some(3)), {"assume": "sym", "lower": True, "check": True}),
        ((well_conditioned() + 3 * np.eye(3), some(3)), {"assume": "pos", "lower": False, "check": False}),
        ((well_conditioned() + 0.2j * some(3, 3), some(3)), {"assume": "sym", "lower": False, "check": True}),
    ],
)


@implements(sl.solve)
def _solve(  # noqa: PLR0917 - SciPy's signature
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    assume_a: str | None = None,
    transposed: bool = False,
) -> Any:
    """What `assume_a` leaves unread has the derivative zero."""
    a, b = as_array(a), as_array(b)
    if transposed:
        if a.dtype.kind == "c":
            raise NotImplementedError("scipy.linalg.solve: transposed=True is for real matrices. Pass a.T.")
        a, assume_a, lower = _transposed(a, assume_a, lower)
    return bind(solve, a, b, assume=assume_a, lower=bool(lower), check=bool(check_finite))


# --- inverse and determinant ------------------------------------------------------------------------------------------
inv = general(
    lambda a, check: sl.inv(a, check_finite=check),
    lambda ct, y, a, check: -(turned(y) @ ct @ turned(y)),
    name="scipy.inv",
    jvp=lambda tangents, y, a, check: -(y @ tangents[0] @ y),
    type_rule=lambda a, check: ArrayType(inexact(a), a.shape),
    samples=lambda: [((well_conditioned(),), {"check": True})],
)
det = general(
    lambda a, check: np.asarray(sl.det(a, check_finite=check))[()],
    lambda ct, y, a, check: ct[..., None, None] * cofactors(y, a),
    name="scipy.det",
    jvp=lambda tangents, y, a, check: np.sum(tangents[0] * cofactors(y, a), axis=(-2, -1)),
    type_rule=lambda a, check: ArrayType(np.result_type(a.dtype, np.float64), a.shape[:-2]),
    samples=lambda: [((well_conditioned(),), {"check": True})],
)


@implements(sl.inv)
def _inv(
    a: Any,
    overwrite_a: bool = False,
    check_finite: bool = True,
    *,
    assume_a: str | None = None,
    lower: bool = False,
) -> Any:
    if _NAMES.get(assume_a, assume_a) != "general":
        raise UnsupportedError(
            f"scipy.linalg.inv: no derivative rule for assume_a={assume_a!r}. Leave it out, or solve with "
            "unspool.scipy.linalg.solve, which has one."
        )
    return bind(inv, a, check=bool(check_finite))


@implements(sl.det)
def _det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    return bind(det, a, check=bool(check_finite))

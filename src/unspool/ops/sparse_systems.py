"""scipy.sparse.linalg: sparse systems, by LU factors or by iteration.

A solution is differentiated by the implicit rule: another solution with the same matrix, or with its transpose. The
cotangent of the matrix is the outer product of two solutions at the places of its numbers only. LU factors that were
just made serve again (`unspool.ops.patterns.FACTORISATIONS` keeps the last ones): the adjoint of a system finds those
of its sweep, a loop with one matrix factorises it once. An iterative solution that did not converge raises, since the
rule holds at the solution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import scipy.sparse.linalg

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced, bind
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.ops.families import cast, linear
from unspool.ops.linalg import turned
from unspool.ops.outside import Holder
from unspool.ops.patterns import Pattern, solved, solved_by
from unspool.ops.samples import complex_some, some
from unspool.ops.shape import as_array
from unspool.ops.sparse import outer_at, parts, product
from unspool.ops.sparse_arrays import SparseArray, is_sparse
from unspool.ops.systems import inexact, system
from unspool.ops.table import implements

sl: Any = scipy.sparse.linalg

_PATTERN = Pattern(np.array([0, 2, 4, 6]), np.array([0, 1, 1, 2, 0, 2]), (3, 3))
_NUMBERS = np.array([4.0, 1.0, 3.0, -1.0, 0.5, 5.0])
_SYMMETRIC = Pattern(np.array([0, 2, 5, 7]), np.array([0, 1, 0, 1, 2, 1, 2]), (3, 3))
_POSITIVE = np.array([4.0, -1.0, -1.0, 4.0, -1.0, -1.0, 4.0])


def _type(data: ArrayType, b: ArrayType, **params: Any) -> ArrayType:
    return ArrayType(inexact(data, b), b.shape)


# --- by LU factors ----------------------------------------------------------------------------------------------------
spsolve: Primitive = system(
    lambda data, b, pattern, permc: solved(pattern, data, np.asarray(b), permc),
    lambda data, ct, pattern, permc: bind(spsolve, data, ct, pattern=pattern.T, permc=permc),
    lambda t, y, data, pattern, permc: bind(product, t, y, pattern=pattern),
    lambda w, y, data, pattern, permc: bind(outer_at, w, y, pattern=pattern),
    name="spsolve",
    type_rule=_type,
    samples=lambda: [
        ((_NUMBERS, some(3)), {"pattern": _PATTERN, "permc": None}),
        ((_NUMBERS, some(3, 2)), {"pattern": _PATTERN.T, "permc": "NATURAL"}),
        ((_NUMBERS + 0.5j * some(6), some(3)), {"pattern": _PATTERN, "permc": None}),
        ((_NUMBERS, complex_some(3)), {"pattern": _PATTERN, "permc": None}),
    ],
)


def _system(name: str, matrix: Any, b: Any) -> tuple[Pattern, Any, Any]:
    if not is_sparse(matrix):
        raise UnsupportedError(
            f"{name}: the matrix is not sparse. Use unspool.scipy.linalg.solve, or make it with unspool.scipy.sparse."
        )
    if is_sparse(b):
        raise UnsupportedError(f"{name}: no derivative rule for a sparse right-hand side. Use its toarray().")
    pattern, data = parts(matrix)
    right = as_array(b)
    if pattern.shape[0] != pattern.shape[1] or right.ndim not in (1, 2) or right.shape[0] != pattern.shape[0]:
        raise ValueError(f"{name}: matrix and right-hand side of shapes {pattern.shape} and {right.shape}")
    return pattern, data, right


@implements(sl.spsolve)
def _spsolve(
    A: Any,  # noqa: N803 - SciPy's name
    b: Any,
    permc_spec: str | None = None,
    use_umfpack: bool = True,
) -> Any:
    """By SuperLU; the last factorisations are kept for the adjoint and for the next system with the same matrix."""
    pattern, data, right = _system("scipy.sparse.linalg.spsolve", A, b)
    y = bind(spsolve, data, right, pattern=pattern, permc=permc_spec)
    return np.ravel(y) if right.ndim == 2 and right.shape[1] == 1 else y


# --- factors that the user keeps --------------------------------------------------------------------------------------
_TURNED = {"N": "T", "T": "N"}


def _factors() -> Any:
    return sl.splu(_PATTERN.matrix(_NUMBERS).tocsc())


lu_applied: Primitive = linear(
    lambda b, factors, trans: solved_by(factors, np.asarray(b), trans),
    lambda ct, b, factors, trans: cast(bind(lu_applied, ct, factors=factors, trans=_TURNED[trans]), b.dtype),
    name="superlu_solve",
    type_rule=lambda b, factors, trans: ArrayType(np.result_type(b.dtype, factors.U.dtype), b.shape),
    samples=lambda: [
        ((some(3),), {"factors": _factors(), "trans": "N"}),
        ((complex_some(3, 2),), {"factors": _factors(), "trans": "T"}),
    ],
)


class Factors:
    """What ``unspool.scipy.sparse.linalg.splu`` returns: LU factors, of a matrix that is plain or holds traced numbers.

    ``solve(b, trans)`` takes traced right-hand sides. Of a plain matrix everything else is that of SciPy's object.
    """

    def __init__(self, matrix: Any, permc_spec: str | None, options: dict[str, Any]) -> None:
        if not is_sparse(matrix):
            matrix = scipy.sparse.csc_array(matrix)
        self._traced = isinstance(matrix, SparseArray)
        self.shape: tuple[int, int] = matrix.shape
        if self._traced and any(value is not None for value in options.values()):
            given = ", ".join(f"{k}=" for k, value in options.items() if value is not None)
            raise UnsupportedError(f"scipy.sparse.linalg.splu: no derivative rule for {given} on a traced matrix.")
        self._permc = permc_spec
        self._matrix: Any = matrix if self._traced else None
        self._scipys = None if self._traced else sl.splu(matrix.tocsc(), permc_spec, **options)

    def solve(self, b: Any, trans: str = "N") -> Any:
        """The solution of the system with the matrix ("N"), its transpose ("T") or conjugate transpose ("H")."""
        if trans not in ("N", "T", "H"):
            raise ValueError("trans must be N, T, or H")
        if self._scipys is not None and not isinstance(b, Traced):
            return self._scipys.solve(b, trans)
        right = as_array(b)
        if trans == "H" and right.dtype.kind == "c":
            return np.conj(self.solve(np.conj(right), "T"))
        if self._scipys is None:
            matrix = self._matrix if trans == "N" else self._matrix.T
            matrix = matrix.conj() if trans == "H" else matrix
            pattern, data, right = _system("scipy.sparse.linalg.splu", matrix, right)
            return bind(spsolve, data, right, pattern=pattern, permc=self._permc)
        if trans == "H" and self._scipys.U.dtype.kind == "c":
            return np.conj(bind(lu_applied, right, factors=self._scipys, trans="T"))
        return bind(lu_applied, right, factors=self._scipys, trans="N" if trans == "N" else "T")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or self._scipys is None:
            raise AttributeError(f"the LU factors of a matrix of traced numbers have no attribute {name!r}; use solve")
        return getattr(self._scipys, name)


def _splu(  # noqa: PLR0917 - SciPy's signature
    A: Any,  # noqa: N803 - SciPy's name
    permc_spec: str | None = None,
    diag_pivot_thresh: float | None = None,
    relax: int | None = None,
    panel_size: int | None = None,
    options: dict[str, Any] | None = None,
) -> Factors:
    """The result takes traced right-hand sides, whether the matrix is traced or not."""
    how = {"diag_pivot_thresh": diag_pivot_thresh, "relax": relax, "panel_size": panel_size, "options": options}
    return Factors(A, permc_spec, how)


def _factorized(A: Any) -> Callable[[Any], Any]:  # noqa: N803 - SciPy's name
    """The result takes traced right-hand sides, whether the matrix is traced or not."""
    return Factors(A, None, {}).solve


splu, factorized = implements(sl.splu)(_splu), implements(sl.factorized)(_factorized)


# --- by iteration -----------------------------------------------------------------------------------------------------
_SELF_ADJOINT = ("cg", "minres")


def _iterated(
    data: Any, b: Any, *, pattern: Pattern | None, method: str, how: tuple[tuple[str, Any], ...], start: Any
) -> Any:
    matrix = data if pattern is None else pattern.matrix(data)
    given = dict(how)
    if start is not None:
        given["x0"] = start
    y, info = getattr(sl, method)(matrix, b, **given)
    if info != 0:
        not_converged(method, info)
    return y


def not_converged(method: str, info: int) -> NoReturn:
    """Refuse the derivative of an iteration that has not come to its end."""
    raise UnsupportedError(
        f"scipy.sparse.linalg.{method} did not converge (info={info}), and the rule for its derivative holds at the "
        "solution only. Give it more iterations with maxiter=, a preconditioner with M=, or a larger rtol=."
    )


def _back(data: Any, ct: Any, *, pattern: Any, method: str, how: Any, start: Any) -> Any:
    """The same iteration with the transposed matrix."""
    if method in _SELF_ADJOINT:
        turned_data, turned_pattern = np.conj(data) if data.dtype.kind == "c" else data, pattern
    else:
        turned_data, turned_pattern = (turned(data), None) if pattern is None else (data, pattern.T)
    how = transposed_how(how, method)
    return bind(iterated, turned_data, ct, pattern=turned_pattern, method=method, how=how, start=None)


def transposed_how(how: tuple[tuple[str, Any], ...], method: str) -> tuple[tuple[str, Any], ...]:
    """What goes with the transposed matrix: the transposed preconditioner, and no calls to the user."""
    turns = method not in _SELF_ADJOINT
    return tuple(
        [
            (key, sl.aslinearoperator(value).T if key == "M" and turns else value)
            for key, value in how
            if not key.startswith("callback")
        ]
    )


iterated: Primitive = system(
    _iterated,
    _back,
    lambda t, y, data, pattern, method, how, start: t @ y if pattern is None else bind(product, t, y, pattern=pattern),
    lambda w, y, data, pattern, method, how, start: (
        w @ turned(y) if pattern is None else bind(outer_at, w, y, pattern=pattern)
    ),
    name="iterative_solve",
    type_rule=_type,
    samples=lambda: [
        (operands, {"pattern": pattern, "method": method, "how": (("rtol", 1e-13),), "start": None})
        for method, pattern, operands in (
            ("cg", _SYMMETRIC, (_POSITIVE, some(3))),
            ("gmres", _PATTERN, (_NUMBERS, some(3))),
            ("bicgstab", _PATTERN.T, (_NUMBERS, some(3))),
            ("gmres", None, (some(3, 3) + 4 * np.eye(3), some(3))),
        )
    ],
)


operated: Primitive = linear(
    lambda b, operator, method, how, start: _iterated(
        operator, np.asarray(b), pattern=None, method=method, how=how, start=start
    ),
    lambda ct, b, operator, method, how, start: cast(
        bind(
            operated,
            ct,
            operator=operator if method in _SELF_ADJOINT else operator.T,
            method=method,
            how=transposed_how(how, method),
            start=None,
        ),
        b.dtype,
    ),
    name="operator_solve",
    type_rule=lambda b, operator, **params: ArrayType(np.result_type(b.dtype, operator.dtype), b.shape),
    samples=lambda: [
        (
            (some(3),),
            {
                "operator": sl.aslinearoperator(pattern.matrix(numbers)),
                "method": method,
                "how": (("rtol", 1e-13),),
                "start": None,
            },
        )
        for method, pattern, numbers in (("cg", _SYMMETRIC, _POSITIVE), ("gmres", _PATTERN, _NUMBERS))
    ],
)


def _iterative(method: str, matrix: Any, b: Any, x0: Any, how: dict[str, Any]) -> tuple[Any, int]:
    name = f"scipy.sparse.linalg.{method}"
    right = as_array(b)
    vector = np.reshape(right, -1) if right.ndim == 2 and right.shape[1] == 1 else right
    if isinstance(how.get("M"), Holder | Traced):
        raise UnsupportedError(
            f"{name}: the preconditioner M is traced. It changes the way to the solution only: pass a plain one."
        )
    if isinstance(x0, Traced):
        raise UnsupportedError(
            f"{name}: the start x0 is traced. The solution does not depend on it: pass unspool.stop_gradient(x0)."
        )
    start = None if x0 is None else np.array(x0)
    given = tuple([(k, v) for k, v in how.items() if v is not None])
    if isinstance(matrix, Holder) and not isinstance(matrix, SparseArray):
        return matrix.iterated(method, vector, given, start), 0
    if isinstance(matrix, sl.LinearOperator):
        return bind(operated, vector, operator=matrix, method=method, how=given, start=start), 0
    pattern, data = None, matrix
    if is_sparse(matrix):
        pattern, data, vector = _system(name, matrix, vector)
    else:
        data = as_array(matrix)
    return bind(iterated, data, vector, pattern=pattern, method=method, how=given, start=start), 0


def _enrol(method: str) -> None:
    @implements(getattr(sl, method))
    def call(
        A: Any,  # noqa: N803 - SciPy's name
        b: Any,
        x0: Any = None,
        *,
        rtol: float = 1e-5,
        atol: float = 0.0,
        maxiter: int | None = None,
        M: Any = None,  # noqa: N803 - SciPy's name
        callback: Any = None,
    ) -> tuple[Any, int]:
        """The implicit rule, solved with the same method and tolerance, which are the gradient's too."""
        how = {"rtol": rtol, "atol": atol, "maxiter": maxiter, "M": M, "callback": callback}
        return _iterative(method, A, b, x0, how)


for _method in ("cg", "bicgstab"):
    _enrol(_method)


@implements(sl.gmres)
def _gmres(
    A: Any,  # noqa: N803 - SciPy's name
    b: Any,
    x0: Any = None,
    *,
    rtol: float = 1e-5,
    atol: float = 0.0,
    restart: int | None = None,
    maxiter: int | None = None,
    M: Any = None,  # noqa: N803 - SciPy's name
    callback: Any = None,
    callback_type: str | None = None,
) -> tuple[Any, int]:
    """The implicit rule, solved with the same method and tolerance, which are the gradient's too."""
    how = {"rtol": rtol, "atol": atol, "restart": restart, "maxiter": maxiter, "M": M}
    return _iterative("gmres", A, b, x0, how | {"callback": callback, "callback_type": callback_type})


@implements(sl.minres)
def _minres(
    A: Any,  # noqa: N803 - SciPy's name
    b: Any,
    x0: Any = None,
    *,
    rtol: float = 1e-5,
    maxiter: int | None = None,
    M: Any = None,  # noqa: N803 - SciPy's name
    callback: Any = None,
) -> tuple[Any, int]:
    """The implicit rule, solved with the same method and tolerance, which are the gradient's too."""
    return _iterative("minres", A, b, x0, {"rtol": rtol, "maxiter": maxiter, "M": M, "callback": callback})

"""scipy.linalg: functions of matrices (expm, sqrtm, logm) and the matrix equations that belong to them.

The derivative of a power series f at A in the direction E is the upper right block of f([[A, E], [0, A]]), and its
transpose is that at A.T [Higham2008, theorem 3.6]. So the rules are functions of matrices
again, of twice the size, and can be differentiated any number of times.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import scipy.linalg

from unspool.errors import UnsupportedError
from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.ops.families import fit, general
from unspool.ops.linalg import adjoint, turned, well_conditioned
from unspool.ops.samples import some
from unspool.ops.shape import as_array
from unspool.ops.systems import inexact
from unspool.ops.table import implements

sl: Any = scipy.linalg


def _block(a: Any, e: Any) -> Any:
    """[[A, E], [0, A]]."""
    top = np.concatenate((a, e), axis=-1)
    return np.concatenate((top, np.concatenate((np.zeros_like(e), a), axis=-1)), axis=-2)


def _corner(m: Any) -> Any:
    """The upper right quarter."""
    n = m.shape[-1] // 2
    return m[..., :n, n:]


def _depends_on_values(name: str) -> NoReturn:
    raise UnsupportedError(
        f"scipy.linalg.{name}: whether the result of a real matrix is real depends on the values, so that it cannot be "
        "part of a compiled step. Make the matrix complex, or use compile=False."
    )


# --- exponential ------------------------------------------------------------------------------------------------------
def _change_of_frechet(a: Any, e: Any, ta: Any) -> Any:
    """How the derivative of expm at a in the direction e changes with a."""
    return _corner(bind(frechet, _block(a, e), _block(ta, np.zeros_like(ta))))


def _frechet_vjp(ct: Any, y: Any, a: Any, e: Any) -> Any:
    n = a.shape[-1]
    zero = np.zeros_like(ct)
    inner = np.concatenate((np.concatenate((zero, ct), -1), np.concatenate((zero, zero), -1)), -2)
    c = bind(frechet, turned(_block(a, e)), inner)
    return fit(c[..., :n, :n] + c[..., n:, n:], a)


def _frechet_jvp(tangents: tuple[Any, Any], y: Any, a: Any, e: Any) -> Any:
    ta, te = tangents
    change: Any = 0.0 if te is None else bind(frechet, a, te)
    return fit(change if ta is None else change + _change_of_frechet(a, e, ta), y)


frechet: Primitive = general(
    lambda a, e: sl.expm_frechet(a, e, compute_expm=False, check_finite=False),
    _frechet_vjp,
    lambda ct, y, a, e: fit(bind(frechet, turned(a), ct), e),
    name="expm_frechet",
    jvp=_frechet_jvp,
    type_rule=lambda a, e: ArrayType(np.result_type(inexact(a), e.dtype, np.float64), e.shape),
    samples=lambda: [
        ((some(3, 3), some(3, 3, turn=0.2)), {}),
        ((some(2, 2) + 0.5j * some(2, 2), some(2, 2, turn=0.2) + 0j), {}),
    ],
)
expm: Primitive = general(
    sl.expm,
    lambda ct, y, a: fit(bind(frechet, turned(a), ct), a),
    name="expm",
    jvp=lambda tangents, y, a: fit(bind(frechet, a, tangents[0]), y),
    type_rule=lambda a: ArrayType(inexact(a), a.shape),
    samples=lambda: [
        ((some(3, 3),), {}),
        ((some(1, 1),), {}),
        ((some(3, 3, low=-8.0, high=8.0),), {}),
        ((some(2, 2) + 0.5j * some(2, 2),), {}),
    ],
)


@implements(sl.expm)
def _expm(A: Any) -> Any:  # noqa: N803 - SciPy's name
    return bind(expm, A)


@implements(sl.expm_frechet)
def _expm_frechet(
    A: Any,  # noqa: N803 - SciPy's name
    E: Any,  # noqa: N803 - SciPy's name
    method: str | None = None,
    compute_expm: bool = True,
    check_finite: bool = True,
) -> Any:
    """One method, whatever is asked for: that of scaling, Padé and squaring."""
    a, e = as_array(A), as_array(E)
    derivative = bind(frechet, a, e)
    return (bind(expm, a), derivative) if compute_expm else derivative


# --- Sylvester's equation ---------------------------------------------------------------------------------------------
def _sylvester(a: Any, b: Any, q: Any) -> Any:
    # SciPy's solution is wrong where real and complex operands meet: the real Schur form of one is no triangle
    common = inexact(a, b, q)
    return sl.solve_sylvester(*[np.asarray(operand, common) for operand in (a, b, q)])


def _sylvester_jvp(tangents: tuple[Any, Any, Any], y: Any, a: Any, b: Any, q: Any) -> Any:
    ta, tb, tq = tangents
    right: Any = 0.0 if tq is None else tq
    if ta is not None:
        right = right - ta @ y
    if tb is not None:
        right = right - y @ tb
    return fit(bind(sylvester, a, b, right), y)


def _sylvester_back(a: Any, b: Any, ct: Any) -> Any:
    return bind(sylvester, turned(a), turned(b), ct)


sylvester: Primitive = general(
    _sylvester,
    lambda ct, y, a, b, q: fit(-(_sylvester_back(a, b, ct) @ turned(y)), a),
    lambda ct, y, a, b, q: fit(-(turned(y) @ _sylvester_back(a, b, ct)), b),
    lambda ct, y, a, b, q: fit(_sylvester_back(a, b, ct), q),
    name="solve_sylvester",
    jvp=_sylvester_jvp,
    type_rule=lambda a, b, q: ArrayType(inexact(a, b, q), q.shape),
    samples=lambda: [
        ((well_conditioned(), well_conditioned(2), some(3, 2)), {}),
        ((well_conditioned(2) + 0.5j * some(2, 2), well_conditioned(2), some(2, 2)), {}),
    ],
)


@implements(sl.solve_sylvester)
def _solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    return bind(sylvester, as_array(a), as_array(b), as_array(q))


@implements(sl.solve_continuous_lyapunov)
def _solve_continuous_lyapunov(a: Any, q: Any) -> Any:
    """Sylvester's equation with the conjugate transpose of the matrix as the second one."""
    a = as_array(a)
    return bind(sylvester, a, adjoint(a), as_array(q))


@implements(sl.solve_discrete_lyapunov)
def _solve_discrete_lyapunov(a: Any, q: Any, method: str | None = None) -> Any:
    a, q = as_array(a), as_array(q)
    n = a.shape[-1]
    chosen = (method or ("bilinear" if n >= 10 else "direct")).lower()
    eye = np.eye(n, dtype=a.dtype)
    if chosen == "direct":
        matrix = np.eye(n * n, dtype=a.dtype) - np.kron(a, np.conj(a) if a.dtype.kind == "c" else a)
        return np.reshape(np.linalg.solve(matrix, np.ravel(q)), q.shape)
    if chosen != "bilinear":
        raise ValueError(f"Unknown solver {method}")
    behind = np.linalg.inv(adjoint(a) + eye)
    c = 2 * (np.linalg.inv(a + eye) @ q @ behind)
    return _solve_continuous_lyapunov(adjoint((adjoint(a) - eye) @ behind), -c)


# --- square root and logarithm ----------------------------------------------------------------------------------------
def _sqrtm_type(a: ArrayType) -> ArrayType:
    return a if a.dtype.kind == "c" else _depends_on_values("sqrtm")


def _logm_type(a: ArrayType) -> ArrayType:
    return a if a.dtype.kind == "c" else _depends_on_values("logm")


def _root_of(*batch: int, n: int = 3) -> Any:
    return some(*batch, n, n) * 0.5 + np.diag(np.arange(1.0, n + 1) * 2)


sqrtm: Primitive = general(
    sl.sqrtm,
    lambda ct, y, a: fit(_sylvester_back(y, y, ct), a),
    name="sqrtm",
    jvp=lambda tangents, y, a: fit(bind(sylvester, y, y, tangents[0]), y),
    type_rule=_sqrtm_type,
    samples=lambda: [
        ((_root_of(),), {}),
        ((np.array([[1.0, 3.0], [-2.0, -1.0]]),), {}),
        ((np.array([[-2.0, 0.5], [0.3, -1.0]]),), {}),
        ((_root_of() + 0.5j * some(3, 3),), {}),
    ],
)
logm: Primitive = general(
    sl.logm,
    lambda ct, y, a: fit(_corner(bind(logm, _block(turned(a), ct))), a),
    name="logm",
    jvp=lambda tangents, y, a: fit(_corner(bind(logm, _block(a, tangents[0]))), y),
    type_rule=_logm_type,
    samples=lambda: [((_root_of(),), {}), ((_root_of() + 0.5j * some(3, 3),), {})],
)


@implements(sl.sqrtm)
def _sqrtm(A: Any) -> Any:  # noqa: N803 - SciPy's name
    """Of a singular matrix the derivative is infinite or not defined."""
    return bind(sqrtm, A)


@implements(sl.logm)
def _logm(A: Any) -> Any:  # noqa: N803 - SciPy's name
    return bind(logm, A)

"""Eigenvalues and eigenvectors, on stacks of matrices too.

The rules follow Giles, "An extended collection of matrix derivative results" (2008), and Townsend, "Differentiating the
singular value decomposition" (2016), without conjugates in the pairing. Eigenvectors and singular vectors have no
derivative where values coincide, and complex ones are determined up to a phase only: where a cotangent asks for either,
the rule raises. Tangents of complex vectors are those that leave the phase alone: conj(v) @ dv is real. While a program
is being traced there are no values to look at, and coinciding ones give inf or NaN.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NoReturn

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.listener import bind, primal
from unspool.layout import ArrayType
from unspool.ops.families import cast, general
from unspool.ops.linalg import adjoint, turned
from unspool.ops.samples import some
from unspool.ops.table import implements

_ROUGH = 1e3  # roundings: values that differ by less coincide


def eye_like(n: int, like: Any) -> Any:
    """The identity in the precision of another matrix, and real."""
    return np.eye(n, dtype=real_of(like.dtype))


def real_of(dtype: Any) -> np.dtype[Any]:
    """The dtype of a real part."""
    return np.empty(0, dtype).real.dtype


def diagonal_of(m: Any) -> Any:
    """The diagonal of each matrix."""
    return np.diagonal(m, axis1=-2, axis2=-1)


def on_diagonal(d: Any) -> Any:
    """A stack of diagonal matrices."""
    return d[..., None] * eye_like(d.shape[-1], d)


@cache
def _class_of(function: Any) -> Any:
    return type(function(np.eye(1)))


def named(function: Any, *parts: Any) -> Any:
    """The parts in the named tuple that NumPy returns; found out when it is needed, for the sake of quick imports."""
    return _class_of(function)(*parts)


def plain_of(value: Any) -> Any:
    """The plain array below all levels of tracing, None where there is only a type."""
    array = primal(value)
    return None if isinstance(array, ArrayType) else np.asarray(array)


def gaps(w: Any, name: str) -> Any:
    """``1 / (w[j] - w[i])``, zero on the diagonal; raises where two of the values coincide."""
    known = plain_of(w)
    n = w.shape[-1]
    if known is not None and n > 1:
        distance = np.abs(known[..., None, :] - known[..., :, None]) + np.where(np.eye(n, dtype=bool), np.inf, 0)
        scale = np.abs(known).max(axis=-1, initial=0.0)
        if np.any(distance.min(axis=(-2, -1)) <= _ROUGH * np.finfo(known.dtype).eps * scale):
            _refuse_ties(name)
    eye = eye_like(n, w)
    return (1 - eye) / (w[..., None, :] - w[..., :, None] + eye)


def _refuse_ties(name: str) -> NoReturn:
    raise UnsupportedError(
        f"{name}: two of the values coincide, where the vectors that belong to them jump and have no derivative. Use "
        "the values alone, a function that does not single vectors out (np.linalg.solve, inv, slogdet, matrix_power), "
        "or perturb the matrix."
    )


def refuse_phase(overlap: Any, name: str) -> None:
    """Raise where the loss depends on the phases of complex vectors, which nothing determines."""
    known = plain_of(overlap)
    if known is None or known.dtype.kind != "c" or known.size == 0:
        return
    if np.abs(known.imag).max() > np.sqrt(np.finfo(known.dtype).eps) * max(1.0, np.abs(known).max()):
        raise UnsupportedError(
            f"{name}: the loss depends on the phases of complex vectors, which are arbitrary. Make it depend on what "
            "is determined, such as np.abs(v) or v * np.conj(v.T)."
        )


# --- Hermitian eigenvalue problems ------------------------------------------------------------------------------------
def hermitian(t: Any, lower: bool) -> Any:
    """The Hermitian matrix of which one triangle is given: NumPy reads no more of the operand."""
    half = np.tril(t, -1) if lower else np.triu(t, 1)
    return half + adjoint(half) + np.real(diagonal_of(t))[..., None] * eye_like(t.shape[-1], t)


def triangle_of_hermitian(c: Any, lower: bool, like: Any) -> Any:
    """The transpose of `hermitian`."""
    half = np.tril(c, -1) if lower else np.triu(c, 1)
    other = np.tril(adjoint(c), -1) if lower else np.triu(adjoint(c), 1)
    return cast(half + other + np.real(diagonal_of(c))[..., None] * eye_like(c.shape[-1], c), like.dtype)


def _eigh_vjp(ct: Any, y: Any, a: Any, lower: bool) -> Any:
    of_w, of_v = ct
    w, v = y
    inner: Any = 0.0
    if of_w is not None:
        inner = on_diagonal(of_w)
    if of_v is not None:
        overlap = turned(v) @ of_v
        refuse_phase(diagonal_of(overlap), "numpy.linalg.eigh")
        inner = inner + overlap * gaps(w, "numpy.linalg.eigh")
    return triangle_of_hermitian(np.conj(v) @ inner @ turned(v), lower, a)


def _eigh_jvp(tangents: tuple[Any], y: Any, a: Any, lower: bool) -> tuple[Any, Any]:
    w, v = y
    inner = adjoint(v) @ hermitian(tangents[0], lower) @ v
    return np.real(diagonal_of(inner)), v @ (inner * gaps(w, "numpy.linalg.eigh"))


def symmetric(n: int, *batch: int) -> Any:
    """A symmetric matrix for samples, whose eigenvalues keep apart."""
    a = some(*batch, n, n)
    return a + np.swapaxes(a, -1, -2) + np.diag(np.arange(1.0, n + 1) * 2)


eigh = general(
    lambda a, lower: tuple(np.linalg.eigh(a, "L" if lower else "U")),
    _eigh_vjp,
    name="eigh",
    jvp=_eigh_jvp,
    multiple=True,
    type_rule=lambda a, lower: (ArrayType(real_of(a.dtype), a.shape[:-1]), a),
    samples=lambda: [
        ((symmetric(3),), {"lower": True}),
        ((symmetric(2, 4),), {"lower": False}),
        ((symmetric(1),), {"lower": True}),
    ],
)


def _eigvalsh_jvp(tangents: tuple[Any], y: Any, a: Any, lower: bool) -> Any:
    v = bind(eigh, a, lower=lower)[1]
    return np.real(diagonal_of(adjoint(v) @ hermitian(tangents[0], lower) @ v))


eigvalsh = general(
    lambda a, lower: np.linalg.eigvalsh(a, "L" if lower else "U"),
    lambda ct, y, a, lower: _eigh_vjp((ct, None), (y, bind(eigh, a, lower=lower)[1]), a, lower),
    name="eigvalsh",
    jvp=_eigvalsh_jvp,
    type_rule=lambda a, lower: ArrayType(real_of(a.dtype), a.shape[:-1]),
    samples=lambda: [
        ((symmetric(3),), {"lower": True}),
        ((symmetric(2, 4),), {"lower": False}),
        ((symmetric(3) + 0.3j * (some(3, 3) - some(3, 3).T),), {"lower": True}),
    ],
)


def _is_lower(uplo: str) -> bool:
    if uplo.upper() not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    return uplo.upper() == "L"


@implements(np.linalg.eigh)
def _eigh(a: Any, UPLO: str = "L") -> Any:  # noqa: N803 - NumPy's name
    return named(np.linalg.eigh, *bind(eigh, a, lower=_is_lower(UPLO)))


@implements(np.linalg.eigvalsh)
def _eigvalsh(a: Any, UPLO: str = "L") -> Any:  # noqa: N803 - NumPy's name
    return bind(eigvalsh, a, lower=_is_lower(UPLO))


# --- eigenvalue problems in general -----------------------------------------------------------------------------------
def _unit(t: Any, v: Any) -> Any:
    """The tangent without the part that would change the length or the phase of an eigenvector."""
    return t - v * np.sum(np.conj(v) * t, axis=-2, keepdims=True)


def _eig_vjp(ct: Any, y: Any, a: Any) -> Any:
    of_w, of_v = ct
    w, v = y
    inner: Any = 0.0
    if of_w is not None:
        inner = on_diagonal(of_w)
    if of_v is not None:
        overlap = np.sum(of_v * v, axis=-2, keepdims=True)
        refuse_phase(overlap, "numpy.linalg.eig")
        inner = inner + (turned(v) @ (of_v - np.conj(v) * overlap)) * gaps(w, "numpy.linalg.eig")
    return cast(np.linalg.solve(turned(v), inner @ turned(v)), a.dtype)


def _eig_jvp(tangents: tuple[Any], y: Any, a: Any) -> tuple[Any, Any]:
    w, v = y
    inner = np.linalg.solve(v, tangents[0] @ v)
    return diagonal_of(inner), _unit(v @ (inner * gaps(w, "numpy.linalg.eig")), v)


def _depends_on_values(*types: Any, **params: Any) -> NoReturn:
    raise UnsupportedError(
        "numpy.linalg.eig: whether the result is real or complex depends on the values, so that it cannot be part of a "
        "compiled step. Use np.linalg.eigh for symmetric matrices, or make the matrix complex."
    )


def _eig_type(a: ArrayType) -> tuple[ArrayType, ArrayType]:
    return (ArrayType(a.dtype, a.shape[:-1]), a) if a.dtype.kind == "c" else _depends_on_values()


def _separated(n: int, *batch: int) -> Any:
    return some(*batch, n, n) * 0.3 + np.diag(np.arange(1.0, n + 1) * 2)


eig = general(
    lambda a: tuple(np.linalg.eig(a)),
    _eig_vjp,
    name="eig",
    jvp=_eig_jvp,
    multiple=True,
    type_rule=_eig_type,
    samples=lambda: [((_separated(3),), {}), ((_separated(2, 4),), {}), ((_separated(1),), {})],
)


def _eigvals_jvp(tangents: tuple[Any], y: Any, a: Any) -> Any:
    v = bind(eig, a)[1]
    return diagonal_of(np.linalg.solve(v, tangents[0] @ v))


eigvals = general(
    np.linalg.eigvals,
    lambda ct, y, a: _eig_vjp((ct, None), (y, bind(eig, a)[1]), a),
    name="eigvals",
    jvp=_eigvals_jvp,
    type_rule=lambda a: _eig_type(a)[0],
    samples=lambda: [
        ((_separated(3),), {}),
        ((_separated(2, 4),), {}),
        ((_separated(3) + 0.3j * some(3, 3),), {}),
        ((np.array([[1.0, 2.0], [-1.5, 0.5]]),), {}),
    ],
)


@implements(np.linalg.eig)
def _eig(a: Any) -> Any:
    return named(np.linalg.eig, *bind(eig, a))


@implements(np.linalg.eigvals)
def _eigvals(a: Any) -> Any:
    return bind(eigvals, a)

"""Eigenvalues, singular values, QR factors; all of them on stacks of matrices too.

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


def _eye(n: int, like: Any) -> Any:
    return np.eye(n, dtype=_real(like.dtype))


def _real(dtype: Any) -> np.dtype[Any]:
    return np.empty(0, dtype).real.dtype


def _diagonal(m: Any) -> Any:
    return np.diagonal(m, axis1=-2, axis2=-1)


def _on_diagonal(d: Any) -> Any:
    """A stack of diagonal matrices."""
    return d[..., None] * _eye(d.shape[-1], d)


@cache
def _class_of(function: Any) -> Any:
    return type(function(np.eye(1)))


def _named(function: Any, *parts: Any) -> Any:
    """The parts in the named tuple that NumPy returns; found out when it is needed, for the sake of quick imports."""
    return _class_of(function)(*parts)


def _known(value: Any) -> Any:
    """The plain array below all levels of tracing, None where there is only a type."""
    array = primal(value)
    return None if isinstance(array, ArrayType) else np.asarray(array)


def _gaps(w: Any, name: str) -> Any:
    """``1 / (w[j] - w[i])``, zero on the diagonal; raises where two of the values coincide."""
    known = _known(w)
    n = w.shape[-1]
    if known is not None and n > 1:
        distance = np.abs(known[..., None, :] - known[..., :, None]) + np.where(np.eye(n, dtype=bool), np.inf, 0)
        scale = np.abs(known).max(axis=-1, initial=0.0)
        if np.any(distance.min(axis=(-2, -1)) <= _ROUGH * np.finfo(known.dtype).eps * scale):
            _refuse_ties(name)
    eye = _eye(n, w)
    return (1 - eye) / (w[..., None, :] - w[..., :, None] + eye)


def _refuse_ties(name: str) -> NoReturn:
    raise UnsupportedError(
        f"{name}: two of the values coincide, where the vectors that belong to them jump and have no derivative. Use "
        "the values alone, a function that does not single vectors out (np.linalg.solve, inv, slogdet, matrix_power), "
        "or perturb the matrix."
    )


def _refuse_phase(overlap: Any, name: str) -> None:
    """Raise where the loss depends on the phases of complex vectors, which nothing determines."""
    known = _known(overlap)
    if known is None or known.dtype.kind != "c" or known.size == 0:
        return
    if np.abs(known.imag).max() > np.sqrt(np.finfo(known.dtype).eps) * max(1.0, np.abs(known).max()):
        raise UnsupportedError(
            f"{name}: the loss depends on the phases of complex vectors, which are arbitrary. Make it depend on what "
            "is determined, such as np.abs(v) or v * np.conj(v.T)."
        )


# --- Hermitian eigenvalue problems ------------------------------------------------------------------------------------
def _hermitian(t: Any, lower: bool) -> Any:
    """The Hermitian matrix of which one triangle is given: NumPy reads no more of the operand."""
    half = np.tril(t, -1) if lower else np.triu(t, 1)
    return half + adjoint(half) + np.real(_diagonal(t))[..., None] * _eye(t.shape[-1], t)


def _triangle(c: Any, lower: bool, like: Any) -> Any:
    """The transpose of `_hermitian`."""
    half = np.tril(c, -1) if lower else np.triu(c, 1)
    other = np.tril(adjoint(c), -1) if lower else np.triu(adjoint(c), 1)
    return cast(half + other + np.real(_diagonal(c))[..., None] * _eye(c.shape[-1], c), like.dtype)


def _eigh_vjp(ct: Any, y: Any, a: Any, lower: bool) -> Any:
    of_w, of_v = ct
    w, v = y
    inner: Any = 0.0
    if of_w is not None:
        inner = _on_diagonal(of_w)
    if of_v is not None:
        overlap = turned(v) @ of_v
        _refuse_phase(_diagonal(overlap), "numpy.linalg.eigh")
        inner = inner + overlap * _gaps(w, "numpy.linalg.eigh")
    return _triangle(np.conj(v) @ inner @ turned(v), lower, a)


def _eigh_jvp(tangents: tuple[Any], y: Any, a: Any, lower: bool) -> tuple[Any, Any]:
    w, v = y
    inner = adjoint(v) @ _hermitian(tangents[0], lower) @ v
    return np.real(_diagonal(inner)), v @ (inner * _gaps(w, "numpy.linalg.eigh"))


def _symmetric(n: int, *batch: int) -> Any:
    a = some(*batch, n, n)
    return a + np.swapaxes(a, -1, -2) + np.diag(np.arange(1.0, n + 1) * 2)


eigh = general(
    lambda a, lower: tuple(np.linalg.eigh(a, "L" if lower else "U")),
    _eigh_vjp,
    name="eigh",
    jvp=_eigh_jvp,
    multiple=True,
    type_rule=lambda a, lower: (ArrayType(_real(a.dtype), a.shape[:-1]), a),
    samples=lambda: [
        ((_symmetric(3),), {"lower": True}),
        ((_symmetric(2, 4),), {"lower": False}),
        ((_symmetric(1),), {"lower": True}),
    ],
)


def _eigvalsh_jvp(tangents: tuple[Any], y: Any, a: Any, lower: bool) -> Any:
    v = bind(eigh, a, lower=lower)[1]
    return np.real(_diagonal(adjoint(v) @ _hermitian(tangents[0], lower) @ v))


eigvalsh = general(
    lambda a, lower: np.linalg.eigvalsh(a, "L" if lower else "U"),
    lambda ct, y, a, lower: _eigh_vjp((ct, None), (y, bind(eigh, a, lower=lower)[1]), a, lower),
    name="eigvalsh",
    jvp=_eigvalsh_jvp,
    type_rule=lambda a, lower: ArrayType(_real(a.dtype), a.shape[:-1]),
    samples=lambda: [
        ((_symmetric(3),), {"lower": True}),
        ((_symmetric(2, 4),), {"lower": False}),
        ((_symmetric(3) + 0.3j * (some(3, 3) - some(3, 3).T),), {"lower": True}),
    ],
)


def _is_lower(uplo: str) -> bool:
    if uplo.upper() not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    return uplo.upper() == "L"


@implements(np.linalg.eigh)
def _eigh(a: Any, UPLO: str = "L") -> Any:  # noqa: N803 - NumPy's name
    return _named(np.linalg.eigh, *bind(eigh, a, lower=_is_lower(UPLO)))


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
        inner = _on_diagonal(of_w)
    if of_v is not None:
        overlap = np.sum(of_v * v, axis=-2, keepdims=True)
        _refuse_phase(overlap, "numpy.linalg.eig")
        inner = inner + (turned(v) @ (of_v - np.conj(v) * overlap)) * _gaps(w, "numpy.linalg.eig")
    return cast(np.linalg.solve(turned(v), inner @ turned(v)), a.dtype)


def _eig_jvp(tangents: tuple[Any], y: Any, a: Any) -> tuple[Any, Any]:
    w, v = y
    inner = np.linalg.solve(v, tangents[0] @ v)
    return _diagonal(inner), _unit(v @ (inner * _gaps(w, "numpy.linalg.eig")), v)


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
    return _diagonal(np.linalg.solve(v, tangents[0] @ v))


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
    return _named(np.linalg.eig, *bind(eig, a))


@implements(np.linalg.eigvals)
def _eigvals(a: Any) -> Any:
    return bind(eigvals, a)


# --- singular values --------------------------------------------------------------------------------------------------
def _over(s: Any, name: str) -> Any:
    """``1 / s`` as a row; raises where a singular value is zero."""
    known = _known(s)
    if known is not None and known.size and np.any(known[..., -1] <= np.finfo(known.dtype).eps * known[..., 0]):
        raise UnsupportedError(
            f"{name}: a singular value is zero, where the vectors that belong to it have no derivative. Use the "
            "singular values alone, or perturb the matrix."
        )
    return 1 / s[..., None, :]


def _sums(s: Any) -> Any:
    """``1 / (s[i] + s[j])``, zero on the diagonal of zeros."""
    total = s[..., None, :] + s[..., :, None]
    zero = total == 0
    return np.where(zero, 0.0, 1 / np.where(zero, 1.0, total))


def _svd_vjp(ct: Any, y: Any, a: Any) -> Any:
    of_u, of_s, of_vh = ct
    u, s, vh = y
    m, n = a.shape[-2:]
    if of_u is None and of_vh is None:
        return cast(np.conj(u) @ (of_s[..., None] * np.conj(vh)), a.dtype)
    v = adjoint(vh)
    of_u = np.zeros_like(u) if of_u is None else of_u
    of_v = np.zeros_like(v) if of_vh is None else adjoint(of_vh)
    in_u, in_v = turned(u) @ of_u, turned(v) @ of_v
    _refuse_phase(_diagonal(in_u + in_v), "numpy.linalg.svd")
    even = 0.5 * (in_u + in_v) * _gaps(s, "numpy.linalg.svd")
    odd = 0.5 * (in_u - in_v) * _sums(s)
    inner = even + adjoint(even) + odd - adjoint(odd)
    if of_s is not None:
        inner = inner + _on_diagonal(of_s)
    result = np.conj(u) @ inner @ turned(v)
    if m > n:
        result = result + ((of_u - np.conj(u) @ in_u) * _over(s, "numpy.linalg.svd")) @ turned(v)
    if n > m:
        result = result + np.conj(u) @ adjoint((of_v - np.conj(v) @ in_v) * _over(s, "numpy.linalg.svd"))
    return cast(result, a.dtype)


def _svd_jvp(tangents: tuple[Any], y: Any, a: Any) -> tuple[Any, Any, Any]:
    u, s, vh = y
    m, n = a.shape[-2:]
    (ta,) = tangents
    v = adjoint(vh)
    inner = adjoint(u) @ ta @ v
    even = (inner + adjoint(inner)) * _gaps(s, "numpy.linalg.svd")
    odd = (inner - adjoint(inner)) * _sums(s)
    tu, tv = u @ (0.5 * (even + odd)), v @ (0.5 * (even - odd))
    if m > n:
        tu = tu + (ta @ v - u @ inner) * _over(s, "numpy.linalg.svd")
    if n > m:
        tv = tv + (adjoint(ta) @ u - v @ adjoint(inner)) * _over(s, "numpy.linalg.svd")
    return tu, np.real(_diagonal(inner)), adjoint(tv)


def _svd_type(a: ArrayType) -> tuple[ArrayType, ArrayType, ArrayType]:
    *batch, m, n = a.shape
    k = min(m, n)
    real = _real(a.dtype)
    return ArrayType(a.dtype, (*batch, m, k)), ArrayType(real, (*batch, k)), ArrayType(a.dtype, (*batch, k, n))


_SHAPES = ((3, 3), (4, 2), (2, 4), (2, 3, 2))

svd = general(
    lambda a: tuple(np.linalg.svd(a, full_matrices=False)),
    _svd_vjp,
    name="svd",
    jvp=_svd_jvp,
    multiple=True,
    type_rule=_svd_type,
    samples=lambda: [((some(*shape),), {}) for shape in _SHAPES],
)


def _svdvals_jvp(tangents: tuple[Any], y: Any, a: Any) -> Any:
    u, _, vh = bind(svd, a)
    return np.real(np.sum(np.conj(u) * (tangents[0] @ adjoint(vh)), axis=-2))


svdvals = general(
    lambda a: np.linalg.svd(a, compute_uv=False),
    lambda ct, y, a: _svd_vjp((None, ct, None), bind(svd, a), a),
    name="svdvals",
    jvp=_svdvals_jvp,
    type_rule=lambda a: _svd_type(a)[1],
    samples=lambda: [*[((some(*shape),), {}) for shape in _SHAPES], ((some(3, 2) + 0.5j * some(3, 2, turn=0.3),), {})],
)


@implements(np.linalg.svd)
def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    if not compute_uv:
        return bind(svdvals, a)
    if full_matrices and a.shape[-1] != a.shape[-2]:
        raise UnsupportedError(
            "numpy.linalg.svd: no derivative rule for full_matrices=True of a matrix that is not square, whose "
            "additional vectors are arbitrary. Pass full_matrices=False."
        )
    return _named(np.linalg.svd, *bind(svd, a))


@implements(np.linalg.svdvals)
def _svdvals(x: Any, /) -> Any:
    return bind(svdvals, x)


# --- QR ---------------------------------------------------------------------------------------------------------------
def _imaginary(m: Any) -> Any:
    """i times the imaginary part of the diagonal: the diagonal of R is real."""
    return 1j * np.imag(_diagonal(m))[..., None] * _eye(m.shape[-1], m) if m.dtype.kind == "c" else 0.0


def _qr_vjp(ct: Any, y: Any, a: Any) -> Any:
    of_q, of_r = ct
    q, r = y
    inner: Any = 0.0
    if of_q is not None:
        inner = turned(q) @ of_q
    if of_r is not None:
        inner = inner - of_r @ turned(r)
    inner = np.tril(inner - adjoint(inner), -1) + _imaginary(inner) - inner
    result = np.conj(q) @ inner
    result = result if of_q is None else result + of_q
    return turned(np.linalg.solve(r, turned(result)))


def _qr_jvp(tangents: tuple[Any], y: Any, a: Any) -> tuple[Any, Any]:
    q, r = y
    scaled = turned(np.linalg.solve(turned(r), turned(tangents[0])))
    inner = adjoint(q) @ scaled
    low = np.tril(inner, -1)
    skew = low - adjoint(low) + _imaginary(inner)
    return q @ (skew - inner) + scaled, (inner - skew) @ r


qr = general(
    lambda a: tuple(np.linalg.qr(a)),
    _qr_vjp,
    name="qr",
    jvp=_qr_jvp,
    multiple=True,
    type_rule=lambda a: (a, ArrayType(a.dtype, (*a.shape[:-2], a.shape[-1], a.shape[-1]))),
    samples=lambda: [
        ((some(3, 3) + 2 * np.eye(3),), {}),
        ((some(4, 2),), {}),
        ((some(2, 3, 2),), {}),
        ((some(3, 2) + 0.5j * some(3, 2, turn=0.3),), {}),
    ],
)


@implements(np.linalg.qr)
def _qr(a: Any, mode: str = "reduced") -> Any:
    m, n = a.shape[-2:]
    if mode not in ("reduced", "r") and not (mode == "complete" and m == n):
        raise UnsupportedError(
            f"numpy.linalg.qr: no derivative rule for mode={mode!r} (with a rule: 'reduced', 'r', and 'complete' of "
            "square matrices). Use mode='reduced'."
        )
    if m < n:
        raise UnsupportedError(
            "numpy.linalg.qr: no derivative rule for a matrix with more columns than rows. Factorise the first "
            "columns, q, r = np.linalg.qr(a[..., :m]), and multiply the others by np.conj(q.T)."
        )
    q, r = bind(qr, a)
    return r if mode == "r" else _named(np.linalg.qr, q, r)

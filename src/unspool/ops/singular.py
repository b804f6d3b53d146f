"""Singular values and vectors, on stacks of matrices too.

The rules are those of the eigenvalue problems (`decompositions`), and the same is refused: vectors that belong to equal
values, and losses that depend on what is arbitrary.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.listener import bind
from unspool.layout import ArrayType
from unspool.ops.decompositions import diagonal_of, gaps, named, on_diagonal, plain_of, real_of, refuse_phase
from unspool.ops.families import cast, general
from unspool.ops.linalg import adjoint, turned
from unspool.ops.samples import some
from unspool.ops.table import implements


def _over(s: Any, name: str) -> Any:
    """``1 / s`` as a row; raises where a singular value is zero."""
    known = plain_of(s)
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
    refuse_phase(diagonal_of(in_u + in_v), "numpy.linalg.svd")
    even = 0.5 * (in_u + in_v) * gaps(s, "numpy.linalg.svd")
    odd = 0.5 * (in_u - in_v) * _sums(s)
    inner = even + adjoint(even) + odd - adjoint(odd)
    if of_s is not None:
        inner = inner + on_diagonal(of_s)
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
    even = (inner + adjoint(inner)) * gaps(s, "numpy.linalg.svd")
    odd = (inner - adjoint(inner)) * _sums(s)
    tu, tv = u @ (0.5 * (even + odd)), v @ (0.5 * (even - odd))
    if m > n:
        tu = tu + (ta @ v - u @ inner) * _over(s, "numpy.linalg.svd")
    if n > m:
        tv = tv + (adjoint(ta) @ u - v @ adjoint(inner)) * _over(s, "numpy.linalg.svd")
    return tu, np.real(diagonal_of(inner)), adjoint(tv)


def _svd_type(a: ArrayType) -> tuple[ArrayType, ArrayType, ArrayType]:
    *batch, m, n = a.shape
    k = min(m, n)
    real = real_of(a.dtype)
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


# --- singular vectors that complete a basis ---------------------------------------------------------------------------
def of_first(of_q: Any, q: Any, n_first: int, name: str) -> Any:
    """The cotangent of the first columns of a unitary matrix, which determine the space that the others span.

    Raises where the loss depends on the basis of that space, which is arbitrary.
    """
    if of_q is None or q.shape[-1] == n_first:
        return of_q
    first, rest, of_rest = q[..., :n_first], q[..., n_first:], of_q[..., n_first:]
    known = plain_of(turned(rest) @ of_rest)
    if known is not None and known.size:
        turning = np.abs(known - np.conj(np.swapaxes(known, -1, -2))).max()
        if turning > np.sqrt(np.finfo(known.dtype).eps) * max(1.0, np.abs(known).max()):
            raise UnsupportedError(
                f"{name}: the loss depends on the vectors that complete the basis, which are arbitrary but for the "
                "space that they span. Make it depend on that space alone, such as on q2 @ np.conj(q2.T), or take the "
                "reduced factors."
            )
    return of_q[..., :n_first] - np.conj(rest) @ adjoint(of_rest) @ np.conj(first)


def completed(t_first: Any, q: Any) -> Any:
    """The tangent of a unitary matrix from that of its first columns, the others not being turned among themselves."""
    n_first = t_first.shape[-1]
    if q.shape[-1] == n_first:
        return t_first
    rest = -q[..., :n_first] @ (adjoint(t_first) @ q[..., n_first:])
    return np.concatenate((t_first, rest), axis=-1)


def _full_svd_vjp(ct: Any, y: Any, a: Any) -> Any:
    (of_u, of_s, of_vh), (u, s, vh) = ct, y
    n, name = s.shape[-1], "numpy.linalg.svd"
    of_u = of_first(of_u, u, n, name)
    of_v = of_first(None if of_vh is None else adjoint(of_vh), adjoint(vh), n, name)
    reduced = u[..., :n], s, vh[..., :n, :]
    return _svd_vjp((of_u, of_s, None if of_v is None else adjoint(of_v)), reduced, a)


def _full_svd_jvp(tangents: tuple[Any], y: Any, a: Any) -> tuple[Any, Any, Any]:
    u, s, vh = y
    n = s.shape[-1]
    tu, ts, tvh = _svd_jvp(tangents, (u[..., :n], s, vh[..., :n, :]), a)
    return completed(tu, u), ts, adjoint(completed(adjoint(tvh), adjoint(vh)))


def _full_svd_type(a: ArrayType) -> tuple[ArrayType, ArrayType, ArrayType]:
    *batch, m, n = a.shape
    return ArrayType(a.dtype, (*batch, m, m)), _svd_type(a)[1], ArrayType(a.dtype, (*batch, n, n))


full_svd = general(
    lambda a: tuple(np.linalg.svd(a)),
    _full_svd_vjp,
    name="full_svd",
    jvp=_full_svd_jvp,
    multiple=True,
    type_rule=_full_svd_type,
    samples=lambda: [((some(3, 2),), {}), ((some(2, 3),), {}), ((some(2, 3, 2),), {})],  # a basis of one is no choice
)


@implements(np.linalg.svd)
def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    if not compute_uv:
        return bind(svdvals, a)
    square = a.shape[-1] == a.shape[-2]
    return named(np.linalg.svd, *bind(full_svd if full_matrices and not square else svd, a))


@implements(np.linalg.svdvals)
def _svdvals(x: Any, /) -> Any:
    return bind(svdvals, x)

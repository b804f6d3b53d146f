"""Linear algebra: systems, inverses, determinants, Cholesky factors, norms; all of them on stacks of matrices too.

The rules follow Giles, "An extended collection of matrix derivative results" (2008), without conjugates in the pairing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.ir.listener import bind, primal
from unspool.ir.primitive import Primitive, Pull, Read
from unspool.layout import ArrayType
from unspool.ops.averages import root
from unspool.ops.families import cast, general, unbroadcast
from unspool.ops.samples import some
from unspool.ops.shape import Axes, axes_of
from unspool.ops.table import enrol, implements


def turned(a: Any) -> Any:
    """The transpose of each matrix."""
    return np.swapaxes(a, -1, -2)


def adjoint(a: Any) -> Any:
    """The conjugate transpose of each matrix."""
    return np.conj(turned(a)) if a.dtype.kind == "c" else turned(a)


def positive_definite(*batch: int, n: int = 3) -> Any:
    """A positive definite matrix for samples."""
    a = some(*batch, n, n)
    return np.matmul(a, np.swapaxes(a, -1, -2)) + 2 * np.eye(n)


def well_conditioned(n: int = 3, *batch: int) -> np.ndarray:
    """A matrix for samples that is far from singular."""
    return some(*batch, n, n) + 3 * np.eye(n)


def _inexact(*types: Any) -> np.dtype[Any]:
    return np.result_type(*[t.dtype if t.dtype.kind in "fc" else np.float64 for t in types])


# --- solve ------------------------------------------------------------------------------------------------------------
def _solve_transposed(a: Any, ct: Any, vector: bool) -> Any:
    if vector:  # of a stack of systems too: NumPy takes only a right-hand side with one axis for a vector
        return np.linalg.solve(turned(a), ct[..., None])[..., 0]
    return np.linalg.solve(turned(a), ct)


def _solve_pull(wanted: int, n: int, plain: bool) -> Pull:
    def pull(ct: Any, y: Any, a: Any, b: Any) -> tuple[Any, ...]:
        vector = len(b.shape) == 1
        w = _solve_transposed(a, ct, vector)
        cts = []
        if wanted & 1:
            of_a = w[..., :, None] * y[..., None, :] if vector else w @ turned(y)
            cts.append(cast(unbroadcast(-of_a, a.shape), a.dtype))
        if wanted & 2:
            cts.append(cast(unbroadcast(w, b.shape), b.dtype))
        return tuple(cts)

    return Pull.reading(pull, (Read.VALUE if wanted & 1 else Read.NOTHING, Read.VALUE, Read.TYPE))


def _solve_jvp(tangents: tuple[Any, Any], y: Any, a: Any, b: Any) -> Any:
    ta, tb = tangents
    right: Any
    vector = len(b.shape) == 1
    right = 0.0 if tb is None else tb
    if ta is not None:
        right = right - ((ta @ y[..., None])[..., 0] if vector else ta @ y)
    t = np.linalg.solve(a, right[..., None])[..., 0] if vector else np.linalg.solve(a, right)
    return cast(t if t.shape == y.shape else np.broadcast_to(t, y.shape), y.dtype)


def _solve_type(a: Any, b: Any) -> ArrayType:
    if len(b.shape) == 1:
        return ArrayType(_inexact(a, b), a.shape[:-1])
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return ArrayType(_inexact(a, b), (*batch, a.shape[-1], b.shape[-1]))


solve = enrol(
    Primitive(
        "solve",
        np.linalg.solve,
        type_rule=_solve_type,
        jvp=_solve_jvp,
        pull=_solve_pull,
        samples=lambda: [
            ((well_conditioned(), some(3)), {}),
            ((well_conditioned(), some(3, 2)), {}),
            ((well_conditioned(3, 2), some(3)), {}),
            ((well_conditioned(), some(2, 3, 1)), {}),
        ],
    )
)


@implements(np.linalg.solve)
def _solve(a: Any, b: Any) -> Any:
    return bind(solve, *[v if hasattr(v, "shape") else np.asarray(v) for v in (a, b)])


# --- inverse and determinant ------------------------------------------------------------------------------------------
inv = general(
    np.linalg.inv,
    lambda ct, y, a: -(turned(y) @ ct @ turned(y)),
    name="inv",
    jvp=lambda tangents, y, a: -(y @ tangents[0] @ y),
    type_rule=lambda a: ArrayType(_inexact(a), a.shape),
    samples=lambda: [
        ((well_conditioned(),), {}),
        ((well_conditioned(2, 4),), {}),
        ((well_conditioned() + 0.5j * some(3, 3),), {}),
    ],
)


@implements(np.linalg.inv)
def _inv(a: Any) -> Any:
    return bind(inv, a)


def cofactors(y: Any, a: Any) -> Any:
    """The derivative of the determinant with respect to each element."""
    value = primal(y)
    if isinstance(value, ArrayType) or np.all(value != 0):
        return y[..., None, None] * turned(np.linalg.inv(a))
    n = a.shape[-1]  # singular: the definition, in O(n**5), which is not wrong
    rows = [[_minor(a, i, j) * (-1.0) ** (i + j) for j in range(n)] for i in range(n)]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _minor(a: Any, i: int, j: int) -> Any:
    rows = np.delete(np.arange(a.shape[-1]), i)
    columns = np.delete(np.arange(a.shape[-1]), j)
    return np.linalg.det(a[..., rows[:, None], columns])


det = general(
    np.linalg.det,
    lambda ct, y, a: ct[..., None, None] * cofactors(y, a),
    name="det",
    jvp=lambda tangents, y, a: np.sum(tangents[0] * cofactors(y, a), axis=(-2, -1)),
    type_rule=lambda a: ArrayType(_inexact(a), a.shape[:-2]),
    samples=lambda: [
        ((well_conditioned(),), {}),
        ((well_conditioned(2, 4),), {}),
        ((well_conditioned() + 0.5j * some(3, 3),), {}),
        ((np.array([[1.0, 2.0], [2.0, 4.0]]),), {}),
    ],
)


@implements(np.linalg.det)
def _det(a: Any) -> Any:
    return bind(det, a)


def _slogdet_vjp(ct: Any, y: Any, a: Any) -> Any:
    of_sign, of_log = ct
    factor: Any = 0.0 if of_log is None else of_log
    if a.dtype.kind == "c" and of_sign is not None:
        factor = factor + np.imag(of_sign * y[0]) * 1j
    elif of_log is None:
        return np.zeros(a.shape, a.dtype)
    return cast(factor[..., None, None] * turned(np.linalg.inv(a)), a.dtype)


def _slogdet_jvp(tangents: tuple[Any], y: Any, a: Any) -> tuple[Any, Any]:
    change = np.sum(tangents[0] * turned(np.linalg.inv(a)), axis=(-2, -1))
    if a.dtype.kind != "c":
        return None, change
    return y[0] * 1j * np.imag(change), np.real(change)


slogdet = general(
    lambda a: tuple(np.linalg.slogdet(a)),
    _slogdet_vjp,
    name="slogdet",
    jvp=_slogdet_jvp,
    multiple=True,
    samples=lambda: [
        ((well_conditioned(),), {}),
        ((well_conditioned(2, 4),), {}),
        ((well_conditioned() + 0.5j * some(3, 3),), {}),
    ],
)
_Slogdet = type(np.linalg.slogdet(np.eye(1)))


@implements(np.linalg.slogdet)
def _slogdet(a: Any) -> Any:
    return _Slogdet(*bind(slogdet, a))


# --- Cholesky ---------------------------------------------------------------------------------------------------------
def _half(m: Any) -> Any:
    """The lower triangle with half the diagonal."""
    weight = np.tri(m.shape[-1], k=-1) + 0.5 * np.eye(m.shape[-1])
    return m * weight.astype(m.real.dtype)


def cholesky_vjp(ct: Any, y: Any, a: Any) -> Any:
    """NumPy reads the lower triangle of a only, so that this is where the cotangent lies."""
    inverse = np.linalg.inv(y)
    ct = np.conj(ct) if ct.dtype.kind == "c" else ct
    s = adjoint(inverse) @ _half(adjoint(y) @ ct) @ inverse
    lower = _half(s + adjoint(s))
    return np.conj(lower) if ct.dtype.kind == "c" else lower


def cholesky_jvp(tangents: tuple[Any], y: Any, a: Any) -> Any:
    """The change of the factor; of the tangent the lower triangle is read."""
    lower = _half(tangents[0])
    inverse = np.linalg.inv(y)
    return y @ _half(inverse @ (lower + adjoint(lower)) @ adjoint(inverse))


cholesky = general(
    np.linalg.cholesky,
    cholesky_vjp,
    name="cholesky",
    jvp=cholesky_jvp,
    type_rule=lambda a: ArrayType(_inexact(a), a.shape),
    samples=lambda: [
        ((positive_definite(),), {}),
        ((positive_definite(2, n=2),), {}),
        ((positive_definite() + 0.3j * (some(3, 3) - some(3, 3).T),), {}),
    ],
)


@implements(np.linalg.cholesky)
def _cholesky(a: Any, *, upper: bool = False) -> Any:
    return adjoint(bind(cholesky, adjoint(a))) if upper else bind(cholesky, a)


@implements(np.linalg.matrix_power)
def _matrix_power(a: Any, n: int) -> Any:
    if n < 0:
        return _matrix_power(_inv(a), -n)
    if n == 0:
        return np.zeros_like(a) + np.eye(a.shape[-1], dtype=a.dtype)
    if n == 3:
        return a @ a @ a  # in NumPy's order
    power, result = a, None
    while n:
        n, bit = divmod(n, 2)
        if bit:
            result = power if result is None else result @ power
        power = power @ power if n else power
    return result


# --- norms ------------------------------------------------------------------------------------------------------------
@implements(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Axes = None, keepdims: bool = False) -> Any:
    if axis is None and (ord is None or (ord in ("f", "fro") and x.ndim == 2) or (ord == 2 and x.ndim == 1)):
        flat = _in_memory_order(x)
        if x.dtype.kind == "c":
            re, im = np.real(flat), np.imag(flat)
            square = np.dot(re, re) + np.dot(im, im)
        else:
            square = np.dot(flat, flat)
        norm = root(square)
        return np.reshape(norm, (1,) * x.ndim) if keepdims else norm
    axes = axes_of(axis, x.ndim)
    if len(axes) == 1:
        return _vector_norm(x, ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    raise ValueError("Improper number of dimensions to norm.")


def _in_memory_order(x: Any) -> Any:
    """All elements on one axis, in the order in which NumPy adds them up."""
    array = primal(x)
    turned = isinstance(array, np.ndarray) and array.flags.f_contiguous and not array.flags.c_contiguous
    return np.ravel(np.transpose(x) if turned else x)


def _squared(x: Any) -> Any:
    return np.real(np.conj(x) * x) if x.dtype.kind == "c" else x * x


def _vector_norm(x: Any, order: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if order is None or order == 2:
        return root(np.sum(_squared(x), axis=axes, keepdims=keepdims))
    if isinstance(order, str):
        raise ValueError(f"Invalid norm order '{order}' for vectors")
    if order == np.inf:
        return np.max(np.abs(x), axis=axes, keepdims=keepdims)
    if order == -np.inf:
        return np.min(np.abs(x), axis=axes, keepdims=keepdims)
    if order == 1:
        return np.sum(np.abs(x), axis=axes, keepdims=keepdims)
    if order == 0:
        counts = np.count_nonzero(x, axis=axes, keepdims=keepdims)
        return counts.astype(x.dtype if x.dtype.kind == "f" else x.real.dtype)
    total = np.sum(np.abs(x) ** order, axis=axes, keepdims=keepdims)
    zero = total == 0
    exponent = np.reciprocal(float(order), dtype=total.dtype)
    return np.where(zero, total, np.where(zero, 1, total) ** exponent)


def _matrix_norm(x: Any, order: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if order is None or order in ("f", "fro"):
        return root(np.sum(_squared(x), axis=axes, keepdims=keepdims))
    row, column = axes
    if order in (2, -2, "nuc"):
        values = np.linalg.svd(np.moveaxis(x, axes, (-2, -1)), compute_uv=False)
        of_values = np.sum if order == "nuc" else np.max if order == 2 else np.min
        norm = of_values(values, axis=-1)
        return np.expand_dims(norm, axes) if keepdims else norm
    summed = {1: row, -1: row, np.inf: column, -np.inf: column}.get(order)
    if summed is None:
        raise ValueError(f"Invalid norm order {order!r} for matrices")
    sums = np.sum(np.abs(x), axis=summed, keepdims=True)
    over = column if summed == row else row
    extreme = (np.max if order > 0 else np.min)(sums, axis=over, keepdims=True)
    return extreme if keepdims else np.squeeze(extreme, axes)

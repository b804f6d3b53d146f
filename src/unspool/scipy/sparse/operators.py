"""Systems whose matrix is a function: matrix-free solves with a function that reads traced values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse.linalg

from unspool.errors import UnsupportedError
from unspool.ir.listener import active, resolve
from unspool.ir.primitive import Primitive
from unspool.ops.outside import Holder
from unspool.ops.sparse_systems import not_converged, transposed_how
from unspool.scipy.aside import carried_out, plainly, read_by
from unspool.transforms import jvp, vjp

sl: Any = scipy.sparse.linalg
Apply = Callable[[Any], Any]
How = tuple[tuple[str, Any], ...]


def LinearOperator(shape: tuple[int, int], matvec: Apply, *args: Any, **keywords: Any) -> Any:  # noqa: N802
    """`scipy.sparse.linalg.LinearOperator`, whose function may read traced values: for cg, gmres, bicgstab and minres.

    The function must be linear. Its transpose is derived; ``rmatvec`` and the other functions are for plain operators.

    >>> import unspool
    >>> from unspool.scipy.sparse.linalg import cg
    >>> b = np.array([1.0, 2.0])
    >>> unspool.grad(lambda k: np.sum(cg(LinearOperator((2, 2), lambda v: k * v), b)[0]))(2.0).round(9)
    np.float64(-0.75)
    """
    if not active():
        return sl.LinearOperator(shape, matvec, *args, **keywords)
    if not read_by(matvec, np.zeros(shape[1])):
        plain = plainly(matvec)
        if not args:
            keywords.setdefault("rmatvec", lambda v: np.conj(_transposed(matvec, v, shape[1])))
        return sl.LinearOperator(shape, plain, *args, **keywords)
    if args or keywords.keys() - {"dtype"}:
        raise UnsupportedError(
            "scipy.sparse.linalg.LinearOperator: of a function that reads traced values matvec= and dtype= are enough; "
            "its transpose is derived from it. Leave the others out."
        )
    return Operator(shape, matvec)


def _transposed(apply: Apply, v: np.ndarray, n: int) -> Any:
    """The transpose applied to the conjugate of a vector."""
    dtype = np.result_type(v.dtype, np.float64)
    return vjp(apply, np.zeros(n, dtype))[1](np.conj(v.astype(dtype)))[0]


class Operator(Holder):
    """A matrix given by a function that reads traced values."""

    def __init__(self, shape: tuple[int, int], apply: Apply) -> None:
        self.shape = shape
        self.matvec = apply

    def __matmul__(self, other: Any) -> Any:
        return self.matvec(other)

    def iterated(self, method: str, b: Any, how: How, start: Any) -> Any:
        """The solution of the system with this matrix, by one of SciPy's iterations."""
        given = how if start is None else (*how, ("x0", start))
        return solved(self.matvec, b, method, given)


def solved(apply: Apply, b: Any, method: str, how: How) -> Any:
    """The x for which ``apply(x)`` is b."""
    right = resolve(b)
    return carried_out(
        lambda plain: _plainly_solved(plainly(apply), plain, method, how),
        lambda of: _primitive(of, method, how),
        function=apply,
        start=right,
        probe=(np.zeros(right.shape, right.dtype),),
    )


def _plainly_solved(apply: Apply, b: np.ndarray, method: str, how: How) -> np.ndarray:
    operator = sl.LinearOperator((b.size, b.size), apply, dtype=np.asarray(apply(np.zeros_like(b))).dtype)
    x, info = getattr(sl, method)(operator, b, **dict(how))
    if info != 0:
        not_converged(method, info)
    return np.asarray(x)


def _primitive(of: Callable[..., Any], method: str, how: How) -> Primitive:
    """The solution as a function of the right-hand side and of what the matrix depends on."""
    again = tuple([(key, value) for key, value in how if key != "x0"])

    def evaluate(b: Any, *values: Any) -> Any:
        return solved(lambda v: of(values, v), b, method, how)

    def push(operands: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
        b, *values = operands
        x = evaluate(b, *values)
        moves = [np.zeros(v.shape, v.dtype)[()] if t is None else t for v, t in zip(values, tangents[1:], strict=True)]
        right = np.zeros(b.shape, b.dtype) if tangents[0] is None else tangents[0]
        if values:
            right = right - jvp(lambda *vs: of(vs, x), tuple(values), tuple(moves))[1]
        return x, solved(lambda v: of(values, v), right, method, again)

    def record(operands: tuple[Any, ...], wanted: int) -> tuple[Any, Callable[[Any], list[Any]]]:
        b, *values = operands
        x = evaluate(b, *values)

        def pull(ct: Any) -> list[Any]:
            _, transpose = vjp(lambda u: of(values, u), np.zeros(b.shape, x.dtype))
            w = solved(lambda v: transpose(v)[0], ct, method, transposed_how(again, method))
            cts = [np.astype(w, b.dtype)] if wanted & 1 else []
            chosen = [k for k in range(len(values)) if wanted >> (k + 1) & 1]
            if not chosen:
                return cts

            def residual(*moving: Any) -> Any:
                all_values = list(values)
                for k, value in zip(chosen, moving, strict=True):
                    all_values[k] = value
                return of(all_values, x)

            return [*cts, *vjp(residual, *[values[k] for k in chosen])[1](-w)]

        return x, pull

    return Primitive("operator_solve", evaluate, record=record, push=push)

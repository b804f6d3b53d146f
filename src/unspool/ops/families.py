"""Families of primitives: jvp and vjp from one line of calculus each.

A rule is written in NumPy, so that the same line runs on arrays, is differentiated again, and can be traced. What a rule
reads is found in its byte code (`reads_of`), and only that is kept for the way back.

Cotangents follow the pairing Re(sum(ct * v)), as in JAX: the rule of a holomorphic function is ``ct * f'(x)`` without a
conjugate, and the gradient of a real loss with respect to z is dL/dx - i dL/dy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from unspool.ir.primitive import Primitive, Pull, Read, reads_of
from unspool.layout import ArrayType
from unspool.ops.table import enrol

Rule = Callable[..., Any]


def one(y: Any, *_: Any) -> float:
    """The partial derivative 1: the cotangent passes as it is."""
    return 1.0


def minus_one(y: Any, *_: Any) -> float:
    """The partial derivative -1."""
    return -1.0


def fit(ct: Any, like: Any) -> Any:
    """The cotangent summed over broadcast axes and converted, so that it has the shape and dtype of the operand."""
    shape, dtype = like.shape, like.dtype
    if ct.shape != shape:
        lead = ct.ndim - len(shape)
        stretched = [lead + i for i, d in enumerate(shape) if d == 1 and ct.shape[lead + i] != 1]
        axes = (*range(lead), *stretched)
        if axes:
            ct = np.sum(ct, axis=axes)
        if ct.shape != shape:
            ct = np.reshape(ct, shape) if ct.size == np.prod(shape) else np.broadcast_to(ct, shape)
    if ct.dtype != dtype:
        if ct.dtype.kind == "c" and dtype.kind != "c":
            ct = np.real(ct)
        if ct.dtype != dtype:
            ct = ct.astype(dtype)
    return ct


def times(ct: Any, partial: Any) -> Any:
    """``ct * partial`` where a zero cotangent wins over an infinite or undefined partial."""
    return np.where(ct == 0, 0.0, ct * partial)


def _numbered(wanted: int, n: int) -> list[int]:
    return [k for k in range(n) if wanted >> k & 1]


def _joined(reads: list[tuple[Read, ...]], n: int) -> tuple[Read, ...]:
    """For each of (y, *xs) the most that any of the rules looks at."""
    padded = [(*r[: n + 1], *(Read.NOTHING,) * (n + 1 - len(r))) for r in reads]
    return tuple(max((r[k] for r in padded), key=lambda read: read.value) for k in range(n + 1))


def scalar(
    ufunc: Callable[..., Any],
    *partials: Rule,
    guarded: bool = False,
    name: str | None = None,
    emit: str | None = None,
    samples: Callable[[], Any] | None = None,
    also: tuple[Callable[..., Any], ...] = (),
) -> Primitive:
    """Enrol an elementwise function; ``partials[i](y, *xs)`` is its derivative with respect to operand i.

    ``guarded`` is for partials that are infinite or undefined somewhere: there a zero cotangent stays zero.
    """
    product = _guarded_product if guarded else _product

    def pull(wanted: int, n: int, plain: bool) -> Pull:
        chosen = _numbered(wanted, n)
        reads = _joined([reads_of(partials[k], skip=0) for k in chosen], n)
        terms = [product(partials[k]) for k in chosen]
        if plain:
            if len(terms) == 1:
                (term,) = terms
                return Pull.reading(lambda ct, *values: (term(ct, *values),), reads)
            first, second = terms if len(terms) == 2 else (None, None)  # noqa: PLR2004
            if first is not None and second is not None:
                return Pull.reading(lambda ct, *values: (first(ct, *values), second(ct, *values)), reads)
            return Pull.reading(lambda ct, *values: tuple([term(ct, *values) for term in terms]), reads)
        typed = tuple(
            Read.TYPE if k - 1 in chosen and read is Read.NOTHING else read for k, read in enumerate(reads)
        )
        return Pull.reading(
            lambda ct, y, *xs: tuple(
                [fit(term(ct, y, *xs), xs[k]) for k, term in zip(chosen, terms, strict=True)]
            ),
            typed,
        )

    def jvp(tangents: tuple[Any, ...], y: Any, *xs: Any) -> Any:
        total: Any = None
        for t, partial in zip(tangents, partials, strict=True):
            if t is not None:
                term = product(partial)(t, y, *xs)
                total = term if total is None else total + term
        return fit(total, y)

    def type_rule(*types: Any) -> ArrayType:
        assert isinstance(ufunc, np.ufunc)
        weak = [t if isinstance(t, int | float | complex) else t.dtype for t in types]
        dtypes = ufunc.resolve_dtypes((*(type(t) if isinstance(t, int | float | complex) else t for t in weak), None))
        shape = np.broadcast_shapes(*(getattr(t, "shape", ()) for t in types))
        return ArrayType(dtypes[-1], shape)

    primitive = Primitive(
        name or ufunc.__name__,
        ufunc,
        type_rule if isinstance(ufunc, np.ufunc) else None,
        jvp if partials else None,
        pull if partials else None,
        differentiable=bool(partials),
        elementwise=True,
        emit=emit,
        samples=samples,
    )
    return enrol(primitive, ufunc, *also)


def _product(partial: Rule) -> Rule:
    if partial is one:
        return lambda ct, *values: ct
    if partial is minus_one:
        return lambda ct, *values: -ct
    n = partial.__code__.co_argcount
    if n == 2 and not partial.__code__.co_flags & 0x04:  # noqa: PLR2004
        return lambda ct, y, x: ct * partial(y, x)
    return lambda ct, *values: ct * partial(*values)


def _guarded_product(partial: Rule) -> Rule:
    def product(ct: Any, *values: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return times(ct, partial(*values))

    return product


def general(
    evaluate: Callable[..., Any],
    *vjps: Rule,
    name: str,
    jvp: Rule,
    **extra: Any,
) -> Primitive:
    """Enrol a primitive with one vjp per operand, ``vjps[i](ct, y, *xs, **params)``, and one jvp for all tangents.

    ``jvp(tangents, y, *xs, **params)`` sees None for a tangent that is zero.
    """

    def pull(wanted: int, n: int, plain: bool) -> Pull:
        chosen = _numbered(wanted, n)
        reads = _joined([reads_of(vjps[k]) for k in chosen], n)
        rules = [vjps[k] for k in chosen]
        return Pull.reading(lambda ct, *values, **params: tuple([r(ct, *values, **params) for r in rules]), reads)

    return enrol(Primitive(name, evaluate, jvp=jvp, pull=pull, **extra))


def linear(evaluate: Callable[..., Any], transpose: Rule, *, name: str, **extra: Any) -> Primitive:
    """Enrol a function that is linear in its one operand; ``transpose(ct, x, **params)`` sees the type of x only."""

    def jvp(tangents: tuple[Any, ...], y: Any, x: Any, **params: Any) -> Any:
        return evaluate(tangents[0], **params)

    def pull(wanted: int, n: int, plain: bool) -> Pull:
        return Pull.reading(lambda ct, y, x, **params: (transpose(ct, x, **params),), (Read.NOTHING, Read.TYPE))

    return enrol(Primitive(name, evaluate, jvp=jvp, pull=pull, **extra))


def bilinear(evaluate: Callable[..., Any], left: Rule, right: Rule, *, name: str, **extra: Any) -> Primitive:
    """Enrol a product: ``left(ct, y, a, b, **params)`` gives the cotangent of a, ``right`` that of b."""

    def jvp(tangents: tuple[Any, ...], y: Any, a: Any, b: Any, **params: Any) -> Any:
        ta, tb = tangents
        if tb is None:
            return evaluate(ta, b, **params)
        if ta is None:
            return evaluate(a, tb, **params)
        return evaluate(ta, b, **params) + evaluate(a, tb, **params)

    return general(evaluate, left, right, name=name, jvp=jvp, **extra)


def variadic(
    evaluate: Callable[..., Any],
    vjp: Rule,
    *,
    name: str,
    jvp: Rule,
    reads: Read,
    **extra: Any,
) -> Primitive:
    """Enrol a function of any number of operands: ``vjp(k, ct, *xs, **params)`` gives the cotangent of operand k."""

    def pull(wanted: int, n: int, plain: bool) -> Pull:
        chosen = _numbered(wanted, n)
        return Pull.reading(
            lambda ct, y, *xs, **params: tuple([vjp(k, ct, *xs, **params) for k in chosen]),
            (Read.NOTHING, *(reads,) * n),
        )

    return enrol(Primitive(name, evaluate, jvp=jvp, pull=pull, **extra))


def constant(evaluate: Callable[..., Any], *, name: str | None = None, **extra: Any) -> Primitive:
    """Enrol a function whose derivative is zero wherever it has one."""
    functions = (evaluate,) if isinstance(evaluate, np.ufunc) else ()
    return enrol(Primitive(name or evaluate.__name__, evaluate, differentiable=False, **extra), *functions)

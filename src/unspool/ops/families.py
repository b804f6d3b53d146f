"""Families of primitives: jvp and vjp from one line of calculus each.

A rule is written in NumPy, so that the same line runs on arrays, is differentiated again, and can be traced. What a
rule reads is found in its byte code (`reads_of`), and only that is kept for the way back.

Cotangents follow the pairing Re(sum(ct * v)), as in JAX: the rule of a holomorphic function is ``ct * f'(x)`` without a
conjugate, and the gradient of a real loss with respect to z is dL/dx - i dL/dy. With this pairing one line serves both
directions: the jvp of an elementwise function is the same multiplication as its vjp, up to the real part that `fit`
takes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial as partial_of
from math import prod
from typing import Any

import numpy as np

from unspool.ir.listener import Traced, bind
from unspool.ir.primitive import Primitive, Pull, Read, reads_of
from unspool.layout import ArrayType
from unspool.ops.samples import elementwise_samples
from unspool.ops.table import enrol

Rule = Callable[..., Any]

_SMALL = 4096  # elements: below this the calls cost more than the work
_NUMBERS = (float, int, complex)


def one(y: Any, *xs: Any) -> float:
    """The partial derivative 1: the cotangent passes as it is."""
    return 1.0


def minus_one(y: Any, *xs: Any) -> float:
    """The partial derivative -1."""
    return -1.0


def unbroadcast(ct: Any, shape: tuple[int, ...]) -> Any:
    """The cotangent summed over the axes along which an operand of this shape was broadcast."""
    if ct.shape == shape:
        return ct
    if not shape:
        return np.add.reduce(ct, axis=None)
    lead = len(ct.shape) - len(shape)
    stretched = [lead + i for i, d in enumerate(shape) if d == 1 and lead + i >= 0 and ct.shape[lead + i] != 1]
    if lead > 0 or stretched:
        ct = np.add.reduce(ct, axis=(*range(lead), *stretched))
    return ct if ct.shape == shape else ct.reshape(shape)


def fit(ct: Any, like: Any) -> Any:
    """The cotangent summed over broadcast axes and converted, so that it has the shape and dtype of the operand."""
    ct = unbroadcast(ct, like.shape)
    return ct if ct.dtype == like.dtype else cast(ct, like.dtype)


def spread(ct: Any, shape: tuple[int, ...]) -> Any:
    """The cotangent broadcast to a shape: written out where that is small and plain, which is faster than a view."""
    if isinstance(ct, Traced) or prod(shape) > _SMALL:
        return np.broadcast_to(ct, shape)
    full = np.empty(shape, ct.dtype)
    full[...] = ct
    return full


def cast(ct: Any, dtype: Any) -> Any:
    """The cotangent in another dtype; of a complex one the real part reaches a real operand."""
    if ct.dtype.kind == "c" and dtype.kind != "c":
        ct = np.real(ct)
    return ct if ct.dtype == dtype else ct.astype(dtype)


def stretch(t: Any, like: Any) -> Any:
    """The tangent broadcast to the shape of the result, converted to its dtype."""
    if t.shape != like.shape:
        t = np.broadcast_to(t, like.shape)
    return fit(t, like)


# --- elementwise ------------------------------------------------------------------------------------------------------
def scalar(
    ufunc: Callable[..., Any],
    *partials: Rule,
    guard: float | None = None,
    pole: int | None = None,
    quiet: bool = False,
    **about: Any,
) -> Primitive:
    """Enrol an elementwise function; ``partials[i](y, *xs)`` is its derivative with respect to operand i.

    ``guard`` is for partials that are infinite or undefined somewhere: a point where all of them are finite, which is
    used instead wherever the cotangent is zero, so that 0 * inf does not come up, in higher derivatives neither.
    ``pole`` says which of (y, *xs) is zero at those places, and only there: where it is nowhere zero, which is quickly
    seen, no guard is needed. ``quiet`` keeps NumPy from warning of an infinite partial where the function did not warn.
    ``quick`` takes the place of the fast path: (wanted, n) -> rule (ct, y, *xs) -> cotangents, no fit.
    """
    terms = [term_of(partial, guard, pole, quiet) for partial in partials]
    quick = _quick(partials) if guard is None else {}
    said = [p.__doc__ or "" for p in partials]
    about.setdefault("note", " ".join([note for note in said if note.startswith("Not in ")]))
    reads = partial_of(_reads, partials, skip=0)
    return _elementwise(ufunc, terms, reads, quick | about.pop("quick", {}), about)


def piecewise(ufunc: Callable[..., Any], *terms: Rule, **about: Any) -> Primitive:
    """Enrol an elementwise function whose rules choose: ``terms[i](ct, y, *xs)`` is linear in ct, jvp and vjp alike."""
    return _elementwise(ufunc, list(terms), partial_of(_reads, terms, skip=1), {}, about)


def _reads(rules: tuple[Rule, ...], skip: int) -> list[tuple[Read, ...]]:
    return [reads_of(rule, skip=skip) for rule in rules]


def term_of(partial: Rule, guard: float | None, pole: int | None, quiet: bool) -> Rule:
    """``ct * partial``, guarded where that is asked for."""
    if partial is one:
        return lambda ct, *values: ct
    if partial is minus_one:
        return lambda ct, *values: -ct
    if guard is None:
        return lambda ct, *values: ct * partial(*values)

    def guarded(ct: Any, *values: Any) -> Any:
        if pole is not None and _nowhere_zero(values[pole]):
            return ct * partial(*values)
        if has_zeros(ct):
            dead = ct == 0
            safe = list(values)
            for k, read in enumerate(reads_of(partial, skip=0)):
                if read is Read.VALUE and values[k].__class__ not in _NUMBERS:
                    safe[k] = np.where(dead, guard, values[k])
            values = tuple(safe)
        if not quiet:
            return ct * partial(*values)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return ct * partial(*values)

    return guarded


def _nowhere_zero(value: Any) -> bool:
    if value.__class__ is np.ndarray:
        return bool(value.size <= _SMALL and np.count_nonzero(value) == value.size)
    return not isinstance(value, Traced) and bool(value != 0)


def has_zeros(ct: Any) -> bool:
    """Whether a zero among the cotangents must be reckoned with."""
    if isinstance(ct, Traced):
        return True  # a decision on values would not be part of the trace
    if ct.size <= _SMALL:
        return bool(np.count_nonzero(ct) != ct.size)
    return bool((ct == 0).any())


def _quick(partials: tuple[Rule, ...]) -> dict[tuple[int, int], Rule]:
    """The rules of the fast path, (wanted, n) -> (ct, y, *xs) -> cotangents, for functions of one and two operands."""
    if len(partials) == 1:
        (p,) = partials
        if p is one:
            return {(1, 1): lambda ct, y, a: (ct,)}
        if p is minus_one:
            return {(1, 1): lambda ct, y, a: (-ct,)}
        return {(1, 1): lambda ct, y, a: (ct * p(y, a),)}
    if len(partials) != 2:
        return {}
    p, q = partials
    first: dict[Rule, Rule] = {one: lambda ct, y, a, b: (ct,), minus_one: lambda ct, y, a, b: (-ct,)}
    both: dict[Rule, Rule] = {one: lambda ct, y, a, b: (ct, ct), minus_one: lambda ct, y, a, b: (ct, -ct)}
    return {
        (1, 2): first.get(p) or (lambda ct, y, a, b: (ct * p(y, a, b),)),
        (2, 2): first.get(q) or (lambda ct, y, a, b: (ct * q(y, a, b),)),
        (3, 2): (p is one and both.get(q)) or (lambda ct, y, a, b: (ct * p(y, a, b), ct * q(y, a, b))),
    }


def _elementwise(
    ufunc: Callable[..., Any],
    terms: list[Rule],
    reads_of_terms: Callable[[], list[tuple[Read, ...]]],
    quick: dict[tuple[int, int], Rule],
    about: dict[str, Any],
) -> Primitive:
    n_operands = len(terms)
    also = about.pop("also", (ufunc,) if isinstance(ufunc, np.ufunc) else ())
    domain = about.pop("domain", ())
    about.setdefault("samples", lambda: elementwise_samples(n_operands, domain))
    if isinstance(ufunc, np.ufunc):
        about.setdefault("type_rule", lambda *types: ufunc_type(ufunc, types))

    def pull(wanted: int, n: int, plain: bool) -> Pull:
        chosen = _numbered(wanted, n)
        reads = reads_of_terms()
        looked_at = _joined([reads[k] for k in chosen], n)
        if plain:
            if (wanted, n) in quick:
                return Pull.reading(quick[wanted, n], looked_at)
            if len(chosen) == 1:
                term = terms[chosen[0]]
                if n == 1:
                    return Pull.reading(lambda ct, y, a: (term(ct, y, a),), looked_at)
                return Pull.reading(lambda ct, *values: (term(ct, *values),), looked_at)
            chosen_terms = [terms[k] for k in chosen]
            return Pull.reading(lambda ct, *values: tuple([term(ct, *values) for term in chosen_terms]), looked_at)
        pairs = [(terms[k], k) for k in chosen]
        typed = tuple(
            [Read.TYPE if read is Read.NOTHING and k - 1 in chosen else read for k, read in enumerate(looked_at)]
        )
        if len(pairs) == 1:
            ((term, k),) = pairs
            return Pull.reading(lambda ct, y, *xs: (fit(term(ct, y, *xs), xs[k]),), typed)
        return Pull.reading(lambda ct, y, *xs: tuple([fit(term(ct, y, *xs), xs[k]) for term, k in pairs]), typed)

    def jvp(tangents: tuple[Any, ...], y: Any, *xs: Any) -> Any:
        parts = [term(t, y, *xs) for t, term in zip(tangents, terms, strict=True) if t is not None]
        return stretch(sum(parts[1:], parts[0]), y)

    name = about.pop("name", None) or ufunc.__name__
    evaluate = about.pop("evaluate", ufunc)
    return enrol(Primitive(name, evaluate, jvp=jvp, pull=pull, elementwise=True, **about), *also)


def _numbered(wanted: int, n: int) -> list[int]:
    return [k for k in range(n) if wanted >> k & 1]


def _joined(reads: list[tuple[Read, ...]], n: int) -> tuple[Read, ...]:
    """For each of (y, *xs) the most that any of the rules looks at."""
    padded = [(*r[: n + 1], *(Read.NOTHING,) * (n + 1 - len(r))) for r in reads]
    return tuple([max((r[k] for r in padded), key=lambda read: read.value) for k in range(n + 1)])


def ufunc_type(ufunc: np.ufunc, types: tuple[Any, ...]) -> ArrayType:
    """The type of the result of a ufunc; Python numbers among the operands are weak, as NumPy has it."""
    weak = tuple([type(t) if isinstance(t, int | float | complex) else t.dtype for t in types])
    dtype = ufunc.resolve_dtypes((*weak, *(None,) * ufunc.nout))[-1]
    return ArrayType(dtype, np.broadcast_shapes(*[getattr(t, "shape", ()) for t in types]))


# --- everything else --------------------------------------------------------------------------------------------------
def general(evaluate: Callable[..., Any], *vjps: Rule, name: str, jvp: Rule, **about: Any) -> Primitive:
    """Enrol a primitive with one vjp per operand, ``vjps[i](ct, y, *xs, **params)``, and one jvp for all tangents.

    ``jvp(tangents, y, *xs, **params)`` sees None for a tangent that is zero.
    """

    def pull(wanted: int, n: int, plain: bool) -> Pull:
        chosen = _numbered(wanted, n)
        rules = [vjps[k] for k in chosen]
        reads = _joined([_operand_reads(rule, n) for rule in rules], n)
        if len(rules) == 1:
            (rule,) = rules
            return Pull.reading(lambda ct, *values, **params: (rule(ct, *values, **params),), reads)
        return Pull.reading(lambda ct, *values, **params: tuple([r(ct, *values, **params) for r in rules]), reads)

    return enrol(Primitive(name, evaluate, jvp=jvp, pull=pull, **about))


def _operand_reads(rule: Rule, n: int) -> tuple[Read, ...]:
    """What the rule looks at among (y, *xs): the names that follow are parameters of the operation."""
    return reads_of(rule)[: n + 1]


def linear(evaluate: Callable[..., Any], transpose: Rule, *, name: str, **about: Any) -> Primitive:
    """Enrol a function that is linear in its one operand; ``transpose(ct, x, **params)`` sees the type of x at most."""

    def pull(wanted: int, n: int, plain: bool) -> Pull:
        read = reads_of(transpose)[0]
        assert read is not Read.VALUE, f"{name}: the transpose of a linear function depends on the type of x only"
        return Pull.reading(lambda ct, y, x, **params: (transpose(ct, x, **params),), (Read.NOTHING, read))

    def jvp(tangents: tuple[Any, ...], y: Any, x: Any, **params: Any) -> Any:
        return bind(primitive, tangents[0], **params)

    primitive = Primitive(name, evaluate, jvp=jvp, pull=pull, **about)
    return enrol(primitive)


def bilinear(evaluate: Callable[..., Any], left: Rule, right: Rule, *, name: str, **about: Any) -> Primitive:
    """Enrol a product: ``left(ct, y, a, b, **params)`` gives the cotangent of a, ``right`` that of b."""

    def jvp(tangents: tuple[Any, ...], y: Any, a: Any, b: Any, **params: Any) -> Any:
        ta, tb = tangents
        if tb is None:
            return fit(bind(primitive, ta, b, **params), y)
        if ta is None:
            return fit(bind(primitive, a, tb, **params), y)
        return fit(bind(primitive, ta, b, **params) + bind(primitive, a, tb, **params), y)

    primitive = general(evaluate, left, right, name=name, jvp=jvp, **about)
    return primitive


def variadic(
    evaluate: Callable[..., Any],
    vjp: Rule,
    *,
    name: str,
    jvp: Rule,
    read: Read,
    **about: Any,
) -> Primitive:
    """Enrol a function of any number of operands: ``vjp(wanted, ct, *xs, **params)`` gives the cotangents of those."""

    def pull(wanted: int, n: int, plain: bool) -> Pull:
        chosen = _numbered(wanted, n)
        return Pull.reading(
            lambda ct, y, *xs, **params: vjp(chosen, ct, *xs, **params),
            (Read.NOTHING, *(read,) * n),
        )

    return enrol(Primitive(name, evaluate, jvp=jvp, pull=pull, **about))


def constant(evaluate: Callable[..., Any], *, name: str | None = None, **about: Any) -> Primitive:
    """Enrol a function whose derivative is zero wherever it has one."""
    functions = (evaluate,) if isinstance(evaluate, np.ufunc) else ()
    if isinstance(evaluate, np.ufunc):
        ufunc = evaluate
        about.setdefault("type_rule", lambda *types: ufunc_type(ufunc, types))
        domain = about.pop("domain", ())
        about.setdefault("samples", lambda: elementwise_samples(ufunc.nin, domain))
    return enrol(Primitive(name or evaluate.__name__, evaluate, differentiable=False, **about), *functions)

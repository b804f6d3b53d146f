"""einsum: its derivative with respect to an operand is another einsum, with that operand and the result exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive, Pull, Read
from unspool.ops.families import cast, fit, unbroadcast
from unspool.ops.samples import some
from unspool.ops.table import enrol, implements

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"  # importing string takes as long as this file


def explicit(subscripts: str, ndims: list[int]) -> str:
    """The subscripts with a letter for every axis of every operand and of the result.

    >>> explicit("...ij,j", [3, 1])
    'Zij,j->Zi'
    """
    sources, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = sources.split(",")
    if len(terms) != len(ndims):
        raise ValueError(f"einsum: {len(terms)} terms in {subscripts!r} for {len(ndims)} operands")
    free = [letter for letter in reversed(_LETTERS) if letter not in subscripts]
    widths = [
        ndim - len(term.replace("...", "")) if "..." in term else 0 for term, ndim in zip(terms, ndims, strict=True)
    ]
    hidden = "".join(sorted(free[: max(widths)]))
    terms = [term.replace("...", hidden[len(hidden) - width :]) for term, width in zip(terms, widths, strict=True)]
    if arrow:
        return f"{','.join(terms)}->{result.replace('...', hidden)}"
    letters = "".join(terms)
    once = sorted(letter for letter in set(letters) if letters.count(letter) == 1 and letter not in hidden)
    return f"{','.join(terms)}->{hidden}{''.join(once)}"


def _evaluate(*xs: Any, subscripts: str, optimize: Any) -> Any:
    return np.einsum(subscripts, *xs, optimize=optimize)


def _cotangent(k: int, ct: Any, xs: tuple[Any, ...], subscripts: str, optimize: Any) -> Any:
    sources, _, result = subscripts.partition("->")
    terms = sources.split(",")
    lengths = dict(zip(terms[k], xs[k].shape, strict=True))
    names = [result, *terms[:k], *terms[k + 1 :]]
    operands = [ct, *xs[:k], *xs[k + 1 :]]
    target = ""
    spare = iter([letter for letter in _LETTERS if letter not in subscripts])
    for letter in terms[k]:
        if letter in target:  # a diagonal was taken: the cotangent lies on it
            twin = next(spare)
            names.append(letter + twin)
            operands.append(np.eye(lengths[letter], dtype=ct.dtype))
            target += twin
            continue
        if not any(letter in name for name in names):  # it was summed over alone
            names.append(letter)
            operands.append(np.ones(lengths[letter], ct.dtype))
        target += letter
    product = np.einsum(f"{','.join(names)}->{target}", *operands, optimize=optimize)
    wide = np.broadcast_shapes(product.shape, xs[k].shape)  # a letter of length 1 elsewhere, summed over here
    if wide != product.shape:
        product = np.broadcast_to(product, wide)
    return cast(unbroadcast(product, xs[k].shape), xs[k].dtype)


def _pull(wanted: int, n: int, plain: bool) -> Pull:
    chosen = [k for k in range(n) if wanted >> k & 1]
    reads = [Read.TYPE if chosen == [k] else Read.VALUE for k in range(n)]

    def pull(ct: Any, y: Any, *xs: Any, subscripts: str, optimize: Any) -> tuple[Any, ...]:
        return tuple([_cotangent(k, ct, xs, subscripts, optimize) for k in chosen])

    return Pull.reading(pull, (Read.NOTHING, *reads))


def _jvp(tangents: tuple[Any, ...], y: Any, *xs: Any, **params: Any) -> Any:
    parts = [bind(einsum, *xs[:k], t, *xs[k + 1 :], **params) for k, t in enumerate(tangents) if t is not None]
    return fit(sum(parts[1:], parts[0]), y)


def _samples() -> Iterator[Any]:
    for subscripts, *shapes in (
        ("ij,jk->ik", (2, 3), (3, 4)),
        ("ij->ji", (2, 3)),
        ("ij->", (2, 3)),
        ("ii->i", (3, 3)),
        ("ii,j->j", (3, 3), (2,)),
        ("ij,i,jk->k", (2, 3), (2,), (3, 4)),
        ("Aij,j->Ai", (2, 2, 3), (3,)),
        ("Ai,Ai->Ai", (1, 3), (2, 3)),
        ("Ai,A->i", (2, 3), (1,)),
    ):
        operands = tuple([some(*shape, turn=0.2 * k) for k, shape in enumerate(shapes)])
        yield operands, {"subscripts": subscripts, "optimize": False}


einsum = enrol(Primitive("einsum", _evaluate, jvp=_jvp, pull=_pull, samples=_samples))


@implements(np.einsum)
def _einsum(subscripts: Any, *operands: Any, optimize: Any = False) -> Any:
    if not isinstance(subscripts, str):
        raise UnsupportedError(
            "numpy.einsum: no derivative rule for operands with lists of axes on a traced value. Write the subscripts "
            "as a string, as in np.einsum('ij,j->i', a, x)."
        )
    arrays = [x if hasattr(x, "shape") else np.asarray(x) for x in operands]
    full = explicit(subscripts, [len(a.shape) for a in arrays])
    if len(arrays) == 1 and set(full.partition("->")[0]) == set(full.partition("->")[2]):
        return _turned(arrays[0], *full.split("->"))
    return bind(einsum, *arrays, subscripts=full, optimize=optimize)


def _turned(array: Any, term: str, result: str) -> Any:
    """Axes exchanged and diagonals taken: what NumPy answers with a view."""
    letters = list(term)
    for letter in result:
        while letters.count(letter) > 1:
            first = letters.index(letter)
            other = letters.index(letter, first + 1)
            lengths = array.shape[first], array.shape[other]
            if lengths[0] != lengths[1]:
                raise ValueError(f"einsum: the axes named {letter!r} have the lengths {lengths}")
            array = np.diagonal(array, axis1=first, axis2=other)
            letters = [*letters[:first], *letters[first + 1 : other], *letters[other + 1 :], letter]
    return np.transpose(array, [letters.index(letter) for letter in result])

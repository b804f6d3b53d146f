"""Numbers taken apart and put together again: fractions and exponents, complex numbers that are real."""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.listener import bind, primal
from unspool.layout import ArrayType
from unspool.ops.families import constant, scalar
from unspool.ops.samples import elementwise_samples, some
from unspool.ops.table import implements


# --- fractions and exponents ------------------------------------------------------------------------------------------
def _no_exponent(y: Any, x: Any, n: Any) -> Any:
    return 0.0 * y  # never asked for: exponents are whole numbers


ldexp = scalar(
    np.ldexp,
    lambda y, x, n: np.ldexp(np.ones((), y.dtype), n),
    _no_exponent,
    samples=lambda: [
        ((some(4), np.array([0, 3, -2, 1])), {}),
        ((some(3, 1), np.array([1, 2])), {}),
        ((some(), np.array(-1)), {}),
    ],
)
exponent = constant(
    lambda x: np.frexp(x)[1],
    name="frexp_exponent",
    type_rule=lambda x: ArrayType(np.dtype(np.int32), x.shape),
    samples=lambda: elementwise_samples(1, ()),
)


@implements(np.frexp)
def _frexp(x: Any) -> tuple[Any, Any]:
    """The exponent is plain."""
    n = bind(exponent, x)
    return bind(ldexp, x, np.negative(n)), n


@implements(np.modf)
def _modf(x: Any) -> tuple[Any, Any]:
    """The whole part has the derivative zero."""
    whole = np.trunc(x)
    return np.where(np.isinf(x), 0.0, x - np.where(np.isinf(x), 0.0, whole)), whole


# --- complex numbers that are real ------------------------------------------------------------------------------------
@implements(np.real_if_close)
def _real_if_close(a: Any, tol: float = 100) -> Any:
    """Looks at the values."""
    if a.dtype.kind != "c":
        return a
    known = primal(a)
    if isinstance(known, ArrayType):
        raise UnsupportedError(
            "numpy.real_if_close: whether the result is real depends on the values, so that it cannot be part of a "
            "compiled step. Use np.real."
        )
    return np.real(a) if np.isrealobj(np.real_if_close(known, tol)) else a

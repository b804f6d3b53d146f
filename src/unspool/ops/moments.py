"""Covariances and correlations."""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.ops.shape import as_array
from unspool.ops.table import implements


@implements(np.cov)
def _cov(  # noqa: PLR0917 - NumPy's signature
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
) -> Any:
    if ddof is not None and ddof != int(ddof):
        raise ValueError("ddof must be integer")
    x = _observations(m, rowvar, lying=as_array(m).ndim == 1)
    if y is not None:
        x = np.concatenate((x, _observations(y, rowvar, lying=np.atleast_2d(as_array(y)).shape[0] == 1)), axis=0)
    if x.shape[0] == 0:
        return np.zeros((0, 0))
    lost = (0 if bias else 1) if ddof is None else ddof
    weights = _weights(fweights, aweights, x.shape[1])
    if weights is None:
        mean: Any = np.mean(x, axis=1)
        factor: Any = x.shape[1] - lost
    else:
        total = np.sum(weights)
        mean = np.sum(x * weights, axis=1) / total
        again = 1.0 if aweights is None else np.sum(weights * as_array(aweights)) / total
        factor = total if lost == 0 else total - lost * again
    if not isinstance(factor, int) or factor > 0:
        inverse: Any = np.true_divide(1, factor)
    else:
        inverse = np.inf
    x = x - mean[:, None]
    other = np.transpose(x if weights is None else x * weights)
    return np.squeeze(np.dot(x, np.conj(other) if other.dtype.kind == "c" else other) * inverse)


def _observations(m: Any, rowvar: bool, lying: bool) -> Any:
    """One row per variable, in double precision at least."""
    x = as_array(m)
    if x.ndim > 2:
        raise ValueError("m has more than 2 dimensions")
    x = np.atleast_2d(x)
    wide = np.result_type(x.dtype, np.float64)
    x = x if x.dtype == wide else np.astype(x, wide)
    return x if rowvar or lying else np.transpose(x)


def _weights(fweights: Any, aweights: Any, n: int) -> Any:
    given = [np.astype(as_array(w), float) for w in (fweights, aweights) if w is not None]
    if any(w.shape != (n,) for w in given):
        raise RuntimeError(f"weights must have one axis of {n} elements, one per observation")
    if not given:
        return None
    return given[0] if len(given) == 1 else given[0] * given[1]


@implements(np.corrcoef)
def _corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    c = _cov(x, y, rowvar)
    if c.ndim == 0:
        return c / c
    deviation = np.sqrt(np.real(np.diagonal(c)))
    c = c / deviation[:, None] / deviation[None, :]
    if c.dtype.kind == "c":
        return _bounded(np.real(c)) + 1j * _bounded(np.imag(c))
    return _bounded(c)


def _bounded(c: Any) -> Any:
    """Rounding may lead past 1; a correlation of exactly 1 keeps its derivative."""
    return np.where(c > 1, 1, np.where(c < -1, -1, c))

"""What has no derivative comes as plain results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, same_bits, some

X = np.round(some(3, 4), 1)
CALLS = {
    "argmax": np.argmax,
    "argmax axis": lambda x: np.argmax(x, 0),
    "argmin": lambda x: np.argmin(x, axis=1, keepdims=True),
    "argmin method": lambda x: x.argmin(),
    "argsort": np.argsort,
    "argsort axis": lambda x: x.argsort(axis=0, kind="stable"),
    "argpartition": lambda x: np.argpartition(x, 1),
    "all": lambda x: np.all(x, axis=0),
    "any": lambda x: x.any(),
    "count_nonzero": lambda x: np.count_nonzero(x, axis=1),
    "nonzero": np.nonzero,
    "flatnonzero": np.flatnonzero,
    "argwhere": np.argwhere,
    "searchsorted": lambda x: np.searchsorted(x[0], 0.3, side="right"),
    "searchsorted in plain": lambda x: np.searchsorted(np.arange(3.0), x),
    "digitize": lambda x: np.digitize(x, np.arange(3.0)),
    "array_equal": lambda x: np.array_equal(x, X),
    "array_equiv": lambda x: np.array_equiv(x, X[:1]),
    "isclose": lambda x: np.isclose(x, X + 1e-9, rtol=0.0, atol=1e-10),
    "allclose": lambda x: np.allclose(X, x),
    "isreal": np.isreal,
    "iscomplex": np.iscomplex,
    "isposinf": np.isposinf,
    "shape": np.shape,
    "ndim": np.ndim,
    "size": np.size,
    "size axis": lambda x: np.size(x, 1),
    "len": len,
    "iscomplexobj": np.iscomplexobj,
    "isrealobj": np.isrealobj,
    "result_type": lambda x: np.dtype(np.result_type(x, np.float32)).itemsize,
    "result_type weak": lambda x: np.dtype(np.result_type(x, 1j)).itemsize,
    "common_type": lambda x: np.dtype(np.common_type(x)).itemsize,
    "can_cast": lambda x: np.can_cast(np.result_type(x), np.float32),
    "isscalar": np.isscalar,
    "comparison": lambda x: (x > 0.0) & (x < 1.0),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_plain_results(call: Any) -> None:
    seen: list[Any] = []
    unspool.grad(lambda x: (seen.append(call(x)), np.sum(x))[1])(X)
    unspool.jvp(lambda x: (seen.append(call(x)), np.sum(x))[1], (X,), (X,))
    unspool.hessian(lambda x: (seen.append(call(x)), np.sum(x))[1])(X)
    for found in seen[:3]:
        same_bits(found, call(X))


def test_rounding_to_decimals() -> None:
    for f in (lambda x: np.round(x, 1), lambda x: np.around(x, decimals=1), lambda x: x.round(1)):
        out, pullback = unspool.vjp(f, some(4))
        same_bits(out, f(some(4)))
        assert np.all(pullback(np.ones(4))[0] == 0)


def test_keywords_that_are_not_modelled() -> None:
    for f in (
        lambda x: np.argsort(x, order="f"),
        lambda x: np.searchsorted(x, 1, sorter=x),
    ):
        with pytest.raises(unspool.errors.UnsupportedError, match="="):
            unspool.grad(lambda x, f=f: (f(x), np.sum(x))[1])(some(4))


def test_indices_of_triangles_and_members() -> None:
    x = some(3, 4)
    for f in (
        lambda x: x[np.tril_indices_from(x, -1)],
        lambda x: x[np.triu_indices_from(x, 1)],
        lambda x: x[:, :3][np.diag_indices_from(x[:, :3])],
        lambda x: x[np.isin(x, x[0])],
    ):
        agrees(f, x)
    for f in (np.tril_indices_from, np.triu_indices_from, np.diag_indices_from):
        with pytest.raises(ValueError):
            unspool.vjp(f, some(3))

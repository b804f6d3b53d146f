"""Functions that write into an array: through handles, with NumPy's casting and aliasing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, some
from unspool.errors import DetachedError, UnsupportedError
from unspool.ops import TABLE

X = some(3, 4)


def _after(write: Any) -> Any:
    """The array after the write, times what was there before: so that the earlier value must have been kept."""

    def f(x: Any, *others: Any) -> Any:
        y = 1.0 * x
        before = y * y
        write(y, *others)
        return y * before

    return f


def test_copyto() -> None:
    agrees(_after(np.copyto), X, some(4))
    agrees(_after(lambda y, v: np.copyto(y, v, where=X > 0)), X, some(4))
    agrees(_after(lambda y: np.copyto(y, 2.0, where=y > 0)), X)
    agrees(_after(lambda y: np.copyto(y[1:], 2)), X)
    with pytest.raises(TypeError, match="Cannot cast"):
        unspool.vjp(lambda x: np.copyto(1 * x, 1j * x), X)
    with pytest.raises(DetachedError, match=r"numpy\.copyto"):
        unspool.vjp(lambda x: np.copyto(np.zeros(3), x), X[:, 0])


def test_place_and_putmask() -> None:
    for values in (1, 2, 5, 12, 20):
        agrees(_after(lambda y, v: np.place(y, X > 0, v)), X, some(values))
        agrees(_after(lambda y, v: np.putmask(y, X > 0, v)), X, some(values))
    agrees(_after(lambda y: np.putmask(y, y > 0, y * y)), X)
    agrees(_after(lambda y: np.place(y, y > 10, [1.0])), X)


def test_put() -> None:
    agrees(_after(lambda y, v: np.put(y, [0, 5, -1], v)), X, some(3))
    agrees(_after(lambda y, v: np.put(y, [0, 5, 0], v)), X, some(2))
    agrees(_after(lambda y, v: np.put(y, [3, 1], v)), X, some(5))
    agrees(_after(lambda y: np.put(y, 4, 7.0)), X)
    agrees(_after(lambda y: np.put(y, [13, -20], 7.0, mode="wrap")), X)
    agrees(_after(lambda y: np.put(y, [13, -20], 7.0, mode="clip")), X)
    agrees(_after(lambda y: np.put(y.T, [1, 2], 7.0)), X)
    with pytest.raises(IndexError):
        unspool.vjp(_after(lambda y: np.put(y, 40, 7.0)), X)


def test_put_along_axis() -> None:
    order = np.argsort(X, axis=1)
    agrees(_after(lambda y, v: np.put_along_axis(y, order[:, :2], v, axis=1)), X, some(3, 2))
    agrees(_after(lambda y, v: np.put_along_axis(y, order[:, :1], v, axis=1)), X, 2.0)
    agrees(_after(lambda y: np.put_along_axis(y, np.argmax(y, axis=0, keepdims=True), 9.0, axis=0)), X)


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("shape", [(3, 4), (7, 2), (3, 3), (2, 2, 2)])
def test_fill_diagonal(shape: Any, wrap: bool) -> None:
    agrees(_after(lambda y: np.fill_diagonal(y, 2.0, wrap)), some(*shape))
    agrees(_after(lambda y, v: np.fill_diagonal(y, v, wrap)), some(*shape), some(2))


def test_add_at_adds_every_time() -> None:
    """Through the table: it is what ``np.add.at(u, index, v)`` comes to."""

    def at(ufunc: Any) -> Any:
        def call(y: Any, index: Any, v: Any) -> None:
            (TABLE[ufunc.at] if isinstance(y, unspool.variable.Variable) else ufunc.at)(y, index, v)

        return call

    index = [0, 2, 0, 0]
    for ufunc in (np.add, np.subtract):
        add = at(ufunc)
        agrees(_after(lambda y, v, add=add: add(y, index, v)), X[0], some(4))
        agrees(_after(lambda y, v, add=add: add(y, (index, 1), v)), X, 1.5)
        agrees(_after(lambda y, v, add=add: add(y, (slice(None), [1, 1]), v)), X, some(3, 2))
        agrees(_after(lambda y, v, add=add: add(y[1], index, v)), X, some(4))
        with pytest.raises(UnsupportedError, match="in place"):
            unspool.vjp(lambda x, add=add: add(1 * x, index, 1j), X[0])
        with pytest.raises(DetachedError, match=rf"numpy\.{ufunc.__name__}\.at"):
            unspool.vjp(lambda x, add=add, u=ufunc: TABLE[u.at](np.zeros(3), index, x), X[0])

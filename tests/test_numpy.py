"""unspool.numpy is NumPy, whose creation functions can hold traced values where something is being differentiated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
import unspool.numpy as unp
from tests.oracles import same_bits
from unspool import grad
from unspool.variable import Variable

X = np.array([0.3, -0.2, 0.5])
CREATION = [
    lambda m: m.zeros(3),
    lambda m: m.zeros((2, 3), np.float32),
    lambda m: m.ones(3, dtype=complex),
    lambda m: m.full((2,), 2.5),
    lambda m: m.eye(3),
    lambda m: m.identity(2),
    lambda m: m.arange(0.0, 3.0),
    lambda m: m.linspace(0, 1, 5),
    lambda m: m.array([[1.0, 2.0], [3.0, 4.0]]),
    lambda m: m.asarray([1.0, 2.0]),
    lambda m: m.empty((0, 2)),
]


@pytest.mark.parametrize("make", CREATION)
def test_creation_gives_numpys_array_outside_and_a_handle_on_it_inside(make: Any) -> None:
    expected = make(np)
    outside = make(unp)
    assert type(outside) is np.ndarray
    assert same_bits(outside, expected)
    seen: list[Any] = []

    def f(x: Any) -> Any:
        inside = make(unp)
        assert isinstance(inside, Variable)
        seen.append(unspool.stop_gradient(inside))
        inside[...] = x[0]
        return np.sum(np.real(inside)) + x[1]

    gradient = grad(f)(X)
    assert same_bits(seen[0], expected)
    assert gradient.tolist() == [expected.size, 1.0, 0.0]
    assert unspool.jvp(f, (X,), (np.array([1.0, 0.0, 0.0]),))[1] == expected.size


@pytest.mark.parametrize(
    "make",
    [lambda: unp.zeros(3, int), lambda: unp.arange(3), lambda: unp.eye(2, dtype=bool), lambda: unp.array([1, 2])],
)
def test_integers_and_booleans_stay_plain_and_can_be_an_index(make: Any) -> None:
    def f(x: Any) -> Any:
        made = make()
        assert type(made) is np.ndarray
        return np.sum(x[np.nonzero(made)[0]])

    assert grad(f)(X).shape == (3,)


def test_array_joins_traced_values_of_any_depth() -> None:
    def f(x: Any) -> Any:
        m = unp.array([[x[0], 1.0], [2.0, x[1] * x[2]]])
        assert m.shape == (2, 2)
        return np.linalg.det(m) + unp.array([x, X, [1.0, 2.0, 3.0]])[0].sum()

    x0, x1, x2 = X
    np.testing.assert_allclose(grad(f)(X), [x1 * x2 + 1, x0 * x2 + 1, x0 * x1 + 1], rtol=1e-13)
    assert grad(lambda x: unp.array((x, 2 * x), np.float32).sum())(3.0) == 3.0


def test_array_copies_and_asarray_does_not_copy_what_is_traced() -> None:
    def f(x: Any) -> Any:
        same, other = unp.asarray(x), unp.array(x)
        same *= 2.0
        other *= 100.0
        assert unp.asarray(x, np.float32).dtype == np.float32
        return np.sum(x * x)

    np.testing.assert_allclose(grad(f)(X), 8 * X)


def test_what_asarray_lets_in_is_protected() -> None:
    w = np.arange(3.0)

    def f(x: Any) -> Any:
        made = unp.asarray(w)
        y = made * x
        w[:] = 100.0
        made[0] = x[1]
        return np.sum(y) + made[0]

    assert grad(f)(X).tolist() == [0.0, 2.0, 2.0]
    assert w.tolist() == [100.0] * 3


def test_everything_else_is_numpys_own() -> None:
    assert unp.sin is np.sin
    assert unp.linalg is np.linalg
    assert unp.pi == np.pi
    assert unp.float64 is np.float64
    with pytest.raises(AttributeError):
        _ = unp.no_such_name


def test_full_of_a_traced_value() -> None:
    def f(x: Any) -> Any:
        made = unp.full((2, 3), x[1])
        made[0] = x
        return np.sum(made * np.arange(6.0).reshape(2, 3)) + np.sum(unp.full(2, x[0], np.float32))

    np.testing.assert_allclose(grad(f)(X), [2.0, 1.0 + 12.0, 2.0])

"""Linear algebra on matrices and on stacks of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.ops import PRIMITIVES

A = some(3, 3) + 3 * np.eye(3)
STACK = some(2, 4, 3, 3) + 3 * np.eye(3)
COMPLEX = A + 0.5j * some(3, 3, turn=0.3)
SPD = A @ A.T


@pytest.mark.parametrize("b", [(3,), (3, 2), (2, 4, 3, 1), (4, 3, 2)])
@pytest.mark.parametrize("a", [A, STACK, COMPLEX])
def test_solve(a: np.ndarray, b: tuple[int, ...]) -> None:
    right = some(*b)
    agrees(np.linalg.solve, a, right)
    agrees(lambda a: np.linalg.solve(a, right), a)
    agrees(lambda b: np.linalg.solve(a, b), right)
    agrees(lambda b: np.linalg.solve(a, b), complex_some(*b))


@pytest.mark.parametrize("f", [np.linalg.inv, np.linalg.det, np.linalg.slogdet])
@pytest.mark.parametrize("a", [A, -A, STACK, COMPLEX, A[:1, :1]])
def test_inverse_and_determinant(f: Any, a: np.ndarray) -> None:
    agrees(f, a)


def test_only_one_result_of_slogdet() -> None:
    for a in (A, COMPLEX, STACK):
        agrees(lambda a: np.linalg.slogdet(a)[1], a)
        agrees(lambda a: np.linalg.slogdet(a).sign * np.sum(a), a)


def test_slogdet_by_name() -> None:
    def f(a: Any) -> Any:
        sign, log = np.linalg.slogdet(a)
        return sign * np.exp(log)

    agrees(f, A, exact=False)
    np.testing.assert_allclose(unspool.grad(f)(A), unspool.grad(np.linalg.det)(A))


@pytest.mark.parametrize("a", [[[1.0, 2.0], [2.0, 4.0]], np.zeros((2, 2)), np.zeros((3, 3)), [[0.0]]])
def test_the_determinant_of_a_singular_matrix_has_a_gradient(a: Any) -> None:
    agrees(np.linalg.det, np.array(a))
    agrees(unspool.grad(lambda a: np.linalg.det(a) + np.sum(a**2)), np.array(a), exact=False)


def test_a_singular_system_raises_as_numpy_does() -> None:
    for f in (np.linalg.inv, lambda a: np.linalg.solve(a, np.ones(2))):
        with pytest.raises(np.linalg.LinAlgError):
            unspool.grad(lambda a, f=f: np.sum(f(a)))(np.zeros((2, 2)))


def test_cholesky() -> None:
    agrees(np.linalg.cholesky, SPD)
    agrees(np.linalg.cholesky, STACK @ np.swapaxes(STACK, -1, -2))
    agrees(lambda a: np.linalg.cholesky(a, upper=True), SPD, exact=False)
    agrees(lambda a: np.linalg.cholesky(a @ np.swapaxes(a, 0, 1)), A)
    agrees(lambda a: np.linalg.cholesky(a @ np.conj(a.T)), COMPLEX, exact=False)


@pytest.mark.parametrize("n", [-2, -1, 0, 1, 2, 3, 5])
def test_matrix_power(n: int) -> None:
    agrees(lambda a: np.linalg.matrix_power(a, n), A, exact=True)


ORDERS = (None, 1, 2, 3, 2.5, np.inf, -np.inf, -1, 0.5)


@pytest.mark.parametrize("order", ORDERS)
def test_vector_norms(order: Any) -> None:
    agrees(lambda x: np.linalg.norm(x, order), some(5))
    agrees(lambda x: np.linalg.norm(x, ord=order, axis=0), some(3, 4))
    agrees(lambda x: np.linalg.norm(x, ord=order, axis=-1, keepdims=True), some(3, 4))
    agrees(lambda x: np.linalg.norm(x, order), complex_some(5))
    agrees(lambda x: np.linalg.norm(x, order), some(5).astype(np.float32), tolerance=5e-2, h=1e-2)


@pytest.mark.parametrize("order", [None, "fro", 1, -1, np.inf, -np.inf, 2, -2, "nuc"])
def test_matrix_norms(order: Any) -> None:
    agrees(lambda x: np.linalg.norm(x, order), some(3, 4))
    agrees(lambda x: np.linalg.norm(x, order, keepdims=True), some(3, 4))
    agrees(lambda x: np.linalg.norm(x, ord=order, axis=(2, 0)), some(3, 4, 2) ** 3)
    agrees(lambda x: np.linalg.norm(x, ord=order, axis=(0, 1), keepdims=True), complex_some(3, 4, 2))


def test_the_norm_of_everything() -> None:
    agrees(np.linalg.norm, some(2, 3, 4))
    agrees(np.linalg.norm, complex_some(2, 3, 4))
    agrees(np.linalg.norm, np.asfortranarray(some(3, 4)))


def test_the_number_of_elements_that_are_not_zero() -> None:
    value, gradient = unspool.value_and_grad(lambda x: np.linalg.norm(x, 0) + 0 * np.sum(x))(np.array([1.0, 0.0]))
    assert value == 1.0
    np.testing.assert_array_equal(gradient, [0, 0])


@pytest.mark.parametrize("order", ORDERS[:-2])
def test_norms_of_zero_have_the_derivative_zero(order: Any) -> None:
    with np.errstate(all="raise"):
        gradient = unspool.grad(lambda x: np.linalg.norm(x, order, axis=-1))(np.zeros(3))
        assert np.all(np.isfinite(gradient))
        if order not in (np.inf, -np.inf):
            assert np.all(gradient == 0)
        _, tangent = unspool.jvp(lambda x: np.linalg.norm(x, order, axis=-1), (np.zeros(3),), (np.ones(3),))
        assert np.isfinite(tangent)


def test_norms_that_do_not_exist() -> None:
    for order in (3, "other"):
        with pytest.raises(ValueError, match="Invalid norm order"):
            unspool.grad(lambda x, o=order: np.linalg.norm(x, o))(A)


@pytest.mark.parametrize("name", ["solve", "inv", "det", "cholesky"])
def test_types_without_computing(name: str) -> None:
    primitive: Primitive = PRIMITIVES[name]
    assert primitive.type_rule is not None
    for args, params in primitive.samples():  # type: ignore[misc]
        for dtype in (np.float32, np.float64):
            values = [a.astype(dtype) if a.dtype.kind == "f" else a for a in args]
            types = [ArrayType.of(v) for v in values]
            assert primitive.type_rule(*types, **params) == ArrayType.of(primitive.evaluate(*values, **params))


@pytest.mark.parametrize("name", ["inv", "det", "cholesky", "solve"])
@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32])
def test_of_whole_numbers_they_are_real_numbers(name: str, dtype: type) -> None:
    primitive, a = PRIMITIVES[name], np.eye(3).astype(dtype)
    args = (a, a) if name == "solve" else (a,)
    assert primitive.type_rule is not None
    assert primitive.type_rule(*map(ArrayType.of, args)) == ArrayType.of(primitive.evaluate(*args))

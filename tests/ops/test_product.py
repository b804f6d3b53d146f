"""Products of vectors, matrices and tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.ops.agreement import agrees, complex_some, some


def _pair(left: Any, right: Any, kind: str = "real") -> tuple[Any, Any]:
    make = complex_some if kind == "complex" else some
    return make(*left), make(*right, turn=0.3)


PAIRS = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3, 4)),
    ((1, 3), (3, 1)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 2)),
]


@pytest.mark.parametrize("f", [np.matmul, np.dot, lambda a, b: a @ b, lambda a, b: a.dot(b)])
@pytest.mark.parametrize("shapes", PAIRS)
def test_matrix_products(f: Any, shapes: Any) -> None:
    agrees(f, *_pair(*shapes))
    agrees(f, *_pair(*shapes, "complex"))
    a, b = _pair(*shapes)
    agrees(lambda a: f(a, b), a)
    agrees(f, a.astype(np.float32), b.astype(np.float32), tolerance=5e-2, h=1e-2)
    agrees(f, a, complex_some(*b.shape))


def test_a_plain_matrix_times_a_traced_vector() -> None:
    a = some(3, 4)
    agrees(lambda x: a @ x, some(4))
    agrees(lambda x: np.dot(a, x), some(4))


@pytest.mark.parametrize(
    "shapes",
    [
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 2)),
        ((5, 2, 3), (3, 4)),
        ((5, 1, 2, 3), (4, 3, 2)),
        ((2, 3), (4, 3, 2)),
        ((2, 1, 3), (3,)),
    ],
)
def test_stacks(shapes: Any) -> None:
    agrees(np.matmul, *_pair(*shapes))
    agrees(np.dot, *_pair(*shapes))


def test_products_of_numbers() -> None:
    for f in (np.dot, np.inner, np.vdot, np.outer, np.multiply.outer):
        agrees(f, 2.0, 3.0)
    agrees(np.dot, some(3), 2.0)
    agrees(np.inner, 2.0, some(2, 3))


def test_inner() -> None:
    for shapes in (((3,), (3,)), ((2, 3), (4, 3)), ((2, 3), (3,)), ((2, 4, 3), (5, 3)), ((3,), (2, 4, 3))):
        agrees(np.inner, *_pair(*shapes))
        agrees(np.inner, *_pair(*shapes, "complex"))


def test_vdot_and_outer() -> None:
    for kind in ("real", "complex"):
        agrees(np.vdot, *_pair((2, 3), (3, 2), kind))
        agrees(np.outer, *_pair((2, 2), (3,), kind))
        agrees(np.multiply.outer, *_pair((2, 2), (3,), kind))
        agrees(np.kron, *_pair((2, 2), (3,), kind))
        agrees(np.kron, *_pair((2, 2), (3, 1), kind))
    agrees(lambda x: np.outer(x, [1.0, 2.0]), some(3))


@pytest.mark.parametrize("axes", [0, 1, 2, ([1], [0]), (1, 0), ((0, 1), (1, 0)), ((-1,), (0,))])
def test_tensordot(axes: Any) -> None:
    b = (
        some(3, 2, 5, turn=0.3)
        if axes == ((0, 1), (1, 0))
        else some(2, 3, 5, turn=0.3)
        if axes == 2
        else some(3, 4, turn=0.3)
    )
    agrees(lambda a, b: np.tensordot(a, b, axes), some(2, 3), b)


def test_cross() -> None:
    agrees(np.cross, some(3), some(3, turn=0.3))
    agrees(np.cross, some(4, 3), some(3, turn=0.3))
    agrees(lambda a, b: np.cross(a, b, axis=0), some(3, 2), some(3, 2, turn=0.3))
    agrees(lambda a, b: np.cross(a, b, axisa=0, axisc=0), some(3, 2), some(2, 3, turn=0.3))


def test_shapes_that_do_not_fit_raise_as_numpy_does() -> None:
    for f in (np.matmul, np.dot, np.inner, lambda a, b: np.tensordot(a, b, 1)):
        with pytest.raises(ValueError, match=r"shape|mismatch|align"):
            unspool.grad(lambda a, f=f: np.sum(f(a, np.ones((4, 5)))))(some(2, 3))

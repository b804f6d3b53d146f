"""Arrays and functions at addresses, as machine code."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from unspool.codegen.calls import blas, callback
from unspool.codegen.object_code import ObjectCode, load

HEAD = "from unspool.codegen.fields import call, field, fma, gemm, gemv, kernel, kernel_at\n"
TEXT = (
    HEAD
    + """
def multiply(a):
    gemm(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], 0.0)
    gemm(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[9], 1.0)
    return 0

def apply(a):
    gemv(a[0], a[1], a[2], a[3], a[4], a[5], a[6])
    return 0

def move(a):
    x, y = field(a[0], "f64[3, 4]", 0), field(a[1], "f64[:, 2, 3]", 1)
    n, z = field(a[2], "i64[2]", 2), field(a[3], "f64[]", 64)
    for i in range(3):
        for j in range(4):
            y[j // 2, j % 2, i] = x[i, j]
    n[0] = n[1] + 1
    z[0] = fma(x[0, 1], x[1, 0], -z[0])
    return n[0]

def back(a):
    if call(a[0], 3, a) != 0:
        return 1
    return 2 + call(a[0], a[1], a)

def nested(a):
    return kernel(a[2], a[3]) * 10 + kernel_at(a[2], a)
"""
)


@pytest.fixture(scope="module")
def code() -> ObjectCode:
    return load(TEXT, ["multiply", "apply", "move", "back", "nested"])


def _numbers(*shape: int) -> np.ndarray:
    return np.sin(1.0 + np.arange(float(np.prod(shape)))).reshape(shape)


@pytest.mark.parametrize(
    ("m", "n", "k"), [(1, 1, 1), (2, 3, 4), (5, 1, 3), (1, 6, 2), (7, 7, 7), (3, 2, 1), (40, 33, 21)]
)
def test_products_of_matrices_in_all_four_ways(m: int, n: int, k: int, code: ObjectCode) -> None:
    multiply = code.function("multiply")
    for turned, flipped in product((0, 1), repeat=2):
        a, b = _numbers(*((k, m) if turned else (m, k))), _numbers(*((n, k) if flipped else (k, n)))
        fresh, added = np.full((m, n), np.nan), np.ones((m, n))
        pointers = [x.ctypes.data for x in (a, b, fresh, added)]
        assert multiply(np.array([blas("dgemm"), turned, flipped, m, n, k, *pointers])) == 0
        expected = (a.T if turned else a) @ (b.T if flipped else b)
        np.testing.assert_allclose(fresh, expected, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(added, 1.0 + expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (2, 5), (5, 2), (7, 1), (1, 8), (40, 33)])
def test_products_of_a_matrix_and_a_vector_in_both_ways(m: int, n: int, code: ObjectCode) -> None:
    for turned in (0, 1):
        matrix, vector = _numbers(m, n), np.cos(np.arange(float(m if turned else n)))
        result = np.full(n if turned else m, np.nan)
        pointers = [x.ctypes.data for x in (matrix, vector, result)]
        assert code.function("apply")(np.array([blas("dgemv"), turned, m, n, *pointers])) == 0
        np.testing.assert_allclose(result, (matrix.T if turned else matrix) @ vector, rtol=1e-13, atol=1e-13)


def test_arrays_are_read_and_written_where_they_stand(code: ObjectCode) -> None:
    x, y, n, z = _numbers(3, 4), np.zeros((2, 2, 3)), np.array([0, 41]), np.array(0.5)
    assert code.function("move")(np.array([v.ctypes.data for v in (x, y, n, z)])) == 42
    np.testing.assert_array_equal(y, x.T.reshape(2, 2, 3))
    assert n.tolist() == [42, 41]
    assert abs(float(z) - (x[0, 1] * x[1, 0] - 0.5)) < 1e-15


def test_python_is_called_with_a_number_and_the_addresses(code: ObjectCode) -> None:
    seen: list[Any] = []

    def called(number: int, addresses: Any) -> int:
        seen.append((number, addresses[1]))
        return len(seen) - 1

    kept, address = callback(called)
    assert kept is not None
    assert code.function("back")(np.array([address, 8])) == 3
    assert seen == [(3, 8), (8, 8)]
    assert code.function("back")(np.array([address, 8])) == 1


def test_kernels_call_kernels(code: ObjectCode) -> None:
    """One on a block whose address it is given, one on its own."""
    leaf = load(HEAD + "def leaf(a):\n    return a[0] + 1\n", ["leaf"])
    other = np.array([5, 0])
    block = np.array([1, 0, leaf.addresses["leaf"], other.ctypes.data])
    assert code.function("nested")(block) == 62


def test_places_beyond_those_that_are_told_apart() -> None:
    """Seventy arrays, each the sum of the one before and a number: nothing is moved past what it waits for."""
    lines = [f'    x{k} = field(a[{k}], "f64[4]", {k})' for k in range(70)]
    lines += [f"    for i in range(4):\n        x{k}[i] = x{k - 1}[i] + {float(k)}" for k in range(1, 70)]
    code = load(HEAD + "def chain(a):\n" + "\n".join([*lines, "    return 0"]) + "\n", ["chain"])
    arrays = np.zeros((70, 4))
    assert code.function("chain")(np.array([row.ctypes.data for row in arrays])) == 0
    assert arrays[-1].tolist() == [2415.0] * 4

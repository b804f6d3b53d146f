"""Products of a vector and a matrix in panels: one chain of fma per element, whatever the registers hold."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
import pytest

from tests.codegen.plain import Plain
from tests.codegen.processes import printed
from unspool.codegen.object_code import load
from unspool.codegen.panels import aligned, in_panels, panel_shape

SHAPES = [(1, 1), (3, 5), (9, 8), (7, 12), (20, 100), (2, 128), (5, 130), (3, 257), (4, 600)]
GUARD = 16


def module(rows: int, columns: int) -> str:
    """The text of a kernel ``result = vector @ panels``."""
    n, _, width = panel_shape(rows, columns)
    return f"""from unspool.codegen.combination import combine
from unspool.codegen.fields import field

def kernel(a):
    panels = field(a[0], "f64[{n}, {rows}, {width}]", 0)
    vector, result = field(a[1], "f64[{rows}]", 1), field(a[2], "f64[{columns}]", 2)
    for panel in range({n}):
        combine(panels, vector, result, panel, {columns})
    return 0
"""


def operands(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """A vector and a matrix, with numbers of many sizes."""
    rng = np.random.default_rng(rows * columns)
    vector, matrix = rng.normal(size=rows), rng.normal(size=(rows, columns))
    return vector * 10.0 ** rng.integers(-3, 4, rows), matrix


def product(machine: Any, rows: int, columns: int) -> np.ndarray:
    """What a machine leaves, with the words before and after the result."""
    vector, matrix = operands(rows, columns)
    panels, result = in_panels(matrix), np.full(columns + 2 * GUARD, np.nan)
    block = np.array([panels.ctypes.data, vector.ctypes.data, result[GUARD:].ctypes.data], np.int64)
    assert machine(module(rows, columns), ["kernel"]).function("kernel")(block) == 0
    return result


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_the_bits_are_those_of_one_chain_and_nothing_else_is_written(rows: int, columns: int) -> None:
    found = product(load, rows, columns)
    assert found.tobytes() == product(Plain, rows, columns).tobytes()
    assert np.isnan(found[:GUARD]).all()
    assert np.isnan(found[-GUARD:]).all()
    vector, matrix = operands(rows, columns)
    np.testing.assert_allclose(found[GUARD:-GUARD], vector @ matrix, rtol=1e-12, atol=1e-12 * np.abs(vector).max())


def test_what_is_not_a_number_stays_in_its_column() -> None:
    matrix = np.ones((4, 11))
    matrix[2, 10] = np.inf
    panels, vector, result = in_panels(matrix), np.array([1.0, 2.0, 0.0, 3.0]), np.empty(11)
    block = np.array([x.ctypes.data for x in (panels, vector, result)], np.int64)
    load(module(4, 11), ["kernel"]).function("kernel")(block)
    assert np.array_equal(result, [*[6.0] * 10, np.nan], equal_nan=True)


EVERY_BIT = """
import hashlib
from tests.codegen.test_combination import SHAPES, product
from unspool.codegen import object_code
object_code._from_disk = lambda key, names: None
object_code._keep = lambda *parts: None
for shape in SHAPES:
    print(shape, hashlib.sha256(product(object_code.load, *shape).tobytes()).hexdigest())
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the other processors are older x86")
@pytest.mark.parametrize(("name", "features"), [("nehalem", ""), ("haswell", "+avx,+avx2,+fma")])
def test_other_machines_leave_the_same_bits(name: str, features: str) -> None:
    lines = printed(EVERY_BIT)
    assert len(lines.splitlines()) == len(SHAPES)
    assert printed(EVERY_BIT, NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES=features) == lines


# --- panels -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_panels_have_all_columns_in_order_and_zeros_behind_them(rows: int, columns: int) -> None:
    matrix = operands(rows, columns)[1]
    panels = in_panels(matrix)
    n, _, width = panels.shape
    assert panels.shape == panel_shape(rows, columns)
    assert (n - 1) * width < columns <= n * width
    assert width % 8 == 0
    assert width <= 128
    assert panels.ctypes.data % 64 == 0
    assert np.array_equal(np.concatenate([*panels], axis=1)[:, :columns], matrix)
    assert not np.concatenate([*panels], axis=1)[:, columns:].any()
    assert np.array_equal(in_panels(np.asfortranarray(matrix)), panels)


def test_fresh_words_begin_at_a_cache_line() -> None:
    for n in range(1, 5):
        words = aligned(n)
        assert words.shape == (n,)
        assert words.ctypes.data % 64 == 0
        assert not words.any()

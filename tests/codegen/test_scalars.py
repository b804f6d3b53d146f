"""Scalar code means what NumPy means: over random and special values, for numbers, truths and whole numbers."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.codegen.elementary import elementary
from tests.codegen.plain import fma
from unspool.codegen.scalars import KEEPING, MOVING, TEMPLATES, imported, run
from unspool.codegen.statements import MOST_STATEMENTS, NOTHING, Code, Scalar, text
from unspool.errors import UnsupportedError
from unspool.ir.evaluate import evaluate
from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive
from unspool.ir.simplify import simplify
from unspool.layout import ArrayType
from unspool.ops.table import PRIMITIVES
from unspool.tracer import trace

F = ArrayType(np.dtype(float), ())
I = ArrayType(np.dtype(np.int64), ())  # noqa: E741
SPECIAL = [
    *(0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -5e-324, 1e-310, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0),
    *(0.1, 2.5, -2.5, 7.25, -7.25, 1e22, 1e308, -1e308, 700.0, -745.5, 2.0**53 + 2, np.pi, -np.pi / 2),
]
ULPS = 4


# --- templates --------------------------------------------------------------------------------------------------------
def _coded(n: int) -> list[tuple[Primitive, str]]:
    found = []
    for primitive in PRIMITIVES.values():
        template = TEMPLATES.get(primitive.name) or primitive.emit
        if template is not None and f"{{{n - 1}}}" in template and f"{{{n}}}" not in template:
            found.append((primitive, template))
    return found


TRUTHS = {
    "invert",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "logical_and",
    "logical_or",
    "logical_not",
    "logical_xor",
}
EITHER_ZERO = {"maximum", "minimum", "fmax", "fmin"}  # NumPy itself takes the one or the other


def _compiled(coded: list[tuple[Primitive, str]], n: int) -> Any:
    """All templates for n operands as one function: columns to a matrix of results."""
    names = "abc"[:n]
    lines = ["def f(xs, out):", "    for i in range(len(xs)):"]
    lines += [f"        {v} = xs[i, {j}]" for j, v in enumerate(names)]
    lines += [f"        out[i, {j}] = {template.format(*names)}" for j, (_, template) in enumerate(coded)]
    space: dict[str, Any] = {}
    head = [
        "import math",
        "import numpy as np",
        "from numba import njit",
        *imported(lines),
        "@njit(error_model='numpy')",
    ]
    exec("\n".join([*head, *lines]), space)
    return space["f"]


@pytest.mark.parametrize("n", [1, 2])
def test_every_template_equals_numpy_over_special_and_random_values(n: int) -> None:
    coded = [(p, t) for p, t in _coded(n) if p.name not in TRUTHS]
    assert len(coded) > 15
    rng = np.random.default_rng(5)
    random = rng.normal(size=(4000, n)) * 10.0 ** rng.integers(-8, 9, size=(4000, n))
    rows = np.array([*product(SPECIAL, repeat=n), *random.tolist(), *rng.normal(size=(4000, n)).tolist()])
    found = np.empty((len(rows), len(coded)))
    _compiled(coded, n)(rows, found)
    for j, (primitive, _) in enumerate(coded):
        with np.errstate(all="ignore"):
            expected = np.asarray(primitive.evaluate(*rows.T)).astype(float)
            close = np.abs(found[:, j] - expected) <= ULPS * np.spacing(np.abs(expected))
            if primitive.name == "logaddexp":  # near 0 it is as near as that
                close |= np.abs(found[:, j] - expected) <= 2.0**-52
        same = (found[:, j] == expected) | (np.isnan(found[:, j]) & np.isnan(expected)) | close
        signs = np.signbit(found[:, j]) == np.signbit(expected)
        if primitive.name in EITHER_ZERO:
            signs |= expected == 0
        wrong = ~(same & (signs | np.isnan(expected)))
        assert not wrong.any(), (primitive.name, rows[wrong][:5], found[wrong, j][:5], expected[wrong][:5])


def test_templates_on_truths_equal_numpy() -> None:
    for n in (1, 2):
        for primitive, template in _coded(n):
            if primitive.name in TRUTHS:
                for values in product([True, False], repeat=n):
                    found = eval(template.format(*values))
                    assert found is bool(primitive.evaluate(*map(np.bool_, values))), (primitive.name, values)


def test_every_primitive_with_a_name_in_the_tables_is_enrolled() -> None:
    assert set(TEMPLATES) | MOVING | KEEPING <= {*PRIMITIVES, "expit"}  # that of SciPy when it is met


def _select(condition: Any, this: Any, other: Any) -> Any:
    return this if condition else other


# --- programs ---------------------------------------------------------------------------------------------------------
def _runs(f: Any, types: list[ArrayType], rows: list[Any], *, exact: bool = True, contracted: bool = False) -> int:
    """Carry scalar code out in Python, on elements of NumPy, and compare with the program; return the statements."""
    program = simplify(trace(f, *types))
    code = Code()
    names = [[f"x{i}_{j}" for j in range(t.size)] for i, t in enumerate(types)]
    arrays = []
    for t, group in zip(types, names, strict=True):
        flat = np.empty(len(group), object)
        flat[:] = [Scalar(code, name) for name in group]
        arrays.append(flat.reshape(t.shape))
    results = run(program, code, arrays)
    wanted = [x for array in results for x in array.ravel().tolist()]
    if contracted:
        code.contract(wanted)
    statements = code.live(wanted)
    for row in rows:
        space: dict[str, Any] = {"np": np, "math": _Math(), "fma": fma, "select": _select, **elementary()}
        for group, value in zip(names, row, strict=True):
            space.update(zip(group, np.ravel(np.asarray(value, float)), strict=True))
        with np.errstate(all="ignore"):
            for statement in statements:
                value = eval(statement.expression, space)
                space[statement.name] = np.float64(value) if isinstance(value, float) else value
            expected = evaluate(program, *[np.asarray(v, t.dtype)[()] for v, t in zip(row, types, strict=True)])
        for array, value in zip(results, expected, strict=True):
            found = np.array([float(eval(text(x), space)) for x in array.ravel()]).reshape(array.shape)
            value = np.asarray(value, float)
            assert found.shape == value.shape
            assert np.array_equal(found, value, equal_nan=True) or not exact, (row, found, value)
            signs = np.signbit(found) == np.signbit(value)
            assert (signs | np.isnan(value)).all(), (row, found, value)
            if not exact:
                np.testing.assert_allclose(found, value, rtol=1e-13)
    return len(statements)


class _Math:
    """The functions of math without Python's exceptions."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2"}.get(name, name))


ODD = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.5]
IDENTITIES = [
    lambda x: x + 0.0,
    lambda x: x + 0,
    lambda x: 0 + x,
    lambda x: x + (-0.0),
    lambda x: x - 0.0,
    lambda x: x - (-0.0),
    lambda x: 0.0 - x,
    lambda x: -0.0 - x,
    lambda x: 0 - x,
    lambda x: x * 0,
    lambda x: x * 0.0,
    lambda x: 0.0 / x,
    lambda x: 0 / x,
    lambda x: x / 0.0,
    lambda x: x * 1,
    lambda x: x * 1.0,
    lambda x: x * -1.0,
    lambda x: x / 1,
    lambda x: x**0,
    lambda x: x**1,
    lambda x: x**2,
    lambda x: x**0.5,
    lambda x: x**-1,
    lambda x: x**np.inf,
    np.sign,
    lambda x: np.abs(-x),
    lambda x: x * np.array([0, 1, 2]),
    lambda x: x * np.array([0.0, -0.0, 1.0]),
    lambda x: np.where(x > 0, x, 0) * np.inf,
    lambda x: np.where([True, False], x, 1 / x),
    lambda x: np.concatenate([np.reshape(x, 1), [-1.0, 0.0]]) ** 0.5,
    lambda x: np.concatenate([np.reshape(x, 1), [-1.0, 0.0]]) ** np.array([0.5, 0.5, -1.0]),
    lambda x: np.log(np.concatenate([np.reshape(x, 1), [-1.0, 0.0]])),
    lambda x: 1 / np.concatenate([np.reshape(x, 1), [-0.0, 0.0, np.nan]]),
    lambda x: np.sum(np.concatenate([np.reshape(x, 1), [-0.0, 0.0, 2.0]]) * np.array([0.0, 1.0, -1.0, 0.0])),
    lambda x: x * np.sum(np.zeros(0) * x),
    lambda x: np.maximum(x, np.nan) + np.fmax(x, np.nan),
]


@pytest.mark.parametrize("f", IDENTITIES, ids=range(len(IDENTITIES)))
def test_what_is_folded_keeps_signs_of_zeros_infinities_and_nan(f: Any) -> None:
    _runs(f, [F], [[x] for x in ODD])


TRUTHFUL = [
    lambda x, y: (x > 0) + (y > 0),
    lambda x, y: ((x > 0) + (y > 0)) * 1.0,
    lambda x, y: (x > 0) * (y > 0) * 3.0,
    lambda x, y: (x > 0) * 1.0 - (y > 0) * 1,
    lambda x, y: (x > 0) * x,
    lambda x, y: (x > 0) ** 2 * 1.0,
    lambda x, y: np.logical_and(x, y) * 2.0,
    lambda x, y: np.logical_or(x, y) + 0.5,
    lambda x, y: np.logical_xor(x, y) + 0.5,
    lambda x, y: np.logical_not(x) + 0.5,
    lambda x, y: (x > 0) & (y > 0) | ~(x < y) ^ (x == y),
    lambda x, y: np.where(x, y, 2.0),
    lambda x, y: np.where(x > y, x > 0, y > 0) * 1.5,
    lambda x, y: np.maximum(x > 0, y > 0) + np.minimum(x > 0, y > 0) * 1.0,
    lambda x, y: np.sum(np.stack([x, y, x]) > 0),
    lambda x, y: np.mean(np.stack([x, y, x]) > 0),
    lambda x, y: np.sum(np.reshape(x, 1) > 0) + np.sum(np.reshape(y, 1) > 0),
    lambda x, y: ((x > 0) == (y > 0)) * 1.0 + ((x > 0) < (y > 0)),
    lambda x, y: (x > 0).astype(float) - (y > 0).astype(int),
    lambda x, y: x.astype(bool) * 1.0,
    lambda x, y: np.isnan(x) + np.isfinite(y) * 2.0 + np.isinf(x),
    lambda x, y: np.sqrt(1.0 * (x > 0)) + np.arctan2(y > 0, 2.0),
    lambda x, y: (x > 0) / (y + 2.0),
    lambda x, y: x * True + np.array([True, False]) * y,
    lambda x, y: np.zeros_like(x > 0) + y,
]


@pytest.mark.parametrize("f", TRUTHFUL, ids=range(len(TRUTHFUL)))
def test_truths_compute_as_in_numpy(f: Any) -> None:
    _runs(f, [F, F], [[a, b] for a in ODD for b in (0.0, 2.0, -1.0, np.nan)], exact=False)


def _truths_into(x: Any) -> Any:
    w = np.zeros_like(x)
    w[:2] = x[:2] > 0
    w[2] = 3
    return w - w * w


WHOLE = [
    lambda k, x: k // 2 + (k - 5) // 3 + (k - 2) // -3 + x,
    lambda k, x: k % 2 * x + (k - 5) % 3 + (k - 2) % -3,
    lambda k, x: 1 / (k % 2 - 1.0),
    lambda k, x: 1.0 / (k * -1.0),
    lambda k, x: np.arctan2(0 * k, -k - 1.0) + x,
    lambda k, x: 1 / (-k + 0.0),
    lambda k, x: 1 / (k * -1 + 0.0) + 1 / ((k - k) // -3 + 0.0) + 1 / (4 % -2 * k + 0.0),
    lambda k, x: x**k,
    lambda k, x: (k + 1) ** -1.0 * x + 0.5**k + k**2 * 1.0,
    lambda k, x: np.where(k % 3 == 0, x, -x) + np.where(k > 2, 1, 0),
    lambda k, x: np.sin(k) + np.sqrt(k) + np.floor(k / 2) + np.abs(k - 3) + np.sign(k - 3),
    lambda k, x: np.maximum(k, 3) + np.minimum(k - 2, x),
    lambda k, x: k / 3 + x / (k + 1),
    lambda k, x: np.sum(k * np.array([1, 2, 3])) + np.array([1, 2, 3])[::-1] * k,
    lambda k, x: np.isnan(k * x) + (k == 2) * 1.0 + (k != 2) * 2.0,
    lambda k, x: k.astype(float) * x,
]


@pytest.mark.parametrize("f", WHOLE, ids=range(len(WHOLE)))
def test_whole_numbers_compute_as_in_numpy(f: Any) -> None:
    _runs(f, [I, F], [[k, x] for k in (0, 1, 2, 3, 5, 8, 1000) for x in (0.5, -1.5, np.nan)], exact=False)


@pytest.mark.parametrize(
    "f",
    [
        lambda k, x: k & 1,
        lambda k, x: k | 2,
        lambda k, x: np.reciprocal(k + 1) * x,
        lambda k, x: (k * 1103515245 * 12345) % 2**31 * x,
        lambda k, x: k**20 % 97 * x,
        lambda k, x: k * k * k * x,
        lambda k, x: (k * 10**10) // 7 * x,
        lambda k, x: (k * 10**10 == 10**16) * x,
        lambda k, x: (x * 10).astype(int) * 0.1,
        lambda k, x: np.array([True, False]) @ np.stack([x > 0, x < 1]) * x,
        lambda k, x: np.zeros_like(x, dtype=np.float32) + x,
        lambda k, x: x * 1j,
        lambda k, x: x.astype(np.float32),
        lambda k, x: x * np.longdouble(1),
        lambda k, x: np.linalg.norm(np.linalg.inv(np.eye(2) * x)),
    ],
)
def test_what_would_come_out_differently_is_refused_with_its_line(f: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"test_scalars\.py:\d+"):
        _runs(f, [I, F], [])


def test_a_number_is_not_cut_off_where_it_is_stored_into_whole_numbers() -> None:
    def f(k: Any, x: Any) -> Any:
        w = np.zeros_like(k, shape=2)
        w[0] = x
        return w * 1.0

    with pytest.raises(UnsupportedError, match="store in test_scalars"):
        _runs(f, [I, F], [])
    _runs(_truths_into, [ArrayType(np.dtype(float), (3,))], [[[1.0, -1.0, 5.0]], [[np.nan, 0.0, 5.0]]])


@pytest.mark.parametrize("name", ["sin", "copy", "power", "positive", "sum", "zeros_like"])
def test_a_function_of_the_user_is_not_taken_for_one_of_ours_by_its_name(name: str) -> None:
    primitive = Primitive(name, lambda x: x**3, type_rule=lambda x: x)
    program = trace(lambda x: bind(primitive, x), F)
    with pytest.raises(UnsupportedError, match=f"{name} in test_scalars.* has no scalar code"):
        run(program, Code(), [np.array(0.0, object)])


def test_moving_elements_about_leaves_no_code() -> None:
    matrix = ArrayType(np.dtype(float), (2, 3))

    def f(a: Any) -> Any:
        b = np.roll(np.transpose(np.reshape(a, (3, 2))), 1, axis=1)
        b[0] = a[1, ::-1]
        return np.stack([b[::-1], np.concatenate([a[:1], a[1:]])])

    assert _runs(f, [matrix], [[np.arange(6.0).reshape(2, 3)]]) == 0
    assert _runs(lambda a: a.T @ a, [matrix], [[np.arange(6.0).reshape(2, 3)]]) == 3 * 3 * 3


def test_nothing_is_neither_zero_nor_number() -> None:
    code = Code()
    x = Scalar(code, "x")
    for value in (x, 2.0, -0.0, np.inf, np.nan):
        assert (NOTHING + value) is value
        assert (value + NOTHING) is value
        assert (NOTHING * value) is NOTHING
        assert (value * NOTHING) is NOTHING
    assert not code.statements
    assert text(NOTHING) == "0.0"
    assert code.apply("math.cos({0})", (NOTHING,)).name == "t0"


def test_equal_expressions_share_a_name_and_dead_ones_are_left_out() -> None:
    assert _runs(lambda x: np.sin(x) * np.sin(x) + np.sin(x), [F], [[0.3]]) == 3
    assert _runs(lambda x: (np.exp(x), x * 2)[1], [F], [[0.3]]) == 1
    assert _runs(lambda x: x * 2 + x * -2 + x * 0.0 + x * -0.0, [F], [[0.3]]) == 7


def test_a_product_and_the_sum_that_alone_needs_it_are_one_operation() -> None:
    """Two products that are summed: the one that is ready last goes; one that is needed twice stays."""
    cases: list[tuple[int, Any]] = [
        (2, lambda a, b, c: a * b + c * c),
        (2, lambda a, b, c: (a * b) * c - 2.5),
        (4, lambda a, b, c: (a * b + c) * (a * b - c) - a),
        (1, lambda a, b, c: c - a * -0.5),
    ]
    rows = [[0.3, -0.7, 1.9], [1e200, 1e200, -np.inf], [0.0, -0.0, 0.0], [np.nan, 1.0, 2.0]]
    for n, f in cases:
        assert _runs(f, [F] * 3, rows, exact=False, contracted=True) == n
        assert _runs(f, [F] * 3, rows) == n + 1
    code = Code()
    a, b = Scalar(code, "a"), Scalar(code, "b")
    rounded_once = a * b + -1.0
    code.contract([rounded_once])
    assert [*map(str, code.live([rounded_once]))] == ["t1 = fma(a, b, (-1.0))"]
    assert fma(1 + 2**-30, 1 - 2**-30, -1.0) == -(2.0**-60)


def test_a_product_that_is_a_result_too_is_not_contracted() -> None:
    code = Code()
    a, b = Scalar(code, "a"), Scalar(code, "b")
    both = [a * b, a * b + a]
    code.contract(both)
    assert [*map(str, code.live(both))] == ["t0 = (a * b)", "t1 = (t0 + a)"]


@pytest.mark.parametrize(
    "value",
    [0.0, -0.0, 0.1, -0.1, 1e-320, 1e300, np.inf, -np.inf, np.nan, 3, -3, True, np.float64(0.1), np.bool_(False)],
)
def test_the_text_of_a_number_is_the_number(value: Any) -> None:
    found = eval(text(value))
    assert np.array_equal(found, value, equal_nan=True)
    assert np.signbit(float(found)) == np.signbit(float(value)) or np.isnan(value)
    assert isinstance(found, bool) == isinstance(value, bool | np.bool_)


def test_a_step_of_many_statements_is_refused_before_it_is_written() -> None:
    large = ArrayType(np.dtype(float), (300, 300))
    with pytest.raises(UnsupportedError, match=f"more than {MOST_STATEMENTS} statements"):
        run(trace(np.sin, large), Code(), [_names(300, 300)])


def _names(*shape: int) -> np.ndarray:
    code = Code()
    flat = np.empty(int(np.prod(shape)), object)
    flat[:] = [Scalar(code, f"s{k}") for k in range(flat.size)]
    return flat.reshape(shape)

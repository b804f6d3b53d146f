"""Tracing writes down what a function does, with the lines it comes from, and refuses what only values can decide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles import same_bits
from unspool.errors import DetachedError, InputError, UnsupportedError
from unspool.ir.evaluate import evaluate
from unspool.ir.simplify import simplify
from unspool.ir.verify import verify
from unspool.layout import ArrayType
from unspool.tracer import trace

F3 = ArrayType(np.dtype(float), (3,))
F = ArrayType(np.dtype(float), ())
X = np.array([0.3, -0.2, 0.5])

FUNCTIONS = [
    lambda x: np.sin(x) * x + 1.0,
    lambda x: x[1:] - x[:-1],
    lambda x: np.sum(x**2) / 2,
    lambda x: x.reshape(3, 1) @ x.reshape(1, 3),
    lambda x: np.where(x > 0, x, -x),
    lambda x: np.concatenate([x, x[::-1]]),
    lambda x: (x + np.arange(3.0)).cumsum(),
    lambda x: np.linalg.norm(x) * np.ones(3),
    lambda x: np.maximum(x, 0.1).astype(np.float32),
    lambda x: {"a": x.T, "b": [x[0], None, x.mean()]},
    lambda x: np.zeros_like(x) + x[np.array([0, 0, 2])],
]


@pytest.mark.parametrize("f", FUNCTIONS)
def test_a_traced_program_computes_what_the_function_computes(f: Any) -> None:
    program = verify(trace(f, F3))
    expected = f(X)
    expected = [expected["a"], expected["b"][0], expected["b"][2]] if isinstance(expected, dict) else [expected]
    assert same_bits(list(map(np.asarray, evaluate(program, X))), list(map(np.asarray, expected)))
    small = verify(simplify(program))
    assert same_bits(list(map(np.asarray, evaluate(small, X))), list(map(np.asarray, expected)))
    assert len(small.equations) <= len(program.equations)


def _writes(x: Any) -> Any:
    u = x * 1.0
    u[1:] = x[:-1] * 2
    v = u[::2]
    v += 1.0
    u *= v[0]
    np.multiply(u, 2.0, out=u)
    m = u.reshape(3, 1)
    m[0] = 5.0
    return u


def test_writes_and_views_become_pure_equations() -> None:
    program = verify(trace(_writes, F3))
    assert same_bits(evaluate(program, X)[0], _writes(X))
    assert "store" in {equation.primitive.name for equation in program.equations}
    frozen = X.copy()
    frozen.setflags(write=False)
    evaluate(program, frozen)


LINES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=10)


@given(lines=LINES)
def test_random_programs_keep_the_laws_and_the_bits_through_every_pass(lines: Any) -> None:
    def f(x: Any, y: Any) -> Any:
        known = [x, y, x * 2.0]
        for what, a, b in lines:
            left, right = known[a % len(known)], known[b % len(known)]
            known.append(
                [
                    lambda: np.sin(left),
                    lambda: left + right,
                    lambda: left * right,
                    lambda: np.maximum(left, right),
                    lambda: left[::-1] if left.ndim else left,
                    lambda: np.tanh(left) * 0.5,
                ][what]()
            )
        return known[-1], known[len(known) // 2]

    program = verify(trace(f, F3, F))
    expected = [np.asarray(v) for v in f(X, np.float64(0.7))]
    for candidate in (program, verify(simplify(program)), verify(simplify(simplify(program)))):
        found = [np.asarray(v) for v in evaluate(candidate, X, np.float64(0.7))]
        assert same_bits(found, expected)
    assert simplify(simplify(program)) == simplify(program)
    assert hash(simplify(trace(f, F3, F))) == hash(simplify(program))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x if x[0] > 0 else -x,
        lambda x: float(x[0]),
        lambda x: max(x[0], x[1]),
        np.asarray,
        lambda x: x[x > 0],
        lambda x: [v for v in x if v > 0],
    ],
)
def test_what_only_a_value_can_decide_is_refused(f: Any) -> None:
    with pytest.raises((DetachedError, UnsupportedError)):
        trace(f, F3)


@pytest.mark.parametrize("f", [np.nonzero, lambda x: np.argwhere(x > 0)])
def test_a_shape_that_depends_on_values_is_refused(f: Any) -> None:
    with pytest.raises(UnsupportedError, match="depends on the values"):
        trace(f, F3)


def test_a_traced_value_from_another_trace_is_refused() -> None:
    leaked: list[Any] = []
    trace(lambda x: leaked.append(x) or x, F3)

    def f(x: Any) -> Any:
        return x + leaked[0]

    with pytest.raises((InputError, RuntimeError)):
        trace(f, F3)

    def outer(x: Any) -> Any:
        return trace(lambda y: y + x, F3)

    with pytest.raises(InputError, match="pass it in"):
        trace(outer, F3)


def test_an_equation_knows_its_line_and_constants_are_copies() -> None:
    w = np.arange(3.0)

    def f(x: Any) -> Any:
        return x * w

    program = trace(f, F3)
    w[:] = 9.0
    assert evaluate(program, np.ones(3))[0].tolist() == [0.0, 1.0, 2.0]
    (equation,) = program.equations
    assert equation.line is not None
    assert equation.line.startswith("test_tracer.py:")
    assert "multiply" in str(program)
    assert str(program).startswith("program(%0: f64[3]):")

"""The programs of a step and its way back mean what the tape does, and have one name each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.adjoint.steps import LINES, SHAPES, make_step, state_of
from tests.oracles import same_bits
from unspool import vjp
from unspool.adjoint import Adjoint, joined, record
from unspool.errors import DetachedError, StateError
from unspool.ir.evaluate import evaluate
from unspool.ir.verify import verify
from unspool.layout import ArrayType

C = np.array([0.3, -0.8, 0.5])
X = np.array([0.7, -0.4])


def _adjoint(step: Any, state: list[Any], inputs: list[Any] = [], captures: list[Any] = []) -> Adjoint:  # noqa: B006
    """The programs of a step ``(k, state, inputs, captures) -> (state, outputs)``."""

    def flat(k: Any, new: list[Any], rows: list[Any], read: Any) -> Any:
        return step(k, new, rows, [read(j) for j in range(len(captures))])

    types = [[*map(ArrayType.of, group)] for group in (state, inputs)]
    return joined([record(flat, *types, lambda j: ArrayType.of(captures[j]), lambda: len(captures))])


def _compare(step: Any, state: list[Any], inputs: list[Any], captures: list[Any], k: int = 3) -> Adjoint:
    """Both programs by the interpreter against the tape."""
    adjoint = _adjoint(step, state, inputs, captures)
    verify(adjoint.advance)
    verify(adjoint.reverse)
    sizes = len(state), len(state) + len(inputs)

    def flat(*args: Any) -> Any:
        new, outputs = step(np.int64(k), [*args[: sizes[0]]], [*args[sizes[0] : sizes[1]]], [*args[sizes[1] :]])
        return (*new, *outputs)

    args = [*state, *inputs, *captures]
    expected, pull = vjp(flat, *args)
    found = evaluate(adjoint.advance, np.int64(k), *args)
    assert [ArrayType.of(x) for x in found] == [ArrayType.of(x) for x in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-14)
    rng = np.random.default_rng(7)
    cts = [np.asarray(rng.normal(size=np.shape(x)))[()] for x in expected]
    back = evaluate(adjoint.reverse, np.int64(k), *args, *cts)
    for one, other in zip(back, pull(tuple(cts)), strict=True):
        assert ArrayType.of(one) == ArrayType.of(other)
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13 * (1 + np.max(np.abs(other), initial=0)))
    return adjoint


@settings(max_examples=120)
@given(lines=LINES, shapes=SHAPES, rough=st.booleans(), k=st.integers(0, 9))
def test_random_steps_mean_the_same_as_programs_and_on_the_tape(lines: Any, shapes: Any, rough: bool, k: int) -> None:
    step = make_step(lines, rough=rough)

    def flat(k: Any, state: list[Any], inputs: list[Any], captures: list[Any]) -> Any:
        new, y = step(k, state, inputs[0], captures[0])
        return new, [y]

    _compare(flat, state_of(shapes), [X], [C], k)


@pytest.mark.parametrize("name", ["state", "input", "capture"])
def test_what_the_step_does_not_use_gets_zeros_of_its_shape(name: str) -> None:
    used = {"state": ([1.0], [], []), "input": ([], [1.0], []), "capture": ([], [], [1.0])}[name]
    args = [[np.ones((2, 3)), np.float64(2.0)], [np.ones(2)], [np.ones((0, 2)), np.ones(3)]]
    weights = [sum(part) for part in used]

    def step(k: Any, state: Any, inputs: Any, captures: Any) -> Any:
        total = sum(w * np.sum(part[-1]) for w, part in zip(weights, (state, inputs, captures), strict=True))
        return [state[0] * 0.0 + total, state[1] * 1.0], []

    _compare(step, *args)


def test_constants_swaps_and_passages() -> None:
    def step(k: Any, state: Any, inputs: Any, captures: Any) -> Any:
        a, b, _c = state
        return [b, a, np.array([1.0, 2.0])], [a, captures[0], inputs[0], np.float64(3.0), 2.5]

    _compare(step, [X, C[:2], X], [C], [C])


def test_a_capture_that_is_read_by_the_outputs_only_or_not_at_all() -> None:
    _compare(lambda k, s, x, c: ([s[0]], [c[1] * k]), [X], [], [C, X])


def test_mixed_shapes_broadcast_both_ways() -> None:
    def step(k: Any, state: Any, inputs: Any, captures: Any) -> Any:
        a, b = state
        return [a * b, np.sum(a, axis=0, keepdims=True) * b], [np.outer(a, b)]

    _compare(step, [np.arange(6.0).reshape(2, 3), np.ones((1, 3)) * 0.5], [], [])


def test_one_program_with_another_split_is_another_adjoint() -> None:
    """u * c with c as an input row, as a capture, and as a part of the state: the same equations."""
    as_input = _adjoint(lambda k, s, x, c: ([s[0] * x[0]], []), [X], [X])
    as_capture = _adjoint(lambda k, s, x, c: ([s[0] * c[0]], []), [X], [], [X])
    as_output = _adjoint(lambda k, s, x, c: ([s[0] * c[0]], [c[0] * 2.0]), [X], [], [X])
    as_state = _adjoint(lambda k, s, x, c: ([s[0] * s[1], s[1] * 2.0], []), [X, X])
    contents = {a.content for a in (as_input, as_capture, as_output, as_state)}
    assert len(contents) == 4
    assert [len(a.inputs) for a in (as_input, as_capture, as_output, as_state)] == [1, 0, 0, 0]
    assert [len(a.captures) for a in (as_input, as_capture, as_output, as_state)] == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("one", "other"),
    [(0.0, -0.0), (1.0, 1.0 + 2**-52), (np.nan, np.inf), (1, 1.0), (True, 1)],
    ids=str,
)
def test_steps_with_different_constants_have_different_content(one: Any, other: Any) -> None:
    """Also where the constants are hidden in arrays, or in parameters."""

    def content(value: Any) -> bytes:
        return _adjoint(lambda k, s, x, c: ([s[0] + value], []), [X]).content

    def in_array(value: Any) -> bytes:
        return _adjoint(lambda k, s, x, c: ([s[0] + np.full(2, value)], []), [X]).content

    assert content(one) == content(one) != content(other) == content(other)
    assert in_array(one) == in_array(one) != in_array(other)


def test_nan_constants_have_the_content_of_their_bits() -> None:
    nans = np.array([0x7FF8000000000000, 0x7FF8000000000001], np.uint64).view(float)
    contents = [_adjoint(lambda k, s, x, c, n=n: ([s[0] * np.array([n])], []), [X]).content for n in nans]
    assert contents[0] != contents[1]


def test_indices_are_part_of_the_content() -> None:
    contents = {
        _adjoint(lambda k, s, x, c, key=key: ([s[0] + s[0][key]], []), [C]).content
        for key in (0, 1, -1, slice(0, 1), np.array([0, 1, 2]), np.array([2, 1, 0]), (slice(None, None, -1),))
    }
    assert len(contents) == 7


def test_a_view_of_a_capture_cannot_be_written() -> None:
    def step(k: Any, state: Any, inputs: Any, captures: Any) -> Any:
        view = captures[0][1:]
        view *= 2.0
        return [state[0] * captures[0][1]], []

    with pytest.raises(StateError, match="pass the array as part of the initial state"):
        _adjoint(step, [X], [], [C])


def test_the_state_and_the_rows_may_be_written_in_place() -> None:
    def step(k: Any, state: Any, inputs: Any, captures: Any) -> Any:
        (u,), (x,) = state, inputs
        u[0] += captures[0][0] * x[1]
        u[1:] *= u[:-1]
        x -= u
        v = u[::-1]
        v[0] = x[0]
        return [u], [x * 1.0]

    adjoint = _adjoint(step, [X], [X], [C])
    cts = [np.array([1.0, 0.5]), np.array([-2.0, 3.0])]

    def plain(u: Any, x: Any, c: Any) -> Any:
        new, outputs = step(0, [u * 1.0], [x * 1.0], [c])
        return (*new, *outputs)

    expected, pull = vjp(plain, X, X, C)
    assert same_bits([*evaluate(adjoint.advance, np.int64(0), X, X, C)], [*expected])
    for one, other in zip(evaluate(adjoint.reverse, np.int64(0), X, X, C, *cts), pull(tuple(cts)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)


@pytest.mark.parametrize(
    "step",
    [
        lambda k, s, x, c: ([s[0] if s[0][0] > 0 else -s[0]], []),
        lambda k, s, x, c: ([s[0] * (2.0 if k % 2 else 1.0)], []),
        lambda k, s, x, c: ([s[0] * float(s[0][0])], []),
        lambda k, s, x, c: ([s[0] * np.arange(10.0)[k]], []),
        lambda k, s, x, c: ([s[0] + np.array([s[0][0], 1.0])], []),
        lambda k, s, x, c: ([s[0] * np.sum(s[0][:k])], []),
    ],
)
def test_what_only_a_value_can_decide_is_refused(step: Any) -> None:
    with pytest.raises(DetachedError):
        _adjoint(step, [X])


@example(order=[0, 1, 2])
@given(order=st.permutations([0, 1, 2]))
def test_captures_are_numbered_as_they_are_asked_for_in_any_order(order: list[int]) -> None:
    values = [np.float64(2.0), np.array([3.0, 5.0]), np.array([[7.0]])]

    def step(k: Any, state: list[Any], inputs: list[Any], read: Any) -> Any:
        factor = 1.0
        for j in order[:2]:
            factor = factor * np.sum(read(j))
        return [state[0] * factor], []

    adjoint = joined([record(step, [ArrayType.of(X)], [], lambda j: ArrayType.of(values[j]), lambda: 3)])
    assert [str(t) for t in adjoint.captures] == ["f64[]", "f64[2]", "f64[1, 1]"]
    back = evaluate(adjoint.reverse, np.int64(0), X, *values, np.ones(2))
    totals = [np.sum(v) for v in values]
    expected = [np.zeros(v.shape) for v in values]
    for j in order[:2]:
        expected[j] += np.sum(X) * np.prod([totals[i] for i in order[:2] if i != j])
    for one, other in zip(back[1:], expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)

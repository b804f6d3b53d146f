"""The text of loop nests, carried out as plain Python, means what the program means."""

from __future__ import annotations

import re
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unspool.numpy as unp
from tests.codegen.field_steps import CAPTURES, HOW, LINES, SHAPES, arrays, make_step
from tests.codegen.kernels import Carried, check, close, program_of
from tests.codegen.plain import agree
from unspool import grad, scan
from unspool.codegen import nests
from unspool.codegen.nests import _MOST_BOXES
from unspool.ir.evaluate import evaluate

U = np.sin(np.arange(60.0))
W = np.cos(np.arange(400.0)).reshape(20, 20)


# --- programs ---------------------------------------------------------------------------------------------------------
@settings(max_examples=80)
@given(lines=LINES, how=HOW, shapes=SHAPES, spread=st.sampled_from([1.0, 1e3]), long=st.sampled_from([1, 3, 32]))
def test_random_programs_give_what_the_interpreter_gives(
    lines: Any, how: int, shapes: Any, spread: float, long: int
) -> None:
    step = make_step(lines, how)
    state, captures, (x,) = arrays(shapes), arrays(CAPTURES, 0.5), arrays([(4,)], 0.9)
    n, m = len(state), len(state) + len(captures)

    def f(*args: Any) -> Any:
        new, outputs = step(np.float64(2.0), [*args[:n]], args[-1], [*args[n:m]])
        return (*new, *outputs)

    with patch.object(nests, "_LONG", long):
        check(f, *[np.asarray(u) * spread for u in state], *map(np.asarray, captures), x, rtol=1e-10)


SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, 1.0, -1.5, 1e308, -1e308]
MOVES: dict[str, Any] = {
    "stencil": lambda u: np.concatenate([u[:1], u[2:] - 2 * u[1:-1] + u[:-2], u[-1:]]),
    "periodic": lambda u: np.roll(u, 1) + np.roll(u, -2) * 0.5,
    "padded": lambda u: -np.pad(u[5:-9], (5, 9)) * u[::-1],
    "blocks": grad(lambda v: np.sum(v[2:] * v[:-2]) + np.sum(v[20:40] ** 2)),
    "written": lambda u: _with(u, slice(3, 50, 1), lambda v: v * u[3:50]),
    "backwards": lambda u: _with(u, slice(50, 3, -1), lambda v: v - u[3:50]),
    "one": lambda u: _with(u, 7, lambda v: v / u[8]),
    "extrema": lambda u: np.maximum(u, np.roll(u, 1)) + np.minimum(u[::-1], 0.5),
    "masks": lambda u: np.where(np.isnan(u) | (np.roll(u, 3) > 0), u, 1.0 / u),
    "signs": lambda u: np.sign(u) * np.abs(np.roll(u, 1)) + np.sqrt(u),
}


def _with(u: Any, key: Any, f: Any) -> Any:
    v = u * 1.0
    v[key] = f(v[key])
    return v


@pytest.mark.parametrize("name", MOVES)
def test_infinities_nan_and_signs_of_zeros_stay_where_they_are(name: str) -> None:
    u = U.copy()
    rng = np.random.default_rng(0)
    for special in (SPECIAL[:5], SPECIAL[5:], SPECIAL):
        u[rng.permutation(60)[: len(special)]] = special
        for long in (1, 32):
            with patch.object(nests, "_LONG", long):
                carried = Carried(program_of(MOVES[name], u))
            with np.errstate(all="ignore"):
                (expected,) = evaluate(carried.program, u)
            (found,) = carried.run(u)
            np.testing.assert_array_equal(found, expected)
            assert np.array_equal(np.signbit(found) | np.isnan(found), np.signbit(expected) | np.isnan(expected))


# --- boxes ------------------------------------------------------------------------------------------------------------
def _loops(carried: Carried) -> list[str]:
    return [line.strip() for line in carried.lines if line.strip().startswith("for ")]


def test_the_interior_has_no_conditions_and_the_border_is_one_text() -> None:
    def laplacian(u: Any) -> Any:
        v = u * 1.0
        v[1:-1, 1:-1] += 0.1 * (u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1])
        return v

    carried = check(laplacian, W)
    loops = _loops(carried)
    assert loops[:2] == ["for i0 in range(1, 19):", "for i1 in range(1, 19):"]
    assert len([line for line in loops if line.startswith("for a0")]) == 1
    interior = "\n".join(carried.lines).partition("for a0")[0]
    assert " if " not in interior
    assert re.search(r"u0\[i0 \+ 1, i1\]", interior)


def test_long_parts_of_the_border_have_a_text_each_beside_the_interior() -> None:
    def laplacian(u: Any) -> Any:
        v = np.cos(u)
        v[1:-1, 1:-1] += 0.1 * (u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1])
        return v

    carried = check(laplacian, np.sin(np.arange(40.0 * 40.0)).reshape(40, 40))
    assert _loops(carried) == [
        "for i0 in range(1, 39):",
        *["for i1 in range(1, 39):", "for i1 in range(0, 1):", "for i1 in range(39, 40):"],
        "for a0, b0 in ((0, 1), (39, 40),):",
        *["for i0 in range(a0, b0):", "for i1 in range(1, 39):"],
        "for a0, b0, a1, b1 in ((0, 1, 0, 1), (0, 1, 39, 40), (39, 40, 0, 1), (39, 40, 39, 40),):",
        *["for i0 in range(a0, b0):", "for i1 in range(a1, b1):"],
    ]
    with patch.object(nests, "_MOST_STATEMENTS", 10):
        assert sum(line.startswith("for a0") for line in _loops(check(laplacian, W))) == 1


def test_many_pieces_do_not_make_many_boxes() -> None:
    for edges, boxes in ((12, 9), (2, _MOST_BOXES)):
        with patch.object(nests, "_MOST_EDGES", edges):
            carried = check(lambda u: np.concatenate([u[k : k + 6, ::-1] * float(k + 1) for k in range(9)]), W)
        assert sum(re.match(r"for i0 in range\(\d", line) is not None for line in _loops(carried)) == boxes

    def mosaic(u: Any) -> Any:
        return np.concatenate(
            [np.concatenate([u[3 * k : 3 * k + 3, j::7] for j in range(6)], axis=1) for k in range(6)]
        )

    check(mosaic, W)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 5), (5, 0), (1, 1, 1), (1, 30), (30, 1), (2, 3, 4)])
def test_axes_of_no_and_of_one_element(shape: tuple[int, ...]) -> None:
    u = np.cos(np.arange(float(np.prod(shape)))).reshape(shape)

    def f(u: Any) -> Any:
        v = u * 2.0
        v[...] += 1.0
        doubled = np.concatenate([v, np.sin(v)], axis=0) if shape else v
        return v, doubled, np.sum(v), np.sum(v * v, axis=-1, keepdims=True) if shape else v, np.zeros_like(u), u

    check(f, u)


# --- zeros outside of a block -----------------------------------------------------------------------------------------
def test_what_lies_outside_of_a_block_is_zero_in_boxes_and_in_strips() -> None:
    """-0.0 where it is negated, in every kernel: the one that records has other boxes than the one that advances."""

    def loss(a: Any, b: Any, weights: Any, **options: Any) -> Any:
        def step(s: Any, _: Any) -> Any:
            a, b = s
            block = grad(lambda x: np.sum(x[7:-7] ** 2))(b)
            rolled = np.exp(np.tanh(np.sin(np.roll(a, 3)))) * np.sum(b * b) * 0.01
            return (-block * weights, rolled), a * 1.0

        (a, b), ys = scan(step, (a, b), None, 4, **options)
        signs = np.where(np.isnan(ys), 3.0, np.copysign(1.0, ys))
        return np.sum(signs * ys) + np.sum(signs * np.arange(60.0)) + np.sum(b)

    agree(loss, U, np.cos(U), np.ones(60))
    agree(loss, U, np.cos(U), np.where(np.arange(60) == 2, np.inf, 1.0))


def test_a_block_in_an_array_of_negative_zeros() -> None:
    def loss(u: Any, **options: Any) -> Any:
        def step(u: Any, _: Any) -> Any:
            w = -unp.zeros(60)
            w[1:3] = u[5:7]
            w[4:6] = u[8:10]
            return u * 0.9, np.copysign(1.0, w)

        u, ys = scan(step, u, None, 3, **options)
        return np.sum(u) + np.sum(ys * np.arange(60.0))

    agree(loss, U)


# --- signs, additions, parts -----------------------------------------------------------------------------------------
def test_an_input_with_a_sign_is_read_with_it() -> None:
    def f(u: Any, m: Any) -> Any:
        u_as = np.reshape(u, (4, 5))
        return np.sin(u), m @ u, np.sum(u), np.cumsum(u_as.T[1:]), np.dot(u, u[::-1]), u[3] * u[0], u_as @ u_as.T

    u, m = U[:20].copy(), W
    for sign in (1, -1):
        carried = Carried(program_of(f, u, m), signs={0: sign})
        for one, other in zip(carried.run(u, m), evaluate(carried.program, sign * u, m), strict=True):
            close(one, other)


def test_an_output_is_added_to_what_stands_there() -> None:
    def f(u: Any) -> Any:
        return np.sin(u), np.sum(u), u, np.full(3, 2.0), u[:4] * 2, np.cumsum(u), np.reshape(u, (6, 10))

    carried = Carried(program_of(f, U), adds=range(7))
    for one, other in zip(carried.run(U), evaluate(carried.program, U), strict=True):
        close(one, 1.0 + other)


KEYS = [(3,), (slice(2, 9),), (slice(40, 4, -7),), (slice(None, None, 5),), (Ellipsis, slice(7, 8))]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_a_part_is_added_before_anything_is_read(key: Any) -> None:
    part = np.cos(np.empty(60)[key] * 0.0 + 2.0 + np.arange(np.empty(60)[key].size).reshape(np.empty(60)[key].shape))
    carried = Carried(program_of(lambda u, p: (u * 2, np.sum(u)), U, part), updates=[(0, key, 1)])
    changed = U.copy()
    changed[key] += part
    for one, other in zip(carried.run(U, part), evaluate(carried.program, changed, part), strict=True):
        close(one, other)


# --- text -------------------------------------------------------------------------------------------------------------
def test_the_text_names_the_lines_of_the_user_and_is_the_same_every_time() -> None:
    def f(u: Any) -> Any:
        return np.sin(u), np.sum(u * 2), np.cumsum(u)

    texts = {Carried(program_of(f, U)).text for _ in range(3)}
    assert len(texts) == 1
    comments = [line for line in texts.pop().splitlines() if line.strip().startswith("#")]
    assert all(re.fullmatch(r" *# (f64|b8|i64)\[[\d, ]*\] \w+  # [\w.]+:\d+", line) for line in comments)
    assert any("test_nests.py" in line for line in comments)

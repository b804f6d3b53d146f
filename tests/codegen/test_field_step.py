"""The kernels of a step on fields: what is kept, passed on, added to in place, and written over.

After a change that is meant: ``python -m tests.codegen.test_field_step`` writes the golden file anew; review its diff.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.codegen.plain import agree
from tests.codegen.test_emit import adjoint_of
from tests.codegen.wave import wave
from unspool import fori_loop, scan
from unspool.adjoint.residuals import STATE
from unspool.codegen.cotangents import NEGATED, PASSED, REPLACED
from unspool.codegen.field_step import FieldStep, field_step
from unspool.codegen.places import room
from unspool.errors import UnsupportedError
from unspool.layout import ArrayType


def _step(step: Any, *state: Any, captures: Any = (), inputs: Any = ()) -> FieldStep:
    return field_step(adjoint_of(step, [*state], [*captures], [*inputs]))


U = np.sin(np.arange(24.0))


# --- the text ---------------------------------------------------------------------------------------------------------
GOLDEN = Path(__file__).parent / "golden" / "wave_8x8.py.txt"


def wave_step() -> FieldStep:
    """The kernels of it."""
    return _step(wave, np.ones((8, 8)), np.ones((8, 8)), captures=[np.ones((8, 8))], inputs=[np.float64(0.5)])


def test_the_source_of_the_wave_is_the_golden_file() -> None:
    assert wave_step().text == GOLDEN.read_text(), "if this is meant: python -m tests.codegen.test_field_step"


def test_the_wave_has_kernels_to_advance_to_renew_and_to_reverse() -> None:
    """It keeps its state and nothing else, so that recording is advancing."""
    step = wave_step()
    assert step.kernels == ["advance", "renew", "reverse"]
    assert [kept.kind for kept in step.kept] == [STATE]
    assert step.source == (-1, 0)
    assert step.renewed == [1, -1]
    compile(step.text, "<source>", "exec")
    assert "fastmath" not in step.text
    assert step.text == wave_step().text
    assert step.n_statements == step.text.count(" = ")


def test_the_wave_as_text_has_the_gradient_of_the_tape() -> None:
    def loss(u: Any, speed: Any, sources: Any, **options: Any) -> Any:
        def step(state: Any, source: Any) -> Any:
            new, (line,) = wave(None, [*state], [source], [speed])
            return tuple(new), line

        (u, v), lines = scan(step, (u, u * 0.9), sources, **options)
        return np.sum(u * u) + np.sum(lines**2) + np.sum(np.sin(v))

    agree(loss, np.sin(np.arange(64.0)).reshape(8, 8), np.full((8, 8), 0.1), np.cos(np.arange(6.0)), rtol=1e-12)


# --- what is kept -----------------------------------------------------------------------------------------------------
def test_truths_are_kept_as_numbers_and_have_room_for_them() -> None:
    def masked(k: Any, state: Any, inputs: Any, captures: Any) -> Any:
        (u,) = state
        return [np.where(np.exp(np.sin(u)) > 1.1, u * u, u)], []

    (mask,) = [kept.var.type for kept in _step(masked, np.ones(600)).kept if kept.var.type.dtype == bool]
    assert room(mask) >= 8 * 600
    assert room(ArrayType(np.dtype(bool), (3,))) == room(ArrayType(np.dtype(float), (3,)))


def test_a_recorded_step_takes_the_bytes_that_it_takes() -> None:
    """Leaves that are handed on are held once; the state that is kept is the next one of the step before."""
    size = room(ArrayType(np.dtype(float), (600,)))

    def kept(step: Any, n_state: int = 1) -> tuple[int, int]:
        return _step(lambda k, s, x, c: (step(*s), []), *[np.ones(600)] * n_state).taped_bytes()

    assert kept(lambda u: [u * 0.5]) == (0, 0)
    assert kept(lambda u: [u * u]) == (size, 0)
    assert kept(lambda u, v: [2 * u - v + 0.1 * u * u, u], 2) == (size, 0)
    assert kept(lambda u, v: [u * v + v * v, u], 2) == (size, size)
    assert kept(lambda u, v: [u * v * v, v], 2) == (size, size)
    assert kept(lambda u, v: [np.sin(v) * u, v], 2) == (size, size)
    assert kept(lambda u, v, w: [u * v * w, u, v], 3) == (size, 2 * size)
    assert kept(lambda u, v: [v, u], 2) == (0, 0)
    assert kept(lambda u, v: [v, u * u], 2)[0] == size
    residual, first = kept(lambda u: [np.sort(np.exp(np.tanh(u))) * u])
    assert residual > 2 * size
    assert first == 0


# --- signs ------------------------------------------------------------------------------------------------------------
M = np.cos(np.arange(24.0 * 24)).reshape(24, 24) * 0.2


@pytest.mark.parametrize(
    "across",
    [
        lambda v: M @ v,
        lambda v: v @ M,
        np.cumsum,
        lambda v: np.reshape(np.sin(np.reshape(v, (4, 6))).T, 24),
        lambda v: np.reshape(M[:4, :4] @ np.reshape(v, (4, 6)), 24),
        lambda v: v * np.sum(v * U),
        lambda v: v[::-1] * 0.5,
    ],
    ids=["matrix", "from the left", "call", "view", "matrix of a view", "sum", "nest"],
)
def test_a_cotangent_with_the_opposite_sign_is_read_as_it_is_meant(across: Any) -> None:
    def loss(u: Any, v: Any, n: int, **options: Any) -> Any:
        u, v = fori_loop(0, n, lambda k, s: (across(s[1]), -s[0]), (u, v), **options)
        return np.sum(u * u) + np.sum(np.cos(v))

    for n in (1, 2, 3):
        agree(lambda u, v, n=n, **options: loss(u, v, n, **options), U, np.cos(3 * U))


def test_what_becomes_of_cotangents() -> None:
    """Passed on as they are, or with the opposite sign, or written over; a buffer that two leaves share is not."""

    def manners(step: Any, n_state: int = 2) -> list[tuple[int, int]]:
        found = _step(lambda k, s, x, c: (step(*s), []), *[np.ones(600)] * n_state)
        return [*zip(found.ct_source, found.ct_manner, strict=True)]

    assert manners(lambda u, v: [v, u]) == [(1, PASSED), (0, PASSED)]
    assert manners(lambda u, v: [-v, u]) == [(1, PASSED), (0, NEGATED)]
    assert manners(lambda u, v: [u, -v]) == [(0, PASSED), (1, NEGATED)]
    assert manners(lambda u, v: [u * 0.5, v]) == [(0, REPLACED), (1, PASSED)]
    assert manners(lambda u, v: [2 * u - v, u]) == [(1, REPLACED), (0, NEGATED)]
    assert manners(lambda u, v: [u, u]) == [(0, REPLACED), (-1, PASSED)]
    assert manners(lambda u, v: [v * 0.5, -v]) == [(-1, PASSED), (0, REPLACED)]
    assert manners(lambda u, v: [np.roll(u, 1) + u, v]) == [(-1, PASSED), (1, PASSED)]
    assert manners(lambda u: [u + np.sum(u)], 1) == [(0, REPLACED)]


HANDED_ON: dict[str, Any] = {
    "exchange": lambda u, v, w: (v, u, w * 0.9),
    "round": lambda u, v, w: (v, w, u),
    "round with signs": lambda u, v, w: (-v, w, -u),
    "sign and use": lambda u, v, w: (-v, u + 0.1 * np.roll(v, 1), np.sin(w) * u),
    "twice": lambda u, v, w: (u, u, np.roll(w, 1) * v),
    "twice with signs": lambda u, v, w: (-u, u * 0.5, -u),
    "one for all": lambda u, v, w: (v * 1.1, v * 1.1, v * 1.1),
    "nothing of u": lambda u, v, w: (np.cos(v), v, w),
    "constant": lambda u, v, w: (np.full(24, 2.0) + 0.0 * np.sum(w), v * u, w + v),
    "double wave": lambda u, v, w: (2 * u - v + 0.1 * np.sin(w), u, v),
    "part and sign": lambda u, v, w: (_bumped(u, 3, np.sum(v) * 0.1), -v, w),
    "parts": lambda u, v, w: (_bumped(_bumped(u, 3, v[2]), 5, w[1]), _bumped(v, 7, 0.3 * w[2]), w),
    "part of what follows": lambda u, v, w: (u, _bumped(v, 3, u[3] * 0.5), _bumped(w, 4, v[3])),
}


def _bumped(u: Any, k: int, value: Any) -> Any:
    v = u * 1.0
    v[k] += value
    return v


@pytest.mark.parametrize("name", HANDED_ON)
def test_leaves_that_are_handed_on(name: str) -> None:
    def loss(u: Any, v: Any, w: Any, n: int, **options: Any) -> Any:
        def step(s: Any, _: Any) -> Any:
            return HANDED_ON[name](*s), (s[0][3] * 2.0, s[1][2:5])

        (u, v, w), (a, b) = scan(step, (u, v, w), None, n, **options)
        return np.sum(u * U) + np.sum(np.cos(v)) + np.sum(w * w) + np.sum(a * a) + np.sum(b**3)

    for n in (1, 2, 5):
        agree(lambda u, v, w, n=n, **options: loss(u, v, w, n, **options), U, np.cos(U), np.sin(2 * U), rtol=1e-12)


# --- parts added to cotangents in their place -------------------------------------------------------------------------
def test_parts_are_added_in_the_order_in_which_the_way_back_needs_them() -> None:
    """The part that a gets reads what b has got before, and a comes first in the state."""

    def loss(a: Any, b: Any, **options: Any) -> Any:
        def step(s: Any, x: Any) -> Any:
            a, b = s
            b = b * 1.0
            b[3] += 0.5 * a[7]
            return (a, b), b[3] * 2.0

        (a, b), ys = scan(step, (a, b), None, 5, **options)
        return np.sum(a * U) + np.sum(b * b) + np.sum(ys * ys)

    agree(loss, U, np.cos(U))


def test_a_part_that_is_a_result_too_is_there_before_it_is_added() -> None:
    """The cotangent of x is what is added to that of a, which happens before anything else is computed."""

    def loss(a: Any, xs: Any, **options: Any) -> Any:
        a, ys = scan(lambda a, x: (a, (a[2:7] + x) * np.cos(0.2)), a, xs, **options)
        return np.sum(a * U) + np.sum(ys * ys)

    agree(loss, U, np.cos(np.arange(25.0)).reshape(5, 5))


# --- written over -----------------------------------------------------------------------------------------------------
def test_an_element_is_read_anew_where_its_array_has_been_written_over() -> None:
    """Forwards and backwards: one element of an array, as a number, before and after the array gets new contents."""

    def loss(a: Any, b: Any, **options: Any) -> Any:
        def step(s: Any, x: Any) -> Any:
            a, b = s
            b = b * 0.9 + 0.1 * a[3] * b[3]
            return (a, b), b[3] * 2.0

        (a, b), ys = scan(step, (a, b), None, 5, **options)
        return np.sum(a * U) + np.sum(b * b) + np.sum(ys * ys)

    agree(loss, U, np.cos(U))


@pytest.mark.parametrize(
    "step",
    [
        lambda u: (u + 0.1 * np.reshape(u, (4, 6)).T * u, 0.0),
        lambda u: (u + np.reshape(np.sin(u).T, (6, 4)), 0.0),
        lambda u: (u * 0.9, np.reshape(u, (4, 6)) * np.arange(6.0)),
        lambda u: (u * 0.9, np.reshape(u, (4, 6))),
        lambda u: (u * 0.9 + 0.1 * np.reshape(np.reshape(u, 24), (3, 8))[1, 2], 0.0),
    ],
    ids=["nest", "cotangent", "output", "itself", "element"],
)
def test_what_another_shape_of_it_still_reads_is_not_written_over(step: Any) -> None:
    def loss(u: Any, **options: Any) -> Any:
        u, ys = scan(lambda u, _: step(u), u, None, 5, **options)
        return np.sum(u * u) + np.sum(ys * ys)

    agree(loss, np.reshape(U, (6, 4)))


# --- what is refused --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [complex, np.float32, int, bool])
def test_captures_of_other_types_than_float64_are_refused(dtype: type) -> None:
    def step(k: Any, state: Any, inputs: Any, captures: Any) -> Any:
        return [np.where(np.abs(captures[0]) > 1, state[0], 0.5)], []

    with pytest.raises(UnsupportedError, match="only float64 is compiled"):
        _step(step, np.ones(600), captures=[np.ones(600, dtype)])


def test_a_call_on_truths_whose_type_rule_errs_is_refused() -> None:
    """Logarithms of a sum of truths are not truths."""

    def step(k: Any, state: Any, inputs: Any, captures: Any) -> Any:
        truths = np.reshape(state[0] > 0.5, (5, 5))
        return [state[0] * np.linalg.svd(truths)[1][0]], []

    with pytest.raises(UnsupportedError, match=r"svd in test_field_step.py:\d+ (gives|works on)"):
        _step(step, np.ones(25))


def test_a_row_of_one_is_placed_by_python() -> None:
    def loss(u: Any, **options: Any) -> Any:
        return np.sum(fori_loop(0, 3, lambda k, u: 0.5 * u + 0.1 * np.sin(u[0 * k]) * u, u, **options) ** 2)

    agree(loss, np.reshape(U, (1, 24)))


if __name__ == "__main__":
    GOLDEN.write_text(wave_step().text)

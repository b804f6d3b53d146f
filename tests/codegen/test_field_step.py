"""The kernels of a step on fields: what is kept, passed on, added to in place, and written over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.codegen.plain import agree
from tests.codegen.test_emit import adjoint_of
from unspool import fori_loop, scan
from unspool.codegen.field_step import FieldStep, field_step, room
from unspool.errors import UnsupportedError
from unspool.layout import ArrayType


def _step(step: Any, *state: Any, captures: Any = (), inputs: Any = ()) -> FieldStep:
    return field_step(adjoint_of(step, [*state], [*captures], [*inputs]))


U = np.sin(np.arange(24.0))


# --- what is kept -----------------------------------------------------------------------------------------------------
def test_truths_are_kept_as_numbers_and_have_room_for_them() -> None:
    def masked(k: Any, state: Any, inputs: Any, captures: Any) -> Any:
        (u,) = state
        return [np.where(np.exp(np.sin(u)) > 1.1, u * u, u)], []

    (mask,) = [kept.var.type for kept in _step(masked, np.ones(600)).kept if kept.var.type.dtype == bool]
    assert room(mask) >= 8 * 600
    assert room(ArrayType(np.dtype(bool), (3,))) == room(ArrayType(np.dtype(float), (3,)))


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

"""Operations that move elements about, as functions of the index, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

import unspool.numpy as unp
from tests.codegen.plain import agree
from unspool import fori_loop

U = np.sin(np.arange(24.0)).reshape(6, 4)


def test_an_axis_of_length_one_has_one_index_where_arrays_are_joined() -> None:
    """A row that is written with a step of two, and read behind five others."""

    def loss(u: Any, **options: Any) -> Any:
        def step(k: int, u: Any) -> Any:
            row = unp.zeros((1, 20))
            row[::2] = 2 * u[3:4]
            return np.concatenate([u[1:], row])

        return np.sum(fori_loop(0, 5, step, u, **options) ** 2)

    agree(loss, np.sin(np.arange(120.0)).reshape(6, 20))


def test_a_part_may_have_more_axes_than_the_place_that_it_is_written_to() -> None:
    def loss(u: Any, **options: Any) -> Any:
        def step(k: int, u: Any) -> Any:
            v = u * 0.9
            v[1:3, 2] = np.ones((1, 1, 2)) * u[0, 0]
            return v

        return np.sum(fori_loop(0, 5, step, u, **options) ** 2)

    agree(loss, U)

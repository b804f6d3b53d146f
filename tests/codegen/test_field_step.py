"""The kernels of a step on fields: what is kept, passed on, added to in place, and written over."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.codegen.test_emit import adjoint_of
from unspool.codegen.field_step import FieldStep, field_step, room
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

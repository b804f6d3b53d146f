"""What a recorded step keeps: the cheapest cut, and two programs that together are the one."""

from __future__ import annotations

import numpy as np

from unspool.adjoint.residuals import minimum_cut
from unspool.ir.program import Var
from unspool.layout import ArrayType


def _vars(n: int) -> list[Var]:
    return [Var(k, ArrayType(np.dtype(float), ())) for k in range(n)]


def test_a_value_may_be_read_twice_by_one_equation() -> None:
    """The square of y, which is computed from x: x has to be kept."""
    x, y, z = _vars(3)
    assert minimum_cut([z, z], {x: 1.0, y: 9.0, z: 9.0}, {y: (1.0, [x]), z: (1.0, [y, y])}) == {x}

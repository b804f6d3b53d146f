"""What gets memory, what is computed together, in which order, and what may be written over."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.codegen.plain import agree
from unspool import fori_loop


def test_a_few_numbers_are_summed_one_by_one() -> None:
    """Small arrays are numbers with names: where a loop goes through them they are in memory."""

    def loss(u: Any, **options: Any) -> Any:
        def step(k: int, u: Any) -> Any:
            return u * 0.9 + 0.1 * np.sum(u * u) + 0.01 * np.max(u * 2) - 0.02 * np.dot(u + 1, u - 1)

        return np.sum(fori_loop(0, 5, step, u, **options) ** 2)

    agree(loss, np.array([0.3, -0.2, 0.5]))

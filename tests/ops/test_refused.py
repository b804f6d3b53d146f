"""What is refused says why, and what to write instead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from unspool.errors import UnsupportedError

X = np.arange(1.0, 4.0)


@pytest.mark.parametrize(
    ("f", "way_out"),
    [
        (lambda x: np.apply_along_axis(np.sum, 0, x), r"np\.stack"),
        (lambda x: np.apply_over_axes(np.sum, x, [0]), r"np\.stack"),
        (lambda x: np.unique(x, return_counts=True), r"np\.sort"),
        (np.roots, "eigvals"),
        (lambda x: np.polydiv(x, [1.0, 2.0]), "polyval"),
        (lambda x: np.savetxt("never.txt", x), "stop_gradient"),
    ],
)
def test_refusals(f: Any, way_out: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"numpy\.\w+ has no derivative rule.*{way_out}"):
        unspool.vjp(f, X)

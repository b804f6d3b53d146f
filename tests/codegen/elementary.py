"""The elementary functions of kernels as functions of Python, for texts that are carried out without a compiler."""

from __future__ import annotations

from functools import cache
from typing import Any

from numba import njit

from unspool.codegen.vectormath import FUNCTIONS


@cache
def elementary() -> dict[str, Any]:
    """By name; each is compiled when it is called for the first time."""
    found: dict[str, Any] = {}
    for name, function in FUNCTIONS.items():
        operands = "x, y" if name in ("arctan2", "hypot", "logaddexp", "power") else "x"
        space: dict[str, Any] = {"f": function}
        exec(f"def {name}({operands}): return f({operands})", space)
        found[name] = njit(error_model="numpy")(space[name])
    return found

"""scipy.sparse.linalg for traced values; what is not listed here is SciPy's own."""

from __future__ import annotations

from typing import Any

import scipy.sparse.linalg as _scipy

from unspool.ops import TABLE
from unspool.ops.sparse_systems import factorized, splu
from unspool.ops.table import Entry
from unspool.scipy.mirror import mirrored
from unspool.scipy.sparse.operators import LinearOperator

__all__ = ["LinearOperator", "bicgstab", "cg", "factorized", "gmres", "minres", "splu", "spsolve"]

bicgstab = mirrored(_scipy.bicgstab)
cg = mirrored(_scipy.cg)
gmres = mirrored(_scipy.gmres)
minres = mirrored(_scipy.minres)
spsolve = mirrored(_scipy.spsolve)

TABLE[_scipy.LinearOperator] = Entry(
    "scipy.sparse.linalg.LinearOperator", LinearOperator, -1, frozenset({"shape", "matvec", "dtype"})
)


def __getattr__(name: str) -> Any:
    return getattr(_scipy, name)

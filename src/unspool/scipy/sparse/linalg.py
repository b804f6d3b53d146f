"""scipy.sparse.linalg for traced values; what is not listed here is SciPy's own."""

from __future__ import annotations

from typing import Any

import scipy.sparse.linalg as _scipy

from unspool.ops.sparse_systems import factorized, splu
from unspool.scipy.mirror import mirrored

__all__ = ["bicgstab", "cg", "factorized", "gmres", "minres", "splu", "spsolve"]

bicgstab = mirrored(_scipy.bicgstab)
cg = mirrored(_scipy.cg)
gmres = mirrored(_scipy.gmres)
minres = mirrored(_scipy.minres)
spsolve = mirrored(_scipy.spsolve)


def __getattr__(name: str) -> Any:
    return getattr(_scipy, name)

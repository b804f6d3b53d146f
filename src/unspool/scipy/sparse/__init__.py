"""scipy.sparse for traced values: matrices whose numbers are traced; what is not listed here is SciPy's own."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import scipy.sparse as _scipy

from unspool.scipy.mirror import mirrored

coo_array = mirrored(_scipy.coo_array)
coo_matrix = mirrored(_scipy.coo_matrix)
csc_array = mirrored(_scipy.csc_array)
csc_matrix = mirrored(_scipy.csc_matrix)
csr_array = mirrored(_scipy.csr_array)
csr_matrix = mirrored(_scipy.csr_matrix)
diags = mirrored(_scipy.diags)
diags_array = mirrored(_scipy.diags_array)


def __getattr__(name: str) -> Any:
    return import_module(f"{__name__}.linalg") if name == "linalg" else getattr(_scipy, name)

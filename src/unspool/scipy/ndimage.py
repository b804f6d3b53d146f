"""scipy.ndimage for traced values; what is not listed here is SciPy's own."""

from __future__ import annotations

from typing import Any

import scipy.ndimage as _scipy

from unspool.scipy.mirror import mirrored

map_coordinates = mirrored(_scipy.map_coordinates)


def __getattr__(name: str) -> Any:
    return getattr(_scipy, name)

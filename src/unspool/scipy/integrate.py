"""scipy.integrate for traced values; what is not listed here is SciPy's own."""

from __future__ import annotations

from typing import Any

import scipy.integrate as _scipy

from unspool.scipy.mirror import mirrored

cumulative_simpson = mirrored(_scipy.cumulative_simpson)
cumulative_trapezoid = mirrored(_scipy.cumulative_trapezoid)
romb = mirrored(_scipy.romb)
simpson = mirrored(_scipy.simpson)
trapezoid = mirrored(_scipy.trapezoid)


def __getattr__(name: str) -> Any:
    return getattr(_scipy, name)

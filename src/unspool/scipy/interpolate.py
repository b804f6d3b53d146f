"""scipy.interpolate for traced values; what is not listed here is SciPy's own."""

from __future__ import annotations

from typing import Any

import scipy.interpolate as _scipy

from unspool.ops.interpolators import RegularGridInterpolator
from unspool.ops.splines import CubicHermiteSpline, CubicSpline, PchipInterpolator, PPoly
from unspool.scipy.mirror import mirrored

__all__ = ["CubicHermiteSpline", "CubicSpline", "PPoly", "PchipInterpolator", "RegularGridInterpolator", "interpn"]

interpn = mirrored(_scipy.interpn)


def __getattr__(name: str) -> Any:
    return getattr(_scipy, name)

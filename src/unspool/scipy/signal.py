"""scipy.signal for traced values; what is not listed here is SciPy's own."""

from __future__ import annotations

from typing import Any

import scipy.signal as _scipy

from unspool.scipy.mirror import mirrored

convolve = mirrored(_scipy.convolve)
convolve2d = mirrored(_scipy.convolve2d)
correlate = mirrored(_scipy.correlate)
correlate2d = mirrored(_scipy.correlate2d)
fftconvolve = mirrored(_scipy.fftconvolve)
hilbert = mirrored(_scipy.hilbert)
lfilter = mirrored(_scipy.lfilter)
oaconvolve = mirrored(_scipy.oaconvolve)


def __getattr__(name: str) -> Any:
    return getattr(_scipy, name)

"""scipy.fft for traced values; what is not listed here is SciPy's own."""

from __future__ import annotations

from typing import Any

import scipy.fft as _scipy

from unspool.scipy.mirror import mirrored

dct = mirrored(_scipy.dct)
dctn = mirrored(_scipy.dctn)
dst = mirrored(_scipy.dst)
dstn = mirrored(_scipy.dstn)
fft = mirrored(_scipy.fft)
fft2 = mirrored(_scipy.fft2)
fftn = mirrored(_scipy.fftn)
fftshift = mirrored(_scipy.fftshift)
hfft = mirrored(_scipy.hfft)
hfft2 = mirrored(_scipy.hfft2)
hfftn = mirrored(_scipy.hfftn)
idct = mirrored(_scipy.idct)
idctn = mirrored(_scipy.idctn)
idst = mirrored(_scipy.idst)
idstn = mirrored(_scipy.idstn)
ifft = mirrored(_scipy.ifft)
ifft2 = mirrored(_scipy.ifft2)
ifftn = mirrored(_scipy.ifftn)
ifftshift = mirrored(_scipy.ifftshift)
ihfft = mirrored(_scipy.ihfft)
ihfft2 = mirrored(_scipy.ihfft2)
ihfftn = mirrored(_scipy.ihfftn)
irfft = mirrored(_scipy.irfft)
irfft2 = mirrored(_scipy.irfft2)
irfftn = mirrored(_scipy.irfftn)
rfft = mirrored(_scipy.rfft)
rfft2 = mirrored(_scipy.rfft2)
rfftn = mirrored(_scipy.rfftn)


def __getattr__(name: str) -> Any:
    return getattr(_scipy, name)

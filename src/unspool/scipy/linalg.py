"""scipy.linalg for traced values; what is not listed here is SciPy's own."""

from __future__ import annotations

from typing import Any

import scipy.linalg as _scipy

from unspool.scipy.mirror import mirrored

block_diag = mirrored(_scipy.block_diag)
cho_factor = mirrored(_scipy.cho_factor)
cho_solve = mirrored(_scipy.cho_solve)
cho_solve_banded = mirrored(_scipy.cho_solve_banded)
cholesky = mirrored(_scipy.cholesky)
circulant = mirrored(_scipy.circulant)
companion = mirrored(_scipy.companion)
det = mirrored(_scipy.det)
eig = mirrored(_scipy.eig)
eigh = mirrored(_scipy.eigh)
eigvals = mirrored(_scipy.eigvals)
eigvalsh = mirrored(_scipy.eigvalsh)
expm = mirrored(_scipy.expm)
expm_frechet = mirrored(_scipy.expm_frechet)
hankel = mirrored(_scipy.hankel)
inv = mirrored(_scipy.inv)
khatri_rao = mirrored(_scipy.khatri_rao)
logm = mirrored(_scipy.logm)
lstsq = mirrored(_scipy.lstsq)
lu = mirrored(_scipy.lu)
lu_factor = mirrored(_scipy.lu_factor)
lu_solve = mirrored(_scipy.lu_solve)
norm = mirrored(_scipy.norm)
pinv = mirrored(_scipy.pinv)
qr = mirrored(_scipy.qr)
solve = mirrored(_scipy.solve)
solve_banded = mirrored(_scipy.solve_banded)
solve_continuous_lyapunov = mirrored(_scipy.solve_continuous_lyapunov)
solve_discrete_lyapunov = mirrored(_scipy.solve_discrete_lyapunov)
solve_lyapunov = mirrored(_scipy.solve_lyapunov)
solve_sylvester = mirrored(_scipy.solve_sylvester)
solve_triangular = mirrored(_scipy.solve_triangular)
solveh_banded = mirrored(_scipy.solveh_banded)
sqrtm = mirrored(_scipy.sqrtm)
svd = mirrored(_scipy.svd)
svdvals = mirrored(_scipy.svdvals)
toeplitz = mirrored(_scipy.toeplitz)


def __getattr__(name: str) -> Any:
    return getattr(_scipy, name)

"""scipy.special for traced values: the functions that are no ufuncs. The ufuncs take traced values themselves."""

from __future__ import annotations

from typing import Any

import scipy.special as _scipy

from unspool.scipy.mirror import mirrored

log_softmax = mirrored(_scipy.log_softmax)
logsumexp = mirrored(_scipy.logsumexp)
multigammaln = mirrored(_scipy.multigammaln)
polygamma = mirrored(_scipy.polygamma)
softmax = mirrored(_scipy.softmax)


def __getattr__(name: str) -> Any:
    return getattr(_scipy, name)

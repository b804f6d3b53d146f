"""SciPy, with functions that take traced values.

NumPy asks the arrays that it is given what to do; SciPy turns them into plain arrays, which a traced value refuses. So
``unspool.scipy`` has SciPy's functions under SciPy's names: ``from unspool.scipy import linalg`` in the place of
``from scipy import linalg``. Given plain arguments they are SciPy's own; given traced ones they give SciPy's value and
its derivative, or refuse by name. The ufuncs of `scipy.special` take traced values themselves.

>>> import numpy as np, unspool
>>> from unspool.scipy import linalg
>>> band = np.array([[0.0, -1.0, -1.0], [2.0, 2.0, 2.0], [-1.0, -1.0, 0.0]])
>>> unspool.grad(lambda b: np.sum(linalg.solve_banded((1, 1), band, b)))(np.array([1.0, 2.0, 3.0])).round(9)
array([1.5, 2. , 1.5])
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

ROOMS = ("fft", "integrate", "interpolate", "linalg", "ndimage", "signal", "sparse", "special", "stats")

__all__ = ["fft", "integrate", "interpolate", "linalg", "ndimage", "signal", "sparse", "special", "stats"]


def __getattr__(name: str) -> Any:
    if name in ROOMS:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"unspool.scipy has no {name!r}; it has {', '.join(ROOMS)}. For the rest, import SciPy's own.")

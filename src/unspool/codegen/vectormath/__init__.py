"""The elementary functions of float64 for compiled steps, written so that loops over them become vector code.

Each is within 2 ulp of the true value for every float64, and has the special values of C99. Its bits are the same for
one number, in a vector, in the remainder of a loop, in every kernel and on every machine. The exception is logaddexp
where it is near zero: there it is within 2**-55.

>>> import numpy as np
>>> from numba import njit
>>> exp = FUNCTIONS["exp"]
>>> @njit(error_model="numpy")
... def exponentials(x, y):
...     for j in range(len(x)):
...         y[j] = exp(x[j])
>>> y = np.empty(3)
>>> exponentials(np.array([0.0, 1.0, -np.inf]), y)
>>> y
array([1.        , 2.71828183, 0.        ])
"""

from __future__ import annotations

from typing import Any

from unspool.codegen.vectormath import arcs, circular, exponentials, logarithms, powers
from unspool.codegen.vectormath.intrinsics import declare

_OF_ONE = (
    *(exponentials.exp, exponentials.exp2, exponentials.expm1, exponentials.expit),
    *(exponentials.sinh, exponentials.cosh, exponentials.tanh),
    *(logarithms.log, logarithms.log2, logarithms.log10, logarithms.log1p),
    *(logarithms.arcsinh, logarithms.arccosh, logarithms.arctanh),
    *(circular.sin, circular.cos, circular.tan, arcs.arcsin, arcs.arccos, arcs.arctan, powers.cbrt),
)
_OF_TWO = (arcs.arctan2, powers.hypot, powers.power, logarithms.logaddexp)

FUNCTIONS: dict[str, Any] = {
    **{formula.__name__: declare(formula, 1) for formula in _OF_ONE},
    **{formula.__name__: declare(formula, 2) for formula in _OF_TWO},
}
"""The functions by their names in NumPy (expit: in SciPy), to be called inside kernels."""

"""Rows at an index that is known only when a program runs, as the number of a step is."""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced, bind, resolve, view_of
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.ops.families import general
from unspool.ops.samples import some


def _placed(part: Any, k: Any, n: int) -> Any:
    out = np.zeros((n, *np.shape(part)), np.asarray(part).dtype)
    out[k] = part
    return out


row: Primitive = general(
    lambda x, k: x[k],
    lambda ct, y, x, k: bind(place_row, ct, k, n=x.shape[0]),
    name="row",
    jvp=lambda tangents, y, x, k: bind(row, tangents[0], k),
    type_rule=lambda x, k: ArrayType(x.dtype, x.shape[1:]),
    samples=lambda: [
        ((some(4, 3), np.int64(2)), {}),
        ((some(3), np.int64(-1)), {}),
        ((some(2, 1, 2), np.int64(0)), {}),
    ],
)
"""``x[k]`` for an integer k."""

place_row: Primitive = general(
    _placed,
    lambda ct, y, part, k, n: bind(row, ct, k),
    name="place_row",
    jvp=lambda tangents, y, part, k, n: bind(place_row, tangents[0], k, n=n),
    type_rule=lambda part, k, n: ArrayType(part.dtype, (n, *part.shape)),
    samples=lambda: [((some(3), np.int64(2)), {"n": 4}), ((some(), np.int64(-1)), {"n": 3})],
)
"""Zeros of n rows, of which row k is the part: the transpose of `row`."""


def _refused(*_: Any, **__: Any) -> Any:
    raise UnsupportedError(
        "a row at an index that only the step knows, u[k], was written in place, or read after its array had been "
        "written. NumPy makes it a view; a compiled step makes it a value. Take a copy, np.copy(u[k]), or use "
        "compile=False."
    )


_shown = Primitive("row", lambda x: x[0], type_rule=_refused, put=_refused)
"""How a view comes from an array by such an index: neither is it taken anew, nor written."""


def row_of(x: Any, k: Any, *, is_view: bool) -> Any:
    """``x[k]`` for an integer that a program will know."""
    found = bind(row, x, k)
    if is_view and isinstance(found, Traced) and isinstance(resolve(x), Traced):
        view_of(found, x, (_shown, {}))
    return found


def is_index(part: Any) -> bool:
    """Whether part of a key is an integer that a program will know."""
    if not isinstance(part, Traced) or not isinstance(part.value, ArrayType):
        return False
    return part.value.dtype.kind == "i" and part.value.shape == ()

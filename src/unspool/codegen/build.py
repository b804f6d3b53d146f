"""From the text of a module to machine code, kept in memory by content."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from time import perf_counter
from typing import Any

import numpy as np
from numba.core.errors import NumbaError

from unspool.adjoint import Adjoint
from unspool.codegen.emit import emit
from unspool.errors import UnsupportedError


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """The machine code of a step: the driver, the text that it comes from, and the seconds that it took."""

    drive: Callable[..., Any]
    advance: Callable[..., Any]
    source: str
    seconds: float
    n_statements: int


_BUILT: OrderedDict[bytes, Compiled] = OrderedDict()
_LOCK = Lock()
_MOST = 64


def is_built(adjoint: Adjoint) -> bool:
    """Whether a step with this content has been compiled before."""
    return adjoint.content in _BUILT


def build(adjoint: Adjoint) -> Compiled:
    """The machine code of a step; steps that compute the same share it. Raises `UnsupportedError`."""
    content = adjoint.content
    with _LOCK:  # Numba compiles one thing at a time anyway
        if content not in _BUILT:
            try:
                _BUILT[content] = _compile(emit(adjoint))
            except NumbaError as error:
                raise UnsupportedError(f"the compiler does not take the step: {error}") from error
            if len(_BUILT) > _MOST:
                _BUILT.popitem(last=False)
        _BUILT.move_to_end(content)
        return _BUILT[content]


def _compile(source: str) -> Compiled:
    begin = perf_counter()
    space: dict[str, Any] = {"__name__": "unspool.compiled"}
    exec(compile(source, "<unspool step>", "exec"), space)
    row, vector, matrix = np.zeros((0, 3), np.int64), np.zeros(1), np.zeros((1, 1))
    held = np.zeros(1, np.int64)
    space["drive"](  # no rows: this compiles it and runs nothing
        row,
        0,
        0,
        0,
        vector,
        vector,
        matrix,
        matrix,
        vector,
        matrix,
        matrix,
        vector,
        matrix,
        matrix,
        held,
        np.zeros(2, np.int64),
    )
    return Compiled(space["drive"], space["advance"], source, perf_counter() - begin, source.count(" = "))

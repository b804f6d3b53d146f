"""Machine code from the text of a module."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from time import perf_counter
from typing import Any

from unspool.errors import UnsupportedError


@dataclass(frozen=True, slots=True, eq=False)
class ObjectCode:
    """Functions ``i64 f(i64*)`` by name: their addresses, what keeps them there, and the seconds that it took."""

    addresses: dict[str, int]
    owner: Any
    seconds: float


_LOADED: OrderedDict[str, ObjectCode] = OrderedDict()
_LOCK = Lock()
_MOST = 128


def load(text: str, names: Sequence[str]) -> ObjectCode:
    """The functions of these names in a module; compiled once. Raises `UnsupportedError`."""
    key = sha256(text.encode()).hexdigest()
    with _LOCK:  # Numba compiles one thing at a time anyway
        if key not in _LOADED:
            _LOADED[key] = _compile(text, names)
            if len(_LOADED) > _MOST:
                _LOADED.popitem(last=False)
        _LOADED.move_to_end(key)
        return _LOADED[key]


def _compile(text: str, names: Sequence[str]) -> ObjectCode:
    from numba import cfunc
    from numba.core.errors import NumbaError

    begin = perf_counter()
    space: dict[str, Any] = {"__name__": "unspool.compiled"}
    exec(compile(text, "<unspool step>", "exec"), space)
    functions = {}
    for name in names:
        try:
            functions[name] = cfunc("int64(CPointer(int64))", error_model="numpy")(space[name])
        except NumbaError as error:
            raise UnsupportedError(f"the compiler does not take the step: {error}") from error
    addresses = {name: function.address for name, function in functions.items()}
    return ObjectCode(addresses, functions, perf_counter() - begin)

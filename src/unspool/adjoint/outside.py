"""What a function can reach besides its arguments, so that it can be seen whether a call has changed any of it.

A trace runs a step twice at most. A step that draws from a generator, counts its calls or appends to a list may well do
the same both times, and something else in the step that matters: a jump with a probability of 1/1000 is in no trace.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import Any
from zlib import crc32

import numpy as np

from unspool.closure import names_of
from unspool.ir.listener import Traced

_MOST_OBJECTS = 2000
_MOST_BYTES = 2**24  # of an array that are looked at; of a larger one a part, evenly spread
_OURS = frozenset(["unspool", "numpy", "scipy", "builtins", "functools", "random"])
"""Packages whose functions are followed into their closures only, and whose objects are not looked into."""


def outside(function: Callable[..., Any]) -> dict[str, Any]:
    """Names of what the function reaches by its closure, its globals, its object and its defaults, with their contents.

    Arrays are told apart by checksums, random generators by their states. NumPy's and Python's own generators are
    always among them.
    """
    legacy: Any = np.random.get_state(legacy=False)
    state = legacy["state"]
    found: dict[str, Any] = {
        "numpy.random": (crc32(state["key"].tobytes()), state["pos"], legacy["has_gauss"]),
        "random": hash(random.getstate()),
    }
    seen: set[int] = set()
    stack: list[tuple[str, Any]] = [("", function)]
    while stack and len(seen) < _MOST_OBJECTS:
        name, value = stack.pop()
        if isinstance(value, int | float | complex | str | bytes | None):
            found[name] = repr(value)
        elif id(value) not in seen:
            seen.add(id(value))
            content = _content(value)
            if content is not None:
                found[name] = content
            stack += [(f"{name}{part}", inner) for part, inner in _parts(value)]
    return found


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names of what is not what it was, in order."""
    return sorted([name for name in before.keys() | after.keys() if before.get(name) != after.get(name)])


def _content(value: Any) -> Any:
    match value:
        case np.ndarray() if value.dtype.kind != "O":
            stride = -(-value.nbytes // _MOST_BYTES) or 1
            return value.shape, crc32(np.ascontiguousarray(value.flat[::stride] if stride > 1 else value).data)
        case np.random.Generator():
            return repr(value.bit_generator.state)
        case np.random.RandomState():
            return repr(value.get_state(legacy=False)["state"]["pos"])
        case random.Random():
            return hash(value.getstate())
        case list() | dict() | set():
            return len(value)
    return None


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What an object holds, with the way there as code."""
    if isinstance(value, Traced | ModuleType | type | np.ndarray):
        return
    if isinstance(value, FunctionType):
        yield from _of_function(value)
    elif isinstance(value, MethodType):
        yield from (("", value.__func__), ("", value.__self__))
    elif isinstance(value, BuiltinMethodType):  # rng.normal, kept under a name of its own
        yield "", value.__self__
    elif isinstance(value, partial):
        yield from (("", value.func), ("", value.args), ("", value.keywords))
    elif isinstance(value, list | tuple | set):
        yield from ((f"[{k}]", entry) for k, entry in enumerate(value))
    elif isinstance(value, dict):
        yield from ((f"[{key!r}]", entry) for key, entry in value.items())
    elif _is_ours(type(value)):
        for part in ("step", "condition"):  # of a loop
            inner = getattr(value, part, None)
            if isinstance(inner, FunctionType):
                yield "", inner
    else:
        yield from ((f".{key}", entry) for key, entry in getattr(value, "__dict__", {}).items())


def _of_function(function: FunctionType) -> Iterator[tuple[str, Any]]:
    ours = _is_ours(function)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            inner = cell.cell_contents
        except ValueError:  # not set yet
            continue
        if not ours:
            yield name, inner
        elif callable(inner) or type(inner).__module__.startswith("unspool."):  # not what a loop notes for itself
            yield "", inner
    if ours:
        return
    yield from (("", default) for default in (function.__defaults__ or ()))
    yield from (function.__kwdefaults__ or {}).items()
    names = [*names_of(function.__code__)]
    for name in names:
        if name in function.__globals__:
            value = function.__globals__[name]
            yield name, value
            if isinstance(value, ModuleType) and value.__name__.partition(".")[0] not in _OURS:
                yield from ((f"{name}.{part}", value.__dict__[part]) for part in names if part in value.__dict__)


def _is_ours(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).partition(".")[0] in _OURS

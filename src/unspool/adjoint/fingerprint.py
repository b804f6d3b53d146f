"""All that the result of a function can depend on, as a key: equal keys promise equal programs.

A trace need not be repeated for a function whose code, closure and globals are what they were. Only what can be looked
into to the end has a key: numbers, text, arrays, nests of them, functions, and traced values by their types. An object
of a class, a random generator, or a clock has none, and then the function is traced again.
"""

from __future__ import annotations

import dis
from functools import lru_cache, partial
from hashlib import blake2b
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from unspool.ir.listener import Traced

_PURE = frozenset(["numpy", "scipy", "math", "cmath", "operator", "functools", "itertools", "unspool", "builtins"])
"""Packages whose functions depend on their arguments only, random numbers apart."""

_RANDOM = frozenset(["random", "default_rng", "RandomState"])
_LOOKING = frozenset(
    [
        *("globals", "locals", "vars", "eval", "exec", "getattr", "attrgetter", "__dict__", "__import__"),
        *("import_module", "open", "input", "load", "loadtxt", "genfromtxt", "fromfile", "memmap"),
    ]
)
"""Names by which a function gets at what no name in its code stands for."""

_MOST_OBJECTS = 500
_WHOLE_BYTES = 1024  # arrays up to here stand in the key themselves

_MADE_ONCE = (BuiltinFunctionType, np.ufunc, np.dtype, type, type(np.sum))
"""What libraries make and nobody changes; their other objects, as polynomials and masked arrays, can be written."""

Key = tuple[Any, ...]


class Unknown(Exception):  # noqa: N818 - never leaves this module
    """Something that cannot be looked into."""


class Fingerprint:
    """The key of some values, the traced values among them in the order in which they are met, and what the key names
    by its identity, to be kept alive as long as the key."""

    def __init__(self) -> None:
        self.traced: list[Traced] = []
        self.alive: list[Any] = []
        self._seen: dict[int, int] = {}

    def of(self, value: Any) -> Any:
        """The key of a value. Raises `Unknown`."""
        kind = type(value)
        if value is None or kind in (int, str, bytes, bool):
            return kind, value
        if kind in (float, complex):
            return kind, repr(value)
        if isinstance(value, np.generic) and kind.__module__ == "numpy":
            return kind, value.tobytes()
        if id(value) in self._seen:
            return "again", self._seen[id(value)]
        if len(self._seen) >= _MOST_OBJECTS:
            raise Unknown
        self._seen[id(value)] = len(self._seen)
        self.alive.append(value)
        if isinstance(value, Traced):
            return self._of_traced(value)
        if kind is np.ndarray:
            return self._of_array(value)
        if kind in (list, tuple):
            return kind, *[self.of(entry) for entry in value]
        if kind is dict:
            return kind, *[(self.of(key), self.of(entry)) for key, entry in value.items()]
        if kind is FunctionType:
            return self._of_function(value)
        if kind is partial:
            return kind, self.of(value.func), self.of(value.args), self.of(value.keywords)
        return self._by_identity(value)

    def _of_traced(self, value: Traced) -> Key:
        base = value.base
        if value.listener.scope is not None or (base is not None and base.version != value.version):
            raise Unknown  # what it stands for is found out in the step
        self.traced.append(value)
        return "traced", value.value.dtype, value.value.shape

    @staticmethod
    def _of_array(value: np.ndarray) -> Key:
        if value.dtype.hasobject:
            raise Unknown
        content = value.tobytes() if value.nbytes <= _WHOLE_BYTES else _digest(value)
        return np.ndarray, value.dtype, value.shape, value.flags.writeable, content

    def _of_function(self, function: FunctionType) -> Key:
        if _package(function) in _PURE:
            if function.__closure__:
                raise Unknown
            return "by identity", id(function)
        code = function.__code__
        names = names_in(code)
        if _LOOKING.intersection(names):
            raise Unknown
        self.alive.append(code)  # another function may get this one's
        key: list[Any] = [id(code)]
        for cell in function.__closure__ or ():
            try:
                key.append(self.of(cell.cell_contents))
            except ValueError:  # not set yet
                raise Unknown from None
        key += [self.of(function.__defaults__), self.of(function.__kwdefaults__)]
        if function.__dict__:
            key.append(self.of(function.__dict__))
        for name in names:
            if name in function.__globals__:
                value = function.__globals__[name]
                key.append((name, self._of_module(value, names) if type(value) is ModuleType else self.of(value)))
        return tuple(key)

    def _of_module(self, module: ModuleType, names: tuple[str, ...]) -> Key:
        """A module by those of its names that the code uses."""
        if module.__name__.partition(".")[0] in _PURE:
            if _RANDOM.intersection(names) or module.__name__.startswith("numpy.random"):
                raise Unknown
            return "module", module.__name__
        if not hasattr(module, "__file__"):  # time, and others of the interpreter
            raise Unknown
        found = [(name, module.__dict__[name]) for name in names if name in module.__dict__]
        return module.__name__, *[
            (n, self._of_module(v, names) if type(v) is ModuleType else self.of(v)) for n, v in found
        ]

    def _by_identity(self, value: Any) -> Key:
        """What a library has made and nobody changes: its functions, its types."""
        if isinstance(value, BuiltinFunctionType) and not isinstance(value.__self__, ModuleType | None):
            raise Unknown  # a method of some object
        if not isinstance(value, _MADE_ONCE) or _package(value) not in _PURE:
            raise Unknown
        return "by identity", id(value)


def _digest(value: np.ndarray) -> bytes:
    return blake2b(np.ascontiguousarray(value).data, digest_size=20).digest()


def _package(value: Any) -> str:
    return str(getattr(value, "__module__", None) or "builtins").partition(".")[0]


@lru_cache(512)
def names_in(code: CodeType) -> tuple[str, ...]:
    """The global and attribute names in some code; a function that imports is taken for one that looks for itself."""
    found = [*code.co_names]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found += names_in(constant)
    if any(instruction.opname == "IMPORT_NAME" for instruction in dis.get_instructions(code)):
        found.append("__import__")
    return tuple(dict.fromkeys(found))

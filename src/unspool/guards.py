"""What a traced function has read from outside of its arguments, and whether it is still so.

A program stands for a function as long as nothing has changed that the function can see: its variables from outside,
the names of its module, the lists and dicts in them, the attributes of objects, the content of arrays. All of it is
noted when the function is traced, down to what is a number, text, or made by a library; what cannot be looked into to
the end is refused.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from types import BuiltinFunctionType, BuiltinMethodType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from unspool.adjoint.fingerprint import names_in
from unspool.errors import InputError
from unspool.ir.listener import Traced
from unspool.ir.primitive import Primitive

_LIBRARIES = frozenset(["numpy", "scipy", "math", "cmath", "operator", "functools", "itertools", "builtins", "typing"])
"""Packages whose functions and classes nobody changes."""

_ATOMS = (int, float, complex, str, bytes, bool, type(None), np.generic, np.dtype, slice, range, type(Ellipsis))
_MOST_THINGS = 5000
_CLASS_PARTS = (FunctionType, property, staticmethod, classmethod)
_CLASS_VALUES = (*_ATOMS, np.ndarray, list, tuple, dict, set)
_LOOKING = frozenset(["globals", "locals", "vars", "eval", "exec", "import_module", "open", "input"])
"""Names by which a function gets at what no name in its code stands for."""

_GENERATORS = (np.random.Generator, np.random.BitGenerator, np.random.RandomState, Random)
_FEW_BYTES = 4096  # of an array, which are compared as one text


@dataclass(slots=True, eq=False)
class Guards:
    """What a function depends on: places and what was in them. Raises `InputError` where that cannot be told."""

    cells: list[tuple[CellType, Any]] = field(default_factory=list)
    names: list[tuple[Mapping[str, Any], str, Any]] = field(default_factory=list)
    functions: list[tuple[FunctionType, CodeType, Any, Any]] = field(default_factory=list)
    lists: list[tuple[list[Any] | set[Any], list[Any]]] = field(default_factory=list)
    slots: list[tuple[Any, str, Any]] = field(default_factory=list)
    dicts: list[tuple[dict[Any, Any], dict[Any, Any]]] = field(default_factory=list)
    small: list[tuple[np.ndarray, Any, bytes]] = field(default_factory=list)
    large: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    _modules: set[tuple[int, tuple[str, ...]]] = field(default_factory=set)
    _seen: set[int] = field(default_factory=set)
    _alive: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Guards:
        """Those of a function, as things are now."""
        guards = cls()
        guards.note(function, getattr(function, "__name__", "the function"))
        return guards

    def hold(self) -> bool:
        """Whether all is as it was."""
        try:
            for cell, value in self.cells:
                if cell.cell_contents is not value and not _same(cell.cell_contents, value):
                    return False
        except ValueError:  # a variable that is no longer there
            return False
        for space, name, value in self.names:
            found = space.get(name)
            if found is not value and not _same(found, value):
                return False
        for function, code, defaults, keywords in self.functions:
            if (
                function.__code__ is not code
                or function.__defaults__ is not defaults
                or function.__kwdefaults__ is not keywords
            ):
                return False
        for now, before in self.lists:
            if len(now) != len(before) or any(not _same(x, y) for x, y in zip(now, before, strict=True)):
                return False
        for table, entries in self.dicts:
            if table.keys() != entries.keys() or any(not _same(x, entries[key]) for key, x in table.items()):
                return False
        for thing, slot, entry in self.slots:
            if not _same(getattr(thing, slot, None), entry):
                return False
        for array, kind, content in self.small:
            if array.tobytes() != content or (array.dtype, array.shape) != kind:
                return False
        return all(_equal(array, copy) for array, copy in self.large)

    # --- looking ------------------------------------------------------------------------------------------------------
    def note(self, value: Any, name: str) -> None:
        """Note what can change in a value, and in all that it holds."""
        if isinstance(value, _ATOMS) or id(value) in self._seen:
            return
        self._seen.add(id(value))
        self._alive.append(value)
        if len(self._seen) > _MOST_THINGS:
            raise InputError(f"{name}: what the function depends on has more than {_MOST_THINGS} parts")
        match value:
            case Traced():
                raise InputError(f"{name} is a traced value of a function that has ended: pass it as an argument")
            case np.ndarray():
                self._note_array(value, name)
            case FunctionType():
                self._note_function(value, name)
            case MethodType():
                self.note(value.__func__, name)
                self.note(value.__self__, f"{name}.__self__")
            case BuiltinMethodType() if not isinstance(value.__self__, ModuleType | None):
                self.note(value.__self__, f"{name}.__self__")
            case partial():
                for part in (value.func, value.args, value.keywords):
                    self.note(part, name)
            case ModuleType() | BuiltinFunctionType() | np.ufunc():
                pass
            case tuple() | frozenset():
                for k, entry in enumerate(value):
                    self.note(entry, f"{name}[{k}]")
            case list() | set():
                self.lists.append((value, [*value]))
                for k, entry in enumerate(value):
                    self.note(entry, f"{name}[{k}]")
            case dict():
                self._note_dict(value, name)
            case type():
                self._note_class(value, name)
            case _:
                self._note_object(value, name)

    def _note_array(self, array: np.ndarray, name: str) -> None:
        if array.dtype.hasobject:
            raise InputError(f"{name} is an array of objects, in which changes are not seen: pass what you need of it")
        if array.nbytes <= _FEW_BYTES:
            self.small.append((array, (array.dtype, array.shape), array.tobytes()))
        else:
            self.large.append((array, array.copy()))

    def _note_dict(self, table: dict[Any, Any], name: str) -> None:
        self.dicts.append((table, {**table}))
        for key, entry in table.items():
            self.note(entry, f"{name}[{key!r}]")

    def _note_function(self, function: FunctionType, name: str) -> None:
        ours = str(function.__globals__.get("__name__", "")).partition(".")[0]
        if ours in _LIBRARIES:
            return
        if ours == "unspool" and hasattr(function, "__wrapped__"):  # a transform, all whose settings were given once
            self.note(function.__wrapped__, name)
            return
        self.functions.append((function, function.__code__, function.__defaults__, function.__kwdefaults__))
        for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not set yet
                continue
            self.cells.append((cell, value))
            self.note(value, variable)
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self.note(default, f"a default of {name}")
        if ours == "unspool":  # its names are ours
            return
        names = names_in(function.__code__)
        if found := sorted(_LOOKING.intersection(names)):
            raise InputError(f"{name} calls {found[0]}: what it gets that way may change without being seen")
        self._note_names(function.__globals__, names, "")
        for module in _imported(function.__code__):
            self._note_module(module, names, f"{module.__name__}.")
        for attribute, value in vars(function).items():
            if attribute != "__wrapped__":
                self.note(value, f"{name}.{attribute}")

    def _note_names(self, space: dict[str, Any], names: tuple[str, ...], prefix: str) -> None:
        """The names of a module that some code may use; those of modules among them too."""
        for name in names:
            if name not in space:
                continue
            value = space[name]
            self.names.append((space, name, value))
            if type(value) is ModuleType:
                self._note_module(value, names, f"{prefix}{name}.")
            else:
                self.note(value, f"{prefix}{name}")

    def _note_module(self, module: ModuleType, names: tuple[str, ...], prefix: str) -> None:
        package = module.__name__.partition(".")[0]
        if package not in _LIBRARIES and package != "unspool" and (id(module), names) not in self._modules:
            self._modules.add((id(module), names))
            self._note_names(vars(module), names, prefix)

    def _note_class(self, kind: type, name: str) -> None:
        """The functions and values of a class and of those that it is made from."""
        for base in kind.__mro__:
            if base.__module__.partition(".")[0] in _LIBRARIES | {"unspool", "abc", "enum", "dataclasses"}:
                continue
            for attribute, value in [*vars(base).items()]:
                if isinstance(value, _CLASS_PARTS):
                    value = getattr(value, "fget", None) or getattr(value, "__func__", value)
                elif attribute.startswith("__") or not isinstance(value, _CLASS_VALUES):
                    continue
                self.names.append((vars(base), attribute, vars(base)[attribute]))
                self.note(value, f"{name}.{attribute}")

    def _note_object(self, value: Any, name: str) -> None:
        """The attributes of an object that is made of nothing else."""
        kind = type(value)
        if isinstance(value, Primitive):
            return
        if isinstance(value, _GENERATORS):
            raise InputError(
                f"{name} is a random generator: what is drawn while the function is traced would be drawn once and for "
                "all. Draw outside, and pass the numbers as an argument."
            )
        slots = [slot for base in kind.__mro__ for slot in _slots(base)]
        if not hasattr(value, "__dict__") and not any("__slots__" in vars(base) for base in kind.__mro__):
            raise InputError(
                f"{name} is of type {kind.__module__}.{kind.__qualname__}, in which changes are not seen. Take what "
                "you need of it out as a number or an array, and pass that as an argument."
            )
        self.note(kind, kind.__name__)
        for slot in slots:
            entry = getattr(value, slot, None)
            self.slots.append((value, slot, entry))
            self.note(entry, f"{name}.{slot}")
        self._note_dict(getattr(value, "__dict__", {}), f"{name}.__dict__")


def _imported(code: CodeType) -> list[ModuleType]:
    """The modules that some code imports, as far as they are there."""
    found = [sys.modules.get(str(i.argval)) for i in dis.get_instructions(code) if i.opname == "IMPORT_NAME"]
    inner = [module for constant in code.co_consts if isinstance(constant, CodeType) for module in _imported(constant)]
    return [module for module in found if module is not None] + inner


def _slots(kind: type) -> tuple[str, ...]:
    found = vars(kind).get("__slots__", ())
    return (found,) if isinstance(found, str) else tuple([s for s in found if s not in ("__dict__", "__weakref__")])


def _same(one: Any, other: Any) -> bool:
    """Whether two things are one, or equal numbers or texts."""
    if one is other:
        return True
    if type(one) is not type(other) or not isinstance(one, _ATOMS):
        return False
    return one.tobytes() == other.tobytes() if isinstance(one, np.generic) else repr(one) == repr(other)


def _equal(array: np.ndarray, before: np.ndarray) -> bool:
    """Whether an array has the bits that it had."""
    if (array.dtype, array.shape) != (before.dtype, before.shape):
        return False
    now = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return bool((now == np.ascontiguousarray(before).reshape(-1).view(np.uint8)).all())

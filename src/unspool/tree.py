"""Nested containers as a flat list of leaves, and back.

A list, a tuple, a named tuple, a dict (in the order of its keys' insertion), a dataclass and None are containers; all
else is a leaf. A structure is compared by value, so that a loop can insist on getting its own back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any

import numpy as np

_ATOMS = (np.ndarray, float, int, complex, np.generic, str)


@dataclass(frozen=True, slots=True)
class Structure:
    """The shape of a nest of containers without its leaves.

    ``kind`` is the container's type (None itself for an absent value, ``Structure`` for a leaf), ``keys`` are the names
    of dict entries or dataclass fields.

    >>> leaves, structure = flatten({"u": [1.0, None], "v": (2.0, 3.0)})
    >>> leaves
    [1.0, 2.0, 3.0]
    >>> structure.unflatten([4.0, 5.0, 6.0])
    {'u': [4.0, None], 'v': (5.0, 6.0)}
    >>> print(structure)
    {'u': [*, None], 'v': (*, *)}
    """

    kind: Any
    keys: tuple[Any, ...]
    children: tuple[Structure, ...]
    n_leaves: int

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The nest that has these leaves."""
        return self._build(iter(leaves))

    def _build(self, leaves: Iterator[Any]) -> Any:
        if self.kind is Structure:
            return next(leaves)
        if self.kind is None:
            return None
        parts = [child._build(leaves) for child in self.children]
        if self.kind is dict:
            return dict(zip(self.keys, parts, strict=True))
        if self.keys:  # a dataclass: its fields, without running __init__ of other arguments
            return self.kind(**dict(zip(self.keys, parts, strict=True)))
        if hasattr(self.kind, "_fields"):
            return self.kind(*parts)
        return self.kind(parts)

    def paths(self) -> tuple[str, ...]:
        """Where each leaf stands, as one would write it in Python: ``[0]['u']``."""
        return _paths(self)

    def __str__(self) -> str:
        parts = [str(child) for child in self.children]
        if self.kind is Structure:
            return "*"
        if self.kind is None:
            return "None"
        if self.kind is dict:
            return "{" + ", ".join(f"{k!r}: {p}" for k, p in zip(self.keys, parts, strict=True)) + "}"
        if self.kind is list:
            return f"[{', '.join(parts)}]"
        if self.kind is tuple:
            return f"({', '.join(parts)}{',' * (len(parts) == 1)})"
        return f"{self.kind.__name__}({', '.join(parts)})"


@lru_cache(256)
def _paths(structure: Structure) -> tuple[str, ...]:
    if structure.kind is Structure:
        return ("",)
    names = structure.keys or range(len(structure.children))
    found: list[str] = []
    for name, child in zip(names, structure.children, strict=True):
        part = f".{name}" if structure.keys and structure.kind is not dict else f"[{name!r}]"
        found += [part + rest for rest in _paths(child)]
    return tuple(found)


LEAF = Structure(Structure, (), (), 1)
ABSENT = Structure(None, (), (), 0)


def flatten(nest: Any) -> tuple[list[Any], Structure]:
    """The leaves of a nest from left to right, and its structure."""
    leaves: list[Any] = []
    return leaves, _flatten(nest, leaves)


def _flatten(nest: Any, leaves: list[Any]) -> Structure:
    if isinstance(nest, _ATOMS):
        leaves.append(nest)
        return LEAF
    if nest is None:
        return ABSENT
    kind: Any
    keys: tuple[Any, ...] = ()
    if isinstance(nest, dict):
        kind, keys, parts = dict, tuple(nest), tuple(nest.values())
    elif isinstance(nest, list | tuple):
        kind, parts = type(nest), tuple(nest)
    elif is_dataclass(nest) and not isinstance(nest, type):
        kind, keys = type(nest), tuple(f.name for f in fields(nest))
        parts = tuple(getattr(nest, key) for key in keys)
    else:
        leaves.append(nest)
        return LEAF
    children = tuple([_flatten(part, leaves) for part in parts])
    return Structure(kind, keys, children, sum(child.n_leaves for child in children))


def map_leaves(function: Callable[..., Any], nest: Any, *others: Any) -> Any:
    """The nest with ``function(leaf, *leaves of the others)`` in the place of each leaf.

    >>> map_leaves(lambda a, b: a + b, [1, (2, None)], [10, (20, None)])
    [11, (22, None)]
    """
    leaves, structure = flatten(nest)
    columns: list[Sequence[Any]] = [leaves]
    for other in others:
        column, found = flatten(other)
        if found != structure:
            raise ValueError(f"expected the structure {structure}, got {found}")
        columns.append(column)
    return structure.unflatten([function(*row) for row in zip(*columns, strict=True)])

"""The way back through a write that was carried out where the array lies.

A pure store copies its array, and so does its rule the cotangent. Here a part of an array has been overwritten, or
added to, and the rule works in the buffer in which the sweep collects the cotangent of the array (`Sum`): it takes the
part out and leaves zeros, so that both ways cost what the part costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from unspool.ir.listener import Traced, bind, put_back
from unspool.ir.primitive import Primitive, Pull, Read
from unspool.layout import ArrayType, copied
from unspool.ops.families import fit
from unspool.ops.index import Index, Piece, Sum, getitem, last_writes, store_primitive
from unspool.ops.samples import some
from unspool.ops.shape import reshape, transpose
from unspool.ops.table import enrol

Path = tuple[tuple[Primitive, dict[str, Any]], ...]


TURNING = frozenset(("getitem", "reshape", "transpose"))
"""The views whose transpose is a write through the same view: the real part of a number is none."""


def reach(whole: Any, path: Path) -> Any:
    """The view of an array to which a path leads; None where NumPy would have copied on the way."""
    part = whole
    for primitive, params in path:
        part = primitive.evaluate(part, **params)
    owner = whole if whole.base is None else whole.base
    return part if part is whole or (isinstance(part, np.ndarray) and part.base is owner) else None


def _opened(ct: Any) -> Sum:
    """The cotangent in a buffer that nobody else holds."""
    if ct.__class__ is Sum:
        opened: Sum = ct
        return opened
    return Sum(ct.dense() if ct.__class__ is Piece else np.array(ct))


def _stored_back(ct: Any, path: Path, index: Index, value: ArrayType | None) -> tuple[Any, Any]:
    """The cotangents of the array and of the value that a part of it was overwritten with."""
    if isinstance(ct, Traced):
        return _stored_purely(ct, path, index, value)
    total = _opened(ct)
    target = reach(total.buffer, path)
    if target is None:  # the buffer is laid out otherwise than the array was
        rest, part = _stored_purely(total.buffer, path, index, value)
        return Sum(np.array(rest)), part
    if value is None:
        target[index] = 0
        return total, None
    part = np.array(target[index])
    if _may_repeat(index):
        part = np.where(_stayed(target, index, part), part, np.zeros((), part.dtype))
    target[index] = 0
    return total, fit(part[()], value)


def _stored_purely(ct: Any, path: Path, index: Index, value: ArrayType | None) -> tuple[Any, Any]:
    target = ct
    for primitive, params in path:
        target = bind(primitive, target, **params)
    hollow = bind(store_primitive, target, np.zeros((), ct.dtype), index=index)
    rest = put_back(ct, path, hollow)
    if value is None:
        return rest, None
    part = getitem(target, index)
    if _may_repeat(index):
        part = part * last_writes(index, target.shape)
    return rest, fit(part, value)


def _may_repeat(index: Index) -> bool:
    return any(isinstance(i, np.ndarray) and i.dtype.kind != "b" for i in index)


def _stayed(target: np.ndarray, index: Index, part: np.ndarray) -> Any:
    """Where several values were written to one place, True for the last of them; ``target[index]`` is lost."""
    if target.dtype.char not in "dD" or part.size <= 1:  # counts beyond 2048 are not exact in half precision
        return last_writes(index, target.shape)
    order = np.arange(part.size, dtype=float).reshape(part.shape)
    target[index] = order
    return target[index] == order


def _added_back(ct: Any, path: Path, index: Index, value: ArrayType | None) -> tuple[Any, Any]:
    """The cotangents of the array and of the value that was added to a part of it."""
    if value is None:
        return ct, None
    whole: Any = ct.dense() if ct.__class__ in (Sum, Piece) else ct
    for primitive, params in path:
        whole = bind(primitive, whole, **params)
    part = getitem(whole, index)
    return ct, fit(part if isinstance(part, Traced) else np.array(part)[()], value)


# --- as nodes and as primitives ---------------------------------------------------------------------------------------
Rule = Callable[..., tuple[Any, Any]]


def _pulls_of(rule: Rule) -> tuple[Callable[..., Sequence[Any]], ...]:
    def of_whole(ct: Any, path: Path, index: Index, value: None) -> tuple[Any]:
        return (rule(ct, path, index, value)[0],)

    def of_value(ct: Any, path: Path, index: Index, value: ArrayType) -> tuple[Any]:
        return (rule(ct, path, index, value)[1],)

    return of_whole, of_value, rule


STORED = _pulls_of(_stored_back)
"""The pulls of an overwritten part, given (ct, path, index, type of the value): for the array, the value, both."""

ADDED = _pulls_of(_added_back)
"""The same for what was added to a part."""


def _written(x: Any, value: Any, path: Path, index: Index, *, add: bool) -> Any:
    out = copied(x)
    target = reach(out, path)
    assert target is not None
    if add:
        np.add.at(target, index, value)
    else:
        target[index] = value
    return out


def _moved(tangents: tuple[Any, Any], y: Any, path: Path, index: Index, *, add: bool) -> Any:
    tx, tv = tangents
    tx = np.zeros(y.shape, y.dtype) if tx is None else tx
    if tv is None:
        return tx if add else bind(stored, tx, np.zeros((), y.dtype), path=path, index=index)
    return bind(added if add else stored, tx, tv, path=path, index=index)


def _samples() -> Iterator[Any]:
    for whole, part, path, index in (
        (some(3, 4), some(2, turn=0.2), ((transpose, {"axes": (1, 0)}),), (1, slice(2))),
        (some(3, 4), some(turn=0.2), ((reshape, {"shape": (12,)}),), (slice(None, None, 5),)),
        (some(4), some(3, turn=0.2), (), (np.array([2, 0, 2]),)),
        (some(4), some(turn=0.2), (), (np.array([True, False, True, False]),)),
    ):
        yield (whole, part), {"path": path, "index": index}


def _primitive(name: str, pulls: tuple[Callable[..., Sequence[Any]], ...], *, add: bool) -> Primitive:
    def on_operands(pull: Callable[..., Any]) -> Callable[..., Any]:
        return lambda ct, y, x, value, path, index: pull(ct, path, index, value)

    rules = [
        Pull.reading(on_operands(pull), (Read.NOTHING, Read.NOTHING, Read.TYPE if wanted & 2 else Read.NOTHING))
        for wanted, pull in enumerate(pulls, 1)
    ]
    return enrol(
        Primitive(
            name,
            lambda x, value, path, index: _written(x, value, path, index, add=add),
            jvp=lambda tangents, y, x, value, path, index: _moved(tangents, y, path, index, add=add),
            pull=lambda wanted, n, plain: rules[wanted - 1],
            type_rule=lambda x, value, path, index: x,
            samples=lambda: [
                ((some(3, 4), some(2, turn=0.2)), {"path": ((transpose, {"axes": (1, 0)}),), "index": (1, slice(2))}),
                (
                    (some(3, 4), some(turn=0.2)),
                    {"path": ((reshape, {"shape": (12,)}),), "index": (slice(None, None, 5),)},
                ),
                ((some(4), some(3, turn=0.2)), {"path": (), "index": (np.array([2, 0, 2]),)}),
                ((some(4), some(turn=0.2)), {"path": (), "index": (np.array([True, False, True, False]),)}),
            ],
        )
    )


stored = _primitive("overwrite", STORED, add=False)
"""A part of an array overwritten, as one operation however many views lead to the part."""

added = _primitive("add_to_part", ADDED, add=True)

TAKES_SUMS = frozenset(
    [*STORED, *ADDED, *[p.pull_for(k, 2, False).function for p in (stored, added) for k in (1, 2, 3)]]
)
"""The pulls that take a cotangent as the sweep has collected it."""

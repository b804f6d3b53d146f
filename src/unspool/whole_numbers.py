"""Counters, flags and tables of whole numbers in a compiled loop: float64 in the machine code, exact below 2**31.

A leaf of the state, or a row of xs, that is int64 or bool comes to the step as what it is, and goes back as a float.
Where it is not plain that a whole number stays below the bound, that is a branch of the step: a step on which it does
not is a path that cannot be learned, and the loop runs on the tape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced, bind, fresh, resolve
from unspool.ir.program import Literal
from unspool.layout import ArrayType
from unspool.ops.convert import astype, truncated, whole
from unspool.tracer import Tracer

_FLOAT, _INT = np.dtype(np.float64), np.dtype(np.int64)
_HALF = 2**30  # of what a program takes whole numbers to be below: a counter may add as much


def is_carried(t: ArrayType) -> bool:
    """Whether a compiled loop can have arrays of this type in its state and its xs."""
    return t.dtype in (_FLOAT, _INT, bool)


def as_float(t: ArrayType) -> ArrayType:
    """The type that the machine code has in its place."""
    return ArrayType(_FLOAT, t.shape)


def as_floats(arrays: Sequence[Any], what: str) -> list[Any]:
    """The arrays as the machine code has them. Raises `UnsupportedError` where a whole number is too large."""
    for array in arrays:
        if array.dtype == _INT and array.size and not -_HALF < np.min(array) <= np.max(array) < _HALF:
            raise UnsupportedError(
                f"{what} has whole numbers of 2**30 or more: machine code may not be exact with them"
            )
    return [x if x.dtype == _FLOAT else np.asarray(x, _FLOAT)[()] for x in arrays]


def as_given(arrays: Sequence[Any], types: Sequence[ArrayType]) -> list[Any]:
    """The arrays as they were before `as_floats`."""
    return [x if t.dtype == _FLOAT else np.asarray(x).astype(t.dtype) for x, t in zip(arrays, types, strict=True)]


def as_typed(values: Sequence[Any], types: Sequence[ArrayType]) -> list[Any]:
    """Traced floats as the whole numbers and truths that they stand for."""
    found = []
    for value, t in zip(values, types, strict=True):
        if t.dtype == _INT:
            value = bind(whole, value)
        elif t.dtype != _FLOAT:
            value = bind(truncated, value, dtype=t.dtype)
        found.append(value)
    return found


def as_traced_floats(
    new: Sequence[Any],
    old: Sequence[Any],
    types: Sequence[ArrayType],
    tracer: Tracer,
    *,
    n_steps: int | None,
    name: str,
) -> list[Any]:
    """What a step has made of its state, with floats for whole numbers that stay below the bound."""
    found = []
    for value, before, t in zip(new, old, types, strict=True):
        if t.dtype != _FLOAT:
            value = _on(tracer, value)
            if ArrayType.of(value) != t:
                raise UnsupportedError(f"the step of {name} returns {ArrayType.of(value)} in the place of {t}")
            is_small = t.dtype != _INT or _stays_small(value, _on(tracer, before), tracer, n_steps)
            if not is_small and not np.all(np.abs(value) < _HALF):
                raise UnsupportedError(f"a whole number in the state of {name} reaches 2**30")
            value = bind(astype, value, dtype=_FLOAT) if isinstance(value, Traced) else np.asarray(value, _FLOAT)[()]
        found.append(value)
    return found


def _on(tracer: Tracer, value: Any) -> Any:
    """The value as the tracer knows it: whole numbers have no derivative for the listeners above."""
    value = resolve(value)
    while isinstance(value, Traced) and fresh(value).listener is not tracer:
        value = fresh(value).value
    return value


def _stays_small(value: Any, before: Any, tracer: Tracer, n_steps: int | None) -> bool:
    """Whether a whole number is the one before plus a constant, and the steps are so few that it stays small."""
    if not isinstance(value, Traced):
        return bool(np.all(np.abs(value) < _HALF))
    if value.node == before.node:
        return True
    maker = next((e for e in reversed(tracer.equations) if value.node in e.outputs), None)
    if maker is None or n_steps is None or maker.primitive.name not in ("add", "subtract"):
        return False
    consts = dict(tracer.consts)
    first, second = maker.operands
    if maker.primitive.name == "add" and second == before.node:
        first, second = second, first
    if first != before.node or not (isinstance(second, Literal) or second in consts):
        return False
    step = second.value if isinstance(second, Literal) else consts[second]
    return bool(n_steps * float(np.max(np.abs(step), initial=0)) < _HALF)

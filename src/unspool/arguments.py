"""What transforms do with arguments and results: check, copy, flatten, and take levels of tracing off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unspool.errors import InputError
from unspool.ir.listener import Traced, fresh, primal, refuse_subclass, resolve, still
from unspool.layout import ArrayType, copied
from unspool.tape import Tape
from unspool.tree import Structure, flatten

Function = Callable[..., Any]


def as_input(value: Any, where: str) -> Any:
    """A leaf with respect to which we differentiate: a private copy, so that a later write into it changes nothing."""
    value = resolve(value)
    if isinstance(value, Traced):
        return still(fresh(value))
    if isinstance(value, bool | int | np.bool_ | np.integer) or (
        isinstance(value, np.ndarray) and value.dtype.kind in "biu"
    ):
        raise InputError(
            f"{where} is of type {ArrayType.of(value)}: the derivative with respect to integers or booleans is not "
            "defined. Pass a float (2.0 for 2, x.astype(float)), or leave the argument out of argnums."
        )
    if isinstance(value, float | complex | np.floating | np.complexfloating):
        return np.asarray(value)[()]
    if isinstance(value, np.ndarray) and value.dtype.kind in "fc":
        refuse_subclass(value, where)
        return copied(value)
    kind = f"dtype {value.dtype}" if isinstance(value, np.ndarray) else f"type {type(value).__name__}"
    raise InputError(
        f"{where} is of {kind}, with respect to which nothing can be differentiated. Pass arrays or floats, nested in "
        "lists, tuples, dicts, dataclasses, or leave the argument out of argnums."
    )


def as_inputs(values: Sequence[Any], positions: Sequence[int]) -> tuple[list[Any], list[Structure]]:
    """Every leaf of the arguments at these positions as an input, and the structure of each argument."""
    leaves: list[Any] = []
    structures = []
    for position, value in zip(positions, values, strict=True):
        if value is None:
            raise InputError(
                f"argument {position} is None, with respect to which nothing can be differentiated. Pass an array or a "
                "float, or leave the argument out of argnums."
            )
        part, structure = flatten(value)
        where = [f"argument {position}{path}" for path in structure.paths()]
        leaves += [as_input(leaf, name) for leaf, name in zip(part, where, strict=True)]
        structures.append(structure)
    return leaves, structures


def plain_copies(values: Sequence[Any]) -> list[Any]:
    """Plain copies, into which a function may write."""
    return [np.array(primal(value))[()] for value in values]


def unflatten(structures: Sequence[Structure], leaves: Sequence[Any]) -> list[Any]:
    """The nests of these structures, whose leaves come one after the other."""
    rest = iter(leaves)
    return [s.unflatten([next(rest) for _ in range(s.n_leaves)]) for s in structures]


def positions_of(argnums: int | Sequence[int], n: int) -> tuple[int, ...]:
    """What argnums means for a call with n positional arguments."""
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for number in numbers:
        if not isinstance(number, int) or not -n <= number < n:
            raise InputError(f"argnums={argnums!r}, but the function was called with {n} positional arguments")
    positions = tuple(number % n for number in numbers)
    if len(set(positions)) < len(positions):
        raise InputError(f"argnums={argnums!r} names an argument twice: give every position once")
    return positions


def replaced(args: tuple[Any, ...], positions: Sequence[int], values: Sequence[Any]) -> list[Any]:
    """The arguments with others at these positions."""
    result = list(args)
    for position, value in zip(positions, values, strict=True):
        result[position] = value
    return result


def owned(cts: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    """Gradients as arrays of their own: zeros where nothing arrived, never a view of, or the same array as, another."""
    result: list[Any] = []
    seen: set[int] = set()
    for ct, value in zip(cts, inputs, strict=True):
        if ct is None:
            ct = np.zeros(value.shape, value.dtype)
        elif isinstance(ct, np.ndarray) and (ct.base is not None or not ct.flags.writeable or id(ct) in seen):
            ct = np.array(ct)
        seen.add(id(ct))
        result.append(ct if isinstance(ct, Traced) or value.shape else ct[()])
    return result


def without(tape: Tape, nest: Any, *, copy: bool) -> Any:
    """The nest with this tape's level of tracing taken off."""
    leaves, structure = flatten(nest)
    return structure.unflatten([taken_off(tape, leaf, copy=copy) for leaf in leaves])


def taken_off(tape: Tape, leaf: Any, *, copy: bool) -> Any:
    """The leaf with this tape's level of tracing taken off."""
    if isinstance(leaf, Traced) and fresh(leaf).listener is tape:
        value = leaf.value
        if isinstance(value, Traced):
            return still(value)
        return np.array(value, order="K") if copy and isinstance(value, np.ndarray) else tape.overwritten.lasting(value)
    return leaf


def name_of(f: Function) -> str:
    """What to call a function in a message."""
    return getattr(f, "__name__", repr(f))


def pair_of(out: Any, name: str) -> tuple[Any, Any]:
    """The two parts of what a function with has_aux returned."""
    if not isinstance(out, tuple) or len(out) != 2:
        raise InputError(f"{name} returned {type(out).__name__}; has_aux=True expects a pair (result, aux)")
    return out


def result_leaves(nest: Any, name: str) -> tuple[list[Any], Structure]:
    """The leaves of what a function returned; in anything but arrays and numbers a derivative could hide."""
    leaves, structure = flatten(nest)
    for leaf, path in zip(leaves, structure.paths(), strict=True):
        if not isinstance(leaf, Traced) and np.asarray(leaf).dtype.kind not in "biufc":
            kind = f"dtype {leaf.dtype}" if hasattr(leaf, "dtype") else f"type {type(leaf).__name__}"
            raise InputError(
                f"{name} returned{f' at {path}' if path else ''} something of {kind}, in which a derivative would be "
                "lost. Return arrays and numbers nested in lists, tuples, dicts, dataclasses (np.stack joins traced "
                "values into one array), and other things as aux with has_aux=True."
            )
    return leaves, structure


def checked_loss(out: Any, name: str) -> Any:
    """Refuse what is not one real number."""
    if out is None:
        raise InputError(f"{name} returned None: a function to be differentiated must return its loss")
    if not hasattr(out, "shape") and not isinstance(out, float | int | complex):
        raise InputError(
            f"{name} returned {type(out).__name__}, not one number. Return the loss alone, or (loss, aux) with "
            "has_aux=True."
        )
    found = ArrayType.of(out)
    if found.shape != ():
        raise InputError(
            f"{name} returned an array {found}, not one number. Reduce it, for example with np.sum, or use "
            "unspool.jacobian or unspool.vjp for functions with many results."
        )
    if found.dtype.kind not in "biufc":
        raise InputError(
            f"{name} returned an array of dtype {found.dtype}, in which the derivative would be lost: return the "
            "traced value itself."
        )
    if found.dtype.kind == "c":
        raise InputError(
            f"{name} returned a complex number: the gradient is that of a real loss. Take np.real or np.abs of it, or "
            "use unspool.vjp."
        )
    return out


def directions_like(nest: Any, structure: Structure, types: Sequence[ArrayType], what: str) -> list[Any]:
    """The leaves of a tangent or cotangent, checked against what it belongs to."""
    leaves, found = flatten(nest)
    if found != structure:
        raise InputError(f"{what} has the structure {found}; expected {structure}")
    result = []
    for leaf, t, path in zip(leaves, types, structure.paths(), strict=True):
        value: Any = leaf if isinstance(leaf, Traced) else np.array(leaf)  # a copy: rules may hand it on as a result
        if (
            value.shape != t.shape
            or (value.dtype.kind == "c" and t.dtype.kind != "c")
            or value.dtype.kind not in "biufc"
        ):
            raise InputError(f"{what}{path} is {ArrayType.of(value)}; expected {t}")
        if value.dtype != t.dtype and t.dtype.kind in "fc":
            value = value.astype(t.dtype)
        result.append(value if isinstance(value, Traced) or t.shape else value[()])
    return result


def zeros_like(value: Any) -> Any:
    """A zero tangent for a value."""
    t = ArrayType.of(value)
    return np.zeros(t.shape, t.dtype if t.dtype.kind in "fc" else float)[()]

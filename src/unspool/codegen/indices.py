"""What an element of an array is made of: operations that move elements about, as functions of the index.

In a loop nest over i0, i1, ... each axis of an array is read at ``scale * i_d + offset``. A slice adds to the offset, a
transpose exchanges the axes, a roll has two pieces, a block placed in zeros has one piece and bounds outside of which
there is nothing. So a stencil and its adjoint are both gathers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, product
from math import prod
from typing import Any

import numpy as np

from unspool.ir.program import Equation, Literal
from unspool.ops.index import is_basic

Shape = tuple[int, ...]
Axis = tuple[int, int, int]
"""(d, scale, offset): the index ``scale * i_d + offset``; d is -1 for a constant."""

Index = tuple[Axis, ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """Holds where ``start <= i_dim < stop``."""

    dim: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Piece:
    """An operand of an equation, by position, at an index, where the bounds hold."""

    operand: int
    index: Index
    bounds: tuple[Bound, ...] = ()


def identity(shape: Shape) -> Index:
    """Every axis at the loop index of its own."""
    return tuple([(d, 1, 0) if n > 1 else (-1, 0, 0) for d, n in enumerate(shape)])


def moved(index: Index, origin: Shape) -> Index:
    """The index for a domain whose first element stands at ``origin`` of another one."""
    return tuple([(d, a, b - a * origin[d]) if d >= 0 else (d, a, b) for d, a, b in index])


def pieces(equation: Equation, index: Index) -> list[Piece] | None:
    """What the result at ``index`` is: the first piece whose bounds hold, nothing where none does.

    None where the operation does not move elements in this way.
    """
    params = dict(equation.params)
    shapes = [() if isinstance(a, Literal) else a.type.shape for a in equation.operands]
    match equation.primitive.name:
        case "getitem":
            if not is_basic(params["index"]):
                return None
            return [Piece(0, read(params["index"], shapes[0], index))]
        case "place":
            return _written(params["index"], params["shape"], shapes[0], index, operand=0)
        case "store":
            part = _written(params["index"], shapes[0], shapes[1], index, operand=1)
            return None if part is None else [*part, Piece(0, index)]
        case "transpose":
            axes = params["axes"]
            return [Piece(0, tuple([index[axes.index(k)] for k in range(len(axes))]))]
        case "broadcast_to":
            return [Piece(0, broadcast(index, shapes[0]))]
        case "reshape":
            return _reshaped(equation.outputs[0].type.shape, shapes[0], index)
        case "roll":
            return [*_rolled(params["shift"], params["axis"], shapes[0], index)]
        case "concatenate":
            return [*_joined([shape[params["axis"]] for shape in shapes], params["axis"], index)]
        case "stack":
            axis = params["axis"]
            lengths = [1] * len(shapes)
            return [
                Piece(p.operand, (*p.index[:axis], *p.index[axis + 1 :]), p.bounds)
                for p in _joined(lengths, axis, index)
            ]
        case "copy":
            return [Piece(0, index)]
    return None


def summands(equation: Equation, index: Index) -> list[Index]:
    """The indices of the elements of which one element of a reduction is made, in order."""
    (operand,) = equation.operands
    assert not isinstance(operand, Literal)
    params, shape = dict(equation.params), operand.type.shape
    rest = iter(index)
    axes: list[list[Axis]] = []
    for k, n in enumerate(shape):
        if k in params["axis"]:
            if params["keepdims"]:
                next(rest)
            axes.append([(-1, 0, position) for position in range(n)])
        else:
            axes.append([next(rest)])
    return [*product(*axes)]


def broadcast(index: Index, shape: Shape) -> Index:
    """The index of an operand of this shape, by NumPy's broadcasting."""
    tail = index[len(index) - len(shape) :]
    return tuple([axis if n > 1 else (-1, 0, 0) for axis, n in zip(tail, shape, strict=True)])


def read(key: tuple[Any, ...], shape: Shape, index: Index) -> Index:
    """Where in an array of this shape the element ``index`` of its part ``key`` stands; the key is basic."""
    found = []
    for part, n, axis in _parts(key, shape, index):
        if isinstance(part, int):
            found.append((-1, 0, part))
        else:
            start, _, step = part.indices(n)
            d, scale, offset = axis
            found.append((d, scale * step, start + step * offset))
    return tuple(found)


def _parts(key: tuple[Any, ...], shape: Shape, index: Index) -> Iterator[tuple[Any, int, Axis]]:
    """The axes of an array, each with its part of a basic key and the axis of the result that it becomes."""
    n_real = sum([part is not None and part is not Ellipsis for part in key])
    filled: list[Any] = []
    for part in key:
        filled += [slice(None)] * (len(shape) - n_real) if part is Ellipsis else [part]
    if not any(part is Ellipsis for part in key):
        filled += [slice(None)] * (len(shape) - n_real)
    lengths, axes = iter(shape), iter(index)
    for part in filled:
        if part is None:
            next(axes, None)
            continue
        n = next(lengths)
        if isinstance(part, slice):
            yield part, n, next(axes, (-1, 0, 0))
        else:
            yield (part + n if part < 0 else part), n, (-1, 0, 0)


def _written(key: tuple[Any, ...], shape: Shape, part_shape: Shape, index: Index, operand: int) -> list[Piece] | None:
    """The piece of a block written at ``key``, in terms of the index of the whole."""
    if not is_basic(key):
        return None
    placeholder: Index = tuple([(k, 1, 0) for k in range(len(np.empty(shape, "V0")[key].shape))])
    lengths = np.empty(shape, "V0")[key].shape
    inner: list[Axis] = [(-1, 0, 0)] * len(placeholder)
    bounds: list[Bound] = []
    for (part, n, (k, _, _)), axis in zip(_parts(key, shape, placeholder), index, strict=True):
        if isinstance(part, int):
            found: tuple[Axis, Bound | bool] | None = (-1, 0, 0), _where(axis, part, part + 1)
        else:
            start, _, step = part.indices(n)
            found = _inverse(axis, start, step, lengths[k])
        if found is None:
            return None
        if found[1] is False:
            return []
        if isinstance(found[1], Bound):
            bounds.append(found[1])
        if not isinstance(part, int):
            inner[k] = found[0]
    more = max(0, len(part_shape) - len(inner))  # axes of length one that the part has in front
    return [Piece(operand, ((-1, 0, 0),) * more + broadcast(tuple(inner), part_shape[more:]), tuple(bounds))]


def _inverse(axis: Axis, start: int, step: int, length: int) -> tuple[Axis, Bound | bool] | None:
    """Where in a slice an index of the whole lies, and when it does; None if only every other index does."""
    d, scale, offset = axis
    if scale % step:
        return None
    if (offset - start) % step:
        return axis, False
    inner = d, scale // step, (offset - start) // step
    return inner, _where(inner, 0, length)


def _where(axis: Axis, start: int, stop: int) -> Bound | bool:
    """When an index lies in start .. stop - 1."""
    d, scale, offset = axis
    if d < 0 or scale == 0:
        return start <= offset < stop
    if scale > 0:
        return Bound(d, -((offset - start) // scale), -((offset - stop) // scale))
    return Bound(d, (offset - stop) // -scale + 1, (offset - start) // -scale + 1)


def _reshaped(shape: Shape, source: Shape, index: Index) -> list[Piece] | None:
    """Only axes of length one may come and go; anything else is a matter of memory."""
    if [n for n in shape if n != 1] != [n for n in source if n != 1]:
        return None
    rest = iter([axis for axis, n in zip(index, shape, strict=True) if n != 1])
    return [Piece(0, tuple([next(rest) if n != 1 else (-1, 0, 0) for n in source]))]


def _rolled(shifts: tuple[int, ...], axes: tuple[int, ...], shape: Shape, index: Index) -> Iterator[Piece]:
    total = [0] * len(shape)
    for by, k in zip(shifts, axes, strict=True):
        total[k] = (total[k] + by) % max(1, shape[k])
    choices: list[list[tuple[Axis, Bound | bool]]] = []
    for axis, n, shift in zip(index, shape, total, strict=True):
        d, scale, offset = axis
        if shift == 0:
            choices.append([(axis, True)])
        else:
            choices.append(
                [
                    ((d, scale, offset - shift), _where(axis, shift, n)),
                    ((d, scale, offset - shift + n), _where(axis, 0, shift)),
                ]
            )
    for choice in product(*choices):
        yield from _piece(0, tuple([axis for axis, _ in choice]), [bound for _, bound in choice])


def _joined(lengths: list[int], axis: int, index: Index) -> Iterator[Piece]:
    d, scale, offset = index[axis]
    for k, (start, n) in enumerate(zip(accumulate(lengths, initial=0), lengths, strict=False)):
        inner = (d, scale, offset - start)
        place = inner if n > 1 else (-1, 0, 0)
        yield from _piece(k, (*index[:axis], place, *index[axis + 1 :]), [_where(inner, 0, n)])


def _piece(operand: int, index: Index, bounds: list[Any]) -> Iterator[Piece]:
    if False not in bounds:
        yield Piece(operand, index, tuple([b for b in bounds if b is not True]))


def size(shape: Shape) -> int:
    """The number of elements."""
    return prod(shape)

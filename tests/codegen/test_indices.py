"""Operations that move elements about, as functions of the index, against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unspool.numpy as unp
from tests.codegen.plain import agree
from unspool import fori_loop
from unspool.codegen.indices import (
    Bound,
    Index,
    Piece,
    broadcast,
    identity,
    moved,
    pieces,
    read,
    size,
    summands,
)
from unspool.ir.evaluate import evaluate
from unspool.ir.listener import bind
from unspool.ir.program import Literal, Program
from unspool.ir.simplify import simplify
from unspool.layout import ArrayType
from unspool.ops.convert import copy
from unspool.ops.index import place
from unspool.tracer import trace

U = np.sin(np.arange(24.0)).reshape(6, 4)

Key = tuple[Any, ...]
Operation = Callable[..., Any]


# --- one element of a program -----------------------------------------------------------------------------------------
def _element(program: Program, args: list[np.ndarray], atom: Any, index: Index, at: tuple[int, ...]) -> float:
    """An element of a value as its pieces say, from piece to piece down to the inputs; ``at`` are the loop indices."""
    if isinstance(atom, Literal):
        return float(atom.value)
    known = {**dict(zip(program.inputs, args, strict=True)), **dict(program.consts)}
    if atom in known:
        place = [scale * at[d] + offset if d >= 0 else offset for d, scale, offset in index]
        assert all(0 <= k < n for k, n in zip(place, atom.type.shape, strict=True)), (place, atom.type)
        return float(known[atom][tuple(place)])
    (equation,) = [e for e in program.equations if atom in e.outputs]
    found = pieces(equation, index)
    assert found is not None
    for piece in found:
        if all(bound.start <= at[bound.dim] < bound.stop for bound in piece.bounds):
            return _element(program, args, equation.operands[piece.operand], piece.index, at)
    return 0.0


def _agrees(f: Operation, *args: np.ndarray) -> None:
    program = simplify(trace(f, *map(ArrayType.of, args)))
    (expected,) = evaluate(program, *args)
    (output,) = program.outputs
    found = np.array(
        [
            _element(program, [*args], output, identity(np.shape(expected)), at)
            for at in product(*[range(n) for n in np.shape(expected)])
        ]
    )
    np.testing.assert_array_equal(found.reshape(np.shape(expected)), expected)


def _numbered(*shape: int) -> np.ndarray:
    """Every element says where it stands."""
    return np.arange(1.0, 1.0 + size(shape)).reshape(shape)


# --- random operations ------------------------------------------------------------------------------------------------
SLICES = st.builds(
    slice,
    st.none() | st.integers(-7, 7),
    st.none() | st.integers(-7, 7),
    st.none() | st.sampled_from([1, 1, 2, 3, -1, -2, -4]),
)


@st.composite
def keys(draw: Any, shape: tuple[int, ...], steps: tuple[int, ...] | None = None) -> Key:
    """A basic key of an array of this shape; ``steps`` restricts those of its slices."""
    parts: list[Any] = []
    for n in shape[: draw(st.integers(0, len(shape)))]:
        part = draw(SLICES | st.integers(-n, n - 1) if n else SLICES)
        if steps is not None and isinstance(part, slice):
            part = slice(part.start, part.stop, draw(st.sampled_from(steps)))
        parts.append(part)
    for _ in range(draw(st.integers(0, 2))):
        parts.insert(draw(st.integers(0, len(parts))), None)
    if draw(st.booleans()):  # behind the numbers, so that these count the axes that they were drawn for
        behind = max([k + 1 for k, part in enumerate(parts) if isinstance(part, int)], default=0)
        parts.insert(draw(st.integers(behind, len(parts))), Ellipsis)
    return tuple(parts)


SHAPES = st.lists(st.sampled_from([0, 1, 1, 2, 3, 5, 6]), max_size=3).map(tuple)


def _part(a: Any, key: Key) -> tuple[int, ...]:
    return np.empty(a.shape)[key].shape


@st.composite
def operations(draw: Any, shape: tuple[int, ...]) -> tuple[str, Operation]:
    """An operation on an array of this shape that moves its elements."""
    n_axes = len(shape)
    names = ["getitem", "place", "store", "stored", "transpose", "broadcast", "reshape", "stack", "copy"]
    name = draw(st.sampled_from(names + ["roll", "concatenate"] * (n_axes > 0)))
    axis = draw(st.integers(0, n_axes - 1)) if n_axes else 0
    if name == "getitem":
        key = draw(keys(shape))
        return name, lambda a: a[key]
    if name in ("place", "store", "stored"):
        larger = tuple([n + draw(st.integers(0, 4)) for n in shape])
        starts = [draw(st.integers(0, m - n)) for n, m in zip(shape, larger, strict=True)]
        if name == "place":
            turned = [draw(st.booleans()) for _ in shape]
            key = tuple(
                slice(b + n - 1, b - 1 if b else None, -1) if turn and n else slice(b, b + n)
                for b, n, turn in zip(starts, shape, turned, strict=True)
            )
            return name, lambda a: bind(place, a, index=key, shape=larger)
        if name == "stored":  # a number, or a smaller array, into this one
            key = draw(keys(shape, steps=(1, -1)))
            part = np.empty(shape)[key].shape
            cut = draw(st.integers(0, len(part)))
            value = -_numbered(*[1 if draw(st.booleans()) else n for n in part[cut:]])

            def stored(a: Any) -> Any:
                b = copied(a)
                b[key] = value
                return b

            return name, stored
        key = tuple(slice(b, b + n) for b, n in zip(starts, shape, strict=True))

        def store(a: Any) -> Any:
            b = unp.zeros(larger) + np.float64(-9.0)
            b[key] = a
            return b

        return name, store
    if name == "transpose":
        axes = draw(st.permutations(range(n_axes)))
        return name, lambda a: np.transpose(a, axes)
    if name == "broadcast":
        front = draw(st.lists(st.sampled_from([1, 2]), max_size=1))
        wide = (*front, *[draw(st.sampled_from([1, 3])) if n == 1 else n for n in shape])
        return name, lambda a: np.broadcast_to(a, wide)
    if name == "reshape":  # axes of length one come and go
        kept = [n for n in shape if n != 1]
        for _ in range(draw(st.integers(0, 2))):
            kept.insert(draw(st.integers(0, len(kept))), 1)
        return name, lambda a: np.reshape(a, kept)
    if name == "stack":
        place_of = draw(st.integers(0, n_axes))
        return name, lambda a: np.stack([a, a, np.zeros(shape)], axis=place_of)
    if name == "roll":
        axes = draw(st.lists(st.integers(0, n_axes - 1), min_size=1, max_size=3))
        shifts = [draw(st.integers(-7, 7)) for _ in axes]
        return name, lambda a: np.roll(a, shifts, axis=axes)
    if name == "concatenate":
        more = [n if k != axis else draw(st.integers(0, 2)) for k, n in enumerate(shape)]
        order = draw(st.permutations([0, 1, 2]))
        return name, lambda a: np.concatenate([[a, -_numbered(*more), a][k] for k in order], axis=axis)
    return "copy", copied


def copied(a: Any) -> Any:
    """A copy that is an operation of its own."""
    return bind(copy, a)


@settings(max_examples=300)
@given(data=st.data(), shape=SHAPES, n=st.integers(1, 4))
def test_chains_of_operations_are_read_at_the_elements_that_numpy_puts_there(data: Any, shape: Any, n: int) -> None:
    chain: list[Operation] = []
    value = _numbered(*shape)
    for _ in range(n):
        _, operation = data.draw(operations(value.shape))
        following = np.asarray(evaluate(trace(operation, ArrayType.of(value)), value)[0])
        if following.size > 300 or following.ndim > 5:
            break
        chain.append(operation)
        value = following

    def f(a: Any) -> Any:
        for operation in chain:
            a = operation(a)
        return copied(a)

    _agrees(f, _numbered(*shape))


@given(data=st.data(), shape=SHAPES)
def test_the_part_at_a_key_is_read_where_numpy_reads_it(data: Any, shape: Any) -> None:
    key = data.draw(keys(shape))
    a = _numbered(*shape)
    part = a[key]
    index = read(key, shape, identity(part.shape))
    for at in np.ndindex(*part.shape):
        assert a[tuple([s * at[d] + b if d >= 0 else b for d, s, b in index])] == part[at]


@given(data=st.data(), shape=SHAPES)
def test_only_every_other_element_is_no_piece(data: Any, shape: Any) -> None:
    """Every other element of a larger array is written by Python, unless there is only one."""
    part = tuple([n for n in shape if n])
    larger = tuple([2 * n + 1 for n in part])
    program = trace(
        lambda a: bind(place, a, index=tuple([slice(1, None, 2)] * len(part)), shape=larger),
        ArrayType(np.dtype(float), part),
    )
    found = pieces(program.equations[0], identity(larger))
    assert (found is None) == bool(part)


# --- single cases -----------------------------------------------------------------------------------------------------
def test_what_moves_no_elements_has_no_pieces() -> None:
    f = ArrayType(np.dtype(float), (3, 4))
    for g in (np.sin, np.sum, lambda a: a @ a.T, lambda a: a[np.array([0, 2])], lambda a: np.reshape(a, (4, 3))):
        equation = trace(g, f).equations[-1]
        assert pieces(equation, identity(equation.outputs[0].type.shape)) is None


def test_a_roll_has_two_pieces_and_a_block_has_bounds() -> None:
    f = ArrayType(np.dtype(float), (8,))
    roll = trace(lambda a: np.roll(a, 3), f).equations[0]
    assert pieces(roll, identity((8,))) == [
        Piece(0, ((0, 1, -3),), (Bound(0, 3, 8),)),
        Piece(0, ((0, 1, 5),), (Bound(0, 0, 3),)),
    ]
    block = trace(lambda a: bind(place, a, index=(slice(2, 10),), shape=(12,)), f).equations[0]
    assert pieces(block, identity((12,))) == [Piece(0, ((0, 1, -2),), (Bound(0, 2, 10),))]


def test_an_axis_of_length_one_has_one_index() -> None:
    assert identity((3, 1, 2)) == ((0, 1, 0), (-1, 0, 0), (2, 1, 0))
    assert broadcast(identity((5, 3)), (1,)) == ((-1, 0, 0),)
    assert broadcast(identity((5, 3)), (3,)) == ((1, 1, 0),)
    assert broadcast(identity((5, 3)), ()) == ()


def test_an_index_moves_with_its_domain() -> None:
    """Element i of the smaller domain stands at i + origin of the larger one."""
    index = ((0, 1, 4), (-1, 0, 7), (1, -2, 3))
    assert moved(index, (2, 5)) == ((0, 1, 2), (-1, 0, 7), (1, -2, 13))


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, (0, 2), ()])
def test_the_summands_of_an_element(axis: Any, keepdims: bool) -> None:
    a = _numbered(2, 3, 2)
    program = trace(lambda a: np.sum(a, axis=axis, keepdims=keepdims), ArrayType.of(a))
    (expected,) = evaluate(program, a)
    for at in np.ndindex(*np.shape(expected)):
        index = tuple([(-1, 0, k) for k in at])
        found = [a[tuple([offset for _, _, offset in place])] for place in summands(program.equations[0], index)]
        assert sum(found) == np.asarray(expected)[at]
        assert found == sorted(found)


# --- in loops ---------------------------------------------------------------------------------------------------------
def test_an_axis_of_length_one_has_one_index_where_arrays_are_joined() -> None:
    """A row that is written with a step of two, and read behind five others."""

    def loss(u: Any, **options: Any) -> Any:
        def step(k: int, u: Any) -> Any:
            row = unp.zeros((1, 20))
            row[::2] = 2 * u[3:4]
            return np.concatenate([u[1:], row])

        return np.sum(fori_loop(0, 5, step, u, **options) ** 2)

    agree(loss, np.sin(np.arange(120.0)).reshape(6, 20))


def test_a_part_may_have_more_axes_than_the_place_that_it_is_written_to() -> None:
    def loss(u: Any, **options: Any) -> Any:
        def step(k: int, u: Any) -> Any:
            v = u * 0.9
            v[1:3, 2] = np.ones((1, 1, 2)) * u[0, 0]
            return v

        return np.sum(fori_loop(0, 5, step, u, **options) ** 2)

    agree(loss, U)

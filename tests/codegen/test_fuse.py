"""What gets memory, what is computed together, in which order, and what may be written over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from tests.codegen.field_steps import CAPTURES, HOW, LINES, SHAPES, arrays, make_step
from tests.codegen.kernels import Carried, check, program_of
from tests.codegen.plain import agree
from tests.oracles import same_bits
from unspool import fori_loop
from unspool.codegen.fuse import SMALL, Fusion, kind_of, work
from unspool.codegen.indices import identity
from unspool.ir.listener import bind
from unspool.ir.program import Program, Var
from unspool.ops.index import place

U = np.sin(np.arange(40.0))
V = np.cos(np.arange(40.0))
M = np.sin(np.arange(1600.0)).reshape(40, 40)


def _fusion(f: Any, *args: Any) -> Fusion:
    program = program_of(f, *args)
    return Fusion(program, [*program.inputs, *[var for var, _ in program.consts]], program.outputs)


def _names(fusion: Fusion, variables: Any) -> list[str]:
    return sorted(fusion.producer[var].primitive.name for var in variables)


# --- kinds ------------------------------------------------------------------------------------------------------------
KINDS: list[tuple[str, Any, list[np.ndarray]]] = [
    ("fused", np.sin, [U]),
    ("fused", lambda u: u[::-2], [U]),
    ("fused", lambda u: np.roll(u, 3), [U]),
    ("fused", lambda u: np.where(u > 0, u, 1.0), [U]),
    ("fused", lambda u: np.reshape(u, (40, 1)), [U]),
    ("fused", np.sum, [U[:SMALL]]),
    ("sum", np.sum, [U]),
    ("sum", lambda u: np.max(u, axis=1), [M]),
    ("call", np.sum, [U[:0]]),
    ("call", np.prod, [U]),
    ("view", lambda u: np.reshape(u, (8, 5)), [U]),
    ("filled", np.zeros_like, [U]),
    ("product", lambda u, m: m @ u, [U, M]),
    ("product", np.dot, [U, V]),
    ("product", lambda m, n: m @ n, [M, M]),
    ("call", lambda m: np.stack([m, m]) @ m, [M]),
    ("call", lambda u, m: np.linalg.solve(m, u), [U, M]),
    ("call", lambda u: u[np.array([0, 5, 0])], [U]),
    ("call", lambda u: bind(place, u, index=(slice(0, 80, 2),), shape=(80,)), [U]),
    ("call", np.cumsum, [U]),
    ("call", lambda m: np.linalg.eigh(m)[1], [M]),
]


@pytest.mark.parametrize(("kind", "f", "args"), KINDS, ids=range(len(KINDS)))
def test_how_an_equation_is_carried_out(kind: str, f: Any, args: list[np.ndarray]) -> None:
    program = program_of(f, *args)
    assert kind_of(program.equations[-1]) == kind
    assert work(program.equations[-1]) >= 0
    if "eigh" not in str(program):
        check(f, *args)


# --- memory -----------------------------------------------------------------------------------------------------------
def test_only_results_and_what_works_on_memory_are_stored() -> None:
    fusion = _fusion(lambda u: np.sin(u * 2.0 + 1.0) * 0.5, U)
    assert _names(fusion, fusion.stored) == ["multiply"]
    assert len(fusion.stored) == 1
    fusion = _fusion(lambda u: (u * 2.0)[np.array([3, 0, 3] * 9)] + 1.0, U)
    assert _names(fusion, fusion.stored) == ["add", "multiply"]
    fusion = _fusion(lambda u: np.reshape(u + 1.0, (8, 5))[1:] * 2.0, U)
    assert _names(fusion, fusion.stored) == ["add", "multiply"]
    fusion = _fusion(lambda u: np.sum(np.sin(u)), U)
    assert not fusion.stored


def test_what_is_dear_and_asked_for_several_times_is_stored_and_what_is_cheap_is_not() -> None:
    def stencil(f: Any) -> Any:
        def of(u: Any) -> Any:
            w = f(u)
            return w[2:] + w[:-2] - 2 * w[1:-1]

        return of

    dear = _fusion(stencil(lambda u: np.exp(np.sin(u))), U)
    assert {"exp", "subtract"}.issubset(_names(dear, dear.stored))
    cheap = _fusion(stencil(lambda u: u * u), U)
    assert _names(cheap, cheap.stored) == ["subtract"]


def test_few_numbers_have_names_unless_a_loop_goes_through_them() -> None:
    fusion = _fusion(lambda u: np.sin(u[:3]) * 2.0, U)
    assert fusion.named == {*fusion.producer}
    stored = [var for var in fusion.stored if var not in fusion.program.outputs]
    assert not stored
    fusion = _fusion(lambda u: np.concatenate([np.sin(u[:3]), u, np.sin(u[:2])]), U)
    assert {"sin", "concatenate"} == set(_names(fusion, fusion.stored))


def test_a_few_numbers_are_summed_one_by_one() -> None:
    """Small arrays are numbers with names: where a loop goes through them they are in memory."""

    def loss(u: Any, **options: Any) -> Any:
        def step(k: int, u: Any) -> Any:
            return u * 0.9 + 0.1 * np.sum(u * u) + 0.01 * np.max(u * 2) - 0.02 * np.dot(u + 1, u - 1)

        return np.sum(fori_loop(0, 5, step, u, **options) ** 2)

    agree(loss, np.array([0.3, -0.2, 0.5]))


# --- order ------------------------------------------------------------------------------------------------------------
def test_values_of_one_domain_share_a_nest_and_wait_for_nothing() -> None:
    fusion = _fusion(lambda u, v: (u * 2, v * 3, u + v, np.sin(u)[1:], np.sum(u) * u), U, V)
    first, *_, last = fusion.stages
    assert [len(group.values) for group in first.nests] == [4]
    assert [group.shape for group in first.nests] == [(40,)]
    assert sorted({*next(iter(first.nests)).values.values()}) == [(0,), (1,)]  # sin(u)[1:] where it reads u
    assert [e.primitive.name for e in first.others] == ["sum"]
    assert [len(group.values) for group in last.nests] == [1]


def test_a_value_that_is_read_beside_itself_is_finished_first() -> None:
    def f(u: Any) -> Any:
        w = np.exp(np.sin(u))
        return w, np.roll(w, 1) + w, w * 2

    fusion = _fusion(f, U)
    assert [len(group.values) for stage in fusion.stages for group in stage.nests] == [2, 1]


def _program(lines: Any, how: int, shapes: Any) -> tuple[Program, list[Any]]:
    """A random step as one program, its number 2.0, and inputs for it."""
    step = make_step(lines, how)
    groups = [arrays(shapes), arrays(CAPTURES, 0.5), arrays([(4,)], 0.9)]
    n, m = len(shapes), len(shapes) + len(CAPTURES)

    def f(*args: Any) -> Any:
        new, outputs = step(np.float64(2.0), [*args[:n]], args[-1], [*args[n:m]])
        return (*new, *outputs)

    args = [np.asarray(x) for group in groups for x in group]
    return program_of(f, *args), args


@settings(max_examples=150)
@given(lines=LINES, how=HOW, shapes=SHAPES)
def test_every_stage_reads_only_what_is_there(lines: Any, how: int, shapes: Any) -> None:
    program, _ = _program(lines, how, shapes)
    fusion = Fusion(program, [*program.inputs, *[var for var, _ in program.consts]], program.outputs)
    there = {*program.inputs, *[var for var, _ in program.consts]}
    for stage in fusion.stages:
        for equation in stage.numbers:
            assert there.issuperset(var for var, _ in fusion.reads(equation))
            there.update(equation.outputs)
        finished = set()
        for group in stage.nests:
            for var, origin in group.values.items():
                assert all(o >= 0 and o + n <= m for o, n, m in zip(origin, var.type.shape, group.shape, strict=True))
                for source, index in fusion.reads(fusion.producer[var]):
                    beside = source in group.values and group.values[source] == origin
                    assert source in there or (beside and index == identity(var.type.shape))
                finished.add(var)
        there |= finished
        for equation in stage.others:
            assert there.issuperset(var for var, _ in fusion.reads(equation))
        there.update(var for equation in stage.others for var in equation.outputs)
    results = [atom for atom in program.outputs if isinstance(atom, Var)]
    assert there.issuperset(results)
    placed = [var for stage in fusion.stages for group in stage.nests for var in group.values]
    assert len(placed) == len({*placed})
    assert {*placed} == {var for var in fusion.stored if var not in fusion.named}


# --- written over -----------------------------------------------------------------------------------------------------
MAY: list[tuple[bool, Any]] = [
    (True, lambda u, v: (u * 2 + v,)),
    (True, lambda u, v: (u * np.sum(u),)),
    (True, lambda u, v: (np.roll(v, 1) + u, v[1:])),
    (True, lambda u, v: (u - np.cumsum(u),)),
    (True, lambda u, v: (np.where(u > 0, u * np.max(np.abs(np.roll(u, 1))), v),)),
    (False, lambda u, v: (np.roll(u, 1) + u,)),
    (False, lambda u, v: (u[::-1],)),
    (False, lambda u, v: (u * 2, u)),
    (False, lambda u, v: (u * 2, np.sum(u * (u * 2)))),
    (False, lambda u, v: (u * 2, v + np.roll(u, 1))),
    (False, lambda u, v: (u * 2, u[np.array([3, 5])])),
    (False, lambda u, v: (u * 2, np.reshape(u, (8, 5)))),
    (False, lambda u, v: (u * 2, np.reshape(u, (8, 5)) * 3)),
    (False, lambda u, v: (u[1:] * 2,)),
]


@pytest.mark.parametrize(("may", "f"), MAY, ids=range(len(MAY)))
def test_a_result_is_written_over_what_only_it_still_reads(may: bool, f: Any) -> None:
    program = program_of(f, U, V)
    carried = Carried(program)
    result = program.outputs[0]
    assert isinstance(result, Var)
    assert carried.fusion.may_replace(result, program.inputs[0]) == may
    if may:
        assert same_bits(Carried(program, over={0: 0}).run(U, V), carried.run(U, V))


@settings(max_examples=150)
@given(lines=LINES, how=HOW, shapes=SHAPES)
def test_no_bit_changes_where_a_result_is_written_over_an_input(lines: Any, how: int, shapes: Any) -> None:
    program, args = _program(lines, how, shapes)
    carried = Carried(program)
    expected = carried.run(*args)
    over: dict[int, int] = {}
    for k, atom in enumerate(program.outputs):
        for j, var in enumerate(program.inputs):
            free = k not in over and j not in over.values() and isinstance(atom, Var)
            if free and atom not in program.outputs[:k] and carried.fusion.may_replace(atom, var):
                over[k] = j
    if over:
        assert same_bits(Carried(program, over=over).run(*args), expected)

"""What a recorded step keeps: the cheapest cut, and two programs that together are the one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain, combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.adjoint.steps import LINES as NUMBER_LINES
from tests.adjoint.steps import SHAPES as NUMBER_SHAPES
from tests.adjoint.steps import make_step as make_number_step
from tests.adjoint.steps import state_of
from tests.codegen.field_steps import CAPTURES, HOW, LINES, SHAPES, arrays, make_step
from tests.codegen.test_emit import adjoint_of
from tests.oracles import same_bits
from unspool.adjoint import Adjoint
from unspool.adjoint.residuals import KEEP_SECONDS, NEXT, RESIDUAL, STATE, Split, minimum_cut, split
from unspool.ir.evaluate import evaluate
from unspool.ir.program import Equation, Var
from unspool.ir.verify import verify
from unspool.layout import ArrayType

Keeping = dict[Var, float]
Computing = dict[Var, tuple[float, list[Var]]]


def _vars(n: int) -> list[Var]:
    return [Var(k, ArrayType(np.dtype(float), ())) for k in range(n)]


# --- the cut ----------------------------------------------------------------------------------------------------------
def _price(kept: Iterable[Var], needed: list[Var], keeping: Keeping, computing: Computing) -> float:
    """What it costs to keep these vars, and to compute from them what is needed; infinite where that cannot be."""
    kept = set(kept)
    total = sum(keeping[var] for var in kept)
    stack, computed = [var for var in needed if var not in kept], set()
    while stack:
        var = stack.pop()
        if var in computed:
            continue
        if var not in computing:
            return float("inf")
        computed.add(var)
        cost, operands = computing[var]
        total += cost
        stack += [operand for operand in operands if operand not in kept]
    return total


@st.composite
def graphs(draw: Any) -> tuple[list[Var], Keeping, Computing]:
    """Up to eight values, each given or computed from some before it, and which of them are needed."""
    prices = st.sampled_from([1e-9, 0.5, 1.0, 2.0, 3.0, 7.0, 50.0, 1e4])
    variables = _vars(draw(st.integers(1, 8)))
    keeping = {var: draw(prices) for var in variables}
    computing: Computing = {}
    for k, var in enumerate(variables):
        if k and draw(st.booleans()):
            computing[var] = draw(prices), draw(st.lists(st.sampled_from(variables[:k]), max_size=3))
    return draw(st.lists(st.sampled_from(variables), max_size=5)), keeping, computing


@settings(max_examples=300)
@given(graphs())
def test_no_choice_is_cheaper_than_the_cut(graph: tuple[list[Var], Keeping, Computing]) -> None:
    needed, keeping, computing = graph
    found = _price(minimum_cut(*graph), needed, keeping, computing)
    every = chain.from_iterable(combinations(keeping, n) for n in range(len(keeping) + 1))
    least = min(_price(kept, needed, keeping, computing) for kept in every)
    largest = sum(keeping.values()) + sum(cost for cost, _ in computing.values())
    assert found <= least + 1e-7 * largest  # prices are whole numbers: 4e8 of them are all there is


def test_nothing_is_kept_where_nothing_is_needed() -> None:
    x, y = _vars(2)
    assert minimum_cut([], {x: 1.0, y: 1.0}, {y: (1.0, [x])}) == frozenset()


def test_a_value_may_be_read_twice_by_one_equation() -> None:
    """The square of y, which is computed from x: x has to be kept."""
    x, y, z = _vars(3)
    assert minimum_cut([z, z], {x: 1.0, y: 9.0, z: 9.0}, {y: (1.0, [x]), z: (1.0, [y, y])}) == {x}


def test_what_is_computed_from_nothing_is_computed() -> None:
    x, y = _vars(2)
    assert minimum_cut([y], {x: 1.0, y: 2.0}, {y: (1.0, [])}) == frozenset()


# --- two programs for one ---------------------------------------------------------------------------------------------
WORK: dict[str, Callable[[Equation], float]] = {
    "free": lambda equation: 0.0,
    "dear": lambda equation: 1e3,
    "by name": lambda equation: len(equation.primitive.name) * 8 * KEEP_SECONDS,
    "by number": lambda equation: (equation.outputs[0].number * 7 % 5) * 20 * KEEP_SECONDS,
}


def _parts(adjoint: Adjoint, work: Callable[[Equation], float]) -> Split:
    n_state = len(adjoint.state)
    return split(
        adjoint.joint,
        n_state=n_state,
        n_new=n_state + len(adjoint.outputs),
        n_primal=1 + n_state + len(adjoint.inputs) + len(adjoint.captures),
        work=work,
    )


def _together(adjoint: Adjoint, parts: Split, args: list[Any]) -> list[Any]:
    """The outputs of both programs, the second on what the first has left."""
    n_state, n_new = len(adjoint.state), len(adjoint.state) + len(adjoint.outputs)
    n_primal = 1 + n_state + len(adjoint.inputs) + len(adjoint.captures)
    first = [*evaluate(verify(parts.record), *args[:n_primal])]
    held = {STATE: args[1 : 1 + n_state], NEXT: first[:n_state], RESIDUAL: first[n_new:]}
    kept = [held[k.kind][k.position] for k in parts.kept]
    second = evaluate(verify(parts.reverse), args[0], *kept, *args[1 + n_state :])
    return [*first[:n_new], *second]


def _checked(adjoint: Adjoint, args: list[Any]) -> None:
    rng = np.random.default_rng(1)
    with np.errstate(all="ignore"):
        args = [*args, *(rng.normal(size=var.type.shape) for var in adjoint.joint.inputs[len(args) :])]
        expected = [*evaluate(adjoint.joint, *args)]
        for name, work in WORK.items():
            parts = _parts(adjoint, work)
            assert same_bits([*map(np.asarray, _together(adjoint, parts, args))], [*map(np.asarray, expected)]), name
            again = {var for equation in parts.again for var in equation.outputs}
            assert not again.intersection(kept.var for kept in parts.kept)
            assert parts.residual_bytes == sum(k.var.type.nbytes for k in parts.kept if k.kind == RESIDUAL)
            positions = [k.position for k in parts.kept if k.kind == RESIDUAL]
            assert positions == [*range(len(positions))]
            assert [*parts.record.outputs[len(adjoint.state) + len(adjoint.outputs) :]] == [
                k.var for k in parts.kept if k.kind == RESIDUAL
            ]


@settings(max_examples=60)
@given(lines=LINES, how=HOW, shapes=SHAPES)
def test_random_steps_on_fields_are_put_together_again(lines: Any, how: int, shapes: Any) -> None:
    step = make_step(lines, how)
    state, captures, (x,) = arrays(shapes), arrays(CAPTURES, 0.5), arrays([(4,)], 0.9)
    adjoint = adjoint_of(lambda k, s, x, c: step(k, s, x[0], c), state, captures, [x])
    _checked(adjoint, [np.int64(3), *state, x, *captures])


@settings(max_examples=40)
@given(lines=NUMBER_LINES, shapes=NUMBER_SHAPES)
def test_random_steps_on_numbers_are_put_together_again(lines: Any, shapes: Any) -> None:
    step = make_number_step(lines, rough=True)
    state, x, c = state_of(shapes), np.array([0.3, 0.7]), np.array([0.3, -0.8, 0.5])

    def f(k: Any, s: Any, x: Any, c: Any) -> Any:
        new, y = step(k, s, x[0], c[0])
        return new, [y]

    _checked(adjoint_of(f, state, [c], [x]), [np.int64(3), *state, x, c])


# --- what is chosen ---------------------------------------------------------------------------------------------------
def _kept(step: Callable[[Any], Any], work: Callable[[Equation], float], n: int = 100) -> tuple[list[int], list[str]]:
    parts = _parts(adjoint_of(lambda k, s, x, c: ([step(s[0])], []), [np.ones(n)], []), work)
    return [kept.kind for kept in parts.kept], [equation.primitive.name for equation in parts.again]


def test_what_costs_little_is_computed_again_and_what_costs_much_is_kept() -> None:
    assert _kept(lambda u: np.sin(np.sin(u)), WORK["free"]) == ([STATE], ["sin", "cos", "cos"])
    kinds, again = _kept(lambda u: np.sin(np.sin(u)), WORK["dear"])
    assert kinds == [RESIDUAL, RESIDUAL]
    assert not again


def test_a_state_is_rather_kept_than_a_residual_and_the_next_state_is_a_state() -> None:
    """exp(u) is its own derivative, and the state after the step."""
    assert _kept(np.exp, WORK["dear"]) == ([NEXT], [])
    assert _kept(lambda u: u * u, WORK["dear"]) == ([STATE], [])
    assert _kept(lambda u: u * 0.5, WORK["dear"]) == ([], [])


def test_all_results_of_an_equation_are_kept_together() -> None:
    """Values and vectors of a matrix come from one equation, which is carried out once."""

    def step(u: Any) -> Any:
        values, vectors = np.linalg.eigh(np.reshape(u, (4, 4)) + np.eye(4))
        return np.reshape(vectors * np.exp(values), 16)

    parts = _parts(adjoint_of(lambda k, s, x, c: ([step(s[0])], []), [np.ones(16)], []), WORK["dear"])
    (equation,) = [e for e in parts.record.equations if len(e.outputs) > 1]
    assert {kept.var for kept in parts.kept}.issuperset(equation.outputs)
    assert not any(len(e.outputs) > 1 for e in parts.reverse.equations)


@pytest.mark.parametrize("name", WORK)
def test_inputs_and_captures_are_not_kept(name: str) -> None:
    adjoint = adjoint_of(lambda k, s, x, c: ([s[0] * c[0] + x[0] * c[0]], []), [np.ones(9)], [np.ones(9)], [np.ones(9)])
    parts = _parts(adjoint, WORK[name])
    assert [kept.kind for kept in parts.kept] == [STATE]
    assert {e.primitive.name for e in parts.reverse.equations} == {"multiply", "add"}

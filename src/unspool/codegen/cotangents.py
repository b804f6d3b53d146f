"""What becomes of cotangents without a nest of their own: passed on, negated, added to, gathered.

The way back of a step changes most of a cotangent seldom: it becomes that of another leaf, gets a small part added, or
is a sum of outer products or of rows over many steps. What is found here stays in the buffer in which it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from unspool.codegen.fuse import kind_of
from unspool.codegen.indices import Shape, size
from unspool.ir.program import Atom, Equation, Program, Var
from unspool.ops.index import is_basic

PASSED, NEGATED, REPLACED = range(3)
"""How a cotangent takes a buffer over: as it is, with the opposite sign, written over."""


def signed(sources: Sequence[int], manners: Sequence[int]) -> set[int]:
    """The leaves whose cotangents may be held with the opposite sign."""
    found: set[int] = set()
    for _ in sources:
        for leaf, (source, manner) in enumerate(zip(sources, manners, strict=True)):
            if source >= 0 and (manner == NEGATED or (manner == PASSED and source in found)):
                found.add(leaf)
    return found


def is_injective(sources: Sequence[int]) -> bool:
    """Whether no buffer is taken over twice."""
    taken = [source for source in sources if source >= 0]
    return len(taken) == len(set(taken))


Addition = tuple[int, tuple[Any, ...], Atom, Shape]
"""A part that is added to the cotangent of a leaf: the leaf, where in it, the part, its shape."""


def passed_on(program: Program, cts: Sequence[Var]) -> tuple[Program, list[Addition], list[int], list[int]]:
    """The program of the way back, without what is done to whole cotangents in their place; that; sources and manners.

    A cotangent that only gets a small part added keeps its buffer; one that becomes, as it is or negated, the cotangent
    of another leaf is passed on. ``cts`` are the inputs of the program that hold the cotangents of the state.
    """
    n_state = len(cts)
    for may_add in (True, False):
        now = dict(enumerate(cts))  # the var that is in the buffer of each leaf
        equations = [*program.equations]
        additions: list[Addition] = []
        places: list[int] = []
        more = may_add
        while more:
            more = False
            for leaf, var in now.items():
                found = _small_addition(var, equations, program.outputs)
                if found is not None:
                    total, key, part, shape = found
                    additions.append((leaf, key, part, shape))
                    places.append(program.equations.index(total))
                    equations.remove(total)
                    now[leaf] = total.outputs[0]
                    more = True
        sources, manners = [-1] * n_state, [PASSED] * n_state
        leaf_of = {var: leaf for leaf, var in now.items()}
        negations = {
            e.outputs[0]: e.operands[0]
            for e in equations
            if e.primitive.name == "negative" and e.operands[0] in leaf_of
        }
        for leaf, atom in enumerate(program.outputs[:n_state]):
            if atom in leaf_of:
                sources[leaf] = leaf_of[atom]  # type: ignore[index]
            elif atom in negations:
                sources[leaf], manners[leaf] = leaf_of[negations[atom]], NEGATED  # type: ignore[index]
        touched = {leaf for leaf, *_ in additions}
        if not additions or (is_injective(sources) and not touched & signed(sources, manners)):
            break
    additions = [additions[k] for k in np.argsort(places)]  # a part may read what another leaf has got before
    inputs = tuple([now[cts.index(var)] if var in cts else var for var in program.inputs])
    return replace(program, inputs=inputs, equations=tuple(equations)), additions, sources, manners


def _small_addition(
    var: Var, equations: list[Equation], outputs: Sequence[Atom]
) -> tuple[Equation, tuple[Any, ...], Atom, Shape] | None:
    """The only use of a var, if it adds a part of less than a quarter that can be computed beforehand."""
    uses = [e for e in equations if var in e.operands]
    if len(uses) != 1 or var in outputs or uses[0].primitive.name != "add" or uses[0].outputs[0].type != var.type:
        return None
    other = next((a for a in uses[0].operands if a != var), var)
    block = next((e for e in equations if other in e.outputs), None)
    if block is None or block.primitive.name != "place" or not is_basic(dict(block.params)["index"]):
        return None
    if sum(other in e.operands for e in equations) != 1 or other in outputs:
        return None
    key = dict(block.params)["index"]
    shape = np.empty(var.type.shape, "V0")[key].shape
    if 4 * size(shape) > var.type.size or not _is_elementwise_of_inputs(block.operands[0], equations, var):
        return None
    return uses[0], key, block.operands[0], shape


def _is_elementwise_of_inputs(atom: Atom, equations: list[Equation], var: Var) -> bool:
    producers: dict[Atom, Equation] = {result: e for e in equations for result in e.outputs}
    stack, seen = [atom], set[Atom]()
    while stack:
        now = stack.pop()
        if now == var:
            return False
        if now in producers and now not in seen:
            seen.add(now)
            if kind_of(producers[now]) not in ("fused", "filled"):
                return False
            stack += producers[now].operands
    return True


def outer(atom: Atom, producers: dict[Var, Equation]) -> tuple[Var, Var] | None:
    """The two vectors whose outer product an atom is, column and row, if it is one."""
    if not isinstance(atom, Var) or len(atom.type.shape) != 2 or atom not in producers:
        return None
    equation = producers[atom]
    if equation.primitive.name != "multiply" or not all(isinstance(a, Var) for a in equation.operands):
        return None
    m, n = atom.type.shape
    found: list[Var | None] = [None, None]
    for operand in equation.operands:
        assert isinstance(operand, Var)
        shape = (1,) * (2 - len(operand.type.shape)) + operand.type.shape
        if shape == (m, 1) and m > 1:
            found[0] = operand
        elif shape == (1, n) and n > 1:
            found[1] = operand
    column, row = found
    return None if column is None or row is None else (column, row)


def added_rows(atom: Atom, producers: dict[Var, Equation]) -> list[tuple[Atom, Atom]]:
    """The parts and indices of which an atom is the sum, if it is nothing but rows at indices in zeros."""
    found: list[tuple[Atom, Atom]] = []
    stack = [atom]
    while stack:
        equation = producers.get(stack.pop())  # type: ignore[arg-type]
        name = None if equation is None else equation.primitive.name
        if equation is not None and name == "add":
            stack += equation.operands
        elif equation is not None and name == "place_row" and _is_fused(equation.operands[1], producers):
            found.append((equation.operands[0], equation.operands[1]))
        else:
            return []
    return found


def _is_fused(atom: Atom, producers: dict[Var, Equation]) -> bool:
    """Whether an index can be computed before anything else."""
    if not isinstance(atom, Var) or atom not in producers:
        return True
    equation = producers[atom]
    return kind_of(equation) == "fused" and all(_is_fused(a, producers) for a in equation.operands)

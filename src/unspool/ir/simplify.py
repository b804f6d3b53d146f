"""Smaller programs that mean the same: dead equations, common ones, and those on constants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from unspool.ir.program import Atom, Equation, Literal, Program, Var


def simplify(program: Program) -> Program:
    """Fold constants, join equations that compute the same, drop what no output needs, and number the rest in order.

    The result has the same inputs and outputs; bits do not change, since every equation that stays is as it was.
    """
    return smaller(join_common(fold_constants(program)))


def smaller(program: Program) -> Program:
    """Drop what no output needs, and number the rest in order."""
    return renumber(drop_dead(program))


def fold_constants(program: Program) -> Program:
    """Evaluate the equations whose operands are all known."""
    known: dict[Var, Any] = dict(program.consts)
    consts = dict(program.consts)
    kept = []
    for equation in program.equations:
        if all(isinstance(atom, Literal) or atom in known for atom in equation.operands):
            values = [atom.value if isinstance(atom, Literal) else known[atom] for atom in equation.operands]
            with np.errstate(all="ignore"):
                results = equation.primitive.evaluate(*values, **dict(equation.params))
            for var, result in zip(
                equation.outputs, results if equation.primitive.multiple else (results,), strict=True
            ):
                known[var] = consts[var] = np.asarray(result)
        else:
            kept.append(equation)
    return replace(program, consts=tuple(consts.items()), equations=tuple(kept))


def join_common(program: Program) -> Program:
    """Let equal equations, and equal constants, share one result."""
    same: dict[Atom, Atom] = {}
    first: dict[Any, tuple[Var, ...]] = {}
    consts, kept = [], []
    for var, value in program.consts:
        (same[var],) = first.setdefault(("const", var.type, value.tobytes()), (var,))
        if same[var] == var:
            consts.append((var, value))
    for equation in program.equations:
        moved = replace(equation, operands=tuple(same.get(atom, atom) for atom in equation.operands))
        before = first.setdefault(moved.key, moved.outputs)
        if before is moved.outputs:
            kept.append(moved)
        same.update(zip(moved.outputs, before, strict=True))
    outputs = tuple(same.get(atom, atom) for atom in program.outputs)
    return replace(program, consts=tuple(consts), equations=tuple(kept), outputs=outputs)


def drop_dead(program: Program) -> Program:
    """Leave out what no output depends on; inputs stay."""
    live = {atom for atom in program.outputs if isinstance(atom, Var)}
    kept: list[Equation] = []
    for equation in reversed(program.equations):
        if live.intersection(equation.outputs):
            kept.append(equation)
            live.update(atom for atom in equation.operands if isinstance(atom, Var))
    consts = tuple((var, value) for var, value in program.consts if var in live)
    return replace(program, consts=consts, equations=tuple(reversed(kept)))


def renumber(program: Program) -> Program:
    """Number the vars in the order of their binding, so that equal programs are equal."""
    new: dict[Atom, Var] = {}

    def name(var: Var) -> Var:
        new[var] = Var(len(new), var.type)
        return new[var]

    inputs = tuple(map(name, program.inputs))
    consts = tuple((name(var), value) for var, value in program.consts)
    equations = tuple(
        replace(
            equation,
            operands=tuple(new.get(atom, atom) for atom in equation.operands),
            outputs=tuple(map(name, equation.outputs)),
        )
        for equation in program.equations
    )
    return Program(inputs, consts, equations, tuple(new.get(atom, atom) for atom in program.outputs))

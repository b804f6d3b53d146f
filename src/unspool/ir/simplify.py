"""Smaller programs that mean the same: dead equations, common ones, and those on constants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from unspool.ir.program import Atom, Equation, Literal, Program, Var, freeze


def simplify(program: Program) -> Program:
    """Fold constants, join equations that compute the same, drop what no output needs, and number the rest in order.

    The result has the same inputs and outputs; bits do not change, since every equation that stays is as it was.
    """
    return smaller(rejoin(join_common(fold_constants(program))))


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


def rejoin(program: Program) -> Program:
    """What is taken out of an array, and added to the rest of it where it was, is the array.

    The adjoint of a write takes the cotangent apart so. (A zero may lose its sign in the longer form.)
    """
    same: dict[Atom, Atom] = {}
    producers: dict[Atom, Equation] = {}
    zeros = {var for var, value in program.consts if not np.any(value)}
    kept = []
    for equation in program.equations:
        moved = replace(equation, operands=tuple(same.get(atom, atom) for atom in equation.operands))
        whole = _whole(moved, producers, zeros)
        if whole is not None:
            same[equation.outputs[0]] = whole
        else:
            kept.append(moved)
            producers |= dict.fromkeys(moved.outputs, moved)
    outputs = tuple(same.get(atom, atom) for atom in program.outputs)
    return replace(program, equations=tuple(kept), outputs=outputs)


def _whole(equation: Equation, producers: dict[Atom, Equation], zeros: set[Var]) -> Atom | None:
    """The x of ``store(x, 0, key) + place(x[key], key)``."""
    if equation.primitive.name != "add":
        return None
    parts = [producers.get(atom) for atom in equation.operands]
    for rest, part in (parts, parts[::-1]):
        if rest is None or part is None or (rest.primitive.name, part.primitive.name) != ("store", "place"):
            continue
        taken = producers.get(part.operands[0])
        if taken is None or taken.primitive.name != "getitem" or taken.operands[0] != rest.operands[0]:
            continue
        key, filling = dict(rest.params)["index"], rest.operands[1]
        is_zero = filling in zeros or (isinstance(filling, Literal) and filling.value == 0)
        if is_zero and all(freeze(dict(e.params)["index"]) == freeze(key) for e in (part, taken)):
            if any(isinstance(k, np.ndarray) for k in key):  # an index may occur twice
                continue
            whole = rest.operands[0]
            if isinstance(whole, Var) and whole.type == equation.outputs[0].type:
                return whole
    return None


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

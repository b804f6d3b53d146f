"""The laws of a program: single assignment, uses after bindings, types as the primitives say."""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.errors import ProgramError
from unspool.ir.primitive import Primitive
from unspool.ir.program import Literal, Program, Var
from unspool.layout import ArrayType


def result_types(primitive: Primitive, operands: tuple[Any, ...], params: dict[str, Any]) -> tuple[ArrayType, ...]:
    """The types of the results; operands are types or Python numbers.

    A primitive without a type rule is evaluated on ones: exact for every primitive whose result type does not depend on
    values.
    """
    if primitive.type_rule is not None:
        found = primitive.type_rule(*operands, **params)
        return found if isinstance(found, tuple) else (found,)
    samples = [np.ones(t.shape, t.dtype) if isinstance(t, ArrayType) else t for t in operands]
    with np.errstate(all="ignore"):
        results = primitive.evaluate(*samples, **params)
    return tuple(ArrayType.of(result) for result in (results if primitive.multiple else (results,)))


def verify(program: Program) -> Program:
    """The program itself if it keeps the laws; ProgramError with the equation that breaks one."""
    bound: set[Var] = set()

    def bind(var: Var, where: str) -> None:
        if var.number in {other.number for other in bound if other != var} or var in bound:
            raise ProgramError(f"{where}: {var} is bound twice; a program binds every var once")
        bound.add(var)

    for var in program.inputs:
        bind(var, "inputs")
    for var, value in program.consts:
        bind(var, "consts")
        if ArrayType.of(value) != var.type:
            raise ProgramError(f"const {var} is said to be {var.type} and is {ArrayType.of(value)}")
    for number, equation in enumerate(program.equations):
        where = f"equation {number} ({equation.primitive.name}{', ' + equation.line if equation.line else ''})"
        for atom in equation.operands:
            if isinstance(atom, Var) and atom not in bound:
                raise ProgramError(f"{where}: {atom} is used before it is bound")
        operands = tuple(atom.value if isinstance(atom, Literal) else atom.type for atom in equation.operands)
        expected = result_types(equation.primitive, operands, dict(equation.params))
        found = tuple(var.type for var in equation.outputs)
        if expected != found:
            listed = [", ".join(map(str, types)) for types in (found, expected)]
            raise ProgramError(f"{where}: the result is said to be {listed[0]}; the primitive gives {listed[1]}")
        for var in equation.outputs:
            bind(var, where)
    for atom in program.outputs:
        if isinstance(atom, Var) and atom not in bound:
            raise ProgramError(f"outputs: {atom} is not bound")
    return program

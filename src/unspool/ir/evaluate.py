"""The reference interpreter: what a program means."""

from __future__ import annotations

from typing import Any

from unspool.errors import ProgramError
from unspool.ir.program import Atom, Literal, Program, Var
from unspool.layout import ArrayType


def evaluate(program: Program, *args: Any) -> tuple[Any, ...]:
    """The outputs of the program for these inputs, one equation after the other, by NumPy."""
    if len(args) != len(program.inputs):
        raise ProgramError(f"the program has {len(program.inputs)} inputs; {len(args)} were given")
    values: dict[Var, Any] = dict(program.consts)
    for number, (var, arg) in enumerate(zip(program.inputs, args, strict=True)):
        if ArrayType.of(arg) != var.type:
            raise ProgramError(f"input {number} is {ArrayType.of(arg)}; the program was made for {var.type}")
        values[var] = arg

    def read(atom: Atom) -> Any:
        return atom.value if isinstance(atom, Literal) else values[atom]

    for equation in program.equations:
        results = equation.primitive.evaluate(*map(read, equation.operands), **dict(equation.params))
        parts = results if equation.primitive.multiple else (results,)
        values.update(zip(equation.outputs, parts, strict=True))
    return tuple(map(read, program.outputs))

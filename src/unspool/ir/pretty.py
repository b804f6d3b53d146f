"""Programs as text."""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.ir.program import Program

_SHORT = 6  # constants of up to so many elements are written out


def pretty(program: Program) -> str:
    """The program as a person would write it: one equation a line, with types, and source lines where known."""
    head = ", ".join(f"{var}: {var.type}" for var in program.inputs)
    rows: list[tuple[str, str | None]] = [
        (f"  {var}: {var.type} = {_const(value)}", None) for var, value in program.consts
    ]
    for equation in program.equations:
        results = ", ".join(f"{var}: {var.type}" for var in equation.outputs)
        params = [f"{key}={param_text(value)}" for key, value in equation.params]
        call = f"{equation.primitive.name}({', '.join([*map(str, equation.operands), *params])})"
        rows.append((f"  {results} = {call}", equation.line))
    width = max((len(text) for text, line in rows if line), default=0)
    lines = [text if line is None else f"{text:{width}}  # {line}" for text, line in rows]
    return "\n".join([f"program({head}):", *lines, f"  return {', '.join(map(str, program.outputs))}"])


def _const(value: np.ndarray) -> str:
    return repr(value.tolist()) if value.size <= _SHORT else f"const {value.flat[0].item()!r} ..."


def param_text(value: Any) -> str:
    """A keyword of a primitive as one would write it: ``1:-1`` for a slice."""
    if isinstance(value, slice):
        parts = ["" if part is None else str(part) for part in (value.start, value.stop, value.step)]
        return ":".join(parts[:2] if value.step is None else parts)
    if isinstance(value, tuple):
        return f"({', '.join(map(param_text, value))}{',' * (len(value) == 1)})"
    if isinstance(value, np.ndarray):
        return _const(value)
    return repr(value)

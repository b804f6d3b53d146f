"""What becomes of a step: its program, its adjoint, and the code that they come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unspool.adjoint import Adjoint, differentiate
from unspool.codegen.build import build, is_built
from unspool.errors import UnsupportedError
from unspool.ir.program import Program
from unspool.layout import ArrayType
from unspool.memory import human_bytes
from unspool.table import preformatted
from unspool.tree import flatten


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """A step as the compiler sees it; printed, both programs and the facts.

    ``residual_bytes`` are what each further recorded step keeps: of a step on numbers its state, of one on fields what
    costs more to compute again. ``source`` is the Numba module, or None with the ``reason`` why the step is not
    compiled.
    """

    adjoint: Adjoint
    source: str | None
    reason: str | None
    seconds: float | None
    cached: bool
    residual_bytes: int | None

    @property
    def advance(self) -> Program:
        """The program of the step: (k, state) to the state after it."""
        return self.adjoint.advance

    @property
    def reverse(self) -> Program:
        """The program of the way back: (k, state, cotangents) to the cotangents of the state."""
        return self.adjoint.reverse

    def __str__(self) -> str:
        if self.source is None:
            fate = f"not compiled: {self.reason}"
        else:
            kept = f"kept per recorded step: {human_bytes(self.residual_bytes or 0)}; the rest is computed again"
            speed = "compiled before" if self.cached else f"compiled in {self.seconds:.2f} s"
            fate = f"{kept}\n{speed}, {self.source.count(chr(10))} lines of code"
        return "\n".join(["step:", str(self.advance), "", "adjoint:", str(self.reverse), "", fate])

    def _repr_html_(self) -> str:
        return preformatted(str(self))


def inspect(step: Callable[[Any, Any], Any], init: Any) -> Inspection:
    """Trace, differentiate and compile ``step(i, state)`` for states like ``init``, and show what comes of it.

    Raises `DetachedError` with the reason where the step cannot be traced at all.

    >>> import numpy as np, unspool
    >>> seen = inspect(lambda i, u: u - 0.1 * np.sin(u), np.ones(2))
    >>> seen.residual_bytes, "= sin(s0)" in seen.source
    (16, True)
    """
    leaves, structure = flatten(init)
    types = [ArrayType.of(np.asarray(leaf)) for leaf in leaves]

    def flat(k: Any, state: list[Any], inputs: list[Any], read: Any) -> tuple[list[Any], list[Any]]:
        return flatten(step(k, structure.unflatten(state)))[0], []

    def no_captures(position: int) -> ArrayType:
        raise UnsupportedError("a traced value from outside: inspect a step outside of transforms")

    adjoint = differentiate(flat, types, [], no_captures, lambda: 0)
    cached = is_built(adjoint)
    try:
        compiled = build(adjoint)
    except UnsupportedError as error:
        return Inspection(adjoint, None, str(error), None, False, None)
    return Inspection(adjoint, compiled.source, None, compiled.code.seconds, cached, compiled.residual_bytes)

"""Expression swell: the formula of a derivative doubles and trebles with every iteration, its cost grows by a constant.

The example of [BPRS2018, table 1] is l <- 4 l (1 - l).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unspool.diagnostics.counting import n_operations
from unspool.diagnostics.recorded import record
from unspool.errors import PolicyError
from unspool.table import Table
from unspool.transforms import grad

_LONGEST = 100_000  # operations of a derivative: the next one would take SymPy minutes
_LONGEST_EXPANDED = 1_000


@dataclass(frozen=True, slots=True)
class Swollen:
    """Operations after so many iterations: written in the value and in its derivative, and carried out in reverse mode.

    ``expanded`` is the derivative multiplied out (None where that takes too long), ``distinct`` what is different in
    the derivative as the rules wrote it.
    """

    iterations: int
    value: int
    derivative: int
    expanded: int | None
    distinct: int
    reverse: int


@dataclass(frozen=True, slots=True)
class ExpressionSwell:
    """The lengths, a line for each number of iterations."""

    name: str
    lines: tuple[Swollen, ...]

    @property
    def table(self) -> Table:
        """The lengths as text."""
        head = ("iterations", "value", "derivative", "multiplied out", "different parts", "reverse mode")
        rows = []
        for line in self.lines:
            numbers = (line.value, line.derivative, line.expanded, line.distinct, line.reverse)
            rows.append((str(line.iterations), *("too long" if n is None else f"{n:,}" for n in numbers)))
        return Table(head, tuple(rows), f"Operations of the formulas of {self.name}, and of reverse mode:", left=())

    def __str__(self) -> str:
        return str(self.table)

    def markdown(self) -> str:
        """The table as Markdown."""
        return self.table.markdown()

    def _repr_html_(self) -> str:
        return self.table._repr_html_()


def expression_swell(step: Callable[[Any], Any], iterations: int, *, x: float = 0.3) -> ExpressionSwell:
    """Iterate ``step`` from a symbol, differentiate the formula, and count its operations beside those of reverse mode.

    ``step`` takes and returns one number; it is recorded at ``x``, so that branches are those taken there. Ends before
    the number of iterations is reached where the formula has grown too long. ImportError with the command to install
    SymPy where that is missing.

    >>> found = expression_swell(lambda l: 4 * l * (1 - l), 3)
    >>> [(line.derivative, line.reverse) for line in found.lines]
    [(2, 8), (25, 16), (98, 24)]
    """
    from unspool.interop import sympy

    if iterations < 1:
        raise PolicyError(f"iterations is {iterations}: give 1 or more")
    program = record(step, (x,)).program()
    (symbol,) = sympy.symbols(1)
    value: Any = symbol
    lines = []
    for n in range(1, iterations + 1):
        (value,) = sympy.to_sympy(program, value)
        (derivative,) = sympy.derivatives(value, [symbol])
        length = sympy.n_operations(derivative)
        short = length <= _LONGEST_EXPANDED
        lines.append(
            Swollen(
                n,
                sympy.n_operations(value),
                length,
                sympy.n_operations(sympy.expanded(derivative)) if short else None,
                sympy.n_distinct(derivative),
                n_operations(grad(_iterated(step, n)), np.float64(x)),
            )
        )
        if length > _LONGEST:
            break
    return ExpressionSwell(getattr(step, "__name__", repr(step)), tuple(lines))


def _iterated(step: Callable[[Any], Any], n: int) -> Callable[[Any], Any]:
    def run(value: Any) -> Any:
        for _ in range(n):
            value = step(value)
        return value

    return run

"""What kernels leave to others: matrix products to BLAS, and all that has no nest to Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unspool.codegen.arrays import Array, Call
from unspool.codegen.boxes import Lines
from unspool.codegen.indices import Index
from unspool.codegen.reductions import write_reduction
from unspool.codegen.scope import Scope
from unspool.codegen.shares import is_large, part_of
from unspool.codegen.statements import Operand
from unspool.ir.program import Equation, Literal, Var

if TYPE_CHECKING:
    from unspool.codegen.nests import Kernel

_ROWS = 8  # that are added to a product at once


def write_product(kernel: Kernel, equation: Equation) -> None:
    """A product of vectors or matrices."""
    (left, turned), (right, flipped) = map(kernel.fusion.untransposed, equation.operands)
    result = kernel.array(equation.outputs[0])
    assert isinstance(left, Var)
    assert isinstance(right, Var)
    a, b = kernel.array(left), kernel.array(right)
    ranks = len(a.shape), len(b.shape)
    if ranks == (1, 1):
        pair = a, b

        def value(scope: Scope, index: Index) -> Operand:
            return scope.code.apply("({0} * {1})", [scope.code.apply(x.load(index), ()) for x in pair])

        write_reduction(kernel, equation, shape=a.shape, axes=(0,), value=value)
        return
    slots = kernel.memory(left), kernel.memory(right)
    kernel.flush()
    kernel.comment(equation)
    if 1 in ranks:
        (rows, columns), (matrix, vector) = (a.shape, slots) if ranks[1] == 1 else (b.shape, slots[::-1])
        across = turned if ranks[1] == 1 else not flipped
        if not (a.sign or b.sign or a.lead or b.lead):
            x, y = (a, b) if ranks[1] == 1 else (b, a)
            panels = kernel.slots.panels(x, turned=not across)
            if panels is not None:
                kernel.panels[panels.name] = panels
                _combine_rows(kernel, panels, y, result)
                return
            if across:
                _add_rows(kernel, x, y, result)
                return
        function = kernel.slots.function("dgemv")
        kernel.write(
            [f"gemv(a[{function}], {int(across)}, {rows}, {columns}, a[{matrix}], a[{vector}], a[{result.slot}])"]
        )
        return
    (rows, columns), inner, function = result.shape, a.shape[0 if turned else 1], kernel.slots.function("dgemm")
    kernel.write(
        [
            f"gemm(a[{function}], {int(turned)}, {int(flipped)}, {rows}, {columns}, {inner}, a[{slots[0]}], "
            f"a[{slots[1]}], a[{result.slot}], 0.0)"
        ]
    )


def _combine_rows(kernel: Kernel, panels: Array, vector: Array, result: Array) -> None:
    """``vector @ matrix`` by the panels of the matrix."""
    n, rows, width = panels.shape
    shares = kernel.shares if n > 1 and is_large(((0, rows), (0, n * width)), [""] * 2) else None
    ((low, high), _) = part_of(((0, n), (0, 1))) if shares else ((0, n), ())
    call = f"combine({panels.name}, {vector.name}, {result.name}, {'panel' if n > 1 else 0}, {result.shape[0]})"
    kernel.write([f"for panel in range({low}, {high}):", f"    {call}"] if n > 1 else [call], shares)


def _add_rows(kernel: Kernel, matrix: Array, vector: Array, result: Array) -> None:
    """``vector @ matrix`` as a sum of rows, eight at a time: while the result fits the cache twice as fast as BLAS."""
    rows, columns = matrix.shape
    whole = rows - rows % _ROWS
    shares = kernel.shares if is_large(((0, rows), (0, columns)), [""] * 2) else None
    ((low, high),) = part_of(((0, columns),)) if shares else ((0, columns),)

    def added(n: int) -> Lines:
        terms = [f"p{r} = {vector.name}[i0 + {r}]" for r in range(n)]
        sums = [f"t = fma(p{r}, {matrix.name}[i0 + {r}, i1], t)" for r in range(n)]
        return [
            *terms,
            f"for i1 in range({low}, {high}):",
            *[f"    {line}" for line in (f"t = {result.name}[i1]", *sums, f"{result.name}[i1] = t")],
        ]

    lines = [f"for i1 in range({low}, {high}):", f"    {result.name}[i1] = 0.0"]
    if whole:
        lines += [f"for i0 in range(0, {whole}, {_ROWS}):", *[f"    {line}" for line in added(_ROWS)]]
    if whole < rows:
        lines += [f"for i0 in range({whole}, {rows}):", *[f"    {line}" for line in added(1)]]
    kernel.write(lines, shares)


def write_call(kernel: Kernel, equation: Equation) -> None:
    """Whatever has no text of its own: its evaluation in Python, on the arrays where they are."""
    operands = [None if isinstance(a, Literal) or a == kernel.step else kernel.memory(a) for a in equation.operands]
    kernel.flush()
    kernel.comment(equation)
    results = [kernel.array(var).slot for var in equation.outputs]
    number = kernel.slots.call(Call(equation, tuple(operands), tuple(results)))
    kernel.call(f"call(a[{kernel.slots.function('python')}], {number}, a)")

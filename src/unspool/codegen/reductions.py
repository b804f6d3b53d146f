"""Sums and extrema in kernels: they vectorise without fast-math, and leave the same bits wherever they run."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

from unspool.codegen.arrays import Array
from unspool.codegen.boxes import Box, nested_loops
from unspool.codegen.indices import Index, Shape, identity
from unspool.codegen.scope import Scope
from unspool.codegen.shares import ROWS, for_the_first, is_large, part_of
from unspool.codegen.statements import Code, Operand, text
from unspool.ir.program import Equation, Var

if TYPE_CHECKING:
    from unspool.codegen.nests import Kernel

LANES = 64
"""A sum runs in so many lanes, which are added up pairwise: the same bits however the loop is carried out."""

REDUCTIONS = {
    "sum": ("0.0", "{0} + {1}"),
    "max": ("-np.inf", "np.maximum({0}, {1})"),
    "min": ("np.inf", "np.minimum({0}, {1})"),
}


def write_sum(kernel: Kernel, equation: Equation) -> None:
    """A sum, or the largest or least element, over some axes."""
    (operand,) = equation.operands
    assert isinstance(operand, Var)
    params = dict(equation.params)
    write_reduction(
        kernel,
        equation,
        shape=operand.type.shape,
        axes=params["axis"],
        value=lambda scope, index: kernel.at(scope, operand, index),
        keepdims=params["keepdims"],
    )


def write_reduction(
    kernel: Kernel,
    equation: Equation,
    *,
    shape: Shape,
    axes: tuple[int, ...],
    value: Callable[[Scope, Index], Operand],
    keepdims: bool = False,
) -> None:
    """Sums over the last axis run in lanes, all others over whole rows: both vectorise, and have one order."""
    result = kernel.array(equation.outputs[0])
    kernel.flush()
    kernel.comment(equation)
    start, step = REDUCTIONS.get(equation.primitive.name, REDUCTIONS["sum"])
    domain: Box = tuple([(0, n) for n in shape])
    scope = Scope(Code(f"n{kernel.n_nests}_"), domain, domain)
    kernel.n_nests += 1
    where, last = identity(shape), len(shape) - 1
    found = value(scope, where)
    number = text(found)
    body = [*map(str, scope.code.live([found]))]
    kept = [(-1, 0, 0) if k in axes else where[k] for k in range(len(shape)) if keepdims or k not in axes]
    place = result.place(tuple(kept))
    outer = [k for k in range(last) if k not in axes]
    inner = [k for k in range(last) if k in axes]
    shares = kernel.shares if is_large(domain, body) else None
    if last not in axes:
        tail = [last] * bool(shape)
        bounds = part_of(domain, [*outer, *tail]) if shares else domain
        lines = nested_loops(bounds, [f"{place} = {start}"], [*outer, *tail])
        lines += nested_loops(bounds, [*body, f"{place} = {step.format(place, number)}"], [*outer, *inner, *tail])
        kernel.write(lines, shares)
        return
    width = min(LANES, 1 << max(0, shape[last] - 1).bit_length())
    by_rows = shares is not None and prod([shape[k] for k in outer]) >= ROWS
    by_lanes = shares is not None and not by_rows and width == LANES
    lanes = (_own_lanes(kernel) if by_rows else _lanes(kernel)).name
    lane, other = f"{lanes}[lane]", f"{lanes}[lane + half]"
    begin, end = ("lane0, ", "lane1") if by_lanes else ("", str(width))
    lines = [f"for lane in range({begin}{end}):", f"    {lane} = {start}"]
    blocks = [
        f"for block in range(0, {shape[last]}, {width}):",
        f"    for lane in range({begin}min({end}, {shape[last]} - block)):",
        f"        i{last} = block + lane",
        *[f"        {line}" for line in body],
        f"        {lane} = {step.format(lane, number)}",
    ]
    lines += nested_loops(domain, blocks, inner)
    halves = [
        f"half = {width // 2}",
        "while half > 0:",
        "    for lane in range(half):",
        f"        {lane} = {step.format(lane, other)}",
        "    half = half // 2",
    ]
    ends = [*halves * (width > 1), f"{place} = {lanes}[0]"]
    if shares is not None and by_lanes:
        ((low, high),) = part_of(((0, LANES),))
        lines = [*lines, shares.meeting, *for_the_first(ends), *[shares.meeting] * bool(outer)]
        kernel.write([f"lane0, lane1 = {low}, {high}", *nested_loops(domain, lines, outer)], shares)
        return
    lines = nested_loops(part_of(domain, outer) if by_rows else domain, [*lines, *ends], outer)
    kernel.write(lines, shares if by_rows else None)


def _lanes(kernel: Kernel) -> Array:
    if kernel.lane_array is None:
        kernel.lane_array = kernel.slots.scratch(f"{kernel.name}_lanes", (LANES,))
    return kernel.lane_array


def _own_lanes(kernel: Kernel) -> Array:
    if kernel.own_lanes is None:
        kernel.own_lanes = kernel.slots.private(f"{kernel.name}_own_lanes", (LANES,))
    return kernel.own_lanes

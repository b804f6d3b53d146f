"""The domain of a nest in boxes, and the text of loops over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import prod
from typing import Any

from unspool.codegen.indices import Bound

Box = tuple[tuple[int, int], ...]
Lines = list[str]


def nested_loops(bounds: Sequence[tuple[Any, Any]], body: Lines, axes: Sequence[int] | None = None) -> Lines:
    """Loops over some axes, the first outermost, around a body."""
    chosen = [*range(len(bounds))] if axes is None else axes
    lines = [f"{'    ' * k}for i{d} in range({bounds[d][0]}, {bounds[d][1]}):" for k, d in enumerate(chosen)]
    return [*lines, *[f"{'    ' * len(chosen)}{line}" for line in body]]


def strip_loops(boxes: Sequence[Sequence[tuple[Any, Any]]], body: Lines) -> Lines:
    """Loops over several boxes around one body."""
    axes = range(len(boxes[0]))
    bounds = ", ".join([f"({', '.join([f'{a}, {b}' for a, b in box])})" for box in boxes])
    names = ", ".join([f"a{d}, b{d}" for d in axes])
    loops = nested_loops([(f"a{d}", f"b{d}") for d in axes], body)
    return [f"for {names} in ({bounds},):", *[f"    {line}" for line in loops]]


def extent(ends: tuple[int, int]) -> int:
    """The length of a range."""
    return ends[1] - ends[0]


def volume(box: Box) -> int:
    """The number of elements of a box."""
    return prod(map(extent, box))


def holds(bound: Bound, box: Box) -> bool:
    """Whether a bound holds in all of a box."""
    low, high = box[bound.dim]
    return bound.start <= low and high <= bound.stop


def excluded(bound: Bound, domain: Box) -> bool:
    """Whether a bound holds nowhere in a domain."""
    low, high = domain[bound.dim]
    return bound.start >= high or bound.stop <= low


def condition(bounds: Sequence[Bound], domain: Box) -> str:
    """The bounds as a condition, without what always holds."""
    parts = []
    for bound in bounds:
        low, high = domain[bound.dim]
        parts += [f"(i{bound.dim} >= {bound.start})"] * (bound.start > low)
        parts += [f"(i{bound.dim} < {bound.stop})"] * (bound.stop < high)
    return " & ".join(dict.fromkeys(parts))


def partition(domain: Box, wide: list[list[tuple[int, int]]]) -> Iterator[tuple[Box, bool]]:
    """The domain in boxes: those that are wide in every direction, and the rest in as few as may be."""
    if not domain:
        yield (), True
        return
    low, high = domain[0]
    ends = sorted({low, high, *[end for r in wide[0] for end in r]})
    for part in pairwise(ends):
        if part in wide[0]:
            for box, inside in partition(domain[1:], wide[1:]):
                yield (part, *box), inside
        else:
            yield (part, *domain[1:]), False

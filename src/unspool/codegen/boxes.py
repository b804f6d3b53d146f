"""The domain of a nest in boxes, and the text of loops over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise, product
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


def loops_side_by_side(boxes: Sequence[tuple[Sequence[tuple[Any, Any]], Lines]]) -> Lines:
    """Loops over boxes, each with its body.

    Boxes that differ in the last axis only share the loops over the others, so that what stands together in memory is
    touched at one time; and loops around the same text become one.
    """
    together: dict[tuple[Any, ...], Lines] = {}
    for bounds, body in boxes:
        last = len(bounds) - 1
        together.setdefault(tuple(bounds[:last]), []).extend(nested_loops(bounds, body, [last] if bounds else []))
    around: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    for outer, body in together.items():
        around.setdefault(tuple(body), []).append(outer)
    lines: Lines = []
    for text, outers in around.items():
        lines += nested_loops(outers[0], [*text]) if len(outers) == 1 else strip_loops(outers, [*text])
    return lines


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


def partition(
    domain: Box, ends: Sequence[Sequence[int]], wide: Sequence[Sequence[tuple[int, int]]], *, least: int, most: int
) -> tuple[list[Box], list[Box], list[Box]]:
    """The domain in boxes: those that are wide in every direction; parts of the border; and the rest in few strips.

    ``ends`` are those of the ranges of each axis, some of which are wide. Where the border is wide in some direction it
    falls into boxes without an end inside, if each of them has ``least`` elements and all together are up to ``most``.
    """
    runs = [[*_runs(tuple(pairwise(cuts)), chosen)] for cuts, chosen in zip(ends, wide, strict=True)]
    inside: list[Box] = []
    outside: list[tuple[Box, list[Box]]] = []
    for parts in product(*runs):
        boxes = [*product(*parts)]
        if all(part[0] in chosen for part, chosen in zip(parts, wide, strict=True)):
            inside += boxes
        else:
            outside.append((tuple([(part[0][0], part[-1][1]) for part in parts]), boxes))
    border: list[Box] = []
    strips: list[Box] = []
    for hull, boxes in sorted(outside, key=lambda found: -min(map(volume, found[1]))):
        if min(map(volume, boxes)) >= least and len(border) + len(boxes) <= most:
            border += boxes
        else:
            strips.append(hull)
    return inside, border, joined(strips, len(domain))


def _runs(ranges: Box, wide: Sequence[tuple[int, int]]) -> Iterator[Box]:
    """Each wide range by itself, and what is between them together."""
    for is_wide, found in groupby(ranges, lambda ends: ends in wide):
        run = tuple(found)
        if is_wide:
            yield from [(ends,) for ends in run]
        else:
            yield run


def joined(boxes: Sequence[Box], n_axes: int) -> list[Box]:
    """Boxes that share a side as one, along the last axis first."""
    for axis in reversed(range(n_axes)):
        found: list[Box] = []
        for box in sorted(boxes, key=lambda box: (box[:axis], box[axis + 1 :], box[axis])):
            before = found[-1] if found else ()
            if before and (before[:axis], before[axis + 1 :], before[axis][1]) == (
                box[:axis],
                box[axis + 1 :],
                box[axis][0],
            ):
                found[-1] = (*box[:axis], (before[axis][0], box[axis][1]), *box[axis + 1 :])
            else:
                found.append(box)
        boxes = found
    return sorted(boxes)

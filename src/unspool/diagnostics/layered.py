"""Where the boxes of a graph without cycles go: in columns from left to right, with few crossings. Pure geometry.

Whoever wants rows from top to bottom swaps the two coordinates, of what goes in and of what comes out.

In four steps [STT1981]: layers by the longest path, joints where a link passes a layer, an order by barycentres, and
places as near to the neighbours as the order allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Point = tuple[float, float]

_APART = 22.0  # between boxes of a column
_ROUNDS = 12


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The centres of the boxes, the stations of each link from its source to its target, and the size of it all."""

    places: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def arrange(sizes: Sequence[Point], links: Sequence[tuple[int, int]], *, gap: float = 96.0) -> Arrangement:
    """Place boxes of these widths and heights; each link goes from a box to one with a larger number.

    ``gap`` is the room between columns.

    >>> found = arrange([(40, 20), (40, 20), (40, 20)], [(0, 1), (0, 2), (1, 2)])
    >>> [x for x, _ in found.places]
    [20.0, 156.0, 292.0]
    """
    layer = [0] * len(sizes)
    for source, target in sorted(links, key=lambda link: link[1]):
        layer[target] = max(layer[target], layer[source] + 1)
    n_layers = 1 + max(layer, default=-1)
    boxes = list(sizes)
    columns: list[list[int]] = [[] for _ in range(n_layers)]
    for k, position in enumerate(layer):
        columns[position].append(k)
    chains = []
    for source, target in links:
        chain = [source]
        for position in range(layer[source] + 1, layer[target]):
            boxes.append((0.0, 4.0))
            columns[position].append(len(boxes) - 1)
            chain.append(len(boxes) - 1)
        chains.append([*chain, target])
    before: list[list[int]] = [[] for _ in boxes]
    after: list[list[int]] = [[] for _ in boxes]
    for chain in chains:
        for one, other in pairwise(chain):
            after[one].append(other)
            before[other].append(one)
    columns = _ordered(columns, before, after)
    y = _heights(columns, boxes, before, after)
    wide = [max(boxes[k][0] for k in column) for column in columns]
    x = [0.0] * len(boxes)
    left = 0.0
    for column, width in zip(columns, wide, strict=True):
        for k in column:
            x[k] = left + width / 2
        left += width + gap
    routes = [_route(chain, x, y, boxes, [wide[layer[chain[0]] + i] for i in range(len(chain))]) for chain in chains]
    routes = _fanned(routes, links, boxes)
    top = min((y[k] - boxes[k][1] / 2 for k in range(len(boxes))), default=0.0)
    bottom = max((y[k] + boxes[k][1] / 2 for k in range(len(boxes))), default=0.0)
    return Arrangement(
        tuple([(x[k], y[k] - top) for k in range(len(sizes))]),
        tuple([tuple([(a, b - top) for a, b in route]) for route in routes]),
        max(0.0, left - gap),
        bottom - top,
    )


# --- order ------------------------------------------------------------------------------------------------------------
def _ordered(columns: list[list[int]], before: list[list[int]], after: list[list[int]]) -> list[list[int]]:
    """Order every column by the mean place of the neighbours, to and fro, and keep the order with fewest crossings."""
    best, fewest = columns, _crossings(columns, after)
    for turn in range(_ROUNDS):
        columns = [list(column) for column in columns]
        rightwards = turn % 2 == 0
        neighbours = before if rightwards else after
        for column in range(len(columns)) if rightwards else reversed(range(len(columns))):
            place = {k: i for c in columns for i, k in enumerate(c)}
            columns[column].sort(key=lambda k, p=place: _mean([p[j] for j in neighbours[k]], p[k]))  # type: ignore[misc]
        crossings = _crossings(columns, after)
        if crossings < fewest:
            best, fewest = columns, crossings
    return best


def _crossings(columns: list[list[int]], after: list[list[int]]) -> int:
    place = {k: i for column in columns for i, k in enumerate(column)}
    total = 0
    for column in columns:
        ends = [(place[k], place[j]) for k in column for j in after[k]]
        total += sum((a - c) * (b - d) < 0 for i, (a, b) in enumerate(ends) for c, d in ends[:i])
    return total


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


# --- places -----------------------------------------------------------------------------------------------------------
def _heights(
    columns: list[list[int]], boxes: Sequence[Point], before: list[list[int]], after: list[list[int]]
) -> list[float]:
    """The vertical places: each box as near to the mean of its neighbours as its column has room."""
    y = [0.0] * len(boxes)
    for column in columns:
        for k, offset in zip(column, _offsets(column, boxes), strict=True):
            y[k] = offset
    for turn in range(_ROUNDS):
        for column in columns if turn % 2 == 0 else reversed(columns):
            wanted = [_mean([y[j] for j in (*before[k], *after[k])], y[k]) for k in column]
            offsets = _offsets(column, boxes)
            level = _rising([w - o for w, o in zip(wanted, offsets, strict=True)])
            for k, base, offset in zip(column, level, offsets, strict=True):
                y[k] = base + offset
    return y


def _offsets(column: Sequence[int], boxes: Sequence[Point]) -> list[float]:
    """Places of a column that is packed as closely as may be."""
    offsets = [0.0]
    for one, other in pairwise(column):
        offsets.append(offsets[-1] + (boxes[one][1] + boxes[other][1]) / 2 + _APART)
    return offsets


def _rising(values: Sequence[float]) -> list[float]:
    """The sequence that never falls and is nearest to the values, by pooling neighbours that are out of order.

    >>> _rising([1.0, 4.0, 2.0, 5.0])
    [1.0, 3.0, 3.0, 5.0]
    """
    pools: list[tuple[float, int]] = []
    for value in values:
        pools.append((value, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (b, n), (a, m) = pools.pop(), pools.pop()
            pools.append(((a * m + b * n) / (m + n), m + n))
    return [mean for mean, n in pools for _ in range(n)]


# --- links ------------------------------------------------------------------------------------------------------------
def _route(
    chain: Sequence[int], x: Sequence[float], y: Sequence[float], boxes: Sequence[Point], wide: Sequence[float]
) -> list[Point]:
    """From the right side of the source, straight through each column between, to the left side of the target."""
    source, target = chain[0], chain[-1]
    stations = [(x[source] + boxes[source][0] / 2, y[source])]
    for k, width in zip(chain[1:-1], wide[1:-1], strict=True):
        stations += [(x[k] - width / 2, y[k]), (x[k] + width / 2, y[k])]
    return [*stations, (x[target] - boxes[target][0] / 2, y[target])]


def _fanned(routes: list[list[Point]], links: Sequence[tuple[int, int]], boxes: Sequence[Point]) -> list[list[Point]]:
    """Let the links of one box begin and end at places of their own, in the order in which they come in."""
    routes = [list(route) for route in routes]
    for side, end, beside in ((0, 0, 1), (1, -1, -2)):
        for box in range(len(boxes)):
            mine = [k for k, link in enumerate(links) if link[side] == box]
            mine.sort(key=lambda k: routes[k][beside][1])
            apart = min(14.0, boxes[box][1] / (len(mine) + 1))
            for i, k in enumerate(mine):
                x, y = routes[k][end]
                routes[k][end] = x, y + (i - (len(mine) - 1) / 2) * apart
    return routes

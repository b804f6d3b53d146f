"""Machine code that unfolds a binomial part into rows: `encode` imports it when it is needed."""

from typing import Any

from numba import njit

from unspool.schedules import binomial

MOST_ROWS = 4
"""How many rows one turn of the loop writes at most."""

stride: Any = njit(binomial.stride)


@njit
def put(out: Any, used: int, verb: int, first: int, second: int) -> int:
    """Write a row, and return the number of rows."""
    out[used, 0] = verb
    out[used, 1] = first
    out[used, 2] = second
    return used + 1


@njit
def push(stack: Any, depth: int, first: int, end: int, slots: int, repetitions: int, most: int) -> int:
    """Open a range, and return the number of open ranges."""
    stack[depth, 0] = first
    stack[depth, 1] = end
    stack[depth, 2] = slots
    stack[depth, 3] = repetitions
    stack[depth, 4] = most
    return depth + 1


@njit
def fill(
    out: Any, room: int, stack: Any, progress: tuple[int, int], extent: tuple[int, int, int, int], tiers: Any, last: int
) -> tuple[int, int]:
    """Do what Binomial.actions does until the part is unfolded or the room for rows is full.

    `stack` holds the open ranges as there; `progress` is the number of rows used and of ranges open, and is
    returned as it stands then; `extent` is the start, stop, leaf and number of leaves of the part, `last` the last
    position in `tiers`.
    """
    advance, record, reverse, save, load, drop = range(6)
    used, depth = progress
    start, stop, leaf, leaves = extent
    while depth > 0 and used + MOST_ROWS <= room:
        depth -= 1
        first, end, c, r, full = stack[depth, 0], stack[depth, 1], stack[depth, 2], stack[depth, 3], stack[depth, 4]
        begin = max(start, stop - (leaves - first) * leaf)
        finish = stop - (leaves - end) * leaf
        if end - first > 1:
            i, once = stride(end - first, c, r, full)
            depth = push(stack, depth, first, first + i, c, r - 1, once)
            middle = stop - (leaves - first - i) * leaf
            used = put(out, used, advance, begin, middle)
            if end - first - i > 1:
                used = put(out, used, save, middle, tiers[min(depth, last)])
                depth = push(stack, depth, first + i, end, c - 1, r, full - once)
                continue
            begin = middle
        elif depth > 0:
            used = put(out, used, drop, begin, tiers[min(depth, last)])
        used = put(out, used, record, begin, finish)
        used = put(out, used, reverse, begin, finish)
        if depth > 0:
            begin = max(start, stop - (leaves - stack[depth - 1, 0]) * leaf)
            used = put(out, used, load, begin, tiers[min(depth - 1, last)])
    return used, depth

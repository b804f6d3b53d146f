"""Machine code that unfolds a binomial part into rows: `encode` imports it when it is needed."""

from typing import Any

from numba import njit

from unspool.schedules import binomial

MOST_ROWS = 4
"""How many rows one turn of the loop writes at most."""

stride: Any = njit(binomial.stride)


@njit
def fill(
    out: Any, stack: Any, progress: tuple[int, int], extent: tuple[int, int, int, int], tiers: Any
) -> tuple[int, int]:
    """Do what Binomial.actions does until the part is unfolded or the rows are full.

    `stack` holds the open ranges as there; `progress` is the number of rows used and of ranges open, and is
    returned as it stands then; `extent` is the start, stop, leaf and number of leaves of the part.
    """
    advance, record, reverse, save, load, drop = range(6)
    used, depth = progress
    start, stop, leaf, leaves = extent
    last_tier = len(tiers) - 1
    while depth > 0 and used + MOST_ROWS <= len(out):
        depth -= 1
        first, end, c, r, full = stack[depth]
        begin = max(start, stop - (leaves - first) * leaf)
        finish = stop - (leaves - end) * leaf
        if end - first > 1:
            i, once = stride(end - first, c, r, full)
            stack[depth] = first, first + i, c, r - 1, once
            depth += 1
            middle = stop - (leaves - first - i) * leaf
            out[used] = advance, begin, middle
            used += 1
            if end - first - i > 1:
                out[used] = save, middle, tiers[min(depth, last_tier)]
                used += 1
                stack[depth] = first + i, end, c - 1, r, full - once
                depth += 1
                continue
            begin = middle
        elif depth > 0:
            out[used] = drop, begin, tiers[min(depth, last_tier)]
            used += 1
        out[used] = record, begin, finish
        out[used + 1] = reverse, begin, finish
        used += 2
        if depth > 0:
            begin = max(start, stop - (leaves - stack[depth - 1, 0]) * leaf)
            out[used] = load, begin, tiers[min(depth - 1, last_tier)]
            used += 1
    return used, depth

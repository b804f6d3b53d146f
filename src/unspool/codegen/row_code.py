"""What is done to rows of actions in machine code: unfolding binomial parts, and weighing what the rows hold."""

from __future__ import annotations

from typing import Any

from unspool.codegen.fields import field
from unspool.schedules.unfolding import fill


def unfold(a: Any) -> int:
    """Fill rows: a is (rows, room, stack, used, depth, start, stop, leaf, leaves, tiers, last tier)."""
    out, stack, tiers = field(a[0], "i64[:, 3]", 64), field(a[2], "i64[:, 5]", 64), field(a[9], "i64[:]", 64)
    used, depth = fill(out, a[1], stack, (a[3], a[4]), (a[5], a[6], a[7], a[8]), tiers, a[10])
    a[3], a[4] = used, depth
    return 0


def weigh(a: Any) -> int:
    """Add up rows from a[1] to a[2] of those at a[0], up to the first that reaches step a[3]; return where it ended.

    a[4:] are, from batch to batch: slots and steps held now, the most of slots, of steps, and of both together; and of
    this batch: steps, records, saves, loads, the longest range, and rows of another tier than 0.
    """
    rows = field(a[0], "i64[:, 3]", 64)
    for k in range(9, 15):
        a[k] = 0
    row = a[1]
    reached = False
    while row < a[2] and not reached:
        verb, first, second = rows[row, 0], rows[row, 1], rows[row, 2]
        n = second - first
        if verb < 3:
            a[13] = max(a[13], n)
        if verb < 2:
            a[9] = a[9] + n
            reached = second == a[3]
        if verb == 1:
            a[10] = a[10] + n
            a[5] = a[5] + n
        elif verb == 2:
            a[5] = a[5] - n
        elif verb == 3:
            a[11] = a[11] + 1
            a[4] = a[4] + 1
        elif verb == 4:
            a[12] = a[12] + 1
        elif verb == 5:
            a[4] = a[4] - 1
        if verb > 2 and second != 0:
            a[14] = a[14] + 1
        a[6], a[7], a[8] = max(a[6], a[4]), max(a[7], a[5]), max(a[8], a[4] + a[5])
        row += 1
    return row

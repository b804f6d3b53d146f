"""A loop by hand around the two halves of a step: the schedule of Revolve(slots, leaf) in one function of Numba.

The parts of a problem are compiled functions of a state, which is one array, and of a tuple of arrays that hold
whatever else they read or use as scratch. ``ahead(k, after, before, data)`` writes the state after step k and returns
its term of the loss; ``last(state, ct, data)`` returns the rest of the loss and writes the cotangent of the last state;
``reverse(k, ct, earlier, before, data, sums)`` writes the cotangent of the state before step k into ``earlier`` and
adds to the parameters' in ``sums``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numba import njit

from benchmarks.rivals.hand.binomial import split


@dataclass(frozen=True)
class Parts:
    """A problem by hand: the three functions, what they take, and how the gradient comes out of what they leave."""

    functions: tuple[Any, Any, Any]
    start: np.ndarray
    data: tuple[Any, ...]
    sums: tuple[np.ndarray, ...]
    gradient: Callable[[np.ndarray, tuple[np.ndarray, ...]], tuple[Any, ...]]


@cache
def loop(ahead: Any, last: Any, reverse: Any) -> Any:
    """The compiled loop of a problem."""

    @njit(error_model="numpy")
    def gradient(start, n, slots, leaf, held, record, live, cts, data, sums):
        starts = np.zeros(slots + 1, np.int64)  # by slot, in blocks
        held[0] = start
        top, end, seen, value, turned = 0, (n + leaf - 1) // leaf, 0, 0.0, False
        ct, spare = cts[0], cts[1]
        while end > 0:
            # hold states on the way to the last block
            while end - starts[top] > 1 and top + 1 < slots:
                middle = starts[top] + split(end - starts[top], slots - top)
                now = held[top]
                for k in range(starts[top] * leaf, middle * leaf):
                    after = held[top + 1] if k == middle * leaf - 1 else live[k % 2]
                    term = ahead(k, after, now, data)
                    value += term if k >= seen else 0.0
                    now = after
                seen = max(seen, middle * leaf)
                top += 1
                starts[top] = middle
            # from the last state that is held to the last block, whose states are kept
            begin, stop = (end - 1) * leaf, min(end * leaf, n)
            now = held[top]
            for k in range(starts[top] * leaf, begin):
                after = live[k % 2]
                term = ahead(k, after, now, data)
                value += term if k >= seen else 0.0
                now = after
            seen = max(seen, begin)
            record[0] = now
            for k in range(begin, stop - 1 if turned else stop):
                term = ahead(k, record[k - begin + 1], record[k - begin], data)
                value += term if k >= seen else 0.0
            seen = max(seen, stop)
            if not turned:
                turned = True
                value += last(record[stop - begin], ct, data)
            for k in range(stop - 1, begin - 1, -1):
                reverse(k, ct, spare, record[k - begin], data, sums)
                ct, spare = spare, ct
            end -= 1
            if top > 0 and starts[top] == end:
                top -= 1
        return value, ct

    return gradient


def around(parts: Parts, *, n_steps: int, slots: int, leaf: int) -> Callable[[], tuple[Any, ...]]:
    """The value and the gradient; buffers are kept between calls."""
    run, shape = loop(*parts.functions), parts.start.shape
    held, record, live, cts = (np.zeros((count, *shape)) for count in (slots, leaf + 1, 2, 2))

    def gradient() -> tuple[Any, ...]:
        for total in parts.sums:
            total[...] = 0
        value, ct = run(parts.start, n_steps, slots, leaf, held, record, live, cts, parts.data, parts.sums)
        return value, *(np.array(part) for part in parts.gradient(ct, parts.sums))

    return gradient

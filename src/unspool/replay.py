"""Whether a step that is run again does what it did before: states compared bit by bit, and what a difference tells.

States are never written once they are there (a step gets handles on them, and what it writes goes elsewhere), so that a
reference to one is as good as a copy, and the comparison knows both values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from unspool.errors import PolicyError
from unspool.kernels import State
from unspool.layout import digest

SAMPLED = 1024
"""So many elements of a large array are compared where a sample is, others at each step."""

SMALL = 2**16
"""Bytes: arrays up to this size are their own sample."""

_AT_ONCE = 2**14  # bytes: below this copies are compared faster than arrays
_PADDED = "gG"  # longdouble, of whose bytes some mean nothing


class Check(Enum):
    """How much of a state is compared when it is computed again."""

    DIGEST = "digest"
    SAMPLE = "sample"
    OFF = "off"


def as_check(check: Any) -> Check:
    """What a user means by ``check=``."""
    for known in Check:
        if check is known or (isinstance(check, str) and check == known.value):
            return known
    raise PolicyError(
        f'check={check!r}: choose "digest" (the bits of states that are computed again are compared), "sample" (some '
        'of them), or "off".'
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """The first element that came out differently: in which array of a state, at which index, and both values."""

    position: int
    index: tuple[int, ...]
    before: Any
    now: Any

    def __str__(self) -> str:
        where = f"at index {self.index} " if self.index else ""
        other = " in other bits" if repr(self.before) == repr(self.now) else ""
        return f"{where}it was {self.before!r} and became {self.now!r}{other}"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A state that came out differently before a step.

    ``cause`` is what was found when steps from ``start`` on were run twice more in lockstep: the first that does not
    repeat itself and where, None if all do, and ``...`` where that is not known.
    """

    step: int
    difference: Difference
    start: int
    cause: Any = ...


def first_difference(before: State, now: State) -> Difference | None:
    """Where two states of the same types differ in their bits, or None.

    >>> print(first_difference((np.zeros(2),), (np.array([0.0, 0.5]),)))
    at index (1,) it was 0.0 and became 0.5
    """
    for one, other in zip(before, now, strict=True):
        if one is not other and not same_bits(one, other):
            break
    else:
        return None
    position = next(k for k, (one, other) in enumerate(zip(before, now, strict=True)) if not same_bits(one, other))
    one, other = before[position], now[position]
    flat = _first(one, other)
    index = tuple(map(int, np.unravel_index(flat, np.shape(one))))
    return Difference(position, index, _at(one, flat), _at(other, flat))


def sample(state: State, step: int) -> State:
    """Copies of elements of large arrays, evenly spread, which are others at the next step; small arrays as they are.

    >>> [part.size for part in sample((np.zeros(3), np.zeros(10_000)), 7)]
    [3, 1000]
    """
    return tuple([leaf if leaf.nbytes <= SMALL else leaf.reshape(-1)[_places(leaf, step)].copy() for leaf in state])


def _places(array: np.ndarray, step: int) -> slice:
    stride = -(-array.size // SAMPLED)
    return slice(step % stride, None, stride)


def first_sampled_difference(before: State, now: State, step: int) -> Difference | None:
    """Where a state differs from the sample that was taken of another at this step, or None."""
    found = first_difference(before, sample(now, step))
    if found is None or now[found.position].nbytes <= SMALL:
        return found
    whole = now[found.position]
    flat = np.arange(whole.size)[_places(whole, step)][found.index]
    index = tuple(map(int, np.unravel_index(flat, whole.shape)))
    return Difference(found.position, index, found.before, found.now)


def same_bits(one: Any, other: Any) -> bool:
    """Whether two arrays of one shape and dtype have the same bits."""
    if one.nbytes <= _AT_ONCE and one.tobytes() == other.tobytes():
        return True
    if one.dtype.char in _PADDED:
        return digest([one]) == digest([other])
    word = np.uint64 if one.nbytes % 8 == 0 else np.uint8
    a, b = (np.ascontiguousarray(x).reshape(-1).view(word) for x in (one, other))
    return bool((a == b).all())


def checksum(arrays: Any, check: Check) -> tuple[int, ...]:
    """A digest of each array, or of a sample of it; none where nothing is compared."""
    if check is Check.OFF:
        return ()
    return digest(arrays if check is Check.DIGEST else sample(arrays, 0))


def _first(one: Any, other: Any) -> int:
    """The number of the first element whose bits differ, by bisection."""
    a, b = np.reshape(one, -1), np.reshape(other, -1)
    low, high = 0, a.size
    while high - low > 1:
        middle = (low + high) // 2
        if same_bits(a[low:middle], b[low:middle]):
            low = middle
        else:
            high = middle
    return low


def _at(array: Any, flat: int) -> Any:
    return np.reshape(array, -1)[flat].item()


def lockstep(
    advance: Callable[[State, int, int], tuple[State, int]], state: State, start: int, stop: int
) -> tuple[int, Difference] | None:
    """Take each step twice from the same state: the first that does not repeat itself, and where, or None."""
    for k in range(start, stop):
        once, reached = advance(state, k, k + 1)
        if reached == k:
            break
        again, _ = advance(state, k, k + 1)
        found = first_difference(once, again)
        if found is not None:
            return k, found
        state = again
    return None


def replay_message(what: str, difference: Any = "", cause: str = "") -> str:
    """What to say when a step is found not to repeat itself."""
    values = f" ({difference})" if difference else ""
    return (
        f"{what} came out differently when the step was run again{values}, so the gradient would be wrong. "
        f"{cause and cause + ' '}A step must be a function of its state: it may not draw from a global random "
        "generator, read a clock or a counter, or depend on an array that is changed meanwhile. Carry the random "
        "generator and counters in the state (`u, rng = state` and `return u, rng`), draw the random numbers before "
        'the loop and pass them as xs of scan, or use policy="none", which runs no step twice.'
    )

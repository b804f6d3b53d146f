"""What a computation takes: operations, counted, and seconds, measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from unspool.witness import Ear, Operation, witness

_LEAST_SECONDS = 0.01  # a measurement shorter than this is repeated until it is not
_REPEATS = 3


class _Count(Ear):
    def __init__(self) -> None:
        self.n = 0

    def enter(self, value: Any, name: str, place: str) -> tuple[Any, Any]:
        """A value comes in: nothing to count."""
        return value, None

    def hear(
        self, operation: Operation, call: Callable[..., Any], values: Sequence[Any], notes: Sequence[Any]
    ) -> tuple[Any, Sequence[Any]]:
        """One operation more."""
        self.n += 1
        y = call(*values)
        return y, [None] * (len(y) if operation.primitive.multiple else 1)

    def leave(self, value: Any, note: Any, place: str) -> None:
        """A value goes out: nothing to count."""


def n_operations(f: Callable[..., Any], *args: Any) -> int:
    """How many primitives ``f(*args)`` carries out on values that depend on its arguments.

    A derivative of ``f`` is counted with the operations of its rules, and a loop step by step, run again or not; the
    loop itself counts as one. An operation on arrays counts once.

    >>> import numpy as np, unspool
    >>> def f(x):
    ...     return np.sin(x) * x
    >>> n_operations(f, 0.5), n_operations(unspool.grad(f), 0.5)
    (2, 7)
    """
    ear = _Count()
    witness(f, ear)(*args)
    return ear.n


def seconds(call: Callable[[], Any]) -> float:
    """What a call takes: the least of three means over so many calls that the clock is no matter."""
    call()  # imports, rules that are made when they are first asked for
    n = 1
    while True:
        begin = perf_counter()
        for _ in range(n):
            call()
        spent = perf_counter() - begin
        if spent >= _LEAST_SECONDS:
            break
        n = max(2 * n, int(1.2 * n * _LEAST_SECONDS / max(spent, 1e-9)))
    best = spent / n
    for _ in range(_REPEATS - 1):
        begin = perf_counter()
        for _ in range(n):
            call()
        best = min(best, (perf_counter() - begin) / n)
    return best

"""Closure conversion: the traced values that a step sees from outside become inputs of the step.

A step is an ordinary Python function; it may read any traced array of the code around it. While it runs, the listeners
around it are set aside, and a scope answers for them: what the step reads of their values is noted as a capture, and a
handle of the step's own tape stands in for it. So no gradient is lost through a closure, and nothing that a step does
is recorded outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from unspool.errors import ReplayError
from unspool.ir.listener import FROZEN, Listener, Scope, Traced, bind


class Captures:
    """The traced handles that a step reads from outside, in the order in which they were first read."""

    __slots__ = ("handles", "open", "positions")

    def __init__(self) -> None:
        self.handles: list[Traced] = []
        self.positions: dict[int, int] = {}
        self.open = True

    def __len__(self) -> int:
        return len(self.handles)

    def position(self, handle: Traced) -> int:
        """The number of a capture; a new one is noted as long as the captures are open."""
        position = self.positions.get(id(handle))
        if position is None:
            if not self.open:
                raise LateCaptureError(self, handle)
            position = self.positions[id(handle)] = len(self.handles)
            self.handles.append(handle)
        return position


class LateCaptureError(ReplayError):
    """A step read a traced value that it had not read before."""

    def __init__(self, captures: Captures, handle: Traced) -> None:
        super().__init__(
            f"a step read a traced array of shape {handle.value.shape} from outside that it had not read in the first "
            "sweep: "
            "it does not do the same when it is run again. Carry in the state whatever decides what the step reads."
        )
        self.captures = captures
        self.handle = handle


class Capturing(Scope):
    """Answers for the listeners around a step; ``read(position)`` gives the step's own handle of a capture."""

    __slots__ = ("_captures", "_read", "_views")

    def __init__(self, captures: Captures, read: Callable[[int], Any]) -> None:
        self._captures = captures
        self._read = read
        self._views: dict[tuple[int, int], Any] = {}

    def lift(self, traced: Traced) -> Any:
        """The handle that stands for a value from outside."""
        base = traced.base
        if base is None or base.version == traced.version or id(traced) in self._captures.positions:
            return self._read(self._captures.position(traced))
        key = id(traced), base.version
        if key not in self._views:  # the base was written after the view was taken: take the view anew, in here
            value: Any = base
            for primitive, params in traced.path:
                value = bind(primitive, value, **params)
            value.version = FROZEN
            self._views[key] = value
        return self._views[key]


@contextmanager
def standing_in(scope: Scope, listeners: Iterable[Listener]) -> Iterator[None]:
    """Let the scope answer for these listeners."""
    saved = [(listener, listener.scope) for listener in dict.fromkeys(listeners)]
    for listener, _ in saved:
        listener.scope = scope
    try:
        yield
    finally:
        for listener, before in saved:
            listener.scope = before

"""Closure conversion: the traced values that a step sees from outside become inputs of the step.

A step is an ordinary Python function; it may read any traced array of the code around it. While it runs, the listeners
around it are set aside, and a scope answers for them: what the step reads of their values is noted as a capture, and a
handle of the step's own tape stands in for it. So no gradient is lost through a closure, and nothing that a step does
is recorded outside.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from unspool.errors import ReplayError
from unspool.ir.listener import FROZEN, Listener, Scope, Traced, bind


class Captures:
    """The traced handles that a step reads from outside, in the order in which they were first read."""

    __slots__ = ("handles", "open", "outside", "positions", "stale")

    def __init__(self) -> None:
        self.handles: list[Traced] = []
        self.outside: list[Any] = []  # what each handle stands for outside of the step: another loop may stand around
        self.positions: dict[int, int] = {}
        self.stale: dict[int, Traced] = {}  # the views that had to be taken anew
        self.open = True

    def __len__(self) -> int:
        return len(self.handles)

    def note(self, handle: Traced, outside: Any) -> None:
        """Give a handle that is read for the first time its number."""
        self.positions[id(handle)] = len(self.handles)
        self.handles.append(handle)
        self.outside.append(outside)


class LateCaptureError(ReplayError):
    """A step read a traced value that it had not read before."""

    def __init__(self, captures: Captures, handle: Traced) -> None:
        super().__init__(
            f"a step read a traced array of shape {handle.value.shape} from outside that it had not read in the first "
            "sweep: it does not do the same when it is run again. Carry in the state whatever decides what the step "
            "reads."
        )
        self.captures = captures
        self.handle = handle


class Capturing(Scope):
    """Answers for the listeners around a step; ``read(position)`` gives the step's own handle of a capture."""

    __slots__ = ("_captures", "_read", "_views", "around")

    def __init__(self, captures: Captures, read: Callable[[int], Any]) -> None:
        self._captures = captures
        self._read = read
        self._views: dict[int, Any] = {}
        self.around: dict[Listener, Scope | None] = {}

    def lift(self, traced: Traced) -> Any:
        """The handle that stands for a value from outside."""
        captures = self._captures
        if id(traced) not in captures.positions:
            scope = self.around.get(traced.listener)
            base = traced.base
            if id(traced) in captures.stale or (scope is None and base is not None and base.version != traced.version):
                return self._taken_anew(traced)
            if not captures.open:
                raise LateCaptureError(captures, traced)
            captures.note(traced, traced if scope is None else scope.lift(traced))
        return self._read(captures.positions[id(traced)])

    def _taken_anew(self, traced: Traced) -> Any:
        """A view whose base was written since, taken again in here."""
        self._captures.stale[id(traced)] = traced
        if id(traced) not in self._views:
            value: Any = traced.base
            for primitive, params in traced.path:
                value = bind(primitive, value, **params)
            value.version = FROZEN
            self._views[id(traced)] = value
        return self._views[id(traced)]


class _Aside(threading.local):
    def __init__(self) -> None:
        self.listeners: list[Listener] = []


_ASIDE = _Aside()


def aside() -> list[Listener]:
    """The listeners of this thread for which a scope answers now, with repetitions."""
    return _ASIDE.listeners


class standing_in:  # noqa: N801 - read as a verb: `with standing_in(scope, listeners):`
    """Let the scope answer for these listeners, for the length of a ``with`` block."""

    __slots__ = ("_n_before", "_scope")

    def __init__(self, scope: Capturing, listeners: Iterable[Listener]) -> None:
        scope.around = {listener: listener.scope for listener in listeners}
        self._scope = scope

    def __enter__(self) -> None:
        scope, aside = self._scope, _ASIDE.listeners
        self._n_before = len(aside)
        aside += scope.around
        for listener in scope.around:
            listener.scope = scope

    def __exit__(self, *_: object) -> None:
        del _ASIDE.listeners[self._n_before :]
        for listener, before in self._scope.around.items():
            listener.scope = before

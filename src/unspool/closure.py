"""Closure conversion: the traced values that a step sees from outside become inputs of the step.

A step is an ordinary Python function; it may read any traced array of the code around it. While it runs, the listeners
around it are set aside, and a scope answers for them: what the step reads of their values is noted as a capture, and a
handle of the step's own tape stands in for it. So no gradient is lost through a closure, and nothing that a step does
is recorded outside.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from types import CellType, CodeType, FunctionType
from typing import Any

import numpy as np

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

    def forget(self, n: int) -> None:
        """Drop all but the first n."""
        for handle in self.handles[n:]:
            del self.positions[id(handle)]
        del self.handles[n:], self.outside[n:]

    def taken_out(self) -> list[tuple[Traced, Any]]:
        """All of them, of which none is left, for `put_back`."""
        pairs = [*zip(self.handles, self.outside, strict=True)]
        self.forget(0)
        return pairs

    def put_back(self, pairs: list[tuple[Traced, Any]]) -> None:
        """Have these, and no others, again."""
        self.forget(0)
        for handle, outside in pairs:
            self.note(handle, outside)


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


# --- arrays as traced values ------------------------------------------------------------------------------------------
def lifted(function: Any, handle: Callable[[np.ndarray], Any], nests: list[tuple[Any, Any]] | None = None) -> Any:
    """The same function, with ``handle(array)`` in the place of every plain array of its closure and globals.

    So it can index them with a traced number, as NumPy's own arrays cannot be. Functions that it calls are lifted with
    it, and lists, tuples and dicts that it reads. Each such list and dict is a copy; ``nests`` gets it and what it
    holds, so that it can be seen whether the function has changed it. What holds no arrays comes back as it is.
    """
    known: dict[int, Any] = {}

    def lift(value: Any) -> Any:
        if id(value) not in known:
            known[id(value)] = value  # a function that calls itself
            if type(value) is np.ndarray and value.ndim and value.dtype.kind in "biuf":
                known[id(value)] = handle(value)
            elif type(value) is FunctionType and not str(value.__module__).startswith(("unspool.", "numpy.", "scipy.")):
                known[id(value)] = lift_function(value)
            elif type(value) in (list, tuple, dict):
                known[id(value)] = lift_nest(value)
        return known[id(value)]

    def lift_nest(old: Any) -> Any:
        parts = [*(old.values() if type(old) is dict else old)]
        new = [*map(lift, parts)]
        if all(one is other for one, other in zip(new, parts, strict=True)):
            return old
        if type(old) is tuple:
            return tuple(new)
        nest = dict(zip(old, new, strict=True)) if type(old) is dict else new
        if nests is not None:
            nests.append((nest, nest.copy()))
        return nest

    def lift_cell(cell: CellType) -> CellType:
        try:
            found = lift(cell.cell_contents)
        except ValueError:  # not set yet
            return cell
        return cell if found is cell.cell_contents else CellType(found)

    def lift_function(old: FunctionType) -> FunctionType:
        cells = tuple([lift_cell(cell) for cell in old.__closure__ or ()])
        names = {name: lift(old.__globals__[name]) for name in names_of(old.__code__) if name in old.__globals__}
        changed = {name: value for name, value in names.items() if value is not old.__globals__[name]}
        defaults = tuple([lift(value) for value in old.__defaults__ or ()]) or None
        pairs = [
            *zip(cells, old.__closure__ or (), strict=True),
            *zip(defaults or (), old.__defaults__ or (), strict=True),
        ]
        if not changed and all(one is other for one, other in pairs):
            return old
        space = {**old.__globals__, **changed} if changed else old.__globals__
        new = FunctionType(old.__code__, space, old.__name__, defaults, cells or None)
        new.__kwdefaults__ = old.__kwdefaults__
        return new

    return lift(function)


def names_of(code: CodeType) -> Iterator[str]:
    """The global and attribute names in some code, and in the functions that are defined in it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_of(constant)

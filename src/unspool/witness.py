"""A witness: a listener above all others that hands every operation on, and tells an ear what it saw.

What is differentiated stays what it was: tapes and tangents below hear the same operations. A loop is witnessed by
giving it a step that has a witness of its own, under the loop's own policy, so that steps run again are heard again
and memory stays what the policy says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from inspect import getclosurevars
from typing import Any

import numpy as np

from unspool.codegen.fallback import Surroundings
from unspool.ir.listener import CLOSED, FROZEN, Listener, Scope, Traced, bind, fresh, listening, resolve, still
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.loop import Loop
from unspool.loop_primitives import loop_primitive, loop_vjp_primitive
from unspool.planner import Auto
from unspool.schedules import Online, Revolve
from unspool.source_line import user_line
from unspool.tree import flatten
from unspool.variable import Variable

_SLOTS = 20  # snapshots of a loop that would else choose a policy by running steps out of turn


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One call of a primitive: its keywords, the user's line, and in which step of which loop it is."""

    primitive: Primitive
    params: dict[str, Any]
    line: str | None
    place: str

    def __call__(self, *operands: Any) -> Any:
        """Carry it out, on other operands or once more, without anybody being told."""
        return bind(self.primitive, *operands, **self.params)


class Ear(ABC):
    """What a witness tells: each value that comes in or goes out, and each operation, with a note per value."""

    @abstractmethod
    def enter(self, value: Any, name: str, place: str) -> tuple[Any, Any]:
        """A value comes in, at the start of a function or of a step: what stands for it, and its note."""

    @abstractmethod
    def hear(
        self, operation: Operation, call: Callable[..., Any], values: Sequence[Any], notes: Sequence[Any]
    ) -> tuple[Any, Sequence[Any]]:
        """Carry out ``call(*values)``, whose values have these notes; the result, and a note for each part of it."""

    @abstractmethod
    def leave(self, value: Any, note: Any, place: str) -> None:
        """A value goes out, at the end of a function or of a step."""


class Witness(Listener):
    """Listens above all others; the node of a value is the ear's note, ``place`` is where in which loop this is."""

    __slots__ = ("ear", "level", "place", "recording", "scope")

    def __init__(self, ear: Ear, place: str = "") -> None:
        self.level = 0
        self.scope: Scope | None = None
        self.recording = True
        self.ear = ear
        self.place = place

    def input(self, value: Any, name: str) -> Any:
        """A handle on a value that comes in, if it is made of floats; else the value itself."""
        value = resolve(value)
        if isinstance(value, float | complex) and not isinstance(value, np.generic):
            value = np.asarray(value)[()]
        if not isinstance(value, Traced | np.ndarray | np.generic) or ArrayType.of(value).dtype.kind not in "fc":
            return value
        if isinstance(value, Traced):
            value = still(fresh(value))
        return Variable(*self._pair(self.ear.enter(value, name, self.place)))

    def _pair(self, found: tuple[Any, Any]) -> tuple[Any, Witness, Any]:
        return found[0], self, found[1]

    def constant(self, value: Any) -> Variable:
        """A handle without a note, into which traced values can be written."""
        return Variable(value, self, None)

    def result(self, leaf: Any) -> Any:
        """What goes out, with this level of tracing taken off."""
        leaf = resolve(leaf)
        if isinstance(leaf, Traced) and fresh(leaf).listener is self:
            self.ear.leave(leaf.value, leaf.node, self.place)
            return leaf.value
        return leaf

    def close(self) -> None:
        """End it: its values cannot be used any more."""
        self.scope = CLOSED

    def bind(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Hand the operation on, and tell the ear."""
        own = [isinstance(arg, Traced) and arg.listener is self for arg in args]
        values = [
            arg.value if mine else still(arg) if isinstance(arg, Traced) else arg
            for arg, mine in zip(args, own, strict=True)
        ]
        notes = [arg.node if mine else None for arg, mine in zip(args, own, strict=True)]
        inner = witnessed(primitive, self.ear, self.place)

        def call(*operands: Any) -> Any:
            return bind(inner, *operands, **params)

        if not primitive.differentiable:
            y = call(*values)
            plain = isinstance(y, Traced) or getattr(y, "dtype", None) is None or y.dtype.kind not in "fc"
            return y if plain else self.constant(y)
        y, found = self.ear.hear(Operation(primitive, params, user_line(), self.place), call, values, notes)
        if not primitive.multiple:
            return Variable(y, self, found[0])
        return tuple([Variable(part, self, note) for part, note in zip(y, found, strict=True)])

    def binary(self, primitive: Primitive, operator: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
        """The same as `bind`."""
        return bind(primitive, x, y)

    def unary(self, primitive: Primitive, x: Any) -> Any:
        """The same as `bind`."""
        return bind(primitive, x)


def witness(f: Callable[..., Any], ear: Ear, *, plain: bool = True) -> Callable[..., Any]:
    """The same function, of which an ear is told; of its ``plain`` arguments too, or of traced ones only."""

    @wraps(f)
    def told(*args: Any, **kwargs: Any) -> Any:
        listener = Witness(ear)
        leaves, structure = flatten((args, kwargs))
        names = [_argument(path) for path in structure.paths()]
        with listening(listener):
            try:
                handles = [
                    listener.input(leaf, name) if plain or isinstance(leaf, Traced) else leaf
                    for leaf, name in zip(leaves, names, strict=True)
                ]
                positional, named = structure.unflatten(handles)
                results, found = flatten(f(*positional, **named))
                untold = [listener.result(leaf) for leaf in results]
            finally:
                listener.close()
        return found.unflatten(untold)

    return told


def _argument(path: str) -> str:
    """The name of a leaf of (args, kwargs): ``argument 0['u']``."""
    inside = path[3:]  # [0] or [1]
    number, _, rest = inside.partition("]")
    return f"argument {number[1:]}{rest}"


# --- loops ------------------------------------------------------------------------------------------------------------
def is_loop(primitive: Primitive) -> bool:
    """Whether this operation is a loop, whose steps a witness hears one by one."""
    return _loop_of(primitive) is not None


def _loop_of(primitive: Primitive) -> tuple[Loop, Any] | None:
    if primitive.record is None or primitive.push is None:
        return None
    known = getclosurevars(primitive.evaluate).nonlocals
    loop, form = known.get("loop"), known.get("form")
    return (loop, form) if isinstance(loop, Loop) else None


def witnessed(primitive: Primitive, ear: Ear, place: str) -> Primitive:
    """A loop with a step of which the ear is told; any other primitive itself."""
    found = _loop_of(primitive)
    if found is None:
        return primitive
    loop, form = found
    told = witnessed_loop(loop, ear, place)
    return (loop_primitive if primitive.name == loop.name else loop_vjp_primitive)(told, form)


def witnessed_loop(loop: Loop, ear: Ear, place: str) -> Loop:
    """A loop with a step of which the ear is told, and which is neither compiled nor measured."""
    schedule = loop.schedule
    if isinstance(schedule, Auto):  # it would run steps and their adjoints to time them, which are no part of the run
        schedule = Online(_SLOTS) if loop.n_steps is None else Revolve(_SLOTS)
    return replace(loop, step=_step(loop, ear, place), flat=None, schedule=schedule, compile=False)


def _step(loop: Loop, ear: Ear, place: str) -> Callable[..., tuple[list[Any], list[Any]]]:
    def step(k: int, state: list[Any], inputs: list[Any], around: Surroundings) -> tuple[list[Any], list[Any]]:
        listener = Witness(ear, f"step {k} of {loop.name}{place and f', in {place}'}")
        handles: dict[int, Any] = {}

        def read(position: int) -> Any:
            if position not in handles:
                handle = listener.input(around.read(position), "an array from the code around the loop")
                if isinstance(handle, Traced):
                    handle.version = FROZEN
                handles[position] = handle
            return handles[position]

        with listening(listener):
            try:
                before = [listener.input(x, f"state{_name(loop, i)}") for i, x in enumerate(state)]
                rows = [listener.input(x, "a row of xs") for x in inputs]
                new, outputs = loop.step(k, before, rows, Surroundings(around.listeners, read))
                return [*map(listener.result, new)], [*map(listener.result, outputs)]
            finally:
                listener.close()

    return step


def _name(loop: Loop, position: int) -> str:
    return loop.names[position] if position < len(loop.names) else ""

"""The steps of a loop as programs: traced along the paths that they take, and remembered by all they can depend on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os.path import basename, dirname
from traceback import walk_tb
from typing import Any

import numpy as np

from unspool.adjoint import Point, Recording, changes, joined, outside, record
from unspool.adjoint.fingerprint import Fingerprint
from unspool.closure import LateCaptureError, aside, lifted
from unspool.codegen.build import build, is_built
from unspool.codegen.fallback import FlatStep, Surroundings
from unspool.codegen.fuse import kind_of
from unspool.codegen.machine import Compiled
from unspool.codegen.scalars import MOST_STEPS
from unspool.errors import DetachedError, UnsupportedError
from unspool.ir.listener import FROZEN, Traced, active, primal, still
from unspool.ir.program import Equation, Var
from unspool.layout import ArrayType
from unspool.loop import Loop
from unspool.tracer import Tracer
from unspool.tree import Structure
from unspool.whole_numbers import as_float, as_floats, as_traced_floats, as_typed, is_carried
from unspool.worth import key_of

_PACKAGE = dirname(__file__)

MOST_PATHS = 8
"""A step that takes more paths through its branches is not compiled."""

_AHEAD = 16  # steps that are looked at for their paths before anything is compiled


class PathError(UnsupportedError):
    """A step of a compiled loop went a way that cannot be learned."""


class TracedSteps:
    """The steps of a loop: traced along the paths that they take, and compiled.

    Where ``only_types`` of state, xs and values are given, a step cannot branch.
    """

    def __init__(
        self, loop: Loop, init: Sequence[Any], xs: Sequence[Any], values: Sequence[Any], *, only_types: bool = False
    ) -> None:
        self.loop, self.xs, self.values = loop, xs, [*values]
        self._only_types = only_types
        self._init, self._n_captures = init, len(loop.captures)
        self._given = [*map(ArrayType.of, init)], [ArrayType(x.dtype, x.shape[1:]) for x in xs]
        self._seen = _seen(loop, init, xs) if not values and not self._n_captures else None
        self._lifting = False
        self._over = False  # whether the last trace has found that there is no step to take
        self._asked = 0  # the branches of its condition
        self._tracer: Tracer | None = None  # of the last trace
        self._before: dict[str, Any] | None = None
        self._state, self._inputs = [[*map(as_float, types)] for types in self._given]

    def compiled(self) -> Compiled | None:
        """The machine code of the paths that the first steps take, or None for a while loop without steps. Raises
        `UnsupportedError`, and whatever a step does with a value that is not there yet."""
        if self._seen is not None and self._seen.key in _TRACED:
            found = self._seen.recall(self.loop, self.values)
            branching = next((path for path in found.adjoint.paths if path.branches), None)
            if self._only_types and branching is not None:
                raise UnsupportedError(
                    f"the step of {self.loop.name} branches on a value ({_lines(branching)}), of which only the type "
                    "is known here. Use np.where, or leave the function around the loop to Python"
                )
            return found
        self._check()
        if not self._only_types:
            self._init = as_floats(self._init, f"the initial state of {self.loop.name}")
            self.xs = as_floats(self.xs, f"xs of {self.loop.name}")
        paths = self._explored([], 0, self._init)
        return self._built(paths) if paths else None

    def ends(self, step: int, state: Sequence[Any]) -> bool:
        """Whether the condition of a while loop fails for this state."""
        if self.loop.condition is not None:
            self._recorded(step, state)
        return self._over

    def learned(self, compiled: Compiled, step: int, state: Sequence[Any]) -> Compiled | None:
        """The machine code with the path added that this step takes, or None where the condition of a while loop fails.
        Raises `PathError`."""
        known = compiled.adjoint.paths
        try:
            found = self._explored(known, step, state)
            if len(found) == len(known) and self._over:
                return None
            if len(found) == len(known):
                raise UnsupportedError(
                    f"in step {step} of {self.loop.name} a branch hangs on the last digit of a value "
                    f"({_lines(found[0])})"
                )
            return self._built(found)
        except LateCaptureError:
            raise
        except Exception as error:
            if self.loop.compile is True:
                raise
            raise PathError(described(error)) from error

    def refused(self) -> str | None:
        """Why an earlier call has found that the step cannot be compiled."""
        found = None if self._seen is None else _REFUSED.get(self._seen.key)
        return None if found is None else found[0]

    def refuse(self, reason: str) -> None:
        """Drop the captures that only the trace has read; remember why, if it hangs on no value."""
        self.loop.captures.forget(self._n_captures)
        if self._seen is not None and (self._tracer is None or not self._tracer.branches):
            _REFUSED[self._seen.key] = reason, self._seen.alive()
            if len(_REFUSED) > _MOST_TRACED:
                _REFUSED.popitem(last=False)

    def _built(self, paths: Sequence[Recording]) -> Compiled:
        adjoint = joined(paths)
        if len(adjoint.paths) > 1 and any(map(_may_fail, adjoint.joint.equations)):
            raise UnsupportedError(
                f"the step of {self.loop.name} branches ({_lines(paths[0])}) and calls Python: all paths would be "
                "called. Use np.where, or compile=False"
            )
        compiled = build(adjoint, shared=self.loop.threads > 1)
        if self._seen is not None:
            self._seen.note(self.loop, compiled)
        return compiled

    def _explored(self, known: Sequence[Recording], step: int, state: Sequence[Any]) -> list[Recording]:
        """The known paths, and those that some steps from here on take."""
        paths, n = [*known], self.loop.n_steps or 0
        ahead = [*range(step, min(step + _AHEAD, n)), *[k for k in (n // 2, n - 1) if k >= step + _AHEAD]]
        if self.loop.n_steps is None:
            ahead = [*range(step, step + _AHEAD)]
        for k in ahead or [0]:
            found = self._recorded(k, state)
            if self._over:
                break
            if all(found.path != path.path for path in paths):
                if self._is_new(found):
                    self._check_repeats(found, k, state)
                self._check_types(found)
                paths.append(found)
            if len(paths) > MOST_PATHS:
                raise UnsupportedError(
                    f"the step of {self.loop.name} takes more than {MOST_PATHS} paths through its branches "
                    f"({_lines(found)}). Use np.where for some of them"
                )
            if not found.branches:
                break
            state = found.after
        return paths

    def _recorded(self, k: int, state: Sequence[Any]) -> Recording:
        loop, captures = self.loop, self.loop.captures
        n_captures, n_values = len(captures), max(len(captures), len(self.values))
        if not self._lifting:
            try:
                return self._trace(k, state)
            except DetachedError:  # perhaps because a plain array was indexed with the number of the step
                if loop.stepping is None:
                    raise
                captures.forget(n_captures)
                del self.values[n_values:]
                self._lifting = True
        return self._trace(k, state)

    def _trace(self, k: int, state: Sequence[Any]) -> Recording:
        loop, captures, values = self.loop, self.loop.captures, self.values

        def value(position: int) -> Any:
            while len(values) <= position:
                values.append(primal(captures.outside[len(values)]))
            return values[position]

        around = (*active(), *aside(), *(handle.listener for handle in captures.handles))

        def step(k: Any, state: list[Any], inputs: list[Any], read: Any) -> tuple[list[Any], list[Any]]:
            surroundings = Surroundings(around, read)
            self._tracer = k.listener
            typed = as_typed(state, self._given[0])
            self._over = not self._goes_on(k.listener, typed, surroundings)
            if self._over:
                return state, []
            flat = _lifted_step(loop, k.listener) if self._lifting else loop.step
            before = [*map(still, typed)]
            new, outputs = flat(k, typed, as_typed(inputs, self._given[1]), surroundings)
            new = as_traced_floats(new, before, self._given[0], k.listener, n_steps=loop.n_steps, name=loop.name)
            return new, outputs

        at = None
        if not self._only_types:
            rows = [x[k] if len(x) else np.zeros(t.shape, t.dtype) for x, t in zip(self.xs, self._inputs, strict=True)]
            at = Point(k, state, rows, value)
        found = record(
            step,
            self._state,
            self._inputs,
            lambda position: ArrayType.of(value(position)),
            lambda: max(len(captures), len(values)),
            at=at,
        )
        return replace(found, asked=self._asked) if self._asked else found

    def _goes_on(self, tracer: Tracer, state: Sequence[Any], surroundings: Surroundings) -> bool:
        """What the condition of a while loop says; its last branch is noted, if that is what it says."""
        condition = self.loop.condition
        if condition is None:
            return True

        def truth(answer: Any) -> bool:
            n_before = len(tracer.branches)
            found = bool(answer)
            n_after = len(tracer.branches)
            self._asked = n_after if n_after > n_before else 0
            return found

        goes_on = condition([*state], surroundings, truth)
        if any(leaf.version for leaf in state):
            raise UnsupportedError(f"the condition of {self.loop.name} writes into the state, which only a step may do")
        return goes_on

    # --- what is refused --------------------------------------------------------------------------------------------
    def _check(self) -> None:
        loop = self.loop
        if loop.n_steps is not None and loop.n_steps > MOST_STEPS:
            raise UnsupportedError(f"{loop.name} has more than 2**31 steps")
        for t in (*self._given[0], *self._given[1]):
            if not is_carried(t):
                raise UnsupportedError(f"{loop.name} works on {t}: only float64, int64 and bool are compiled")
        self._before = self._outside()

    def _outside(self) -> dict[str, Any]:
        """What the step and the condition of the loop keep outside of the state."""
        condition = {} if self.loop.condition is None else outside(self.loop.condition)
        return {**outside(self.loop.step), **{f"{name} (in its condition)": what for name, what in condition.items()}}

    def _is_new(self, found: Recording) -> bool:
        """Whether the trace must be seen a second time: nothing like it was built before, or it has left marks."""
        return bool(found.branches) or not is_built(joined([found])) or self._before != self._outside()

    def _check_repeats(self, found: Recording, k: int, state: Sequence[Any]) -> None:
        """Refuse a step that changes what is outside of it, or that does not do the same a second time."""
        loop = self.loop
        between = self._outside()
        again = self._recorded(k, state)
        after = self._outside()  # what the first trace has filled, a cache say, may stay as it is
        if changed := changes(between, after):
            raise UnsupportedError(
                f"the step of {loop.name} changes {', '.join(changed)}, which it keeps outside of its state: a random "
                "generator, a counter, a list or an array. Machine code runs no Python; carry it in the state, or draw "
                "before the loop and pass xs"
            )
        if found.path != again.path or found.whole.content() != again.whole.content():
            raise UnsupportedError(
                f"the step of {loop.name} did not do the same when it was traced a second time: it reads a random "
                "generator, a clock or a counter, or an array that it changes"
            )

    def _check_types(self, found: Recording) -> None:
        n = len(self._state)
        types = [a.type if isinstance(a, Var) else ArrayType.of(a.value) for a in found.whole.outputs[:n]]
        types += found.outputs
        if types[:n] != self._state or any(t.dtype != np.float64 for t in types):
            raise UnsupportedError(
                f"the step of {self.loop.name} returns {', '.join(map(str, types))}: only float64 is compiled"
            )


def _may_fail(equation: Equation) -> bool:
    """Whether an equation may raise where its path is not taken; rows have harmless indices there."""
    return kind_of(equation) == "call" and equation.primitive.name != "place_row"


def _lines(path: Recording) -> str:
    """The lines of the branches of a path."""
    return ", ".join(dict.fromkeys([str(branch.line) for branch in path.branches]))


def described(error: Exception) -> str:
    """An error, and where in the user's code it came up."""
    frames = [f for f, _ in walk_tb(error.__traceback__) if not f.f_code.co_filename.startswith(_PACKAGE)]
    where = f" in {basename(frames[-1].f_code.co_filename)}:{frames[-1].f_lineno}" if frames else ""
    return f"{type(error).__name__}{where}: {error}"


# --- arrays that are read by rows ------------------------------------------------------------------------------------
def _lifted_step(loop: Loop, tracer: Any) -> FlatStep:
    """The step with traced constants for the plain arrays that it reads; it cannot write into them, nor into the lists
    and dicts that hold them."""
    nests: list[tuple[Any, Any]] = []

    def handle(array: np.ndarray) -> Any:
        constant = tracer.constant(array)
        constant.version = FROZEN
        return constant

    assert loop.stepping is not None
    flat = loop.stepping(lifted(loop.body, handle, nests))

    def step(*given: Any) -> tuple[list[Any], list[Any]]:
        result = flat(*given)
        if not all(_same_entries(nest, before) for nest, before in nests):
            raise UnsupportedError(
                f"the step of {loop.name} changes a list or a dict, which it keeps outside of its state"
            )
        return result

    return step


def _same_entries(one: Any, other: Any) -> bool:
    if len(one) != len(other):
        return False
    if isinstance(one, dict):
        return [*one] == [*other] and all(x is y for x, y in zip(one.values(), other.values(), strict=True))
    return all(x is y for x, y in zip(one, other, strict=True))


# --- steps that were traced before ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, eq=False)
class _Trace:
    """What a trace has found: the code, which traced values the step captures, the structure of its outputs."""

    compiled: Compiled
    captured: tuple[int, ...]
    outputs: tuple[Structure, ...]
    alive: list[Any]


_TRACED: OrderedDict[Any, _Trace] = OrderedDict()
_REFUSED: OrderedDict[Any, tuple[str, list[Any]]] = OrderedDict()
_MOST_TRACED = 128


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A loop by the key of all that its step depends on."""

    key: Any
    print: Fingerprint

    def recall(self, loop: Loop, values: list[Any]) -> Compiled:
        """What the trace would find."""
        trace = _TRACED[self.key]
        for position in trace.captured:
            handle = self.print.traced[position]
            loop.captures.note(handle, handle)
            values.append(primal(handle))
        loop.outputs[:] = trace.outputs
        return trace.compiled

    def alive(self) -> list[Any]:
        """What the key names by its identity."""
        return [None if isinstance(x, Traced) else x for x in self.print.alive]

    def note(self, loop: Loop, compiled: Compiled) -> None:
        """Remember the trace, if all that it captured stands in the key."""
        places = {id(handle): position for position, handle in enumerate(self.print.traced)}
        captured = [places.get(id(handle), -1) for handle in loop.captures.handles]
        if -1 in captured:
            return
        _TRACED[self.key] = _Trace(compiled, tuple(captured), tuple(loop.outputs), self.alive())
        while len(_TRACED) > _MOST_TRACED:
            _TRACED.popitem(last=False)


def _seen(loop: Loop, init: Sequence[Any], xs: Sequence[Any]) -> _Seen | None:
    found = key_of(loop, init, xs)
    return None if found is None else _Seen(*found)

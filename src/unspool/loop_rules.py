"""How a loop meets its surroundings: run plainly, as one node on a tape, or as a primitive whose rules are loops again.

The derivative of a loop in a direction is a loop over (state, tangent), whose step is the jvp of the step. The way
back of that *tangent loop* gives the second derivatives, so that two primitives close the circle for every nesting of
transforms:

    loop(x) -> y              jvp: the tangent loop           vjp: loop_vjp(x, ct)
    loop_vjp(x, ct) -> ctx    jvp, vjp: loop_vjp of the tangent loop, and the tangent loop itself
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from unspool.closure import LateCaptureError
from unspool.codegen.fallback import FlatStep, Surroundings
from unspool.errors import StateError, UnsupportedError
from unspool.ir.listener import FROZEN, Listener, Traced, active, bind, listening, primal, resolve
from unspool.ir.primitive import Primitive
from unspool.kernels import State
from unspool.layout import ArrayType
from unspool.loop import Loop, Sweep, plain_state
from unspool.ops.convert import copy
from unspool.tangents import Tangents
from unspool.tape import Tape, root
from unspool.tracer import Tracer
from unspool.undecided import Undecided, run_on_tape

if TYPE_CHECKING:
    from unspool.compiled import CompiledSweep


def run_loop(loop: Loop, init: Sequence[Any], xs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Carry the loop out in whatever surrounds it; return the leaves of the final state and of the outputs."""
    listeners = [listener for listener in active() if listener.scope is None and listener.recording]
    if not listeners:
        final, ys = _plainly(loop, init, xs)
        top = next((listener for listener in reversed(active()) if listener.scope is None), None)
        return _constants(top, final), _constants(top, ys)
    if len(listeners) == 1 and isinstance(listeners[0], Tape) and not listeners[0].forgets:
        return _on_tape(listeners[0], loop, init, xs)
    if any(isinstance(listener, Tracer) for listener in listeners):
        return _unrolled(loop, init, xs)
    return _as_primitive(loop, init, xs)


MOST_UNROLLED = 64
"""A loop inside a step that is traced is written out if it has no more steps."""


def _unrolled(loop: Loop, init: Sequence[Any], xs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Take the steps one by one where only types are known."""
    if loop.flat is None:
        raise UnsupportedError(
            f"a {loop.name} with check_finite=True inside a step: its operations are listened to, and machine code has "
            "none"
        )
    if loop.flat is None or (loop.n_steps is not None and not 0 < loop.n_steps <= MOST_UNROLLED):
        raise UnsupportedError(
            f"a {loop.name} of {loop.n_steps} steps inside a step: loops of 1 to {MOST_UNROLLED} steps can be compiled"
        )
    state, ys = [*map(_own, init)], []
    types = [ArrayType.of(leaf) if isinstance(leaf, Traced) else ArrayType.of(np.asarray(leaf)) for leaf in state]
    for k in count():
        if k == loop.n_steps or (loop.going is not None and not loop.going(state)):
            break
        if k == MOST_UNROLLED:
            raise UnsupportedError(
                f"a {loop.name} inside a step takes more than {MOST_UNROLLED} steps: such loops are not compiled"
            )
        state, outputs = loop.flat(k, [*map(_own, state)], [_own(x[k]) for x in xs])
        for leaf, expected, name in zip(state, types, loop.names, strict=True):
            found = ArrayType.of(leaf if isinstance(leaf, Traced) else np.asarray(leaf))
            if found != expected:
                raise StateError(
                    f"the state of {loop.name} changed its type in step {k}: state{name} was {expected} and became "
                    f"{found}. A step must return its state in the shape and dtype in which it got it."
                )
        ys.append([*map(_own, outputs)])
    return [*map(_own, state)], [np.stack(column) for column in zip(*ys, strict=True)]


def _own(value: Any) -> Any:
    """A copy: a step may write into its state and its rows, and nobody else sees it."""
    return bind(copy, value) if isinstance(value, Traced) else np.array(value)[()]


def _constants(top: Listener | None, values: Sequence[Any]) -> list[Any]:
    return [v if top is None or v.dtype.kind not in "fc" else top.constant(v) for v in values]


def _plainly(
    loop: Loop, init: Sequence[Any], xs: Sequence[Any], values: Sequence[Any] = ()
) -> tuple[Sequence[Any], Sequence[Any]]:
    """Run the loop forwards only, as it runs where there is a way back: with the same bits."""
    start, rows = plain_state(init), plain_state(xs)
    if loop.n_steps is None and loop.compile == "auto":
        return Undecided(loop, start, rows, values).plainly()
    if loop.why_not_compiled(start, rows, values) is None:
        from unspool.compiled import machine_code
        from unspool.traced_steps import PathError

        compiled, _ = machine_code(loop, start, rows, values)
        if compiled is not None:
            with suppress(PathError):
                return compiled.plainly()
    return run_on_tape(loop, start, rows, values)


def sweep_of(
    loop: Loop, init: State, xs: Sequence[np.ndarray], values: Sequence[Any] = ()
) -> Sweep | CompiledSweep | Undecided:
    """A run of the loop: compiled where that can be and pays, else on the tape."""
    if loop.n_steps is None and loop.compile == "auto":
        return Undecided(loop, init, xs, values)
    reason = loop.why_not_compiled(init, xs, values)
    if reason is None:
        from unspool.compiled import machine_code  # importing the compiler costs more than most loops

        compiled, reason = machine_code(loop, init, xs, values)
        if compiled is not None:
            return compiled
    return Sweep(loop, init, tuple(xs), list(values), not_compiled=reason)


def _on_tape(tape: Tape, loop: Loop, init: Sequence[Any], xs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Sweep to the turn, and append one node that knows the way back."""
    sweep = sweep_of(loop, plain_state(init), plain_state(xs))
    final, ys = sweep.forward()
    before = {id(root(x)) for x in (*sweep.init, *sweep.xs, *sweep.values)}
    final = tuple([np.array(leaf, order="K") if id(root(leaf)) in before else leaf for leaf in final])
    loop.captures.open = False
    operands = [*init, *xs, *loop.captures.handles]
    nodes = [tape.node_of(operand) for operand in operands]
    wanted = [k for k, node in enumerate(nodes) if node >= 0]
    if not wanted:
        sweep.close()
        return _constants(tape, final), _constants(tape, ys)

    def pull(cts: tuple[Any, ...]) -> list[Any]:
        back_state, back_xs, back_captures = sweep.reverse(cts[: len(final)], cts[len(final) :])
        back = [*back_state, *back_xs, *back_captures]
        return [
            np.zeros(np.shape(value), value.dtype) if back[k] is None else back[k]
            for k, value in ((k, [*sweep.init, *sweep.xs, *sweep.values][k]) for k in wanted)
        ]

    outs = tape.append((*final, *ys), [nodes[k] for k in wanted], pull)
    leaves = [out if out.dtype.kind in "fc" else plain for out, plain in zip(outs, (*final, *ys), strict=True)]
    return leaves[: len(final)], leaves[len(final) :]


# --- nested transforms ------------------------------------------------------------------------------------------------
def _as_primitive(loop: Loop, init: Sequence[Any], xs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Find out by one step what the loop reads from outside; then it is a function of explicit operands."""
    state = plain_state(init)
    probe = loop.steps(state, plain_state(xs), [])
    if probe.going(state, 0):
        probe.advance(state, 0, 1)
    floats = tuple(map(_is_float, probe.ys or []))
    loop.captures.open = False
    while True:
        form = Form(len(init), len(xs), len(loop.captures), floats)
        operands = [x if isinstance(x, Traced) else np.array(x)[()] for x in (*init, *xs)]
        try:
            outs = bind(loop_primitive(loop, form), *operands, *loop.captures.handles)
        except LateCaptureError as late:  # a later step read more: begin again with that too
            if late.captures is not loop.captures:
                raise
            loop.captures.open = True
            loop.captures.note(late.handle, resolve(late.handle))
            loop.captures.open = False
        else:
            plain = [out if out.dtype.kind in "fc" else primal(out) for out in outs]  # an index, a count, a truth
            return plain[: len(init)], plain[len(init) :]


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """How many operands a loop has of each kind (state, xs, captures), and which of its outputs are floats.

    In a tangent loop the entries of each kind are followed by the tangents of those that are floats.
    """

    n_state: int
    n_xs: int
    n_captures: int
    output_floats: tuple[bool, ...]

    def split(self, operands: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
        """State, xs and captures."""
        cut = self.n_state + self.n_xs
        return operands[: self.n_state], operands[self.n_state : cut], operands[cut : cut + self.n_captures]

    def results(self, outs: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        """State and outputs."""
        return outs[: self.n_state], outs[self.n_state :]


def _is_float(value: Any) -> bool:
    return bool(value.dtype.kind in "fc")


def _zeros(value: Any) -> Any:
    return np.zeros(value.shape, value.dtype)[()]


def _filled(values: Sequence[Any], directions: Sequence[Any]) -> list[Any]:
    """The directions of the floats among the values, zeros for None."""
    return [_zeros(x) if d is None else d for x, d in zip(values, directions, strict=True) if _is_float(x)]


def _doubled(groups: Sequence[Sequence[Any]], directions: Sequence[Sequence[Any]]) -> list[Any]:
    """Each group followed by the directions of its floats: operands or results of a tangent loop."""
    result: list[Any] = []
    for group, moved in zip(groups, directions, strict=True):
        result += [*group, *_filled(group, moved)]
    return result


def _halved(groups: Sequence[Sequence[bool]], values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Undo `_doubled`: the values, and the directions with None for what is not a float."""
    first: list[Any] = []
    second: list[Any] = []
    rest = iter(values)
    for floats in groups:
        first += [next(rest) for _ in floats]
        second += [next(rest) if is_float else None for is_float in floats]
    return first, second


def _tangent(loop: Loop, form: Form, operands: Sequence[Any]) -> tuple[Loop, Form]:
    """The loop over (state, tangent): forward mode through every step, under the same schedule."""
    state, xs, captures = form.split(operands)
    state_floats, xs_floats = [_is_float(x) for x in state], [_is_float(x) for x in xs]
    names = (*loop.names, *(name for name, is_float in zip(loop.names, state_floats, strict=True) if is_float))

    def moved_step(inner: FlatStep) -> FlatStep:
        def step(k: int, pairs: list[Any], inputs: list[Any], around: Surroundings) -> tuple[list[Any], list[Any]]:
            sweep = Tangents()
            handles: dict[int, Any] = {}

            def read(position: int) -> Any:
                if position not in handles:
                    value, tangent = around.read(position), around.read(len(captures) + position)
                    handles[position] = sweep.input(value, tangent)
                    handles[position].version = FROZEN
                return handles[position]

            with listening(sweep):
                try:
                    moving = _moving(sweep, state_floats, pairs)
                    rows = _moving(sweep, xs_floats, inputs)
                    new, outputs = inner(k, moving, rows, Surroundings(around.listeners, read))
                    return _still(sweep, new), _still(sweep, outputs)
                finally:
                    sweep.close()

        return step

    def condition(pairs: list[Any], *how: Any) -> bool:
        assert loop.condition is not None
        return loop.condition(pairs[: form.n_state], *how)

    moved = Form(
        form.n_state + sum(state_floats),
        form.n_xs + sum(xs_floats),
        2 * form.n_captures,
        form.output_floats + (True,) * sum(form.output_floats),
    )
    stepping = loop.stepping
    tangent = Loop(
        loop.name,
        moved_step(loop.step),
        loop.n_steps,
        loop.schedule,
        names,
        loop.captures,
        condition if loop.condition else None,
        compile=loop.compile,
        body=loop.body,
        about=("tangent", *loop.about),
        stepping=None if stepping is None else lambda body: moved_step(stepping(body)),
        threads=loop.threads,
        check=loop.check,
        asked=loop.asked,
    )
    return tangent, moved


def _moving(sweep: Tangents, floats: Sequence[bool], pairs: Sequence[Any]) -> list[Any]:
    values, tangents = _halved([floats], pairs)
    return [value if t is None else sweep.input(value, t) for value, t in zip(values, tangents, strict=True)]


def _still(sweep: Tangents, leaves: Sequence[Any]) -> list[Any]:
    values = [sweep.primal_of(leaf) for leaf in leaves]
    values = [value if hasattr(value, "dtype") else np.asarray(value)[()] for value in values]
    return _doubled([values], [[sweep.tangent_of(leaf) for leaf in leaves]])


def loop_primitive(loop: Loop, form: Form) -> Primitive:
    """The loop as a function of explicit operands: (state, xs, captures) to (state, outputs)."""

    def evaluate(*operands: Any) -> tuple[Any, ...]:
        final, ys = _plainly(loop, *form.split(operands))
        return (*final, *ys)

    def record(operands: tuple[Any, ...], wanted: int) -> tuple[Any, Any]:
        chosen = [k for k in range(len(operands)) if wanted >> k & 1]
        if not any(isinstance(x, Traced) for x in operands):
            init, xs, values = form.split(operands)
            sweep = sweep_of(loop, plain_state(init), plain_state(xs), values)
            final, ys = sweep.forward()

            def reverse(cts: tuple[Any, ...]) -> list[Any]:
                found = [ct for part in sweep.reverse(*form.results(cts)) for ct in part]
                return [_zeros(operands[k]) if found[k] is None else found[k] for k in chosen]

            return (*final, *ys), reverse
        outs = bind(primitive, *operands)

        def pull(cts: tuple[Any, ...]) -> list[Any]:
            floats = [k for k, x in enumerate(operands) if _is_float(x)]
            found = dict(zip(floats, bind(loop_vjp_primitive(loop, form), *operands, *_filled(outs, cts)), strict=True))
            return [found[k] for k in chosen]

        return outs, pull

    def push(operands: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
        outs = bind(
            loop_primitive(*_tangent(loop, form, operands)), *_doubled(form.split(operands), form.split(tangents))
        )
        return _halved([[_is_float(x) for x in operands[: form.n_state]], form.output_floats], outs)

    primitive = Primitive(loop.name, evaluate, multiple=True, record=record, push=push)
    return primitive


def loop_vjp_primitive(loop: Loop, form: Form) -> Primitive:
    """The way back as a function: (operands, cotangents of the float results) to the cotangents of the float
    operands."""

    def split(values: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        n = form.n_state + form.n_xs + form.n_captures
        return values[:n], values[n:]

    def result_floats(operands: Sequence[Any]) -> list[Sequence[bool]]:
        return [[_is_float(x) for x in operands[: form.n_state]], form.output_floats]

    def evaluate(*values: Any) -> tuple[Any, ...]:
        operands, cts = split(values)
        init, xs, captured = form.split(operands)
        sweep = sweep_of(loop, plain_state(init), plain_state(xs), captured)
        sweep.forward()
        moving = iter(cts)
        full = [next(moving) if is_float else None for floats in result_floats(operands) for is_float in floats]
        found = [ct for part in sweep.reverse(*form.results(full)) for ct in part]
        return tuple([_zeros(x) if ct is None else ct for x, ct in zip(operands, found, strict=True) if _is_float(x)])

    def second(operands: Sequence[Any], directions: Sequence[Any], cts: Sequence[Any], cts_moved: Sequence[Any]) -> Any:
        """The way back of the tangent loop: cotangents of the operands, and of the directions."""
        tangent, moved = _tangent(loop, form, operands)
        pairs: list[Any] = []
        first, other = iter(cts), iter(cts_moved)
        for floats in result_floats(operands):
            n = sum(floats)
            pairs += [next(first) for _ in range(n)] + [next(other) for _ in range(n)]
        groups = form.split(operands)
        found = bind(loop_vjp_primitive(tangent, moved), *_doubled(groups, form.split(directions)), *pairs)
        return _halved([[True] * sum(map(_is_float, group)) for group in groups], found)

    def push(values: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
        (operands, cts), (directions, cts_moved) = split(values), split(tangents)
        moved, back = second(operands, directions, _filled(cts, cts_moved), cts)
        return tuple(back), tuple(moved)

    def record(values: tuple[Any, ...], wanted: int) -> tuple[Any, Any]:
        operands, cts = split(values)
        back = bind(primitive, *values)

        def pull(weights: tuple[Any, ...]) -> list[Any]:
            floats = [x for x in operands if _is_float(x)]
            moving = iter(_filled(floats, weights))
            directions = [next(moving) if _is_float(x) else None for x in operands]
            first, _ = second(operands, directions, [_zeros(ct) for ct in cts], cts)
            outs = bind(
                loop_primitive(*_tangent(loop, form, operands)), *_doubled(form.split(operands), form.split(directions))
            )
            _, tangent_outs = _halved(result_floats(operands), outs)
            rest = iter(first)
            found = [next(rest) if _is_float(x) else None for x in operands]
            found += [t for t in tangent_outs if t is not None]
            return [found[k] for k in range(len(values)) if wanted >> k & 1]

        return back, pull

    primitive = Primitive(f"{loop.name}_vjp", evaluate, multiple=True, record=record, push=push)
    return primitive

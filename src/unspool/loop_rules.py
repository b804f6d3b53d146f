"""How a loop meets its surroundings: run plainly, as one node on a tape, written out, or as a primitive."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np

from unspool.errors import StateError, UnsupportedError
from unspool.ir.listener import Listener, Traced, active, bind
from unspool.layout import ArrayType
from unspool.loop import Loop, plain_state
from unspool.loop_primitives import as_primitive, staged
from unspool.ops.convert import copy
from unspool.sweeps import run_plainly, sweep_of
from unspool.tape import Tape, root
from unspool.tracer import Tracer


def run_loop(loop: Loop, init: Sequence[Any], xs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Carry the loop out in whatever surrounds it; return the leaves of the final state and of the outputs."""
    listeners = [listener for listener in active() if listener.scope is None and listener.recording]
    if not listeners:
        final, ys = run_plainly(loop, init, xs)
        top = next((listener for listener in reversed(active()) if listener.scope is None), None)
        return _constants(top, final), _constants(top, ys)
    if len(listeners) == 1 and isinstance(listeners[0], Tape) and not listeners[0].forgets:
        return _on_tape(listeners[0], loop, init, xs)
    tracer = next((listener for listener in reversed(listeners) if isinstance(listener, Tracer)), None)
    if tracer is not None:
        long = loop.n_steps is not None and loop.n_steps > MOST_UNROLLED
        if long and tracer.counts:
            raise UnsupportedError("a long loop inside a step is not counted")
        return staged(loop, init, xs) if tracer.keeps_loops or long else _unrolled(loop, init, xs)
    return as_primitive(loop, init, xs)


MOST_UNROLLED = 64
"""A loop inside a step that is traced is written out if it has no more steps, and is one equation otherwise."""


def _unrolled(loop: Loop, init: Sequence[Any], xs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Take the steps one by one where only types are known."""
    if loop.flat is None:
        raise UnsupportedError(
            f"a {loop.name} with check_finite=True inside a step: its operations are listened to, and machine code has "
            "none"
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

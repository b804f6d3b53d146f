"""A step and its adjoint as two programs.

The step is run once on a tape inside a tracer: the tape applies the rules to values of which only the types are known,
and the tracer writes all of it down. What comes out is one program for the step and its way back together; each half
is what is left when the other's outputs are dropped. The primal values that the way back needs are computed again in
its program, from the state at the start of the step: the state is all that has to be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unspool.ir.listener import FROZEN, listening
from unspool.ir.program import Program, Var
from unspool.ir.simplify import simplify, smaller
from unspool.layout import ArrayType
from unspool.tape import Tape
from unspool.tracer import Branch, Tracer

_KNOWN: dict[tuple[bytes, tuple[str | None, ...]], Adjoint] = {}  # by what was traced: it is simplified once
_MOST = 64

FlatFunction = Callable[[Any, list[Any], list[Any], Callable[[int], Any]], tuple[list[Any], list[Any]]]
"""A step on flat lists: ``(k, state, inputs, read) -> (state, outputs)``; ``read(j)`` gives capture j."""


@dataclass(frozen=True, slots=True)
class Point:
    """Values for a trace to branch on: the number of the step, its state and inputs; ``capture(j)`` gives those from
    outside."""

    k: int
    state: Sequence[Any]
    inputs: Sequence[Any]
    capture: Callable[[int], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A step and its way back as one program, as they were traced, with the branches that the step took.

    ``whole`` maps (k, state, inputs, captures, cotangents of state and outputs) to (state, outputs, cotangents of
    state, inputs and captures). ``after`` is the state that follows the one of the trace, where the trace had values.
    """

    whole: Program
    state: tuple[ArrayType, ...]
    inputs: tuple[ArrayType, ...]
    captures: tuple[ArrayType, ...]
    outputs: tuple[ArrayType, ...]
    branches: tuple[Branch, ...] = ()
    after: tuple[Any, ...] = ()
    asked: int = 0
    """Of a while loop: its step is taken where the first so many branches go this way, and the last of them is what
    the condition says. 0 where there is no such branch."""

    @property
    def path(self) -> tuple[bool, ...]:
        """Which way each branch went."""
        return tuple([branch.taken for branch in self.branches])


@dataclass(frozen=True, slots=True, eq=False)
class Adjoint:
    """The programs of a step: ``advance`` maps (k, state, inputs, captures) to (state, outputs).

    ``reverse`` maps (k, state, inputs, captures, cotangents of state and outputs) to the cotangents of state, inputs
    and captures. ``joint`` is both in one program. All floats; ``k`` is the number of the step, an int64. ``paths`` are
    the recordings that it was put together from; where they are not all that there are, it is ``watched``: the last
    leaf of the state, -1 at first, becomes the number of the first step that takes another path, or -2 less the
    number of steps at which the condition of a while loop fails.
    """

    joint: Program
    advance: Program
    reverse: Program
    state: tuple[ArrayType, ...]
    inputs: tuple[ArrayType, ...]
    captures: tuple[ArrayType, ...]
    outputs: tuple[ArrayType, ...]
    content: bytes
    """Equal for steps that compute the same."""

    paths: tuple[Recording, ...] = ()
    watched: bool = False


def record(
    step: FlatFunction,
    state: Sequence[ArrayType],
    inputs: Sequence[ArrayType],
    capture_type: Callable[[int], ArrayType],
    n_captures: Callable[[], int],
    *,
    at: Point | None = None,
) -> Recording:
    """The trace of the step and its way back; where it branches, along the path that it takes at a point.

    ``capture_type(j)`` is asked when the step first reads capture j; there are ``n_captures()`` of them in the end.
    Whatever the tracer refuses (``float(x)``, a branch on a value without a point) is raised.
    """
    tracer, tape = Tracer(), Tape()
    captured: dict[int, tuple[Any, Any]] = {}

    def outer_capture(position: int) -> Any:
        return tracer.input(capture_type(position), None if at is None else at.capture(position))

    def read(position: int) -> Any:
        if position not in captured:
            outer = outer_capture(position)
            handle = tape.input(outer)
            handle.version = FROZEN  # a view of it may be written, and the write would end with the step
            captured[position] = outer, handle
        return captured[position][1]

    with listening(tracer):
        try:
            k = tracer.input(ArrayType(np.dtype(np.int64), ()), None if at is None else np.int64(at.k))
            samples = [[None] * len(state), [None] * len(inputs)] if at is None else [at.state, at.inputs]
            outer_state = [tracer.input(t, x) for t, x in zip(state, samples[0], strict=True)]
            outer_inputs = [tracer.input(t, x) for t, x in zip(inputs, samples[1], strict=True)]
            with listening(tape):
                try:
                    new, outputs = step(k, [*map(tape.input, outer_state)], [*map(tape.input, outer_inputs)], read)
                    nodes = [tape.node_of(leaf) for leaf in (*new, *outputs)]
                    atoms = [tracer.atom(_off(tape, leaf)) for leaf in (*new, *outputs)]
                finally:
                    tape.close()
            after = tuple([tracer.sample(atom) for atom in atoms[: len(state)]]) if tracer.branches else ()
            tracer.samples = {}  # no rule branches on a value
            for position in range(n_captures()):
                if position not in captured:
                    captured[position] = tracer.input(capture_type(position)), None
            cts = [tracer.input(_type_of(atom)) for atom in atoms]
            back = tape.sweep(zip(nodes, cts, strict=True), free=True)
            found = dict(zip(tape.inputs, back, strict=True))
            n = len(outer_state) + len(outer_inputs)
            order = [captured[j] for j in range(len(captured))]
            positions = [*tape.inputs[:n], *(-1 if handle is None else handle.node for _, handle in order)]
            operands = [*outer_state, *outer_inputs, *(outer for outer, _ in order)]
            cts_in = [
                tracer.atom(np.zeros(x.shape) if found.get(p) is None else found[p])
                for p, x in zip(positions, operands, strict=True)
            ]
        finally:
            tracer.close()
    whole = Program(
        tuple(x.node for x in (k, *operands, *cts)),
        tuple(tracer.consts),
        tuple(tracer.equations),
        (*atoms, *cts_in),
    )
    types = [_type_of(atom) for atom in atoms]
    captures = tuple(outer.node.type for outer, _ in order)
    branches = tuple(tracer.branches)
    return Recording(whole, tuple(state), tuple(inputs), captures, tuple(types[len(state) :]), branches, after)


def assemble(recording: Recording, paths: tuple[Recording, ...] = (), *, watched: bool = False) -> Adjoint:
    """The programs of a step, simplified: once for all steps that were traced alike."""
    whole, state, inputs, captures = recording.whole, recording.state, recording.inputs, recording.captures
    split = len(state), len(inputs), len(captures)  # one program, but another adjoint, where a state becomes a capture
    content = whole.content() + repr((*split, watched)).encode()
    key = content, tuple([equation.line for equation in whole.equations])
    known = _KNOWN.get(key)
    if known is not None:
        return known
    joint = simplify(whole)
    n, n_new = 1 + sum(split), len(state) + len(recording.outputs)
    adjoint = Adjoint(
        joint,
        smaller(replace(joint, inputs=joint.inputs[:n], outputs=joint.outputs[:n_new])),
        smaller(replace(joint, outputs=joint.outputs[n_new:])),
        state,
        inputs,
        captures,
        recording.outputs,
        content,
        paths,
        watched,
    )
    if len(_KNOWN) >= _MOST:
        _KNOWN.clear()
    _KNOWN[key] = adjoint
    return adjoint


def _off(tape: Tape, leaf: Any) -> Any:
    return leaf.value if tape.node_of(leaf) >= 0 or getattr(leaf, "listener", None) is tape else leaf


def _type_of(atom: Any) -> ArrayType:
    return atom.type if isinstance(atom, Var) else ArrayType.of(atom.value)

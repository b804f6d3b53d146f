"""Whether a loop is worth compiling: by its steps, the size of its state, and the operations of a step.

The operations are counted in a trace of the step. What is decided hangs on the loop alone, never on a clock or on an
earlier call: the same loop runs the same way every time.
"""

from __future__ import annotations

import random
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Any

import numpy as np

from unspool.adjoint.fingerprint import Fingerprint, Unknown
from unspool.closure import LateCaptureError, aside
from unspool.codegen.fallback import Surroundings
from unspool.ir.listener import FROZEN, Traced, active, listening, primal
from unspool.kernels import State
from unspool.layout import ArrayType
from unspool.loop import Loop
from unspool.tracer import Tracer
from unspool.whole_numbers import is_carried

ENOUGH_STEPS, LARGE = 10_000, 10_000
"""compile="auto" compiles loops of so many steps, and of fewer on states of more numbers than LARGE: about a second
that is saved on the tape pays for the compilation."""

FEWEST_STEPS, ENOUGH_OPERATIONS = 200, 40_000
"""It also compiles loops of so many steps or more that take so many operations together, about 0.2 s on the tape. To
count them takes as long as two or three steps, so that fewer steps are not looked at."""

_COUNTED: OrderedDict[Any, tuple[int, list[Any]]] = OrderedDict()  # and what the key names by its identity
_MOST_COUNTED = 128


def why_not_compiled(loop: Loop, state: State, xs: Sequence[np.ndarray], values: Sequence[Any]) -> str | None:
    """Why compilation for states like this is not even tried, if it is not."""
    if loop.compile is False:
        return "compile=False"
    if loop.compile is True:
        return None
    if loop.n_steps is None:
        return "too few steps before the condition failed"
    if loop.n_steps >= enough_by_size(state):
        return None
    if loop.n_steps >= FEWEST_STEPS and loop.n_steps * operations(loop, state, xs, values) >= ENOUGH_OPERATIONS:
        return None
    return f"too few steps on {sum(map(np.size, state)):,} numbers: {loop.n_steps:,}"


def enough_by_size(state: State) -> float:
    """So many steps on a state like this are compiled, whatever a step does."""
    return ENOUGH_STEPS / (1 + sum([np.size(leaf) for leaf in state]) / LARGE)


def enough_steps(loop: Loop, state: State, xs: Sequence[np.ndarray], values: Sequence[Any]) -> int:
    """After how many steps on the tape a while loop that goes on is compiled."""
    enough = enough_by_size(state)
    found = operations(loop, state, xs, values)
    return ceil(min(enough, max(FEWEST_STEPS, ENOUGH_OPERATIONS / found)) if found else enough)


def key_of(loop: Loop, init: Sequence[Any], xs: Sequence[Any]) -> tuple[Any, Fingerprint] | None:
    """All that the program of a step depends on, if it can be looked into to the end."""
    if loop.body is None:
        return None
    found = Fingerprint()
    try:
        key = found.of((loop.body, loop.asked))
    except Unknown:
        return None
    types = tuple([(x.dtype, x.shape) for x in init]), tuple([(x.dtype, x.shape[1:]) for x in xs])
    return (loop.name, *loop.about, loop.threads > 1, *types, key), found


def operations(loop: Loop, init: State, xs: Sequence[np.ndarray], values: Sequence[Any]) -> int:
    """The equations in the program of the first step that hang on its state or its row of xs: what else it computes is
    not seen where the captures are plain arrays, and with and without a gradient the loop must run the same way.

    0 where a step draws from a generator, which a trace would do once more, or where there will be no machine code,
    because it works on other types or cannot be traced.
    """
    if not all(is_carried(ArrayType.of(leaf)) for leaf in (*init, *xs)):
        return 0
    seen = key_of(loop, init, xs)
    if seen is not None and seen[0] in _COUNTED:
        return _COUNTED[seen[0]][0]
    if seen is None and loop.generators():
        return 0
    with _same_numbers_after():
        n, branches = _counted(loop, init, xs, values)
    if seen is not None and not branches:  # else it hangs on the values, too
        key, found = seen
        _COUNTED[key] = n, [None if isinstance(x, Traced) else x for x in found.alive]
        if len(_COUNTED) > _MOST_COUNTED:
            _COUNTED.popitem(last=False)
    return n


@contextmanager
def _same_numbers_after() -> Iterator[None]:
    """Leave the global generators of Python and NumPy as they were."""
    python = random.getstate()
    numpy = np.random.get_state() if "numpy.random" in sys.modules else None
    try:
        yield
    finally:
        random.setstate(python)
        if numpy is not None:
            np.random.set_state(numpy)


def _counted(loop: Loop, init: State, xs: Sequence[np.ndarray], values: Sequence[Any]) -> tuple[int, bool]:
    """The equations, and whether the step branches on a value."""
    captures, n_captures = loop.captures, len(loop.captures)
    tracer, around = Tracer(counts=True), (*active(), *aside(), *(handle.listener for handle in loop.captures.handles))
    handles: dict[int, Any] = {}

    def read(position: int) -> Any:
        if position not in handles:
            value = values[position] if position < len(values) else primal(captures.outside[position])
            handles[position] = tracer.input(ArrayType.of(value), value)
            handles[position].version = FROZEN
        return handles[position]

    state = [tracer.input(ArrayType.of(leaf), leaf) for leaf in init]
    inputs = [tracer.input(ArrayType(x.dtype, x.shape[1:]), x[0]) for x in xs]
    nodes = [x.node for x in (*state, *inputs)]
    with listening(tracer):
        try:
            loop.step(0, state, inputs, Surroundings(around, read))
        except LateCaptureError:
            raise
        except Exception:  # whatever a step does with a value that is not there
            return 0, bool(tracer.branches)
        finally:
            tracer.close()
            captures.forget(n_captures)
    moving = {*nodes}
    n = 0
    for equation in tracer.equations:
        if not moving.isdisjoint(equation.operands):
            moving.update(equation.outputs)
            n += 1
    return n, bool(tracer.branches)

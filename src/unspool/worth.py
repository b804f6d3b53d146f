"""How many operations a step takes: counted in its trace, so that a loop is compiled where that pays.

The count hangs on the step alone, never on a clock or on an earlier call: the same loop runs the same way every time.
"""

from __future__ import annotations

import random
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from unspool.adjoint.fingerprint import Fingerprint, Unknown
from unspool.closure import LateCaptureError, aside
from unspool.codegen.fallback import Surroundings
from unspool.ir.listener import FROZEN, Traced, active, listening, primal
from unspool.kernels import State
from unspool.layout import ArrayType
from unspool.tracer import Tracer
from unspool.whole_numbers import is_carried

if TYPE_CHECKING:
    from unspool.loop import Loop

_COUNTED: OrderedDict[Any, tuple[int, list[Any]]] = OrderedDict()  # and what the key names by its identity
_MOST_COUNTED = 128


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

"""How many operations a step takes: counted in its trace, so that a loop is compiled where that pays.

The count hangs on the step alone, never on a clock or on an earlier call: the same loop runs the same way every time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unspool.adjoint.fingerprint import Fingerprint, Unknown
from unspool.closure import LateCaptureError, aside
from unspool.codegen.fallback import Surroundings
from unspool.ir.listener import FROZEN, Traced, active, listening, primal
from unspool.kernels import State
from unspool.layout import ArrayType
from unspool.tracer import Tracer

if TYPE_CHECKING:
    from unspool.loop import Loop

_COUNTED: OrderedDict[Any, tuple[int, list[Any]]] = OrderedDict()  # and what the key names by its identity
_MOST_COUNTED = 128


def key_of(loop: Loop, init: State, xs: Sequence[np.ndarray]) -> tuple[Any, Fingerprint] | None:
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

    0 where that cannot be said without side effects, or where there will be no machine code: for a step that draws,
    holds objects that cannot be looked into, or works on other types.
    """
    if any(leaf.dtype != np.float64 for leaf in (*init, *xs)):
        return 0
    seen = key_of(loop, init, xs)
    if seen is None:
        return 0
    key, found = seen
    if key in _COUNTED:
        return _COUNTED[key][0]
    n, branches = _counted(loop, init, xs, values)
    if not branches:  # else it hangs on the values, too
        _COUNTED[key] = n, [None if isinstance(x, Traced) else x for x in found.alive]
        if len(_COUNTED) > _MOST_COUNTED:
            _COUNTED.popitem(last=False)
    return n


def _counted(loop: Loop, init: State, xs: Sequence[np.ndarray], values: Sequence[Any]) -> tuple[int, bool]:
    """The equations, and whether the step branches on a value."""
    captures, n_captures = loop.captures, len(loop.captures)
    tracer, around = Tracer(), (*active(), *aside(), *(handle.listener for handle in loop.captures.handles))
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

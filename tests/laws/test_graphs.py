"""The graph of every primitive shows what the tape does with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
import unspool.ops.further  # enrolled on demand otherwise
import unspool.ops.special
from tests.oracles import same_bits
from unspool.diagnostics import graph, trace_table
from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive
from unspool.ops import PRIMITIVES


def _cases() -> list[Any]:
    return [
        pytest.param(primitive, args, params, id=f"{primitive.name}-{k}")
        for primitive in PRIMITIVES.values()
        if primitive.differentiable and primitive.samples is not None
        for k, (args, params) in enumerate(primitive.samples())
        if any(np.asarray(a).dtype.kind in "fc" for a in args)
    ]


@pytest.mark.parametrize(("primitive", "args", "params"), _cases())
def test_cotangents_are_those_of_the_sweep_and_paths_add_up_to_them(
    primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]
) -> None:
    moving = [k for k, a in enumerate(args) if np.asarray(a).dtype.kind in "fc"]

    def loss(*xs: Any) -> Any:
        full = list(args)
        for k, x in zip(moving, xs, strict=True):
            full[k] = x
        y = bind(primitive, *full, **params)
        return sum([np.sum(np.real(part * np.conj(part))) for part in (y if primitive.multiple else (y,))])

    xs = [np.asarray(args[k])[()] for k in moving]
    with np.errstate(all="ignore"):
        seen = graph(loss)(*xs)
        gradients = unspool.grad(loss, tuple(range(len(xs))))(*xs)
        assert seen.cotangents is not None
        assert same_bits([seen.cotangents[node.name] for node in seen.recorded.inputs], gradients)
        assert same_bits(trace_table(loss)(*xs).result, gradients)
        if all(node.value.dtype.kind == "f" for node in seen.nodes):
            reverse = seen.reverse()
            for node, gradient in zip(seen.recorded.inputs, gradients, strict=True):
                np.testing.assert_allclose(reverse[node.name], gradient, rtol=1e-7, atol=1e-9)
            directions = tuple([np.full(x.shape, 0.3, x.dtype)[()] for x in xs])
            forward = trace_table(loss)(*xs, mode="forward", tangents=directions).result
            assert np.array_equal(forward, unspool.jvp(loss, xs, directions)[1], equal_nan=True)
    assert seen.dot.count(" -> n") == len(seen.edges)
    assert str(seen).count("\n") == len(seen.nodes) + 1

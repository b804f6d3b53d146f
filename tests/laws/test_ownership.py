"""Over the whole registry: what a user does to his arrays after an operation does not change its derivative."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.oracles import same_bits
from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive
from unspool.ops import PRIMITIVES


def _cases() -> list[Any]:
    found = []
    for primitive in PRIMITIVES.values():
        if primitive.samples is not None and primitive.differentiable:
            found += [
                pytest.param(primitive, args, params, id=f"{primitive.name}-{k}")
                for k, (args, params) in enumerate(primitive.samples())
            ]
    return found


def _spoiled(values: Any) -> None:
    for value in values:
        if isinstance(value, np.ndarray) and value.flags.writeable:
            value[...] = True if value.dtype.kind == "b" else 1
        elif isinstance(value, list | tuple):
            _spoiled(value)


@pytest.mark.parametrize(("primitive", "args", "params"), _cases())
def test_plain_operands_arguments_and_results_may_be_written_before_the_way_back(
    primitive: Primitive, args: tuple[Any, ...], params: Any
) -> None:
    floating = [k for k, a in enumerate(args) if np.asarray(a).dtype.kind in "fc"]
    for chosen in floating:
        private = [np.array(a)[()] if isinstance(a, np.ndarray) else a for a in args]

        def f(x: Any, private: list[Any] = private, chosen: int = chosen) -> Any:
            operands = list(private)
            operands[chosen] = x
            return bind(primitive, *operands, **params)

        out, pullback = unspool.vjp(f, private[chosen])
        outs = out if isinstance(out, tuple) else (out,)
        cts = [np.cos(np.arange(o.size).reshape(o.shape)).astype(o.dtype) for o in outs]
        ct = tuple(cts) if isinstance(out, tuple) else cts[0]
        (expected,) = pullback(ct)
        expected = np.array(expected)
        _spoiled([*private, *outs])
        (again,) = pullback(ct)
        assert same_bits(np.asarray(again), expected)
        _spoiled([again])
        assert same_bits(np.asarray(pullback(ct)[0]), expected)
        assert all(same_bits(c, np.cos(np.arange(c.size).reshape(c.shape)).astype(c.dtype)) for c in cts)


@pytest.mark.parametrize(("primitive", "args", "params"), _cases())
def test_reverse_inside_a_loop_has_the_same_bits_when_the_step_is_run_again(
    primitive: Primitive, args: tuple[Any, ...], params: Any
) -> None:
    chosen = [k for k, a in enumerate(args) if np.asarray(a).dtype.kind in "fc"]
    if not chosen:
        pytest.fail("a primitive with a derivative has a sample with floats")

    def f(policy: str, *xs: Any) -> Any:
        def step(i: int, total: Any) -> Any:
            operands = list(args)
            for k, x in zip(chosen, xs, strict=True):
                operands[k] = x
            out = bind(primitive, *operands, **params)
            parts = out if isinstance(out, tuple) else (out,)
            return total + sum(np.sum(np.real(p)).astype(float) * (i + 1.0) for p in parts)

        return unspool.fori_loop(0, 3, step, 0.0, policy=policy)

    where = tuple(range(1, len(chosen) + 1))
    point = [args[k] for k in chosen]
    gradients = [unspool.grad(f, argnums=where)(policy, *point) for policy in ("none", "revolve-1")]
    assert same_bits(*[list(map(np.asarray, g)) for g in gradients])

    def once(*xs: Any) -> Any:
        out = bind(primitive, *[xs[chosen.index(k)] if k in chosen else a for k, a in enumerate(args)], **params)
        return sum(np.sum(np.real(p)).astype(float) for p in (out if isinstance(out, tuple) else (out,)))

    direct = unspool.grad(once, argnums=tuple(range(len(chosen))))(*point)
    for one, other in zip(gradients[0], direct, strict=True):
        rough = np.asarray(one).dtype.itemsize <= 4 or np.asarray(one).dtype == np.complex64
        np.testing.assert_allclose(one, 6 * other, rtol=1e-5 if rough else 1e-12, atol=1e-12)

"""The laws of primitives, over the whole registry: whoever enrols one is tested here without writing a test."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

import unspool
from unspool.ir.evaluate import evaluate
from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive, Read
from unspool.ir.verify import verify
from unspool.layout import ArrayType
from unspool.ops import PRIMITIVES
from unspool.ops.table import FURTHER, LOADERS
from unspool.tracer import trace

H = 1e-6

for _module in (*FURTHER, *[module for modules in LOADERS.values() for module in modules]):
    import_module(_module)  # enrolled on demand otherwise


def _cases(*, differentiable: bool | None = None, elementwise: bool = False) -> list[Any]:
    found = []
    for primitive in PRIMITIVES.values():
        if primitive.record is not None or primitive.samples is None:
            continue
        if differentiable is not None and primitive.differentiable is not differentiable:
            continue
        if elementwise and not primitive.elementwise:
            continue
        found += [
            pytest.param(primitive, args, params, id=f"{primitive.name}-{k}")
            for k, (args, params) in enumerate(primitive.samples())
        ]
    return found


def _floating(args: tuple[Any, ...]) -> list[int]:
    return [k for k, a in enumerate(args) if np.asarray(a).dtype.kind in "fc"]


def _masks(args: tuple[Any, ...]) -> list[int]:
    candidates = _floating(args)
    return [
        sum(1 << k for i, k in enumerate(candidates) if bits >> i & 1)
        for bits in range(1, 1 << min(len(candidates), 3))
    ]


def _random(like: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    value = rng.uniform(0.5, 1.5, like.shape) * rng.choice([-1.0, 1.0], like.shape)
    if like.dtype.kind == "c":
        value = value + 1j * rng.uniform(-1, 1, like.shape)
    return np.asarray(value).astype(like.dtype)[()]


def _parts(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _pairing(cts: Any, vs: Any) -> float:
    return float(sum(np.sum(np.real(ct * v)) for ct, v in zip(_parts(cts), _parts(vs), strict=True) if v is not None))


def _moved(primitive: Primitive, args: tuple[Any, ...], params: Any, vs: tuple[Any, ...], h: float) -> tuple[Any, ...]:
    shifted = [a if v is None else a + h * v for a, v in zip(args, vs, strict=True)]
    return _parts(primitive.evaluate(*shifted, **params))


def _directions(args: tuple[Any, ...], wanted: int) -> tuple[Any, ...]:
    return tuple([_random(a, 7 + k) if wanted >> k & 1 else None for k, a in enumerate(args)])


def _plain(y: Any, args: tuple[Any, ...], wanted: int) -> bool:
    return all(args[k].shape == y.shape and args[k].dtype == y.dtype for k in range(len(args)) if wanted >> k & 1)


@pytest.mark.parametrize(("primitive", "args", "params"), _cases())
def test_pure(primitive: Primitive, args: tuple[Any, ...], params: Any) -> None:
    frozen = [np.array(a) for a in args]
    for a in frozen:
        a.setflags(write=False)
    first, second = (_parts(primitive.evaluate(*frozen, **params)) for _ in range(2))
    for one, two in zip(first, second, strict=True):
        assert np.array_equal(one, two, equal_nan=np.asarray(one).dtype.kind in "fc")


@pytest.mark.parametrize(("primitive", "args", "params"), _cases())
def test_type_rule(primitive: Primitive, args: tuple[Any, ...], params: Any) -> None:
    if primitive.type_rule is None:
        return
    types = [ArrayType.of(a) for a in args]
    if _type_depends_on_values(primitive, args, params):
        assert primitive.name in ("nonzero", "flatnonzero", "argwhere", "eig", "eigvals", "sqrtm", "logm")
        return
    found = primitive.type_rule(*types, **params)
    y = _parts(primitive.evaluate(*args, **params))
    assert (found if primitive.multiple else (found,)) == tuple(map(ArrayType.of, y))


def _type_depends_on_values(primitive: Primitive, args: tuple[Any, ...], params: Any) -> bool:
    try:
        if primitive.type_rule is not None:
            primitive.type_rule(*map(ArrayType.of, args), **params)
    except unspool.errors.UnsupportedError as error:
        return "depends on the values" in str(error)
    return False


@pytest.mark.parametrize(("primitive", "args", "params"), _cases(differentiable=True))
def test_jvp_against_differences(primitive: Primitive, args: tuple[Any, ...], params: Any) -> None:
    y = primitive.evaluate(*args, **params)
    single = any(part.dtype in (np.float32, np.complex64) for part in _parts(y)) or any(
        a.dtype == np.float32 for a in args
    )
    h, tolerance = (1e-2, 1e-2) if single else (H, 1e-6)
    assert primitive.jvp is not None
    for wanted in _masks(args):
        vs = _directions(args, wanted)
        tangents = _parts(primitive.jvp(vs, y, *args, **params))
        right, left = (_moved(primitive, args, params, vs, s * h) for s in (1, -1))
        for t, r, le, part in zip(tangents, right, left, _parts(y), strict=True):
            expected = (r - le) / (2 * h)
            if t is None:
                assert np.all(expected == 0)
                continue
            assert t.shape == part.shape
            assert t.dtype == part.dtype
            np.testing.assert_allclose(t, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("primitive", "args", "params"), _cases(differentiable=True))
def test_vjp_is_the_transpose_of_jvp(primitive: Primitive, args: tuple[Any, ...], params: Any) -> None:
    y = primitive.evaluate(*args, **params)
    ct: Any = tuple([_random(part, 3 + k) for k, part in enumerate(_parts(y))])
    ct = ct if primitive.multiple else ct[0]
    single = any(a.dtype == np.float32 for a in (*args, *_parts(y)))
    assert primitive.jvp is not None
    for wanted in _masks(args):
        vs = _directions(args, wanted)
        flags = {False, primitive.elementwise and _plain(y, args, wanted)}
        for plain in flags:
            pull = primitive.pull_for(wanted, len(args), plain)
            cts = _dense(pull.function(ct, *pull.keep(y, *args), **params))
            chosen = [k for k in range(len(args)) if wanted >> k & 1]
            assert len(cts) == len(chosen)
            for c, k in zip(cts, chosen, strict=True):
                assert c.shape == args[k].shape
                assert c.dtype == args[k].dtype
            forward = _pairing(ct, primitive.jvp(vs, y, *args, **params))
            backward = _pairing(cts, tuple([vs[k] for k in chosen]))
            assert backward == pytest.approx(forward, rel=1e-5 if single else 1e-11, abs=1e-5 if single else 1e-11)


def _dense(cts: Any) -> tuple[Any, ...]:
    return tuple([ct.dense() if hasattr(ct, "dense") else ct for ct in cts])


@pytest.mark.parametrize(("primitive", "args", "params"), _cases(differentiable=True))
def test_residuals_are_what_the_rule_reads(primitive: Primitive, args: tuple[Any, ...], params: Any) -> None:
    y = primitive.evaluate(*args, **params)
    ct: Any = tuple([_random(part, 3 + k) for k, part in enumerate(_parts(y))])
    ct = ct if primitive.multiple else ct[0]
    for wanted in _masks(args):
        pull = primitive.pull_for(wanted, len(args), primitive.elementwise and _plain(y, args, wanted))
        kept = pull.keep(y, *args)
        for read, residual, value in zip(pull.reads, kept, (y, *args), strict=True):
            if read is Read.VALUE:
                assert residual is value
            else:
                assert residual == (None if read is Read.NOTHING else ArrayType.of(value))
        with_kept = _dense(pull.function(ct, *kept, **params))
        with_all = _dense(pull.function(ct, y, *args, **params))
        for one, two in zip(with_kept, with_all, strict=True):
            assert np.array_equal(one, two)


@pytest.mark.parametrize(("primitive", "args", "params"), _cases(differentiable=True))
def test_second_order(primitive: Primitive, args: tuple[Any, ...], params: Any) -> None:
    chosen = _floating(args)
    y = _parts(primitive.evaluate(*args, **params))
    if any(a.dtype == np.float32 for a in (*args, *y)):
        return
    weights = [_random(part, 3 + k) for k, part in enumerate(y)]

    def loss(*xs: Any) -> Any:
        parts = bind(primitive, *xs, **params)
        return sum(np.sum(np.real(w * p * p)) for w, p in zip(weights, _parts(parts), strict=True))

    def gradient(*moving: Any) -> Any:
        full = list(args)
        for k, value in zip(chosen, moving, strict=True):
            full[k] = value
        return unspool.grad(loss, argnums=tuple(chosen))(*full)

    point = tuple([args[k] for k in chosen])
    vs, us = (tuple([_random(a, seed + k) for k, a in enumerate(point)]) for seed in (20, 40))
    _, forward = unspool.jvp(gradient, point, vs)
    right, left = (gradient(*[a + s * H * v for a, v in zip(point, vs, strict=True)]) for s in (1, -1))
    for t, r, le in zip(forward, right, left, strict=True):
        np.testing.assert_allclose(t, (r - le) / (2 * H), rtol=2e-5, atol=2e-5)
    _, pullback = unspool.vjp(gradient, *point)
    over_reverse = pullback(us)
    assert _pairing(over_reverse, vs) == pytest.approx(_pairing(us, forward), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("primitive", "args", "params"), _cases(differentiable=True, elementwise=True))
def test_other_dtypes(primitive: Primitive, args: tuple[Any, ...], params: Any) -> None:
    for dtype in (np.float32, np.complex128, np.complex64):
        values = tuple(
            [a if a.dtype.kind in "biu" else (a + 0.25j * (dtype != np.float32)).real.astype(dtype) for a in args]
        )
        if dtype != np.float32:
            values = tuple([v if v.dtype.kind in "biu" else (v * (1 + 0.2j)).astype(dtype) for v in values])
        try:
            y = primitive.evaluate(*values, **params)
        except TypeError:
            continue  # NumPy has no such loop
        ct = _random(np.asarray(y), 3)
        rough = dtype in (np.float32, np.complex64)
        assert primitive.jvp is not None
        for wanted in _masks(values):
            vs = _directions(values, wanted)
            pull = primitive.pull_for(wanted, len(values), _plain(y, values, wanted))
            cts = pull.function(ct, *pull.keep(y, *values), **params)
            chosen = [k for k in range(len(values)) if wanted >> k & 1]
            for c, k in zip(cts, chosen, strict=True):
                assert (c.shape, c.dtype) == (values[k].shape, values[k].dtype)
            tangent = primitive.jvp(vs, y, *values, **params)
            assert (tangent.shape, tangent.dtype) == (y.shape, y.dtype)
            backward = _pairing(cts, tuple([vs[k] for k in chosen]))
            assert backward == pytest.approx(
                _pairing(ct, tangent), rel=1e-3 if rough else 1e-10, abs=1e-3 if rough else 1e-10
            )
            if not rough:
                right, left = (_moved(primitive, values, params, vs, s * H) for s in (1, -1))
                np.testing.assert_allclose(tangent, (right[0] - left[0]) / (2 * H), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("primitive", "args", "params"), _cases(differentiable=True))
def test_rules_can_be_traced_into_programs(primitive: Primitive, args: tuple[Any, ...], params: Any) -> None:
    y = primitive.evaluate(*args, **params)
    if primitive.multiple or (primitive.name == "det" and np.all(y == 0)):
        return  # of a singular matrix the rule looks at the value
    if _type_depends_on_values(primitive, args, params):
        return
    ct = _random(np.asarray(y), 3)
    values = (ct, y, *args)
    for wanted in _masks(args):
        plain = primitive.elementwise and _plain(y, args, wanted)
        pull = primitive.pull_for(wanted, len(args), plain)

        def rule(ct: Any, y: Any, *xs: Any, pull: Any = pull) -> Any:
            return _dense(pull.function(ct, *pull.keep(y, *xs), **params))

        program = verify(trace(rule, *map(ArrayType.of, values)))
        for traced, eager in zip(evaluate(program, *values), rule(*values), strict=True):
            assert (traced.shape, traced.dtype) == (eager.shape, eager.dtype)
            np.testing.assert_allclose(traced, eager, rtol=1e-14, atol=1e-14)

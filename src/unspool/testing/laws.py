"""The laws of a primitive, each an assertion about one sample: operands and keywords."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.evaluate import evaluate
from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive, Pull, Read
from unspool.ir.verify import verify
from unspool.layout import ArrayType
from unspool.testing.vectors import is_float
from unspool.tracer import trace
from unspool.transforms import grad, jvp, vjp

Args = tuple[Any, ...]
Params = dict[str, Any]

_H = 1e-6


def pure(primitive: Primitive, args: Args, params: Params) -> None:
    """It runs on arrays that cannot be written, and twice to the same bits."""
    frozen = [np.array(a) for a in args]
    for a in frozen:
        a.setflags(write=False)
    first, second = (_parts(primitive.evaluate(*frozen, **params)) for _ in range(2))
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, two, err_msg=f"{primitive} gives another result the second time")


def typed(primitive: Primitive, args: Args, params: Params) -> None:
    """Its type rule says what evaluation gives, or refuses where that depends on the values."""
    if primitive.type_rule is None:
        return
    try:
        said: Any = primitive.type_rule(*map(ArrayType.of, args), **params)
    except UnsupportedError as refused:
        if "depends on the values" in str(refused):
            return
        raise
    y = primitive.evaluate(*args, **params)
    found = tuple(map(ArrayType.of, y)) if primitive.multiple else ArrayType.of(y)
    assert said == found, f"the type rule of {primitive} says {said}; evaluation gives {found}"


def jvp_is_the_derivative(primitive: Primitive, args: Args, params: Params) -> None:
    """Its jvp agrees with central differences, in every combination of operands that move."""
    y = primitive.evaluate(*args, **params)
    h, tolerance = (1e-2, 1e-2) if _single(args, y) else (_H, 1e-6)
    assert primitive.jvp is not None, f"{primitive} is differentiable and has no jvp"
    for wanted in combinations(args):
        vs = _directions(args, wanted)
        tangents = _parts(primitive.jvp(vs, y, *args, **params))
        right, left = (_evaluated(primitive, args, params, vs=vs, h=sign * h) for sign in (1, -1))
        for t, r, le, part in zip(tangents, right, left, _parts(y), strict=True):
            expected = (r - le) / (2 * h)
            if t is None:
                assert np.all(expected == 0), f"the jvp of {primitive} gives None for a tangent that is not zero"
                continue
            _same_type(t, part, f"the tangent of {primitive}")
            np.testing.assert_allclose(t, expected, tolerance, tolerance, err_msg=f"the jvp of {primitive} is wrong")


def vjp_is_the_transpose(primitive: Primitive, args: Args, params: Params) -> None:
    """<ct, jvp(v)> = <vjp(ct), v>, and cotangents have the types of their operands."""
    y = primitive.evaluate(*args, **params)
    ct = _cotangent(primitive, y)
    tolerance = 1e-5 if _single(args, y) else 1e-11
    assert primitive.jvp is not None, f"{primitive} is differentiable and has no jvp"
    for wanted in combinations(args):
        vs = _directions(args, wanted)
        chosen = [k for k in range(len(args)) if wanted >> k & 1]
        for pull in _pulls(primitive, args, y, wanted):
            cts = _dense(pull.function(ct, *pull.keep(y, *args), **params))
            assert len(cts) == len(chosen), f"the vjp of {primitive} must give one cotangent per wanted operand"
            for c, k in zip(cts, chosen, strict=True):
                _same_type(c, args[k], f"the cotangent of operand {k} of {primitive}")
            forward = _pairing(ct, primitive.jvp(vs, y, *args, **params))
            backward = _pairing(cts, tuple([vs[k] for k in chosen]))
            message = f"the vjp of {primitive} is not the transpose of its jvp"
            np.testing.assert_allclose(backward, forward, tolerance, tolerance, err_msg=message)


def residuals_are_what_is_read(primitive: Primitive, args: Args, params: Params) -> None:
    """The rule gives the same from its residuals as from everything, and keeps nothing that it does not read."""
    y = primitive.evaluate(*args, **params)
    ct = _cotangent(primitive, y)
    for wanted in combinations(args):
        pull = primitive.pull_for(wanted, len(args), _plain(primitive, args, y, wanted))
        kept = pull.keep(y, *args)
        for read, residual, value in zip(pull.reads, kept, (y, *args), strict=True):
            if read is Read.VALUE:
                assert residual is value, f"{primitive} keeps another object than the value that it reads"
            else:
                expected = None if read is Read.NOTHING else ArrayType.of(value)
                assert residual == expected, f"{primitive} keeps {residual}; what it reads is {expected}"
        with_kept = _dense(pull.function(ct, *kept, **params))
        with_all = _dense(pull.function(ct, y, *args, **params))
        for one, two in zip(with_kept, with_all, strict=True):
            np.testing.assert_array_equal(one, two, err_msg=f"the rule of {primitive} reads more than it keeps")


def second_derivatives_agree(primitive: Primitive, args: Args, params: Params) -> None:
    """Forward over reverse agrees with differences of the gradient, and with reverse over reverse."""
    chosen = [k for k, a in enumerate(args) if is_float(a)]
    y = _parts(primitive.evaluate(*args, **params))
    if not chosen or any(a.dtype == np.float32 for a in (*args, *y)):
        return
    weights = [_some(part, 3 + k) for k, part in enumerate(y)]

    def loss(*xs: Any) -> Any:
        parts = _parts(bind(primitive, *xs, **params))
        return sum(np.sum(np.real(w * p * p)) for w, p in zip(weights, parts, strict=True))

    def gradient(*moving: Any) -> Any:
        full = list(args)
        for k, value in zip(chosen, moving, strict=True):
            full[k] = value
        return grad(loss, argnums=tuple(chosen))(*full)

    point = tuple([args[k] for k in chosen])
    vs, us = (tuple([_some(a, seed + k) for k, a in enumerate(point)]) for seed in (20, 40))
    _, forward = jvp(gradient, point, vs)
    right, left = (gradient(*[a + s * _H * v for a, v in zip(point, vs, strict=True)]) for s in (1, -1))
    for t, r, le in zip(forward, right, left, strict=True):
        message = f"the rules of {primitive} are not differentiated right"
        np.testing.assert_allclose(t, (r - le) / (2 * _H), 2e-5, 2e-5, err_msg=message)
    _, pullback = vjp(gradient, *point)
    message = f"reverse over reverse differs from forward over reverse in {primitive}"
    np.testing.assert_allclose(_pairing(pullback(us), vs), _pairing(us, forward), 1e-9, 1e-9, err_msg=message)


def rules_can_be_traced(primitive: Primitive, args: Args, params: Params) -> None:
    """The rule written down as a program gives what it gives on arrays."""
    y = primitive.evaluate(*args, **params)
    if primitive.multiple:
        return
    ct = _some(np.asarray(y), 3)
    for wanted in combinations(args):
        pull = primitive.pull_for(wanted, len(args), _plain(primitive, args, y, wanted))

        def rule(ct: Any, y: Any, *xs: Any, pull: Pull = pull) -> Any:
            return _dense(pull.function(ct, *pull.keep(y, *xs), **params))

        values = (ct, y, *args)
        program = verify(trace(rule, *map(ArrayType.of, values)))
        for traced, eager in zip(evaluate(program, *values), rule(*values), strict=True):
            _same_type(traced, eager, f"the traced rule of {primitive}")
            message = f"the rule of {primitive} gives something else when it is traced"
            np.testing.assert_allclose(traced, eager, 1e-14, 1e-14, err_msg=message)


def combinations(args: Args) -> Iterator[int]:
    """The sets of operands that may move, as bits: all of those of the first three that are floats."""
    floats = [k for k, a in enumerate(args) if is_float(a)]
    for bits in range(1, 1 << min(len(floats), 3)):
        yield sum(1 << k for i, k in enumerate(floats) if bits >> i & 1)


# --- samples ----------------------------------------------------------------------------------------------------------
def _some(like: Any, seed: int) -> Any:
    """Numbers away from zero, of this shape and dtype."""
    rng = np.random.default_rng(seed)
    value = rng.uniform(0.5, 1.5, like.shape) * rng.choice([-1.0, 1.0], like.shape)
    if like.dtype.kind == "c":
        value = value + 1j * rng.uniform(-1, 1, like.shape)
    return np.asarray(value).astype(like.dtype)[()]


def _cotangent(primitive: Primitive, y: Any) -> Any:
    cts = tuple([_some(part, 3 + k) for k, part in enumerate(_parts(y))])
    return cts if primitive.multiple else cts[0]


def _directions(args: Args, wanted: int) -> Args:
    return tuple([_some(a, 7 + k) if wanted >> k & 1 else None for k, a in enumerate(args)])


def _evaluated(primitive: Primitive, args: Args, params: Params, *, vs: Args, h: float) -> Args:
    shifted = [a if v is None else a + h * v for a, v in zip(args, vs, strict=True)]
    return _parts(primitive.evaluate(*shifted, **params))


def _pulls(primitive: Primitive, args: Args, y: Any, wanted: int) -> list[Pull]:
    flags = {False, _plain(primitive, args, y, wanted)}
    return [primitive.pull_for(wanted, len(args), plain) for plain in flags]


def _plain(primitive: Primitive, args: Args, y: Any, wanted: int) -> bool:
    chosen = [args[k] for k in range(len(args)) if wanted >> k & 1]
    return primitive.elementwise and all(a.shape == y.shape and a.dtype == y.dtype for a in chosen)


def _parts(value: Any) -> Args:
    return value if isinstance(value, tuple) else (value,)


def _dense(cts: Any) -> Args:
    return tuple([ct.dense() if hasattr(ct, "dense") else ct for ct in cts])


def _pairing(cts: Any, vs: Any) -> float:
    return float(sum(np.sum(np.real(ct * v)) for ct, v in zip(_parts(cts), _parts(vs), strict=True) if v is not None))


def _single(args: Args, y: Any) -> bool:
    return any(np.asarray(a).dtype in (np.float32, np.complex64) for a in (*args, *_parts(y)))


def _same_type(found: Any, expected: Any, what: str) -> None:
    types = ArrayType.of(found), ArrayType.of(expected)
    assert types[0] == types[1], f"{what} is {types[0]}; expected {types[1]}"

"""Compiled steps on fields equal the tape, under every policy to the bit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unspool
import unspool.numpy as unp
import unspool.worth
from tests.codegen.field_steps import CAPTURES, HOW, LINES, SHAPES, arrays, make_step
from tests.codegen.plain import agree, plainly
from tests.oracles import complex_step, same_bits, taylor_order
from unspool import fori_loop, grad, hvp, jvp, scan, value_and_grad, vjp, while_loop
from unspool.codegen.field_drive import FieldDrive
from unspool.schedules import Every, Mixed, Online, Revolve, StoreAll, simulate
from unspool.stores import arena

POLICIES: list[dict[str, Any]] = [
    {"policy": StoreAll()},
    {"policy": Every(2)},
    {"policy": "every-100"},
    {"policy": Revolve(1)},
    {"policy": Revolve(2, leaf=2)},
    {"policy": Mixed(2)},
    {"policy": Online(2)},
    {"memory": None},
]


def _flat(loss: Callable[..., Any], args: tuple[Any, ...], **options: Any) -> list[np.ndarray]:
    """The value and the gradients with respect to all arguments."""
    value, back = value_and_grad(lambda *a: loss(*a, **options), argnums=tuple(range(len(args))))(*args)
    return [np.asarray(value), *map(np.asarray, back)]


def _close(found: list[np.ndarray], expected: list[np.ndarray], rtol: float = 1e-12) -> None:
    """To ``rtol`` of the largest element of each, or of a thousandth of that of all; NaN in the same places."""
    scales = [np.max(np.abs(other[np.isfinite(other)]), initial=1e-300) for other in expected]
    for one, other, own in zip(found, expected, scales, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * max(own, 1e-3 * max(scales)))


def _weighed(leaves: Any) -> Any:
    return sum(np.sum(x * np.cos(np.arange(np.size(x)) + 1.0).reshape(np.shape(x))) for x in leaves)


# --- random steps -----------------------------------------------------------------------------------------------------
def _random(lines: Any, how: int, shapes: Any, n: int, *, counted: bool, most: int) -> tuple[Any, tuple[Any, ...]]:
    """A loss of a loop of random steps, and its arguments: states, captures, and rows of inputs."""
    step = make_step(lines, how, most)
    state, captures, (rows,) = arrays(shapes), arrays(CAPTURES, 0.5), arrays([(n, 4)], 0.9)
    m = len(state)

    def loss(*args: Any, **options: Any) -> Any:
        init, taken, xs = args[:m], [*args[m:-1]], args[-1]
        if counted:
            return _weighed(fori_loop(0, n, lambda k, s: tuple(step(k, [*s], xs[0], taken)[0]), init, **options))

        def f(s: Any, x: Any) -> Any:
            new, ys = step(s[-1], [*s[:-1]], x, taken)
            return (*new, s[-1] + 1.0), ys

        (*end, _), ys = scan(f, (*init, np.float64(0.0)), xs, **options)
        return _weighed(end) + sum(np.sum(np.cos(y)) * (j + 1) for j, y in enumerate(ys))

    return loss, (*state, *captures, rows)


@settings(max_examples=40)
@given(lines=LINES, how=HOW, shapes=SHAPES, n=st.integers(1, 4), counted=st.booleans())
def test_random_steps_as_plain_python(lines: Any, how: int, shapes: Any, n: int, counted: bool) -> None:
    loss, args = _random(lines, how, shapes, n, counted=counted, most=150)
    agree(loss, *args, rtol=1e-10)


LARGE = st.sampled_from(
    [
        ((600,), (600,)),
        ((40, 33), (40, 33)),
        ((7, 9, 11),),
        ((64, 70), ()),
        ((1500,), (30, 50), (6,)),
        ((1, 500), (500, 1)),
    ]
)


@settings(max_examples=5)
@given(lines=LINES, how=HOW, shapes=LARGE, n=st.integers(3, 4), counted=st.booleans())
def test_random_steps_as_machine_code(lines: Any, how: int, shapes: Any, n: int, counted: bool) -> None:
    loss, args = _random(lines, how, shapes, n, counted=counted, most=5000)
    expected = _flat(loss, args, compile=False, policy="none")
    found = [_flat(loss, args, compile=True, **options) for options in POLICIES]
    _close(found[0], expected, 1e-10)
    for other in found[1:]:
        assert same_bits(other, found[0])
    value, back = unspool.jit(value_and_grad(loss, argnums=tuple(range(len(args)))))(*args)
    _close([np.asarray(value), *map(np.asarray, back)], expected, 1e-10)


# --- steps as users write them ----------------------------------------------------------------------------------------
def _field(*shape: int, turn: float = 0.0) -> np.ndarray:
    """Smooth, without symmetry."""
    axes = np.meshgrid(*[np.linspace(0.0, 1.0, n) for n in shape], indexing="ij")
    return sum(np.sin((3.0 + k) * x + turn + 0.3 * k) for k, x in enumerate(axes)) * 0.5


def _wave(u: Any, v: Any, speed: Any, sources: Any, **options: Any) -> Any:
    """Two leaves, one of them handed on; a source in a point, receivers on a line, a sponge at the border."""
    sponge = np.linspace(0.9, 1.0, 40)[:, None] * np.ones((40, 36))

    def step(state: Any, source: Any) -> Any:
        u, before = state
        new = 2.0 * u - before
        new[1:-1, 1:-1] += speed[1:-1, 1:-1] ** 2 * (
            u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4.0 * u[1:-1, 1:-1]
        )
        new *= sponge
        new[20, 7] += source
        return (new, u), new[3, ::2]

    (u, v), lines = scan(step, (u, v), sources, **options)
    return np.sum(lines**2) + np.sum(np.sin(u)) + np.sum(v * v)


def _diffusion(u: Any, c: Any, **options: Any) -> Any:
    """Three dimensions, periodic; nonlinear and dear, so that residuals are kept."""

    def step(k: int, u: Any) -> Any:
        total = sum(np.roll(u, shift, axis) for axis in range(3) for shift in (1, -1)) - 6.0 * u
        return (
            u
            + c * total
            + 0.05 * np.exp(-u * u) * np.tanh(np.sin(u) + 0.1 * k)
            + 0.01 * np.mean(u, axis=1, keepdims=True)
        )

    return np.sum(fori_loop(2, 8, step, u, **options) ** 2)


def _network(x: Any, w: Any, v: Any, b: Any, rows: Any, **options: Any) -> Any:
    """Layers with their parameters; the cotangents of matrices are sums of outer products over all steps."""

    def step(h: Any, row: Any) -> Any:
        h = np.tanh(w @ h + b) + 0.1 * (np.maximum(v @ h, 0.0) @ v) + row[0] * h[::-1]
        return h, np.sum(h * h)

    h, ys = scan(step, x, rows, **options)
    return np.sum(h * np.arange(30.0)) + np.sum(ys)


def _borders(u: Any, v: Any, a: Any, **options: Any) -> Any:
    """One dimension: borders, signs, in-place parts, padding, joins, masks, sums with keepdims, an exchange."""

    def step(k: int, s: Any) -> Any:
        u, v = s
        u[0], u[-1] = -u[1], u[-2] * a[0]
        u[100:110] += 0.1 * v[:10]
        w = np.pad(v[2:-2], 2, mode="edge") - np.concatenate([u[200:], u[:200]]) * 0.3
        w = np.where((w > 0.0) | (np.roll(v, 5) < -0.4), w, 0.5 * w / (1.0 + np.abs(w)))
        flux = np.maximum(w[1:], 0.0) * a[1] + np.minimum(w[:-1], 0.0) * a[2]
        w[1:-1] -= 0.2 * (flux[1:] - flux[:-1])
        buffer = unp.zeros((4, 80))
        buffer[1:3] = np.reshape(w[:160], (2, 80))
        buffer[::3, 5] = np.max(w)
        w[:80] += 0.1 * np.sum(buffer, axis=0) - 0.05 * np.mean(buffer, axis=1, keepdims=True)[2]
        return -v, w * np.cos(0.1 * k)

    u, v = fori_loop(0, 6, step, (u, v), **options)
    return np.sum(u * u) + np.sum(np.cos(v))


def _library(m: Any, x: Any, q: Any, **options: Any) -> Any:
    """What Python does inside a step: solving, sorting, accumulating, gathering, contracting."""
    order = np.array([3, 0, 2, 1, 4, 3])

    def step(s: Any, _: Any) -> Any:
        m, x = s
        solved = np.linalg.solve(np.eye(24) * 5.0 + m, x)
        values, vectors = np.linalg.eigh(q + q.T + 0.1 * m[:6, :6] + 0.1 * m[:6, :6].T)
        sorted_ = np.sort(solved)[::-1] + 0.05 * np.cumsum(solved)
        m = 0.9 * m + 0.01 * np.einsum("i,j->ij", sorted_, solved) + 0.01 * np.stack([solved] * 24)
        m[:6, :6] += 0.01 * (vectors * np.tanh(values)) @ vectors.T
        picked = np.reshape(m, -1)[:25].reshape(5, 5)[:, 0][np.array([1, 0, 2])]
        return (m, sorted_ * 0.5), np.sum(picked) + np.sum(x[order])

    (m, x), ys = scan(step, (m, x), None, 4, **options)
    return np.sum(m * m) + np.sum(x) + np.sum(ys * np.arange(4.0))


STEPS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "wave": (_wave, (_field(40, 36), _field(40, 36, turn=0.1), 0.3 + 0.1 * _field(40, 36), np.cos(np.arange(7.0)))),
    "diffusion": (_diffusion, (_field(9, 12, 20), np.float64(0.05))),
    "network": (
        _network,
        (_field(30), 0.2 * _field(30, 30), 0.1 * _field(20, 30), _field(30, turn=2.0), 0.1 * _field(6, 2)),
    ),
    "borders": (_borders, (_field(400), _field(400, turn=1.0), np.array([0.9, 0.3, 0.2]))),
    "library": (_library, (0.2 * _field(24, 24), _field(24), np.diag(np.arange(6.0)) + 0.1 * _field(6, 6))),
}


@pytest.mark.parametrize("name", STEPS)
def test_steps_have_the_gradient_of_the_tape_under_every_policy_and_within_their_budget(name: str) -> None:
    loss, args = STEPS[name]
    expected = _flat(loss, args, compile=False, policy="none")
    with unspool.observe() as log:
        found = [_flat(loss, args, compile=True, **options) for options in POLICIES]
        found.append(_flat(loss, args, compile=True, memory="200 kB"))
    _close(found[0], expected)
    for other in found[1:]:
        assert same_bits(other, found[0])
    for report in log:
        assert report.compiled
        cost = simulate(
            report.policy, report.n_steps, state_bytes=report.state_bytes, residual_bytes=report.residual_bytes
        )
        assert (report.steps, report.records, report.saves, report.loads) == (
            cost.steps,
            cost.records,
            cost.saves,
            cost.loads,
        )
        assert 0 < report.peak_bytes <= report.predicted_peak_bytes
    assert log[-1].peak_bytes <= 200_000
    if name in ("wave", "diffusion"):  # the others have kinks
        assert taylor_order(lambda x: loss(x, *args[1:], compile=True, policy="every-2"), found[0][1], args[0]) > 1.9


def test_a_step_against_the_complex_step_of_a_plain_loop() -> None:
    u, c = _field(22, 24), np.float64(0.07)

    def plain(u: Any, c: Any, loop: Any) -> Any:
        def step(k: int, u: Any) -> Any:
            v = u * (1.0 + 0.0 * c)
            v[1:-1] += c * (u[2:] - 2.0 * u[1:-1] + u[:-2]) + 0.01 * np.sum(np.sin(u), axis=0) * (k + 1)
            v[:, 0] = v[:, -1] * 0.5
            return v

        return np.sum(np.sin(loop(step, u)))

    def python(step: Any, u: Any) -> Any:
        for k in range(4):
            u = step(k, u)
        return u

    found = grad(lambda u, c: plain(u, c, lambda step, u: fori_loop(0, 4, step, u, compile=True)), argnums=(0, 1))(u, c)
    expected = [complex_step(lambda u: plain(u, c, python), u), complex_step(lambda c: plain(u, c, python), c)]
    _close([np.asarray(x) for x in found], expected, 1e-11)


# --- transforms -------------------------------------------------------------------------------------------------------
def test_second_derivatives_and_forward_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unspool.worth, "ENOUGH_STEPS", 1)  # tangent loops are compiled too
    u, v = _field(520), np.cos(np.arange(520.0))

    def f(u: Any, **options: Any) -> Any:
        def step(k: int, u: Any) -> Any:
            w = u + 0.1 * np.tanh(np.roll(u, 1) * u[::-1])
            w[1:-1] += 0.05 * np.mean(u * u) * u[2:]
            return w

        return np.sum(np.sin(fori_loop(0, 3, step, u, **options)))

    def several(g: Any) -> list[np.ndarray]:
        second = grad(lambda u: np.sum(grad(g)(u) * v))(u)
        return [np.asarray(x) for x in (hvp(g)(u, v), *jvp(g, (u,), (v,)), second)]

    expected = several(lambda u: f(u, compile=False, policy="none"))
    with unspool.observe() as log:
        found = [several(lambda u, p=p: f(u, compile=True, policy=p)) for p in ("none", "revolve-1")]
    assert all(report.compiled for report in log)
    _close(found[0], expected, 1e-11)
    assert same_bits(found[1], found[0])


INNER: dict[str, Any] = {
    "fori_loop": lambda k, u: fori_loop(0, 3, lambda j, v: 0.9 * v + 0.1 * u * np.roll(v, 1) + 0.01 * j * k, u),
    "scan": lambda k, u: scan(lambda v, x: (0.9 * v + x, np.sum(v)), u, np.stack([u, 0.1 * u[::-1]]))[0],
    "checkpoint": lambda k, u: unspool.checkpoint(lambda v: np.sin(v) * 0.9 + u[::-1] * 0.1)(u),
    "in two loops": lambda k, u: fori_loop(0, 2, lambda j, v: fori_loop(0, 2, lambda i, w: w + 0.1 * v * u, v), u),
}


@pytest.mark.parametrize("name", INNER)
def test_short_loops_inside_a_step_are_compiled_with_it(name: str) -> None:
    agree(lambda u, **options: np.sum(fori_loop(0, 4, INNER[name], u, **options) ** 2), _field(40), rtol=1e-12)


def test_a_loop_of_unknown_length_inside_a_step_takes_as_many_steps_as_it_needs() -> None:
    def step(k: int, u: Any) -> Any:
        return while_loop(lambda v: np.sum(v * v) > 20.0, lambda v: 0.8 * v, u + 0.1 * k)

    agree(lambda u, **options: np.sum(fori_loop(0, 4, step, u, **options) ** 2), _field(600), rtol=1e-12)


def test_compiled_loops_inside_a_step_on_the_tape_and_gradients_inside_a_compiled_step() -> None:
    def inner(k: int, u: Any) -> Any:
        return u - 0.01 * grad(lambda v: np.sum(v[1:] ** 3) + np.sum((v[1:] - v[:-1]) ** 2))(u)

    def f(u: Any, p: Any, compile: bool) -> Any:
        def outer(i: int, v: Any) -> Any:
            w = fori_loop(0, 3, lambda k, z: inner(k, z) * p, v, compile=compile)
            return w if i % 2 else w * 0.9

        return np.sum(fori_loop(0, 3, outer, u, compile=False, policy="every-2") ** 2)

    args = _field(520), np.cos(np.arange(520.0))
    _close(_flat(lambda u, p: f(u, p, True), args), _flat(lambda u, p: f(u, p, False), args))


# --- edges ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0), (1,), (1, 1), (1, 40), (40, 1), (2, 0, 3), ()])
def test_axes_of_length_zero_and_one(shape: tuple[int, ...]) -> None:
    u = np.cos(np.arange(float(np.prod(shape)))).reshape(shape)

    def loss(u: Any, v: Any, c: Any, **options: Any) -> Any:
        def step(s: Any, _: Any) -> Any:
            u, v = s
            w = np.sin(u) * c + np.sum(v * v, keepdims=False) * 0.01
            doubled = np.concatenate([np.reshape(w, -1), np.reshape(u, -1)]) if u.ndim else v
            w = np.roll(w, 1) if u.ndim else w
            return (w, np.roll(v, 1) + 0.1 * np.sum(doubled)), (w, np.sum(w), doubled)

        (u, v), ys = scan(step, (u, v), None, 3, **options)
        return np.sum(u) + np.sum(v) + sum(np.sum(y**2) for y in ys)

    agree(loss, u[()], np.arange(20.0), u[()] * 0.5)


def test_infinities_and_nan_go_where_the_tape_lets_them() -> None:
    """The state, to the bit; the gradient where the tape has a number."""

    def run(u: Any, **options: Any) -> tuple[np.ndarray, np.ndarray]:
        def step(k: int, u: Any) -> Any:
            v = np.roll(u, 1) * 0.5 + np.sqrt(np.abs(u))
            v[3:] += u[:-3] / (1.0 + u[3:])
            v[0] = np.max(u[10:20])
            return np.where(u > 1.0, v, np.minimum(v, 5.0))

        end, pull = vjp(lambda u: fori_loop(0, 3, step, u, **options), u)
        return np.asarray(end), pull(np.cos(np.arange(40.0)))[0]

    u = _field(40)
    for place, special in ((5, np.nan), (12, np.inf), (13, -np.inf), (0, -0.0), (39, 1e308), (7, 5e-324)):
        u = _field(40)
        u[place] = special
        with np.errstate(all="ignore"):
            end, back = run(u, compile=False, policy="none")
        with plainly():
            found = [run(u, compile=True, policy=policy) for policy in ("none", "every-2", "revolve-1")]
        np.testing.assert_allclose(found[0][0], end, rtol=1e-13, atol=0)
        known = ~np.isnan(back)
        np.testing.assert_allclose(found[0][1][known], back[known], rtol=1e-11, atol=1e-12)
        for other in found[1:]:
            assert same_bits([*other], [*found[0]])


def test_arrays_in_any_memory_layout_and_byte_order() -> None:
    m, xs = _field(30, 24), _field(4, 30, 24, turn=0.3)

    def loss(m: Any, xs: Any, **options: Any) -> Any:
        end, ys = scan(lambda m, x: (0.9 * m + x * np.sin(m[::-1]), np.sum(m, axis=0)), m, xs, **options)
        return np.sum(end * end) + np.sum(ys**2)

    big = np.zeros((8, 30, 24))
    big[::2] = xs
    seen = [
        _flat(lambda a, b: loss(a, b, compile=True), (state, rows))
        for state in (m, np.asfortranarray(m), m[::-1][::-1])
        for rows in (xs, np.asfortranarray(xs), big[::2], xs[::-1][::-1], xs.astype(">f8"))
    ]
    _close(seen[0], _flat(lambda a, b: loss(a, b, compile=False), (m, xs)))
    assert all(same_bits(one, seen[0]) for one in seen)


def test_large_constants_are_what_they_were_when_the_loop_ran() -> None:
    """A field of the code around, which is written between calls, and between forward and backward."""
    weights = _field(50, 40)

    def f(u: Any, **options: Any) -> Any:
        return np.sum(fori_loop(0, 3, lambda k, u: 0.9 * u + weights * np.sin(u[::-1]) + weights[:, :1], u, **options))

    u = _field(50, 40, turn=0.7)
    for policy in ("none", "revolve-1"):
        weights[...] = _field(50, 40)
        expected = grad(lambda u: f(u, compile=False))(u)
        _, pull = vjp(lambda u, p=policy: f(u, compile=True, policy=p), u)
        weights[...] = 2.0 * _field(50, 40, turn=1.0)
        for _ in range(2):
            _close([*pull(1.0)], [expected])
        _close([grad(lambda u: f(u, compile=True))(u)], [grad(lambda u: f(u, compile=False))(u)])


def test_what_comes_back_is_the_users_own() -> None:
    xs = np.ones((4, 600))
    out, pull = vjp(lambda u, x: scan(lambda u, x: (u + x, u * x), u, x, compile=True), np.ones(600), xs)
    first = pull((np.ones(600), np.ones((4, 600))))
    kept = [np.array(ct) for ct in first]
    for array in (out[0], out[1], *first, xs):
        array[...] = np.nan
    assert same_bits([*pull((np.ones(600), np.ones((4, 600))))], kept)


# --- the driver, from outside -----------------------------------------------------------------------------------------
def _shared(u: Any, p: Any, n: int = 12, **options: Any) -> Any:
    """The loss that the tests below share, so that its step is compiled once."""

    def step(k: int, s: Any) -> Any:
        u, v = s
        return 0.9 * np.roll(v, 1) + 0.1 * np.exp(np.tanh(np.sin(u))) * p + 0.01 * k, u

    u, v = fori_loop(0, n, step, (u, u * 0.5), **options)
    return np.sum(u * u) + np.sum(v)


ARGS = _field(700), _field(700, turn=2.0)


def _slices(monkeypatch: pytest.MonkeyPatch, work: int, between: Callable[[int], None] | None = None) -> None:
    """Let the driver come up for air after so many steps."""
    init = FieldDrive.__init__

    def short(self: FieldDrive, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self._work = work
        if between is not None:
            self._tick = between

    monkeypatch.setattr(FieldDrive, "__init__", short)


def test_ranges_cut_into_slices_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = _flat(_shared, ARGS, compile=True, policy="none")
    for work in (1, 5):
        with monkeypatch.context() as patch:
            _slices(patch, work)
            for options in POLICIES:
                assert same_bits(_flat(_shared, ARGS, compile=True, **options), expected)


@pytest.mark.parametrize("at", [1, 2, 7, 11])
@pytest.mark.parametrize("policy", ["none", "every-4", "revolve-3"])
def test_an_interrupt_between_slices_leaves_nothing_held(policy: str, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = _flat(_shared, ARGS, compile=True, policy=policy)
    calls = 0

    def interrupt(_: int) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        _slices(patch, 2, interrupt)
        with pytest.raises(KeyboardInterrupt):
            _flat(_shared, ARGS, compile=True, policy=policy)
    assert sum(buffer.nbytes for buffer in arena._ARENA.free) == arena._ARENA.n_bytes
    assert same_bits(_flat(_shared, ARGS, compile=True, policy=policy), expected)


def test_an_error_inside_a_step_comes_out_as_it_is_and_nothing_stays_held() -> None:
    def loss(m: Any, u: Any, **options: Any) -> Any:
        def step(k: int, u: Any) -> Any:
            return np.linalg.solve(m * (k - 3.0), u)

        return np.sum(fori_loop(0, 8, step, u, **options))

    m, u = np.eye(20) + 0.1 * _field(20, 20), _field(20)
    for policy in ("none", "every-3"):
        arena.release()
        with pytest.raises(np.linalg.LinAlgError, match="Singular"):
            grad(loss)(m, u, compile=True, policy=policy)
        held = {id(buffer) for buffer in arena._ARENA.free}
        assert sum(buffer.nbytes for buffer in arena._ARENA.free) == arena._ARENA.n_bytes > 0
        with pytest.raises(np.linalg.LinAlgError, match="Singular"):
            grad(loss)(m, u, compile=True, policy=policy)
        assert {id(buffer) for buffer in arena._ARENA.free} == held


def test_the_progress_bar_counts_to_its_total(capsys: pytest.CaptureFixture[str]) -> None:
    for policy, total in (("none", 24), ("every-5", Every(5).steps(12) + 12), ("revolve-3", Revolve(3).steps(12) + 12)):
        _flat(_shared, ARGS, compile=True, policy=policy, progress=True)
        assert f"{total}/{total}" in capsys.readouterr().err


def test_eight_threads_share_a_step() -> None:
    def work(number: int) -> list[list[np.ndarray]]:
        barrier.wait()
        args = ARGS[0] * (1.0 + number), ARGS[1]
        return [_flat(_shared, args, compile=True, policy=policy) for policy in ("none", "every-2", "revolve-2")]

    barrier = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        together = [*pool.map(work, range(8))]
    barrier = threading.Barrier(1)
    for number, found in enumerate(together):
        for one, other in zip(found, work(number), strict=True):
            assert same_bits(one, other)


def test_a_schedule_runs_from_where_the_last_call_left_the_buffers() -> None:
    """Other lengths and policies one after the other, on buffers that hold the numbers of the call before."""
    fresh = {}
    for n in (3, 12, 5):
        for policy in ("none", "revolve-2"):
            arena.release()
            fresh[n, policy] = _flat(lambda u, p, n=n, q=policy: _shared(u, p, n, compile=True, policy=q), ARGS)
    for n in (12, 3, 5, 12):
        for policy in ("revolve-2", "none"):
            again = _flat(lambda u, p, n=n, q=policy: _shared(u, p, n, compile=True, policy=q), ARGS)
            assert same_bits(again, fresh[n, policy])


# --- loops in a step that are too long to be written out --------------------------------------------------------------
def poisson(b: Any, n: int = 70, **how: Any) -> Any:
    """Some steps of Jacobi's method, in one dimension."""

    def better(i, u):
        new = np.zeros_like(u)
        new[1:-1] = 0.5 * (u[2:] + u[:-2] + b[1:-1])
        return new

    return unspool.fori_loop(0, n, better, np.zeros_like(b), **how)


def projected(k: Any, u: Any, inner: str = "none", **how: Any) -> Any:
    return np.sum(unspool.fori_loop(0, 6, lambda i, u: u + 0.01 * poisson(k * np.sin(u), policy=inner), u, **how) ** 2)


@pytest.mark.parametrize("policy", ["none", "revolve-2"])
@pytest.mark.parametrize("inner", ["none", "every-9"])
def test_a_long_loop_in_a_step(policy: str, inner: str) -> None:
    u = np.linspace(0.0, 1.0, 40)
    gradient = unspool.value_and_grad(projected, argnums=(0, 1))
    with unspool.observe() as log:
        value, (dk, du) = gradient(0.5, u, inner, policy=policy, compile=True)
    expected, (dk_tape, du_tape) = gradient(0.5, u, inner, policy=policy, compile=False)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(dk, dk_tape, rtol=1e-12)
    np.testing.assert_allclose(du, du_tape, rtol=1e-12)
    outer, first = log[0], log[1]
    assert outer.compiled
    assert first.compiled
    assert first.peak_bytes == first.predicted_peak_bytes
    assert outer.peak_bytes == outer.predicted_peak_bytes > first.peak_bytes


def test_second_derivatives_through_a_long_loop_in_a_step() -> None:
    u, v = np.linspace(0.0, 1.0, 12), np.cos(np.arange(12.0))

    def f(u: Any, **how: Any) -> Any:
        return projected(0.5, u, **how)

    compiled = unspool.hvp(lambda u: f(u, compile=True))(u, v)
    np.testing.assert_allclose(compiled, unspool.hvp(lambda u: f(u, compile=False))(u, v), rtol=1e-11)

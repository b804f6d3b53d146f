"""Writes where the array lies: what they keep, and what must not notice them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import unspool
import unspool.numpy as unp
from tests.oracles import complex_step, same_bits
from unspool.errors import DetachedError, UnsupportedError
from unspool.ir.listener import listening
from unspool.tape import Tape

POINT = np.array([0.3, 0.5, 0.7])


# --- those who have the array too -------------------------------------------------------------------------------------
def _residual_is_the_view_itself(x: Any) -> Any:
    u = np.copy(x)
    v = u[1:]
    y = v * v
    v *= 2
    return np.sum(y * y) + np.sum(u)


def _returned_by_a_loop_of_no_steps(x: Any) -> Any:
    u = np.copy(x)
    u[0] = u[1] * 2
    w = unspool.fori_loop(0, 0, lambda i, s: s, u)
    u[1] = 5 * x[2]
    return np.sum(w * w) + np.sum(u)


def _returned_by_a_step_that_reads_it(x: Any) -> Any:
    u = np.copy(x)
    u[0] = u[1] * 2
    w = unspool.fori_loop(0, 2, lambda i, s: u, x)
    u[1] = 5 * x[2]
    return np.sum(w * w) + np.sum(u)


def _read_by_a_loop(x: Any) -> Any:
    u = np.copy(x)
    u[0] = u[1] * 2
    w = unspool.fori_loop(0, 3, lambda i, s: s * u, x, policy="revolve-1")
    u[1] = 5 * x[2]
    w = w * unspool.fori_loop(0, 3, lambda i, s: s * u, x, policy="none")
    u[...] = 1.0
    return np.sum(w * w)


def _state_written_after_it_was_read(x: Any) -> Any:
    def step(i: int, s: Any) -> Any:
        s = np.copy(s)
        y = s * s
        s[0] = y[1]
        z = s * s
        s[1] += z[0]
        return s

    return np.sum(unspool.fori_loop(0, 3, step, x, policy="none") ** 2)


def _read_by_an_inner_gradient(x: Any) -> Any:
    u = np.copy(x)
    u[0] = u[1] * 2
    _, pullback = unspool.vjp(lambda q: q * q, u)
    u[1] = 7 * x[0]
    return np.sum(pullback(np.ones(3))[0] ** 2)


def _read_from_inside_an_inner_gradient(x: Any) -> Any:
    u = np.copy(x)
    u[0] = u[1] * 2

    def inner(q: Any) -> Any:
        y = q * u
        u[1] = 7 * x[0]
        return np.sum(y * q * u)

    return np.sum(unspool.grad(inner)(x) ** 2)


def _result_of_an_inner_vjp_is_written(x: Any) -> Any:
    out, pullback = unspool.vjp(np.exp, x)
    out *= 2
    return np.sum(pullback(out)[0])


def _constants_are_rewritten(x: Any) -> Any:
    w = np.zeros_like(x)
    w[0] = 3.0
    y = x * w
    w[0], w[1] = 5.0, 2.0
    return np.sum(y * x * w)


def _passed_to_a_rule_of_ones_own(x: Any) -> Any:
    @unspool.custom_vjp
    def same(u: Any) -> Any:
        return np.copy(u)

    same.defvjp(lambda u: (u, u), lambda kept, ct: (ct * kept / kept,))
    u = np.copy(x)
    u[0] = u[1] * 2
    v = same(u)
    u[1] = 7 * x[0]
    return np.sum(u * v * v)


CASES = [
    _residual_is_the_view_itself,
    _returned_by_a_loop_of_no_steps,
    _returned_by_a_step_that_reads_it,
    _read_by_a_loop,
    _state_written_after_it_was_read,
    _read_by_an_inner_gradient,
    _read_from_inside_an_inner_gradient,
    _result_of_an_inner_vjp_is_written,
    _constants_are_rewritten,
    _passed_to_a_rule_of_ones_own,
]


@pytest.mark.parametrize("f", CASES)
def test_whoever_has_the_array_too_does_not_notice_a_write(f: Callable[..., Any]) -> None:
    h = 1e-6
    numeric = [(f(POINT + h * e) - f(POINT - h * e)) / (2 * h) for e in np.eye(3)]
    value, gradient = unspool.value_and_grad(f)(POINT)
    assert value == pytest.approx(float(f(POINT.copy())), rel=1e-14)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-7, atol=1e-8)


def _rewritten(x: Any) -> Any:
    u = np.copy(x)
    for k in range(6):
        y = np.sin(u) * u
        u[k % 3] = y[(k + 1) % 3]
        u[1:] += y[:-1]
    return u


def test_a_pullback_finds_the_arrays_as_they_were_every_time() -> None:
    out, pullback = unspool.vjp(_rewritten, POINT)
    before = out.copy()
    first = pullback(np.ones(3))[0]
    assert same_bits(first, pullback(np.ones(3))[0])
    assert same_bits(out, before)
    np.testing.assert_allclose(first, complex_step(lambda z: np.sum(_rewritten(z.copy())), POINT), rtol=1e-13)


def test_aux_is_not_undone_with_the_sweep() -> None:
    def f(x: Any) -> Any:
        u = _rewritten(x)
        return np.sum(u), (u, u[1:])

    (_, (u, tail)), _ = unspool.value_and_grad(f, has_aux=True)(POINT)
    expected = _rewritten(POINT.copy())
    assert same_bits(u, expected)
    assert same_bits(tail, expected[1:].copy())


def test_a_recording_goes_on_after_backward() -> None:
    with unspool.recording() as tape:
        x = tape.variable(POINT)
        u = _rewritten(x)
        np.sum(u).backward()
        first = x.grad
        u[0] = u[1] * u[2]
        x.grad = None
        np.sum(u).backward()
    np.testing.assert_allclose(first, complex_step(lambda z: np.sum(_rewritten(z.copy())), POINT), rtol=1e-13)

    def after(z: Any) -> Any:
        u = _rewritten(z.copy())
        return 1.0 * u[1] * u[2] + u[1] + u[2]

    np.testing.assert_allclose(x.grad, complex_step(after, POINT), rtol=1e-13)


def test_a_rule_that_raises_in_a_pullback_leaves_the_arrays_as_they_are() -> None:
    @unspool.custom_vjp
    def moody(x: Any) -> Any:
        return x

    moods = iter([RuntimeError("not today"), None, None])

    def bwd(kept: Any, ct: Any) -> Any:
        mood = next(moods)
        if mood is not None:
            raise mood
        return (ct,)

    moody.defvjp(lambda x: (x, None), bwd)
    _, pullback = unspool.vjp(lambda x: _rewritten(_rewritten(moody(x))), POINT)
    with pytest.raises(RuntimeError, match="not today"):
        pullback(np.ones(3))
    expected = complex_step(lambda z: np.sum(_rewritten(_rewritten(z.copy()))), POINT)
    np.testing.assert_allclose(pullback(np.ones(3))[0], expected, rtol=1e-13)


# --- what a write keeps -----------------------------------------------------------------------------------------------
def _filled(n: int) -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        u = unp.zeros((n, 100))
        u[0] = x
        for k in range(1, n):
            u[k] = np.sin(u[k - 1])
        return np.sum(u)

    return f


def test_filling_a_trajectory_holds_bytes_in_proportion_to_its_rows() -> None:
    x = np.linspace(0.1, 0.9, 100)
    peaks = []
    for n in (100, 400):
        gradient = unspool.grad(_filled(n))
        gradient(x)
        tracemalloc.start()
        gradient(x)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 5 * peaks[0]
    assert peaks[1] < 400 * (4 * 100 * 8 + 4000)


def test_a_tape_keeps_what_was_overwritten_only_where_something_may_look_at_it() -> None:
    tape = Tape()
    with listening(tape):
        u = np.copy(tape.input(np.ones(1000)))
        for k in range(10):
            u[k] = 2.0 * u[k + 1]
        assert not tape.overwritten.entries
        y = u * u
        u[3:5] = 7.0
        ((position, array, _, part),) = tape.overwritten.entries
    assert y.shape == (1000,)
    assert position == len(tape.nodes) - 1
    assert array is u.value
    assert part.tolist() == [2.0, 2.0]


def test_a_tape_that_does_not_record_keeps_nothing() -> None:
    tape = Tape(recording=False)
    with listening(tape):
        u = np.copy(tape.constant(np.ones(10)))
        u[0] = 1.0
        whole, v = u.value, u[1:]
        u[2:4] = v[:2] * 3.0
        assert u.value is whole
    assert not tape.overwritten.entries
    assert v.value.tolist() == [1.0, 3.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]


def test_a_write_that_fails_changes_nothing() -> None:
    def f(x: Any) -> Any:
        u = np.copy(x)
        y = u * u
        for key, value in ((slice(2), np.ones(3)), (9, 1.0), (0, 1j)):
            with pytest.raises((ValueError, IndexError, UnsupportedError)):
                u[key] = value
        return np.sum(u * y)

    np.testing.assert_allclose(unspool.grad(f)(POINT), 3 * POINT**2)


# --- NumPy's keywords -------------------------------------------------------------------------------------------------
def test_where_computes_the_chosen_elements_only() -> None:
    below = np.array([2.0, 0.0, 4.0])

    def f(x: Any, b: Any) -> Any:
        out = np.ones_like(x)
        np.divide(x, b, out=out, where=b != 0)  # divides by zero nowhere, and warns of nothing
        np.sqrt(out, out=out, where=[True, True, False])
        return np.sum(out * x)

    value, gradients = unspool.value_and_grad(f, (0, 1))(POINT, below)
    assert value == f(POINT.copy(), below)
    np.testing.assert_allclose(gradients[0], [1.5 * np.sqrt(0.15), 1.0, 0.35])
    np.testing.assert_allclose(gradients[1], [-0.25 * np.sqrt(0.15) * 0.3, 0.0, -0.49 / 16])


def test_where_without_out_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="where= without out="):
        unspool.grad(lambda x: np.sum(np.sin(x, where=x > 0.4)))(POINT)
    with pytest.raises(TypeError, match="where="):
        unspool.grad(lambda x: np.sum(np.sin(x, out=np.zeros_like(x), where=x)))(POINT)
    with pytest.raises(TypeError, match="where="):
        unspool.grad(lambda x: np.sum(np.sin(x, out=np.zeros_like(x), where=np.ones(3))))(POINT)
    with pytest.raises(ValueError, match="cannot be written"):
        unspool.grad(lambda x: np.sum(np.sin(x, out=x[:1], where=x > 0)))(POINT)


def test_results_spread_over_a_larger_out_and_go_to_several() -> None:
    def f(x: Any) -> Any:
        rows = np.zeros_like(x, shape=(2, 3))
        np.multiply(x, x[0], out=rows)
        part, whole = np.zeros_like(x), np.zeros_like(x)
        np.modf(x * 7.0, out=(part, whole))
        return np.sum(rows * rows) + np.sum(part * part)

    value, gradient = unspool.value_and_grad(f)(POINT)
    assert value == f(POINT.copy())
    np.testing.assert_allclose(gradient, complex_step(lambda z: _spread(z), POINT), rtol=1e-12)


def _spread(z: Any) -> Any:
    return 2 * np.sum((z * z[0]) ** 2) + np.sum((z * 7.0 - np.trunc(np.real(z) * 7.0)) ** 2)


def test_parts_of_complex_numbers_are_assigned_as_attributes() -> None:
    def f(x: Any) -> Any:
        z = x * (1 + 2j)
        z.real = x**2
        z.imag[:1] = 3.0
        z.imag *= 2
        return np.sum(z.real * z.imag)

    assert unspool.value_and_grad(f)(POINT)[0] == pytest.approx(float(f(POINT.copy())), rel=1e-15)
    numeric = [(f(POINT + 1e-6 * e) - f(POINT - 1e-6 * e)) / 2e-6 for e in np.eye(3)]
    np.testing.assert_allclose(unspool.grad(f)(POINT), numeric, rtol=1e-8)
    with pytest.raises(TypeError, match="imaginary"):
        unspool.grad(lambda x: setattr(x, "imag", 1.0))(POINT)


def test_put_and_sort_are_methods() -> None:
    def f(x: Any) -> Any:
        u = x[::-1] * 2
        u.sort()
        u.put([0, 2], x[1:])
        return np.sum(u * x)

    assert unspool.value_and_grad(f)(POINT)[0] == f(POINT.copy())
    np.testing.assert_allclose(unspool.grad(f)(POINT), complex_step(f, POINT))


def test_a_broadcast_array_cannot_be_written_and_sees_writes() -> None:
    def f(x: Any) -> Any:
        u = np.copy(x)
        rows = np.broadcast_to(u, (2, 3))
        u[0] = 4.0 * u[1]
        with pytest.raises(ValueError, match="read-only"):
            rows[0] = 1.0
        return np.sum(rows * x)

    assert unspool.value_and_grad(f)(POINT)[0] == f(POINT.copy())
    np.testing.assert_allclose(unspool.grad(f)(POINT), complex_step(lambda z: _broadcast(z), POINT))


def _broadcast(z: Any) -> Any:
    return 2 * (4.0 * z[1] * z[0] + z[1] ** 2 + z[2] ** 2)


def test_axes_exchanged_and_diagonals_taken_by_einsum_are_views() -> None:
    def f(x: Any) -> Any:
        m = np.stack([x, 2 * x, 3 * x])
        np.einsum("ii->i", m)[...] = 5.0 * x
        np.einsum("ij->ji", m[:, :2])[0] *= x
        d = np.diagonal(m[:2, :2])
        m[0, 0] = x[2] ** 2
        return np.sum(m * m) + np.sum(d**3)

    assert unspool.value_and_grad(f)(POINT)[0] == pytest.approx(float(f(POINT.copy())), rel=1e-15)
    np.testing.assert_allclose(unspool.grad(f)(POINT), complex_step(f, POINT), rtol=1e-12)
    with pytest.raises(ValueError, match="lengths"):
        unspool.grad(lambda x: np.sum(np.einsum("ii->i", x[None])))(POINT)


# --- plain arrays that cannot take a traced value ---------------------------------------------------------------------
def _element(x: Any) -> Any:
    u = np.zeros(3)
    u[0] = x[0]
    return np.sum(u)


def _added_element(x: Any) -> Any:
    u = np.zeros((2, 2))
    u[0, 1] += x[0]
    return np.sum(u)


def _in_a_step(x: Any) -> Any:
    def step(i: int, s: Any) -> Any:
        u = np.zeros(3)
        u[0] = s[0]
        return s

    return np.sum(unspool.fori_loop(0, 2, step, x))


def _part_of_a_copy(x: Any) -> Any:
    u = POINT.copy()
    u[1:-1] += x[0]
    return np.sum(u)


@pytest.mark.parametrize("f", [_element, _added_element, _in_a_step, _part_of_a_copy])
def test_the_reason_arrives_and_not_numpys_words_about_a_sequence(f: Callable[..., Any]) -> None:
    for transform in (unspool.grad(f), lambda x: unspool.jvp(f, (x,), (x,))):
        with pytest.raises(DetachedError, match=r"unspool\.numpy\.zeros"):
            transform(POINT)


def test_errors_of_the_users_own_are_left_as_they_are() -> None:
    def f(x: Any) -> Any:
        try:
            float(x[0])
        except DetachedError as error:
            raise KeyError("mine") from error

    with pytest.raises(KeyError, match="mine"):
        unspool.grad(f)(POINT)

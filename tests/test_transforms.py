"""Transforms: known answers, every nesting, every shape of argument, and nothing of the user's is shared or changed."""

from __future__ import annotations

import contextlib
import threading
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import unspool
import unspool.numpy as unp
from tests.oracles import central, complex_step, same_bits, taylor_order
from unspool import grad, hessian, hvp, jacobian, jvp, stop_gradient, value_and_grad, vjp
from unspool.errors import InputError, ZeroGradientWarning

X = np.array([0.3, -0.2, 0.5])


# --- the known answers of the teaching documents ----------------------------------------------------------------------
def test_colah_e_is_a_plus_b_times_b_plus_one() -> None:
    value, gradient = value_and_grad(lambda a, b: (a + b) * (b + 1), argnums=(0, 1))(2.0, 1.0)
    assert value == 6.0
    assert gradient == (2.0, 5.0)
    assert jvp(lambda b: (2.0 + b) * (b + 1), (1.0,), (1.0,)) == (6.0, 5.0)


def test_baydin_log_plus_product_minus_sine() -> None:
    f = lambda x: np.log(x[0]) + x[0] * x[1] - np.sin(x[1])
    value, gradient = value_and_grad(f)(np.array([2.0, 5.0]))
    assert round(float(value), 3) == 11.652
    assert gradient.round(3).tolist() == [5.5, 1.716]
    assert jvp(f, (np.array([2.0, 5.0]),), (np.array([1.0, 0.0]),))[1] == 5.5


def test_cs231n_sum_times_z() -> None:
    value, gradient = value_and_grad(lambda x, y, z: (x + y) * z, argnums=(0, 1, 2))(-2.0, 5.0, -4.0)
    assert value == -12.0
    assert gradient == (-4.0, -4.0, 3.0)


def test_cs231n_sigmoid_neuron() -> None:
    def neuron(w: Any, x: Any) -> Any:
        return 1 / (1 + np.exp(-(w[0] * x[0] + w[1] * x[1] + w[2])))

    value, (dw, dx) = value_and_grad(neuron, argnums=(0, 1))(np.array([2.0, -3.0, -3.0]), np.array([-1.0, -2.0]))
    assert round(float(value), 2) == 0.73
    assert dw.round(2).tolist() == [-0.2, -0.39, 0.2]
    assert dx.round(2).tolist() == [0.39, -0.59]


def test_cs231n_staged_fraction() -> None:
    s = lambda t: 1 / (1 + np.exp(-t))
    f = lambda p: (p[0] + s(p[1])) / (s(p[0]) + (p[0] + p[1]) ** 2)
    p = np.array([3.0, -4.0])
    value, gradient = value_and_grad(f)(p)
    assert value == f(p)
    sigma, sigma_y = 1 / (1 + np.exp(-3.0)), 1 / (1 + np.exp(4.0))
    numerator, denominator = 3 + sigma_y, sigma + 1.0
    expected = [
        1 / denominator - numerator * (sigma * (1 - sigma) - 2) / denominator**2,
        sigma_y * (1 - sigma_y) / denominator + 2 * numerator / denominator**2,
    ]
    np.testing.assert_allclose(gradient, expected, rtol=1e-14)


# --- programs drawn at random: reverse against forward against differences --------------------------------------------
UNARY: list[Callable[[Any], Any]] = [
    np.sin,
    np.tanh,
    np.exp,
    lambda a: np.log(2.0 + a * a),
    lambda a: np.sqrt(1.0 + a * a),
    np.negative,
    lambda a: a**3,
    lambda a: 1.0 / (2.0 + np.cos(a)),
    lambda a: a[::-1],
    np.cumsum,
    lambda a: np.roll(a, 1),
    lambda a: a - np.mean(a),
    lambda a: np.concatenate([a[1:], a[:1]]),
    lambda a: np.where(a > 0.1, a, 0.5 * a),
    lambda a: a.reshape(3, 1)[:, 0],
    lambda a: a.astype(float),
    lambda a: a.copy(),
]
BINARY: list[Callable[[Any, Any], Any]] = [
    np.add,
    np.subtract,
    np.multiply,
    lambda a, b: a / (2.0 + b * b),
    np.maximum,
    np.hypot,
    np.arctan2,
    lambda a, b: a * np.sum(b),
    lambda a, b: np.outer(a, b) @ a,
    lambda a, b: np.stack([a, b]).sum(axis=0),
]
LINES = st.lists(
    st.tuples(st.booleans(), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=9
)


def _drawn(lines: Any) -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        known = [x, x * 0.5 + 0.3]
        for unary, which, a, b in lines:
            left, right = known[a % len(known)], known[b % len(known)]
            new = UNARY[which % len(UNARY)](left) if unary else BINARY[which % len(BINARY)](left, right)
            known.append(np.tanh(new) + 0.1 * new / (1.0 + new * new))
        return known[-1] * known[len(known) // 2] + known[-2]

    return f


@given(lines=LINES)
def test_reverse_equals_forward_equals_differences_for_random_programs(lines: Any) -> None:
    f = _drawn(lines)
    x, v, ct = np.array([0.31, -0.22, 0.53]), np.array([0.2, 0.7, -0.4]), np.array([1.1, -0.6, 0.8])
    value, tangent = jvp(f, (x,), (v,))
    out, pullback = vjp(f, x)
    assert same_bits(value, f(x))
    assert same_bits(out, f(x))
    (back,) = pullback(ct)
    assert np.sum(ct * tangent) == pytest.approx(np.sum(back * v), rel=1e-11, abs=1e-11)
    h = 1e-6
    np.testing.assert_allclose(tangent, (f(x + h * v) - f(x - h * v)) / (2 * h), rtol=1e-6, atol=1e-7)
    loss = lambda y: np.sum(ct * f(y))
    forward = jvp(grad(loss), (x,), (v,))[1]
    reverse = grad(lambda y: np.sum(grad(loss)(y) * v))(x)
    mixed = grad(lambda y: jvp(loss, (y,), (v,))[1])(x)
    np.testing.assert_allclose(reverse, forward, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(mixed, forward, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(forward, (grad(loss)(x + h * v) - grad(loss)(x - h * v)) / (2 * h), rtol=1e-5, atol=1e-6)


# --- nesting ----------------------------------------------------------------------------------------------------------
def test_derivatives_of_the_sixth_order_in_any_mixture_of_modes() -> None:
    forward = lambda f: lambda x: jvp(f, (x,), (1.0,))[1]
    for pattern in range(16):
        f: Any = lambda x: np.sin(2 * x) * x
        for bit in range(4):
            f = (grad if pattern >> bit & 1 else forward)(f)
        assert f(0.7) == pytest.approx(16 * 0.7 * np.sin(1.4) - 32 * np.cos(1.4), rel=1e-12)
    f = np.sin
    for _ in range(6):
        f = grad(f)
    assert f(0.7) == pytest.approx(-np.sin(0.7), rel=1e-13)


def test_perturbations_of_different_levels_are_not_confused() -> None:
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(1.0) == 1.0
    assert jvp(lambda x: x * jvp(lambda y: x + y, (1.0,), (1.0,))[1], (1.0,), (1.0,))[1] == 1.0
    assert grad(lambda x: x * jvp(lambda y: x * y, (2.0,), (1.0,))[1])(3.0) == 6.0
    assert jvp(lambda x: x * grad(lambda y: x * y)(2.0), (3.0,), (1.0,))[1] == 6.0
    assert grad(lambda x: grad(lambda y: grad(lambda z: x * y * z)(x * y))(x))(3.0) == 1.0
    assert grad(lambda x: value_and_grad(lambda y: x * y**2)(x)[0])(2.0) == pytest.approx(12.0)


def test_inner_gradients_of_values_from_outside_mix_lazy_and_traced_cotangents() -> None:
    x = np.arange(3.0)
    for f in (
        lambda x, c: np.sum(x[1:]) + np.sum(x * c),
        lambda x, c: np.sum(x * c) + np.sum(x[1:]) + x[0],
        lambda x, c: np.sum(x[1:]) + np.sum(x[:1] * c[0]) + x[[0, 0]].sum(),
        lambda x, c: np.sum(x * c) * np.sum(x[::2]),
    ):
        expected = central(lambda c, f=f: np.sum(np.cos(np.arange(3)) * complex_step(lambda y: f(y, c), x)), X)
        found = grad(lambda c, f=f: np.sum(np.cos(np.arange(3)) * grad(lambda y: f(y, c))(x)))(X)
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


def test_writes_in_an_inner_function_stay_there_or_reach_the_outer_array() -> None:
    def f(x: Any) -> Any:
        def inner(y: Any) -> Any:
            w = unp.zeros(3)
            w[0] = y * x[0]
            w[1:] = x[1:] * y
            w *= w
            return np.sum(w)

        u = x * 2.0
        slope = grad(inner)(x[0] * 1.0)
        u[1] = slope
        return np.sum(u * x)

    plain = lambda x: 2 * x[0] ** 2 + 2 * x[2] ** 2 + x[1] * 2 * x[0] * np.sum(x * x)
    np.testing.assert_allclose(grad(f)(X), complex_step(plain, X), rtol=1e-13)


# --- matrices ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", ["forward", "reverse", None])
def test_jacobian_of_nests_and_shapes(mode: Any) -> None:
    a, b = np.arange(6.0).reshape(2, 3) / 7, {"s": 0.5, "v": np.array([1.0, 2.0])}

    def f(a: Any, b: Any) -> Any:
        return {"m": a.T @ b["v"] * b["s"], "t": (np.sum(a) ** 2, None)}

    found = jacobian(f, argnums=(0, 1), mode=mode)(a, b)
    assert found["m"][0].shape == (3, 2, 3)
    assert found["m"][1]["v"].shape == (3, 2)
    assert found["m"][1]["s"].shape == (3,)
    assert found["t"][0][0].shape == (2, 3)
    assert found["t"][1] is None
    np.testing.assert_allclose(found["m"][1]["v"], 0.5 * a.T)
    np.testing.assert_allclose(found["m"][0], np.einsum("jk,i->kij", np.eye(3), b["v"]) * 0.5)
    np.testing.assert_allclose(found["t"][0][0], 2 * a.sum())
    single = jacobian(f, argnums=1, mode=mode)(a, b)
    assert same_bits(single["m"]["v"], found["m"][1]["v"])


@pytest.mark.parametrize("mode", ["forward", "reverse", None])
def test_jacobian_with_no_entries_has_its_shape(mode: Any) -> None:
    assert jacobian(lambda x: np.zeros(0) * np.sum(x), mode=mode)(X).shape == (0, 3)
    assert jacobian(lambda x: X * 1.0 + np.sum(x), mode=mode)(np.zeros((0, 2))).shape == (3, 0, 2)
    assert jacobian(lambda x: 3.0 * x, mode=mode)(2.0).shape == ()


def test_hessian_is_symmetric_and_equals_hvp_on_units() -> None:
    f = lambda x: np.sum(np.sin(x) * np.cumsum(x**2)) * x[0]
    matrix = hessian(f)(X)
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-12)
    np.testing.assert_allclose(np.stack([hvp(f)(X, e) for e in np.eye(3)]), matrix, rtol=1e-12)
    np.testing.assert_allclose(jacobian(jacobian(f, mode="reverse"), mode="reverse")(X), matrix, rtol=1e-12)
    np.testing.assert_allclose(
        matrix, np.stack([central(lambda z, k=k: grad(f)(z)[k], X) for k in range(3)]), rtol=1e-7
    )
    blocks = hessian(lambda a, b: np.sum(a * b**2), argnums=(0, 1))(X, X + 1)
    np.testing.assert_allclose(blocks[0][1], np.diag(2 * (X + 1)))
    assert not blocks[0][0].any()


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(InputError, match='"forward", "reverse"'):
        jacobian(np.sin, mode="sideways")


# --- arguments and results --------------------------------------------------------------------------------------------
@dataclass
class Model:
    w: Any
    name: Any = None


Pair = namedtuple("Pair", ["a", "b"])


def test_arguments_are_any_nest_and_the_gradient_has_it_too() -> None:
    nest = {"model": Model(np.array([1.0, 2.0])), "pair": Pair([3.0, None], (np.float32(0.5),)), "none": None}

    def f(n: Any) -> Any:
        assert n["none"] is None
        return np.sum(n["model"].w ** 2) * n["pair"].a[0] + n["pair"].b[0]

    gradient = grad(f)(nest)
    assert gradient["model"].w.tolist() == [6.0, 12.0]
    assert isinstance(gradient["model"], Model)
    assert isinstance(gradient["pair"], Pair)
    assert gradient["pair"].a == [5.0, None]
    assert gradient["pair"].b[0].dtype == np.float32
    assert gradient["none"] is None


def test_argnums_choose_and_aux_passes_through() -> None:
    f = lambda x, y, *, k: (x * y**2 * k, {"aux": x + 1, "text": "t"})
    assert value_and_grad(f, argnums=1, has_aux=True)(2.0, 3.0, k=2.0) == ((36.0, {"aux": 3.0, "text": "t"}), 24.0)
    assert grad(f, argnums=(1, 0), has_aux=True)(2.0, 3.0, k=1.0) == ((12.0, 9.0), {"aux": 3.0, "text": "t"})
    assert grad(f, argnums=(-1,), has_aux=True)(2.0, 3.0, k=1.0)[0] == (12.0,)
    out, pullback, aux = vjp(lambda x: (x * 2, x + 1), 3.0, has_aux=True)
    assert (out, pullback(1.0), aux) == (6.0, (2.0,), 4.0)
    assert jvp(lambda x: (x * 2, x + 1), (3.0,), (1.0,), has_aux=True) == (6.0, 2.0, 4.0)


@pytest.mark.parametrize("transform", ["grad", "vjp", "jvp"])
def test_aux_that_is_missing_is_said(transform: str) -> None:
    with pytest.raises(InputError, match="has_aux=True expects"):
        {
            "grad": lambda f: grad(f, has_aux=True)(1.0),
            "vjp": lambda f: vjp(f, 1.0, has_aux=True),
            "jvp": lambda f: jvp(f, (1.0,), (1.0,), has_aux=True),
        }[transform](lambda x: x * 2)


@pytest.mark.parametrize("argnums", [1, -2, (0, 3), "x", 0.5, (0, 0), (0, -1)])
def test_argnums_that_name_no_argument_or_one_twice_are_refused(argnums: Any) -> None:
    with pytest.raises((InputError, TypeError)) as caught:
        grad(lambda x: x, argnums=argnums)(1.0)
    assert "argnums" in str(caught.value) or isinstance(argnums, float)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (3, "i64"),
        (True, "b"),
        (np.arange(3), r"i64\[3\]"),
        (np.array([True]), r"\[1\]"),
        (np.int32(3), "i32"),
        ("text", "type str"),
        (np.array([1.0, None]), "dtype object"),
        (np.array(["a"]), "dtype <U1"),
        (object(), "type object"),
        (np.datetime64("2020-01-01"), "datetime64"),
        ({1.0, 2.0}, "type set"),
    ],
)
def test_what_cannot_be_differentiated_with_respect_to_is_refused_by_name_and_type(bad: Any, says: str) -> None:
    calls: list[int] = []

    def f(n: Any) -> Any:
        calls.append(1)
        return 1.0

    for transform in (grad(f), lambda x: vjp(f, x), lambda x: jvp(f, (x,), (x,)), jacobian(f), hessian(f)):
        with pytest.raises(InputError, match=says) as caught:
            transform({"deep": [1.0, bad]})
        assert "['deep'][1]" in str(caught.value)
    assert calls == []


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (lambda x: x, r"array f64\[3\].*np\.sum"),
        (lambda x: x[:1], r"f64\[1\]"),
        (lambda x: x[0] * 1j, "complex"),
        (lambda x: None, "None"),
        (lambda x: (x[0], x[1]), "tuple"),
        (lambda x: [x[0]], "list"),
        (lambda x: {"loss": x[0]}, "dict"),
        (lambda x: "low", "str"),
        (lambda x: lambda: x[0], "function"),
    ],
)
def test_a_loss_that_is_not_one_real_number_is_refused(loss: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        grad(loss)(X)


def test_a_loss_that_does_not_depend_on_the_argument_has_a_gradient_of_zero() -> None:
    with pytest.warns(ZeroGradientWarning, match="<lambda> does not depend on argument 0: the gradient is zero"):
        assert grad(lambda x: 3.0)(X).tolist() == [0.0, 0.0, 0.0]
    with pytest.warns(ZeroGradientWarning, match="does not depend on the arguments 0, 2"):
        assert grad(lambda x, y, z: y, argnums=(0, 2))(1.0, 2.0, 3.0) == (0.0, 0.0)
    assert value_and_grad(lambda x, y: y * 2, argnums=(0, 1))(2.0, 3.0) == (6.0, (0.0, 2.0))
    assert jvp(lambda x: (3.0, x), (1.0,), (1.0,))[1] == (0.0, 1.0)
    assert jacobian(lambda x: np.ones(2))(X).tolist() == [[0.0] * 3] * 2
    assert vjp(lambda x: {"a": 1.0, "b": x}, 2.0)[1]({"a": 5.0, "b": 1.0}) == (1.0,)
    with pytest.warns(ZeroGradientWarning, match="rounding, comparisons and counts carry no derivative"):
        assert grad(lambda x: np.sum(np.round(x)) + np.argmax(x))(X).tolist() == [0.0, 0.0, 0.0]


class Box:
    def __init__(self, inside: Any) -> None:
        self.inside = inside


@pytest.mark.parametrize("make", [Box, lambda x: {"deep": Box(x)}, str, lambda x: (v for v in x)])
def test_results_in_which_a_derivative_would_hide_are_refused(make: Any) -> None:
    for transform in (lambda f: vjp(f, X), lambda f: jvp(f, (X,), (X,)), lambda f: jacobian(f)(X)):
        with pytest.raises(InputError, match="derivative would be lost"):
            transform(make)


@pytest.mark.parametrize(
    ("ct", "says"),
    [
        (np.ones(2), r"f64\[2\]; expected f64\[3\]"),
        (1.0, r"f64\[\]; expected f64\[3\]"),
        (np.ones(3) * 1j, "c128"),
        ((np.ones(3),), "structure"),
        (None, "structure"),
        (np.array(["a", "b", "c"]), "expected"),
    ],
)
def test_a_cotangent_or_tangent_of_another_kind_is_refused(ct: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        vjp(np.sin, X)[1](ct)
    with pytest.raises(InputError, match=says):
        jvp(np.sin, (X,), (ct,))


def test_jvp_wants_two_tuples() -> None:
    with pytest.raises(InputError, match="two tuples"):
        jvp(np.sin, X, X)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="structure"):
        jvp(lambda x, y: x, (1.0, 2.0), (1.0,))


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float32, np.float64, np.longdouble, np.complex64, np.complex128, ">f8"]
)
def test_the_gradient_has_the_dtype_of_the_argument(dtype: Any) -> None:
    x = np.array([0.5, 0.25], dtype)
    native = np.dtype(dtype).newbyteorder("=")
    gradient = grad(lambda u: np.sum(np.real(u * u * 2.0)))(x)
    assert gradient.dtype == native
    np.testing.assert_allclose(gradient, 4.0 * x)
    both = grad(lambda u, v: np.sum(np.real(u * v)), argnums=(0, 1))(x, np.array([1.0, 2.0], np.float32))
    assert (both[0].dtype, both[1].dtype) == (native, np.float32)


def test_the_gradient_of_a_real_loss_in_complex_numbers_pairs_without_a_conjugate() -> None:
    z = np.array([0.3 + 0.7j, -0.4 + 0.1j])
    f = lambda z: np.sum(np.abs(z) ** 2 * np.real(z**2)) + np.imag(np.prod(z))
    gradient = grad(f)(z)
    h = 1e-6
    for direction in (np.array([1.0, 0]), np.array([1j, 0]), np.array([0, 0.3 - 0.8j])):
        slope = (f(z + h * direction) - f(z - h * direction)) / (2 * h)
        assert np.sum(np.real(gradient * direction)) == pytest.approx(slope, rel=1e-8)


@pytest.mark.parametrize(
    "x",
    [
        np.linspace(0, 1, 24).reshape(4, 6)[::2, ::-3],
        np.asfortranarray(np.linspace(0, 1, 6).reshape(2, 3)),
        np.broadcast_to(np.array([0.5]), (2, 3)),
        np.zeros((0, 3)),
        np.array(0.5),
        np.linspace(0, 1, 6).reshape(1, 6).T,
    ],
)
def test_any_memory_layout_and_size_is_an_argument(x: np.ndarray) -> None:
    before = x.copy()
    gradient = grad(lambda u: np.sum(np.sin(u) * u))(x)
    np.testing.assert_allclose(gradient, np.cos(x) * x + np.sin(x), rtol=1e-14)
    assert np.shape(gradient) == x.shape
    assert same_bits(before, x)


def test_nan_and_infinity_pass_through_where_they_are() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 2.0])
    with np.errstate(invalid="ignore"):
        gradient = grad(lambda u: np.sum(u * u + 1.0))(x)
    np.testing.assert_array_equal(gradient, [np.nan, np.inf, -np.inf, 4.0])


# --- ownership --------------------------------------------------------------------------------------------------------
def test_arrays_changed_between_forward_and_backward_do_not_change_the_gradient() -> None:
    x, w, numbers = X.copy(), np.array([1.0, 2.0, 3.0]), [4.0, 5.0, 6.0]
    big, strided = np.ones(2000), np.ones(4000)[::2]
    mask, index, alien = (
        np.array([True, False, True]),
        np.array([0, 0, 2]),
        np.ones(3).view(type("A", (np.ndarray,), {})),
    )

    def f(u: Any) -> Any:
        made = unp.asarray(w)
        y = u * w + u * numbers + u * made * alien
        z = np.sum(u[0] * big * strided) + np.sum(u[mask] ** 2) + np.sum(u[index] ** 3) + np.sum(np.where(mask, u, 1.0))
        return y * z

    plain = lambda u: f(u.astype(complex))
    expected = np.stack([complex_step(lambda u, k=k: plain(u)[k], X) for k in range(3)])
    out, pullback = vjp(f, x)
    kept = out.copy()
    for array in (x, w, big, strided, alien, out):
        array[:] = 77.0
    numbers[:] = [7.0] * 3
    mask[:] = False
    index[:] = 1
    cts = [np.eye(3)[k] for k in range(3)]
    rows = [pullback(ct)[0] for ct in cts]
    np.testing.assert_allclose(np.stack(rows), expected, rtol=1e-12)
    assert kept.shape == (3,)
    rows[0][:] = 55.0
    cts[0][:] = 33.0
    np.testing.assert_allclose(pullback(np.eye(3)[0])[0], expected[0], rtol=1e-12)


def test_nothing_that_comes_out_is_shared_with_what_went_in_or_with_each_other() -> None:
    ct, v, x = np.ones(3), np.ones(3), X.copy()
    out, pullback = vjp(lambda a, b: (a, a + b, b[:]), x, x)
    (value, aux), gradient = value_and_grad(lambda a: (np.sum(a), a), has_aux=True)(x)
    results = [x, ct, v, aux, gradient, *out, *pullback((ct, ct, ct)), *jvp(lambda a: a, (x,), (v,))]
    results += grad(lambda a, b: np.sum(a + b), argnums=(0, 1))(x, x)
    results += value_and_grad(lambda a: unspool.fori_loop(0, 2, lambda i, u: u, a)[0])(x)[1:]
    for k, one in enumerate(results):
        assert not any(np.shares_memory(one, other) for other in results[k + 1 :])
    assert value == np.sum(x)


def test_stop_gradient_is_a_constant_copy() -> None:
    assert grad(lambda x: np.sum(x * stop_gradient(x)))(X).tolist() == X.tolist()
    assert grad(lambda x: stop_gradient({"a": [x]})["a"][0] * x)(3.0) == 3.0
    assert type(stop_gradient(2.0)) is float

    def f(x: Any) -> Any:
        plain = stop_gradient(x)
        plain[:] = 100.0
        assert isinstance(plain, np.ndarray)
        return np.sum(x * x)

    np.testing.assert_allclose(grad(f)(X), 2 * X)
    assert grad(grad(lambda x: x * stop_gradient(x) * x))(3.0) == 6.0


# --- at work ----------------------------------------------------------------------------------------------------------
def test_taylor_remainders_of_a_simulation_fall_with_the_square() -> None:
    def f(u: Any) -> Any:
        for _ in range(30):
            u = u + 0.05 * (np.sin(u) * np.roll(u, 1) - u**3)
        return np.sum(u**2)

    u = np.linspace(-1, 1, 7)
    assert taylor_order(f, grad(f)(u), u) > 1.95


def test_eight_threads_give_what_one_gives() -> None:
    def job(seed: int) -> Any:
        x = np.random.default_rng(seed).normal(size=5)

        def f(u: Any) -> Any:
            w = np.zeros_like(u)
            w[1:] = u[:-1] * u[1:]
            end = unspool.fori_loop(0, 6, lambda i, v: np.sin(v) + 0.1 * w, u, policy="revolve-2")
            return np.sum(end * w)

        with unspool.observe() as log:
            result = [grad(f)(x), hvp(f)(x, x), jacobian(lambda u: np.cumsum(u * np.sum(u)))(x)]
        return [*result, np.array(log[0].steps)]

    expected = [job(seed) for seed in range(8)]
    found: list[Any] = [None] * 8
    barrier = threading.Barrier(8)

    def run(seed: int) -> None:
        barrier.wait()
        for _ in range(3):
            found[seed] = job(seed)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same_bits(one, other) for one, other in zip(found, expected, strict=True))


def test_an_error_in_f_passes_through_and_nothing_stays_open() -> None:
    def broken(x: Any) -> Any:
        np.sin(x)
        raise KeyError("mine")

    for transform in (grad(broken), lambda x: vjp(broken, x), lambda x: jvp(broken, (x,), (x,)), hessian(broken)):
        with pytest.raises(KeyError, match="mine"):
            transform(X)
        assert grad(lambda x: x * x)(3.0) == 6.0
    assert isinstance(unp.zeros(3), np.ndarray)

    def caught(x: Any) -> Any:
        with contextlib.suppress(KeyError):
            grad(broken)(x)
        return np.sum(x * x)

    np.testing.assert_allclose(grad(caught)(X), 2 * X)


def test_transforms_keep_the_name_and_take_keywords() -> None:
    def loss(x: Any, *, k: Any = 1.0) -> Any:
        """Doc."""
        return k * x * x

    for transform in (grad, value_and_grad, jacobian, hessian, hvp):
        assert transform(loss).__name__ == "loss"
    assert grad(loss)(3.0, k=2.0) == 12.0
    assert hvp(loss)(3.0, 1.0, k=2.0) == 4.0

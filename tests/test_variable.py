"""A traced array behaves as NumPy's own: values bit for bit, aliasing included, and every write has its derivative."""

from __future__ import annotations

import copy
import math
import operator
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unspool
import unspool.numpy as unp
from tests.oracles import central, complex_step, same_bits
from unspool.errors import ClosedError, DetachedError, UnsupportedError

SHAPE = (3, 4)
Program = list[tuple[Callable[..., Any], str]]


# --- random sequences of reads, writes and views: NumPy's values, and the complex step's gradient ---------------------
def _views(v: Any) -> dict[str, Callable[[], Any]]:
    n = v.ndim
    found: dict[str, Callable[[], Any]] = {
        "whole": lambda: v[...],
        "transpose": lambda: v.T,
        "reverse": lambda: v[::-1] if n else v[...],
        "every other": lambda: v[::2] if n else v[...],
        "ravel": v.ravel,
        "flat reshape": lambda: v.reshape(-1),
        "new axis": lambda: v[None] if n < 4 else v[...],
        "squeeze": lambda: np.squeeze(v),
        "swap": lambda: np.swapaxes(v, 0, -1) if n else v[...],
        "fortran reshape": lambda: v.reshape(v.shape[::-1], order="F"),
    }
    if n and v.shape[0] > 1:
        found["tail"] = lambda: v[1:]
        found["head"] = lambda: v[:-1]
        found["row"] = lambda: v[1, ...]
        found["split"] = lambda: np.array_split(v, 2)[0]
    if n > 1 and v.shape[-1] > 1:
        found["columns"] = lambda: v[..., 1:]
        found["column"] = lambda: v[..., 0]
    return found


def _writes(v: Any, other: Any, c: float) -> dict[str, Callable[[], Any]]:
    def set_all() -> None:
        v[...] = c * other_sum

    def add_part() -> None:
        v[...] += c

    def mask() -> None:
        v[np.real(v) > 0] = c

    def mask_times() -> None:
        v[np.real(v) > 0] *= 2.0

    def fancy() -> None:
        if v.ndim and v.shape[0]:
            v[[0, -1, 0]] = c * v[[-1, 0, -1]]

    def shift() -> None:
        if v.ndim and v.shape[0] > 1:
            v[1:] += 0.5 * v[:-1]

    def overlap() -> None:
        if v.ndim and v.shape[0] > 1:
            v[:-1] = v[1:]

    def out() -> None:
        np.multiply(v, c, out=v)

    def out_add() -> None:
        np.add(v, other_sum, out=v)

    def out_where() -> None:
        np.sin(v * 0.5, out=v[...])

    other_sum = np.sum(other) * 0.25
    return {
        "set": set_all,
        "add part": add_part,
        "mask": mask,
        "mask times": mask_times,
        "fancy": fancy,
        "shift": shift,
        "overlap": overlap,
        "out": out,
        "out add": out_add,
        "out view": out_where,
        "fill": lambda: v.fill(c),
        "iadd": lambda: operator.iadd(v, c),
        "isub": lambda: operator.isub(v, other_sum),
        "imul": lambda: operator.imul(v, c),
        "idiv": lambda: operator.itruediv(v, 1.5),
        "imul other": lambda: operator.imul(v, np.cos(other_sum)),
    }


VIEWS = list(_views(np.zeros((2, 2))))
WRITES = list(_writes(np.zeros((2, 2)), 0.0, 1.0))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("view"), st.integers(0, 9), st.sampled_from(VIEWS), st.just(0)),
        st.tuples(st.just("write"), st.integers(0, 9), st.sampled_from(WRITES), st.integers(0, 9)),
        st.tuples(st.just("new"), st.integers(0, 9), st.sampled_from(["copy", "sin", "fresh"]), st.just(0)),
    ),
    min_size=3,
    max_size=12,
)


def _driven(steps: Any, u: Any) -> list[Any]:
    """Carry the steps out on whatever u is; return everything that is alive in the end."""
    alive = [u]
    for number, (kind, which, what, other) in enumerate(steps):
        v = alive[which % len(alive)]
        if kind == "view":
            made = _views(v).get(what)
            if made is not None:
                alive.append(made())
        elif kind == "new":
            alive.append(
                {"copy": lambda v=v: v.copy(), "sin": lambda v=v: np.sin(v) + v, "fresh": lambda v=v: np.zeros_like(v)}[
                    what
                ]()
            )
        elif np.ndim(v):  # NumPy's scalars cannot be written
            _writes(v, alive[other % len(alive)], 0.5 + 0.125 * number)[what]()
    return alive


def _weighed(alive: list[Any]) -> Any:
    total: Any = 0.0
    for k, v in enumerate(alive):
        if v.size:
            weights = np.cos(np.arange(v.size).reshape(v.shape) + k)
            total = total + np.sum(weights * v * v)
    return total


@pytest.mark.filterwarnings("ignore::unspool.errors.ZeroGradientWarning")
@settings(max_examples=250)
@given(steps=STEPS, order=st.sampled_from("CF"))
def test_any_sequence_of_views_and_writes_has_numpys_values_and_the_gradient_of_the_complex_step(
    steps: Any, order: str
) -> None:
    start = np.array(np.linspace(-1.0, 1.3, 12).reshape(SHAPE), order=order)  # type: ignore[call-overload]
    plain = _driven(steps, start.copy(order="K"))
    values: list[Any] = []

    def loss(u: Any) -> Any:
        alive = _driven(steps, u)
        values.extend(unspool.stop_gradient(alive))
        return _weighed(alive)

    gradient = unspool.grad(loss)(start)
    assert len(values) == len(plain)
    for traced, expected in zip(values, plain, strict=True):
        assert traced.shape == np.shape(expected)
        np.testing.assert_array_equal(traced, expected)
    expected_gradient = complex_step(lambda z: _weighed(_driven(steps, z.copy(order="K"))), start)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-9, atol=1e-9)
    v = np.cos(np.arange(12.0)).reshape(SHAPE)
    _, tangent = unspool.jvp(lambda u: _weighed(_driven(steps, u)), (start,), (v,))
    assert tangent == pytest.approx(float(np.sum(expected_gradient * v)), rel=1e-9, abs=1e-9)


@pytest.mark.filterwarnings("ignore::unspool.errors.ZeroGradientWarning")
@settings(max_examples=40)
@given(steps=STEPS)
def test_any_sequence_of_views_and_writes_inside_a_loop_has_the_same_gradient_under_every_policy(steps: Any) -> None:
    start = np.linspace(-1.0, 1.3, 12).reshape(SHAPE)

    def run(u: Any, n: int, policy: Any) -> Any:
        def step(i: int, u: Any) -> Any:
            alive = _driven(steps, u)
            return np.tanh(alive[0] + 0.125 * sum(np.sum(a) for a in alive))

        if policy is None:
            for i in range(n):
                u = step(i, u.copy())
            return u
        return unspool.fori_loop(0, n, step, u, policy=policy)

    expected = complex_step(lambda z: np.sum(run(z, 3, None) ** 2), start)
    gradients = [
        unspool.grad(lambda u, p=p: np.sum(run(u, 3, p) ** 2))(start) for p in ("none", "every-1", "revolve-1")
    ]
    np.testing.assert_allclose(gradients[0], expected, rtol=1e-8, atol=1e-9)
    assert same_bits(gradients[0], gradients[1])
    assert same_bits(gradients[0], gradients[2])


# --- aliasing, case by case -------------------------------------------------------------------------------------------
def _written_through_slice(u: Any) -> Any:
    v = u[1:-1]
    v *= 2
    return u


def _written_through_views_of_views(u: Any) -> Any:
    a = u.reshape(2, 3)
    b = a.T
    c = b[0]
    c *= 10
    b[1, 1] = u[5] * 4
    a += 1
    return u


def _old_view_sees_the_base(u: Any) -> Any:
    v = u[1:]
    u[...] = u * 2
    v[0] = 5.0 * u[-1]
    u *= 3
    return np.concatenate([u, v])


def _rows_while_iterating(u: Any) -> Any:
    rows = u.reshape(3, 2)
    for k, row in enumerate(rows):
        row *= k + u[0]
    return u


def _reshape_of_a_strided_view_is_a_copy(u: Any) -> Any:
    v = u.reshape(2, 3)[:, :2]
    v *= 2
    w = v.reshape(-1)
    w *= 10
    return np.concatenate([u, w])


def _swapped(u: Any) -> Any:
    u[[0, 2]], u[1] = u[[2, 0]], u[0]
    return u


def _scalars_are_no_views(u: Any) -> Any:
    s = u[0]
    s += 10
    t = u[1:2]
    t += 10
    z = u[2, ...]
    z += 7
    return u * s


def _names_are_no_copies(u: Any) -> Any:
    v = u
    v += 1
    w = +u
    w += 100
    c = u.copy()
    c *= 5
    return u + 0.1 * c * w


def _split_and_stacked(u: Any) -> Any:
    a, b = np.split(u, 2)
    a *= 3
    b[0] = a[1] * 7
    d = np.stack([a, b])
    d[0] += 5
    return u * d.ravel()


def _fortran_added(u: Any) -> Any:
    m = u.reshape(2, 3).copy()
    m += np.asfortranarray(np.ones((2, 3)))
    w = m.reshape(-1)
    w *= 10
    return m * m


def _all_augmented(u: Any) -> Any:
    u **= 2
    u -= 1
    u /= 4
    u *= u[::-1]
    u @= np.eye(6)
    return u


def _ufunc_out(u: Any) -> Any:
    np.add(u[1:], u[:-1], out=u[1:])
    np.multiply(u, 2, out=u)
    np.sum(u[None], axis=0, out=u)
    np.clip(u, -1, 3.7, out=u)
    u.cumsum(out=u)
    return u


def _filled_array(u: Any) -> Any:
    w = unp.zeros(6)
    w[0] = u[0]
    for k in range(1, 6):
        w[k] = w[k - 1] * u[k] + 1
    return w


def _filled_likeness(u: Any) -> Any:
    w = np.zeros_like(u)
    w[1:-1] = u[2:] - 2 * u[1:-1] + u[:-2]
    w[[0, -1]] = u[0] * u[-1]
    return w


def _mask_written(u: Any) -> Any:
    u[u > 0.2] = u[0] * 3
    u[u < 0] *= u[1]
    u[np.zeros(6, bool)] = 100.0
    return u


CASES = [
    _written_through_slice,
    _written_through_views_of_views,
    _old_view_sees_the_base,
    _rows_while_iterating,
    _reshape_of_a_strided_view_is_a_copy,
    _swapped,
    _scalars_are_no_views,
    _names_are_no_copies,
    _split_and_stacked,
    _fortran_added,
    _all_augmented,
    _ufunc_out,
    _filled_array,
    _filled_likeness,
    _mask_written,
]
POINT = np.array([0.5, -0.7, 0.3, 0.9, -0.2, 0.6])


@pytest.mark.parametrize("f", CASES)
def test_writes_alias_as_in_numpy(f: Callable[..., Any]) -> None:
    expected = f(POINT.copy())
    value, pullback = unspool.vjp(f, POINT)
    np.testing.assert_array_equal(value, expected)
    ct = np.cos(np.arange(expected.size)).reshape(expected.shape)
    gradient = pullback(ct)[0]
    if f is not _ufunc_out:
        np.testing.assert_allclose(
            gradient, complex_step(lambda z: np.sum(ct * _complex_case(f, z)), POINT), rtol=1e-12, atol=1e-12
        )
    np.testing.assert_allclose(gradient, central(lambda z: np.sum(ct * f(z.copy())), POINT), rtol=1e-6, atol=1e-6)
    v = np.sin(1.0 + np.arange(6))
    tangent = unspool.jvp(f, (POINT,), (v,))[1]
    assert np.sum(ct * tangent) == pytest.approx(np.sum(gradient * v), rel=1e-12)


def _complex_case(f: Callable[..., Any], z: np.ndarray) -> Any:
    if f is _mask_written:
        z = z.copy()
        z[z.real > 0.2] = z[0] * 3
        z[z.real < 0] *= z[1]
        return z
    if f is _filled_array:
        w = np.zeros(6, complex)
        w[0] = z[0]
        for k in range(1, 6):
            w[k] = w[k - 1] * z[k] + 1
        return w
    return f(z.copy())


@pytest.mark.parametrize("f", CASES)
def test_writes_differentiate_twice(f: Callable[..., Any]) -> None:
    def loss(u: Any) -> Any:
        return np.sum(np.sin(f(u * 1.0)))

    v = np.sin(1.0 + np.arange(6))
    over = unspool.hvp(loss)(POINT, v)
    h = 1e-6
    right, left = (unspool.grad(loss)(POINT + s * h * v) for s in (1, -1))
    np.testing.assert_allclose(over, (right - left) / (2 * h), rtol=1e-6, atol=1e-6)
    reverse = unspool.grad(lambda u: np.sum(unspool.grad(loss)(u) * v))(POINT)
    np.testing.assert_allclose(reverse, over, rtol=1e-12, atol=1e-12)


def test_a_write_through_parts_of_complex_numbers_reaches_the_array() -> None:
    def f(u: Any) -> Any:
        z = u * (1 + 2j)
        z.real[:] = u**2
        z.imag[0] = 3.0 * u[1]
        part = z.real
        part *= 2
        return np.sum(z.real * z.imag)

    x = np.array([0.3, 0.4, 0.5])
    assert f(x.copy()) == pytest.approx(float(unspool.value_and_grad(f)(x)[0]), rel=1e-15)
    expected = np.array([2 * 2 * 0.3 * 3 * 0.4, 2 * 0.3**2 * 3 + 12 * 0.4**2, 12 * 0.5**2])
    np.testing.assert_allclose(unspool.grad(f)(x), expected, rtol=1e-14)


def test_a_write_in_a_function_leaves_the_callers_array_alone() -> None:
    x = np.ones(3)

    def f(u: Any) -> Any:
        u *= 3
        return np.sum(u * u)

    assert unspool.grad(f)(x).tolist() == [18.0, 18.0, 18.0]
    unspool.vjp(f, x)
    unspool.jvp(f, (x,), (x,))
    np.testing.assert_allclose(unspool.jacobian(f)(x), 18.0)
    np.testing.assert_allclose(unspool.jacobian(lambda u: np.stack([f(u)]))(x), 18.0)
    np.testing.assert_allclose(unspool.hessian(f)(x), 18 * np.eye(3))
    assert x.tolist() == [1.0, 1.0, 1.0]


def test_an_in_place_write_of_another_kind_or_shape_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="same_kind"):
        unspool.grad(lambda u: np.sum(operator.iadd(u, 1j)))(POINT)
    with pytest.raises(ValueError, match="cannot be written"):
        unspool.grad(lambda u: np.sum(operator.iadd(u[:1], u)))(POINT)
    with pytest.raises(UnsupportedError, match="cannot hold it"):
        unspool.grad(lambda u: operator.setitem(u, 0, 1j))(POINT)
    with pytest.raises(ValueError, match="broadcast"):
        unspool.grad(lambda u: operator.setitem(u, slice(0, 2), u))(POINT)
    with pytest.raises(IndexError):
        unspool.grad(lambda u: u[6])(POINT)


# --- nothing is detached without a word -------------------------------------------------------------------------------
DETACHING: dict[str, Callable[[Any], Any]] = {
    "float": lambda x: float(x[0]),
    "int": lambda x: int(x[0]),
    "complex": lambda x: complex(x[0]),
    "round to int": lambda x: range(x[0]),
    "index": lambda x: [1, 2, 3][x[0]],
    "slice": lambda x: POINT[: x[0]],
    "math.sin": lambda x: math.sin(x[0]),
    "math.sqrt": lambda x: math.sqrt(abs(x[0])),
    "math.floor": lambda x: math.floor(x[0]),
    "np.array": np.array,
    "np.asarray": np.asarray,
    "np.array of list": lambda x: np.array([x[0], x[1]]),
    "np.array of rows": lambda x: np.array([x, x]),
    "np.array with a number": lambda x: np.array([x[0], 1.0]),
    "np.float64": lambda x: np.float64(x[0]),
    "np.ascontiguousarray": np.ascontiguousarray,
    "np.fromiter": lambda x: np.fromiter(x, float),
    "item": lambda x: x[0].item(),
    "tolist": lambda x: x.tolist(),
    "pickle": pickle.dumps,
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "traced index": lambda x: POINT[x[0]],
    "traced key": lambda x: x[x],
    "bytes": bytes,
}


@pytest.mark.parametrize("name", DETACHING)
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_whatever_would_detach_raises(name: str, mode: str) -> None:
    f = DETACHING[name]
    with pytest.raises((DetachedError, IndexError, ValueError)) as caught:
        unspool.grad(lambda x: np.sum(f(x)))(POINT) if mode == "reverse" else unspool.jvp(f, (POINT,), (POINT,))
    error = caught.value if isinstance(caught.value, DetachedError | IndexError) else caught.value.__cause__
    assert re.search(r"derivative|only integers", str(error))


def _set_plain(x: Any) -> Any:
    u = np.zeros(6)
    u[0] = x[0]
    return np.sum(u)


def _set_plain_slice(x: Any) -> Any:
    u = np.zeros(6)
    u[:] = x
    return np.sum(u)


def _set_plain_mask(x: Any) -> Any:
    u = np.zeros(6)
    u[u == 0] = x
    return np.sum(u)


def _add_plain(x: Any) -> Any:
    u = np.zeros(6)
    u += x
    return np.sum(u)


def _out_plain(x: Any) -> Any:
    u = np.zeros(6)
    np.sin(x, out=u)
    return np.sum(u)


def _sum_out_plain(x: Any) -> Any:
    u = np.zeros(())
    np.sum(x, out=u)
    return np.sum(u)


@pytest.mark.parametrize("f", [_set_plain, _set_plain_slice, _set_plain_mask, _add_plain, _out_plain, _sum_out_plain])
def test_a_traced_value_in_a_plain_array_raises_and_points_to_one_that_can_hold_it(f: Callable[..., Any]) -> None:
    with pytest.raises((DetachedError, ValueError)) as caught:
        unspool.grad(f)(POINT)
    error = caught.value if isinstance(caught.value, DetachedError) else caught.value.__cause__  # NumPy wraps some
    assert isinstance(error, DetachedError)
    assert "np.zeros_like(x)" in str(error)
    assert "unspool.numpy.zeros" in str(error)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.nansum(x, where=POINT > 0),
        lambda x: np.nanmax(x, initial=3.0),
        lambda x: np.add(x, 1.0, where=POINT > 0),
        lambda x: np.add(x, 1.0, dtype=np.float32),
        lambda x: np.multiply.at(x, [0], 2.0),
        np.vectorize(math.sin),
        lambda x: np.apply_along_axis(np.sum, 0, x),
        lambda x: np.ravel(x, order="K"),
        np.frompyfunc(abs, 1, 1),
        lambda x: x.flat[0],
        lambda x: np.nextafter(x, 1.0),
        lambda x: np.add.reduceat(x, [0, 2]),
    ],
)
def test_what_has_no_rule_is_refused_and_never_ignored(f: Callable[..., Any]) -> None:
    with pytest.raises((UnsupportedError, DetachedError), match=r"rule|derivative"):
        unspool.grad(lambda x: np.sum(f(x)))(POINT)


@pytest.mark.parametrize("name", ["view", "resize", "tobytes", "data", "strides", "partition", "byteswap"])
def test_what_an_array_has_and_a_traced_one_has_not_raises(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        unspool.grad(lambda x: getattr(x, name))(POINT)


def test_a_traced_value_that_escapes_raises_when_it_is_used() -> None:
    leaked: list[Any] = []

    def f(x: Any) -> Any:
        leaked.append(x)
        leaked.append(x[1:])
        return np.sum(x * x)

    unspool.grad(f)(POINT)
    for use in (lambda v: v + 1, np.sin, lambda v: v[0], lambda v: v * v, lambda v: v.sum()):
        for value in leaked:
            with pytest.raises(ClosedError, match="had ended"):
                use(value)
    with pytest.raises(ClosedError, match="has_aux"):
        unspool.grad(lambda y: np.sum(y * leaked[0]))(POINT)
    with pytest.raises(ClosedError):
        operator.setitem(leaked[0], 0, 1.0)


def test_python_decisions_on_values_follow_the_value() -> None:
    def f(x: Any) -> Any:
        if x[0] > 0 and not x[1] > 0:
            return x[0] * 3
        return x[0] * 5

    assert unspool.grad(f)(POINT)[0] == 3
    assert unspool.grad(f)(-POINT)[0] == 5
    assert unspool.grad(lambda x: sum(x) * max(x))(np.array([1.0, 2.0])).tolist() == [2.0, 5.0]
    assert unspool.grad(lambda x: x[0] if x.any() else x[1])(POINT)[0] == 1


def test_it_prints_as_its_value() -> None:
    seen: list[str] = []

    def f(x: Any) -> Any:
        seen.extend([repr(x), f"{x[0]:.2f}", str(len(x)), str(x.T.shape), str((x.ndim, x.size, x.nbytes, x.itemsize))])
        return x[0]

    unspool.grad(f)(np.array([0.5, 1.0]))
    assert seen == ["Variable([0.5 1. ])", "0.50", "2", "(2,)", "(1, 2, 16, 8)"]


def test_a_traced_value_is_not_hashable_and_scalars_have_no_length() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        unspool.grad(lambda x: {x: 1})(POINT)
    with pytest.raises(TypeError, match="without axes"):
        unspool.grad(lambda x: len(x[0]))(POINT)


OPERATORS = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.pow,
    operator.matmul,
    operator.mod,
]


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("other", [np.array([1.5, 2.5, 0.7]), [1.5, 2.5, 0.7], (1.5, 2.5, 0.7)])
def test_operators_take_plain_operands_on_both_sides_and_lists_as_numpy_does(op: Any, other: Any) -> None:
    x = np.array([0.4, 1.2, 1.9])
    for f in (lambda u: op(u, other), lambda u: op(other, u)):
        value, pullback = unspool.vjp(f, x)
        np.testing.assert_array_equal(value, f(x))
        ct = np.ones(np.shape(value))
        np.testing.assert_allclose(
            pullback(ct)[0],
            [np.sum((f(x + h) - f(x - h)) / 2e-6) for h in 1e-6 * np.eye(3)],
            rtol=1e-7,
            atol=1e-8,
        )


def test_an_object_array_can_carry_traced_values_but_not_out() -> None:
    def boxed(x: Any) -> Any:
        box = np.empty(2, object)
        box[0], box[1] = x[0] * x[1], x[2]
        return box

    assert unspool.grad(lambda x: boxed(x)[0] * boxed(x)[1])(np.array([2.0, 3.0, 4.0])).tolist() == [12.0, 8.0, 6.0]

    def unboxed(x: Any) -> Any:
        box = np.empty((), object)
        box[()] = x[0]
        return box

    for transform in (unspool.jacobian(boxed), unspool.grad(unboxed), lambda x: unspool.vjp(boxed, x)):
        with pytest.raises(unspool.errors.InputError, match="object"):
            transform(POINT)


def test_reshape_of_a_strided_argument_is_a_copy_as_in_numpy() -> None:
    def f(u: np.ndarray) -> np.ndarray:
        w = u.reshape(-1)
        w *= 10
        return u * 1.0

    strided = np.arange(24.0).reshape(4, 6)[:, :3]
    expected = f(strided.copy(order="K"))
    np.testing.assert_array_equal(unspool.vjp(f, strided)[0], strided)
    np.testing.assert_array_equal(unspool.vjp(f, strided.copy())[0], expected)


def test_a_method_without_a_rule_says_so() -> None:
    with pytest.raises(AttributeError, match=r"x\.partition has no derivative rule.*stop_gradient"):
        unspool.grad(lambda x: x.partition(1))(np.ones(3))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        unspool.grad(lambda x: x.nonsense)(np.ones(3))


def test_add_at_adds_up_duplicates_and_differentiates() -> None:
    index = np.array([0, 2, 0])

    def f(x: np.ndarray, v: np.ndarray) -> np.ndarray:
        u = np.copy(x)
        np.add.at(u, index, v)
        return np.sum(u**2)

    x, v = np.arange(1.0, 4.0), np.array([0.5, 1.5, 2.0])
    after = x.copy()
    np.add.at(after, index, v)
    gx, gv = unspool.grad(f, argnums=(0, 1))(x, v)
    np.testing.assert_allclose(gx, 2 * after)
    np.testing.assert_allclose(gv, 2 * after[index])


def test_a_part_of_a_complex_array_is_written_beside_an_infinite_one() -> None:
    def f(u: np.ndarray) -> np.ndarray:
        z = u + np.array([complex(0.0, np.inf), 2j])
        z.real[:] = 5 * u
        return np.real(z) * 1.0

    out, pullback = unspool.vjp(f, np.array([1.0, 3.0]))
    np.testing.assert_array_equal(out, [5.0, 15.0])
    np.testing.assert_array_equal(pullback(np.ones(2))[0], [5.0, 5.0])

"""Rules that the user gives: they are used, checked, and cannot harm what the tape holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.oracles import same_bits
from unspool import custom_jvp, custom_vjp, grad, hvp, jvp, vjp
from unspool.errors import InputError, UnsupportedError

X = np.array([0.3, -0.2, 0.5])


def _scaled_sine() -> Any:
    @custom_vjp
    def sine(x: Any, k: Any) -> Any:
        return {"y": np.sin(k * x)}

    sine.defvjp(
        lambda x, k: ({"y": np.sin(k * x)}, (x, k)),
        lambda res, ct: (
            res[1] * np.cos(res[1] * res[0]) * ct["y"],
            np.sum(res[0] * np.cos(res[1] * res[0]) * ct["y"]),
        ),
    )
    return sine


def _softplus() -> Any:
    @custom_jvp
    def softplus(x: Any) -> Any:
        return np.log1p(np.exp(x))

    softplus.defjvp(lambda primals, tangents: (softplus(primals[0]), tangents[0] / (1 + np.exp(-primals[0]))))
    return softplus


@pytest.mark.parametrize("policy", [None, "none", "every-2", "revolve-1", "online-2"])
def test_a_rule_for_reverse_mode_is_used_outside_and_inside_loops_and_can_be_differentiated(policy: Any) -> None:
    sine = _scaled_sine()

    def f(x: Any, k: Any, sine: Any) -> Any:
        if policy is None:
            return np.sum(sine(x, k)["y"] * x)
        return np.sum(unspool.fori_loop(0, 4, lambda i, u: sine(u, k)["y"] + 0.1 * x, x, policy=policy))

    plain = lambda x, k: {"y": np.sin(k * x)}
    found = grad(lambda x, k: f(x, k, sine), argnums=(0, 1))(X, 1.3)
    expected = grad(lambda x, k: f(x, k, plain), argnums=(0, 1))(X, 1.3)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-14)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-14)
    if policy is None:
        second = grad(lambda x: np.sum(grad(lambda y: f(y, 1.3, sine))(x) * X))(X)
        np.testing.assert_allclose(second, hvp(lambda x: f(x, 1.3, plain))(X, X), rtol=1e-13)


@pytest.mark.parametrize("policy", [None, "none", "every-2", "revolve-1", "online-2"])
def test_a_rule_for_both_modes_serves_every_transform(policy: Any) -> None:
    softplus = _softplus()

    def f(x: Any, softplus: Any) -> Any:
        if policy is None:
            return np.sum(softplus(x) * x)
        return np.sum(unspool.fori_loop(0, 4, lambda i, u: softplus(u) * x, x, policy=policy))

    g, plain = lambda x: f(x, softplus), lambda x: f(x, lambda u: np.log1p(np.exp(u)))
    np.testing.assert_allclose(grad(g)(X), grad(plain)(X), rtol=1e-13)
    np.testing.assert_allclose(jvp(g, (X,), (X,))[1], jvp(plain, (X,), (X,))[1], rtol=1e-13)
    np.testing.assert_allclose(hvp(g)(X, X), hvp(plain)(X, X), rtol=1e-12)
    np.testing.assert_allclose(grad(lambda x: np.sum(grad(g)(x) * X))(X), hvp(plain)(X, X), rtol=1e-12)


def test_the_rule_counts_and_not_the_function() -> None:
    f = custom_vjp(lambda x: x * 5)
    f.defvjp(lambda x: (x * 5, None), lambda res, ct: (100 * ct,))
    assert f(2.0) == 10.0
    assert grad(f)(2.0) == 100.0
    g = custom_jvp(lambda x: x * 5)
    g.defjvp(lambda p, t: (p[0] * 5, 100 * t[0]))
    assert (grad(g)(2.0), jvp(g, (2.0,), (1.0,))) == (100.0, (10.0, 100.0))


def test_a_function_without_its_rule_raises_before_it_runs() -> None:
    @custom_vjp
    def early(x: Any) -> Any:
        raise AssertionError

    @custom_jvp
    def too(x: Any) -> Any:
        raise AssertionError

    with pytest.raises(UnsupportedError, match=r"early\.defvjp\(fwd, bwd\)"):
        early(1.0)
    with pytest.raises(UnsupportedError, match=r"too\.defjvp\(rule\)"):
        too(1.0)


def test_forward_mode_through_a_rule_for_reverse_mode_raises_with_the_way_out() -> None:
    sine = _scaled_sine()
    for transform in (
        lambda: jvp(lambda x: sine(x, 1.0)["y"], (X,), (X,)),
        lambda: jvp(lambda x: unspool.fori_loop(0, 2, lambda i, u: sine(u, 1.0)["y"], x), (X,), (X,)),
    ):
        with pytest.raises(UnsupportedError, match="custom_jvp, which serves both"):
            transform()
    over_reverse = hvp(lambda x: np.sum(sine(x, 1.0)["y"]))(X, X)  # differentiates the rule, not the function
    np.testing.assert_allclose(over_reverse, -np.sin(X) * X, rtol=1e-14)


@pytest.mark.parametrize(
    ("back", "says"),
    [
        (lambda ct: ct, "must return a tuple with 2 cotangents.*ndarray"),
        (lambda ct: (ct,), "got 1 entries"),
        (lambda ct: [ct, ct], "got list"),
        (lambda ct: None, "NoneType"),
        (lambda ct: (ct[:1], None), r"f64\[1\] for an argument f64\[3\]"),
        (lambda ct: ((ct, ct), None), "structure"),
    ],
)
def test_a_rule_that_returns_something_else_is_told_what_is_missing(back: Any, says: str) -> None:
    f = custom_vjp(lambda x, k: x * k)
    f.defvjp(lambda x, k: (x * k, None), lambda res, ct: back(ct))
    with pytest.raises(InputError, match=says):
        grad(lambda x: np.sum(f(x, x)))(X)


def test_none_stands_for_a_zero_cotangent_and_numbers_take_the_arguments_dtype() -> None:
    f = custom_vjp(lambda x, nest, text: x * nest["k"])
    f.defvjp(lambda x, nest, text: (x * nest["k"], nest["k"]), lambda k, ct: (k * ct, None, None))
    found = grad(lambda x, k: np.sum(f(x, {"k": k, "n": 3}, "text")), argnums=(0, 1))(X.astype(np.float32), 2.0)
    assert found[0].dtype == np.float32
    assert (found[0].tolist(), found[1]) == ([2.0] * 3, 0.0)


def test_a_closure_over_a_traced_value_is_refused_with_the_way_out() -> None:
    def with_vjp(x: Any) -> Any:
        f = custom_vjp(lambda y: y * x)
        f.defvjp(lambda y: (y * x, y), lambda y, ct: (ct * x,))
        return np.sum(f(x * 1.0))

    def with_jvp(x: Any) -> Any:
        f = custom_jvp(lambda y: y * x)
        f.defjvp(lambda p, t: (p[0] * x, t[0] * x))
        return np.sum(f(x * 1.0))

    def in_a_step(x: Any) -> Any:
        f = custom_vjp(lambda y: y * x)
        f.defvjp(lambda y: (y * x, y), lambda y, ct: (ct,))
        return np.sum(unspool.fori_loop(0, 3, lambda i, u: f(u), x * 1.0, policy="revolve-1"))

    for f in (with_vjp, with_jvp, in_a_step):
        with pytest.raises(UnsupportedError, match="Pass it as an argument"):
            grad(f)(X)
    with pytest.raises(UnsupportedError, match="Pass it as an argument"):
        jvp(with_jvp, (X,), (X,))


def test_a_closure_over_a_plain_array_or_an_outer_level_is_fine() -> None:
    def outer(c: Any) -> Any:
        f = custom_vjp(lambda y: y * c)
        f.defvjp(lambda y: (y * c, None), lambda _, ct: (ct * c,))
        return np.sum(grad(lambda y: np.sum(f(y) ** 2))(X))

    np.testing.assert_allclose(grad(outer)(X + 1), 4 * (X + 1) * X, rtol=1e-14)


# --- a rule may write into whatever it is given, and into its own buffers ---------------------------------------------
def test_writes_of_a_rule_reach_nobody_else() -> None:
    buffer = np.empty(3)

    @custom_vjp
    def f(x: Any) -> Any:
        return np.exp(x)

    def fwd(x: Any) -> Any:
        np.exp(x, out=buffer)
        x *= 1e9
        return buffer, {"y": buffer}

    def bwd(residuals: Any, ct: Any) -> Any:
        ct *= residuals["y"]
        residuals["y"] *= 0.0
        return (ct,)

    f.defvjp(fwd, bwd)

    def g(f: Any, x: Any) -> Any:
        y = x * x
        a, b = f(x), f(2 * x)
        return y * a * b + a - f(a * 0.1)

    _, pullback = vjp(lambda x: g(f, x), X)
    _, expected = vjp(lambda x: g(np.exp, x), X)
    ct = np.ones(3)
    first = pullback(ct)
    np.testing.assert_allclose(first[0], expected(ct)[0], rtol=1e-13)
    buffer[:] = -1.0
    first[0][:] = 7.0
    np.testing.assert_allclose(pullback(ct)[0], expected(ct)[0], rtol=1e-13)
    assert ct.tolist() == [1.0, 1.0, 1.0]


def test_a_gradient_that_is_a_constant_of_the_rule_is_copied() -> None:
    constant = np.arange(3.0)
    f = custom_vjp(lambda x: np.sum(constant * x))
    f.defvjp(lambda x: (np.sum(constant * x), constant), lambda res, ct: (res,))
    gradient = grad(f)(X)
    gradient *= 10
    assert constant.tolist() == [0.0, 1.0, 2.0]
    g = custom_vjp(lambda x: np.sum(constant * x))
    g.defvjp(lambda x: (np.sum(constant * x), None), lambda _, ct: (constant,))
    gradient = grad(g)(X)
    gradient *= 10
    assert constant.tolist() == [0.0, 1.0, 2.0]


def test_a_jvp_rule_may_write_into_its_tangents() -> None:
    f = custom_jvp(lambda x: x * 3)

    def rule(primals: Any, tangents: Any) -> Any:
        out = primals[0] * 3
        primals[0][...] = 0.0
        t = tangents[0]
        t *= 3
        return out, t

    f.defjvp(rule)
    g = lambda x: x * f(x) + x
    assert same_bits(jvp(g, (X,), (X,))[1], jvp(lambda x: x * (x * 3) + x, (X,), (X,))[1])
    np.testing.assert_allclose(grad(lambda x: np.sum(g(x)))(X), 6 * X + 1, rtol=1e-14)


def test_a_library_that_cannot_be_traced_is_called_with_plain_arrays() -> None:
    seen: list[type] = []
    f = custom_vjp(lambda x: np.asarray(x).tolist()[0] ** 2)

    def fwd(x: Any) -> Any:
        seen.append(type(x))
        return float(x[0]) ** 2, x

    f.defvjp(fwd, lambda x, ct: (np.array([2 * x[0] * ct, 0.0, 0.0]),))
    assert grad(f)(X).tolist() == [0.6, 0.0, 0.0]
    loop = lambda x: unspool.scan(lambda u, _: (u, f(u)), x, None, 3, policy="every-1")[1].sum()
    assert grad(loop)(X).tolist() == pytest.approx([1.8, 0.0, 0.0])
    assert set(seen) == {np.ndarray}

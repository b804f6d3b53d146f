"""solve_ivp and odeint: the numbers of SciPy, derivatives against differences, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.integrate as si

import unspool
from tests.ops.agreement import agrees, complex_some
from unspool.errors import DetachedError, ReplayError, UnsupportedError
from unspool.scipy import integrate, runge_kutta

P = np.array([2.0, 0.3, 0.7])
SPAN = (0.0, 2.0)
TIMES = np.linspace(*SPAN, 5)
TIGHT = {"rtol": 1e-11, "atol": 1e-11}


def swing(t: Any, y: Any, stiffness: Any, friction: Any) -> Any:
    return np.stack([y[1], -stiffness * y[0] - friction * y[1] + np.sin(t)])


def start_of(p: Any) -> Any:
    return np.stack([p[2], 1.0 + 0.0 * p[2]])


def by_ivp(p: Any, method: str, span: Any = SPAN, **options: Any) -> Any:
    return integrate.solve_ivp(lambda t, y: swing(t, y, p[0], p[1]), span, start_of(p), method, **options).y


# --- the discrete adjoint ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["RK23", "RK45", "DOP853"])
@pytest.mark.parametrize("wanted", [None, TIMES, TIMES[1:3], np.linspace(*SPAN, 150), np.array([2.0])], ids=str)
def test_the_values_are_scipys(method: str, wanted: Any) -> None:
    found = unspool.vjp(lambda p: by_ivp(p, method, t_eval=wanted), P)[0]
    expected = si.solve_ivp(swing, SPAN, start_of(P), method, wanted, args=(P[0], P[1])).y
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", ["RK23", "RK45", "DOP853"])
def test_the_derivative_is_that_of_the_numbers(method: str) -> None:
    """With the steps held fixed, differences of the numbers show the derivative, at a loose tolerance too."""

    rule = runge_kutta.METHODS[method]
    steps = runge_kutta.chosen(rule, lambda t, y: swing(t, y, P[0], P[1]), SPAN, start_of(P), {"rtol": 1e-2})
    for wanted in (None, TIMES):
        fixed = lambda p: runge_kutta.integrated(
            rule, lambda t, y: swing(t, y, p[0], p[1]), steps.times, start_of(p), wanted=wanted
        )
        agrees(fixed, P, exact=False)
        weights = np.arange(1.0, fixed(P).size + 1).reshape(fixed(P).shape)
        one = unspool.grad(lambda p: np.sum(weights * fixed(p)))(P)
        other = unspool.grad(lambda p: np.sum(weights.T * by_ivp(p, method, t_eval=wanted, rtol=1e-2)))(P)
        np.testing.assert_allclose(other, one, rtol=1e-12)


def test_policies_and_second_derivatives() -> None:
    def loss(p: Any, **how: Any) -> Any:
        return np.sum(by_ivp(p, "RK45", t_eval=TIMES, **how) ** 2)

    expected = unspool.grad(loss)(P)
    for how in ({"policy": "revolve-2"}, {"policy": "none"}, {"memory": "1 MB"}):
        np.testing.assert_array_equal(unspool.grad(lambda p: loss(p, **how))(P), expected)
    hessian = unspool.hessian(loss)(P)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-9)


def test_everything_that_may_be_traced() -> None:
    def f(p: Any, span: Any, wanted: Any) -> Any:
        return integrate.solve_ivp(swing, span, start_of(p), t_eval=wanted, args=(p[0], p[1]), **TIGHT).y

    agrees(lambda p: f(p, SPAN, None)[:, -1], P, exact=False)
    agrees(lambda end: f(P, (0.0, end), None)[:, -1], 2.0, exact=False)
    agrees(lambda begin: f(P, (begin, 2.0), None)[:, -1], 0.1, exact=False)
    agrees(lambda times: f(P, SPAN, times), TIMES[1:-1], exact=False)
    agrees(lambda p: f(p, (2.0, 0.0), TIMES[::-1]), P, exact=False)
    agrees(lambda y: integrate.solve_ivp(lambda t, y: 1j * y, SPAN, y, **TIGHT).y[:, -1], complex_some(2), exact=False)
    agrees(lambda y: integrate.solve_ivp(lambda t, y: -y, (1.0, 1.0), y).y[:, -1], P, exact=False)


def test_the_result_says_what_scipys_says() -> None:
    seen: list[Any] = []
    unspool.grad(lambda p: np.sum(seen.append(integrate.solve_ivp(swing, SPAN, p[:2], args=(p[0], p[1]))) or p))(P)
    expected = si.solve_ivp(swing, SPAN, P[:2], args=(P[0], P[1]))
    for name in ("status", "message", "success", "nfev", "sol", "t_events"):
        assert getattr(seen[0], name) == getattr(expected, name)
    np.testing.assert_array_equal(seen[0].t, expected.t)


def test_numbers_that_are_not_traced_go_to_scipy() -> None:
    seen: list[Any] = []

    def f(p: Any) -> Any:
        how = {"args": (1.0, 2.0), "dense_output": True}
        seen.extend([integrate.solve_ivp(swing, SPAN, [0.0, 1.0], method, **how) for method in ("RK45", "LSODA")])
        seen.append(integrate.odeint(lambda y, t: -y, 1.0, TIMES, full_output=True)[0])
        return np.sum(p)

    unspool.grad(f)(P)
    expected = si.solve_ivp(swing, SPAN, [0.0, 1.0], "LSODA", args=(1.0, 2.0))
    np.testing.assert_array_equal(seen[1].y, expected.y)
    assert seen[0].sol is not None
    np.testing.assert_array_equal(seen[2], si.odeint(lambda y, t: -y, 1.0, TIMES))
    assert type(integrate.solve_ivp(swing, SPAN, [0.0, 1.0], args=(1.0, 2.0)).y) is np.ndarray
    assert integrate.odeint(lambda y, t: -y, 1.0, TIMES).shape == (5, 1)


# --- the continuous adjoint -------------------------------------------------------------------------------------------
def reference(p: Any) -> Any:
    return si.solve_ivp(swing, SPAN, start_of(p), "DOP853", TIMES, args=(p[0], p[1]), rtol=1e-13, atol=1e-13).y


def directional(function: Any, p: Any, v: Any, h: float = 1e-5) -> Any:
    return (function(p + h * v) - function(p - h * v)) / (2 * h)


@pytest.mark.parametrize(("method", "apart"), [("LSODA", 1e-6), ("BDF", 1e-5), ("Radau", 1e-6)])
def test_tangents_and_cotangents_are_as_exact_as_the_tolerances(method: str, apart: float) -> None:
    v, weights = np.array([0.3, -1.0, 0.7]), np.arange(1.0, 11.0).reshape(2, 5)
    f = lambda p: by_ivp(p, method, t_eval=TIMES, rtol=1e-7, atol=1e-9)
    expected = directional(reference, P, v)
    out, tangent = unspool.jvp(f, (P,), (v,))
    np.testing.assert_allclose(out, reference(P), atol=1e-4)
    np.testing.assert_allclose(tangent, expected, atol=apart)
    _, pullback = unspool.vjp(f, P)
    np.testing.assert_allclose(pullback(weights)[0] @ v, np.sum(weights * expected), rtol=apart)


def test_odeint() -> None:
    def f(p: Any) -> Any:
        return integrate.odeint(lambda y, t, a, b: swing(t, y, a, b), start_of(p), TIMES, args=(p[0], p[1]))

    def decays(p: Any) -> Any:
        return integrate.odeint(lambda t, y: -p[0] * y**2, p[1:], TIMES, tfirst=True, mxstep=5000, rtol=1e-8)

    np.testing.assert_array_equal(unspool.vjp(f, P)[0], f(P))
    for function in (f, decays):
        v = np.array([0.3, -1.0, 0.7])
        expected = directional(function, P, v, h=1e-3)
        np.testing.assert_allclose(unspool.jvp(function, (P,), (v,))[1], expected, atol=1e-5)
        out, pullback = unspool.vjp(function, P)
        np.testing.assert_allclose(pullback(out)[0] @ v, np.sum(out * expected), rtol=1e-5)


def test_second_derivatives_of_a_flow() -> None:
    times = np.array([0.0, 1.0])

    def loss(p: Any) -> Any:
        return np.sum(integrate.odeint(lambda y, t: -p[0] * y**2, p[1:], times)[-1] ** 2)

    def known(p: Any) -> Any:
        return np.sum((p[1:] / (1.0 + p[0] * p[1:])) ** 2)

    p = np.array([0.5, 1.5])
    np.testing.assert_allclose(unspool.hessian(loss)(p), unspool.hessian(known)(p), rtol=1e-5)
    v = np.array([1.0, -2.0])
    over_reverse = unspool.grad(lambda p: np.sum(unspool.grad(loss)(p) * v))(p)
    np.testing.assert_allclose(over_reverse, unspool.hessian(known)(p) @ v, rtol=1e-4)


def test_a_stiff_equation() -> None:
    """The backward sweep follows the trajectory; it does not integrate the stiff equation backwards."""

    def robertson(k: Any, method: str, **options: Any) -> Any:
        def f(t: Any, y: Any) -> Any:
            a, b, c = k[0] * y[0], k[1] * y[1] * y[2], k[2] * y[1] ** 2
            return np.stack([b - a, a - b - c, c])

        y0 = np.array([1.0, 0.0, 0.0])
        return integrate.solve_ivp(f, (0.0, 40.0), y0, method, t_eval=[40.0], **options).y[:, 0]

    k = np.array([0.04, 1e4, 3e7])
    scale = lambda z: robertson(k * np.exp(z), "BDF", rtol=1e-8, atol=1e-12)[0]
    gradient = unspool.grad(scale)(np.zeros(3))
    tight = lambda z: robertson(k * np.exp(z), "Radau", rtol=1e-11, atol=1e-14)[0]
    expected = [directional(tight, np.zeros(3), e, h=1e-4) for e in np.eye(3)]
    np.testing.assert_allclose(gradient, expected, rtol=1e-4)


def test_what_f_reads_at_some_times_only() -> None:
    def f(p: Any) -> Any:
        def slope(y: Any, t: Any) -> Any:
            return -p[0] * y if t < 1.0 else -p[1] * y * p[2]

        return integrate.odeint(slope, 1.0, TIMES)[-1, 0]

    gradient = unspool.grad(f)(P)
    value = np.exp(-P[0] - P[1] * P[2])
    np.testing.assert_allclose(gradient, value * np.array([-1.0, -P[2], -P[1]]), rtol=1e-5)


def test_a_flow_inside_a_loop() -> None:
    """What the function reads from outside the loop gets its gradient through every policy."""

    def loss(p: Any, policy: str = "none") -> Any:
        def step(i: int, y: Any) -> Any:
            y = integrate.odeint(lambda y, t: -p[0] * y + p[1] * np.sin(t), y, [0.0, 0.3])[-1]
            return integrate.solve_ivp(lambda t, y: -p[2] * y, (0.0, 0.2), y, rtol=1e-8).y[:, -1]

        return np.sum(unspool.fori_loop(0, 4, step, np.array([1.0, 2.0]), policy=policy) ** 2)

    gradient = unspool.grad(loss)(P)
    np.testing.assert_array_equal(unspool.grad(lambda p: loss(p, "revolve-2"))(P), gradient)
    np.testing.assert_allclose(gradient, [directional(loss, P, e, h=1e-4) for e in np.eye(3)], rtol=1e-5)
    v = np.array([0.3, -1.0, 0.7])
    np.testing.assert_allclose(unspool.jvp(loss, (P,), (v,))[1], gradient @ v, rtol=1e-6)


def test_a_function_that_changes_between_the_sweeps_is_found() -> None:
    rate = np.array([0.5])

    def f(y: Any) -> Any:
        result = integrate.odeint(lambda y, t: -rate * y, y, TIMES)[-1, 0]
        rate[:] = 2.0
        return result

    with pytest.raises(ReplayError, match="came out differently"):
        unspool.grad(f)(np.array([1.0]))


# --- refusals ---------------------------------------------------------------------------------------------------------
def test_refusals() -> None:
    def ivp(**how: Any) -> Any:
        return lambda y: integrate.solve_ivp(lambda t, y: -y, SPAN, y, **how)

    cases: list[tuple[Any, type[Exception], str]] = [
        (ivp(dense_output=True), UnsupportedError, "dense_output="),
        (ivp(events=lambda t, y: y[0]), UnsupportedError, "events="),
        (ivp(vectorized=True), UnsupportedError, "vectorized="),
        (ivp(method="Other"), UnsupportedError, "method='Other'"),
        (ivp(t_eval=[3.0]), ValueError, "not within"),
        (ivp(t_eval=[1.0, 0.5]), ValueError, "not properly sorted"),
        (ivp(t_eval=[[1.0]]), ValueError, "1-dimensional"),
        (lambda y: integrate.solve_ivp(lambda t, y: -y, (0.0, y[0]), y, "BDF"), UnsupportedError, "times are plain"),
        (lambda y: integrate.solve_ivp(lambda t, y: y**2, (0.0, 9.0), y + 1), UnsupportedError, "did not finish"),
        (lambda y: integrate.solve_ivp(lambda t, y: y**2, (0.0, 9.0), y + 1, "Radau"), UnsupportedError, "not finish"),
        (lambda y: integrate.odeint(lambda y, t: -y, y, y), UnsupportedError, "times are plain"),
        (lambda y: integrate.odeint(lambda y, t: -y, y, TIMES, Dfun=lambda y, t: -1), UnsupportedError, "Dfun="),
        (lambda y: si.solve_ivp(lambda t, y: -y, SPAN, y), DetachedError, r"unspool\.scipy\.integrate\.solve_ivp"),
        (lambda y: si.odeint(lambda s, t: -s * y, 1.0, TIMES), DetachedError, r"unspool\.scipy\.integrate\.odeint"),
    ]
    for call, error, match in cases:
        with pytest.raises(error, match=match):
            unspool.vjp(call, np.array([1.0]))


@pytest.mark.filterwarnings("ignore::scipy.integrate.ODEintWarning")
def test_an_integration_that_does_not_finish_has_no_derivative() -> None:
    with pytest.raises(UnsupportedError, match="mxstep="):
        unspool.vjp(lambda y: integrate.odeint(lambda y, t: -50 * y, y, [0.0, 9.0], mxstep=3), np.array([1.0]))

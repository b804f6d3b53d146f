"""check_grads passes what is right, and names who is to blame where something is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from unspool.errors import InputError, UnspoolError
from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive, Pull, Read
from unspool.testing.gradients import Check, GradientError, GradientReport, check_grads

U = np.array([0.5, 1.0, -0.3])


@unspool.custom_vjp
def misjudged(x: Any) -> Any:
    return np.tanh(x)


misjudged.defvjp(lambda x: (np.tanh(x), x), lambda x, ct: (ct * (1 - np.tanh(x)) ** 2,))


@unspool.custom_jvp
def leaning(x: Any, y: Any) -> Any:
    return x * y


leaning.defjvp(lambda p, t: (p[0] * p[1], t[0] * p[1] + 1.001 * p[0] * t[1]))

halved = Primitive(
    "halved",
    lambda x: 0.5 * x,
    jvp=lambda tangents, y, x: 0.5 * tangents[0],
    pull=lambda wanted, n, plain: Pull.reading(lambda ct, y, x: (0.4 * ct,), (Read.NOTHING, Read.NOTHING)),
)


def _names(report: GradientReport) -> dict[str, bool | None]:
    return {check.name: check.passed for check in report.checks}


def test_an_analytic_function_is_checked_by_the_complex_step() -> None:
    report = check_grads(lambda u, a: np.sum(np.sin(a * u)), (U, 2.0), order=2)
    assert report.passed
    assert _names(report) == {
        prefix + name: True
        for prefix in ("", "second order, ")
        for name in ("dot product", "complex step", "Taylor remainder")
    }
    assert "is right" in str(report)


@pytest.mark.parametrize(
    "f",
    [
        lambda u: np.abs(u) * np.exp(u),
        lambda u: np.sin(u) + 1e-8 * np.abs(u),  # the complex step would miss the small part
        lambda u: np.real(u * np.conj(u)),
        lambda u: np.hypot(u, 1.0),  # NumPy has it for real numbers only
    ],
)
def test_what_is_not_holomorphic_is_checked_by_differences(f: Any) -> None:
    report = check_grads(f, (U,))
    assert _names(report) == {"dot product": True, "central differences": True, "Taylor remainder": True}


@pytest.mark.parametrize("policy", ["none", "every-4", "revolve-3", "auto"])
def test_it_goes_through_the_policy_of_a_loop(policy: str) -> None:
    def final(rate: Any, u: Any) -> Any:
        return unspool.fori_loop(0, 25, lambda i, u: u + 0.1 * np.sin(rate * u), u, policy=policy)

    assert check_grads(final, (0.7, U), order=2).passed


def test_nests_single_precision_and_complex_numbers_pass() -> None:
    assert check_grads(lambda p: {"s": p["a"] * p["b"][0], "n": 3}, ({"a": U, "b": [2.0]},)).passed
    assert check_grads(lambda u: np.float32(2) * np.exp(u), (U.astype(np.float32),)).passed
    assert check_grads(lambda z: np.sum(np.abs(z) ** 2) * z, (U + 0.5j,), order=2).passed
    assert check_grads(lambda u: np.zeros_like(u) * u, (U,)).passed


def test_integers_and_arguments_that_are_not_asked_for_stay() -> None:
    seen = []

    def power(n: int, u: Any) -> Any:
        seen.append(n)
        u *= u  # the caller's array stays as it was
        return u**n

    before = U.copy()
    assert check_grads(power, (2, U)).passed
    assert check_grads(power, (2, U), argnums=1).passed
    assert check_grads(power, (2, U), argnums=[-1]).passed
    assert set(seen) == {2}
    assert np.array_equal(U, before)


@pytest.mark.parametrize("order", [1, 2])
def test_a_wrong_custom_vjp_in_a_loop_is_named(order: int) -> None:
    def simulate(a: Any, u: Any) -> Any:
        return np.sum(unspool.fori_loop(0, 20, lambda i, u: u + 0.1 * misjudged(a * u), u, policy="revolve-3") ** 2)

    with pytest.raises(GradientError, match="The gradient of simulate is wrong") as caught:
        check_grads(simulate, (0.5, U), order=order)
    report = caught.value.report
    assert not report.passed
    assert [culprit.name for culprit in report.culprits] == ["misjudged"]
    assert report.culprits[0].line is not None
    assert report.culprits[0].line.startswith("test_gradients.py:")
    assert "in step 0 of fori_loop" in str(caught.value)
    assert isinstance(caught.value, UnspoolError)


def test_a_wrong_custom_jvp_in_a_scan_within_a_scan_is_named() -> None:
    def inner(u: Any, x: Any) -> Any:
        return leaning(u, x), np.sum(u)

    def outer(u: Any, x: Any) -> Any:
        return unspool.scan(inner, u, np.stack([x, x]))

    with pytest.raises(GradientError) as caught:
        check_grads(lambda u, xs: unspool.scan(outer, u, xs, policy="every-2")[1], (2.0, np.array([0.9, 1.1, 1.2])))
    (culprit,) = caught.value.report.culprits
    assert culprit.name == "leaning"
    assert culprit.place == "step 0 of scan, in step 0 of scan"


def test_a_wrong_primitive_is_named_by_the_dot_product_too() -> None:
    with pytest.raises(GradientError) as caught:
        check_grads(lambda u: np.exp(bind(halved, np.sin(u))), (U,))
    (culprit,) = caught.value.report.culprits
    assert culprit.name == "halved"
    assert culprit.types == ("f64[3]",)
    failed = {check.name: check.error for check in culprit.checks if check.passed is False}
    assert failed["dot product"] == pytest.approx(0.2)


def test_a_primitive_that_is_wrong_at_one_step_only_is_found() -> None:
    @unspool.custom_vjp
    def late(x: Any) -> Any:
        return 1.01 * x

    late.defvjp(lambda x: (1.01 * x, x), lambda x, ct: (np.where(x > 1.15, 0.5, 1.01) * ct,))
    with pytest.raises(GradientError) as caught:
        check_grads(lambda u: unspool.fori_loop(0, 20, lambda i, u: late(u), u), (1.0,))
    (culprit,) = caught.value.report.culprits
    assert (culprit.name, culprit.place) == ("late", "step 15 of fori_loop")


def test_a_detached_value_is_nobodys_fault_and_the_message_says_where_to_look() -> None:
    with pytest.raises(GradientError, match="stop_gradient") as caught:
        check_grads(lambda u: u * unspool.stop_gradient(u), (U,))
    assert caught.value.report.culprits == ()
    assert "Each of the 1 primitives" in str(caught.value)


def test_reverse_mode_alone_is_no_failure() -> None:
    @unspool.custom_vjp
    def doubled(x: Any) -> Any:
        return 2 * x

    doubled.defvjp(lambda x: (2 * x, None), lambda _, ct: (2 * ct,))
    report = check_grads(lambda u: doubled(u) ** 2, (U,), order=2)
    assert _names(report)["dot product"] is None
    assert _names(report)["second order, dot product"] is True
    assert "rule for reverse mode only" in str(report)


def test_rtol_takes_the_place_of_the_tolerances() -> None:
    with pytest.raises(GradientError):
        check_grads(lambda u: leaning(u, u), (U,))
    assert check_grads(lambda u: leaning(u, u), (U,), rtol=0.01).passed


def test_reports_are_frozen() -> None:
    report = check_grads(np.sin, (U,))
    with pytest.raises(AttributeError):
        report.name = "other"  # type: ignore[misc]
    assert str(Check("a", None, 0.0, 0.0, "b")).split() == ["a", "–", "b"]


def test_it_refuses_what_cannot_be_checked() -> None:
    with pytest.raises(InputError, match="nothing to differentiate"):
        check_grads(lambda n: n, (3,))
    with pytest.raises(InputError, match="argnums=2"):
        check_grads(np.sin, (U,), argnums=2)
    with pytest.raises(InputError, match="order=3"):
        check_grads(np.sin, (U,), order=3)

"""check_finite names where the first harmful NaN or infinity was born, and leaves everything else as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import unspool
from unspool.errors import NonFiniteError, PolicyError, UnsupportedError
from unspool.finite import Birth, check_finite

U = np.array([4.0, 1.0, 0.25])


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


def _birth(f: Any, *args: Any) -> Birth:
    with pytest.raises(NonFiniteError) as caught:
        f(*args)
    assert "born" in str(caught.value) or "came in" in str(caught.value)
    return caught.value.birth


def _line(birth: Birth) -> str:
    assert birth.line is not None
    return birth.line.split(":")[0]


def test_a_birth_in_the_sweep_has_primitive_line_index_and_operands() -> None:
    birth = _birth(check_finite(lambda u: np.sum(np.log(u - 1.0))), U.reshape(1, 3))
    assert (birth.primitive, birth.index, birth.in_adjoint) == ("log", (0, 1), False)
    assert _line(birth) == "test_finite.py"
    assert birth.value == -np.inf
    assert "operand 0 = 0 there" in str(birth)


def test_a_birth_in_the_adjoint_is_told_apart() -> None:
    loss = check_finite(lambda u: np.sum(np.sqrt(u - 0.25)))
    assert np.isfinite(loss(U))
    birth = _birth(unspool.grad(loss), U)
    assert (birth.primitive, birth.index, birth.in_adjoint, birth.value) == ("sqrt", (2,), True, np.inf)
    assert "custom_vjp" in birth.way_out


def test_what_is_masked_away_is_not_reported() -> None:
    def masked(u: Any) -> Any:
        after = np.where(u > 0.5, np.log(u - 0.5), 0.0)
        before = np.sqrt(np.where(u > 0.5, u - 0.5, 0.0))
        return np.sum(after) + np.sum(np.where(u > 0.5, before, 0.0))

    checked = check_finite(masked)
    assert checked(U) == masked(U)
    assert np.array_equal(unspool.grad(checked)(U), unspool.grad(masked)(U))


def test_of_several_births_the_ancestor_is_named() -> None:
    def f(u: Any) -> Any:
        np.log(u - 100.0)  # nobody reads this one
        v = np.exp(1000.0 * u)
        return np.sum(v - v)

    birth = _birth(check_finite(f), U)
    assert (birth.primitive, birth.value) == ("exp", np.inf)


def test_a_rule_that_reads_an_old_nan_tells_of_it() -> None:
    @unspool.custom_vjp
    def unguarded(x: Any) -> Any:
        return np.where(x == x, x, 0.0)

    unguarded.defvjp(lambda x: (np.where(x == x, x, 0.0), x), lambda x, ct: (x * ct,))
    birth = _birth(unspool.grad(check_finite(lambda u: np.sum(unguarded(np.log(u - 2.0))))), U)
    assert birth.primitive == "unguarded"
    assert birth.before is not None
    assert birth.before.primitive == "log"
    assert "had read this: nan was born in the result of log" in str(birth)


@pytest.mark.parametrize("policy", ["none", "every-4", "revolve-3", "auto"])
def test_the_step_of_a_loop_is_named_on_both_ways(policy: str) -> None:
    def sweep(a: Any, u: Any) -> Any:
        def step(i: int, u: Any) -> Any:
            v = np.zeros_like(u)
            v[...] = u
            v *= a
            return v + u**2

        return np.sum(unspool.fori_loop(0, 30, step, u, policy=policy))

    def adjoint(a: Any, u: Any) -> Any:
        def step(i: int, u: Any) -> Any:
            return a * (np.sqrt(u - unspool.stop_gradient(u)) if i == 7 else u + 1.0)

        return np.sum(unspool.fori_loop(0, 20, step, u, policy=policy))

    for function in (check_finite(sweep), unspool.grad(check_finite(sweep)), check_finite(unspool.grad(sweep))):
        birth = _birth(function, 1.5, U)
        assert (birth.primitive, birth.place, birth.in_adjoint) == ("power", "step 8 of fori_loop", False)
    assert np.isfinite(check_finite(adjoint)(1.5, U))
    for function in (unspool.grad(check_finite(adjoint), 1), check_finite(unspool.grad(adjoint, 1))):
        birth = _birth(function, 1.5, U)
        assert (birth.primitive, birth.place, birth.in_adjoint) == ("sqrt", "step 7 of fori_loop", True)


def test_the_notes_of_the_loop_are_there_too() -> None:
    with pytest.raises(NonFiniteError) as caught:
        check_finite(lambda u: unspool.fori_loop(0, 9, lambda i, u: np.log(u), u))(2.0)
    assert "in step 2 of fori_loop" in caught.value.__notes__


def test_a_loop_in_a_loop_and_a_loop_of_unknown_length() -> None:
    def inner(u: Any, x: Any) -> Any:
        return u - x, np.sqrt(u)

    def outer(u: Any, x: Any) -> Any:
        return unspool.scan(inner, u, np.stack([x, x]))

    birth = _birth(check_finite(lambda u: unspool.scan(outer, u, np.array([1.0, 1.0, 1.0]))), 3.0)
    assert birth.place == "step 0 of scan, in step 2 of scan"
    birth = _birth(check_finite(lambda u: unspool.while_loop(lambda u: u < 1e9, lambda u: 1 / (u - 2.0), u)), 2.5)
    assert (birth.primitive, birth.place) == ("divide", "step 1 of while_loop")


def test_the_gradient_of_a_captured_array_is_watched() -> None:
    def loss(a: Any) -> Any:
        return unspool.fori_loop(0, 5, lambda i, u: u + np.sqrt(a), 1.0, policy="every-2")

    birth = _birth(unspool.grad(check_finite(loss)), 0.0)
    assert (birth.primitive, birth.place) == ("sqrt", "step 4 of fori_loop")


def test_what_came_in_is_nobodys_birth() -> None:
    birth = _birth(check_finite(lambda p: np.sum(np.sin(p["u"]))), {"u": np.array([0.0, np.nan])})
    assert (birth.primitive, birth.what, birth.index) == (None, "argument 0['u']", (1,))
    _, pullback = unspool.vjp(check_finite(np.sin), U)
    birth = _birth(pullback, np.array([1.0, np.inf, 1.0]))
    assert birth.primitive is None
    assert birth.in_adjoint
    birth = _birth(check_finite(lambda u: np.sum(u * np.array([1.0, np.nan, 1.0]))), U)
    assert "operand 1 was not finite before" in str(birth)


def test_an_infinity_in_the_initial_state_is_wanted() -> None:
    def smallest(u: Any) -> Any:
        return unspool.scan(lambda low, x: (np.minimum(low, x), None), np.inf, u)[0]

    assert check_finite(smallest)(U) == 0.25
    assert unspool.grad(check_finite(smallest))(U).tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("policy", ["none", "revolve-2", "auto"])
def test_what_is_finite_comes_out_bit_for_bit(policy: str) -> None:
    def f(p: dict[str, Any], n: int) -> Any:
        def step(i: int, state: Any) -> Any:
            u, count = state
            inner = u[1:-1]
            inner += 0.1 * np.sin(p["a"] * u[2:]) * np.abs(u[:-2])
            return u / np.sqrt(np.sum(u**2)), count + 1

        u, count = unspool.fori_loop(0, n, step, (np.copy(p["u"]), 0), policy=policy)
        return np.sum(np.linalg.solve(np.eye(4) + np.outer(u, u), u)), count

    p = {"a": 0.7, "u": np.array([1.0, -2.0, 0.5, 3.0])}
    (value, count), plain = unspool.value_and_grad(f, has_aux=True)(p, 12)
    (checked_value, checked_count), checked = unspool.value_and_grad(check_finite(f), has_aux=True)(p, n=12)
    assert (value, count) == (checked_value, checked_count) == (check_finite(f)(p, 12))
    assert plain["a"] == checked["a"]
    assert np.array_equal(plain["u"], checked["u"])


def test_forward_mode_and_second_derivatives_pass_through() -> None:
    def f(u: Any) -> Any:
        return np.sum(unspool.fori_loop(0, 6, lambda i, u: u + 0.1 * np.sin(u), u, policy="revolve-2"))

    assert np.array_equal(unspool.hvp(check_finite(f))(U, U), unspool.hvp(f)(U, U))
    assert np.array_equal(unspool.jvp(check_finite(f), (U,), (U,))[1], unspool.jvp(f, (U,), (U,))[1])


# --- as a keyword -----------------------------------------------------------------------------------------------------
def _falling(u: Any, **how: Any) -> Any:
    return np.sum(unspool.fori_loop(0, 9, lambda i, u: np.sqrt(u) - 0.1, u, **how))


FALLING = np.array([0.9, 0.005])


@pytest.mark.parametrize("how", [{}, {"policy": "none"}, {"policy": "every-4"}, {"policy": "revolve-3"}])
def test_a_loop_has_the_keyword(how: dict[str, Any]) -> None:
    def forwards(u: Any, **how: Any) -> Any:
        return unspool.jvp(lambda u: _falling(u, **how), (u,), (u,))

    for function in (_falling, unspool.grad(_falling), forwards):
        birth = _birth(lambda u, f=function: f(u, check_finite=True, **how), FALLING)
        assert (birth.primitive, birth.place, birth.index) == ("sqrt", "step 1 of fori_loop", (1,))
        assert not birth.in_adjoint

    def flat(u: Any) -> Any:
        def step(i: int, u: Any) -> Any:
            return u * 0.9 + np.sqrt(u - unspool.stop_gradient(u)) if i == 3 else u * 0.9

        return np.sum(unspool.fori_loop(0, 6, step, u, check_finite=True, **how))

    assert np.isfinite(flat(U))
    birth = _birth(unspool.grad(flat), U)
    assert (birth.primitive, birth.place, birth.in_adjoint) == ("sqrt", "step 3 of fori_loop", True)


def test_scan_and_while_loop_have_it_too() -> None:
    def by_scan(u: Any) -> Any:
        return np.sum(unspool.scan(lambda u, x: (u, u / x), u, np.array([1.0, 0.0]), check_finite=True)[1])

    def by_while(u: Any) -> Any:
        return unspool.while_loop(lambda u: u < 1e9, lambda u: 1 / (u - 2.0), u, check_finite=True)

    assert _birth(unspool.grad(by_scan), 1.0).place == "step 1 of scan"
    assert _birth(by_while, 2.5).place == "step 1 of while_loop"


@pytest.mark.parametrize("how", [{}, {"policy": "every-2"}, {"policy": "online-2"}, {"memory": "10 MB"}])
def test_grad_and_value_and_grad_have_the_keyword(how: dict[str, Any]) -> None:
    def distance(u: Any, scale: Any) -> Any:
        return float(scale) * np.sum(np.sqrt(u**2))  # what is not differentiated in stays plain

    for transform in (unspool.grad, unspool.value_and_grad):
        birth = _birth(transform(distance, check_finite=True, **how), np.array([1.0, 0.0]), 2.0)
        assert (birth.primitive, birth.index, birth.in_adjoint) == ("sqrt", (1,), True)
        assert _line(birth) == "test_finite.py"
    assert unspool.grad(distance, check_finite=True, **how)(np.array([1.0, -3.0]), 2.0).tolist() == [2.0, -2.0]
    (value, aux), gradient = unspool.value_and_grad(
        lambda u: (np.sum(u), {"name": u * 2}), has_aux=True, check_finite=True, **how
    )(U)
    assert (value, aux["name"].tolist(), gradient.tolist()) == (5.25, [8.0, 2.0, 0.5], [1.0, 1.0, 1.0])


def test_it_finds_its_way_into_loops_and_out_of_machine_code() -> None:
    birth = _birth(unspool.grad(lambda u: _falling(u, policy="every-4"), check_finite=True), FALLING)
    assert birth.place == "step 1 of fori_loop"

    def nested(u: Any, **how: Any) -> Any:
        return np.sum(unspool.fori_loop(0, 3, lambda j, u: u + _falling(u, check_finite=True), u, **how))

    assert _birth(unspool.grad(nested), FALLING).place == "step 1 of fori_loop"
    with pytest.raises(UnsupportedError, match="fori_loop with check_finite=True inside a step"):
        nested(FALLING, compile=True)


def test_a_number_that_came_in_with_the_state_is_told_from_one_that_was_born() -> None:
    birth = _birth(lambda u: _falling({"u": u}["u"], check_finite=True), np.array([1.0, np.nan]))
    assert "operand 0, state, was not finite before" in str(birth)


def test_what_the_keyword_cannot_be_together_with_is_refused() -> None:
    with pytest.raises(PolicyError, match="check_finite=True and compile=True"):
        _falling(U, check_finite=True, compile=True)
    with pytest.raises(PolicyError, match="check_finite=True and memory='1 MB'"):
        _falling(U, check_finite=True, memory="1 MB")


@pytest.mark.parametrize("policy", [None, "none", "every-2", "revolve-2"])
def test_finite_loops_have_the_same_bits_with_and_without_it(policy: Any) -> None:
    def loss(u: Any, check: bool) -> Any:
        end = unspool.fori_loop(0, 7, lambda i, u: u + 0.1 * np.sin(u) * u[0], u, policy=policy, check_finite=check)
        return np.sum(end**2)

    assert np.array_equal(unspool.grad(loss)(U, True), unspool.grad(loss)(U, False))
    hvp = unspool.hvp(lambda u: loss(u, True))(U, U)
    assert np.array_equal(hvp, unspool.hvp(lambda u: loss(u, False))(U, U))

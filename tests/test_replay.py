"""Replay by value: no false alarm, no difference that is missed, and what an alarm says."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import Any

import numpy as np
import pytest

import unspool
from tests.oracles import same_bits
from unspool import fori_loop, grad, scan, while_loop
from unspool.errors import PolicyError, ReplayError
from unspool.replay import SAMPLED, Difference, as_check, first_difference, first_sampled_difference, lockstep, sample

X = np.array([0.3, -0.2, 0.5])
POLICIES = ["every-2", "revolve-1", "revolve-3", "online-2"]


# --- no false alarm ---------------------------------------------------------------------------------------------------
PIECES: list[Callable[[Any, int], Any]] = [
    lambda u, i: u * 0.9 + 0.01 * i,
    lambda u, i: np.sin(u),
    lambda u, i: u[::-1] * 1.1,
    lambda u, i: np.where(u > 0.2, u / 0.0, u - np.inf * 0.0),  # infinities and NaN
    lambda u, i: -u * 0.0,
    lambda u, i: np.roll(u, 1) - u,
]


def test_ten_thousand_deterministic_runs_raise_no_alarm() -> None:
    rng = np.random.default_rng(0)
    n_runs = 10_000
    starts = rng.normal(size=(n_runs, 3))
    chosen = rng.integers(len(PIECES), size=(n_runs, 2))
    lengths = rng.integers(2, 5, size=n_runs)
    modes = ["digest", "digest", "sample"]
    with np.errstate(all="ignore"):
        for run in range(n_runs):
            first, second = (PIECES[k] for k in chosen[run])
            _, pullback = unspool.vjp(
                lambda u: fori_loop(
                    0,
                    lengths[run],
                    lambda i, u: second(first(u, i), i),
                    u,
                    policy=POLICIES[run % 4],
                    check=modes[run % 3],
                    compile=False,
                ),
                starts[run],
            )
            pullback(X)


@pytest.mark.parametrize("check", ["digest", "sample", "off"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.complex64, np.complex128, np.longdouble])
def test_no_alarm_for_large_and_odd_arrays_of_any_type(dtype: Any, check: Any) -> None:
    u = np.linspace(-1, 1, 70_001).astype(dtype)

    def loss(u: Any, policy: Any, check: Any) -> Any:
        end, n = fori_loop(0, 4, lambda i, s: (s[0] * s[0] - s[0], s[1] + 1), (u, 0), policy=policy, check=check)
        return np.sum(np.real(end)) + 0 * n

    expected = grad(loss)(u, "none", "digest")
    assert all(same_bits(grad(loss)(u, policy, check), expected) for policy in POLICIES)


def test_a_count_that_the_caller_writes_into_after_the_loop_is_no_false_alarm() -> None:
    def loss(u: Any, policy: Any) -> Any:
        (end, counts), ys = scan(
            lambda s, x: ((s[0] * s[0], s[1] + 1), s[1]), (u, np.zeros(2, int)), None, 5, policy=policy
        )
        counts += 7
        ys[...] = -1
        return np.sum(end)

    assert all(same_bits(grad(loss)(X, policy), grad(loss)(X, "none")) for policy in POLICIES)


# --- what is found, and said ------------------------------------------------------------------------------------------
class Calls:
    """A step whose result depends on how often it was called, in one element only."""

    def __init__(self, at: int, index: Any) -> None:
        self.at, self.index, self.n = at, index, 0

    def __call__(self, i: int, state: Any) -> Any:
        self.n += 1
        u = np.copy(state["u"])
        if i == self.at:
            u[self.index] += self.n * 1e-12
        return {"u": u, "v": (state["v"][0] * 0.9,)}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("at", [0, 2, 3])
def test_the_step_the_array_the_element_and_both_values_are_named(at: int, policy: str) -> None:
    init = {"u": np.zeros((2, 40_000)), "v": (1.0,)}
    step = Calls(at, (1, 7))
    with pytest.raises(ReplayError) as caught:
        grad(lambda v: fori_loop(0, 7, step, {**init, "v": (v,)}, policy=policy)["v"][0])(1.0)
    text = str(caught.value)
    assert "the state['u'] of fori_loop before step" in text
    assert "(at index (1, 7) it was " in text
    if at > 0 or policy == "every-2":
        assert f"Step {at}, run twice more from the same state just now, did not repeat itself in state['u']" in text


def test_a_difference_in_one_element_of_a_large_array_is_found_at_the_states_of_the_sweep() -> None:
    n = 1_000_003
    calls = [0]

    def step(i: int, u: Any) -> Any:
        calls[0] += 1
        u[123_457] += calls[0]
        return u

    with pytest.raises(ReplayError, match=r"at index \(123457,\) it was 3.0 and became"):
        grad(lambda u: np.sum(fori_loop(0, 4, step, u, policy="every-2")))(np.zeros(n))
    calls[0] = 0
    grad(lambda u: np.sum(fori_loop(0, 4, step, u, policy="every-2", check="off")))(np.zeros(n))


def test_a_sample_of_a_large_array_finds_what_is_everywhere_and_may_miss_one_element() -> None:
    n = 1_000_003
    for whole, error in (True, True), (False, False):
        calls = [0]

        def step(i: int, u: Any, whole: bool = whole) -> Any:
            calls[0] += 1
            u[... if whole else 1] += calls[0]
            return u

        def run(step: Any = step) -> Any:
            return grad(lambda u: np.sum(fori_loop(0, 4, step, u, policy="every-2", check="sample")))(np.zeros(n))

        if error:
            with pytest.raises(ReplayError, match=r"at index \(\d+,\) it was 3.0 and became"):
                run()
        else:
            assert run().sum() == n


def test_a_read_of_what_has_changed_since_is_told_from_a_step_that_does_not_repeat_itself() -> None:
    scale = np.array([0.5, 0.6, 0.7])
    _, pullback = unspool.vjp(lambda u: fori_loop(0, 6, lambda i, u: u * scale, u, policy="every-2"), X)
    scale[1] = 3.0
    with pytest.raises(
        ReplayError, match=r"what step . of fori_loop reads, scale at test_replay.py:\d+, came out differently"
    ):
        pullback(X)

    with pytest.raises(ReplayError, match=r"Step \d, run twice more .* draws random numbers, reads a clock"):
        grad(lambda u: np.sum(fori_loop(0, 6, lambda i, u: u * (monotonic_ns() % 1e9), u, policy="every-2")))(X)


@pytest.mark.parametrize("kind", ["closure", "global"])
def test_a_generator_from_the_code_around_the_loop_is_named_and_the_way_out_is_to_carry_it(kind: str) -> None:
    noise = np.random.default_rng(0)
    step = (lambda i, u: u * noise.normal()) if kind == "closure" else (lambda i, u: u * OUTER.normal())
    name = "noise" if kind == "closure" else "OUTER"
    with pytest.raises(ReplayError, match=f"reads the random generator {name} .* Carry the random generator"):
        grad(lambda u: np.sum(fori_loop(0, 6, step, u, policy="every-2")))(X)


OUTER = np.random.default_rng(0)


def test_outputs_are_compared_by_value_too() -> None:
    calls = [0]

    def step(u: Any, _: None) -> Any:
        calls[0] += 1
        return u * 0.5, {"y": u * 1.0, "n": calls[0]}

    with pytest.raises(ReplayError, match=r"the output of step \d of scan came out"):
        grad(lambda u: np.sum(scan(step, u, None, 5, policy="every-2")[0]))(X)

    def other(u: Any, _: None) -> Any:
        calls[0] += 1
        return u * 0.5, u * calls[0]

    with pytest.raises(ReplayError, match=r"output of step . of scan .* \(at index \(0,\) it was"):
        grad(lambda u: np.sum(scan(other, u, None, 5, policy="every-2")[0]))(X)


def test_checkpoint_and_while_loop_have_the_keyword() -> None:
    calls = [0]

    def f(u: Any) -> Any:
        calls[0] += 1
        return u * calls[0]

    with pytest.raises(ReplayError, match="came out differently"):
        grad(lambda u: np.sum(unspool.checkpoint(f)(u)))(X)
    calls[0] = 0
    assert grad(lambda u: np.sum(unspool.checkpoint(f, check="off")(u)))(X).tolist() == [2.0, 2.0, 2.0]

    def by_while(u: Any, check: Any) -> Any:
        return np.sum(
            while_loop(lambda s: s[1] < 5, lambda s: (f(s[0]), s[1] + 1), (u, 0), policy="every-2", check=check)[0]
        )

    with pytest.raises(ReplayError, match="came out differently"):
        grad(by_while)(X, "digest")
    assert np.all(np.isfinite(grad(by_while)(X, "off")))


@pytest.mark.parametrize("bad", ["all", True, None, 1, "Digest "])
def test_another_check_is_refused_before_the_first_step(bad: Any) -> None:
    for run in (
        lambda: fori_loop(0, 2, lambda i, u: u, 1.0, check=bad),
        lambda: scan(lambda u, x: (u, x), 1.0, None, 2, check=bad),
        lambda: while_loop(lambda u: u < 0, lambda u: u, 1.0, check=bad),
        lambda: unspool.checkpoint(lambda u: u, check=bad),
    ):
        with pytest.raises(PolicyError, match='choose "digest"'):
            run()


# --- the parts --------------------------------------------------------------------------------------------------------
def test_bits_are_compared_not_values() -> None:
    nan, other = np.array([np.nan]), np.array([0x7FF8000000000001], np.uint64).view(float)
    assert first_difference((nan, X), (nan.copy(), X.copy())) is None
    assert str(first_difference((nan,), (other,))) == "at index (0,) it was nan and became nan in other bits"
    assert first_difference((np.float64(0.0),), (np.float64(-0.0),)) == Difference(0, (), 0.0, -0.0)
    assert str(first_difference((np.float64(0.0),), (np.float64(-0.0),))) == "it was 0.0 and became -0.0"


@pytest.mark.parametrize("size", [1, 5, 255, 257, 8192, 50_000])
@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, float, complex, np.longdouble, bool])
def test_the_first_of_several_differences_is_found_wherever_it_is(dtype: Any, size: int) -> None:
    one = np.ones(size, dtype)
    for place in {0, size // 3, size - 1}:
        other = one.copy()
        other[place:] = 0
        found = first_difference((X, one), (X, other))
        assert found is not None
        assert (found.position, found.index) == (1, (place,))


def test_samples_of_successive_steps_cover_an_array() -> None:
    array = np.arange(100_000.0).reshape(100, 1000)
    stride = -(-array.size // SAMPLED)
    seen = np.concatenate([sample((array,), step)[0] for step in range(stride)])
    assert sorted(seen) == array.reshape(-1).tolist()
    other = array.copy()
    other[3, 500] = -1.0
    step = 3500 % stride
    assert first_sampled_difference(sample((array,), step), (other,), step) == Difference(0, (3, 500), 3500.0, -1.0)
    assert first_sampled_difference(sample((array,), step + 1), (other,), step + 1) is None


def test_steps_in_lockstep() -> None:
    calls = [0]

    def advance(state: Any, start: int, stop: int) -> Any:
        calls[0] += 1
        return (state[0] + (calls[0] if start == 2 else 1.0),), min(stop, 4)

    assert lockstep(advance, (X,), 0, 2) is None
    found = lockstep(advance, (X,), 0, 4)
    assert found is not None
    assert found[0] == 2
    assert lockstep(advance, (X,), 4, 9) is None  # there are no more than four


def test_names_of_the_modes() -> None:
    assert [as_check(name).value for name in ("digest", "sample", "off")] == ["digest", "sample", "off"]


def test_second_derivatives_keep_the_mode() -> None:
    calls = [0]

    def loss(u: Any, check: str) -> Any:
        def step(i: int, u: Any) -> Any:
            calls[0] += 1
            return u * u * calls[0]

        return np.sum(fori_loop(0, 4, step, u, policy="revolve-1", check=check))

    with pytest.raises(ReplayError):
        unspool.hvp(lambda u: loss(u, "digest"))(X, X)
    assert unspool.hvp(lambda u: loss(u, "off"))(X, X).shape == (3,)

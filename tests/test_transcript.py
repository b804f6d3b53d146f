"""The columns of a tape: what repeats is found, what comes from outside is laid as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from tests.oracles import same_bits
from unspool.ir.listener import listening
from unspool.segments import Forgetful
from unspool.transcript import Transcript


def heard(f: Any, x: Any) -> Transcript:
    tape = Forgetful(unspool.Online(2), None, "f")
    with listening(tape):
        f(tape.input(x))
        tape.close()
    return tape.transcript


def looping(x: Any) -> Any:
    u = np.exp(x)
    for _ in range(60):
        slope = u[1:] - u[:-1]
        wide = np.tanh(slope) * np.sin(slope)
        u = np.copy(u)
        u[1:] += 0.1 * wide
    return u


def test_a_loop_is_found_with_the_place_where_least_is_still_to_be_read() -> None:
    transcript = heard(looping, np.linspace(0, 1, 100))
    period = transcript.period()
    assert period is not None
    assert (len(transcript) - 2) % period == 0
    place, n_bytes = transcript.narrowest(period)
    assert len(transcript) - 2 * period <= place < len(transcript) - period
    assert n_bytes <= 2 * (800 + 200)  # u, and what a view of it was taken for


def test_what_does_not_repeat_has_no_period() -> None:
    functions = [np.sin, np.cos, np.tanh, np.exp, np.negative]
    rng = np.random.default_rng(0)

    def f(x: Any) -> Any:
        for k in rng.integers(0, 5, 300):
            x = 0.1 * functions[k](x)
        return x

    assert heard(f, np.float64(0.3)).period() is None
    assert heard(np.sin, np.float64(0.3)).period() is None


@pytest.mark.parametrize(
    "value",
    [
        np.arange(12.0).reshape(3, 4)[:, ::2],
        np.arange(12.0).reshape(3, 4)[::-1, ::-2],
        np.broadcast_to(np.arange(3.0), (4, 3)),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
        np.zeros((0, 3)),
        np.array(2.5),
        np.array([True, False])[::-1],
    ],
    ids=lambda value: f"{value.shape}, {value.strides}",
)
def test_a_plain_array_is_kept_with_its_strides_and_once(value: np.ndarray) -> None:
    transcript = Transcript()
    number = transcript.operand(value)
    kept = transcript.constants[~number]
    assert same_bits(kept, value)
    assert kept.strides == value.strides
    assert not np.shares_memory(kept, value)
    again = np.lib.stride_tricks.as_strided(value, value.shape, value.strides)
    assert transcript.operand(again) == number
    assert same_bits(transcript.residual(number), value)


def test_a_plain_array_that_was_written_into_is_kept_anew() -> None:
    transcript = Transcript()
    buffer = np.zeros(2000)
    first = transcript.operand(buffer)
    assert transcript.operand(buffer) == first
    buffer[7] = -0.0
    second = transcript.operand(buffer)
    assert second != first
    assert np.signbit(transcript.constants[~second][7])


def test_numbers_are_shared_by_their_bits_and_type() -> None:
    transcript = Transcript()
    numbers = [0.0, -0.0, 0, False, np.float64(0), np.float32(0), 0j, float("nan"), None]
    found = [transcript.operand(number) for number in numbers]
    assert len(set(found)) == len(numbers)
    assert [transcript.operand(number) for number in numbers] == found


def test_the_table_of_what_is_known_stays_bounded() -> None:
    transcript = Transcript()
    for k in range(10_000):
        transcript.operand(float(k))
    assert len(transcript._known) <= 4096
    assert transcript.constants == [float(k) for k in range(10_000)]

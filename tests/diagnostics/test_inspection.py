"""What becomes of a step, shown."""

import numpy as np
import pytest

import unspool
from unspool.errors import DetachedError


def test_a_small_step_shows_programs_code_and_what_is_kept() -> None:
    def step(i: int, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"u": np.tanh(state["u"]) * state["v"], "v": state["v"]}

    seen = unspool.inspect(step, {"u": np.ones(2), "v": np.ones(2)})
    assert [e.primitive.name for e in seen.advance.equations] == ["tanh", "multiply"]
    assert seen.residual_bytes == 32
    assert "def drive(" in seen.source
    assert seen.source.count("math.tanh(s0)") == 3  # advance, record, and again in reverse
    text = str(seen)
    assert "adjoint:" in text
    assert "the state, 32 B" in text
    assert "compiled in" in text
    assert "compiled before" in str(unspool.inspect(step, {"u": np.zeros(2), "v": np.zeros(2)}))


def test_a_large_step_shows_why_it_is_not_compiled() -> None:
    seen = unspool.inspect(lambda i, u: np.sin(u), np.ones(100_000))
    assert seen.source is None
    assert "statements" in str(seen)


def test_a_step_that_cannot_be_traced_raises() -> None:
    with pytest.raises(DetachedError, match="branch"):
        unspool.inspect(lambda i, u: u if u[0] > 0 else -u, np.ones(2))

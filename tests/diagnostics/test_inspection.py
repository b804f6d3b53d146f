"""What becomes of a step, shown."""

import numpy as np
import pytest

import unspool
from unspool import inspect
from unspool.errors import DetachedError, InputError, StateError, UnsupportedError


def test_a_small_step_shows_programs_code_and_what_is_kept() -> None:
    def step(i: int, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"u": np.tanh(state["u"]) * state["v"], "v": state["v"]}

    seen = unspool.inspect(step, {"u": np.ones(2), "v": np.ones(2)})
    assert [e.primitive.name for e in seen.advance.equations] == ["tanh", "multiply"]
    assert seen.residual_bytes == 32
    assert all(f"def {name}(a):" in seen.source for name in ("advance", "record", "reverse"))
    assert seen.source.count("= tanh(s0)") == 3  # advance, record, and again in reverse
    text = str(seen)
    assert "adjoint:" in text
    assert "kept per recorded step: 32 B" in text
    assert [row[2:] for row in seen.residuals.rows[:3]] == [("kept", "16 B"), ("kept", "16 B"), ("computed again", "")]
    assert seen.residuals.rows[2][0].startswith("tanh, test_inspection.py:")
    assert "compiled in" in text
    assert "compiled before" in str(unspool.inspect(step, {"u": np.zeros(2), "v": np.zeros(2)}))


def test_a_step_on_fields_shows_its_nests_and_what_is_kept_beside_the_state() -> None:
    cheap = unspool.inspect(lambda i, u: u * u + u, np.ones(100_000))
    assert cheap.source.count("for i0 in range(0, 100000):") == 3  # advance, renew, reverse
    assert cheap.residual_bytes == 800_000 + 192
    expensive = unspool.inspect(lambda i, u: np.sort(np.sin(u)) * u, np.ones(1000))
    assert expensive.residual_bytes > 2 * 8000
    assert (
        expensive.residual_bytes == unspool.inspect(lambda i, u: np.sort(np.sin(u)) * u, np.zeros(1000)).residual_bytes
    )
    fates = {row[0].partition(",")[0]: row[2:] for row in expensive.residuals.rows}
    assert fates["argsort"] == ("kept", "8.00 kB")
    assert fates["cos"] == ("computed again", "")
    assert "lines of code" in str(expensive)


def test_a_step_that_is_refused_shows_why() -> None:
    seen = unspool.inspect(lambda i, u: np.real(np.exp(1j * u)), np.ones(2))
    assert (seen.source, seen.seconds, seen.residual_bytes) == (None, None, None)
    assert "not compiled: multiply in test_inspection.py:" in str(seen)


def test_a_step_that_branches_shows_the_path_of_its_first_step() -> None:
    for start, expected in ((1.0, "multiply"), (-1.0, "negative")):
        seen = unspool.inspect(lambda i, u: u * 2.0 if u[0] > 0 else -u, np.full(2, start))
        assert expected in [e.primitive.name for e in seen.advance.equations]
        assert seen.adjoint.watched


def test_a_step_that_cannot_be_traced_raises() -> None:
    with pytest.raises(DetachedError, match="float"):
        unspool.inspect(lambda i, u: u * float(u[0]), np.ones(2))


def test_a_state_that_is_not_made_of_arrays_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"state\[1\] is a random generator"):
        unspool.inspect(lambda i, s: s, (np.ones(2), np.random.default_rng(0)))
    with pytest.raises(InputError, match=r"state\['u'\] of inspect is of type str"):
        unspool.inspect(lambda i, s: s, {"u": "text"})


def test_whole_numbers_in_the_state_are_floats_in_the_program() -> None:
    seen = inspect(lambda i, s: (s[0] + 1, s[1] * 2.0 + s[0], ~s[2]), (0, np.ones(3), True))
    assert [str(t) for t in seen.adjoint.state] == ["f64[]", "f64[3]", "f64[]"]
    assert seen.residual_bytes == 40
    assert not seen.adjoint.watched


def test_a_step_that_changes_the_structure_of_its_state_is_an_error() -> None:
    with pytest.raises(StateError, match="the state of inspect changed its structure"):
        inspect(lambda i, s: (s, s), 1.0)

"""The demo fits, checks its gradient, finds the policies bitwise equal, and draws."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.oracles import complex_step, same_bits
from unspool.demo import GUESS, LYNX, PELTS, YEARS, compare, demo, loss_of, simulate_pelts
from unspool.schedules import Every, Revolve, StoreAll
from unspool.transforms import value_and_grad


def test_the_record_is_that_of_twenty_one_years() -> None:
    assert YEARS[0] == 1900
    assert PELTS.shape == (21, 2)
    assert PELTS[3].tolist() == [77.4, 35.2]
    assert len(LYNX) == 21


def test_the_simulation_is_runge_kutta_of_the_fourth_order() -> None:
    fine = simulate_pelts(GUESS, 160, policy=StoreAll())[-1]
    errors = [np.abs(simulate_pelts(GUESS, n, policy=StoreAll())[-1] - fine).max() for n in (10, 20)]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.35)


def test_the_gradient_is_that_of_the_complex_step_and_equal_under_every_policy() -> None:
    gradients = [value_and_grad(loss_of(4, policy=policy))(GUESS)[1] for policy in (StoreAll(), Every(7), Revolve(3))]
    np.testing.assert_allclose(gradients[0], complex_step(loss_of(4, policy=StoreAll()), GUESS, h=1e-100), rtol=1e-10)
    assert same_bits(gradients[0], gradients[1])
    assert same_bits(gradients[0], gradients[2])


def test_policies_are_compared_by_steps_and_bytes() -> None:
    log, seconds, equal = compare(4, GUESS)
    assert equal
    assert len(log) == len(seconds)
    assert {r.n_steps for r in log} == {80}
    (everything,) = [r for r in log if isinstance(r.policy, StoreAll)][-1:]
    assert everything.steps == 80
    assert all(r.peak_bytes < everything.peak_bytes for r in log if isinstance(r.policy, Every | Revolve))
    assert all(r.steps == r.predicted_steps for r in log)


def test_the_demo_prints_a_fit_a_check_and_a_table_and_writes_two_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo(steps_per_year=4, out=tmp_path / "pictures")
    text = capsys.readouterr().out
    assert "80 Runge-Kutta steps" in text
    before, after = map(float, re.findall(r"residual\s+([\d.]+)\s+([\d.]+)", text)[0])
    assert after < before / 2
    difference = re.findall(r"difference (\S+)", text)[0]
    assert abs(float(difference)) < 1e-8
    assert "bitwise equal: yes" in text
    assert "revolve-30" in text
    for name in ("unspool-demo-fit.png", "unspool-demo-memory.png"):
        assert name in text
        assert (tmp_path / "pictures" / name).read_bytes().startswith(b"\x89PNG")
    assert "no pictures" not in text


def test_the_demo_returns_what_it_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    found = demo(steps_per_year=4, out=tmp_path, tell=told.append)
    assert capsys.readouterr().out == ""
    assert f"{found['residual']['after']:8.4f}" in "\n".join(told)
    assert len(found["policies"]) == 6
    assert found["bitwise_equal"]

"""Values that a derivative does not see, in steps that are compiled: constants, or refused, never taken for others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import unspool
import unspool.worth
from tests.oracles import same_bits
from unspool import fori_loop, grad, value_and_grad
from unspool.errors import UnspoolError

U = np.array([0.0, 1.0, 2.0])

STEPS: dict[str, Any] = {
    "where": lambda i, u: np.where(unspool.stop_gradient(u) == 0.0, 7.0, u * 0.9),
    "branch on equality": lambda i, u: u * (0.5 if unspool.stop_gradient(u[0]) == 0.0 else 0.9),
    "branch on truth": lambda i, u: u * (0.5 if unspool.stop_gradient(u[0]) else 0.9),
    "factor": lambda i, u: u * unspool.stop_gradient(u),
    "number of the step": lambda i, u: u * (0.5 if unspool.stop_gradient(i) == 0 else 0.9),
    "many steps": lambda i, u: fori_loop(0, 65, lambda j, v: 0.99 * v, u),
    "while_loop": lambda i, u: unspool.while_loop(lambda v: np.sum(v) > 5.0, lambda v: 0.9 * v, u),
}
REFUSED: dict[str, Any] = {
    "plain number": lambda i, u: u * float(unspool.stop_gradient(u[0])),
    "plain array": lambda i, u: u * np.asarray(unspool.stop_gradient(u)),
    "plain functions": lambda i, u: u + math.sin(unspool.stop_gradient(u[0])),
    "many trips": lambda i, u: unspool.while_loop(lambda v: np.sum(v) > 1e-9, lambda v: 0.9 * v, u),
}


def _loss(step: Any, **options: Any) -> Any:
    return lambda u: np.sum(fori_loop(0, 5, step, u, **options) ** 2)


@pytest.mark.parametrize("name", STEPS)
def test_a_value_without_a_derivative_is_compiled(name: str) -> None:
    found = value_and_grad(_loss(STEPS[name], compile=True))(U)
    expected = value_and_grad(_loss(STEPS[name], compile=False))(U)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)


@pytest.mark.parametrize("name", REFUSED)
def test_what_takes_plain_values_out_of_a_trace_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unspool.worth, "ENOUGH_STEPS", 5)
    step = REFUSED[name]
    assert same_bits([*value_and_grad(_loss(step))(U)], [*value_and_grad(_loss(step, compile=False))(U)])
    with pytest.raises(UnspoolError):
        grad(_loss(step, compile=True))(U)

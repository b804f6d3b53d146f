"""A value of which only the type is known is turned into a plain one: silently wrong, or an error that says nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
import unspool.loop
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
    "while_loop": lambda i, u: unspool.while_loop(lambda v: np.sum(v) > 5.0, lambda v: 0.9 * v, u),
    "many steps": lambda i, u: fori_loop(0, 65, lambda j, v: 0.99 * v, u),
}


@pytest.mark.parametrize("name", STEPS)
def test_what_takes_plain_values_out_of_a_trace_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def loss(u: Any, **options: Any) -> Any:
        return np.sum(fori_loop(0, 5, STEPS[name], u, **options) ** 2)

    monkeypatch.setattr(unspool.loop, "ENOUGH_STEPS", 5)
    assert same_bits([*value_and_grad(loss)(U)], [*value_and_grad(lambda u: loss(u, compile=False))(U)])
    with pytest.raises(UnspoolError):
        grad(lambda u: loss(u, compile=True))(U)

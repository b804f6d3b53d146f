"""The Taylor test sees order 2 where the gradient is right and order 1 where it is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from unspool.errors import InputError
from unspool.testing.taylor import TaylorTable, taylor_test


def _wrong(x: Any) -> Any:
    @unspool.custom_vjp
    def sine(x: Any) -> Any:
        return np.sin(x)

    sine.defvjp(lambda x: (np.sin(x), x), lambda x, ct: (ct * np.cos(x) * 1.01,))
    return np.sum(sine(x))


def test_a_right_gradient_leaves_a_remainder_of_order_two() -> None:
    table = taylor_test(lambda p: np.sum(np.exp(p["a"])) * p["b"], {"a": np.array([0.3, -1.0]), "b": 2.0})
    assert table.passed
    assert table.first_orders == pytest.approx((1.0,) * 5, abs=0.05)
    assert table.second_orders == pytest.approx((2.0,) * 5, abs=0.05)
    assert "is right" in str(table)


def test_a_wrong_gradient_leaves_a_remainder_of_order_one() -> None:
    table = taylor_test(_wrong, np.array([0.3, 1.0]), levels=[1e-4, 1e-5, 1e-6])
    assert not table.passed
    assert table.order == pytest.approx(1.0, abs=0.05)
    assert "should be of order 2" in str(table)


def test_a_linear_function_leaves_noise_only() -> None:
    table = taylor_test(np.sum, np.ones(3))
    assert table.order == float("inf")
    assert table.passed
    assert "to the last digits" in str(table)


def test_it_goes_through_a_checkpointed_loop_in_single_precision() -> None:
    def loss(u: Any) -> Any:
        return np.sum(unspool.fori_loop(0, 30, lambda i, u: u + np.float32(0.1) * np.sin(u), u, policy="revolve-3"))

    assert taylor_test(loss, np.linspace(0, 1, 4, dtype=np.float32), levels=[0.3, 0.1, 0.03]).passed


def test_a_direction_can_be_given_and_its_length_counts() -> None:
    one, two = (taylor_test(lambda x: x**3, 2.0, v, levels=2) for v in (1.0, 2.0))
    assert two.slope == 2 * one.slope == 24.0


def test_the_table_in_a_notebook_has_a_row_per_level() -> None:
    html = taylor_test(lambda x: x**2, 1.0, levels=4)._repr_html_()
    assert html.count("<tr>") == 5
    assert "order" in html


def test_noise_and_nan_have_no_order() -> None:
    table = TaylorTable((1.0, 0.5), (1.0, float("nan")), (1.0, float("nan")), 0.0, 1e-9)
    assert not table.passed
    assert np.isnan(table.order)


@pytest.mark.parametrize("levels", [1, 0, [0.1], [0.1, 0.2], [0.1, -0.1]])
def test_it_refuses_levels_that_make_no_table(levels: Any) -> None:
    with pytest.raises(InputError, match="levels="):
        taylor_test(lambda x: x, 1.0, levels=levels)

"""The tape: append-only, swept without recursion, holding no more than the way back reads."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import Any

import numpy as np
import pytest

import unspool
from tests.oracles import same_bits
from unspool.errors import ClosedError
from unspool.ir.listener import active, current, listening
from unspool.tape import Bundle, Copies, Tape, cotangents, held, pulled


def test_a_tape_of_a_million_nodes_is_swept_under_the_default_recursion_limit() -> None:
    limit = sys.getrecursionlimit()
    assert limit <= 3000

    def f(x: Any) -> Any:
        u = x
        for _ in range(500_000):
            u = u * 0.999999 + x
        return u

    gradient = unspool.grad(f)(1.0)
    ratio = 0.999999**500_000
    assert gradient == pytest.approx(ratio + (1 - ratio) / 1e-6, rel=1e-9)
    assert sys.getrecursionlimit() == limit


def test_a_pullback_over_many_nodes_dies_without_recursion() -> None:
    def f(x: Any) -> Any:
        for _ in range(100_000):
            x = np.negative(x)
        return x

    _, pullback = unspool.vjp(f, 1.0)
    assert pullback(1.0) == (1.0,)
    assert pullback(2.0) == (2.0,)
    del pullback
    gc.collect()


def test_residuals_are_freed_as_the_sweep_passes_them() -> None:
    alive: list[int] = []
    residuals: list[Any] = []

    @unspool.custom_vjp
    def square(x: Any) -> Any:
        return x * x

    class Residual:
        def __init__(self, x: Any) -> None:
            self.x = x

    def fwd(x: Any) -> Any:
        residual = Residual(x)
        residuals.append(weakref.ref(residual))
        return x * x, residual

    def bwd(residual: Any, ct: Any) -> Any:
        alive.append(sum(ref() is not None for ref in residuals))
        return (2 * residual.x * ct,)

    square.defvjp(fwd, bwd)

    def f(x: Any) -> Any:
        for _ in range(6):
            x = square(x)
        return x

    gc.disable()  # freed by the sweep, not by a collection
    try:
        assert unspool.grad(f)(1.0) == 64.0
    finally:
        gc.enable()
    assert alive == [6, 5, 4, 3, 2, 1]
    assert all(ref() is None for ref in residuals)


def test_values_that_no_rule_reads_are_not_kept() -> None:
    refs: list[Any] = []

    def f(x: Any) -> Any:
        y = x + 1.0
        refs.append(weakref.ref(y.value))
        z = y - 3.0
        refs.append(weakref.ref(z.value))
        del y
        w = np.exp(z)
        refs.append(weakref.ref(w.value))
        del z
        out = np.sum(w)
        del w
        assert [ref() is not None for ref in refs] == [False, False, True]
        return out

    gradient = unspool.grad(f)(np.zeros(3))
    np.testing.assert_allclose(gradient, np.exp(-2.0))


def test_reading_n_rows_costs_of_the_order_of_n_on_the_way_back() -> None:
    n = 4000
    x = np.ones((n, 50))

    def f(x: Any) -> Any:
        total: Any = 0.0
        for k in range(n):
            total = total + x[k, 0] * x[k, 1]
        return total

    gradient = unspool.grad(f)(x)  # a dense cotangent per read would take 1.6 MB times 8000
    assert gradient[:, :2].sum() == 2 * n
    assert gradient.sum() == 2 * n


def test_a_plain_array_that_is_used_often_is_copied_once() -> None:
    copies = Copies()
    big = np.ones(4096)
    first = copies.of(big)
    assert copies.of(big) is first
    big[7] = -1.0
    second = copies.of(big)
    assert second is not first
    assert (first[7], second[7]) == (1.0, -1.0)
    assert not np.shares_memory(first, big)
    small = np.ones(2)
    assert copies.of(small) is not small


@pytest.mark.parametrize("change", [np.nan, -0.0])
def test_a_copy_serves_again_only_while_every_bit_is_the_same(change: float) -> None:
    copies = Copies()
    for make in (lambda: np.zeros(2000), lambda: np.zeros(4000)[::2], lambda: np.zeros((40, 50)).T):
        array = make()
        first = copies.of(array)
        array[0] = change
        second = copies.of(array)
        assert np.array_equal(np.signbit(second), np.signbit(array))
        assert np.array_equal(second, array, equal_nan=True)
        assert not np.any(np.signbit(first) | np.isnan(first))


def test_a_tape_that_does_not_record_holds_nothing() -> None:
    tape = Tape(recording=False)
    with listening(tape):
        x = tape.constant(np.ones(3))
        y = np.sin(x) * x + x[1:].sum()
        y[0] = 7.0
    assert tape.nodes == []
    assert tape.node_of(y) == -1
    assert y.value[0] == 7.0


def test_a_sweep_from_several_seeds_adds_them_up_and_leaves_the_tape_as_it_was() -> None:
    tape = Tape()
    with listening(tape):
        x = tape.input(np.array([1.0, 2.0]))
        y = x * x
        z = y[1:]
    seeds = [(y.node, np.ones(2)), (z.node, np.array([10.0])), (y.node, np.ones(2)), (-1, np.ones(9))]
    n = len(tape.nodes)
    first = tape.sweep(list(seeds), free=False)
    assert first[0].tolist() == [4.0, 48.0]
    assert same_bits(tape.sweep(list(seeds), free=False), first)
    assert len(tape.nodes) == n
    assert tape.sweep([], free=False) == [None]
    assert tape.sweep(list(seeds), free=True)[0].tolist() == [4.0, 48.0]
    assert not any(tape.nodes)


def test_seeds_are_not_written() -> None:
    tape = Tape()
    with listening(tape):
        x = tape.input(np.ones(3))
        y = x + x[::-1] + x
    seed = np.arange(3.0)
    doubled = tape.sweep([(y.node, seed), (y.node, seed)], free=False)
    assert doubled[0].tolist() == [4.0, 6.0, 8.0]
    assert seed.tolist() == [0.0, 1.0, 2.0]


def test_a_closed_tape_hears_nothing() -> None:
    tape = Tape()
    with listening(tape):
        x = tape.input(np.float64(1.0))
    tape.close()
    with pytest.raises(ClosedError):
        x + 1
    assert active() == []
    assert current() is None


def test_levels_count_from_the_outermost() -> None:
    outer, inner = Tape(), Tape()
    with listening(outer), listening(inner):
        assert (outer.level, inner.level) == (0, 1)
        x, y = outer.input(np.float64(2.0)), inner.input(np.float64(3.0))
        z = x * y
        assert z.listener is inner
        assert z.value.listener is outer
        assert current() is inner
    assert active() == []


def test_cotangents_of_several_results_are_gathered() -> None:
    one = Bundle((np.ones(2), None)) + Bundle((np.ones(2), np.zeros(1)))
    first, second = one.dense()
    assert first.tolist() == [2.0, 2.0]
    assert second.tolist() == [0.0]
    assert Bundle((None, None)).dense() == (None, None)


def test_what_a_tape_holds_can_be_listed() -> None:
    tape = Tape()
    with listening(tape):
        x = tape.input(np.ones(100))
        np.sin(x) * x
    arrays = [part for part in held(tape) if isinstance(part, np.ndarray)]
    assert any(part is x.value for part in arrays)
    assert len(arrays) == 3


def test_a_sweep_that_keeps_what_it_passes_arrives_at_the_same_bits() -> None:
    tape = Tape()
    with listening(tape):
        x = tape.input(np.array([1.0, 2.0, 3.0]))
        y = np.exp(x[1:]) * x[:2]
        values, _ = np.linalg.eigh(np.outer(y, y) + np.diag(x[:2]))
        z = np.sum(values) + x[2] * y[0] + x[2]
    expected = tape.sweep([(z.node, np.float64(1.0))], free=False)
    cts = cotangents(tape, z.node, np.float64(1.0))
    assert same_bits([cts[x.node]], expected)
    assert cts[y.node].shape == (2,)
    for node, ct in enumerate(cts):
        if tape.nodes[node] is not None and ct is not None:
            parts = pulled(tape, node, ct)
            assert all(isinstance(part, np.ndarray | np.generic | tuple) for part in parts)
    assert tape.sweep([(z.node, np.float64(1.0))], free=False)[0].tolist() == expected[0].tolist()

"""backward() and grad as PyTorch has them, and errors where it would be silent."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import unspool
from tests.oracles import same_bits
from unspool.errors import ClosedError, InputError, StateError, UnsupportedError
from unspool.ir.listener import active


def loss(w: Any, b: Any) -> Any:
    h = np.tanh(w @ np.array([1.0, -2.0]) + b)
    h[0] *= 2.0
    return np.sum(h**2)


W, B = np.linspace(-1, 1, 6).reshape(3, 2), np.array([0.1, 0.2, 0.3])


def test_the_gradient_is_that_of_grad_to_the_last_bit() -> None:
    with unspool.recording() as tape:
        w, b = tape.variable(W), tape.variable(B)
        assert (w.grad, b.grad) == (None, None)
        loss(w, b).backward()
    assert same_bits([w.grad, b.grad], unspool.grad(loss, (0, 1))(W, B))


def test_gradients_add_up_until_they_are_set_to_none() -> None:
    with unspool.recording() as tape:
        x, unused = tape.variable(np.array([1.0, 2.0])), tape.variable(3.0)
        y = np.sum(x**2)
        y.backward()
        first = x.grad
        y.backward()
        (x[0] * 10.0).backward()
        assert x.grad.tolist() == [14.0, 8.0]
        assert first.tolist() == [2.0, 4.0]  # what was taken stays what it was
        assert unused.grad == 0.0
        x.grad = None
        assert (x.grad, unused.grad) == (None, 0.0)
        y.backward()
        assert x.grad.tolist() == [2.0, 4.0]
        tape.zero_grad()
        assert (x.grad, unused.grad) == (None, None)


def test_a_gradient_can_be_scaled_and_replaced() -> None:
    with unspool.recording() as tape:
        x = tape.variable(np.array([3.0, 4.0]))
        np.sum(x**2).backward()
        x.grad *= 0.5
        assert x.grad.tolist() == [3.0, 4.0]
        mine = np.array([1.0, 1.0])
        x.grad = mine
        mine[0] = 9.0
        np.sum(x).backward()
        assert x.grad.tolist() == [2.0, 2.0]
        with pytest.raises(InputError, match=r"the gradient is f64\[3\]; expected f64\[2\]"):
            x.grad = np.ones(3)


def test_a_cotangent_for_what_is_no_number() -> None:
    ct = np.array([1.0, 10.0])
    with unspool.recording() as tape:
        x = tape.variable(np.array([1.0, 2.0]))
        z = tape.variable(1.0 + 2.0j)
        y = x**3
        with pytest.raises(InputError, match=r"backward\(\) of a value f64\[2\] needs to know its cotangent"):
            y.backward()
        with pytest.raises(InputError, match=r"the cotangent is f64\[\]; expected f64\[2\]"):
            y.backward(1.0)
        y.backward(ct)
        ct[0] = 7.0
        assert x.grad.tolist() == [3.0, 120.0]
        with pytest.raises(InputError, match=r"c128\[\] needs to know its cotangent"):
            (z * z).backward()
        (z * z).backward(1.0)
        assert z.grad == 2 * (1 + 2j)
        x.grad = None
        x.backward(np.array([5.0, 6.0]))  # a variable depends on itself
        assert x.grad.tolist() == [5.0, 6.0]


def test_variables_are_copies_of_their_own_dtype() -> None:
    array = np.ones(2, np.float32)
    with unspool.recording() as tape:
        x = tape.variable(array)
        array[0] = 5.0
        y = np.sum(x * x)
        y.backward()
        late = tape.variable(2.0)
        (late * y).backward()
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [6.0, 6.0]
    assert late.grad == 2.0
    with unspool.recording() as tape, pytest.raises(InputError, match="the value of a variable is of type i64"):
        tape.variable(3)


def test_views_and_writes_into_copies() -> None:
    with unspool.recording() as tape:
        x = tape.variable(np.arange(3.0))
        u = np.copy(x)
        part = u[1:]
        part *= 3.0
        np.sum(u**2).backward()
        assert x.grad.tolist() == [0.0, 18.0, 36.0]
        for write in (lambda: x.__setitem__(0, 1.0), lambda: x[1:].fill(2.0), lambda: x.__iadd__(1.0)):
            with pytest.raises(StateError, match=r"written in place.*np\.copy\(x\)"):
                write()
        assert x.value.tolist() == [0.0, 1.0, 2.0]


def test_loops_keep_their_policy() -> None:
    def run(x: Any) -> Any:
        return unspool.fori_loop(0, 20, lambda i, u: u + 0.1 * np.sin(u) * x, x, policy="revolve-3")

    with unspool.recording() as tape, unspool.observe() as log:
        x = tape.variable(np.array([0.3, 0.4]))
        np.sum(run(x)).backward()
    assert same_bits([x.grad], [unspool.grad(lambda x: np.sum(run(x)))(np.array([0.3, 0.4]))])
    assert log[0].policy == unspool.Revolve(3)
    assert log[0].reversed


def test_a_loop_can_be_gone_back_through_twice() -> None:
    with unspool.recording() as tape:
        x = tape.variable(1.5)
        y = unspool.fori_loop(0, 5, lambda i, u: u * x, 1.0, policy="every-2")
        y.backward()
        y.backward()
    assert x.grad == pytest.approx(2 * 5 * 1.5**4)


def test_inside_and_around_transforms() -> None:
    with unspool.recording() as tape:
        x = tape.variable(2.0)
        slope = unspool.grad(lambda y: y**3 * x)(x)  # 3 y² x at y = x
        slope.backward()
        assert x.grad == pytest.approx(9 * 2.0**2)

    def by_hand(w: Any) -> Any:
        with unspool.recording() as tape:
            x = tape.variable(w)
            (x**3).backward()
            return x.grad

    assert by_hand(2.0) == 12.0
    assert unspool.grad(by_hand)(2.0) == 12.0  # the derivative of 3 w²


def test_after_the_block_gradients_are_read_and_nothing_else_is_done() -> None:
    with unspool.recording() as tape:
        x = tape.variable(np.ones(2))
        y = np.sum(x * x)
        y.backward()
    assert x.grad.tolist() == [2.0, 2.0]
    for use in (y.backward, lambda: x + 1, lambda: np.sin(y)):
        with pytest.raises(ClosedError, match="after its recording had ended"):
            use()
    assert tape.nodes == []
    assert active() == []


def test_an_error_in_the_block_closes_it() -> None:
    kept = []

    def failing() -> None:
        with unspool.recording() as tape:
            kept.append(tape.variable(1.0))
            kept[0] / (1 // 0)

    with pytest.raises(ZeroDivisionError):
        failing()
    assert active() == []
    with pytest.raises(ClosedError):
        kept[0] * 2


def test_what_is_no_variable_says_so() -> None:
    with unspool.recording() as tape:
        x = tape.variable(2.0)
        y = x * x
        with pytest.raises(InputError, match="only what tape"):
            y.grad  # noqa: B018
        with pytest.raises(InputError, match="only what tape"):
            y.grad = None
        with pytest.raises(InputError, match="depends on no variable of this recording"):
            (unspool.stop_gradient(x) * tape.constant(1.0)).backward()

    def f(x: Any) -> Any:
        with pytest.raises(UnsupportedError, match=r"x\.backward\(\) is for values of `with unspool\.recording\(\)"):
            (x * x).backward()
        with pytest.raises(UnsupportedError, match=r"x\.grad is for values"):
            x.grad = None
        return x

    assert unspool.grad(f)(1.0) == 1.0


def test_backward_inside_a_step_is_refused() -> None:
    with unspool.recording() as tape:
        x = tape.variable(2.0)
        y = x * x

        def step(i: int, u: Any) -> Any:
            y.backward()
            return u * x

        with pytest.raises(StateError, match="was called inside a step of the loop"):
            unspool.fori_loop(0, 2, step, 1.0, policy="none")


def test_two_recordings_and_two_threads() -> None:
    with unspool.recording() as outer:
        x = outer.variable(3.0)
        with unspool.recording() as inner:
            y = inner.variable(2.0)
            (x * y * y).backward()
            assert y.grad.value == 12.0  # 2 x y, on the outer tape
            slope = y.grad
        slope.backward()
        assert x.grad == 4.0

    results: list[Any] = []

    def work(k: float) -> None:
        with unspool.recording() as tape:
            x = tape.variable(k)
            (x * x).backward()
            results.append((k, x.grad))

    threads = [threading.Thread(target=work, args=(float(k),)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [(float(k), 2.0 * k) for k in range(8)]


def test_training_frees_every_recording() -> None:
    """Gradient descent to the least squares solution, one recording for each step."""
    rng = np.random.default_rng(0)
    a, target = rng.normal(size=(20, 3)), rng.normal(size=20)
    weights = np.zeros(3)
    alive: list[Any] = []
    gc.disable()
    try:
        for _ in range(300):
            with unspool.recording() as tape:
                w = tape.variable(weights)
                residual = a @ w - target
                alive.append(weakref.ref(residual.value))
                (residual @ residual / 20).backward()
            weights = weights - 0.3 * w.grad
            del residual
        assert all(ref() is None for ref in alive)
    finally:
        gc.enable()
    np.testing.assert_allclose(weights, np.linalg.lstsq(a, target, rcond=None)[0], rtol=1e-9)

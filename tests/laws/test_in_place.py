"""A machine that drives traced arrays and NumPy's own through the same reads, writes and views.

After every rule all values that are alive have NumPy's bits. In the end, and in the middle, the gradient is that of the
complex step, taken by driving complex arrays through the same: aliasing is NumPy's business there.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import unspool
from tests.oracles import same_bits
from unspool.ir.listener import listening
from unspool.tape import Tape

pytestmark = pytest.mark.filterwarnings("ignore::unspool.errors.ZeroGradientWarning")  # of drawn programs

STEP = 1e-200
START = np.linspace(-1.0, 1.3, 6)
AT_MOST = 12  # arrays that are alive

Act = Callable[[list[Any]], Any]
"""What a rule does to the arrays that are alive; what it returns joins them."""


def carried_out(act: Act, alive: list[Any]) -> None:
    made = act(alive)
    if made is not None:
        alive.append(made)


def like(v: Any, c: float, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Plain numbers for an array, all different."""
    shape = v.shape if shape is None else shape
    return c + np.cos(np.arange(float(np.prod(shape))).reshape(shape) + c)


def positive(v: Any) -> Any:
    return np.real(v) > 0.1


VIEWS: dict[str, Callable[[Any], Any]] = {
    "whole": lambda v: v[...],
    "tail": lambda v: v[1:],
    "head": lambda v: v[:-1],
    "reverse": lambda v: v[::-1],
    "every other": lambda v: v[::2],
    "row": lambda v: v[-1, ...],
    "column": lambda v: v[..., 0, None],
    "transpose": lambda v: v.T,
    "swap": lambda v: np.swapaxes(v, 0, -1),
    "new axis": lambda v: v[None] if v.ndim < 3 else v[0],
    "ravel": lambda v: v.ravel(),
    "pairs": lambda v: v.reshape(-1, 2) if v.size % 2 == 0 else v.reshape(-1),
    "fortran": lambda v: v.reshape(v.shape[::-1], order="F"),
    "split": lambda v: np.array_split(v, 2)[1],
    "broadcast": lambda v: np.broadcast_to(v, (2, *v.shape)) if v.ndim < 3 else v,
    "turned": lambda v: np.einsum("...ij->...ji", v) if v.ndim > 1 else v,
    "squeeze": np.squeeze,
    "flip": np.flip,
}
READS: dict[str, Callable[[Any, Any, float], Any]] = {
    "sine": lambda v, w, c: np.sin(v),
    "times": lambda v, w, c: v * np.sum(w),
    "square": lambda v, w, c: v * v,
    "plain product": lambda v, w, c: v * like(v, c),
    "copy": lambda v, w, c: v.copy(),
    "likeness": lambda v, w, c: np.zeros_like(v),
    "sum": lambda v, w, c: np.sum(v, axis=0),
    "mean": lambda v, w, c: np.mean(v)[None],
    "gather": lambda v, w, c: v[[0, -1, 0]] * c,
    "mask": lambda v, w, c: v[positive(v)],
    "stack": lambda v, w, c: np.stack([v, v]) if v.ndim < 3 else v * 1.0,
    "where": lambda v, w, c: np.where(positive(v), v * v, c),
    "same": lambda v, w, c: np.atleast_1d(v),
    "call": lambda v, w, c: called(v, c),
    "loop": lambda v, w, c: looped(v, w, c),
    "untouched loop": lambda v, w, c: unspool.fori_loop(0, 0, lambda i, u: u, v),
}


def called(v: Any, c: float) -> Any:
    """A function that writes into what it is given, and into arrays of its own."""
    work = np.zeros_like(v)
    work[...] = np.tanh(v)
    if v.flags.writeable if isinstance(v, np.ndarray) else True:
        v[:1] = c * work[:1]
    work *= c
    work[-1:] += v[:1]
    return work


def looped(v: Any, w: Any, c: float) -> Any:
    """A loop that reads an array from outside and writes into its state."""

    def step(i: int, u: Any) -> Any:
        u[:1] = u[-1:] * 0.5 + 0.1 * np.sum(w)
        u[...] = np.sin(u) * c
        return u

    return unspool.fori_loop(0, 2, step, v.copy(), policy="revolve-1")


def set_part(v: Any, w: Any, c: float) -> None:
    v[:1] = np.sum(w) * c


def set_all(v: Any, w: Any, c: float) -> None:
    v[...] = np.sum(w) * c


def set_mask(v: Any, w: Any, c: float) -> None:
    v[positive(v)] = c * np.mean(w)


def set_twice(v: Any, w: Any, c: float) -> None:
    v[[0, -1, 0]] = c * v[[-1, 0, -1]]


def set_plain(v: Any, w: Any, c: float) -> None:
    v[...] = like(v, c)


def overlap(v: Any, w: Any, c: float) -> None:
    v[:-1] = v[1:]


def shift(v: Any, w: Any, c: float) -> None:
    v[1:] += c * v[:-1]


def scale_part(v: Any, w: Any, c: float) -> None:
    v[:1] *= np.sum(w)


def scale_mask(v: Any, w: Any, c: float) -> None:
    v[positive(v)] *= c


def add_at(v: Any, w: Any, c: float) -> None:
    np.add.at(v, [0, -1, 0], c * np.sum(w))


def add_at_slice(v: Any, w: Any, c: float) -> None:
    np.add.at(v, slice(1), v[-1:] * c)


def copy_where(v: Any, w: Any, c: float) -> None:
    np.copyto(v, v * c, where=positive(v))


def put(v: Any, w: Any, c: float) -> None:
    np.put(v, [0, v.size - 1], np.stack([np.sum(w), c * np.sum(v)]))


def put_mask(v: Any, w: Any, c: float) -> None:
    np.putmask(v, positive(v), like(v, c))


def place(v: Any, w: Any, c: float) -> None:
    np.place(v, positive(v), [c, 2 * c])


def fill(v: Any, w: Any, c: float) -> None:
    v.fill(np.sum(w) * c)


def into(v: Any, w: Any, c: float) -> None:
    np.multiply(v, c, out=v)


def into_view(v: Any, w: Any, c: float) -> None:
    np.sin(v[1:], out=v[:-1])


def into_spread(v: Any, w: Any, c: float) -> None:
    np.multiply(np.sum(w), c, out=v)


def into_where(v: Any, w: Any, c: float) -> None:
    np.multiply(v, np.sum(w), out=v, where=positive(v))


def divide_where(v: Any, w: Any, c: float) -> None:
    np.divide(c, v, out=v, where=positive(v))


def sum_into(v: Any, w: Any, c: float) -> None:
    np.sum(v[None] * c, axis=0, out=v)


def diagonal(v: Any, w: Any, c: float) -> None:
    if v.ndim == 2:
        np.fill_diagonal(v, np.sum(w) * c)


def square(v: Any, w: Any, c: float) -> None:
    operator.imul(v, v)


def augmented(v: Any, w: Any, c: float) -> None:
    operator.iadd(v, np.cos(np.sum(w)))


WRITES: tuple[Callable[[Any, Any, float], None], ...] = (
    set_part, set_all, set_mask, set_twice, set_plain, overlap, shift, scale_part, scale_mask, add_at, add_at_slice,
    copy_where, put, put_mask, place, fill, into, into_view, into_spread, into_where, divide_where, sum_into, diagonal,
    square, augmented,
)  # fmt: skip


def _acts(v: Any) -> bool:
    """Whether an array can be worked on: it has elements, and they are not many or large."""
    return bool(v.ndim and 0 < v.size <= 48 and np.all(np.abs(v) < 1e3))


def _writable(v: np.ndarray) -> bool:
    return bool(v.flags.writeable and not any(n > 1 and s == 0 for n, s in zip(v.shape, v.strides, strict=True)))


def _loss(alive: list[Any]) -> Any:
    total: Any = 0.0
    for k, v in enumerate(alive):
        total = total + np.sum(like(v, 0.5 + k) * v * v)
    return total


def _agree(gradient: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(gradient, expected, rtol=1e-8, atol=1e-8 * (1.0 + np.max(np.abs(expected))))


class InPlace(RuleBasedStateMachine):
    """Plain arrays, complex arrays (one set for each number of the input), and traced ones."""

    def __init__(self) -> None:
        super().__init__()
        self.acts: list[Act] = []
        self.order: Any = "C"

    @initialize(order=st.sampled_from("CF"), owned=st.booleans())
    def begin(self, order: Any, owned: bool) -> None:
        self.order = order
        self.plain = [self.start(START)]
        self.moved = []
        for k in range(START.size):
            z = START.astype(complex)
            z[k] += STEP * 1j
            self.moved.append([self.start(z)])
        self.tape = Tape()
        self.traced: list[Any] = [self.tape.input(self.start(START))]
        if owned:
            self.carry_out(lambda alive: np.copy(alive[0]))

    def start(self, numbers: np.ndarray) -> np.ndarray:
        return np.array(numbers.reshape(2, 3), order=self.order)

    def carry_out(self, act: Act) -> None:
        self.acts.append(act)
        for alive in (self.plain, *self.moved):
            carried_out(act, alive)
        with listening(self.tape):
            carried_out(act, self.traced)

    def chosen(self, which: int, *, writable: bool = False) -> int | None:
        """The position of an array to work on."""
        good = [k for k, v in enumerate(self.plain) if _acts(v) and (_writable(v) or not writable)]
        return good[which % len(good)] if good else None

    @precondition(lambda self: len(self.plain) < AT_MOST)
    @rule(which=st.integers(0, 20), view=st.sampled_from(sorted(VIEWS)))
    def take_view(self, which: int, view: str) -> None:
        k = self.chosen(which)
        if k is not None:
            self.carry_out(lambda alive: VIEWS[view](alive[k]))

    @precondition(lambda self: len(self.plain) < AT_MOST)
    @rule(which=st.integers(0, 20), other=st.integers(0, 20), read=st.sampled_from(sorted(READS)))
    def read(self, which: int, other: int, read: str) -> None:
        k, j, c = self.chosen(which, writable=True), self.chosen(other), 0.5 + 0.125 * (len(self.acts) % 8)
        if k is not None:
            self.carry_out(lambda alive: READS[read](alive[k], alive[j], c))

    @rule(which=st.integers(0, 20), other=st.integers(0, 20), write=st.sampled_from(WRITES))
    def write(self, which: int, other: int, write: Any) -> None:
        k, j, c = self.chosen(which, writable=True), self.chosen(other), 0.5 + 0.125 * (len(self.acts) % 8)
        if k is not None:

            def act(alive: list[Any]) -> None:
                write(alive[k], alive[j], c)

            self.carry_out(act)

    @rule()
    def sweep(self) -> None:
        """The way back, and everything as before after it."""
        with listening(self.tape):
            loss = _loss(self.traced)
        seeds = [(self.tape.node_of(loss), np.float64(1.0))]
        first, second = (self.tape.sweep(seeds, free=False)[0] for _ in range(2))
        if first is None:
            assert not np.any(self.expected())
        else:
            _agree(first, self.expected())
            assert same_bits(first, second)

    def expected(self) -> np.ndarray:
        return np.array([np.imag(_loss(alive)) / STEP for alive in self.moved]).reshape(2, 3)

    @invariant()
    def values_are_numpys(self) -> None:
        if hasattr(self, "traced"):
            found = unspool.stop_gradient(self.traced)
            for one, other in zip(found, self.plain, strict=True):
                assert np.shape(one) == np.shape(other)
                np.testing.assert_array_equal(one, other)

    def again(self, start: Any) -> Any:
        alive = [start]
        for act in self.acts:
            carried_out(act, alive)
        return _loss(alive)

    def teardown(self) -> None:
        if hasattr(self, "traced"):
            self.sweep()
            self.tape.close()
            start, expected = self.start(START), self.expected()
            gradient = unspool.grad(self.again)(start)
            _agree(gradient, expected)
            forgetful = unspool.grad(self.again, policy="every-3")(start)
            assert same_bits(gradient, forgetful)
            v = np.cos(np.arange(6.0)).reshape(2, 3)
            tangent = unspool.jvp(self.again, (start,), (v,))[1]
            _agree(tangent, np.sum(expected * v))


InPlace.TestCase.settings = settings(max_examples=100, stateful_step_count=18, deadline=None)
TestInPlace = InPlace.TestCase

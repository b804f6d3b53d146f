"""What users do and should not: each row is right, or raises and says what, where and the way out."""

from __future__ import annotations

import copy
import math
import os
import pickle
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import unspool
import unspool.numpy as unp
from tests.oracles import complex_step, same_bits
from unspool import fori_loop, grad, scan, stop_gradient
from unspool.errors import (
    ClosedError,
    DetachedError,
    InputError,
    ReplayError,
    StateError,
    UnspoolError,
    UnsupportedError,
    ZeroGradientWarning,
)
from unspool.tree import flatten

X = np.array([0.3, -0.2, 0.5])
N = 6

ONCE: list[dict[str, Any]] = [{"policy": "none", "compile": False}, {"compile": False}]
AGAIN: list[dict[str, Any]] = [
    {"policy": p, "compile": False} for p in ("every-2", "revolve-1", "revolve-3", "online-2")
]
COMPILED: list[dict[str, Any]] = [{"policy": p, "compile": True} for p in ("none", "every-2")]

Outcome = tuple[type[Exception], str] | None
"""The error and what it says, or None where the gradient is right."""


@dataclass
class Row:
    """What somebody does in a step, and what comes of it: run once, run again, compiled."""

    name: str
    make: Callable[[], Callable[[Any, Any], Any]]
    once: Outcome = None
    again: Outcome = None
    compiled: Outcome = None
    init: Callable[[Any], Any] = lambda u: u
    finish: bool = True
    """Whether a plain loop gives the same numbers each time, so that there is something to compare with."""


def everywhere(name: str, make: Any, error: type[Exception], says: str, **more: Any) -> Row:
    return Row(name, make, *((error, says),) * 3, **more)


# --- steps ------------------------------------------------------------------------------------------------------------
def _scratch_written_first() -> Any:
    work = np.empty(3)

    def step(i: Any, u: Any) -> Any:
        work[:] = np.cos(i)
        return u * work

    return step


def _scratch_that_adds_up() -> Any:
    work = np.zeros(3)

    def step(i: Any, u: Any) -> Any:
        work[:] += 1.0
        return u * work

    return step


def _scratch_for_traced_values() -> Any:
    work = np.zeros(3)

    def step(i: Any, u: Any) -> Any:
        work[:] = u
        return work * u

    return step


def _scratch_as_out() -> Any:
    work = np.zeros(3)
    return lambda i, u: u * np.multiply(u, 2.0, out=work)


def _scratch_made_to_hold_traced_values() -> Any:
    def step(i: Any, u: Any) -> Any:
        work = unp.zeros(3) if not np.iscomplexobj(u) else np.zeros(3, complex)
        work[:] = u
        return work * u

    return step


def _counter() -> Any:
    calls = [0]

    def step(i: Any, u: Any) -> Any:
        calls[0] += 1
        return u * calls[0]

    return step


SPACE = {"calls": 0.0}


def _global_that_it_changes() -> Any:
    SPACE["calls"] = 0.0

    def step(i: Any, u: Any) -> Any:
        SPACE["calls"] += 1.0
        return u * SPACE["calls"]

    return step


def _list_that_nobody_reads() -> Any:
    seen: list[Any] = []

    def step(i: Any, u: Any) -> Any:
        seen.append(u)
        return u * 0.9

    return step


def _list_whose_length_is_read() -> Any:
    seen: list[Any] = []

    def step(i: Any, u: Any) -> Any:
        seen.append(i)
        return u * (1 + 0.1 * len(seen))

    return step


def _list_whose_values_are_read() -> Any:
    seen: list[Any] = []

    def step(i: Any, u: Any) -> Any:
        seen.append(u)
        return u + seen[0]

    return step


def _legacy_random() -> Any:
    np.random.seed(0)
    return lambda i, u: u * np.random.normal(size=3)


def _python_random() -> Any:
    random.seed(0)
    return lambda i, u: u * random.random()


def _captured_generator() -> Any:
    rng = np.random.default_rng(0)
    return lambda i, u: u * rng.normal(size=3)


def _masked() -> Any:
    weights = np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False])
    return lambda i, u: u * weights


def _matrix() -> Any:
    weights: Any = np.eye(3).view(np.matrix)
    return lambda i, u: np.ravel(u * weights)


def _in_place(i: Any, u: Any) -> Any:
    u[1:-1] = u[:-2] * u[2:]
    u *= 1.1
    v = u[::-1]
    v[0] += u[0]
    np.multiply(u, 0.9, out=u)
    return u


CHANGES = "changes {}.*, which it keeps outside of its state"
DIFFERENT = (
    r"(the state.* of fori_loop before step \d came out differently .*at index \(\d,\) it was .* and became|"
    r"what step \d of fori_loop reads, .* at test_misuse.py:\d+, came out differently)"
)
PLAIN = r"np.zeros_like\(x\) or unspool.numpy.zeros\(shape\)"

ROWS = [
    Row(
        "a scratch array is written before it is read",
        _scratch_written_first,
        compiled=(UnspoolError, "traced (value|array)"),
    ),
    Row(
        "a scratch array adds up",
        _scratch_that_adds_up,
        again=(ReplayError, DIFFERENT),
        compiled=(UnsupportedError, CHANGES.format("work")),
    ),
    Row(
        "a scratch array gets traced values",
        _scratch_for_traced_values,
        (DetachedError, PLAIN),
        (DetachedError, PLAIN),
        (UnspoolError, "traced (value|array)"),
    ),
    Row(
        "a scratch array is out=",
        _scratch_as_out,
        (DetachedError, "multiply: out= is a plain NumPy array"),
        (DetachedError, "multiply: out= is a plain NumPy array"),
        (UnspoolError, "traced (value|array)"),
    ),
    Row("a scratch array is made to hold traced values", _scratch_made_to_hold_traced_values),
    Row(
        "a clock is read",
        lambda: lambda i, u: u * (1 + time.monotonic_ns() % 1e6),
        again=(ReplayError, f"{DIFFERENT}.*reads a clock"),
        compiled=(UnsupportedError, "it reads a random generator, a clock or a counter"),
        finish=False,
    ),
    Row(
        "calls are counted",
        _counter,
        again=(ReplayError, DIFFERENT),
        compiled=(UnsupportedError, CHANGES.format("calls")),
    ),
    Row(
        "a global is changed",
        _global_that_it_changes,
        again=(ReplayError, DIFFERENT),
        compiled=(UnsupportedError, CHANGES.format("SPACE")),
    ),
    Row("a list outside is filled", _list_that_nobody_reads, compiled=(UnsupportedError, CHANGES.format("seen"))),
    Row(
        "a list outside is filled and measured",
        _list_whose_length_is_read,
        again=(ReplayError, DIFFERENT),
        compiled=(UnsupportedError, CHANGES.format("seen")),
    ),
    everywhere(
        "a list outside is filled and read",
        _list_whose_values_are_read,
        Exception,
        "carry it in the state of the loop|which it keeps outside of its state",
    ),
    Row(
        "np.random draws",
        _legacy_random,
        again=(ReplayError, DIFFERENT + ".*draws? (random numbers|from a global random generator)"),
        compiled=(UnsupportedError, CHANGES.format("numpy.random")),
    ),
    Row(
        "random draws",
        _python_random,
        again=(ReplayError, DIFFERENT + ".*draws? (random numbers|from a global random generator)"),
        compiled=(UnsupportedError, CHANGES.format("random")),
    ),
    Row(
        "a generator is captured",
        _captured_generator,
        again=(ReplayError, f"{DIFFERENT}.*reads the random generator rng .*Carry the random generator"),
        compiled=(UnsupportedError, CHANGES.format("rng")),
    ),
    Row(
        "a generator is carried",
        lambda: lambda i, s: (s[0] * s[1].normal(size=3), s[1]),
        compiled=(UnsupportedError, r"carries the random generator state\[1\]"),
        init=lambda u: (u, np.random.default_rng(3)),
    ),
    Row("the input is returned", lambda: lambda i, u: u),
    Row("the same array is returned twice", lambda: lambda i, s: (s[0] * s[1],) * 2, init=lambda u: (u, u)),
    Row("views are returned", lambda: lambda i, s: (s[0][::-1], s[0][:2]), init=lambda u: (u, u[:2])),
    Row("a transpose is returned", lambda: lambda i, s: s.T * 1.1, init=lambda u: np.stack([u, u, 2 * u])),
    Row("Python floats are returned", lambda: lambda i, s: (s[0] * s[1], 1.1), init=lambda u: (u, 1.0)),
    Row("the state is written in place", lambda: _in_place),
    Row(
        "roll has a tuple of shifts", lambda: lambda i, u: np.roll(u[None], (1, 2), (0, 1))[0] * (np.arange(3.0) - 1.5)
    ),
    Row("roll has a tuple of shifts and no axis", lambda: lambda i, u: np.roll(u, (1, 1)) * (np.arange(3.0) - 1.5)),
    Row("a copy is taken", lambda: lambda i, u: u.copy() * np.copy(u)),
    Row("sum has where=", lambda: lambda i, u: u * np.sum(u, where=np.array([True, False, True]))),
    everywhere("None is returned", lambda: lambda i, u: None, StateError, r"it was \* and became None\. A step must"),
    everywhere(
        "a list is returned for a tuple",
        lambda: lambda i, s: [s[0], s[1]],
        StateError,
        r"it was \(\*, \*\) and became \[\*, \*\]\. A step must",
        init=lambda u: (u, u),
    ),
    everywhere(
        "an array is returned for a tuple",
        lambda: lambda i, s: np.stack(s),
        StateError,
        r"it was \(\*, \*\) and became \*\. A step must",
        init=lambda u: (u, u),
    ),
    everywhere(
        "a tuple is returned for an array", lambda: lambda i, u: (u,), StateError, r"it was \* and became \(\*,\)"
    ),
    Row(
        "an int is returned for a float",
        lambda: lambda i, s: (s[0], 1),
        *((StateError, r"in step 0: state\[1\] was f64\[\] and became i64\[\].*start from a float"),) * 2,
        (UnsupportedError, r"i64\[\]: only float64 is compiled"),
        init=lambda u: (u, 1.0),
    ),
    Row(
        "a string is returned",
        lambda: lambda i, s: (s[0], "a"),
        *((StateError, r"in step 0: state\[1\] was f64\[\] and became U"),) * 2,
        (UnsupportedError, "only float64 is compiled"),
        init=lambda u: (u, 1.0),
    ),
    everywhere(
        "a string is the state",
        lambda: lambda i, s: s,
        InputError,
        r"initial state\[1\] of fori_loop is of type str.*keep other things in the code around",
        init=lambda u: (u, "a"),
    ),
    everywhere("a shape changes", lambda: lambda i, u: u[:-1], Exception, r"f64\[2\]"),
    everywhere("math.sin", lambda: lambda i, u: u * math.sin(u[0]), DetachedError, r"np\.sin for math\.sin"),
    everywhere("float()", lambda: lambda i, u: u * float(u[0]), DetachedError, r"float\(\) of a traced value"),
    everywhere("item()", lambda: lambda i, u: u * u[0].item(), DetachedError, r"item\(\) of a traced value"),
    everywhere("tolist()", lambda: lambda i, u: u * sum(u.tolist()), DetachedError, r"tolist\(\) of a traced value"),
    everywhere("asarray", lambda: lambda i, u: np.asarray(u) * 2, DetachedError, "np.stack|traced"),
    everywhere("array of values", lambda: lambda i, u: np.array([u[0], u[1], u[2]]), DetachedError, "np.stack|traced"),
    everywhere("pickle", lambda: lambda i, u: pickle.loads(pickle.dumps(u)), DetachedError, "copying or serialising"),
    everywhere("copy.copy", lambda: lambda i, u: copy.copy(u), DetachedError, "copying or serialising"),
    everywhere("copy.deepcopy", lambda: lambda i, u: copy.deepcopy(u), DetachedError, "copying or serialising"),
    everywhere("a masked array", _masked, UnsupportedError, r"MaskedArray, a subclass .* x\.filled\(0\.0\)"),
    everywhere("a matrix", _matrix, UnsupportedError, r"matrix, a subclass .* Pass a plain array"),
    everywhere(
        "a keyword without a rule",
        lambda: lambda i, u: np.add(u, 1, where=u > 0),
        UnsupportedError,
        "where= without out=",
    ),
    everywhere(
        "a method without a rule", lambda: lambda i, u: u.byteswap(), AttributeError, "x.byteswap has no derivative"
    ),
    everywhere(
        "a sample around a traced mean",
        lambda: lambda i, u: np.random.default_rng(0).normal(u),
        DetachedError,
        "traced value",
    ),
]


def _total(state: Any) -> Any:
    floats = [leaf for leaf in flatten(state)[0] if not isinstance(leaf, np.random.Generator)]
    return sum([np.sum(leaf * np.arange(1.0, 1.0 + np.size(leaf)).reshape(np.shape(leaf))) for leaf in floats])


def _plain(row: Row, u: Any) -> Any:
    step, state = row.make(), row.init(np.copy(u))
    for i in range(N):
        state = step(i, state)
    return _total(state)


@pytest.mark.parametrize(
    ("kind", "how"),
    [(kind, how) for kind, hows in (("once", ONCE), ("again", AGAIN), ("compiled", COMPILED)) for how in hows],
)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_a_step_does(row: Row, kind: str, how: dict[str, Any]) -> None:
    outcome: Outcome = getattr(row, kind)
    step = row.make()

    def loss(u: Any) -> Any:
        return _total(fori_loop(0, N, step, row.init(u), **how))

    if outcome is None:
        found = grad(loss)(X)
        if row.finish:
            np.testing.assert_allclose(found, complex_step(lambda u: _plain(row, u), X), rtol=1e-11, atol=1e-14)
    else:
        error, says = outcome
        with pytest.raises(error, match=says) as caught:
            grad(loss)(X)
        assert type(caught.value) is not Exception
        assert isinstance(caught.value, unspool.errors.UnspoolError | AttributeError)
    assert grad(lambda u: np.sum(u**2))(X).tolist() == (2 * X).tolist()  # nothing is left open


@pytest.mark.parametrize("how", [*ONCE, *AGAIN, *COMPILED], ids=str)
def test_a_branch_on_a_value_is_that_of_the_value_or_is_not_compiled(how: dict[str, Any]) -> None:
    row = Row("a branch", lambda: lambda i, u: u * 1.2 if np.real(u[0]) < 0.5 else u * 0.8)
    try:
        found = grad(lambda u: _total(fori_loop(0, N, row.make(), u, **how)))(X)
    except DetachedError:
        assert how["compile"] is True
    else:
        np.testing.assert_allclose(found, complex_step(lambda u: _plain(row, u), X), rtol=1e-11)


def test_a_value_that_leaves_a_step_by_a_list_cannot_be_used() -> None:
    seen: list[Any] = []

    def loss(u: Any) -> Any:
        fori_loop(0, N, lambda i, u: (seen.append(u), u * 0.9)[1], u, compile=False)
        return np.sum(seen[0])

    with pytest.raises(ClosedError, match="carry it in the state of the loop"):
        grad(loss)(X)


# --- losses -----------------------------------------------------------------------------------------------------------
LOSSES: list[tuple[str, Any, Any, str]] = [
    ("a vector", lambda u: u * 2, InputError, r"returned an array f64\[3\], not one number\. Reduce it"),
    ("of shape (1,)", lambda u: np.sum(u, keepdims=True), InputError, r"returned an array f64\[1\], not one number"),
    ("complex", lambda u: np.sum(u * 1j), InputError, r"returned a complex number.*np\.real or np\.abs"),
    ("None", lambda u: None, InputError, "returned None: a function .* must return its loss"),
    ("a string", lambda u: "a", InputError, "returned str, not one number"),
    ("a pair", lambda u: (np.sum(u), 1), InputError, r"returned tuple.*\(loss, aux\) with has_aux=True"),
    ("a dict", lambda u: {"loss": np.sum(u)}, InputError, "returned dict"),
    ("cut by float()", lambda u: float(np.sum(u)), DetachedError, r"float\(\) of a traced value"),
    ("cut by item()", lambda u: np.sum(u).item(), DetachedError, r"item\(\) of a traced value"),
    ("a number", lambda u: 3.0, ZeroGradientWarning, "does not depend on argument 0: the gradient is zero"),
    ("a plain array's sum", lambda u: np.sum(np.ones(3)), ZeroGradientWarning, "does not depend on argument 0"),
    ("stopped", lambda u: np.sum(stop_gradient(u)), ZeroGradientWarning, "stop_gradient"),
    ("rounded", lambda u: np.sum(np.round(u)), ZeroGradientWarning, "rounding"),
    ("a comparison", lambda u: np.all(u > 0), ZeroGradientWarning, "comparisons"),
    ("a count", lambda u: np.argmax(u), ZeroGradientWarning, "counts"),
    ("read from text", lambda u: float(f"{u[0]}"), ZeroGradientWarning, "Plain numbers"),
    (
        "of a loop that does not touch it",
        lambda u: np.sum(fori_loop(0, 3, lambda i, v: v * 2, np.ones(3))),
        ZeroGradientWarning,
        "does not depend",
    ),
]


@pytest.mark.parametrize("how", [{}, {"policy": "every-2"}, {"memory": "10 MB"}, {"check_finite": True}], ids=str)
@pytest.mark.parametrize(("name", "loss", "outcome", "says"), LOSSES, ids=[row[0] for row in LOSSES])
def test_what_a_loss_is(name: str, loss: Any, outcome: Any, says: str, how: dict[str, Any]) -> None:
    if issubclass(outcome, Warning):
        with pytest.warns(outcome, match=says):
            assert grad(loss, **how)(X).tolist() == [0.0, 0.0, 0.0]
    else:
        with pytest.raises(outcome, match=says):
            grad(loss, **how)(X)


# --- parameters -------------------------------------------------------------------------------------------------------
MASKED: Any = np.ma.array([1.0, 2.0], mask=[False, True])
PARAMETERS: list[tuple[Any, str]] = [
    (3, r"argument 0 is of type i64\[\].*Pass a float \(2\.0 for 2"),
    (True, r"argument 0 is of type b8\[\]"),
    (np.int32(3), r"argument 0 is of type i32\[\]"),
    (np.arange(3), r"argument 0 is of type i64\[3\]"),
    (np.array([True]), r"argument 0 is of type b8\[1\]"),
    ([1, 2], r"argument 0\[0\] is of type i64\[\]"),
    ({"a": [1.0, "b"]}, r"argument 0\['a'\]\[1\] is of type str"),
    (np.array([None, 1.0]), "argument 0 is of dtype object"),
    (np.array(["a"]), "argument 0 is of dtype <U1"),
    (np.array(["2020"], "M8[Y]"), "argument 0 is of dtype datetime64"),
    (object(), "argument 0 is of type object"),
    ("a", "argument 0 is of type str"),
    (None, "argument 0 is None.*leave the argument out of argnums"),
    ({1.0}, "argument 0 is of type set"),
    (range(3), "argument 0 is of type range"),
    (MASKED, r"argument 0 of shape \(2,\) is a MaskedArray.*x\.filled"),
    (np.ones((2, 2)).view(np.matrix), r"argument 0 of shape \(2, 2\) is a matrix"),
]


@pytest.mark.parametrize(("bad", "says"), PARAMETERS, ids=lambda v: type(v).__name__)
def test_what_a_parameter_is(bad: Any, says: str) -> None:
    for transform in (grad, unspool.value_and_grad, unspool.jacobian, unspool.hessian):
        with pytest.raises((InputError, UnsupportedError), match=says):
            transform(lambda p: 0.0)(bad)
    with pytest.raises((InputError, UnsupportedError), match=says):
        unspool.vjp(lambda p: 0.0, bad)


def test_a_list_of_floats_is_a_nest() -> None:
    assert grad(lambda p: p[0] * p[1])([2.0, 3.0]) == [3.0, 2.0]
    assert grad(lambda p: p["a"] * 2)({"a": 1.0, "b": None}) == {"a": 2.0, "b": None}


@pytest.mark.parametrize("bad", [MASKED, np.ones((2, 2)).view(np.matrix)], ids=lambda a: type(a).__name__)
def test_subclasses_with_ways_of_their_own_are_refused_wherever_they_come_in(bad: Any) -> None:
    says = f"{type(bad).__name__}, a subclass of numpy.ndarray"
    runs: list[Any] = [
        lambda u: np.sum(u[0] * bad),
        lambda u: np.sum(np.where(bad > 1, u[0], 0.0)),
        lambda u: fori_loop(0, 2, lambda i, s: (s[0] * 2, s[1]), (u, bad))[0][0],
        lambda u: np.sum(scan(lambda u, x: (u * np.sum(x), None), u, bad)[0]),
        lambda u: np.sum(fori_loop(0, 2, lambda i, s: (s[0], bad), (u, np.ones(bad.shape)), compile=False)[0]),
    ]
    for run in runs:
        with pytest.raises(UnsupportedError, match=says):
            grad(run)(X)


# --- threads and processes --------------------------------------------------------------------------------------------
def _simulate(u: Any, rate: Any, seed: int, how: dict[str, Any]) -> Any:
    if how.get("compile"):
        return np.sum(fori_loop(0, 200, lambda i, u: u + 0.01 * np.sin(rate * u), u, **how) ** 2)

    def step(i: int, state: Any) -> Any:
        u, rng = state
        return u + 0.01 * np.sin(rate * u) * rng.uniform(size=3), rng

    end, _ = fori_loop(0, 60, step, (u, np.random.default_rng(seed)), **how)
    return np.sum(end**2)


HOWS: list[dict[str, Any]] = [
    {"policy": "none"},
    {"policy": "every-7"},
    {"policy": "revolve-3"},
    {"policy": "online-3"},
    {},
    {"compile": True, "policy": "revolve-3"},
]


@pytest.mark.parametrize("how", HOWS, ids=str)
def test_eight_threads_have_the_gradients_of_one(how: dict[str, Any]) -> None:
    points = [X * (1 + 0.1 * k) for k in range(8)]
    gradient = grad(lambda u, rate, seed: _simulate(u, rate, seed, how), argnums=(0, 1))
    expected = [gradient(u, 1.0 + k, k) for k, u in enumerate(points)]
    found: list[Any] = [None] * 8
    gate = threading.Barrier(8)

    def run(k: int) -> None:
        gate.wait()
        for _ in range(3):
            found[k] = gradient(points[k], 1.0 + k, k)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same_bits(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("how", HOWS, ids=str)
def test_a_fork_between_sweep_and_adjoint_leaves_both_with_the_gradient(how: dict[str, Any]) -> None:
    expected = grad(lambda u: _simulate(u, 1.5, 0, how))(X)
    _, pullback = unspool.vjp(lambda u: _simulate(u, 1.5, 0, how), X)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, pullback(1.0)[0].tobytes())
        finally:
            os._exit(0)
    os.close(writing)
    mine = pullback(1.0)[0]
    with os.fdopen(reading, "rb") as pipe:
        other = np.frombuffer(pipe.read())
    os.waitpid(child, 0)
    assert same_bits(mine, expected)
    assert same_bits(other, expected)

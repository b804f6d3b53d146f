"""What a step changes outside of its state is seen by the contents of what it can reach."""

from __future__ import annotations

import random
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unspool.adjoint import outside

settings = ModuleType("settings")
settings.__dict__.update(RNG=np.random.default_rng(5), LEVEL=0)
COUNTER = [0]
TOTAL = 0
RNG = np.random.default_rng(1)


def _changed(step: Any, *args: Any) -> set[str]:
    before = outside(step)
    step(*args)
    after = outside(step)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def _nonlocal() -> Any:
    count = 0

    def step() -> None:
        nonlocal count
        count += 1

    return step


def _global() -> None:
    global TOTAL  # noqa: PLW0603
    TOTAL += 1


class Walker:
    def __init__(self) -> None:
        self.calls = 0
        self.parts = {"rng": np.random.RandomState(3)}

    def step(self) -> None:
        self.calls += 1

    def draw(self) -> None:
        self.parts["rng"].normal()

    def __call__(self) -> None:
        self.step()


def _closure(value: Any, do: Any) -> Any:
    def inner() -> None:
        do(value)

    def outer() -> None:
        inner()

    return outer


CHANGES: list[Any] = [
    ("count", _nonlocal()),
    ("TOTAL", _global),
    ("COUNTER[0]", lambda: COUNTER.__setitem__(0, COUNTER[0] + 1)),
    ("RNG", lambda: RNG.integers(3)),
    ("numpy.random", np.random.normal),
    ("random", random.random),
    (".calls", Walker().step),
    (".calls", Walker()),
    (".parts['rng']", Walker().draw),
    ("innervalue", _closure([], lambda v: v.append(1))),
    ("innervalue['n']", _closure({"n": 1}, lambda v: v.update(n=2))),
    ("innervalue", _closure({}, lambda v: v.update(n=2))),
    ("innervalue", _closure(np.zeros(3), lambda v: v.__setitem__(1, 2.0))),
    ("innervalue", _closure(np.zeros((4, 4)).T[::2], lambda v: v.__setitem__((1, 1), -0.0))),
    ("innervalue", _closure(random.Random(4), lambda v: v.random())),
    ("innervalue.a.b", _closure(SimpleNamespace(a=SimpleNamespace(b=1)), lambda v: v.a.__dict__.update(b=2))),
    ("innervalue", _closure(np.random.default_rng(2).normal, lambda draw: [draw()])),
    ("settings.RNG", lambda: settings.RNG.normal(2)),
    ("settings.LEVEL", lambda: settings.__dict__.update(LEVEL=settings.LEVEL + 1)),
    ("[0]", partial(lambda v: v.__setitem__(0, 1), [0])),
    ("[0]", partial(lambda v: v.__setitem__(0, 1), v=[0])),
]


@pytest.mark.parametrize(("name", "step"), CHANGES, ids=[str(k) for k in range(len(CHANGES))])
def test_every_kind_of_change_is_seen(name: str, step: Any) -> None:
    changed = _changed(step)
    assert any(found.endswith(name) for found in changed), changed


def test_a_default_argument_is_reached() -> None:
    def step(seen: list[int] = []) -> None:  # noqa: B006
        seen.append(1)

    assert _changed(step)


def test_what_changes_nothing_is_left_in_peace() -> None:
    weights, table = np.ones(4), {"a": [1, 2, (3.0, None)], "b": "text"}
    table["self"] = table  # type: ignore[assignment]

    def step(x: float) -> Any:
        local = [1, 2]
        local.append(3)
        return np.sum(weights) * table["a"][0] * np.sin(x)  # type: ignore[operator]

    assert not _changed(step, 2.0)
    assert outside(step)
    assert _changed(lambda: weights.__setitem__(0, 5.0))


def test_large_arrays_are_looked_at_in_part() -> None:
    large = np.zeros((3, 2**21))
    assert _changed(lambda: large.__setitem__(slice(None), 1.0))
    assert outside(lambda: large) == outside(lambda: large)


def test_many_objects_are_looked_at_in_bounded_time() -> None:
    many = [[k] for k in range(100_000)]
    assert len(outside(lambda: many)) < 10_000

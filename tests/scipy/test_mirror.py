"""unspool.scipy is SciPy, whose functions take traced values too."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import unspool
import unspool.scipy
from unspool.errors import UnsupportedError
from unspool.ops import TABLE
from unspool.ops.table import LOADERS
from unspool.scipy.mirror import any_traced, mirrored

ROOMS = (*unspool.scipy.ROOMS, "sparse.linalg")


@pytest.mark.parametrize("room", ROOMS)
def test_what_has_an_entry_is_mirrored_under_its_name(room: str) -> None:
    original, mirror = import_module(f"scipy.{room}"), import_module(f"unspool.scipy.{room}")
    for module in LOADERS[f"scipy.{room}"]:
        import_module(module)
    for function, entry in list(TABLE.items()):
        package, _, name = entry.name.rpartition(".")
        if package == f"scipy.{room}" and not isinstance(function, np.ufunc):
            ours = vars(mirror)[name]
            assert ours is entry.call or ours.__wrapped__ is getattr(original, name), name
    for name, value in vars(mirror).items():
        if hasattr(value, "__wrapped__") and not name.startswith("_"):
            assert value.__wrapped__ is getattr(original, name)
            assert TABLE.get(value.__wrapped__) is not None, name
            assert str(inspect.signature(value)) == str(inspect.signature(getattr(original, name)))


@pytest.mark.parametrize("room", ROOMS)
def test_every_argument_that_is_modelled_is_one_of_scipys_in_scipys_order(room: str) -> None:
    for name, value in vars(import_module(f"unspool.scipy.{room}")).items():
        if not hasattr(value, "__wrapped__") or inspect.isclass(value):
            continue
        entry = TABLE[value.__wrapped__]
        theirs = list(inspect.signature(value.__wrapped__).parameters)
        ours = [k for k, p in inspect.signature(entry.call).parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert ours == theirs[: len(ours)], name
        assert entry.keywords - {"args"} <= set(theirs), name


@pytest.mark.parametrize("room", ROOMS)
def test_the_rest_is_scipys_own(room: str) -> None:
    original, mirror = import_module(f"scipy.{room}"), import_module(f"unspool.scipy.{room}")
    for name in original.__all__:
        assert hasattr(mirror, name)
    with pytest.raises(AttributeError):
        _ = mirror.no_such_name


def test_rooms() -> None:
    with pytest.raises(AttributeError, match="linalg"):
        _ = unspool.scipy.cluster
    assert set(unspool.scipy.__all__) == set(unspool.scipy.ROOMS)
    assert unspool.scipy.sparse.linalg is import_module("unspool.scipy.sparse.linalg")


def test_plain_arguments_go_to_the_function_itself() -> None:
    seen: list[Any] = []
    f = mirrored(lambda *args, **kwargs: seen.append((args, kwargs)))
    f(1, [2.0], k={"a": 3})
    assert seen == [((1, [2.0]), {"k": {"a": 3}})]


def test_a_function_without_an_entry_is_refused_by_name() -> None:
    def unheard_of(x: Any) -> Any:
        return x

    with pytest.raises(UnsupportedError, match="unheard_of has no derivative rule"):
        unspool.grad(mirrored(unheard_of))(1.0)


def test_traced_values_are_found_in_nests_and_keywords() -> None:
    def f(x: Any) -> Any:
        assert any_traced([1, (2, [x])])
        assert not any_traced([1, (2, [3.0]), "x", None])
        with pytest.raises(UnsupportedError, match="no_such="):
            unspool.scipy.linalg.det(np.eye(2), no_such=x)
        return x

    assert unspool.grad(f)(2.0) == 1.0

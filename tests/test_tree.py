"""Nests of containers go apart and together again, and their structures compare by value."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.tree import flatten, map_leaves

Pair = namedtuple("Pair", ["a", "b"])


@dataclass(frozen=True)
class Cell:
    u: Any
    v: Any


LEAVES = st.one_of(st.floats(allow_nan=False), st.integers(), st.text(max_size=2), st.booleans())
NESTS = st.recursive(
    st.one_of(LEAVES, st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=2), inner, max_size=3),
        st.builds(Pair, inner, inner),
        st.builds(Cell, inner, inner),
    ),
    max_leaves=12,
)


@given(nest=NESTS)
def test_a_nest_comes_back_from_its_leaves(nest: Any) -> None:
    leaves, structure = flatten(nest)
    assert structure.unflatten(leaves) == nest
    assert type(structure.unflatten(leaves)) is type(nest)
    assert len(leaves) == structure.n_leaves == len(list(structure.paths()))
    assert flatten(structure.unflatten(leaves))[1] == structure
    assert hash(flatten(structure.unflatten(leaves))[1]) == hash(structure)
    assert all(type(leaf) in (float, int, str, bool) for leaf in leaves)


@given(nest=NESTS)
def test_paths_lead_to_the_leaves(nest: Any) -> None:
    leaves, structure = flatten(nest)
    for leaf, path in zip(leaves, structure.paths(), strict=True):
        assert eval(f"nest{path}", {"nest": nest}) is leaf


@given(one=NESTS, other=NESTS)
def test_structures_are_equal_exactly_when_the_containers_are(one: Any, other: Any) -> None:
    blank = lambda nest: str(map_leaves(lambda _: 0, nest)) + str(type(nest) if flatten(nest)[1].n_leaves != 1 else "")
    if flatten(one)[1] == flatten(other)[1]:
        assert blank(one) == blank(other)
    elif flatten(one)[1].children and flatten(other)[1].children:
        assert blank(one) != blank(other)


def test_arrays_are_leaves_and_not_looked_into() -> None:
    array = np.zeros((2, 3))
    leaves, structure = flatten([array, np.float32(1.0)])
    assert leaves[0] is array
    assert str(structure) == "[*, *]"


def test_structures_print_as_python() -> None:
    nest = {"u": [1.0, None], "v": (2.0,), "w": Pair(1, Cell(2, ())), "x": {}}
    assert str(flatten(nest)[1]) == "{'u': [*, None], 'v': (*,), 'w': Pair(*, Cell(*, ())), 'x': {}}"
    assert list(flatten(nest)[1].paths()) == ["['u'][0]", "['v'][0]", "['w'][0]", "['w'][1].u"]


def test_an_ordered_dict_comes_back_as_a_dict() -> None:
    leaves, structure = flatten(OrderedDict(b=1.0, a=2.0))
    assert leaves == [1.0, 2.0]
    assert structure.unflatten(leaves) == {"b": 1.0, "a": 2.0}
    assert structure != flatten({"a": 2.0, "b": 1.0})[1]


def test_map_leaves_refuses_another_structure() -> None:
    assert map_leaves(lambda a, b: a * b, {"a": [2, (3,)]}, {"a": [5, (7,)]}) == {"a": [10, (21,)]}
    with pytest.raises(ValueError, match=r"expected the structure \[\*\], got \(\*,\)"):
        map_leaves(lambda a, b: a, [1], (1,))


def test_a_deep_nest_is_a_nest() -> None:
    nest: Any = 1.0
    for _ in range(200):
        nest = [nest]
    leaves, structure = flatten(nest)
    assert leaves == [1.0]
    assert structure.unflatten([2.0]) != nest

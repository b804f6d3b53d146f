"""The laws of a store: subclass it, say how to make one, and inherit the tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles import same_bits
from unspool.layout import Layout
from unspool.stores import Store

STATE = (np.arange(6.0).reshape(2, 3), np.float32(1.5), np.array([True, False]), np.zeros((0, 2)), np.array([1 + 2j]))
VERBS = st.lists(st.tuples(st.sampled_from(["put", "get", "drop"]), st.integers(0, 5)), max_size=30)


def _state(step: int) -> tuple[Any, ...]:
    return tuple(np.asarray(leaf) + np.asarray(step).astype(np.asarray(leaf).dtype) for leaf in STATE)


class StoreContract:
    """Every store returns what it was given, shares nothing, and leaves nothing behind."""

    def make(self, layout: Layout) -> Store:
        """Return a new store for states of this layout."""
        raise NotImplementedError

    def store(self) -> Store:
        return self.make(Layout.of(list(STATE)))

    def test_it_returns_what_it_was_given_bit_for_bit(self) -> None:
        store = self.store()
        odd = (np.asfortranarray(STATE[0]) * np.nan, np.float32(-0.0), STATE[2][::-1], STATE[3], STATE[4] * np.inf)
        store.put(3, odd)
        assert same_bits([np.ascontiguousarray(a) for a in store.get(3)], [np.ascontiguousarray(a) for a in odd])
        store.close()

    def test_it_shares_nothing_with_what_came_in_or_went_out(self) -> None:
        store = self.store()
        state = tuple(np.array(leaf) for leaf in STATE)
        store.put(0, state)
        for leaf in state:
            leaf[...] = 0
        first = store.get(0)
        assert same_bits(first, [np.asarray(leaf) for leaf in STATE])
        for leaf in first:
            leaf[...] = 0
        second = store.get(0)
        assert same_bits(second, [np.asarray(leaf) for leaf in STATE])
        store.drop(0)
        store.put(1, _state(1))
        assert same_bits(second, [np.asarray(leaf) for leaf in STATE])
        store.close()

    def test_two_stores_keep_apart(self) -> None:
        one, other = self.store(), self.store()
        one.put(0, _state(1))
        other.put(0, _state(2))
        assert same_bits(one.get(0), _state(1))
        one.close()
        third = self.store()
        third.put(0, _state(3))
        assert same_bits(other.get(0), _state(2))
        other.close()
        third.close()

    def test_what_is_not_there_is_a_key_error(self) -> None:
        store = self.store()
        for verb in (store.get, store.drop):
            with pytest.raises(KeyError):
                verb(0)
        store.put(0, STATE)
        store.drop(0)
        for verb in (store.get, store.drop):
            with pytest.raises(KeyError):
                verb(0)
        store.close()

    def test_closed_it_holds_nothing_and_closes_again(self) -> None:
        store = self.store()
        store.put(0, STATE)
        assert store.n_bytes > 0
        store.close()
        store.close()
        assert store.n_bytes == 0
        with pytest.raises(KeyError):
            store.get(0)

    def test_any_sequence_of_verbs_does_what_a_dict_does(self) -> None:
        @given(verbs=VERBS)
        def holds(verbs: list[tuple[str, int]]) -> None:
            store, model, most, unit = self.store(), {}, 0, Layout.of(list(STATE)).n_bytes
            for number, (verb, step) in enumerate(verbs):
                if verb == "put" and step not in model:
                    model[step] = _state(number)
                    store.put(step, model[step])
                elif verb == "get" and step in model:
                    assert same_bits(store.get(step), model[step])
                elif verb == "drop" and step in model:
                    del model[step]
                    store.drop(step)
                most = max(most, len(model))
                assert len(model) * unit <= store.n_bytes <= most * unit
            store.close()

        holds()

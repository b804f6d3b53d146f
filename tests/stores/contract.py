"""The laws of a store, as shipped, with sequences of verbs drawn by hypothesis."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.oracles import same_bits
from unspool.layout import Layout
from unspool.testing import contracts
from unspool.testing.contracts import STATE

VERBS = st.lists(st.tuples(st.sampled_from(["put", "get", "drop"]), st.integers(0, 5)), max_size=30)


class StoreContract(contracts.StoreContract):
    """The shipped contract, with sequences that shrink."""

    def test_any_drawn_sequence_of_verbs_does_what_a_dict_does(self) -> None:
        @given(verbs=VERBS)
        def holds(verbs: list[tuple[str, int]]) -> None:
            store, model, most, unit = self.store(), {}, 0, Layout.of(list(STATE)).n_bytes
            for number, (verb, step) in enumerate(verbs):
                if verb == "put" and step not in model:
                    model[step] = contracts.state_of(number)
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

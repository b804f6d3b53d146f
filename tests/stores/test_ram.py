from __future__ import annotations

import threading

import numpy as np

from tests.oracles import same_bits
from tests.stores.contract import StoreContract
from unspool.layout import Layout
from unspool.stores import RamStore, Store


class TestRamStore(StoreContract):
    def make(self, layout: Layout) -> Store:
        return RamStore(layout)


def test_a_dropped_buffer_serves_the_next_snapshot() -> None:
    store = RamStore(Layout.of([np.zeros(100)]))
    for step in range(50):
        store.put(step, [np.full(100, float(step))])
        assert store.n_bytes == 800
        store.drop(step)
    store.close()


def test_stores_of_several_threads_share_no_buffer() -> None:
    wrong: list[int] = []

    def work(number: int) -> None:
        for turn in range(30):
            store = RamStore(Layout.of([np.zeros(64)]))
            for step in range(5):
                store.put(step, [np.full(64, 100.0 * number + step + turn)])
            expected = [np.full(64, 100.0 * number + step + turn) for step in range(5)]
            if not same_bits([store.get(step)[0] for step in range(5)], expected):
                wrong.append(number)
            store.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []

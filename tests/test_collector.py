"""The garbage collector's thresholds are what they were when a loop is over."""

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import unspool
from unspool.collector import PATIENCE, patient_collector


def loss(u: np.ndarray) -> np.ndarray:
    return np.sum(unspool.fori_loop(0, 30, lambda i, u: np.sin(u), u, policy="every-4"))


def test_the_thresholds_return_after_loops_errors_and_threads() -> None:
    before = gc.get_threshold()

    def fails(i: int, u: np.ndarray) -> np.ndarray:
        assert gc.get_threshold()[0] >= PATIENCE
        if i == 3:
            raise ZeroDivisionError
        return u

    with pytest.raises(ZeroDivisionError):
        unspool.grad(lambda u: np.sum(unspool.fori_loop(0, 9, fails, u, policy="none")))(np.ones(2))
    assert gc.get_threshold() == before
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(unspool.grad(loss), [np.ones(3)] * 16))
    assert gc.get_threshold() == before


def test_a_collector_that_is_off_stays_off() -> None:
    before = gc.get_threshold()
    gc.set_threshold(0, *before[1:])
    try:
        with patient_collector():
            assert gc.get_threshold()[0] == 0
        assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)

"""Measuring a loop on its own first steps, so that nothing is run for the sake of measuring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from time import perf_counter
from typing import Any

import numpy as np

from unspool.kernels import Kernels, State
from unspool.memory import as_bytes
from unspool.planner import Auto, Plan, StepPrices, check_budget, choose, choose_online, store_all
from unspool.replay import first_sampled_difference, sample
from unspool.schedules import OnlineSchedule, StoreAll
from unspool.stores import RamStore
from unspool.stores.arena import KEPT_BYTES, keep_heap

MOST_STEPS, LONGEST_SECONDS = 12, 0.02
"""How many steps are timed at most, and how long: two always, more while they are short."""

ACTIONS_SECONDS = 1e-5
"""What the executor itself takes to load, record and reverse once, without the bytes."""

TINY = 2**20
"""Bytes below which nobody asks how much memory the machine has left."""

SMALL = 32 * 2**20
"""Bytes that stay in or near the caches, and on the heap of any C library."""


def at_once() -> int:
    """Bytes up to which storing everything is taken without a clock: nothing is faster where memory has no price."""
    return KEPT_BYTES if keep_heap() else SMALL


class Probe:
    """The first steps of a loop, run once to be measured, and handed out when the schedule asks for them."""

    def __init__(self, kernels: Kernels, state: State) -> None:
        self._kernels = kernels
        self._states: dict[int, State] = {0: state}
        self._residuals: dict[int, Any] = {}

    def kernels(self) -> Kernels:
        """The kernels, which do not run again what the probe has run."""
        return replace(self._kernels, advance=self._advance, record=self._record)

    def plan(self, policy: Auto, n_steps: int, *, timed: bool = False) -> Plan:
        """Measure, and choose; BudgetError if nothing fits. Small loops are timed only when that is asked for."""
        prices = self._sizes() if n_steps else StepPrices.untimed(self._kernels.layout.n_bytes, 0)
        everything = n_steps * prices.residual_bytes
        if policy.memory is None and everything <= TINY and not timed:
            return store_all(n_steps, prices, TINY)
        budget = as_bytes(policy.memory)
        if n_steps == 0 or (everything <= min(budget, at_once()) and not timed):
            return store_all(n_steps, prices, budget)
        check_budget(prices, budget)  # before more is run
        prices = self._second(prices, n_steps, budget)
        if prices.taped_bytes(n_steps) <= min(budget, at_once()) and not timed:
            return store_all(n_steps, prices, budget)
        plan = choose(n_steps, self._times(prices, n_steps, budget), budget)
        if not isinstance(plan.schedule, StoreAll):
            self._residuals.clear()
        return plan

    def plan_online(self, policy: Auto) -> OnlineSchedule:
        """The same for a loop of unknown length."""
        budget = as_bytes(policy.memory)
        return choose_online(self._sizes(), budget)

    # --- measuring --------------------------------------------------------------------------------------------------
    def _sizes(self) -> StepPrices:
        """Record step 0 and weigh its residuals."""
        _, reached, residuals = self._run_record(0)
        weight = self._kernels.residual_bytes(residuals) if reached else 0
        return StepPrices.untimed(self._kernels.layout.n_bytes, weight)

    def _second(self, prices: StepPrices, n_steps: int, budget: int) -> StepPrices:
        """Record step 1 as well, if there is room: with step 0 it takes less than twice as much where they share."""
        if n_steps == 1 or prices.state_bytes + 2 * prices.residual_bytes > budget:
            return prices
        self._states[2], reached, residuals = self._kernels.record(self._states[1], 1, 2)
        both = self._kernels.residual_bytes([self._residuals[0], *residuals]) if reached == 2 else 0
        more = min(both - prices.residual_bytes, prices.residual_bytes)
        if more <= 0:
            return prices
        return replace(prices, residual_bytes=more, first_bytes=prices.residual_bytes - more)

    def _times(self, prices: StepPrices, n_steps: int, budget: int) -> StepPrices:
        """Time more steps, in turn recorded and not; step 0 was the one that everything was new to."""
        kernels = self._kernels
        kernels.rehearse([self._residuals[0]])
        if prices.least_bytes + prices.taped_bytes(1) > budget:
            self._residuals.clear()  # there is room for the residuals of one step only
        spent: dict[str, list[float]] = {"advance": [], "record": [], "reverse": []}
        first = step = max(self._states)
        last, state = min(n_steps, max(first + 2, min(MOST_STEPS, n_steps // 25))), self._states[first]
        begin = now = perf_counter()
        while step < last and (step < first + 2 or now - begin < LONGEST_SECONDS):
            if step % 2:
                state, _ = kernels.advance(state, step, step + 1)
                spent["advance"].append(perf_counter() - now)
            else:
                state, _, residuals = kernels.record(state, step, step + 1)
                spent["record"].append(perf_counter() - now)
                now = perf_counter()
                kernels.rehearse(residuals)
                spent["reverse"].append(perf_counter() - now)
                if len(spent["reverse"]) < 2:  # one alone may be long by chance
                    spent["reverse"].append(_seconds(partial(kernels.rehearse, residuals)))
                del residuals
            now, step = perf_counter(), step + 1
        self._states[step] = state
        # the least, not the median: whatever else the machine does makes a step longer, never shorter
        advance, record, reverse = (min(times, default=0.0) for times in spent.values())
        save, load, compare = self._copies()
        return replace(
            prices,
            advance_seconds=advance,
            record_seconds=record,
            reverse_seconds=reverse,
            save_seconds=save,
            load_seconds=load,
            turn_seconds=compare + ACTIONS_SECONDS,
            touch_seconds=0.0 if keep_heap() else touch_seconds(),  # a heap that is kept is touched once
        )

    def _copies(self) -> tuple[float, float, float]:
        store = RamStore(self._kernels.layout)
        state = self._states[0]
        store.put(0, state)

        def put() -> None:
            store.drop(0)
            store.put(0, state)

        def compare() -> None:
            first_sampled_difference(sample(again, 1), state, 1)

        def least(run: Callable[[], Any]) -> float:
            return min(_seconds(run) for _ in range(3))

        again = store.get(0)
        save, load, comparison = least(put), least(lambda: store.get(0)), least(compare)
        store.close()
        return save, load, comparison

    def _run_record(self, step: int) -> tuple[State, int, list[Any]]:
        state, reached, residuals = self._kernels.record(self._states[step], step, step + 1)
        if reached > step:
            self._states[step + 1] = state
            self._residuals[step] = residuals[0]
        return state, reached, residuals

    # --- handing out --------------------------------------------------------------------------------------------------
    def _advance(self, state: State, start: int, stop: int) -> tuple[State, int]:
        if start == 0 and self._states:
            known = max(k for k in self._states if k <= stop)
            state, start = self._states[known], known
            self._forget()
            if start == stop:
                return state, stop
        return self._kernels.advance(state, start, stop)

    def _record(self, state: State, start: int, stop: int) -> tuple[State, int, list[Any]]:
        taped: list[Any] = []
        if start == 0 and 0 in self._residuals:
            taped.append(self._residuals.pop(0))
            state, start = self._states[1], 1
        self._forget()
        if start == stop:
            return state, stop, taped
        state, reached, residuals = self._kernels.record(state, start, stop)
        return state, reached, taped + residuals

    def _forget(self) -> None:
        self._states.clear()
        self._residuals.clear()


def _seconds(run: Callable[[], Any]) -> float:
    begin = perf_counter()
    run()
    return perf_counter() - begin


@cache
def touch_seconds() -> float:
    """Seconds per byte of memory that is used for the first time, beyond those of writing to it."""
    n_bytes = 2**25
    buffer = np.empty(n_bytes, np.uint8)
    first = _seconds(lambda: buffer.fill(1))
    second = _seconds(lambda: buffer.fill(2))
    return max(0.0, first - second) / n_bytes


@cache
def distant_seconds() -> float:
    """Seconds that a byte costs more when it is written and read in memory instead of in a cache."""
    far, near = np.zeros(2**23), np.zeros(2**17)  # 64 MB, 1 MB
    rounds = len(far) // len(near)

    def pass_over(buffer: np.ndarray, times: int) -> None:
        for _ in range(times):
            buffer.fill(1.0)
            buffer.sum()

    pass_over(far, 1)
    return max(0.0, _seconds(lambda: pass_over(far, 1)) - _seconds(lambda: pass_over(near, rounds))) / far.nbytes

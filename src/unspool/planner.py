"""From bytes to a schedule: which one, with how many slots and how long a leaf, takes the least time in a budget.

Binomial checkpointing with leaves (`Revolve(slots, leaf)`) holds every classical policy: one leaf of n steps stores
everything, slots for every leaf is a snapshot every k steps, leaves of one step are the binomial schedule of [GW2000].
So the planner searches one family, over the leaf; the slots are what the budget leaves. With s bytes per state and r
per recorded step, `slots * s + leaf * r` must fit, and the time is

    advances * advance + n * (record + reverse) + saves * save + loads * load + leaves * turn + peak bytes * touch

where touching fresh memory has a price of its own: it is why storing everything is not the fastest just because it
fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, isnan, isqrt, nan

from unspool.errors import BudgetError
from unspool.memory import Memory, human_bytes
from unspool.schedules import Every, Online, OnlineSchedule, Revolve, Schedule, StoreAll
from unspool.schedules.binomial import traffic
from unspool.table import Table


@dataclass(frozen=True, slots=True)
class Auto:
    """The policy "auto": measure one or two steps, then take what is fastest within the memory.

    >>> Auto("2 GiB")
    Auto(memory='2 GiB')
    """

    memory: Memory = None


NEAR_BYTES = 2**24
"""Residuals of so many bytes are still in a cache when they are read again."""


@dataclass(frozen=True, slots=True)
class StepPrices:
    """What one step and one snapshot cost: bytes and seconds, measured on real steps or given.

    ``turn_seconds`` is the price of recording and reversing at once, whatever the number of steps: the executor's own
    time, and the comparison of the state with what it was. ``touch_seconds`` is the price of a byte of memory that is
    used for the first time, ``distant_seconds`` that of a byte of residuals which has left the caches (of NEAR_BYTES)
    before it is read again. ``first_bytes`` is what the residuals of the first step of a leaf take more than those of
    the others, which share their state with the step before.
    """

    state_bytes: int
    residual_bytes: int
    advance_seconds: float = 1.0
    record_seconds: float = 1.0
    reverse_seconds: float = 1.0
    save_seconds: float = 0.0
    load_seconds: float = 0.0
    turn_seconds: float = 0.0
    touch_seconds: float = 0.0
    first_bytes: int = 0
    distant_seconds: float = 0.0

    @classmethod
    def untimed(cls, state_bytes: int, residual_bytes: int, first_bytes: int = 0) -> StepPrices:
        """Bytes without seconds (nan), for plans that need none."""
        none = {"advance_seconds": nan, "record_seconds": nan, "reverse_seconds": nan}
        return cls(state_bytes, residual_bytes, **none, first_bytes=first_bytes)

    @property
    def least_bytes(self) -> int:
        """The least budget with which any number of steps can be reversed: one state and one step's residuals."""
        return self.state_bytes + self.taped_bytes(1)

    def taped_bytes(self, steps: int) -> int:
        """The residuals of so many steps in a row.

        >>> StepPrices(state_bytes=8, residual_bytes=24, first_bytes=8).taped_bytes(10)
        248
        """
        return steps * self.residual_bytes + self.first_bytes if steps else 0


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a schedule is expected to cost: evaluations of the step, snapshots, bytes at the worst moment, seconds."""

    schedule: Schedule
    n_steps: int
    steps: int
    saves: int
    loads: int
    peak_bytes: int
    seconds: float
    disk_bytes: int = 0

    @property
    def recomputation_factor(self) -> float:
        """Evaluations per step: 1 when nothing is computed twice."""
        return self.steps / self.n_steps if self.n_steps else 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The choice that was made, its price, and why.

    ``peak_bytes`` of the cost is at most ``budget_bytes``. Printed, it is a table of the choice and its alternatives.
    """

    schedule: Schedule
    n_steps: int
    budget_bytes: int
    cost: Prediction
    reason: str
    prices: StepPrices

    @property
    def alternatives(self) -> tuple[Prediction, ...]:
        """The choice and the classical policies at the same budget, the fastest first."""
        landmarks = _landmarks(self.n_steps, self.prices, self.budget_bytes)
        shown = {str(p.schedule): p for p in (*landmarks, self.cost)}
        return tuple(sorted(shown.values(), key=speed))

    def frontier(self, points: int = 25) -> list[Prediction]:
        """The memory-time curve: the best schedule for budgets from the least that works to storing everything.

        >>> from unspool.planner import StepPrices, choose
        >>> curve = choose(1000, StepPrices(8, 24), 4000).frontier(5)
        >>> [(p.peak_bytes, p.steps) for p in curve][-1]
        (24000, 1000)
        """
        least, most = self.prices.least_bytes, max(self.prices.least_bytes, self.prices.taped_bytes(self.n_steps))
        curve: list[Prediction] = []
        for number in range(points):
            budget = round(least * (most / least) ** (number / max(1, points - 1)))
            best = min(_candidates(self.n_steps, self.prices, budget), key=speed)
            if not curve or (best.peak_bytes > curve[-1].peak_bytes and best.seconds < curve[-1].seconds):
                curve.append(best)
        return curve

    def __str__(self) -> str:
        return str(self._table())

    def _repr_html_(self) -> str:
        return self._table()._repr_html_()

    def _table(self) -> Table:
        head = ("", "schedule", "evaluations", "factor", "peak", "seconds")
        rows = [_row(p, chosen=p.schedule == self.schedule) for p in self.alternatives]
        title = f"{self.n_steps:,} steps in {human_bytes(self.budget_bytes)}: {self.reason}"
        return Table(head, tuple(rows), title, left=(0, 1))


def _row(p: Prediction, *, chosen: bool) -> tuple[str, ...]:
    factor = f"{p.recomputation_factor:.3f}"
    return (
        "→" if chosen else "",
        str(p.schedule),
        f"{p.steps:,}",
        factor,
        human_bytes(p.peak_bytes),
        "not timed" if isnan(p.seconds) else f"{p.seconds:.4g}",
    )


def speed(p: Prediction) -> tuple[float, int]:
    """What plans are ordered by: seconds, and bytes where those are equal."""
    return p.seconds, p.peak_bytes


# --- predictions ------------------------------------------------------------------------------------------------------
def predict(
    schedule: Revolve | StoreAll | Every, n_steps: int, prices: StepPrices, *, count: bool = True
) -> Prediction:
    """The price of a schedule, by formula.

    Without ``count`` each leaf but the last is taken to cost a snapshot, which is an upper bound.

    >>> predict(Revolve(10, leaf=10), 1000, StepPrices(8, 24)).peak_bytes
    320
    """
    if isinstance(schedule, StoreAll):
        leaf, slots = max(1, n_steps), 0
    elif isinstance(schedule, Every):
        leaf, slots = schedule.period, n_steps
    else:
        leaf, slots = schedule.leaf, schedule.slots
    leaves = ceil(n_steps / leaf)
    held = 0 if leaves <= 1 else min(slots, max(1, leaves - 1))
    steps = schedule.steps(n_steps)
    loads = saves = max(0, leaves - 1)
    if count and slots < saves:
        saves = sum(traffic(leaves, slots)) - loads
    peak = held * prices.state_bytes + prices.taped_bytes(min(leaf, n_steps))
    seconds = (
        (steps - n_steps) * prices.advance_seconds
        + n_steps * (prices.record_seconds + prices.reverse_seconds)
        + saves * prices.save_seconds
        + loads * prices.load_seconds
        + leaves * prices.turn_seconds
        + peak * prices.touch_seconds
    )
    if prices.taped_bytes(min(leaf, n_steps)) > NEAR_BYTES:
        seconds += n_steps * prices.residual_bytes * prices.distant_seconds
    return Prediction(schedule, n_steps, steps, saves, loads, peak, seconds)


# --- the choice -------------------------------------------------------------------------------------------------------
def check_budget(prices: StepPrices, budget_bytes: int) -> None:
    """Raise BudgetError, which names the least that works, where no schedule fits."""
    if budget_bytes < prices.least_bytes:
        raise BudgetError(
            f"memory of {human_bytes(budget_bytes)} is too little: one state takes {human_bytes(prices.state_bytes)} "
            f"and the residuals of one step take {human_bytes(prices.taped_bytes(1))}. The least that works for any "
            f"number of steps is {prices.least_bytes} bytes ({human_bytes(prices.least_bytes)})."
        )


def choose(n_steps: int, prices: StepPrices, budget_bytes: int) -> Plan:
    """The plan that is expected to be the fastest within the budget.

    Raises `BudgetError` before anything runs when no plan fits; it names the least budget that does.

    >>> plan = choose(10_000, StepPrices(state_bytes=1, residual_bytes=4), 500)
    >>> plan.schedule, plan.cost.steps
    (Revolve(slots=99, leaf=100), 19900)
    """
    if n_steps:
        check_budget(prices, budget_bytes)
    best = min(_candidates(n_steps, prices, budget_bytes), key=speed)
    best = predict(best.schedule, n_steps, prices)  # type: ignore[arg-type]
    return Plan(best.schedule, n_steps, budget_bytes, best, _reason(best, prices, budget_bytes), prices)


def store_all(n_steps: int, prices: StepPrices, budget_bytes: int) -> Plan:
    """The plan that stores everything, for loops so small that nothing else need be considered."""
    best = predict(StoreAll(), n_steps, prices)
    return Plan(best.schedule, n_steps, budget_bytes, best, _reason(best, prices, budget_bytes), prices)


def _candidates(n_steps: int, prices: StepPrices, budget_bytes: int) -> Iterator[Prediction]:
    """Revolve for every leaf worth a look, with the slots that fit beside it; storing everything if it fits."""
    if prices.taped_bytes(n_steps) <= budget_bytes:
        yield predict(StoreAll(), n_steps, prices)
    tried: dict[int, Prediction] = {}
    longest = min(
        n_steps - 1, (budget_bytes - prices.state_bytes - prices.first_bytes) // max(1, prices.residual_bytes)
    )
    for leaf in _leaves(n_steps, longest):
        tried[leaf] = _with_leaf(leaf, n_steps, prices, budget_bytes)
    for _ in range(3):  # look closer around the best ones
        for p in sorted(tried.values(), key=speed)[:3]:
            assert isinstance(p.schedule, Revolve)
            for leaf in {round(p.schedule.leaf * x) for x in (0.93, 0.97, 0.99, 1.01, 1.03, 1.07)}:
                if 1 <= leaf <= longest and leaf not in tried:
                    tried[leaf] = _with_leaf(leaf, n_steps, prices, budget_bytes)
    yield from tried.values()


def _leaves(n_steps: int, longest: int) -> list[int]:
    """Leaf lengths from 1 to the longest: all short ones, then by steps of a tenth, and those that divide n evenly."""
    found = set(range(1, min(longest, 12) + 1))
    leaf = 12.0
    while leaf < longest:
        found.add(int(leaf))
        leaf *= 1.1
    found |= {
        k
        for parts in range(1, 2 * isqrt(n_steps) if n_steps < 10**4 else 200)
        if (k := -(-n_steps // parts)) <= longest
    }
    return sorted(k for k in found | {longest} if 1 <= k <= longest)


def _with_leaf(leaf: int, n_steps: int, prices: StepPrices, budget_bytes: int) -> Prediction:
    rest = budget_bytes - prices.taped_bytes(leaf)
    leaves = ceil(n_steps / leaf)
    slots = max(1, leaves - 1)
    if prices.state_bytes:
        slots = max(1, min(slots, rest // prices.state_bytes))
    return predict(Revolve(slots, leaf), n_steps, prices, count=False)


def _landmarks(n_steps: int, prices: StepPrices, budget_bytes: int) -> Iterator[Prediction]:
    """The classical policies at the same budget, for comparison."""
    yield predict(StoreAll(), n_steps, prices)
    longest = min(
        n_steps - 1, (budget_bytes - prices.state_bytes - prices.first_bytes) // max(1, prices.residual_bytes)
    )
    if longest >= 1:
        yield _with_leaf(1, n_steps, prices, budget_bytes)
    every = [predict(Every(k), n_steps, prices) for k in _leaves(n_steps, longest)]
    fitting = [p for p in every if p.peak_bytes <= budget_bytes]
    if fitting:
        yield min(fitting, key=speed)


def _reason(best: Prediction, prices: StepPrices, budget_bytes: int) -> str:
    everything = prices.taped_bytes(best.n_steps)
    if isinstance(best.schedule, StoreAll):
        return f"all residuals together take {human_bytes(everything)}, which fits, and nothing is computed twice"
    assert isinstance(best.schedule, Revolve)
    slots, leaf = best.schedule.slots, best.schedule.leaf
    what = f"{slots} snapshots, and {leaf} step{'s' * (leaf > 1)} recorded and reversed at once"
    if everything <= budget_bytes:
        return (
            f"{what}: storing everything would fit, but touching {human_bytes(everything)} costs more than recomputing"
        )
    return f"{what}, take the least time; storing everything would take {human_bytes(everything)}"


def choose_online(prices: StepPrices, budget_bytes: int) -> OnlineSchedule:
    """A schedule for a loop of unknown length: half the budget for snapshots, half for a leaf.

    >>> choose_online(StepPrices(state_bytes=8, residual_bytes=24), 960)
    Online(slots=60, leaf=20)
    """
    check_budget(prices, budget_bytes)
    room = min(budget_bytes // 2, budget_bytes - prices.state_bytes)
    leaf = max(1, room // max(1, prices.residual_bytes))
    slots = max(1, (budget_bytes - prices.taped_bytes(leaf)) // max(1, prices.state_bytes))
    return Online(int(min(slots, 10**6)), leaf=int(min(leaf, 10**6)))

"""The planner with a disk: snapshots at equal distances on it, binomial checkpointing in memory between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

from unspool.memory import human_bytes
from unspool.planner import Plan, Prediction, StepPrices, choose, speed
from unspool.schedules import TwoLevel
from unspool.schedules.binomial import traffic


@dataclass(frozen=True, slots=True)
class Disk:
    """Room for snapshots on disk, and the seconds that a byte takes to get there and back."""

    n_bytes: int
    write_seconds: float
    read_seconds: float


def choose_with_disk(n_steps: int, prices: StepPrices, budget_bytes: int, disk: Disk) -> Plan:
    """The plan that is expected to be the fastest within the memory and the room on disk.

    >>> plan = choose_with_disk(10_000, StepPrices(8, 24), 1000, Disk(10**6, 1e-6, 1e-6))
    >>> plan.schedule, plan.cost.disk_bytes
    (TwoLevel(period=36, slots=1, leaf=36), 2224)
    """
    plan = choose(n_steps, prices, budget_bytes)
    best = min([plan.cost, *_on_disk(n_steps, prices, budget_bytes, disk)], key=speed)
    if best is plan.cost:
        return plan
    assert isinstance(best.schedule, TwoLevel)
    reason = (
        f"a snapshot on disk every {best.schedule.period} steps, {human_bytes(best.disk_bytes)} in all, and at most "
        f"{best.schedule.slots} in memory between them, take the least time"
    )
    return replace(plan, schedule=best.schedule, cost=best, reason=reason)


def _on_disk(n_steps: int, prices: StepPrices, budget_bytes: int, disk: Disk) -> Iterator[Prediction]:
    """Two levels: for every period and leaf worth a look, the slots that fit in memory beside the leaf."""
    periods = {ceil(n_steps / parts) for parts in _spaced(n_steps)}
    for period in sorted(periods):
        disk_bytes = ceil(n_steps / period) * prices.state_bytes
        if disk_bytes <= disk.n_bytes:
            for leaf in _spaced(min(period, (budget_bytes - prices.first_bytes) // max(1, prices.residual_bytes))):
                found = _two_level(n_steps, prices, budget_bytes, disk, period=period, leaf=leaf)
                if found.peak_bytes <= budget_bytes:
                    yield found


def _two_level(
    n_steps: int, prices: StepPrices, budget_bytes: int, disk: Disk, *, period: int, leaf: int
) -> Prediction:
    leaves, periods = ceil(period / leaf), ceil(n_steps / period)
    rest = budget_bytes - prices.taped_bytes(leaf)
    slots = max(1, min(rest // max(1, prices.state_bytes), leaves - 2))
    schedule = TwoLevel(period, slots, leaf)
    deep = traffic(leaves, slots + 1) if leaves > 1 else [1]
    in_ram = sum(deep[1:])  # saves and loads of the snapshots in memory, per period
    peak = min(max(0, leaves - 2), slots) * prices.state_bytes + prices.taped_bytes(min(leaf, period))
    steps = schedule.steps(n_steps)
    seconds = (
        (steps - n_steps) * prices.advance_seconds
        + n_steps * (prices.record_seconds + prices.reverse_seconds)
        + periods * in_ram * (prices.save_seconds + prices.load_seconds) / 2
        + periods * prices.state_bytes * (disk.write_seconds + deep[0] * disk.read_seconds)
        + peak * prices.touch_seconds
    )
    saves, loads = periods * (1 + in_ram // 2), periods * (deep[0] + in_ram // 2)
    return Prediction(schedule, n_steps, steps, saves, loads, peak, seconds, periods * prices.state_bytes)


def _spaced(most: int) -> list[int]:
    """Numbers from 1 to the most, by steps of a fifth."""
    found, x = {1, most}, 1.0
    while x < most:
        found.add(ceil(x))
        x *= 1.2
    return sorted(k for k in found if 1 <= k <= most)

"""One problem under ten budgets: some twenty hand-picked policies and ``auto``, measured in turn. Prints JSON.

``python -m benchmarks.study`` starts this in a process of its own, with one thread per library.

Seconds are CPU seconds of the process (user and system): with one thread they are wall-clock seconds of a machine that
does nothing else, and they stay right on one that does. A budget has two rounds. In the first, all policies run in
turn; it finds the three fastest. In the second, `auto`, the schedule that it chose, given by hand, and those three
run in turn again: the ratios come from there, so that a policy which was lucky in the first round gains nothing by it.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from time import process_time
from typing import Any

import numpy as np

import unspool
from benchmarks.problems import PROBLEMS
from benchmarks.problems.problem import Problem
from benchmarks.study import STUDIED
from unspool.planner import StepPrices, choose, predict
from unspool.schedules import Every, Mixed, Online, Revolve, Schedule, StoreAll, simulate

SLOWEST = 4
"""Hand-picked policies that evaluate more than this many times the steps of the best one are left out."""


@dataclass(frozen=True)
class Effort:
    """How many budgets and policies, and how often each is run in either round."""

    budgets: int = 10
    policies: int = 20
    first: int = 2
    second: int = 7


FULL, QUICK = Effort(), Effort(budgets=4, policies=8, first=1, second=3)


# --- the policies -----------------------------------------------------------------------------------------------------
def budgets(n_steps: int, prices: StepPrices, number: int) -> list[int]:
    """Log-spaced from room for four states and the residuals of one step to room for everything."""
    least = prices.least_bytes + 3 * prices.state_bytes
    most = max(least, round(1.02 * n_steps * prices.residual_bytes))
    return [round(least * (most / least) ** (k / (number - 1))) for k in range(number)]


def hand_picked(n_steps: int, prices: StepPrices, budget: int, number: int) -> list[Schedule]:
    """About so many policies that fit, as somebody would choose them who knows the sizes."""
    state, residual = prices.state_bytes, prices.residual_bytes

    def revolve(leaf: int) -> Revolve:
        slots = (budget - leaf * residual) // state
        return Revolve(max(1, min(slots, -(-n_steps // leaf) - 1)), leaf)

    found: list[Schedule] = [StoreAll()]
    longest = max(1, min(n_steps - 1, (budget - state) // residual))
    slots = max(1, (budget - residual) // state)
    found += [revolve(1), Revolve(max(1, min(slots, n_steps) // 2)), Online(min(slots, n_steps))]
    found += [Online(max(1, (budget - longest // 2 * residual) // state), leaf=longest // 2)] if longest > 1 else []
    unit = max(state, -(-(budget - residual) // 150))  # Mixed plans in n_steps**2 * slots
    if budget - residual >= unit:
        found += [Mixed((budget - residual) // unit, 1, -(-residual // unit))]
    periods = [k for k in spaced(longest, 4 * number) if fits(Every(k), n_steps, prices, budget)]
    found += [Every(k) for k in thinned(periods, number // 4)]
    found += [revolve(k) for k in thinned(spaced(longest, 4 * number), number)]
    found = [s for s in dict.fromkeys(found) if fits(s, n_steps, prices, budget)]
    least = min(s.steps(n_steps) for s in found)
    found = [s for s in found if s.steps(n_steps) <= SLOWEST * least]
    others = [s for s in found if not isinstance(s, Revolve)]
    return others + thinned([s for s in found if isinstance(s, Revolve)], max(1, number - len(others)))


def fits(schedule: Schedule, n_steps: int, prices: StepPrices, budget: int) -> bool:
    sizes = {"state_bytes": prices.state_bytes, "residual_bytes": prices.residual_bytes}
    return simulate(schedule, n_steps, **sizes).peak_bytes <= budget


def spaced(most: int, number: int) -> list[int]:
    """Whole numbers from 1 to the most at equal ratios."""
    return sorted({round(most ** (k / max(1, number - 1))) for k in range(number)})


def thinned(items: Sequence[Any], number: int) -> list[Any]:
    """So many of the items at equal distances, the last among them."""
    if len(items) <= number:
        return list(items)
    return [items[len(items) - 1 - round(k * (len(items) - 1) / max(1, number - 1))] for k in range(number)][::-1]


# --- measuring --------------------------------------------------------------------------------------------------------
class Bench:
    """One problem and its reference gradient, with which every other is compared bit by bit."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.equal = True
        self.reference: list[bytes] | None = None

    def run(self, policy: Any, memory: int | None = None) -> float:
        """The CPU seconds of one gradient."""
        gc.collect()
        begin = process_time()
        value, found = self.problem.gradient(*self.problem.parameters, policy=policy, memory=memory)
        spent = process_time() - begin
        bits = [np.asarray(value).tobytes(), *(part.tobytes() for part in found)]
        self.reference = self.reference or bits
        self.equal = self.equal and bits == self.reference
        return spent

    def observe(self, policy: Any, memory: int | None = None) -> Any:
        """The report of one gradient, which is not timed."""
        with unspool.observe() as log:
            self.run(policy, memory)
        return log[0]

    def in_turn(self, policies: Sequence[tuple[Any, int | None]], rounds: int) -> list[list[float]]:
        """The seconds of each policy, one column per round."""
        seconds: list[list[float]] = [[] for _ in policies]
        for number in range(rounds):
            for k in range(len(policies)) if number % 2 else reversed(range(len(policies))):
                seconds[k].append(self.run(*policies[k]))
        return seconds


def sweep(problem: Problem, effort: Effort) -> dict[str, Any]:
    """Everything that is measured of one problem."""
    bench = Bench(problem)
    bench.run("none")
    weighed = bench.observe("none")
    sizes = StepPrices(weighed.state_bytes, weighed.residual_bytes)
    rows = []
    for budget in budgets(problem.n_steps, sizes, effort.budgets):
        rows.append(at_budget(bench, sizes, budget, effort))
        note(f"{problem.name} {budget:>12,} B  auto/best {rows[-1]['auto']['ratio']:.3f}  {rows[-1]['auto']['chosen']}")
    prices = typical([row["auto"]["prices"] for row in rows], sizes)
    for row in rows:
        for policy in row["policies"]:
            policy["predicted_seconds"] = predicted(policy.pop("schedule"), problem.n_steps, prices)
    none, auto = zip(*none_and_auto(bench, 4 * effort.second), strict=True)
    return {
        "problem": problem.name,
        "title": problem.title,
        "n_steps": problem.n_steps,
        "state_bytes": sizes.state_bytes,
        "residual_bytes": sizes.residual_bytes,
        "prices": asdict(prices),
        "gradients_bitwise_equal": bench.equal,
        "seconds_none": median(none),
        "seconds_auto_without_memory": median(auto),
        "auto_over_none": median(a / b for a, b in zip(auto, none, strict=True)),
        "budgets": rows,
        "curve": curve(problem.n_steps, prices),
    }


def at_budget(bench: Bench, sizes: StepPrices, budget: int, effort: Effort) -> dict[str, Any]:
    n = bench.problem.n_steps
    schedules = hand_picked(n, sizes, budget, effort.policies)
    first = bench.in_turn([*((s, None) for s in schedules), ("auto", budget)], effort.first)
    policies = []
    for schedule, seconds in zip(schedules, first, strict=False):
        report = bench.observe(schedule)
        policies.append(
            {
                "policy": repr(schedule),
                "kind": type(schedule).__name__,
                "schedule": schedule,
                "seconds": median(seconds),
                "steps": report.steps,
                "predicted_peak_bytes": report.predicted_peak_bytes,
                "peak_bytes": report.peak_bytes,
            }
        )
    reports = [bench.observe("auto", budget) for _ in range(3)]
    report = reports[0]
    best = sorted(policies, key=lambda p: p["seconds"])[:3]
    again = [("auto", budget), (report.policy, None), *((p["schedule"], None) for p in best)]
    auto, chosen, *rest = bench.in_turn(again, effort.second)
    pairs = [median(a / b for a, b in zip(auto, seconds, strict=True)) for seconds in rest]
    strongest = max(range(len(pairs)), key=pairs.__getitem__)
    timed = report.plan.prices.advance_seconds != 1.0  # else the plan took no times
    return {
        "budget_bytes": budget,
        "policies": policies,
        "auto": {
            "chosen": repr(report.policy),
            "chosen_each_time": [repr(r.policy) for r in reports],
            "seconds": median(auto),
            "seconds_of_its_schedule": median(chosen),
            "ratio_to_its_schedule": median(a / b for a, b in zip(auto, chosen, strict=True)),
            "best": best[strongest]["policy"],
            "best_seconds": median(rest[strongest]),
            "ratio": pairs[strongest],
            "steps": report.steps,
            "predicted_seconds": median(r.plan.cost.seconds for r in reports) if timed else None,
            "predicted_seconds_each_time": [r.plan.cost.seconds for r in reports] if timed else None,
            "predicted_peak_bytes": report.predicted_peak_bytes,
            "peak_bytes": report.peak_bytes,
            "prices": [asdict(r.plan.prices) for r in reports] if timed else [],
        },
    }


def none_and_auto(bench: Bench, rounds: int) -> Iterator[tuple[float, float]]:
    """Storing everything because it was asked for, and because auto chose it."""
    for number in range(rounds):
        if number % 2:
            yield bench.run("none"), bench.run("auto")
        else:
            auto = bench.run("auto")
            yield bench.run("none"), auto


def typical(prices: Sequence[Sequence[dict[str, float]]], sizes: StepPrices) -> StepPrices:
    """The medians of all prices that were measured."""
    every = [one for some in prices for one in some]
    if not every:
        return sizes
    medians = {name: median(one[name] for one in every) for name in every[0]}
    return StepPrices(**{name: round(x) if name.endswith("_bytes") else x for name, x in medians.items()})


def predicted(schedule: Schedule, n_steps: int, prices: StepPrices) -> float | None:
    known = isinstance(schedule, Revolve | StoreAll | Every)
    return predict(schedule, n_steps, prices).seconds if known else None


def curve(n_steps: int, prices: StepPrices) -> list[dict[str, float]]:
    """The theoretical curve: the fewest evaluations F(n; c, k) for any memory, and the seconds at these prices."""
    free = {name: 0 for name in StepPrices.__slots__ if name.endswith("_seconds")}
    counted = replace(prices, **{**free, "advance_seconds": 1})
    points = []
    for memory in budgets(n_steps, prices, 60):
        fewest = choose(n_steps, counted, memory).cost
        points.append({"bytes": memory, "steps": fewest.steps, "seconds": choose(n_steps, prices, memory).cost.seconds})
    return points


def asdict(prices: StepPrices) -> dict[str, float]:
    return {name: getattr(prices, name) for name in StepPrices.__slots__}


def note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Measure the problem that is named, at full or small size."""
    name, how = sys.argv[1:]
    quick = how == "quick"
    problem = PROBLEMS[name][0](**STUDIED[how][name])
    print(json.dumps(sweep(problem, QUICK if quick else FULL)))


if __name__ == "__main__":
    main()

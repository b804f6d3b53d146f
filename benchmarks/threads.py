"""Threads: gradients of the compiled loops of `long_loops`, shared among some threads and in one, in turn.

``python -m benchmarks.threads --only wave-256 --threads 2``. Seconds are those of a clock on the wall; the ratio is the
median of those of all rounds. Other processes on the same cores show: run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
from statistics import median
from time import perf_counter

from benchmarks.long_loops import CASES, Case
from unspool.schedules import Every, Revolve, Schedule, StoreAll

POLICIES: dict[str, Schedule] = {"none": StoreAll(), "every-32": Every(32), "revolve-30, leaf 32": Revolve(30, leaf=32)}


def rounds_of(case: Case, policy: Schedule, *, threads: int, rounds: int) -> list[tuple[float, float]]:
    """The seconds of a gradient in one thread and in several, round by round; their bits are compared."""
    problem = case.problem()
    found = []
    for number in range(rounds + 1):
        seconds, bits = [], []
        for n in (1, threads):
            begin = perf_counter()
            value, cts = problem.gradient(*problem.parameters, policy=policy, compile=True, threads=n)
            seconds.append(perf_counter() - begin)
            bits.append([value.tobytes(), *[ct.tobytes() for ct in cts]])
        assert bits[0] == bits[1], "the bits depend on the number of threads"
        found += [(seconds[0], seconds[1])] * (number > 0)  # the first compiles
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="wave", help="problems whose name begins so")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    for name, case in CASES.items():
        if not name.startswith(options.only):
            continue
        for policy, schedule in POLICIES.items():
            pairs = rounds_of(case, schedule, threads=options.threads, rounds=options.rounds)
            one, several = [1e3 * median(column) for column in zip(*pairs, strict=True)]
            ratio = median([a / b for a, b in pairs])
            print(f"{name:18s} {policy:20s} {one:8.1f} ms {several:8.1f} ms  x{ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()

"""What the comparison of recomputed states costs: ``python -m benchmarks.replay``.

Each mode of ``check=`` beside "off", in turn, CPU seconds of a gradient on the tape; the figure is the median of the
ratios of pairs. Prints a table.
"""

from __future__ import annotations

import argparse
import gc
from statistics import median
from time import process_time

import numpy as np

import unspool
from benchmarks.problems.lorenz import lorenz
from benchmarks.problems.network import network
from benchmarks.problems.problem import Library, Problem, Scanned
from benchmarks.problems.wave import wave
from unspool.table import Table

POLICIES = ("none", "every-45", "revolve-20")
MODES = ("digest", "sample")


def decay(n_steps: int = 2000) -> Problem:
    """The cheapest step there is: one product of ten numbers."""

    def loss(start, **options):
        return np.sum(unspool.fori_loop(0, n_steps, lambda i, u: u * 0.999, start, **options))

    def model(library: Library, start) -> Scanned:
        return Scanned(start, lambda u, _: (u * 0.999, None), lambda u, _: u.sum())

    title = f"Decay of 10 numbers, {n_steps:,} steps"
    return Problem("decay", title, n_steps, (np.linspace(0.1, 0.9, 10),), {}, loss, model)


def problems() -> list[Problem]:
    """Sizes at which a gradient takes a tenth of a second."""
    return [lorenz(300), wave(60, 256), wave(20, 512), network(1000, 128), network(1000, 32), decay()]


def overhead(problem: Problem, policy: str, mode: str, rounds: int) -> float:
    """The median ratio of a gradient with this check to one without."""
    ratios = []
    for number in range(rounds):
        seconds = {}
        for check in (mode, "off") if number % 2 else ("off", mode):
            gc.collect()
            begin = process_time()
            problem.gradient(*problem.parameters, policy=policy, check=check, compile=False)
            seconds[check] = process_time() - begin
        ratios.append(seconds[mode] / seconds["off"])
    return median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    rows = []
    for problem in problems():
        for policy in POLICIES:
            found = [overhead(problem, policy, mode, rounds) for mode in MODES]
            rows.append((problem.title, policy, *[f"{100 * (ratio - 1):+.1f} %" for ratio in found]))
    print(Table(("problem", "policy", *MODES), tuple(rows), left=(0, 1)))


if __name__ == "__main__":
    main()

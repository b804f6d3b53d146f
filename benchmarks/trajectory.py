"""Filling a trajectory row by row: seconds and bytes of one gradient against the number of rows.

``python -m benchmarks.trajectory`` prints a table. Three programs: rows of a field that read the row before, numbers of
a vector that read the number before, and parts of rows that are added to through views.
"""

from __future__ import annotations

import argparse
import gc
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

import unspool
import unspool.numpy as unp

Program = Callable[[np.ndarray, int], np.ndarray]


def rows(x: np.ndarray, n: int) -> np.ndarray:
    """``u[i] = g(u[i - 1])``, a row at a time."""
    u = unp.zeros((n, x.size))
    u[0] = x
    for i in range(1, n):
        u[i] = u[i - 1] + 0.01 * np.sin(u[i - 1])
    return np.sum(u**2)


def numbers(x: np.ndarray, n: int) -> np.ndarray:
    """``u[i] = g(u[i - 1])``, a number at a time."""
    u = unp.zeros(n)
    u[0] = x[0]
    for i in range(1, n):
        u[i] = u[i - 1] + 0.01 * np.sin(u[i - 1])
    return np.sum(u**2)


def parts(x: np.ndarray, n: int) -> np.ndarray:
    """``row[1:] += g(row[:-1])``, through views of views."""
    u = unp.zeros((n, x.size))
    u[:] = x
    for i in range(1, n):
        row = u[i]
        row[1:] += 0.01 * u[i - 1][:-1] * row[:-1]
    return np.sum(u**2)


PROGRAMS: tuple[Program, ...] = (rows, numbers, parts)


def measured(program: Program, n: int, rounds: int) -> tuple[float, int]:
    """The seconds of one gradient, the least of some rounds, and its peak of bytes."""
    x = np.linspace(0.1, 0.9, 10)
    gradient = unspool.grad(lambda x: program(x, n))
    gradient(x)
    seconds = []
    for _ in range(rounds):
        gc.collect()
        start = time.process_time()
        gradient(x)
        seconds.append(time.process_time() - start)
    tracemalloc.start()
    gradient(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return min(seconds), peak


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[250, 500, 1000, 2000, 4000, 8000])
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    print(f"{'program':10}{'n':>8}{'ms':>10}{'µs/row':>9}{'MB':>9}{'bytes/row':>11}")
    for program in PROGRAMS:
        for n in chosen.rows:
            seconds, peak = measured(program, n, chosen.rounds)
            row = f"{program.__name__:10}{n:8}{seconds * 1e3:10.1f}{seconds * 1e6 / n:9.1f}"
            print(f"{row}{peak / 1e6:9.2f}{peak // n:11}")


if __name__ == "__main__":
    main()

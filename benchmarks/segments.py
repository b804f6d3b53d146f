"""The study of checkpointing without a loop function: a 2-D simulation in a plain Python loop, under budgets.

``python -m benchmarks.segments`` measures, each run in a process of its own, and prints a table. ``--docs`` puts it
into docs/segments.md, ``--steps`` and ``--size`` make it smaller. Budgets are fractions of what a plain tape holds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.study import child
from unspool.schedules import Revolve
from unspool.table import Table

FRACTIONS = (0.02, 0.05, 0.2)
BEGIN, END = "<!-- table: python -m benchmarks.segments --docs -->", "<!-- end of table -->"
PAGE = Path(__file__).parent.parent / "docs" / "segments.md"


def diffusion(n_steps: int, *, marks: bool):
    """Nonlinear diffusion after Perona and Malik, explicit in time: loss(u, contrast) of an image f64[n, n]."""
    import unspool

    def loss(u, contrast):
        for _ in range(n_steps):
            down = u[1:] - u[:-1]
            right = u[:, 1:] - u[:, :-1]
            down = down / (1 + (down / contrast) ** 2)
            right = right / (1 + (right / contrast) ** 2)
            u = np.copy(u)
            u[:-1] += 0.2 * down
            u[1:] -= 0.2 * down
            u[:, :-1] += 0.2 * right
            u[:, 1:] -= 0.2 * right
            if marks:
                unspool.mark()
        return np.mean((u - 0.5) ** 2)

    return loss


def image(size: int) -> np.ndarray:
    """A disc with noise, f64[size, size]."""
    x, y = np.meshgrid(*[np.linspace(-1, 1, size)] * 2, indexing="ij")
    return (x**2 + y**2 < 0.4) + 0.1 * np.random.default_rng(0).normal(size=(size, size))


def run(n_steps: int, size: int, marks: bool, how: dict[str, Any], repeats: int = 3) -> dict[str, Any]:
    """A gradient, some times: the least seconds, the bytes that tape and process count, the bits of the gradient."""
    from resource import RUSAGE_SELF, getrusage
    from zlib import crc32

    import unspool

    u, contrast = image(size), 0.3
    warm = unspool.value_and_grad(diffusion(3, marks=marks), (0, 1), **how)
    warm(u, contrast)
    function = unspool.value_and_grad(diffusion(n_steps, marks=marks), (0, 1), **how)
    before = getrusage(RUSAGE_SELF).ru_maxrss
    with unspool.observe() as log:
        begin = time.perf_counter()
        value, gradient = function(u, contrast)
        seconds = [time.perf_counter() - begin]
    grown = getrusage(RUSAGE_SELF).ru_maxrss - before
    for _ in range(repeats - 1):
        begin = time.perf_counter()
        function(u, contrast)
        seconds.append(time.perf_counter() - begin)
    found = {
        "seconds": min(seconds),
        "rss_bytes": 1024 * grown,
        "digest": crc32(gradient[0]) ^ crc32(np.array([value, gradient[1]])),
    }
    if log:
        names = ("n_steps", "steps", "records", "saves", "peak_bytes")
        found |= {name: getattr(log[0], name) for name in names if hasattr(log[0], name)}
        found["slots"] = log[0].policy.slots if hasattr(log[0].policy, "slots") else 0
    return found


def study(n_steps: int, size: int) -> Table:
    """Store-all, then each budget with marks and without."""

    def measured(marks: bool, how: dict[str, Any]) -> dict[str, Any]:
        return child("benchmarks.segments", "--child", json.dumps([n_steps, size, marks, how]))

    plain = measured(True, {})
    all_kept = measured(True, {"memory": 10**12})
    whole = all_kept["peak_bytes"]
    rows = [_row("plain tape", plain, plain, None), _row("all of it", all_kept, plain, whole)]
    for fraction in FRACTIONS:
        for marks in (True, False):
            budget = int(fraction * whole)
            found = measured(marks, {"memory": budget})
            assert found["digest"] == plain["digest"], "the gradient has other bits"
            assert found["peak_bytes"] <= budget
            name = f"{100 * fraction:g} %, {'marks' if marks else 'no marks'}"
            rows.append(_row(name, found, plain, budget))
    head = ("memory", "budget MB", "peak MB", "RSS MB", "seconds", "× plain", "steps", "run", "states", "Revolve")
    return Table(head, tuple(rows), left=(0,))


def _row(name: str, found: dict[str, Any], plain: dict[str, Any], budget: int | None) -> tuple[str, ...]:
    n, total, slots = (found.get(key, 0) for key in ("n_steps", "steps", "slots"))
    optimum = f"{Revolve(slots).steps(n):,}" if total > n else ""
    return (
        name,
        "" if budget is None else f"{budget / 1e6:,.1f}",
        f"{found['peak_bytes'] / 1e6:,.1f}" if "peak_bytes" in found else "",
        f"{found['rss_bytes'] / 1e6:,.1f}",
        f"{found['seconds']:.2f}",
        f"{found['seconds'] / plain['seconds']:.2f}",
        f"{n:,}" if n else "",
        f"{total:,}" if n else "",
        f"{slots:,}" if total > n else "",
        optimum,
    )


def heuristic(n_steps: int, size: int, fractions: tuple[float, ...], *, neighbourhood: bool) -> Table:
    """What is computed in all, over once: this tape, and dynamic rematerialisation in as many bytes (simulated)."""
    import unspool
    from benchmarks.rematerialise import operations_of, rematerialised
    from unspool.ir.listener import listening
    from unspool.segments import Forgetful

    loss, u, contrast = diffusion(n_steps, marks=True), image(size), np.float64(0.3)
    tape = Forgetful(unspool.Online(1), None, "loss")
    with listening(tape):
        loss(tape.input(u), tape.input(contrast))
        tape.close()
    operations = operations_of(tape.transcript)
    whole = operations.n_bytes[np.unique(operations.residuals[1])].sum()
    rows = []
    for fraction in fractions:
        budget = int(fraction * whole)
        with unspool.observe() as log:
            unspool.grad(loss, (0, 1), memory=budget)(u, contrast)
        other = rematerialised(operations, budget, neighbourhood=neighbourhood)
        rows.append((f"{100 * fraction:g} %", f"{log[0].recomputation_factor:.2f}", f"{other:.2f}"))
    return Table(("of the residuals", "this tape", "rematerialised"), tuple(rows), left=(0,))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.segments", description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--docs", action="store_true", help="the table also into docs/segments.md")
    parser.add_argument(
        "--heuristic", choices=("own", "all"), help="instead: beside evicting by own cost, or all costs"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        json.dump(run(*json.loads(chosen.child)), sys.stdout)
        return
    if chosen.heuristic:
        print(heuristic(chosen.steps, chosen.size, FRACTIONS, neighbourhood=chosen.heuristic == "all"))
        return
    table = study(chosen.steps, chosen.size)
    print(table)
    if chosen.docs:
        head, _, rest = PAGE.read_text().partition(BEGIN)
        _, _, tail = rest.partition(END)
        PAGE.write_text(f"{head}{BEGIN}\n\n```text\n{table}\n```\n\n{END}{tail}")


if __name__ == "__main__":
    main()

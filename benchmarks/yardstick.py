"""Long loops: ours beside a gradient by hand in Numba and the fastest JAX program, in one process and in turn.

``python -m benchmarks.yardstick`` starts itself anew with one thread per library. Seconds are CPU seconds of the
process. All that is measured on a problem runs once a round, so that noise hits all alike; the figures are medians.
Every gradient is compared with the one by hand. A way that would take too long on the tape is left out and said.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import importlib.util
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles
from time import process_time
from typing import Any

import numpy as np

import unspool
from benchmarks.long_loops import CASES, Case
from benchmarks.machine import ALONE, installed, machine, versions
from benchmarks.problems.problem import difference
from benchmarks.rivals.hand import by_hand
from unspool.schedules import Every, Revolve, Schedule, StoreAll

SAMPLE = 2e-2
"""A call that is shorter than so many seconds is repeated until it is not."""

CHOICE, FINALISTS = 3, 3
"""JAX programs run so many rounds each; so many of them then run beside the others, and the fastest of these counts."""

LONGEST = 20.0
"""Seconds after which a way has no further rounds."""

TOLERANCE = 1e-9
"""Of the largest entry."""

Gradient = Callable[[], tuple[Any, ...]]


# --- the ways ---------------------------------------------------------------------------------------------------------
def policies(n: int) -> dict[str, tuple[Schedule, dict[str, int]]]:
    """By name: our schedule, and the two numbers of the loop by hand."""
    root = math.isqrt(n - 1) + 1
    found: dict[str, tuple[Schedule, dict[str, int]]] = {
        "none": (StoreAll(), {"slots": 1, "leaf": n}),
        f"every-{root}": (Every(root), {"slots": -(-n // root), "leaf": root}),
        "revolve-30": (Revolve(30), {"slots": 30, "leaf": 1}),
        "revolve-30, leaf 32": (Revolve(30, leaf=32), {"slots": 30, "leaf": 32}),
    }
    return found if n > 30 else {"none": found["none"]}


class Way:
    """A gradient that is measured: its seconds per call, and how far it is from the one by hand."""

    def __init__(self, label: str, gradient: Gradient) -> None:
        self.label, self.gradient = label, gradient
        self.gradient()  # compiles, and touches the memory
        self.seconds: list[float] = []
        begin = process_time()
        self.found = tuple(map(np.asarray, gradient()))
        self.repeats = max(1, math.ceil(SAMPLE / max(process_time() - begin, 1e-9)))

    def run(self) -> None:
        """One round, unless this way had its time."""
        if sum(self.seconds) * self.repeats > LONGEST:
            return
        gc.collect()
        begin = process_time()
        for _ in range(self.repeats):
            self.gradient()
        self.seconds.append((process_time() - begin) / self.repeats)

    def result(self, expected: tuple[Any, ...]) -> dict[str, Any]:
        """What goes into the JSON."""
        spread = quantiles(self.seconds, n=4) if len(self.seconds) > 1 else self.seconds * 3
        return {
            "way": self.label,
            "seconds": median(self.seconds),
            "quartiles": [spread[0], spread[2]],
            "rounds": len(self.seconds),
            "difference": difference(self.found, expected),
        }


def ours(case: Case, policy: Schedule, patience: float) -> tuple[Way | None, str]:
    """unspool under a policy, in machine code where it can; or None, and why not."""
    problem = case.problem()
    gradient = problem.gradient

    def run(**how: Any) -> tuple[Any, ...]:
        value, cts = gradient(*problem.parameters, policy=policy, **how)
        return value, *cts

    try:
        return Way("compiled", lambda: run(compile=True)), ""
    except Exception as error:  # whatever a step does that is not compiled: the reason goes into the table
        reason = f"not compiled: {type(error).__name__}"
    seconds, n_bytes = on_tape(case, policy)
    if seconds > patience:
        return None, f"{reason}; about {seconds:.0f} s on the tape"
    if n_bytes > unspool.memory.as_bytes(None):
        return None, f"{reason}; about {unspool.memory.human_bytes(n_bytes)} on the tape"
    return Way("tape", run), reason


def in_one(case: Case, policy: Schedule) -> tuple[Way | None, str]:
    """unspool with the whole function compiled, as JAX has it; or None, and why not."""
    problem = case.problem()
    fast = unspool.jit(lambda *parameters: problem.gradient(*parameters, policy=policy))

    def run() -> tuple[Any, ...]:
        value, cts = fast(*problem.parameters)
        return value, *cts

    try:
        return Way("jit", run), ""
    except unspool.errors.UnsupportedError as error:
        return None, f"no jit: {error}"


def on_tape(case: Case, policy: Schedule) -> tuple[float, float]:
    """Seconds and bytes that a case will take on the tape, from a loop of 20 steps under "none"."""
    short = case.make(20)
    with unspool.observe() as log:
        short.gradient(*short.parameters, policy="none", compile=False)
        begin = process_time()
        short.gradient(*short.parameters, policy="none", compile=False)
        seconds = (process_time() - begin) / 20
    n, each = case.n_steps, log[0].peak_bytes / 20
    recorded = n if policy == StoreAll() else getattr(policy, "period", getattr(policy, "leaf", 1))
    return seconds * (n + policy.steps(n)) / 2, each * recorded


def quickest(makers: Iterator[tuple[str, Callable[[], Gradient]]]) -> tuple[list[Way], list[dict[str, Any]]]:
    """The JAX programs that were quickest in a few rounds, and all of them."""
    ways: list[Way] = []
    tried = []
    for label, make in makers:
        way = Way(label, make())
        for _ in range(CHOICE):
            way.run()
        tried.append({"way": label, "seconds": median(way.seconds)})
        note(f"    {label}: {1e3 * tried[-1]['seconds']:.4g} ms")
        ways = sorted([*ways, way], key=lambda w: median(w.seconds))[:FINALISTS]
    for way in ways:
        way.seconds.clear()
    return ways, tried


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# --- measuring --------------------------------------------------------------------------------------------------------
def measure(name: str, *, rounds: int, with_ours: bool, with_jax: bool, patience: float) -> dict[str, Any]:
    """One problem: all its ways, made and then run in turn."""
    case = CASES[name]
    problem = case.problem()
    note(f"{name}: {problem.title}")
    ways: dict[str, dict[str, Way]] = {}
    reasons: dict[str, str] = {}
    result: dict[str, Any] = {"name": name, "title": problem.title, "n_steps": problem.n_steps}
    for policy, (schedule, how) in policies(problem.n_steps).items():
        row = ways[policy] = {"by hand": Way("by hand", by_hand(problem, **how, **case.options))}
        if with_ours:
            way, reasons[policy] = ours(case, schedule, patience)
            if way:
                row["ours"] = way
            if with_ours and policy == "none":
                way, reasons["none, jit"] = in_one(case, schedule)
                if way:
                    ways["none, jit"] = {"by hand": row["by hand"], "ours": way}
    finalists: list[Way] = []
    shared: dict[str, Way] = {}
    if with_jax and importlib.util.find_spec("jax"):
        from benchmarks.rivals import xla

        finalists, result["jax_tried"] = quickest(xla.variants(problem, **case.options))
        if importlib.util.find_spec("equinox") and problem.n_steps <= 10**5:
            shared["equinox"] = Way("30 checkpoints", xla.equinox(problem, checkpoints=30, **case.options))
    all_ways = [*dict.fromkeys(way for row in ways.values() for way in row.values()), *finalists, *shared.values()]
    for _ in range(rounds):
        for way in all_ways:
            way.run()
    if finalists:
        shared["jax"] = min(finalists, key=lambda way: median(way.seconds))
    expected = ways["none"]["by hand"].found
    result["policies"] = [
        {
            "policy": policy,
            "reason": reasons.get(policy, ""),
            **{tool: way.result(expected) for tool, way in row.items()},
        }
        for policy, row in ways.items()
    ]
    return result | {tool: way.result(expected) for tool, way in shared.items()}


def wrong(result: dict[str, Any]) -> list[str]:
    """The ways whose gradient is not the one by hand."""
    found = [
        (row["policy"], tool, row[tool]) for row in result["policies"] for tool in ("by hand", "ours") if tool in row
    ]
    found += [("", tool, result[tool]) for tool in ("jax", "equinox") if tool in result]
    return [
        f"{result['name']}, {tool} {policy}: off by {way['difference']:.1e} of the largest entry"
        for policy, tool, way in found
        if not way["difference"] < TOLERANCE
    ]


# --- the table --------------------------------------------------------------------------------------------------------
def table(results: list[dict[str, Any]]) -> str:
    """Milliseconds per call, and ratios of medians, as Markdown."""
    head = ["problem", "policy", "by hand", "JAX", "ours", "ours / by hand", "ours / JAX", ""]
    rows = [head, ["---", "---", *["---:"] * 5, "---"]]
    for result in results:
        jax = result.get("jax")
        for number, row in enumerate(result["policies"]):
            hand, own = row["by hand"], row.get("ours")
            remark = row["reason"] if own is None or own["way"] == "tape" else ""
            rows.append([
                result["name"] if number == 0 else "",
                row["policy"],
                figure(1e3 * hand["seconds"]),
                figure(1e3 * jax["seconds"]) if jax and number == 0 else "",
                figure(1e3 * own["seconds"]) if own else "",
                figure(own["seconds"] / hand["seconds"]) if own else "",
                figure(own["seconds"] / jax["seconds"]) if own and jax else "",
                remark,
            ])  # fmt: skip
    lines = [f"| {' | '.join(cells)} |" for cells in rows] + [""]
    lines += [
        f"- {result['name']}: the fastest of {len(result['jax_tried'])} JAX programs is "
        f"“{result['jax']['way']}”{equinox(result)}."
        for result in results
        if "jax" in result
    ]
    return "\n".join(lines) + "\n"


def equinox(result: dict[str, Any]) -> str:
    if "equinox" not in result:
        return ""
    return f"; equinox with 30 checkpoints takes {figure(1e3 * result['equinox']['seconds'])} ms"


def figure(x: float) -> str:
    """Three digits."""
    return f"{x:.0f}" if x >= 100 else f"{x:#.3g}"


def main() -> None:
    """Measure, print the table, and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.yardstick", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", action="append", metavar="NAME", help=f"wave, wave-256, or one of: {', '.join(CASES)}"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--no-ours", action="store_true", help="the rivals alone")
    parser.add_argument("--no-jax", action="store_true", help="ours beside the loops by hand")
    parser.add_argument("--patience", type=float, default=20, metavar="S", help="of a call on the tape (default: 20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="benchmarks/results/yardstick.json keeps it")
    parser.add_argument("--redraw", action="store_true", help="measure nothing; the table of FILE")
    chosen = parser.parse_args()
    if chosen.redraw:
        print(table(json.loads(chosen.json.read_text())["problems"]))
        return
    if any(os.environ.get(name) != value for name, value in ALONE.items()):
        arguments = [sys.executable, "-m", "benchmarks.yardstick", *sys.argv[1:]]
        os.execve(sys.executable, arguments, {**os.environ, **ALONE})
    names = [name for name in CASES if not chosen.only or any(f"{name}-".startswith(f"{o}-") for o in chosen.only)]
    results = [
        measure(
            name,
            rounds=chosen.rounds,
            with_ours=not chosen.no_ours,
            with_jax=not chosen.no_jax,
            patience=chosen.patience,
        )
        for name in names
    ]
    print(table(results))
    if chosen.json:
        chosen.json.write_text(json.dumps({**setting(), "problems": results}, indent=1) + "\n")
    if mistakes := [text for result in results for text in wrong(result)]:
        raise SystemExit("\n".join(mistakes))


def setting() -> dict[str, Any]:
    """Where and with what it was measured."""
    packages = ("numba", "llvmlite", "scipy", "jax", "jaxlib", "equinox")
    return {
        "machine": machine(),
        "versions": versions() | installed(packages),
        "environment": ALONE,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


if __name__ == "__main__":
    main()

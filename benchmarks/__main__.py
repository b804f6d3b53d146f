"""Problems by rivals: seconds, peak memory and agreement of gradients, each measured in a process of its own.

``python -m benchmarks`` measures all small problems and prints tables; ``--table FILE`` and ``--plot DIR`` make tables
and pictures again from a JSON that was written before, if nothing is to be measured (``--redraw FILE``).
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import ALONE, ROOT, installed, machine, versions
from benchmarks.problems import PROBLEMS, SIZES
from benchmarks.report import draw, tables, wrong
from benchmarks.rivals import OURS, RIVALS, missing

PATIENCE = {"small": 60.0, "medium": 120.0, "large": 600.0}
"""Seconds after which a measurement is given up."""

PACKAGES = ("numba", "llvmlite", "scipy", "jax", "jaxlib", "equinox", "torch", "autograd", "pyrevolve")


class UsageError(Exception):
    """What was asked cannot be done; one line."""


@dataclass
class Clock:
    """The seconds that are left of a budget."""

    budget: float | None
    begin: float

    def left(self) -> float:
        return float("inf") if self.budget is None else self.budget - (time.monotonic() - self.begin)


def child(arguments: list[str], seconds: float) -> dict[str, Any]:
    """What a measurement prints; or ``failed``, a line that says why there is nothing."""
    command = [sys.executable, "-m", "benchmarks.measure", *arguments]
    try:
        run = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **ALONE}, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"took more than {seconds:.0f} s"}
    if run.returncode:
        lines = run.stderr.strip().splitlines() or [f"ended with {run.returncode}"]
        return {"failed": lines[-1][:200]}
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def problem(name: str, size: str, rivals: list[str], patience: float, clock: Clock, scratch: Path) -> dict[str, Any]:
    """One problem: its reference, and every rival under every label."""
    kept = str(scratch / "reference.npz")
    result: dict[str, Any] = {"name": name, "size": size, "rows": []}
    for by in ("tape", "hand"):
        found = child([name, size, "reference", by, kept], min(patience, clock.left()))
        if "failed" not in found:
            break
        note(f"{name}: no gradient by the {by} to compare with: {found['failed']}")
    else:
        return result | {"failed": found["failed"]}
    for key in ("title", "n_steps", "tolerance", "numbers"):
        result[key] = found.pop(key)
    result["reference"] = found
    note(f"{result['title']}: {found['by']} beside {found['checked_by']}: {found['error']:.1e}")
    for rival in rivals:
        for label in RIVALS[rival].labels(result["n_steps"]):
            row: dict[str, Any] = {"rival": rival, "label": label}
            if clock.left() < 1:
                row["failed"] = "left out: the budget is spent"
            else:
                row |= child([name, size, rival, label, kept], min(patience, clock.left()))
            result["rows"].append(row)
            told = row.get("failed") or f"{1e3 * row['seconds']:.4g} ms, off by {row['difference']:.0e}"
            note(f"    {rival}, {label}: {told}")
    return result


def measure(names: list[str], size: str, rivals: list[str], patience: float, clock: Clock) -> Iterator[dict[str, Any]]:
    """The problems in turn, until the budget is spent."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            if clock.left() < 1:
                yield {"name": name, "size": size, "rows": [], "failed": "left out: the budget is spent"}
            else:
                yield problem(name, size, rivals, patience, clock, Path(scratch))


# --- the command ------------------------------------------------------------------------------------------------------
def chosen_names(text: str | None, known: list[str], what: str, **groups: list[str]) -> list[str]:
    """What is named between commas, in the order of the known ones; all of them where nothing is named."""
    if text is None:
        return known
    asked = [name for part in text.split(",") if part for name in groups.get(part, [part])]
    for name in asked:
        if name not in known:
            raise UsageError(f"no {what} is called {name!r}; there are {', '.join([*known, *groups])}")
    if not asked:
        raise UsageError(f"no {what} is named; there are {', '.join([*known, *groups])}")
    return [name for name in known if name in asked]


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--problems", metavar="A,B", help=f"of {', '.join(PROBLEMS)} (default: all)")
    parser.add_argument("--rivals", metavar="A,B", help=f"of {', '.join(RIVALS)}; ours: {', '.join(OURS)}")
    parser.add_argument("--size", choices=SIZES, default="small", help="default: small")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="what is not measured by then is left out")
    usual = ", ".join(f"{seconds:.0f} if {size}" for size, seconds in PATIENCE.items())
    parser.add_argument("--patience", type=float, metavar="SECONDS", help=f"for one measurement (default: {usual})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where everything goes that was found")
    parser.add_argument("--table", type=Path, metavar="FILE", help="Markdown (without it, tables are printed)")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="pictures, as PNG and SVG")
    parser.add_argument("--redraw", type=Path, metavar="FILE", help="measure nothing; tables and pictures of a JSON")
    parser.add_argument("--list", action="store_true", help="the problems and the rivals, and which are not installed")
    return parser


def run(chosen: argparse.Namespace) -> int:
    """Do what was asked; 1 where something failed or a gradient is wrong."""
    if chosen.list:
        print(listed())
        return 0
    names = chosen_names(chosen.problems, list(PROBLEMS), "problem")
    rivals = chosen_names(chosen.rivals, list(RIVALS), "rival", ours=list(OURS))
    for limit in (chosen.budget, chosen.patience):
        if limit is not None and not limit > 0:
            raise UsageError(f"{limit:g} seconds are no time: give more than 0")
    for file in (chosen.json, chosen.table):
        if file is not None and not file.absolute().parent.is_dir():
            raise UsageError(f"there is no directory {file.parent} for {file.name}")
    if chosen.redraw:
        found = kept(chosen.redraw)
    else:
        found = setting(chosen.size, rivals)
        clock = Clock(chosen.budget, time.monotonic())
        present = [name for name in rivals if name not in found["absent"]]
        patience = chosen.patience or PATIENCE[chosen.size]
        found["problems"] = []
        for result in measure(names, chosen.size, present, patience, clock):
            found["problems"].append(result)
            if chosen.json:  # after every problem: what was measured is not lost
                chosen.json.write_text(json.dumps(found, indent=1) + "\n")
        found["seconds"] = round(time.monotonic() - clock.begin)
        if chosen.json:
            chosen.json.write_text(json.dumps(found, indent=1) + "\n")
    text = tables(found)
    if chosen.table:
        chosen.table.write_text(text)
    else:
        print(text)
    if chosen.plot:
        for file in draw(found, chosen.plot):
            note(f"wrote {file}")
    mistakes = wrong(found)
    for line in mistakes:
        note(line)
    return 1 if mistakes else 0


def kept(file: Path) -> dict[str, Any]:
    """What a run has written."""
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    if not isinstance(found, dict) or "problems" not in found:
        raise UsageError(f"{file} is not what --json writes: it has no problems")
    return found


def setting(size: str, rivals: list[str]) -> dict[str, Any]:
    """Where, when and with what."""
    return {
        "size": size,
        "machine": machine(),
        "versions": versions() | installed(PACKAGES),
        "environment": ALONE,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "absent": {name: missing(name) for name in rivals if missing(name)},
    }


def listed() -> str:
    """Problems with their sizes, and rivals with the packages that are missing."""
    lines = ["problems:"]
    for name, (_, sizes) in PROBLEMS.items():
        told = "; ".join(f"{size} " + ", ".join(f"{k}={v:,}" for k, v in how.items()) for size, how in sizes.items())
        lines.append(f"  {name:13} {told}")
    lines.append("rivals:")
    for name, rival in RIVALS.items():
        absent = f" (absent: {', '.join(missing(name))} not installed)" if missing(name) else ""
        lines.append(f"  {name:13} {rival.title}{absent}")
    return "\n".join(lines)


def main() -> int:
    """The command; a mistake in what was asked is told in one line."""
    parser = options()
    try:
        return run(parser.parse_args())
    except UsageError as mistake:
        note(f"python -m benchmarks: {mistake}")
        return 2
    except KeyboardInterrupt:
        note("python -m benchmarks: stopped")
        return 130


if __name__ == "__main__":
    sys.exit(main())

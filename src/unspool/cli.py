"""The command line: ``unspool demo``, ``plan``, ``cache`` and ``functions``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unspool.demo import demo
from unspool.diagnostics.functions import page
from unspool.errors import PolicyError, UnspoolError
from unspool.memory import as_bytes, human_bytes
from unspool.plan import StepPrices, choose
from unspool.plan_disk import Disk, choose_with_disk


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 is success, 1 a failure told in one line, 2 a wrong call."""
    parser = argparse.ArgumentParser(
        prog="unspool", description="Gradients of long NumPy simulations in little memory."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    fit = commands.add_parser(
        "demo",
        help="fit a predator-prey model to the Hudson Bay record of lynx and hare",
        description="Fits the Lotka-Volterra equations to the pelts of 1900-1920 by the gradient of a long simulation, "
        "checks that gradient, and compares what the checkpointing policies cost. Writes two pictures where matplotlib "
        "is installed.",
        epilog="example: unspool demo --steps-per-year 200 --out pictures",
    )
    fit.add_argument(
        "--steps-per-year", type=_positive, default=100, metavar="N", help="Runge-Kutta steps (default 100)"
    )
    fit.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where the pictures go (default: here)")
    _add_plan(commands)
    _add_cache(commands)
    table = commands.add_parser(
        "functions",
        help="print the functions of NumPy and SciPy that have a derivative rule",
        description="Prints the function table in Markdown, with the keywords of each function, or the lines of it in "
        "which a text occurs.",
        epilog="example: unspool functions linalg",
    )
    table.add_argument("text", nargs="?", default="", help="what to look for")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "demo":
            demo(steps_per_year=chosen.steps_per_year, out=chosen.out)
        elif chosen.command == "cache":
            print(_cache(chosen))
        elif chosen.command == "functions":
            print(page(chosen.text), end="" if not chosen.text else "\n")
        else:
            print(_plan(chosen))
    except (UnspoolError, OSError) as error:
        print(f"unspool: {error}", file=sys.stderr)
        return 1
    return 0


def _add_plan(commands: Any) -> None:
    plan = commands.add_parser(
        "plan",
        help="choose a schedule for a number of steps and an amount of memory, without any code to run",
        description="Prints the schedule that takes the least time in the memory given, its price, and the classical "
        "policies beside it. Sizes are numbers of bytes or text such as 8MB or 2GiB; speeds are sizes per second.",
        epilog="example: unspool plan --steps 1e6 --state 8MB --residuals 24MB --memory 2GB --disk 100GB --write 1GB/s "
        "--read 2GB/s",
    )
    plan.add_argument("--steps", type=_count, required=True, metavar="N", help="how many steps, for example 1e6")
    plan.add_argument("--state", type=_size, required=True, metavar="SIZE", help="bytes of one state")
    plan.add_argument(
        "--residuals", type=_size, required=True, metavar="SIZE", help="bytes that one recorded step keeps"
    )
    plan.add_argument("--memory", type=_size, required=True, metavar="SIZE", help="bytes that may be held")
    plan.add_argument("--advance", type=float, metavar="SECONDS", help="one step (default: its bytes at 5 GB/s)")
    plan.add_argument("--reverse", type=float, metavar="SECONDS", help="one step backwards (default: twice --advance)")
    plan.add_argument("--disk", type=_size, metavar="SIZE", help="room for snapshots on disk")
    plan.add_argument("--write", type=_speed, default=10**9, metavar="SPEED", help="to disk (default 1GB/s)")
    plan.add_argument("--read", type=_speed, default=2 * 10**9, metavar="SPEED", help="from disk (default 2GB/s)")
    plan.add_argument("--json", action="store_true", help="print the plan as JSON")


MEMORY_SPEED = 5e9
"""Bytes per second at which a step whose time is not given is taken to run, and at which a state is copied."""


def _plan(chosen: argparse.Namespace) -> str:
    """The plan for numbers alone."""
    size = chosen.state + chosen.residuals
    advance = size / MEMORY_SPEED if chosen.advance is None else chosen.advance
    reverse = 2 * advance if chosen.reverse is None else chosen.reverse
    copy = chosen.state / MEMORY_SPEED
    prices = StepPrices(chosen.state, chosen.residuals, advance, advance, reverse, copy, copy)
    disk = None if chosen.disk is None else Disk(chosen.disk, 1 / chosen.write, 1 / chosen.read)
    plan = (
        choose(chosen.steps, prices, chosen.memory)
        if disk is None
        else choose_with_disk(chosen.steps, prices, chosen.memory, disk)
    )
    if not chosen.json:
        return str(plan)
    shown = [
        {
            "schedule": repr(p.schedule),
            "steps": p.steps,
            "recomputation_factor": p.recomputation_factor,
            "saves": p.saves,
            "loads": p.loads,
            "peak_bytes": p.peak_bytes,
            "disk_bytes": p.disk_bytes,
            "seconds": p.seconds,
        }
        for p in (plan.cost, *plan.alternatives)
    ]
    facts = {"n_steps": plan.n_steps, "budget_bytes": plan.budget_bytes, "reason": plan.reason}
    return json.dumps({**facts, "chosen": shown[0], "alternatives": shown[1:]}, indent=2)


def _add_cache(commands: Any) -> None:
    cache = commands.add_parser(
        "cache",
        help="show or clear the compiled steps that are kept on disk",
        description="Compiled steps are kept in a directory of your own (mode 0700), so that the next process need not "
        "compile them. A directory that others could write is not used.",
        epilog="example: unspool cache --clear",
    )
    cache.add_argument("--clear", action="store_true", help="remove all of them")
    cache.add_argument("--json", action="store_true", help="print the facts as JSON")


def _cache(chosen: argparse.Namespace) -> str:
    from unspool.codegen import disk_cache

    why_not = disk_cache.reason()
    removed = disk_cache.clear() if chosen.clear else 0
    files, n_bytes = disk_cache.contents()
    if chosen.json:
        facts = {"directory": str(disk_cache.directory()), "files": files, "bytes": n_bytes, "removed": removed}
        return json.dumps({**facts, "not_used": why_not}, indent=2)
    if why_not is not None:
        return f"not used: {why_not}"
    told = f"{disk_cache.directory()}: {files} files, {human_bytes(n_bytes)}"
    return f"{told}; {removed} removed" if chosen.clear else told


def _count(text: str) -> int:
    value = float(text)
    if value < 0 or value != int(value):
        raise argparse.ArgumentTypeError(f"{text} is not a number of steps")
    return int(value)


def _size(text: str) -> int:
    try:
        return as_bytes(text)
    except PolicyError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _speed(text: str) -> int:
    return _size(text.removesuffix("/s"))


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not a number of steps")
    return value

"""``unspool plan``: a schedule for numbers alone."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from math import isnan
from typing import Any

from unspool.cli.command import Command, Outcome, count, seconds, size, speed
from unspool.plan_disk import Disk, choose_with_disk
from unspool.planner import Prediction, StepPrices, choose

MEMORY_SPEED = 5e9
"""Bytes per second at which a step whose time is not given is taken to run, and at which a state is copied."""


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--steps", type=count, required=True, metavar="N", help="how many steps, for example 1e6")
    parser.add_argument("--state", type=size, required=True, metavar="SIZE", help="bytes of one state")
    parser.add_argument(
        "--residuals", type=size, required=True, metavar="SIZE", help="bytes that one recorded step keeps"
    )
    parser.add_argument("--memory", type=size, required=True, metavar="SIZE", help="bytes that may be held")
    parser.add_argument("--advance", type=seconds, metavar="SECONDS", help="one step (default: its bytes at 5 GB/s)")
    parser.add_argument(
        "--reverse", type=seconds, metavar="SECONDS", help="one step backwards (default: twice --advance)"
    )
    parser.add_argument("--disk", type=size, metavar="SIZE", help="room for snapshots on disk")
    parser.add_argument("--write", type=speed, default=10**9, metavar="SPEED", help="to disk (default 1GB/s)")
    parser.add_argument("--read", type=speed, default=2 * 10**9, metavar="SPEED", help="from disk (default 2GB/s)")


def _run(chosen: Namespace) -> Outcome:
    advance = (chosen.state + chosen.residuals) / MEMORY_SPEED if chosen.advance is None else chosen.advance
    reverse = 2 * advance if chosen.reverse is None else chosen.reverse
    copy = chosen.state / MEMORY_SPEED
    prices = StepPrices(chosen.state, chosen.residuals, advance, advance, reverse, copy, copy)
    disk = None if chosen.disk is None else Disk(chosen.disk, 1 / chosen.write, 1 / chosen.read)
    plan = (
        choose(chosen.steps, prices, chosen.memory)
        if disk is None
        else choose_with_disk(chosen.steps, prices, chosen.memory, disk)
    )
    facts = {
        "n_steps": plan.n_steps,
        "budget_bytes": plan.budget_bytes,
        "reason": plan.reason,
        "chosen": prediction(plan.cost),
        "alternatives": [prediction(p) for p in plan.alternatives],
    }
    return Outcome(facts, str(plan))


def prediction(p: Prediction) -> dict[str, Any]:
    """A prediction as data."""
    return {
        "schedule": repr(p.schedule),
        "steps": p.steps,
        "recomputation_factor": p.recomputation_factor,
        "saves": p.saves,
        "loads": p.loads,
        "peak_bytes": p.peak_bytes,
        "disk_bytes": p.disk_bytes,
        "seconds": None if isnan(p.seconds) else p.seconds,
    }


COMMAND = Command(
    "choose a schedule for a number of steps and an amount of memory, without any code to run",
    "Prints the schedule that takes the least time in the memory given, its price, and the classical policies\n"
    "beside it. Sizes are numbers of bytes or text such as 8MB or 2GiB; speeds are sizes per second.",
    (
        "unspool plan --steps 1e6 --state 8MB --residuals 24MB --memory 2GB",
        "unspool plan --steps 1e6 --state 8MB --residuals 24MB --memory 2GB --disk 100GB --write 1GB/s --read 2GB/s",
        "unspool plan --steps 5000 --state 2MB --residuals 5MB --memory 25% --advance 0.002 --json",
    ),
    _options,
    _run,
)

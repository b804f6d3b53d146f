"""The command line: ``unspool demo``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from unspool.demo import demo
from unspool.errors import UnspoolError


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
    chosen = parser.parse_args(arguments)
    try:
        demo(steps_per_year=chosen.steps_per_year, out=chosen.out)
    except (UnspoolError, OSError) as error:
        print(f"unspool: {error}", file=sys.stderr)
        return 1
    return 0


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not a number of steps")
    return value

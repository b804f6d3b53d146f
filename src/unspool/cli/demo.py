"""``unspool demo``: a fit to real data, and what each policy costs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from unspool.cli.command import Command, Outcome, add_out, positive
from unspool.demo import demo


def _options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--steps-per-year", type=positive, default=100, metavar="N", help="Runge-Kutta steps (default 100)"
    )
    add_out(parser, default=Path(), told="default: here")


def _run(chosen: Namespace) -> Outcome:
    quiet = {"tell": lambda text: None} if chosen.json else {}
    return Outcome(demo(steps_per_year=chosen.steps_per_year, out=chosen.out, **quiet))


COMMAND = Command(
    "fit a predator-prey model to the Hudson Bay record of lynx and hare",
    "Fits the Lotka-Volterra equations to the pelts of 1900-1920 by the gradient of a long simulation, checks that\n"
    "gradient, and compares what the checkpointing policies cost. Writes two pictures where matplotlib is installed.",
    ("unspool demo", "unspool demo --steps-per-year 200 --out pictures"),
    _options,
    _run,
)

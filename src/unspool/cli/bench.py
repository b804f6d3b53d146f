"""``unspool bench``: memory against time on this machine."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from unspool.cli.command import Command, Outcome, add_out, need_matplotlib, positive, size
from unspool.cli.plan import prediction
from unspool.memory import human_bytes

if TYPE_CHECKING:
    from unspool.bench import Study


CURVE_SECONDS = 1.5
"""The curve ends at this multiple of the slowest point: all of it would press the points together."""


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--steps", type=positive, default=200, metavar="N", help="steps of the wave (default 200)")
    parser.add_argument("--size", type=positive, default=128, metavar="N", help="its grid is N by N (default 128)")
    parser.add_argument("--rounds", type=positive, default=5, metavar="N", help="the medians of so many (default 5)")
    parser.add_argument(
        "--memory", type=size, metavar="SIZE", help='for "auto" (default: a tenth of what storing everything takes)'
    )
    parser.add_argument("--compile", action="store_true", help="the step as machine code, whatever its number")
    add_out(parser, default=None, told="default: none are drawn")


def _run(chosen: Namespace) -> Outcome:
    from unspool.bench import study
    from unspool.diagnostics import timeline
    from unspool.diagnostics.report import facts
    from unspool.diagnostics.trade_off import Measured, trade_off

    if chosen.out is not None:
        need_matplotlib()
        chosen.out.mkdir(parents=True, exist_ok=True)
    found = study(
        n_steps=chosen.steps, size=chosen.size, rounds=chosen.rounds, memory=chosen.memory, compiled=chosen.compile
    )
    points = [
        Measured(name, seconds, report.peak_bytes)
        for name, seconds, report in zip(found.names, found.seconds, found.log, strict=True)
    ]
    slowest = max(found.seconds)
    curve = [p for p in found.plan.frontier() if p.seconds <= CURVE_SECONDS * slowest]  # and none without a clock (nan)
    drawn = [trade_off(found.title, points, curve=curve), timeline(found.plan.schedule, chosen.steps, height=12)]
    files = []
    if chosen.out is not None:
        files = [chosen.out / "unspool-bench.png", chosen.out / "unspool-bench-timeline.png"]
        for picture, file in zip(drawn, files, strict=True):
            picture.save(file)
    policies = [
        {"name": name, **facts(report), "seconds": seconds}
        for name, report, seconds in zip(found.names, found.log, found.seconds, strict=True)
    ]
    told = [str(_table(found)), *map(str, drawn), *([f"wrote {files[0]} and {files[1]}"] if files else [])]
    return Outcome(
        {
            "problem": found.title,
            "n_steps": chosen.steps,
            "size": chosen.size,
            "rounds": chosen.rounds,
            "bitwise_equal": found.bitwise_equal,
            "policies": policies,
            "budget_bytes": found.plan.budget_bytes,
            "chosen": prediction(found.plan.cost),
            "reason": found.plan.reason,
            "pictures": [str(file) for file in files],
        },
        "\n\n".join(told),
        found.bitwise_equal,
    )


def _table(found: Study) -> object:
    from unspool.table import Table

    head = ("", "policy", "seconds", "run", "×", "predicted", "measured")
    rows = [
        (
            letter,
            name,
            f"{seconds:.3f}",
            f"{report.steps:,}",
            f"{report.recomputation_factor:.2f}",
            human_bytes(report.predicted_peak_bytes),
            human_bytes(report.peak_bytes),
        )
        for letter, name, seconds, report in zip("abcdefgh", found.names, found.seconds, found.log, strict=False)
    ]
    how = "compiled" if found.log[0].compiled else "on the tape"
    equal = "yes" if found.bitwise_equal else "NO"
    title = f"{found.title}; {how}. All gradients bitwise equal: {equal}"
    auto = f"auto had {human_bytes(found.plan.budget_bytes)}: {found.plan.reason}"
    return Table(head, tuple(rows), title, auto, left=(0, 1))


COMMAND = Command(
    "measure memory against time for several policies on this machine",
    "Takes the gradient of a small wave simulation under several policies: seconds, evaluations of the step, bytes\n"
    "predicted and measured. Draws them, and the schedule that was chosen, as text, and as PNG where --out is given.",
    (
        "unspool bench",
        "unspool bench --size 256 --steps 400 --memory 10MB --out pictures",
        "unspool bench --compile --rounds 3 --json",
    ),
    _options,
    _run,
)

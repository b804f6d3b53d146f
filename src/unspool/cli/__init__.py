"""The command line: ``unspool demo | plan | bench | doctor | cache | functions``, a file for each."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence

from unspool.cli import bench, cache, demo, doctor, functions, plan
from unspool.cli.command import CommandError
from unspool.errors import UnspoolError

COMMANDS = {
    "demo": demo.COMMAND,
    "plan": plan.COMMAND,
    "bench": bench.COMMAND,
    "doctor": doctor.COMMAND,
    "cache": cache.COMMAND,
    "functions": functions.COMMAND,
}

EXAMPLES = """\
examples:
  unspool demo                                    fit a model to data by its gradient
  unspool plan --steps 1e6 --state 8MB --residuals 24MB --memory 2GB
  unspool bench --size 256 --out pictures         time against memory on this machine
  unspool doctor --json                           what to put into a report of a bug

0: done.  1: it failed, for the reason in one line on stderr.  2: the call was wrong."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 is success, 1 a failure told in one line, 2 a wrong call.

    >>> main(["plan", "--steps", "1e4", "--state", "1kB", "--residuals", "4kB", "--memory", "1MB"])
    10,000 steps in 1.00 MB: ...
    0
    """
    parser = ArgumentParser(
        prog="unspool",
        description="Gradients of long NumPy simulations in little memory.",
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        added = commands.add_parser(
            name,
            help=command.help,
            description=command.description,
            epilog="\n".join(["examples:", *(f"  {line}" for line in command.examples)]),
            formatter_class=RawDescriptionHelpFormatter,
        )
        command.add_options(added)
        added.add_argument("--json", action="store_true", help="print what was found as JSON, and nothing else")
    chosen = parser.parse_args(arguments)
    try:
        outcome = COMMANDS[chosen.command].run(chosen)
        if chosen.json:
            print(json.dumps(outcome.facts, indent=2, allow_nan=False))
        elif outcome.text:
            print(outcome.text)
        sys.stdout.flush()
    except BrokenPipeError:  # who read the output has gone: `unspool bench | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        return 1
    except (UnspoolError, CommandError, OSError) as error:
        print("unspool:", " ".join(str(error).split()), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("unspool: interrupted", file=sys.stderr)
        return 1
    return 0 if outcome.good else 1

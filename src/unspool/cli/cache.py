"""``unspool cache``: the compiled steps on disk."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from unspool.cli.command import Command, Outcome
from unspool.memory import human_bytes


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--clear", action="store_true", help="remove all of them")


def _run(chosen: Namespace) -> Outcome:
    from unspool.cli.machine_facts import cache
    from unspool.codegen import disk_cache

    removed = disk_cache.clear() if chosen.clear else 0
    facts = {**cache(), "removed": removed}
    told = f"{facts['directory']}: {facts['files']} files, {human_bytes(facts['bytes'])}"
    if chosen.clear:
        told += f"; {removed} removed"
    return Outcome(facts, told if facts["not_used"] is None else f"not used: {facts['not_used']}")


COMMAND = Command(
    "show or clear the compiled steps that are kept on disk",
    "Compiled steps are kept in a directory of your own (mode 0700), so that the next process need not compile\n"
    "them. A directory that others could write is not used.",
    ("unspool cache", "unspool cache --clear"),
    _options,
    _run,
)

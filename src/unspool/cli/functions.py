"""``unspool functions``: what has a derivative rule."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from unspool.cli.command import Command, Outcome


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("text", nargs="?", default="", help="what to look for")


def _run(chosen: Namespace) -> Outcome:
    from unspool.diagnostics.functions import page, rows

    return Outcome({"functions": rows(chosen.text)}, page(chosen.text).removesuffix("\n"))


COMMAND = Command(
    "print the functions of NumPy and SciPy that have a derivative rule",
    "Prints the function table in Markdown, with the keywords of each function, or the lines of it in which a text\n"
    "occurs.",
    ("unspool functions linalg", "unspool functions > functions.md", "unspool functions sort --json"),
    _options,
    _run,
)

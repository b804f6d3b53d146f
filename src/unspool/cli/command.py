"""What every command is: words about it, its options, and a function from the options to an outcome."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any

from unspool.errors import PolicyError
from unspool.memory import as_bytes


class CommandError(Exception):
    """A command cannot do what was asked; the message is one line, with the way out."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command has found: as data, and as text where it was not printed on the way; whether all was well."""

    facts: dict[str, Any]
    text: str = ""
    good: bool = True


@dataclass(frozen=True, slots=True)
class Command:
    """A command: `help` is for the list of commands, `description` and `examples` are for its own page."""

    help: str
    description: str
    examples: tuple[str, ...]
    add_options: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], Outcome]


def add_out(parser: ArgumentParser, *, default: Path | None, told: str) -> None:
    """Give a command the option for the directory of its pictures."""
    parser.add_argument("--out", type=Path, default=default, metavar="DIR", help=f"where the pictures go ({told})")


def need_matplotlib() -> None:
    """Raise CommandError where pictures cannot be drawn."""
    if find_spec("matplotlib") is None:
        raise CommandError(
            "--out asks for pictures, which matplotlib draws, and it is missing: pip install 'unspool[plot]', "
            "or leave --out away"
        )


# --- what is written after an option ----------------------------------------------------------------------------------
def count(text: str) -> int:
    """A whole number, as 1000 or 1e6."""
    value = _number(text)
    if value < 0 or value != int(value):
        raise ArgumentTypeError(f"{text} is not a whole number such as 1000 or 1e6")
    return int(value)


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = count(text)
    if value < 1:
        raise ArgumentTypeError(f"{text} is too few: give 1 or more")
    return value


def seconds(text: str) -> float:
    """A time, 0 or more."""
    value = _number(text)
    if value < 0:
        raise ArgumentTypeError(f"{text} is not a time: give seconds, 0 or more")
    return value


def size(text: str) -> int:
    """A number of bytes, as 4096, 8MB, 2GiB or 25%."""
    try:
        return as_bytes(text)
    except PolicyError:
        raise ArgumentTypeError(f"{text} is not an amount of memory such as 4096, 8MB, 2GiB or 25%") from None
    except OverflowError:
        raise ArgumentTypeError(f"{text} is more than any machine has") from None


def speed(text: str) -> int:
    """A number of bytes per second, as 1GB/s."""
    value = size(text.removesuffix("/s"))
    if value < 1:
        raise ArgumentTypeError(f"{text} is not a speed such as 1GB/s")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text} is not a number") from None
    if not isfinite(value):
        raise ArgumentTypeError(f"{text} is not a finite number")
    return value

"""What may be written after an option."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

import pytest

from unspool.cli import command


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (command.count, "1e6", 1_000_000),
        (command.count, "0", 0),
        (command.positive, "7", 7),
        (command.seconds, "0.25", 0.25),
        (command.size, "2GiB", 2**31),
        (command.speed, "1GB/s", 10**9),
    ],
)
def test_what_is_meant_is_read(read: Callable[[str], Any], text: str, value: float) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (command.count, "-1"),
        (command.count, "1.5"),
        (command.count, "inf"),
        (command.count, "nan"),
        (command.count, "many"),
        (command.positive, "0"),
        (command.seconds, "-0.1"),
        (command.size, "lots"),
        (command.size, "1e400MB"),
        (command.speed, "0/s"),
        (command.speed, "fast"),
    ],
)
def test_what_cannot_be_meant_is_refused(read: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=text):
        read(text)


def test_pictures_need_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    command.need_matplotlib()
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(command.CommandError, match=r"pip install 'unspool\[plot\]'"):
        command.need_matplotlib()

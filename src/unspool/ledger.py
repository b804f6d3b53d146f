"""Which lines of the user's program hold what on a tape: noted while somebody has a ledger open, and only then.

A tape whose nodes are a `Page` is a tape like any other; the page writes down the user's line of every node.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from sys import getsizeof
from typing import Any

from unspool.source_line import user_frame
from unspool.tape import Node, Tape, root

Place = tuple[str, int]
"""A file and the number of a line in it."""


class Page(list[Node | None]):
    """The nodes of a tape, and for each of them the place in the user's program that it comes from."""

    __slots__ = ("places",)

    def __init__(self) -> None:
        super().__init__()
        self.places: list[Place] = []

    def append(self, node: Node | None) -> None:
        """Note the user's line with the node."""
        super().append(node)
        self.places.append(place())


def place() -> Place:
    """Where the user's program is now."""
    frame = user_frame()
    return ("?", 0) if frame is None else (frame.f_code.co_filename, frame.f_lineno)


@dataclass(frozen=True, slots=True)
class Entry:
    """What one line holds: nodes of a tape, and bytes."""

    place: Place
    nodes: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class LoopEntry:
    """What the lines of one loop held at its worst moment: the loop, so many recorded steps, and the lines."""

    name: str
    place: Place
    n_steps: int
    lines: tuple[Entry, ...]

    @property
    def n_bytes(self) -> int:
        """All of it."""
        return sum([line.n_bytes for line in self.lines])


class Ledger:
    """The loops that ran while it was open, each with what its lines held at its worst moment."""

    def __init__(self) -> None:
        self.loops: dict[tuple[str, Place], LoopEntry] = {}

    def weigh(self, name: str, where: Place, tapes: Sequence[Tape], constants: Iterable[Any]) -> None:
        """Note what the recorded steps of a loop hold now, if that is more than ever before."""
        found = LoopEntry(name, where, len(tapes), by_line(tapes, constants))
        before = self.loops.get((name, where))
        if before is None or found.n_bytes > before.n_bytes:
            self.loops[name, where] = found


class _Open(threading.local):
    def __init__(self) -> None:
        self.ledgers: list[Ledger] = []


_OPEN = _Open()


def open_ledger() -> Ledger | None:
    """The ledger that is open in this thread, if one is."""
    return _OPEN.ledgers[-1] if _OPEN.ledgers else None


@contextmanager
def opened() -> Iterator[Ledger]:
    """A ledger, open in this thread for the length of a ``with`` block."""
    _OPEN.ledgers.append(Ledger())
    try:
        yield _OPEN.ledgers[-1]
    finally:
        _OPEN.ledgers.pop()


def by_line(tapes: Iterable[Tape], constants: Iterable[Any] = ()) -> tuple[Entry, ...]:
    """What the lines of the user hold on these tapes, which have pages for their nodes; the most first.

    An array that several nodes hold counts for the first of them; constants do not count. What a write has overwritten
    counts for the line of the write. The list of the nodes itself belongs to no line.
    """
    seen = {id(root(value)) for value in constants}
    nodes: dict[Place, int] = {}
    n_bytes: dict[Place, int] = {}
    for tape in tapes:
        assert isinstance(tape.nodes, Page)
        for node, where in zip(tape.nodes, tape.nodes.places, strict=True):
            if node is None:
                continue
            nodes[where] = nodes.get(where, 0) + 1
            for part in (node, node[1], node[2], *node[2]):
                held = root(part)
                if held is not None and id(held) not in seen:
                    seen.add(id(held))
                    n_bytes[where] = n_bytes.get(where, 0) + getsizeof(held)
        for entry in tape.overwritten.entries:
            where = tape.nodes.places[min(entry[0], len(tape.nodes) - 1)] if tape.nodes else ("?", 0)
            n_bytes[where] = n_bytes.get(where, 0) + getsizeof(entry) + getsizeof(entry[3])
    entries = [Entry(where, n, n_bytes.get(where, 0)) for where, n in nodes.items()]
    return tuple(sorted(entries, key=lambda entry: -entry.n_bytes))

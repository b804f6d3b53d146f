"""Memory by line: which lines of the user's program hold how much for the way back."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os.path import basename
from typing import Any

import numpy as np

from unspool.arguments import as_inputs, name_of, positions_of, replaced, result_leaves, unflatten
from unspool.diagnostics.report import Log, observe
from unspool.ir.listener import listening
from unspool.ledger import Entry, Ledger, Page, Place, by_line, opened
from unspool.memory import human_bytes
from unspool.table import Table, abridged
from unspool.tape import Tape


@dataclass(frozen=True, slots=True)
class Held:
    """What one line holds: ``where`` it stands, its text, ``what`` is held for how many operations, and the bytes.

    ``loop`` is the place of the loop that the line belongs to; None for what lies on the tape itself.
    """

    where: str
    source: str
    what: str
    operations: int
    n_bytes: int
    loop: str | None = None


@dataclass(frozen=True, slots=True)
class MemoryByLine:
    """The lines of a program with the bytes that they hold, the most first.

    What lies on the tape is weighed at the turn, where the loss seeds the cotangent; what a loop holds, when that is
    most. Loops run one after the other on the way back, so these are not all there at once.
    """

    name: str
    lines: tuple[Held, ...]

    @property
    def tape_bytes(self) -> int:
        """What lies on the tape at the turn, loops apart."""
        return sum([line.n_bytes for line in self.lines if line.loop is None])

    @property
    def loop_bytes(self) -> dict[str, int]:
        """What each loop holds at its worst moment, by the place where it is called."""
        totals: dict[str, int] = {}
        for line in self.lines:
            if line.loop is not None:
                totals[line.loop] = totals.get(line.loop, 0) + line.n_bytes
        return totals

    @property
    def table(self) -> Table:
        """A line for each line."""
        rows = [
            (
                line.where,
                line.source[:60],
                line.what,
                f"{line.operations:,}" if line.operations else "",
                human_bytes(line.n_bytes),
            )
            for line in self.lines
        ]
        totals = [f"{human_bytes(self.tape_bytes)} on the tape at the turn"]
        totals += [f"{human_bytes(n)} at most for the loop at {loop}" for loop, n in self.loop_bytes.items()]
        title = f"Memory that the lines of {self.name} hold for the way back: {', '.join(totals)}"
        return Table(("line", "", "holds", "operations", "bytes"), abridged(rows), title, left=(0, 1, 2))

    def __str__(self) -> str:
        return str(self.table)

    def markdown(self) -> str:
        """The table as Markdown."""
        return self.table.markdown()

    def _repr_html_(self) -> str:
        return self.table._repr_html_()


def memory_by_line(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., MemoryByLine]:
    """The function that runs ``f`` and its way back once, and tells which lines hold what.

    ``f`` takes and returns what `unspool.vjp` takes; the arguments ``argnums`` are differentiated. Loops run under the
    policy that they have. Only while this runs is the line of every operation noted. An array that several lines hold
    counts for the first; what a `custom_vjp` keeps for itself is not seen.

    >>> def f(x):
    ...     y = np.exp(x)
    ...     return np.sum(y * y)
    >>> seen = memory_by_line(f)(np.ones(1000))
    >>> [(line.source, line.n_bytes > 8000) for line in seen.lines]
    [('y = np.exp(x)', True), ('return np.sum(y * y)', False)]
    """

    def lines_of(*args: Any) -> MemoryByLine:
        positions = positions_of(argnums, len(args))
        values, structures = as_inputs([args[p] for p in positions], positions)
        tape = Tape()
        tape.nodes = Page()
        with opened() as ledger, observe() as log:
            with listening(tape):
                try:
                    variables = [tape.input(value) for value in values]
                    out = f(*replaced(args, positions, unflatten(structures, variables)))
                    leaves, _ = result_leaves(out, name_of(f))
                    ends = [(tape.node_of(leaf), leaf) for leaf in leaves]
                    seeds = [(node, np.ones(leaf.shape, leaf.dtype)[()]) for node, leaf in ends if node >= 0]
                finally:
                    tape.close()
            lines = [_held(entry, "on the tape", None) for entry in by_line([tape])]
            tape.sweep(seeds, free=True)
        found = sorted([*lines, *_of_steps(ledger), *_of_snapshots(log)], key=lambda line: -line.n_bytes)
        return MemoryByLine(name_of(f), tuple(found))

    return lines_of


def _of_steps(ledger: Ledger) -> list[Held]:
    """The lines of the steps of each loop."""
    lines = []
    for loop in ledger.loops.values():
        what = f"residuals of {loop.n_steps:,} step{'s' * (loop.n_steps != 1)} of {loop.name}"
        lines += [_held(entry, what, _name(loop.place)) for entry in loop.lines]
    return lines


def _of_snapshots(log: Log) -> list[Held]:
    """A line for the snapshots of each loop, and one for what a compiled loop records."""
    most: dict[tuple[str, str], int] = {}
    for report in log:
        kinds = [(f"snapshots of {report.name}", report.peak_snapshot_bytes)]
        if report.compiled:
            kinds.append((f"states of recorded steps of {report.name}, compiled", report.peak_residual_bytes))
        for what, n_bytes in kinds:
            key = report.line or "?", what
            most[key] = max(n_bytes, most.get(key, 0))
    return [Held(where, "", what, 0, n_bytes, where) for (where, what), n_bytes in most.items() if n_bytes]


def _held(entry: Entry, what: str, loop: str | None) -> Held:
    return Held(_name(entry.place), _source(entry.place), what, entry.nodes, entry.n_bytes, loop)


def _name(place: Place) -> str:
    return f"{basename(place[0])}:{place[1]}"


def _source(place: Place) -> str:
    return linecache.getline(*place).strip()

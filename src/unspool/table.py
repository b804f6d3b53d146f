"""Tables of text, for the terminal, for Markdown and for a notebook; the only place where HTML is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under a head, with a title before and a note after them; printed, its columns are aligned.

    The columns ``left`` are words and stand to the left, the others are numbers and stand to the right.

    >>> print(Table(("policy", "steps"), (("none", "10"), ("every-4", "18")), title="Ten steps:"))
    Ten steps:
    policy   steps
    none        10
    every-4     18
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    note: str = ""
    left: tuple[int, ...] = (0,)

    def __str__(self) -> str:
        rows = [self.head, *self.rows]
        widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
        lines = []
        for row in rows:
            gaps = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
            cells = [
                cell + gap if k in self.left else gap + cell
                for k, (cell, gap) in enumerate(zip(row, gaps, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        return "\n".join([self.title] * bool(self.title) + lines + [self.note] * bool(self.note))

    def markdown(self) -> str:
        """The table as Markdown.

        >>> print(Table(("policy", "steps"), (("none", "10"),)).markdown())
        | policy | steps |
        | --- | ---: |
        | none | 10 |
        """
        rule = tuple(["---" if k in self.left else "---:" for k in range(len(self.head))])
        rows = [[cell.replace("|", r"\|") for cell in row] for row in (self.head, rule, *self.rows)]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join([self.title, ""] * bool(self.title) + lines + ["", self.note] * bool(self.note))

    def _repr_html_(self) -> str:
        def line(row: tuple[str, ...], tag: str) -> str:
            sides = ["left" if k in self.left else "right" for k in range(len(row))]
            cells = [
                f'<{tag} style="text-align: {side}">{escaped(cell)}</{tag}>'
                for side, cell in zip(sides, row, strict=True)
            ]
            return f"<tr>{''.join(cells)}</tr>"

        caption = f"<caption>{escaped(self.title)}</caption>" if self.title else ""
        body = "".join([line(row, "td") for row in self.rows])
        note = f"<p>{escaped(self.note)}</p>" if self.note else ""
        return f"<table>{caption}<thead>{line(self.head, 'th')}</thead><tbody>{body}</tbody></table>{note}"


def abridged(rows: Sequence[tuple[str, ...]], most: int = 200) -> tuple[tuple[str, ...], ...]:
    """The rows, or the first and the last of them with a row between that says how many are left out.

    >>> abridged([("a", "1"), ("b", "2"), ("c", "3")], 2)
    (('a', '1'), ('…', '1 more'), ('c', '3'))
    """
    if len(rows) <= most:
        return tuple(rows)
    gap = ("…", f"{len(rows) - most:,} more", *[""] * (len(rows[0]) - 2))
    return (*rows[: most // 2], gap, *rows[-(most // 2) :])


def preformatted(text: str) -> str:
    """Text as HTML that shows it as a terminal would.

    >>> preformatted("a < b")
    '<pre>a &lt; b</pre>'
    """
    return f"<pre>{escaped(text)}</pre>"


def escaped(text: str) -> str:
    """Text as HTML and SVG write it."""
    from html import escape  # with its table of two thousand names, which `import unspool` does without

    return escape(text)


def _width(text: str) -> int:
    """The columns of a terminal that a text takes: a dot or a bar above a letter takes none."""
    return sum(not "\u0300" <= letter <= "\u036f" for letter in text)

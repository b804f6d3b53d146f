"""Boxes and links as SVG without any other program, as text for graphviz, and as PNG where graphviz is there."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from unspool.diagnostics.layered import Point, arrange
from unspool.table import escaped, preformatted

MOST_BOXES = 150
"""A drawing of more boxes cannot be read, and takes long to lay out; graphviz is for those."""

_FONT, _LETTER, _LINE = 13, 7.9, 17.0  # of a monospaced font: its size, the width of a letter, the height of a line
_PAD, _MARGIN, _LONGEST = 9.0, 16.0, 46
_WIDEST = 1100.0  # a drawing that would be wider goes from top to bottom
_INK, _PALE = "#222222", "#8a8a8a"
_FONTS = "DejaVu Sans Mono, Menlo, Consolas, monospace"


@dataclass(frozen=True, slots=True)
class Box:
    """Lines of text in a frame, and a coloured note as the last of them."""

    lines: tuple[str, ...]
    note: str = ""
    marked: bool = False

    @property
    def text(self) -> tuple[str, ...]:
        """All lines, none of them too long."""
        lines = (*self.lines, self.note) if self.note else self.lines
        return tuple([line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…" for line in lines])

    @property
    def size(self) -> Point:
        """The room that it takes."""
        return max(map(len, self.text)) * _LETTER + 2 * _PAD, len(self.text) * _LINE + 2 * _PAD


@dataclass(frozen=True, slots=True)
class Link:
    """An arrow from one box to one with a larger number, with a word beside it."""

    source: int
    target: int
    word: str = ""
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """Boxes and links under a title; what is marked, and every note, has the colour."""

    title: str
    boxes: tuple[Box, ...]
    links: tuple[Link, ...]
    colour: str

    def dot(self) -> str:
        """The drawing in the language of graphviz."""
        lines = [f"digraph {_quoted(self.title)} {{", "  rankdir=LR;", f"  label={_quoted(self.title)};"]
        lines += ["  node [shape=box, fontname=monospace];", "  edge [fontname=monospace];"]
        for k, box in enumerate(self.boxes):
            mark = f', color="{self.colour}", penwidth=2' if box.marked else ""
            lines.append(f"  n{k} [label={_quoted(chr(10).join(box.text))}{mark}];")
        for link in self.links:
            mark = f', color="{self.colour}", penwidth=2' if link.marked else ""
            lines.append(f"  n{link.source} -> n{link.target} [label={_quoted(link.word)}{mark}];")
        return "\n".join([*lines, "}", ""])

    def svg(self) -> str:
        """The drawing as SVG. ValueError if it has too many boxes to be read."""
        if len(self.boxes) > MOST_BOXES:
            raise ValueError(
                f"{self.title}: a graph of {len(self.boxes):,} nodes is too large for a picture that can be read "
                f"({MOST_BOXES} are drawn). Take a smaller example, or its .dot text to a program for large graphs."
            )
        sizes, links = [box.size for box in self.boxes], [(link.source, link.target) for link in self.links]
        found, down = arrange(sizes, links), False
        if found.width > _WIDEST:
            found, down = arrange([(high, wide) for wide, high in sizes], links, gap=64.0), True
        wide, high = (found.height, found.width) if down else (found.width, found.height)
        head = 2 * _LINE
        width = max(wide, len(self.title) * _LETTER) + 2 * _MARGIN
        height = high + head + 2 * _MARGIN
        right = (width - wide) / 2
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="{_FONTS}" font-size="{_FONT}">',
            "<defs>",
            *[
                f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
                f'orient="auto"><path d="M0 1 L10 5 L0 9 z" fill="{colour}"/></marker>'
                for name, colour in (("arrow", _PALE), ("marked", self.colour))
            ],
            "</defs>",
            '<rect width="100%" height="100%" fill="white"/>',
            _text(width / 2, _MARGIN + _FONT, self.title, _INK),
            f'<g transform="translate({right:.1f} {_MARGIN + head:.1f})">',
            *[self._path(link, route, down) for link, route in zip(self.links, found.routes, strict=True)],
            *self._words(found.routes, down),
            *[
                part
                for box, place in zip(self.boxes, found.places, strict=True)
                for part in _box(self, box, place, down)
            ],
            "</g>",
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _path(self, link: Link, route: tuple[Point, ...], down: bool) -> str:
        curve = f"M{_at(route[0], down)}"
        for k, (start, end) in enumerate(pairwise(route)):
            if k % 2:  # straight past a column
                curve += f" L{_at(end, down)}"
            else:
                middle = (start[0] + end[0]) / 2
                curve += f" C{_at((middle, start[1]), down)} {_at((middle, end[1]), down)} {_at(end, down)}"
        colour, width, end_mark = (self.colour, 2.2, "marked") if link.marked else (_PALE, 1.3, "arrow")
        return f'<path d="{curve}" fill="none" stroke="{colour}" stroke-width="{width}" marker-end="url(#{end_mark})"/>'

    def _words(self, routes: tuple[tuple[Point, ...], ...], down: bool) -> list[str]:
        """The words of the links, each on its last curve, where no other word stands."""
        taken: list[tuple[float, float, float]] = []
        parts = []
        for link, route in zip(self.links, routes, strict=True):
            if not link.word:
                continue
            wide = len(link.word) * _LETTER + 4
            places = [_turned(_on_curve(route[-2], route[-1], t), down) for t in (0.4, 0.5, 0.6, 0.3, 0.7)]
            free = [
                (x, y)
                for x, y in places
                if not any(abs(x - a) < (wide + other) / 2 and abs(y - b) < _LINE for a, b, other in taken)
            ]
            x, y = (free or places)[0]
            taken.append((x, y, wide))
            parts.append(f'<rect x="{x - wide / 2:.1f}" y="{y - 8:.1f}" width="{wide:.1f}" height="16" fill="white"/>')
            parts.append(_text(x, y + 4.5, link.word, self.colour if link.marked else _INK))
        return parts


def _box(drawing: Drawing, box: Box, place: Point, down: bool) -> list[str]:
    (x, y), (width, height) = _turned(place, down), box.size
    stroke, thick = (drawing.colour, 2.2) if box.marked else (_INK, 1.2)
    parts = [
        f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}" rx="6" '
        f'fill="white" stroke="{stroke}" stroke-width="{thick}"/>'
    ]
    for k, line in enumerate(box.text):
        colour = drawing.colour if k == len(box.lines) else _INK  # the note comes last
        parts.append(_text(x, y - height / 2 + _PAD + _FONT + k * _LINE - 1, line, colour))
    return parts


class Drawn(ABC):
    """What can be drawn as boxes and links: it shows itself in a notebook, and saves itself to a file."""

    @property
    @abstractmethod
    def drawing(self) -> Drawing:
        """The boxes and links."""

    def __repr__(self) -> str:
        return f"<{str(self).splitlines()[0]}>"

    @property
    def svg(self) -> str:
        """The picture as SVG, made without any other program. ValueError if it is too large to be read."""
        return self.drawing.svg()

    @property
    def dot(self) -> str:
        """The picture as text for graphviz, of any size."""
        return self.drawing.dot()

    def save(self, path: str | Path) -> None:
        """Write the picture to a file; its suffix says what kind: .svg, .dot, or, through graphviz, .png and .pdf.

        FileNotFoundError, with the way out, where graphviz is needed and not installed.
        """
        path = Path(path)
        match path.suffix:
            case ".svg":
                path.write_text(self.svg, encoding="utf-8")
            case ".dot" | ".gv":
                path.write_text(self.dot, encoding="utf-8")
            case ".png" | ".pdf":
                _by_graphviz(self.dot, path)
            case _:
                raise ValueError(f"{path}: a graph is saved as .svg, .dot, .png or .pdf; give the name such a suffix")

    def _repr_svg_(self) -> str | None:
        return self.svg if len(self.drawing.boxes) <= MOST_BOXES else None

    def _repr_html_(self) -> str:
        return self._repr_svg_() or preformatted(str(self))


def _by_graphviz(dot: str, path: Path) -> None:
    command = ["dot", f"-T{path.suffix[1:]}", "-o", str(path)]
    try:
        done = subprocess.run(command, input=dot, text=True, encoding="utf-8", capture_output=True, check=False)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: {path.suffix} pictures of graphs are made by graphviz, whose program dot is not installed. "
            "Install graphviz, or save the graph as .svg, which needs no other program."
        ) from None
    if done.returncode:
        raise RuntimeError(f"{path}: graphviz could not draw the graph: {done.stderr.strip()}")


def _text(x: float, y: float, text: str, colour: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{colour}">{escaped(text)}</text>'


def _turned(point: Point, down: bool) -> Point:
    """From along and across to right and down."""
    return (point[1], point[0]) if down else point


def _at(point: Point, down: bool) -> str:
    x, y = _turned(point, down)
    return f"{x:.1f} {y:.1f}"


def _on_curve(start: Point, end: Point, t: float) -> Point:
    """A point of the curve that leaves and arrives horizontally."""
    (a, b), (c, d), s = start, end, 1 - t
    return (
        s**3 * a + 3 * s * t * (a + c) / 2 + t**3 * c,
        s**3 * b + 3 * s * s * t * b + 3 * s * t * t * d + t**3 * d,
    )


def _quoted(text: str) -> str:
    """A string of graphviz: backslashes and quotes are its own, a new line is written as two letters."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inner}"'

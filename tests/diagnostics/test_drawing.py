"""Boxes and links as SVG, as DOT, and through graphviz."""

from __future__ import annotations

import os
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from unspool.diagnostics.drawing import MOST_BOXES, Box, Drawing, Drawn, Link

SVG = "{http://www.w3.org/2000/svg}"
SMALL = Drawing(
    'a < "b"',
    (Box(("a\\b", "2"), "∂ = 1"), Box(('say "x"',), marked=True)),
    (Link(0, 1, "2"), Link(0, 1, "3", True)),
    "#d55e00",
)


class Shown(Drawn):
    """A drawing that shows itself."""

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing

    @property
    def drawing(self) -> Drawing:
        return self._drawing

    def __str__(self) -> str:
        return "a < b, as text"


def chain(n: int, word: str = "box") -> Drawing:
    """So many boxes in a row."""
    return Drawing("chain", (Box((word,)),) * n, tuple(Link(k, k + 1, "1") for k in range(n - 1)), "#d55e00")


def test_svg_has_every_text_and_marks_what_is_marked() -> None:
    root = ET.fromstring(SMALL.svg())
    assert root.tag == f"{SVG}svg"
    assert sorted(text.text or "" for text in root.iter(f"{SVG}text")) == sorted(
        ['a < "b"', "a\\b", "2", "∂ = 1", 'say "x"', "2", "3"]
    )
    colours = [text.get("fill") for text in root.iter(f"{SVG}text") if text.text in ("∂ = 1", "3")]
    assert colours == ["#d55e00"] * 2
    paths = [path for path in root.iter(f"{SVG}path") if path.get("marker-end")]
    assert [path.get("marker-end") for path in paths] == ["url(#arrow)", "url(#marked)"]
    frames = [rect for rect in root.iter(f"{SVG}rect") if rect.get("rx")]
    assert [frame.get("stroke") == "#d55e00" for frame in frames] == [False, True]


def test_everything_lies_inside_the_picture() -> None:
    for drawing in (SMALL, chain(3), chain(14), chain(14, "a box with many letters in it")):
        root = ET.fromstring(drawing.svg())
        width, height = float(root.get("width") or 0), float(root.get("height") or 0)
        group = root.find(f"{SVG}g")
        assert group is not None
        right, down = map(float, re.findall(r"[\d.]+", group.get("transform") or ""))
        for rect in group.iter(f"{SVG}rect"):
            x, y, w, h = (float(rect.get(name) or 0) for name in ("x", "y", "width", "height"))
            assert 0 <= x + right <= x + right + w <= width
            assert 0 <= y + down <= y + down + h <= height


def test_what_would_be_too_wide_goes_down() -> None:
    def sides(drawing: Drawing) -> tuple[float, float]:
        root = ET.fromstring(drawing.svg())
        return float(root.get("width") or 0), float(root.get("height") or 0)

    width, height = sides(chain(5))
    assert width > 3 * height
    width, height = sides(chain(30))
    assert height > 10 * width


def test_words_do_not_hide_each_other() -> None:
    drawing = Drawing("", (Box(("a",)), Box(("b",))), tuple(Link(0, 1, str(k)) for k in range(3)), "#000000")
    root = ET.fromstring(drawing.svg())
    places = [
        (float(text.get("x") or 0), float(text.get("y") or 0))
        for text in root.iter(f"{SVG}text")
        if text.text in ("0", "1", "2")
    ]
    assert len(places) == 3
    for k, (x, y) in enumerate(places):
        assert all(abs(x - a) >= 7 or abs(y - b) >= 13 for a, b in places[:k])


def test_dot_quotes_what_graphviz_would_read_otherwise() -> None:
    assert SMALL.dot().splitlines() == [
        r'digraph "a < \"b\"" {',
        "  rankdir=LR;",
        r'  label="a < \"b\"";',
        "  node [shape=box, fontname=monospace];",
        "  edge [fontname=monospace];",
        r'  n0 [label="a\\b\n2\n∂ = 1"];',
        r'  n1 [label="say \"x\"", color="#d55e00", penwidth=2];',
        '  n0 -> n1 [label="2"];',
        '  n0 -> n1 [label="3", color="#d55e00", penwidth=2];',
        "}",
    ]


def test_long_lines_are_cut() -> None:
    (line,) = Box(("x" * 100,)).text
    assert line == "x" * 45 + "…"


def test_files_and_notebooks(tmp_path: Path) -> None:
    shown = Shown(SMALL)
    shown.save(tmp_path / "a.svg")
    shown.save(str(tmp_path / "a.dot"))
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == shown.svg == shown._repr_svg_() == shown._repr_html_()
    assert (tmp_path / "a.dot").read_text(encoding="utf-8") == shown.dot
    with pytest.raises(ValueError, match=r"saved as \.svg, \.dot, \.png or \.pdf"):
        shown.save(tmp_path / "a.jpg")


def test_a_large_graph_is_text_in_a_notebook_and_dot_in_a_file(tmp_path: Path) -> None:
    shown = Shown(chain(MOST_BOXES + 1))
    assert shown._repr_svg_() is None
    assert shown._repr_html_() == "<pre>a &lt; b, as text</pre>"
    with pytest.raises(ValueError, match="a graph of 151 nodes is too large"):
        shown.save(tmp_path / "a.svg")
    assert not (tmp_path / "a.svg").exists()
    assert shown.dot.count("->") == MOST_BOXES


def test_without_graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"Install graphviz, or save the graph as \.svg"):
        Shown(SMALL).save(tmp_path / "a.png")


def test_graphviz_is_given_the_dot_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for graphviz that writes down what it was asked."""
    program = tmp_path / "dot"
    program.write_text('#!/bin/sh\necho "$1 $2" > "$3"\ncat >> "$3"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    Shown(SMALL).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_text(encoding="utf-8") == f"-Tpng -o\n{SMALL.dot()}"

    program.write_text("#!/bin/sh\necho 'syntax error' >&2\nexit 1\n")
    with pytest.raises(RuntimeError, match="graphviz could not draw the graph: syntax error"):
        Shown(SMALL).save(tmp_path / "b.pdf")


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
def test_graphviz_draws_a_png(tmp_path: Path) -> None:
    Shown(SMALL).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")

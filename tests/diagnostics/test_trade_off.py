"""Points of memory against time: where they stand, in the text and in the drawing."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from unspool.diagnostics.trade_off import Measured, trade_off
from unspool.errors import PolicyError
from unspool.planner import StepPrices, choose

POINTS = [Measured("none", 1.0, 10**6), Measured("every-10", 2.0, 10**5), Measured("revolve-3", 8.5, 10**4)]


def test_every_point_has_its_letter_where_it_belongs() -> None:
    title, legend, _, *lines = str(trade_off("A title", POINTS, width=21, height=9)).splitlines()
    assert title == "A title"
    assert legend == "a none   b every-10   c revolve-3"
    places = {
        letter: (row, line.index(letter))
        for row, line in enumerate(lines[:9])
        for letter in "abc"
        if f"{letter}" in line.partition("|")[2]
    }
    rows, columns = zip(*(places[letter] for letter in "abc"), strict=True)
    assert rows == (0, 4, 8)  # equal ratios of bytes are equal distances
    left = lines[0].index("|") + 1
    assert columns[0] == left
    assert columns[2] == left + 20
    assert columns[1] - left == round(20 * 0.3239)  # log 2 / log 8.5
    assert "1.00 MB |" in lines[0]
    assert lines[-1].split() == ["1", "s", "8.5", "s"]


def test_points_stand_over_the_curve_of_a_plan() -> None:
    plan = choose(1000, StepPrices(8, 24), 4000)
    picture = trade_off("t", POINTS, curve=plan.frontier())
    assert "· expected of the fastest schedule in so much memory" in str(picture)
    assert sum(line.count("·") for line in str(picture).splitlines()) > 5
    figure = Figure()
    picture.draw(figure)
    (axes,) = figure.axes
    *points, curve = axes.lines
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in points] == [
        (m.seconds, m.peak_bytes) for m in POINTS
    ]
    assert list(curve.get_ydata()) == [p.peak_bytes for p in plan.frontier()]
    assert [text.get_text().strip() for text in axes.texts] == ["a", "b", "c"]
    assert axes.get_yscale() == "log"


def test_one_point_is_a_picture_too(tmp_path: Path) -> None:
    picture = trade_off("t", POINTS[:1])
    assert "a none" in str(picture)
    picture.save(tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("points", [[], POINTS * 20])
def test_what_cannot_be_shown_is_refused(points: list[Measured]) -> None:
    with pytest.raises(PolicyError, match=f"{len(points)} points"):
        trade_off("t", points)

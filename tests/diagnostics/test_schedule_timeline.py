"""The pictures say what the actions say: counted again here, in the text and in the pixels."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from unspool.diagnostics import frontier
from unspool.diagnostics.schedule_timeline import KINDS, TIERS, Timeline, timeline
from unspool.errors import PolicyError, ScheduleError
from unspool.plan_disk import Disk, choose_with_disk
from unspool.planner import StepPrices, choose
from unspool.schedules import (
    Advance,
    Every,
    HRevolve,
    Mixed,
    Multistage,
    Online,
    Prices,
    Record,
    Reverse,
    Revolve,
    Save,
    Schedule,
    StoreAll,
    TwoLevel,
    simulate,
)

SCHEDULES = [
    StoreAll(),
    Every(3),
    Revolve(1),
    Revolve(3),
    Revolve(2, leaf=3),
    Online(3),
    Multistage(1, 2),
    TwoLevel(5, 1),
    Mixed(4),
    HRevolve((1, 1, 2), Prices(write=(0, 1, 3), read=(0, 1, 2))),
]
STEP_PRICES = StepPrices(8_000, 32_000, 1e-4, 1.2e-4, 2e-4, 1e-6, 1e-6, 1e-10)


def rows(picture: Timeline) -> list[tuple[int, str, list[int]]]:
    """The time, the cells and the three counts of each line of the text."""
    lines = str(picture).splitlines()
    start = next(k for k, line in enumerate(lines) if line.lstrip().startswith("time"))
    left = lines[start].index("time") + 6
    columns = 2 * picture.n_steps if 2 * picture.n_steps <= picture.width else min(picture.n_steps, picture.width)
    parsed = []
    for line in lines[start + 1 :]:
        cells, rest = line[left : left + columns], line[left + columns :]
        parsed.append((int(line[:left].replace(",", "")), cells, [int(n.replace(",", "")) for n in rest.split()]))
    return parsed


@pytest.mark.parametrize("n_steps", [1, 2, 17, 40])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_strokes_are_the_run(schedule: Schedule, n_steps: int) -> None:
    picture, cost = timeline(schedule, n_steps), simulate(schedule, n_steps)
    length = {kind: sum(s.end - s.time for s in picture.strokes if s.kind == kind) for kind in KINDS}
    assert length["sweep"] + length["again"] + length["record"] == cost.steps
    assert length["record"] == length["reverse"] == n_steps
    assert [s.time for s in picture.strokes] == [0, *(s.end for s in picture.strokes[:-1])]
    seen: set[int] = set()
    for s in picture.strokes:
        steps = set(range(s.start, s.stop))
        assert s.kind != "sweep" or not steps & seen
        assert s.kind != "again" or steps <= seen
        seen |= steps
    backwards = [k for s in picture.strokes if s.kind == "reverse" for k in reversed(range(s.start, s.stop))]
    assert backwards == list(reversed(range(n_steps)))
    for time in range(picture.strokes[-1].end):
        (now,) = [s for s in picture.strokes if s.time <= time < s.end]
        kept = [k for k in picture.kept if k.saved <= time < k.dropped]
        assert now.held[0] == sum(k.tier == 0 for k in kept)
        assert now.held[1] == sum(k.tier > 0 for k in kept)
        assert all(now.run in k.runs for k in kept)
    assert max(s.held[0] for s in picture.strokes) == cost.peak_slots[0]
    assert max(s.held[2] for s in picture.strokes) == cost.peak_taped


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_the_text_is_the_run(schedule: Schedule) -> None:
    """With two columns for a step and a line for a run, the second column says what the step does."""
    n = 24
    picture = timeline(schedule, n, width=2 * n, height=1000)
    lines = rows(picture)
    reversed_steps, run_steps = [], 0
    for _, cells, _ in lines:
        doing = cells.ljust(2 * n)[1 : 2 * n : 2]
        reversed_steps += [k for k in reversed(range(n)) if doing[k] == "<"]
        run_steps += sum(doing.count(KINDS[kind].glyph) for kind in ("sweep", "again", "record"))
    assert reversed_steps == list(reversed(range(n)))
    assert run_steps == schedule.steps(n)
    for number, (time, cells, (ram, _, _)) in enumerate(lines):
        assert time == min(s.time for s in picture.strokes if s.run == number)
        shown = [(k, glyph) for k, glyph in enumerate(cells) if glyph in {kind.glyph for kind in TIERS}]
        assert all(k % 2 == 0 for k, _ in shown)
        assert {k // 2 for k, _ in shown} == {k.step for k in picture.kept if number in k.runs}
        assert ram <= simulate(schedule, n).peak_slots[0]
    assert max(counts[2] for *_, counts in lines) == simulate(schedule, n).peak_taped


def test_golden() -> None:
    assert str(timeline(Multistage(1, 1), 5)).splitlines()[1:] == [
        "> run for the first time   + run again   # run and recorded   < reversed   ● state held in RAM   "
        "◆ state held on disk",
        "",
        "    time  0 1 2 3 4    RAM disk tape",
        "       0  ◆>>>●>>>##     1    1    1",
        "       5  ◆   ●   <<     1    1    1",
        "       6  ◆   ●+##       1    1    1",
        "       8  ◆   ● <<       1    1    1",
        "       9  ◆   ##         0    1    1",
        "      10  ◆   <<         0    1    1",
        "      11  ◆+##           0    1    1",
        "      13  ◆ <<           0    1    1",
        "      14  ◆#             0    1    1",
        "      15  ◆<             0    1    1",
    ]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 5), (40, 20), (150, 60)])
def test_text_stays_in_its_frame(width: int, height: int) -> None:
    picture = timeline(Revolve(4), 100, width=width, height=height)
    lines = rows(picture)
    assert len(lines) <= height
    assert all(len(cells.rstrip()) <= width for _, cells, _ in lines)
    columns = min(100, width)
    assert {k for _, cells, _ in lines for k in range(columns) if cells[k] == "<"} == set(range(columns))
    assert max(counts[0] for *_, counts in lines) == 4
    assert f"a column: {100 / columns:.3g} steps, a line: {-(-(picture.strokes[-1].run + 1) // height)} runs" in str(
        picture
    )


def test_the_ruler_numbers_the_columns() -> None:
    for n, width in ((9, 80), (14, 80), (40, 80), (60, 80), (5_000, 72)):
        lines = str(timeline(Every(max(1, n // 5)), n, width=width)).splitlines()
        ruler = next(line for line in lines if line.startswith("    time"))
        columns = 2 * n if 2 * n <= width else min(n, width)
        marks = ruler[10 : 10 + columns]
        labels = marks.split()
        assert len(labels) > 2
        for label in labels:
            assert f" {marks} ".index(f" {label} ") == int(label.replace(",", "")) * columns // n


@pytest.mark.parametrize(
    ("schedule", "absent"),
    [(StoreAll(), {"sweep", "again"}), (Revolve(3), set()), (Every(4), {"again"}), (Multistage(1, 2), set())],
    ids=str,
)
def test_the_drawing_shows_each_kind(schedule: Schedule, absent: set[str], tmp_path: Path) -> None:
    timeline(schedule, 14).save(tmp_path / "picture.png")
    pixels = imread(tmp_path / "picture.png")[:, :, :3]
    assert pixels.shape == (900, 1350, 3)

    def area(colour: str) -> int:
        return int(np.sum(np.all(np.abs(pixels - to_rgb(colour)) < 0.01, axis=2)))

    for name, kind in KINDS.items():
        assert (area(kind.colour) == 0) == (name in absent)
    assert (area(TIERS[1].colour) > 0) == (simulate(schedule, 14).peak_slots[1] > 0)


def test_svg_in_a_file_and_in_a_notebook(tmp_path: Path) -> None:
    picture = timeline(Revolve(2), 8)
    picture.save(str(tmp_path / "picture.svg"))
    html = picture._repr_html_()
    for text in (html, (tmp_path / "picture.svg").read_text()):
        root = ET.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert all(kind.colour in text for kind in KINDS.values())
    assert html.startswith("<svg")


def test_without_matplotlib(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["matplotlib"] = None
from unspool.diagnostics import timeline
from unspool.schedules import Revolve
picture = timeline(Revolve(2), 8)
assert picture._repr_html_().startswith("<pre>revolve-2: 8 steps")
assert "&lt; reversed" in picture._repr_html_()
picture.save({str(tmp_path / "picture.png")!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith("ImportError: pictures are drawn by matplotlib")
    assert "pip install 'unspool[plot]'" in done.stderr
    assert not (tmp_path / "picture.png").exists()


def test_is_a_value() -> None:
    picture = timeline(Revolve(2), 8)
    assert picture == timeline(Revolve(2), 8)
    assert hash(picture) == hash(timeline(Revolve(2), 8))
    with pytest.raises(FrozenInstanceError):
        picture.width = 3


class Leaves(Schedule):
    """Leaves a snapshot behind."""

    def actions(self, n_steps: int):
        return iter((Save(0), Record(0, n_steps), Reverse(0, n_steps)))


class Skips(Schedule):
    """Loses the residuals of the steps."""

    def actions(self, n_steps: int):
        return iter((Advance(0, n_steps), Reverse(0, n_steps)))


def test_refuses_what_is_no_picture() -> None:
    with pytest.raises(PolicyError, match="n_steps is 0, and there is nothing to draw"):
        timeline(Revolve(3), 0)
    with pytest.raises(PolicyError, match="more than 100,000 actions for 1,000,000 steps"):
        timeline(Revolve(3), 10**6)
    with pytest.raises(PolicyError, match="width is 0"):
        timeline(Revolve(3), 10, width=0)
    for schedule in (Leaves(), Skips()):
        with pytest.raises(ScheduleError):
            timeline(schedule, 4)


def test_a_million_steps_in_few_actions() -> None:
    assert rows(timeline(StoreAll(), 10**6, width=10)) == [
        (0, "#" * 10, [0, 0, 10**6]),
        (10**6, "<" * 10, [0, 0, 10**6]),
    ]


# --- memory against time ----------------------------------------------------------------------------------------------
def grid(text: str) -> list[str]:
    """The lines of the frame, from the top."""
    return [line.split("|", 1)[1] for line in text.splitlines() if "|" in line]


def test_the_curve_falls_and_the_plan_lies_on_it() -> None:
    plan = choose(10_000, STEP_PRICES, 4_000_000)
    picture = frontier(plan, width=50, height=12)
    text = str(picture)
    lines = grid(text)
    assert len(lines) == 12
    assert all(len(line) <= 50 for line in lines)
    cells = sorted((k, row) for row, line in enumerate(lines) for k, glyph in enumerate(line) if glyph in "oX")
    assert [row for _, row in cells] == sorted(row for _, row in cells)  # from the top: less memory, more time
    assert len(cells) > 10
    assert sum(line.count("X") for line in lines) == 1
    (chosen,) = [line for line in lines if "X" in line]
    assert set(chosen) <= set(".oX")  # the budget is used up
    assert chosen.count(".") > 40
    margins = [line.split(" |")[0].strip() for line in text.splitlines() if " |" in line]
    assert [m for m in margins if m] == ["320 MB", "3.99 MB", "40.0 kB"]
    assert f"{plan.schedule}" in text.splitlines()[0]


def test_a_large_budget_does_not_press_the_curve_flat() -> None:
    plan = choose(1_000, StepPrices(8, 24), 10**9)
    text = str(frontier(plan))
    assert "budget" not in text
    assert any("X" in line for line in grid(text)[:1])  # storing all is the fastest, and takes the most


@pytest.mark.parametrize("n_steps", [0, 1, 2])
def test_a_curve_of_one_point(n_steps: int, tmp_path: Path) -> None:
    picture = frontier(choose(n_steps, StepPrices(8, 24), 1_000))
    assert sum(line.count("X") for line in grid(str(picture))) == 1
    picture.save(tmp_path / "picture.png")
    assert imread(tmp_path / "picture.png").shape[:2] == (900, 1350)


def test_a_plan_with_a_disk_is_marked_off_the_curve(tmp_path: Path) -> None:
    plan = choose_with_disk(10_000, STEP_PRICES, 60_000, Disk(10**9, 1e-10, 1e-10))
    assert isinstance(plan.schedule, TwoLevel)
    picture = frontier(plan)
    assert picture.chosen == plan.cost
    assert sum(line.count("X") for line in grid(str(picture))) == 1
    picture.save(tmp_path / "picture.svg")
    text = (tmp_path / "picture.svg").read_text()
    assert "#d55e00" in text
    assert ET.fromstring(text).tag.endswith("svg")

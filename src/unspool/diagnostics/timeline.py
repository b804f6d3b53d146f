"""Pictures of a schedule: steps against time, and memory against time; as text, and through matplotlib."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from io import StringIO
from math import ceil, log, nan
from pathlib import Path
from typing import Any

from unspool.errors import PolicyError
from unspool.memory import human_bytes
from unspool.plan import Plan, Prediction
from unspool.schedules import Advance, Drop, Load, Machine, Record, Reverse, Save, Schedule, Tier

MOST_ACTIONS = 100_000
"""A picture of more actions than this is black, and takes minutes to draw."""

MOST_MARKS = 150
"""Of more snapshots than this, marks where they begin would hide the rest."""


@dataclass(frozen=True, slots=True)
class Picture(ABC):
    """Something to look at: text where there is nothing else, a drawing where there is matplotlib."""

    @abstractmethod
    def __str__(self) -> str:
        """Return the picture as text."""

    @abstractmethod
    def draw(self, figure: Any) -> None:
        """Draw the picture on an empty figure of matplotlib."""

    def save(self, path: str | Path) -> None:
        """Write the picture to a file; its suffix says what kind: .png, .svg, .pdf.

        ImportError with the command to install matplotlib where that is missing.
        """
        figure = self._figure()
        figure.savefig(path, dpi=150)

    def _repr_html_(self) -> str:
        """Return the drawing as SVG for a notebook, or the text where matplotlib is missing."""
        try:
            figure = self._figure()
        except ImportError:
            return f"<pre>{escape(str(self))}</pre>"
        text = StringIO()
        figure.savefig(text, format="svg")
        return text.getvalue()[text.getvalue().index("<svg") :]

    def _figure(self) -> Any:
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError(
                "pictures are drawn by matplotlib, which is missing: pip install 'unspool[plot]'"
            ) from error
        figure = Figure(figsize=(9, 6), layout="constrained")
        self.draw(figure)
        return figure


# --- steps against time -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Kind:
    """How something is shown: a letter, a colour, what it means; a line, and a mark where it begins."""

    glyph: str
    colour: str
    label: str
    line: str = "-"
    marker: str = "o"


KINDS = {
    "sweep": Kind(">", "#0072b2", "run for the first time"),
    "again": Kind("+", "#e69f00", "run again"),
    "record": Kind("#", "#009e73", "run and recorded"),
    "reverse": Kind("<", "#d55e00", "reversed"),
}
"""What is done with steps, the later ones shown over the earlier; the colour-blind can tell the colours apart."""

TIERS = (Kind("●", "#333333", "state held in RAM"), Kind("◆", "#cc79a7", "state held on disk", "--", "D"))


@dataclass(frozen=True, slots=True)
class Stroke:
    """A range of steps that was run or reversed; time counts the steps run and reversed before it.

    A run begins at the first state, at a state that is loaded, or where reversing begins. `held` counts the snapshots
    in RAM and on disk and the steps whose residuals are held, when they are most.
    """

    kind: str
    start: int
    stop: int
    time: int
    run: int
    held: tuple[int, int, int]

    @property
    def end(self) -> int:
        """The time when it is done."""
        return self.time + self.stop - self.start

    @property
    def taped(self) -> tuple[int, int]:
        """The steps whose residuals are held, before and after it."""
        most = self.held[-1]
        least = most - (self.stop - self.start)
        return {"record": (least, most), "reverse": (most, least)}.get(self.kind, (most, most))


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot, with the times and the runs from its saving to its dropping."""

    step: int
    tier: int
    saved: int
    dropped: int
    runs: range

    @property
    def kind(self) -> Kind:
        """How it is shown; what is slower than a disk, as the disk."""
        return TIERS[min(self.tier, Tier.DISK)]


@dataclass(frozen=True, slots=True)
class Timeline(Picture):
    """The run of a schedule: steps go across, time goes down.

    A line of the text is a run from one state, or a reversal; if these are more than `height`, several share a line.
    Where there is room for two columns per step, the first one shows whether its state is held at any time of the run.
    """

    title: str
    n_steps: int
    strokes: tuple[Stroke, ...]
    kept: tuple[Kept, ...]
    width: int
    height: int

    def __str__(self) -> str:
        n, runs = self.n_steps, self.strokes[-1].run + 1
        columns = 2 * n if 2 * n <= self.width else min(n, self.width)
        share = ceil(runs / self.height)  # runs to a line
        lines = [[" "] * columns for _ in range(ceil(runs / share))]
        for name, kind in KINDS.items():
            for s in self.strokes:
                if s.kind == name:
                    for cell in range(s.start * columns // n, ceil(s.stop * columns / n)):
                        lines[s.run // share][cell] = kind.glyph
            if name == ("reverse" if columns == 2 * n else "again"):  # else a state would hide what its step does
                for k in self.kept:
                    for row in range(k.runs.start // share, ceil(k.runs.stop / share)):
                        lines[row][k.step * columns // n] = k.kind.glyph
        begun: dict[int, int] = {}
        most: dict[int, list[int]] = {}
        for s in self.strokes:
            begun.setdefault(s.run // share, s.time)
            most[s.run // share] = [max(pair) for pair in zip(most.get(s.run // share, [0, 0, 0]), s.held, strict=True)]
        seen = {glyph for line in lines for glyph in line}
        text = [self.title, "   ".join(f"{kind.glyph} {kind.label}" for kind in self._shown() if kind.glyph in seen)]
        if columns < n or share > 1:
            text.append(f"a column: {n / columns:.3g} steps, a line: {share} runs")
        first = max(8, len(f"{max(begun.values()):,}"))
        wide = max(4, len(f"{max(n for s in self.strokes for n in s.held):,}"))
        heads = " ".join(head.rjust(wide) for head in ("RAM", "disk", "tape"))
        text += ["", f"{'time':>{first}}  {_ruler(n, columns)}  {heads}"]
        for number, line in enumerate(lines):
            counts = " ".join(f"{count:>{wide},}" for count in most[number])
            text.append(f"{begun[number]:>{first},}  {''.join(line)}  {counts}")
        return "\n".join(text)

    def _shown(self) -> list[Kind]:
        kinds = [kind for name, kind in KINDS.items() if any(s.kind == name for s in self.strokes)]
        return kinds + [kind for kind in TIERS if any(k.kind == kind for k in self.kept)]

    def draw(self, figure: Any) -> None:
        """Draw the runs as slanted lines, the snapshots as upright ones, and beside them what is held."""
        steps, memory = figure.subplots(1, 2, sharey=True, width_ratios=[4, 1])
        span = self.strokes[-1].end
        thick, few = min(4.0, max(1.2, 200 / span**0.8)), len(self.kept) <= MOST_MARKS
        times = [time for s in self.strokes for time in (s.time, s.end)]
        for tier, kind in enumerate(TIERS):
            kept = [k for k in self.kept if k.kind == kind]
            if kept:
                marks = {"marker": kind.marker, "markevery": 3, "markersize": 1 + 1.5 * thick} if few else {}
                across = [x for k in kept for x in (k.step, k.step, nan)]
                down = [y for k in kept for y in (k.saved, k.dropped, nan)]
                steps.plot(
                    across, down, kind.line, color=kind.colour, linewidth=thick / 3, zorder=3 if few else 1, **marks
                )
                counts = [s.held[tier] for s in self.strokes for _ in range(2)]
                memory.plot(counts, times, kind.line, color=kind.colour, linewidth=1.2, label=kind.label)
        for name, kind in KINDS.items():
            drawn = [s for s in self.strokes if s.kind == name]
            if drawn:
                way = -1 if name == "reverse" else 1
                across = [x for s in drawn for x in (*(s.start, s.stop)[::way], nan)]
                down = [y for s in drawn for y in (s.time, s.end, nan)]
                steps.plot(across, down, color=kind.colour, linewidth=thick, label=kind.label, zorder=2)
        taped = [count for s in self.strokes for count in s.taped]
        memory.fill_betweenx(
            times, taped, color=KINDS["record"].colour, alpha=0.35, linewidth=0, label="residuals held"
        )
        margin = self.n_steps / 60  # or the axes would hide what is done at the first step
        steps.set(xlabel="step", ylabel="time: steps run and reversed")
        steps.set(xlim=(-margin, self.n_steps + margin), ylim=(span * 1.01, -span / 40))
        memory.set(xlabel="held at once", xlim=(0, 1.05 * max(1, *(n for s in self.strokes for n in s.held))))
        for axes in (steps, memory):
            axes.locator_params(integer=True)
            axes.spines[["top", "right"]].set_visible(False)
        figure.suptitle(self.title, fontsize="medium")
        legend = [a + b for a, b in zip(*(x.get_legend_handles_labels() for x in (steps, memory)), strict=True)]
        figure.legend(*legend, loc="outside lower center", ncols=4, frameon=False)


def timeline(schedule: Schedule, n_steps: int, *, width: int = 80, height: int = 60) -> Timeline:
    """Return the picture of a run of a schedule, from its own actions, which are checked by a `Machine`.

    `width` and `height` are those of the text, in characters. PolicyError for no steps, and for more actions than a
    picture can show; ScheduleError if the schedule breaks a law.

    >>> from unspool.schedules import Revolve
    >>> print(timeline(Revolve(2), 4))
    revolve-2: 4 steps, 8 evaluations (2.00 per step)
    > run for the first time   + run again   # run and recorded   < reversed   ● state held in RAM
    <BLANKLINE>
        time  0 1 2 3    RAM disk tape
           0  ●>●>>>##     2    0    1
           4  ● ●   <<     2    0    1
           5  ● ●+##       2    0    1
           7  ● ● <<       2    0    1
           8  ● ##         1    0    1
           9  ● <<         1    0    1
          10  ●#           1    0    1
          11  ●<           1    0    1
    """
    for name, value in (("width", width), ("height", height)):
        if value < 1:
            raise PolicyError(f"{name} is {value}; give the number of characters that the picture may take")
    machine, strokes, kept = Machine(n_steps), list[Stroke](), list[Kept]()
    saved: dict[tuple[int, int], tuple[int, int]] = {}
    time, run, fresh, reached = 0, -1, True, 0
    for number, action in enumerate(schedule.actions(n_steps)):
        if number == MOST_ACTIONS:
            raise PolicyError(
                f"{schedule} takes more than {MOST_ACTIONS:,} actions for {n_steps:,} steps, too many for a picture; "
                "draw fewer steps: the pattern is the same"
            )
        taped = machine.n_taped
        machine.apply(action)
        match action:
            case Advance(_, stop) | Record(_, stop) | Reverse(_, stop):
                reversing = isinstance(action, Reverse)
                if fresh or reversing != (strokes[-1].kind == "reverse"):
                    run += 1
                held = (
                    machine.slots[Tier.RAM],
                    sum(n for tier, n in machine.slots.items() if tier),
                    max(taped, machine.n_taped),
                )
                for kind, begin, end in _parts(action, reached):
                    strokes.append(Stroke(kind, begin, end, time, run, held))
                    time += end - begin
                reached = max(reached, stop)
                fresh = False
            case Load():
                fresh = True
            case Save(step, tier):
                saved[step, tier] = time, run + fresh
            case Drop(step, tier):
                begin, first = saved.pop((step, tier))
                if begin < time:
                    kept.append(Kept(step, tier, begin, time, range(first, run + 1)))
    cost = machine.finish()
    if not strokes:
        raise PolicyError("n_steps is 0, and there is nothing to draw; give 1 or more")
    title = f"{schedule}: {n_steps:,} steps, {cost.steps:,} evaluations ({cost.recomputation_factor:.2f} per step)"
    return Timeline(title, n_steps, tuple(strokes), tuple(kept), width, height)


def _parts(action: Advance | Record | Reverse, reached: int) -> Iterator[tuple[str, int, int]]:
    """Yield the kinds of the parts of a range: an advance may begin before the step that was reached, and go on."""
    match action:
        case Reverse(start, stop):
            yield "reverse", start, stop
        case Record(start, stop):
            yield "record", start, stop
        case Advance(start, stop):
            middle = min(max(start, reached), stop)
            if start < middle:
                yield "again", start, middle
            if middle < stop:
                yield "sweep", middle, stop


def _ruler(n_steps: int, columns: int) -> str:
    """Return the numbers of some steps, each where its column begins."""
    apart = 2 if columns == 2 * n_steps and n_steps <= 10 else len(f"{n_steps:,}") + 4
    stride = next(
        k for power in range(20) for k in (10**power, 2 * 10**power, 5 * 10**power) if k * columns >= apart * n_steps
    )
    line = ""
    for step in range(0, n_steps, stride):
        label = f"{step:,}"
        if step * columns // n_steps + len(label) <= columns:
            line = line.ljust(step * columns // n_steps) + label
    return line.ljust(columns)


# --- memory against time ----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Frontier(Picture):
    """The least time that each amount of memory allows, and where a plan stands on that curve."""

    n_steps: int
    curve: tuple[Prediction, ...]
    chosen: Prediction
    budget_bytes: int
    width: int
    height: int

    def __str__(self) -> str:
        points = (*self.curve, self.chosen)
        across = _Scale.over([p.seconds for p in points], self.width)
        up = _Scale.over([p.peak_bytes for p in (points)] + self._budget, self.height)
        lines = [[" "] * self.width for _ in range(self.height)]
        labels = [""] * self.height
        for budget in self._budget:
            lines[up.cell(budget)] = ["."] * self.width
            labels[up.cell(budget)] = "budget"
        for p in self.curve:
            lines[up.cell(p.peak_bytes)][across.cell(p.seconds)] = "o"
        lines[up.cell(self.chosen.peak_bytes)][across.cell(self.chosen.seconds)] = "X"
        for p in sorted(points, key=lambda p: p.peak_bytes)[:: len(points) - 1 or 1]:
            labels[up.cell(p.peak_bytes)] = human_bytes(p.peak_bytes)
        labels[up.cell(self.chosen.peak_bytes)] = human_bytes(self.chosen.peak_bytes)
        margin = max(map(len, labels))
        ends = f"{across.least:.3g} s", f"{across.most:.3g} s"
        return "\n".join(
            [
                self._title,
                "o the fastest schedule in so much memory   X the plan" + "   . its budget" * bool(self._budget),
                "",
                *(
                    f"{label:>{margin}} |{''.join(line)}".rstrip()
                    for label, line in zip(reversed(labels), reversed(lines), strict=True)
                ),
                " " * margin + " +" + "-" * self.width,
                " " * margin + "  " + ends[0] + ends[1].rjust(self.width - len(ends[0])),
            ]
        )

    @property
    def _title(self) -> str:
        p = self.chosen
        return f"{self.n_steps:,} steps by {p.schedule}: {human_bytes(p.peak_bytes)}, {p.seconds:.3g} s"

    @property
    def _budget(self) -> list[float]:
        """The budget, if it is not so large that showing it would press the curve flat."""
        most = max(p.peak_bytes for p in (*self.curve, self.chosen))
        return [self.budget_bytes] if 0 < self.budget_bytes <= 4 * most else []

    def draw(self, figure: Any) -> None:
        """Draw the curve, the budget and the plan, on logarithmic axes where they span much."""
        axes = figure.subplots()
        seconds, sizes = [p.seconds for p in self.curve], [p.peak_bytes for p in self.curve]
        axes.plot(seconds, sizes, "o-", color="#0072b2", markersize=4, label="the fastest schedule in so much memory")
        for budget in self._budget:
            axes.axhline(
                budget, color="0.5", linestyle="--", linewidth=1, label=f"budget: {human_bytes(self.budget_bytes)}"
            )
        axes.plot(
            self.chosen.seconds,
            self.chosen.peak_bytes,
            "D",
            color="#d55e00",
            markersize=9,
            label=str(self.chosen.schedule),
        )
        scales = [_Scale.over(values, 2) for values in ([*seconds, self.chosen.seconds], [*sizes, *self._budget])]
        axes.set(xlabel="seconds for one gradient", ylabel="snapshots and residuals", title=self._title)
        axes.set(**{f"{axis}scale": "log" for axis, scale in zip("xy", scales, strict=True) if scale.logarithmic})
        axes.yaxis.set_major_formatter(lambda size, _: human_bytes(round(size)))
        axes.grid(visible=True, alpha=0.3)
        axes.legend()


@dataclass(frozen=True, slots=True)
class _Scale:
    """From values to the cells of a line of text."""

    least: float
    most: float
    cells: int

    @classmethod
    def over(cls, values: Sequence[float], cells: int) -> _Scale:
        """Return the scale that just holds the values."""
        return cls(min(values), max(values), cells)

    @property
    def logarithmic(self) -> bool:
        """Whether the values span more than a linear scale shows."""
        return self.least > 0 and self.most > 8 * self.least

    def cell(self, value: float) -> int:
        """Return the cell that a value falls into."""
        if self.most == self.least:
            return 0
        if self.logarithmic:
            part = log(value / self.least) / log(self.most / self.least)
        else:
            part = (value - self.least) / (self.most - self.least)
        return round(part * (self.cells - 1))


def frontier(plan: Plan, *, width: int = 64, height: int = 16) -> Frontier:
    """Return the picture of memory against time for a plan, which is marked on it.

    >>> from unspool.plan import StepPrices, choose
    >>> picture = frontier(choose(1000, StepPrices(8, 24), 4000))
    >>> print(str(picture).splitlines()[0])
    1,000 steps by Revolve(slots=6, leaf=164): 3.98 kB, 2.84e+03 s
    """
    return Frontier(plan.n_steps, tuple(plan.frontier()), plan.cost, plan.budget_bytes, width, height)

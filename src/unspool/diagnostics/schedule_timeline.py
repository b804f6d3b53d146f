"""The classical picture of a schedule, steps against time, as text and through matplotlib."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, nan
from typing import Any

from unspool.diagnostics.picture import Picture
from unspool.errors import PolicyError
from unspool.schedules import Advance, Drop, Load, Machine, Record, Reverse, Save, Schedule, Tier

MOST_ACTIONS = 100_000
"""A picture of more actions than this is black, and takes minutes to draw."""

MOST_MARKS = 150
"""Of more snapshots than this, marks where they begin would hide the rest."""


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

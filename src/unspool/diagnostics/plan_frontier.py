"""Memory against time: the curve that a plan was chosen from, as text and through matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from unspool.diagnostics.picture import Picture
from unspool.memory import human_bytes
from unspool.planner import Plan, Prediction


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
        across = Scale.over([p.seconds for p in points], self.width)
        up = Scale.over([p.peak_bytes for p in (points)] + self._budget, self.height)
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
        legend = "o the fastest schedule in so much memory   X the plan" + "   . its budget" * bool(self._budget)
        return "\n".join([self._title, legend, "", framed(lines, labels, across)])

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
        scales = [Scale.over(values, 2) for values in ([*seconds, self.chosen.seconds], [*sizes, *self._budget])]
        axes.set(xlabel="seconds for one gradient", ylabel="snapshots and residuals", title=self._title)
        axes.set(**{f"{axis}scale": "log" for axis, scale in zip("xy", scales, strict=True) if scale.logarithmic})
        axes.yaxis.set_major_formatter(lambda size, _: human_bytes(round(size)))
        axes.grid(visible=True, alpha=0.3)
        axes.legend()


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to the cells of a line of text, or of a column of lines."""

    least: float
    most: float
    cells: int

    @classmethod
    def over(cls, values: Sequence[float], cells: int) -> Scale:
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


def framed(lines: Sequence[Sequence[str]], labels: Sequence[str], across: Scale) -> str:
    """Return lines of characters, the lowest first, between an axis with labels and one of seconds."""
    margin = max(map(len, labels))
    ends = f"{across.least:.3g} s", f"{across.most:.3g} s"
    return "\n".join(
        [
            *(
                f"{label:>{margin}} |{''.join(line)}".rstrip()
                for label, line in zip(reversed(labels), reversed(lines), strict=True)
            ),
            " " * margin + " +" + "-" * across.cells,
            " " * margin + "  " + ends[0] + ends[1].rjust(across.cells - len(ends[0])),
        ]
    )


def frontier(plan: Plan, *, width: int = 64, height: int = 16) -> Frontier:
    """Return the picture of memory against time for a plan, which is marked on it.

    >>> from unspool.planner import StepPrices, choose
    >>> picture = frontier(choose(1000, StepPrices(8, 24), 4000))
    >>> print(str(picture).splitlines()[0])
    1,000 steps by Revolve(slots=6, leaf=164): 3.98 kB, 2.84e+03 s
    """
    return Frontier(plan.n_steps, tuple(plan.frontier()), plan.cost, plan.budget_bytes, width, height)

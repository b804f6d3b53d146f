"""Memory against time as it was measured: a point for every policy, as text and through matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_letters
from typing import Any

from unspool.diagnostics.picture import Picture
from unspool.diagnostics.plan_frontier import Scale, framed
from unspool.errors import PolicyError
from unspool.memory import human_bytes
from unspool.planner import Prediction


@dataclass(frozen=True, slots=True)
class Measured:
    """What one gradient took under a policy: seconds, and the bytes of snapshots and residuals at the worst moment."""

    name: str
    seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class TradeOff(Picture):
    """What gradients took in memory and in time under several policies, above the curve that a plan expects."""

    title: str
    points: tuple[Measured, ...]
    curve: tuple[Prediction, ...]
    width: int
    height: int

    def __str__(self) -> str:
        across = Scale.over(self._seconds, self.width)
        up = Scale.over(self._bytes, self.height)
        lines = [[" "] * self.width for _ in range(self.height)]
        labels = [""] * self.height
        for p in self.curve:
            lines[up.cell(p.peak_bytes)][across.cell(p.seconds)] = "·"
        for letter, m in zip(ascii_letters, self.points, strict=False):
            lines[up.cell(m.peak_bytes)][across.cell(m.seconds)] = letter
            labels[up.cell(m.peak_bytes)] = human_bytes(m.peak_bytes)
        legend = "   ".join(f"{letter} {m.name}" for letter, m in zip(ascii_letters, self.points, strict=False))
        expected = ["· expected of the fastest schedule in so much memory"] * bool(self.curve)
        return "\n".join([self.title, legend, *expected, "", framed(lines, labels, across)])

    def draw(self, figure: Any) -> None:
        """Draw the points with their names, and the curve, on logarithmic axes where they span much."""
        axes = figure.subplots()
        for letter, m in zip(ascii_letters, self.points, strict=False):
            axes.plot(m.seconds, m.peak_bytes, "o", color="#0072b2", label=f"{letter}  {m.name}")
            axes.annotate(f"  {letter}", (m.seconds, m.peak_bytes), va="center")
        if self.curve:
            seconds, sizes = [p.seconds for p in self.curve], [p.peak_bytes for p in self.curve]
            axes.plot(seconds, sizes, ".--", color="0.6", label="expected of the fastest schedule in so much memory")
        axes.set(xlabel="seconds for one gradient", ylabel="snapshots and residuals", title=self.title)
        scales = [Scale.over(values, 2) for values in (self._seconds, self._bytes)]
        axes.set(**{f"{axis}scale": "log" for axis, scale in zip("xy", scales, strict=True) if scale.logarithmic})
        axes.yaxis.set_major_formatter(lambda size, _: human_bytes(round(size)))
        axes.yaxis.set_minor_formatter(lambda size, _: "")
        axes.margins(x=0.15, y=0.1)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(frameon=False)

    @property
    def _seconds(self) -> list[float]:
        return [*(m.seconds for m in self.points), *(p.seconds for p in self.curve)]

    @property
    def _bytes(self) -> list[float]:
        return [*(float(m.peak_bytes) for m in self.points), *(float(p.peak_bytes) for p in self.curve)]


def trade_off(
    title: str, points: Sequence[Measured], *, curve: Sequence[Prediction] = (), width: int = 64, height: int = 16
) -> TradeOff:
    """Return the picture of what was measured; `curve` is that of a plan (`Plan.frontier`).

    PolicyError where there is nothing to show, or more points than letters.

    >>> print(trade_off("Two policies", [Measured("none", 1.0, 8000), Measured("every-10", 2.0, 1600)], height=4))
    Two policies
    a none   b every-10
    <BLANKLINE>
    8.00 kB |a
            |
            |
    1.60 kB |                                                               b
            +----------------------------------------------------------------
             1 s                                                          2 s
    """
    if not 1 <= len(points) <= len(ascii_letters):
        raise PolicyError(f"{len(points)} points cannot be shown; give 1 to {len(ascii_letters)}")
    return TradeOff(title, tuple(points), tuple(curve), width, height)

"""Reports of loops, and those who asked for them."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unspool import schedules
from unspool.memory import human_bytes
from unspool.schedules import Schedule
from unspool.table import Table

if TYPE_CHECKING:
    from unspool.planner import Plan


@dataclass(slots=True)
class LoopReport:
    """What one run of a loop did: counted, weighed and timed.

    ``steps`` counts every evaluation of the step, and ``counted`` those among them that a compiled while loop took only
    to find out how many there are. Bytes are what snapshots and residuals hold at once; ``peak_bytes``
    is measured, ``predicted_peak_bytes`` comes from the schedule, the bytes of one state and those of the residuals of
    the first step that was recorded, of which ``first_bytes`` are not needed for the steps after it. ``compiled`` tells
    whether the steps ran as machine code, ``not_compiled`` why not. ``seconds`` has an entry per phase (sweep, unwind)
    and per verb. ``line`` is where the user called the loop.
    """

    name: str
    policy: Schedule
    n_steps: int = 0
    steps: int = 0
    records: int = 0
    saves: int = 0
    loads: int = 0
    state_bytes: int = 0
    residual_bytes: int = 0
    first_bytes: int = 0
    peak_bytes: int = 0
    peak_snapshot_bytes: int = 0
    peak_residual_bytes: int = 0
    rss_growth_bytes: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    reversed: bool = False
    online: bool = False
    compiled: bool = False
    not_compiled: str | None = None
    plan: Plan | None = None
    line: str | None = None
    counted: int = 0
    _predicted: tuple[int, int] | None = None

    @property
    def recomputation_factor(self) -> float:
        """Evaluations per step: 1 when nothing is computed twice."""
        return self.steps / self.n_steps if self.n_steps else 1.0

    @property
    def predicted_steps(self) -> int:
        """The evaluations that the schedule says it takes."""
        return self._predict()[0]

    @property
    def predicted_peak_bytes(self) -> int:
        """The bytes that the schedule says snapshots and residuals take at the worst moment."""
        return self._predict()[1]

    def _predict(self) -> tuple[int, int]:
        if self._predicted is None:
            sizes = {"state_bytes": self.state_bytes, "residual_bytes": self.residual_bytes}
            cost = schedules.simulate(self.policy, self.n_steps, **sizes)
            peak = cost.peak_bytes if self.plan is None else self.plan.cost.peak_bytes
            if self.online:  # the sweep records as it goes, and saves a state that a known end would spare it
                slots = cost.peak_slots[0] + (cost.peak_slots[0] < getattr(self.policy, "slots", self.n_steps))
                peak = slots * self.state_bytes + cost.peak_taped * self.residual_bytes
            peak += self.first_bytes * (self.plan is None and cost.peak_taped > 0)
            self._predicted = cost.steps + self.counted, peak
        return self._predicted

    def foreseen(self, steps: int, peak_bytes: int) -> None:
        """Say what it was to take, where no schedule says it."""
        self._predicted = steps, peak_bytes

    def add_seconds(self, what: str, seconds: float) -> None:
        """Count time to a phase or a verb."""
        self.seconds[what] = self.seconds.get(what, 0.0) + seconds

    def _repr_html_(self) -> str:
        return table([self])._repr_html_()


def table(reports: Iterable[LoopReport]) -> Table:
    """The reports of some loops, a line for each."""
    head = ("loop", "policy", "steps", "run", "×", "saves", "loads", "predicted", "measured", "RSS")
    return Table((*head, "sweep s", "unwind s"), tuple(map(_row, reports)), left=(0, 1))


def _row(r: LoopReport) -> tuple[str, ...]:
    return (
        r.name,
        str(r.policy),
        f"{r.n_steps:,}",
        f"{r.steps:,}",
        f"{r.recomputation_factor:.2f}",
        f"{r.saves:,}",
        f"{r.loads:,}",
        human_bytes(r.predicted_peak_bytes),
        human_bytes(r.peak_bytes),
        human_bytes(max(0, r.rss_growth_bytes)),
        f"{r.seconds.get('sweep', 0.0):.3f}",
        f"{r.seconds.get('unwind', 0.0):.3f}",
    )


class _Observers(threading.local):
    def __init__(self) -> None:
        self.logs: list[list[LoopReport]] = []


_OBSERVERS = _Observers()


def logs() -> list[list[LoopReport]]:
    """The logs of this thread that collect reports now."""
    return _OBSERVERS.logs

"""A loop before it runs, and a run of it that waits at the turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from inspect import getclosurevars
from random import Random
from typing import Any

import numpy as np

from unspool.closure import Captures
from unspool.codegen.fallback import Condition, FlatStep, Steps
from unspool.errors import ReplayError
from unspool.ir.listener import Traced, primal, resolve
from unspool.kernels import Kernels, State
from unspool.observers import LoopReport, logs
from unspool.planner import Auto, Plan
from unspool.probe import Probe
from unspool.replay import Check, Difference, Mismatch, checksum, replay_message
from unspool.run import Run
from unspool.schedules import Schedule, Tier
from unspool.source_line import user_line
from unspool.stores import RamStore
from unspool.stores.arena import keep_heap
from unspool.tree import Structure


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """A loop before it runs: its step on flat lists of leaves, its length (None: until the condition fails), its
    schedule.

    ``names`` say where each leaf of the state stands in the user's nest.
    """

    name: str
    step: FlatStep
    n_steps: int | None
    schedule: Schedule | Auto
    names: tuple[str, ...]
    captures: Captures
    condition: Condition | None = None
    progress: bool = False
    compile: bool | str = "auto"
    body: Any = None
    """The user's function, if ``step`` is nothing but that."""

    about: tuple[Any, ...] = ()
    """What else ``step`` depends on."""

    stepping: Callable[[Any], FlatStep] | None = None
    """``step`` for another body."""

    flat: Callable[[int, list[Any], list[Any]], tuple[list[Any], list[Any]]] | None = None
    """``step`` where nothing stands between it and what is around the loop."""

    going: Callable[[list[Any]], Any] | None = None
    """``condition`` there."""

    outputs: list[Structure] = field(default_factory=list)
    """The structure of the outputs of a step, once one has run."""

    threads: int = 1
    """That share the large nests of a compiled step."""

    check: Check = Check.DIGEST
    """How much of a state is compared when it is computed again."""

    asked: Any = None
    """The user's condition, if ``condition`` is nothing but that."""

    def steps(
        self,
        state: State,
        xs: Sequence[np.ndarray],
        values: Sequence[Any],
        bar: Any = None,
        longer: Callable[[int], float] | None = None,
    ) -> Steps:
        """The loop as it is carried out from this state; ``longer(k)`` is told that a while loop goes on to
        step k, and says from which step on it wants to know next."""
        return Steps(
            self.step,
            state,
            xs=xs,
            captures=self.captures,
            values=values,
            n_steps=self.n_steps,
            names=self.names,
            loop_name=self.name,
            condition=self.condition,
            tick=None if bar is None else lambda verb: bar.update(),
            check=self.check,
            explain=lambda: self.generators().strip(),
            longer=longer,
        )

    def replay_error(self, found: Mismatch) -> str:
        """What to say when the state at a step came out differently."""
        what = f"the state{self._name(found.difference)} of {self.name} before step {found.step}"
        match found.cause:
            case None:
                last = found.step - 1
                which = f"Step {last}" if found.start == last else f"Each of the steps {found.start} to {last}"
                earlier = f", or a step before step {found.start} does not repeat itself" if found.start else ""
                cause = (
                    f"{which}, run twice more from the same state just now, repeated itself: something that the step "
                    "reads has changed since the first sweep, perhaps an array or a variable of the code around the "
                    f"loop{earlier}."
                )
            case (int(step), Difference() as difference):
                cause = (
                    f"Step {step}, run twice more from the same state just now, did not repeat itself in "
                    f"state{self._name(difference)} ({difference}): it draws random numbers, reads a clock, or keeps "
                    f"something outside of its state.{self.generators()}"
                )
            case _:
                cause = self.generators().strip()
        return replay_message(what, found.difference, cause)

    def _name(self, difference: Difference) -> str:
        return self.names[difference.position] if difference.position < len(self.names) else ""

    def generators(self) -> str:
        """The random generators that the step reads from the code around the loop, in a sentence."""
        try:
            found = getclosurevars(self.body)
        except TypeError:  # not a Python function
            return ""
        kinds = (np.random.Generator, np.random.RandomState, Random)
        names = [name for name, value in {**found.globals, **found.nonlocals}.items() if isinstance(value, kinds)]
        return f" It reads the random generator {', '.join(names)} from the code around the loop." if names else ""


# --- one run ----------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Sweep:
    """A run of a loop that has reached its turn, and its way back."""

    loop: Loop
    init: State
    xs: tuple[np.ndarray, ...]
    steps: Steps = field(init=False)
    values: list[Any] = field(default_factory=list)
    _run: Run = field(init=False)
    _bar: Any = None
    report: LoopReport | None = None
    _rss: int = 0
    _spent: bool = False
    _results: tuple[int, ...] = ()
    not_compiled: str | None = None
    longer: Callable[[int], float] | None = None

    def forward(self) -> tuple[State, list[np.ndarray]]:
        """Sweep to the turn; return the final state and the outputs."""
        loop = self.loop
        keep_heap()
        if loop.progress:
            self._bar = progress_bar(loop, None)
        self.steps = loop.steps(self.init, self.xs, self.values, self._bar, self.longer)
        rss = resident_bytes()
        try:
            kernels, schedule, plan = self._planned(self.steps.kernels())
            self._rss = rss
            self.report = reported(loop, schedule, plan, loop.n_steps)
            if self.report is not None:
                self.report.state_bytes = kernels.layout.n_bytes
                self.report.not_compiled = self.not_compiled
            if self._bar is not None and loop.n_steps is not None:
                self._bar.total = schedule.steps(loop.n_steps) + loop.n_steps
            self._run = Run(
                kernels,
                schedule,
                {Tier.RAM: RamStore(kernels.layout)},
                loop.n_steps,
                replay_error=loop.replay_error,
                check=loop.check,
                report=self.report,
            )
            final = self._run.forward(self.init)
        except BaseException:
            self._finish()
            raise
        self._weigh()
        self.values = self.steps.values
        self._results = checksum([*final, *(self.steps.ys or [])], loop.check)
        self._spent = False
        return final, self.steps.ys or []

    def _planned(self, kernels: Kernels) -> tuple[Kernels, Schedule, Plan | None]:
        """The schedule of the user, or the one that a probe of the first steps finds best."""
        policy = self.loop.schedule
        if isinstance(policy, Schedule):
            return kernels, policy, None
        probe = Probe(kernels, self.init)
        if self.loop.n_steps is None:
            return probe.kernels(), probe.plan_online(policy), None
        plan = probe.plan(policy, self.loop.n_steps)
        return probe.kernels(), plan.schedule, plan

    def reverse(self, cts_state: Sequence[Any], cts_ys: Sequence[Any]) -> tuple[Sequence[Any], list[Any], list[Any]]:
        """The cotangents of the initial state, of xs and of the captures; a second call sweeps again first."""
        loop = self.loop
        if self._spent:
            before = self._results
            self.forward()
            for position, (one, other) in enumerate(zip(before, self._results, strict=True)):
                if one != other:
                    self._run.close()
                    state = position < len(self.init)
                    name = f"the final state{loop.names[position]}" if state else "an output"
                    raise ReplayError(replay_message(f"{name} of {loop.name}"))
        self._spent = True
        self.steps.cts_ys = list(cts_ys)
        try:
            cts_init = self._run.reverse(tuple(cts_state))
        finally:
            self._weigh()
            self._finish()
        missing = [None] * (len(self.values) - len(self.steps.cts_captured))
        return cts_init, list(self.steps.cts_xs), [*self.steps.cts_captured, *missing]

    def close(self) -> None:
        """Let go of what the way back would have needed."""
        self._run.close()
        self._finish()

    def _weigh(self) -> None:
        if self.report is not None:
            growth = resident_bytes() - self._rss
            self.report.rss_growth_bytes = max(self.report.rss_growth_bytes, growth)

    def _finish(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def reported(loop: Loop, schedule: Schedule, plan: Plan | None, n_steps: int | None) -> LoopReport | None:
    """A report of this run, if anybody observes; ``n_steps`` where they are known before it begins."""
    if not logs():
        return None
    report = LoopReport(loop.name, schedule, n_steps or 0, online=n_steps is None, plan=plan, line=user_line())
    for log in logs():
        log.append(report)
    return report


def resident_bytes() -> int:
    """The resident set of this process, or 0 when nobody observes."""
    if not logs():
        return 0
    import psutil

    return int(psutil.Process().memory_info().rss)


def progress_bar(loop: Loop, total: int | None) -> Any:
    """A bar for so many evaluations and reversals of steps, or for a number not known."""
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=loop.name, unit="step")


def plain_state(leaves: Sequence[Any]) -> State:
    """Private plain copies of the leaves, contiguous, so that a snapshot has the same bits and strides."""
    result = []
    for leaf in leaves:
        value = primal(resolve(leaf))
        value = value if isinstance(leaf, Traced) else np.array(value, np.asarray(value).dtype.newbyteorder("="))
        array = np.ascontiguousarray(value)
        result.append(array.reshape(np.shape(value)) if np.ndim(value) else np.asarray(value)[()])
    return tuple(result)

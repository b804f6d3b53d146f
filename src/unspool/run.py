"""The executor: six verbs, six cases. It knows verbs, never schedules, and bytes, never their meaning."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from time import perf_counter
from typing import Any

import numpy as np

from unspool.collector import patient_collector
from unspool.errors import PolicyError, ReplayError
from unspool.kernels import Cotangents, Kernels, State
from unspool.observers import LoopReport
from unspool.replay import SMALL, Check, Mismatch, first_difference, first_sampled_difference, lockstep, sample
from unspool.schedules import Action, Advance, Drop, Load, OnlineSchedule, Record, Reverse, Save, Schedule
from unspool.stores import Store


class Run:
    """One run of a loop under a schedule: `forward` up to the turn, then `reverse` back to the start.

    ``n_steps`` is None for a loop that ends by a condition; that takes an `OnlineSchedule`. The state from which a
    range of steps was recorded is compared with what the record of the steps before it arrives at, and so is the final
    state: ReplayError if the bits differ. Where it is a state of the sweep, the final one or a snapshot, all bits are
    compared; where it was computed again itself, those of a sample of each large array.
    """

    def __init__(
        self,
        kernels: Kernels,
        schedule: Schedule,
        stores: Mapping[int, Store],
        n_steps: int | None,
        *,
        replay_error: Callable[[Mismatch], str],
        check: Check = Check.DIGEST,
        report: LoopReport | None = None,
    ) -> None:
        self.kernels = kernels
        self.schedule = schedule
        self.stores = stores
        self.n_steps = n_steps
        self.report = report
        self.position = 0
        self.state: State = ()
        self.cts: Cotangents = ()
        self.check = check
        self._replay_error = replay_error
        self._actions: Iterator[Action] = iter(())
        self._taped: list[Any] = []
        self._held: dict[int, int] = {}
        self._known: dict[int, State] = {}
        self._swept: set[int] = set()
        self._small = kernels.layout.n_bytes <= SMALL
        self._sliding = False
        self._turned = False

    # --- the two halves -----------------------------------------------------------------------------------------------
    def forward(self, state: State) -> State:
        """Carry out the actions up to the turn; return the final state."""
        begin = perf_counter()
        self.state = state
        try:
            if self.n_steps is None:
                self._sweep_online()
            else:
                self._actions = self.schedule.actions(self.n_steps)
                with patient_collector():
                    while self.position < self.n_steps:
                        self._apply(next(self._actions))
        except BaseException:
            self.close()
            raise
        assert self.n_steps is not None
        if self.check is not Check.OFF and not self._taped_all():
            self._note(self.n_steps, tuple([_kept(leaf) for leaf in self.state]))
        self._turned = True
        self._spent("sweep", begin)
        return self.state

    def reverse(self, cts: Cotangents) -> Cotangents:
        """Carry the cotangent of the final state back to the initial one; the run is over then."""
        begin = perf_counter()
        self.cts = cts
        try:
            with patient_collector():
                for action in self._actions:
                    self._apply(action)
        finally:
            self.close()
        self._spent("unwind", begin)
        if self.report is not None:
            self.report.reversed = True
        return self.cts

    def close(self) -> None:
        """Let go of everything that is held."""
        for store in self.stores.values():
            store.close()
        self._taped.clear()
        self._known.clear()
        self._swept.clear()
        self.state = ()

    # --- a loop of unknown length -------------------------------------------------------------------------------------
    def _sweep_online(self) -> None:
        schedule = online(self.schedule)
        for action in schedule.sweep():
            if not self.kernels.going(self.state, self.position):
                break
            if isinstance(action, Advance):
                self._forget_oldest(len(self._taped))
                self._advance_online(action, schedule.last)
            else:
                self._apply(action)
        n, taped = self.position, len(self._taped)
        self.n_steps = n
        if self.report is not None:
            self.report.n_steps = n

        def way_back() -> Iterator[Action]:
            if taped:
                yield Reverse(n - taped, n)
            yield from schedule.unwind(n - taped, self._held)

        self._actions = way_back()

    def _advance_online(self, action: Advance, last: int) -> None:
        """Record as we go and keep the residuals of the last steps, for any step may turn out to be the last."""
        weighed, self._sliding = False, action.stop - action.start > last
        while self.position < action.stop and self.kernels.going(self.state, self.position):
            full = len(self._taped) >= last
            if full and not weighed:  # as many residuals as there will be: to weigh them at every step is quadratic
                self._weigh()
                weighed = True
            if full:  # there is one more step, so that the oldest is not among the last
                self._forget_oldest(len(self._taped) - last + 1)
            self._apply(Record(self.position, self.position + 1), weigh=False)
        self._sliding = False
        if not weighed:
            self._weigh()

    def _forget_oldest(self, n: int) -> None:
        """Let go of the oldest residuals, and of their states."""
        first = self.position - len(self._taped)
        for step in range(first, first + n):
            self._known.pop(step, None)
            if step not in self._held:
                self._swept.discard(step)
        del self._taped[:n]

    # --- six verbs ----------------------------------------------------------------------------------------------------
    def _apply(self, action: Action, *, weigh: bool = True) -> None:
        begin = perf_counter() if self.report is not None else 0.0
        match action:
            case Advance(start, stop):
                self.state, self.position = self.kernels.advance(self.state, start, stop)
            case Record(start, stop):
                before = self.state
                if self.check is not Check.OFF and (self._sliding or not self._taped):
                    self._note(start, before)  # the record of the step before must arrive here
                self.state, self.position, residuals = self.kernels.record(before, start, stop)
                self._taped += residuals
                if self._turned and self.position in self._known:
                    self._compare(before, start)
            case Reverse(start, stop):
                cut = len(self._taped) - (stop - start)
                residuals = self._taped[cut:]
                del self._taped[cut:]
                self._known.pop(stop, None)
                self.state = ()  # the next one is loaded: none but that at `start` is held meanwhile
                self.cts = self.kernels.reverse(self.cts, residuals, start, stop)
            case Save(step, tier):
                self._store(tier).put(step, self.state)
                self._held[step] = tier
                if not self._turned:
                    self._swept.add(step)
            case Load(step, tier):
                self.state = self._loaded(step, tier)
                self.position = step
            case Drop(step, tier):
                self._store(tier).drop(step)
                del self._held[step]
                if not self._turned and step not in self._known:
                    self._swept.discard(step)
        if self.report is not None:
            self._account(action, begin)
            if weigh and isinstance(action, Record | Save):
                self._weigh()

    def _store(self, tier: int) -> Store:
        if tier not in self.stores:
            raise PolicyError(f"the policy {self.schedule} uses the tier {tier!r}, for which there is no store")
        return self.stores[tier]

    def _loaded(self, step: int, tier: int) -> State:
        return tuple([leaf if leaf.ndim else leaf[()] for leaf in self._store(tier).get(step)])

    # --- replay by value ----------------------------------------------------------------------------------------------
    def _taped_all(self) -> bool:
        """Whether no step will be run again."""
        return len(self._taped) == self.n_steps

    def _note(self, step: int, state: State) -> None:
        """Keep what the state at a step is, to be compared: a reference is as good as a copy."""
        if not self._turned:
            self._swept.add(step)
        self._known[step] = state if self._small or self._whole(step) else sample(state, step)

    def _whole(self, step: int) -> bool:
        return self.check is Check.DIGEST and step in self._swept

    def _compare(self, before: State, start: int) -> None:
        """Compare the state that the steps from ``start`` on have arrived at with what it was the first time."""
        known, step = self._known[self.position], self.position
        whole = self._small or self._whole(step)
        found = first_difference(known, self.state) if whole else first_sampled_difference(known, self.state, step)
        if found is not None:
            cause: Any = ...
            try:
                cause = lockstep(self.kernels.advance, before, start, self.position)
                snapshot = max([step for step in self._held if step < start], default=start)
                if cause is None and snapshot < start:
                    state, stop, start = self._loaded(snapshot, self._held[snapshot]), start, snapshot
                    cause = lockstep(self.kernels.advance, state, start, stop)
            except Exception:  # whatever a step does that was to be run once more for the message only
                pass
            raise ReplayError(self._replay_error(Mismatch(self.position, found, start, cause)))

    # --- accounts -----------------------------------------------------------------------------------------------------
    def _spent(self, phase: str, begin: float) -> None:
        if self.report is not None:
            self.report.add_seconds(phase, perf_counter() - begin)

    def _account(self, action: Action, begin: float) -> None:
        report = self.report
        assert report is not None
        report.add_seconds(type(action).__name__.lower(), perf_counter() - begin)
        match action:
            case Advance(start, _):
                report.steps += self.position - start
            case Record(start, _):
                report.steps += self.position - start
                report.records += self.position - start
                if not report.residual_bytes and self._taped:
                    report.residual_bytes = self.kernels.residual_bytes(self._taped[-1:])
            case Save():
                report.saves += 1
            case Load():
                report.loads += 1

    def _weigh(self) -> None:
        """Note what snapshots and residuals take now, if somebody observes."""
        report = self.report
        if report is None:
            return
        taped = self.kernels.residual_bytes(self._taped)
        report.peak_residual_bytes = max(report.peak_residual_bytes, taped)
        saved = sum(store.n_bytes for store in self.stores.values())
        report.peak_snapshot_bytes = max(report.peak_snapshot_bytes, saved)
        report.peak_bytes = max(report.peak_bytes, saved + taped)


def online(schedule: Schedule) -> OnlineSchedule:
    """The schedule, if it need not know the number of steps; PolicyError otherwise."""
    if not isinstance(schedule, OnlineSchedule):
        raise PolicyError(
            f"the policy {schedule} must know the number of steps, and a while loop does not. Use Online(slots), "
            "'every-k' or 'none', or fori_loop with a known number of steps."
        )
    return schedule


def _kept(leaf: Any) -> Any:
    """What a leaf of the final state was: integers are handed out as plain arrays, which the user may write into."""
    return leaf if leaf.dtype.kind in "fc" else np.array(leaf)[()]

"""The words of checkpoint_schedules, checked on integers, from the docstrings of that package.

A snapshot serves the steps of the Forward that wrote it. What is in RAM or on disk must be brought to WORK before it
is used. Nothing else is in WORK when the forward runs or data is read: what is there is to be reversed first.
"""

from collections import Counter
from dataclasses import dataclass, field

import checkpoint_schedules as cs

RAM, DISK, WORK, NONE = cs.StorageType.RAM, cs.StorageType.DISK, cs.StorageType.WORK, cs.StorageType.NONE


@dataclass
class Tally:
    """What a run took: evaluations of the step, and per storage writes of states, reads of states, peak entries."""

    steps: int = 0
    writes: Counter = field(default_factory=Counter)
    reads: Counter = field(default_factory=Counter)
    peak: Counter = field(default_factory=Counter)


def run(schedule: cs.CheckpointSchedule, n: int, *, leaves: bool = False) -> Tally:
    """Carry out a schedule; an AssertionError if it breaks a rule. `leaves`: it may leave snapshots behind."""
    tally = Tally()
    position, served, adjoint, turned = 0, range(n), 0, False
    data: set[int] = set()  # residuals in WORK
    stored = {RAM: {}, DISK: {}}  # per storage and step: the steps that the state serves, or None; the residuals

    for action in schedule:
        match action:
            case cs.Forward():
                assert not data
                assert position == action.n0 < action.n1
                stop = min(action.n1, n)
                if schedule.max_n is not None:
                    assert action.n1 <= n - adjoint
                steps = range(action.n0, stop)
                assert steps.start in served
                assert steps[-1] in served
                residuals = set(steps) if action.write_adj_deps else set()
                if action.storage in stored:
                    assert action.write_ics or action.write_adj_deps
                    assert action.n0 not in stored[action.storage]
                    stored[action.storage][action.n0] = (steps if action.write_ics else None, residuals)
                    tally.writes[action.storage] += action.write_ics
                    tally.peak[action.storage] = max(tally.peak[action.storage], len(stored[action.storage]))
                else:
                    assert action.storage == WORK
                    assert not action.write_ics
                    data = residuals
                position = stop
                tally.steps += len(steps)
                if schedule.max_n is None and stop == n:
                    schedule.finalize(n)
            case cs.Copy() | cs.Move():
                assert not data
                assert action.n in stored[action.from_storage]
                state, residuals = stored[action.from_storage][action.n]
                if isinstance(action, cs.Move):
                    del stored[action.from_storage][action.n]
                if action.to_storage in stored:
                    assert action.n not in stored[action.to_storage]
                    stored[action.to_storage][action.n] = state, residuals
                    tally.writes[action.to_storage] += 1
                    size = len(stored[action.to_storage])
                    tally.peak[action.to_storage] = max(tally.peak[action.to_storage], size)
                elif action.to_storage == WORK:
                    assert action.n < n - adjoint
                    data = set(residuals)
                    position, served = (None, range(0)) if state is None else (action.n, state)
                    tally.reads[action.from_storage] += state is not None
                else:
                    assert action.to_storage == NONE
                    assert isinstance(action, cs.Move)
            case cs.Reverse():
                assert turned
                assert action.n1 == n - adjoint
                assert action.n0 < action.n1
                assert data >= set(range(action.n0, action.n1))
                adjoint = n - action.n0
                if action.clear_adj_deps:
                    data = set()
            case cs.EndForward():
                assert not turned
                assert position == n == schedule.max_n
                turned = True
            case cs.EndReverse():
                assert turned
                assert adjoint == n
                assert not data
                assert leaves or not any(stored.values())
                return tally
            case _:
                raise AssertionError(action)
        if position is not None and schedule.max_n is not None:
            assert schedule.n == position
        assert schedule.r == adjoint
    raise AssertionError("it ended without EndReverse")

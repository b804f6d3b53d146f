"""pyrevolve around steps and adjoints by hand in Numba: it brings the schedule, and records nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.problems.problem import Problem
from benchmarks.rivals.rival import Gradient, Rival

SLOTS = 30


def revolved(problem: Problem, slots: int) -> tuple[Gradient, dict[str, int]]:
    """The gradient with so many snapshots, and a dict that holds the steps that were run forwards."""
    import pyrevolve

    from benchmarks.rivals.hand import PARTS

    n, run = problem.n_steps, {"steps": 0}
    parts = PARTS[problem.name](problem)
    ahead, last, reverse = parts.functions

    class State(pyrevolve.Checkpoint):  # type: ignore[misc]
        """The live state as pyrevolve copies it."""

        def __init__(self, array: np.ndarray) -> None:
            self.array = array

        @property
        def dtype(self) -> Any:
            return np.float64

        @property
        def size(self) -> int:
            return self.array.size

        def get_data(self, timestep: int) -> list[np.ndarray]:
            return [self.array]

        def get_data_location(self, timestep: int) -> list[np.ndarray]:
            return [self.array]

    class Forward(pyrevolve.Operator):  # type: ignore[misc]
        def __init__(self, state: State) -> None:
            self.state, self.before, self.seen, self.value = state, np.empty_like(state.array), 0, 0.0

        def apply(self, t_start: int, t_end: int, **_: Any) -> None:
            for k in range(t_start, t_end):
                self.before[...] = self.state.array
                term = ahead(k, self.state.array, self.before, parts.data)
                self.value += term if k >= self.seen else 0.0
                self.seen = max(self.seen, k + 1)
            run["steps"] += t_end - t_start

    class Reverse(pyrevolve.Operator):  # type: ignore[misc]
        def __init__(self, forward: Forward) -> None:
            self.forward, self.ct, self.spare = forward, *np.zeros((2, *parts.start.shape))

        def apply(self, t_start: int, t_end: int, **_: Any) -> None:
            reverse(t_start, self.ct, self.spare, self.forward.before, parts.data, parts.sums)
            self.ct, self.spare = self.spare, self.ct

    def gradient() -> tuple[Any, ...]:
        run["steps"] = 0
        for total in parts.sums:
            total[...] = 0
        state = State(np.array(parts.start))
        forward = Forward(state)
        back = Reverse(forward)
        revolver = pyrevolve.MemoryRevolver(state, forward, back, min(slots, n - 1), n)
        revolver.apply_forward()
        value = forward.value + last(state.array, back.ct, parts.data)
        revolver.apply_reverse()
        return value, *(np.array(part) for part in parts.gradient(back.ct, parts.sums))

    return gradient, run


def _make(problem: Problem, label: str) -> Any:
    return lambda: revolved(problem, SLOTS)[0]


PYREVOLVE = Rival("pyrevolve, adjoint by hand", ("pyrevolve", "numba"), lambda n: (f"{SLOTS} checkpoints",), _make)

"""The three problems with their adjoints written by hand in NumPy, for tools that bring no differentiation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from benchmarks.study_problems import COURANT, DT, Problem, lorenz_flow

State = tuple[Any, ...]


class ByHand(ABC):
    """A step and its adjoint; ``before`` is the state at the start of the step that was run last."""

    start: State
    before: State
    cts: State

    def __init__(self, problem: Problem) -> None:
        self.parameters = problem.parameters
        self.data = problem.constants

    @abstractmethod
    def advance(self, state: State) -> State:
        """The next state."""

    @abstractmethod
    def turn(self, state: State) -> None:
        """Set the cotangents at the last state."""

    @abstractmethod
    def reverse(self) -> None:
        """Carry the cotangents over the step that was run last."""

    @abstractmethod
    def gradient(self) -> tuple[np.ndarray, ...]:
        """The gradient, when all steps are reversed."""


class Lorenz(ByHand):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.start = problem.parameters[0], np.zeros(1)  # pyrevolve has no room for arrays without axes
        self.ct_rates = np.zeros(3)

    def stages(self, u: Any) -> tuple[list[Any], list[Any]]:
        points, slopes = [u], [lorenz_flow(u, *self.parameters[1])]
        for h in (DT / 2, DT / 2, DT):
            points.append(u + h * slopes[-1])
            slopes.append(lorenz_flow(points[-1], *self.parameters[1]))
        return points, slopes

    def advance(self, state: State) -> State:
        u, total = state
        _, (k1, k2, k3, k4) = self.stages(u)
        u = u + DT / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return u, total + DT * np.sum((u - self.data["target"]) ** 2)

    def turn(self, state: State) -> None:
        self.cts = np.zeros(3), 1.0

    def flow_adjoint(self, u: Any, ct: Any) -> Any:
        (sigma, rho, beta), (x, y, z), (a, b, c) = self.parameters[1], u, ct
        self.ct_rates += (a * (y - x), b * x, -c * z)
        return np.array([-a * sigma + b * (rho - z) + c * y, a * sigma - b + c * x, -b * x - c * beta])

    def reverse(self) -> None:
        u = self.before[0]
        points, (k1, k2, k3, k4) = self.stages(u)
        after = u + DT / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        ct = self.cts[0] + self.cts[1] * DT * 2 * (after - self.data["target"])
        total, back = ct, np.zeros(3)
        for point, weight, h in zip(points[::-1], (1, 2, 2, 1), (DT, DT / 2, DT / 2, 0.0), strict=True):
            back = self.flow_adjoint(point, DT / 6 * weight * ct + back)
            total = total + back
            back = h * back
        self.cts = total, self.cts[1]

    def gradient(self) -> tuple[np.ndarray, ...]:
        return self.cts[0], self.ct_rates


class Wave(ByHand):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.start = self.data["pulse"], self.data["pulse"]
        self.inside = COURANT * problem.parameters[0][1:-1, 1:-1]
        self.factor = self.inside**2
        self.ct_factor = np.zeros_like(self.factor)

    @staticmethod
    def stencil(now: Any) -> Any:
        return now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2] - 4 * now[1:-1, 1:-1]

    def advance(self, state: State) -> State:
        before, now = state
        after = 2 * now - before
        after[1:-1, 1:-1] += self.factor * self.stencil(now)
        return now, after

    def turn(self, state: State) -> None:
        last = state[1]
        self.cts = np.zeros_like(last), 2 * (last - self.data["target"]) / last.size

    def reverse(self) -> None:
        ct_now, ct_after = self.cts
        inside = ct_after[1:-1, 1:-1]
        self.ct_factor += inside * self.stencil(self.before[1])
        spread = self.factor * inside
        back = ct_now + 2 * ct_after
        back[2:, 1:-1] += spread
        back[:-2, 1:-1] += spread
        back[1:-1, 2:] += spread
        back[1:-1, :-2] += spread
        back[1:-1, 1:-1] -= 4 * spread
        self.cts = -ct_after, back

    def gradient(self) -> tuple[np.ndarray, ...]:
        found = np.zeros_like(self.parameters[0])
        found[1:-1, 1:-1] = self.ct_factor * 2 * self.inside * COURANT
        return (found,)


class Network(ByHand):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.weights, self.bias, h = problem.parameters
        self.start = (h,)
        self.ct_weights, self.ct_bias = np.zeros_like(self.weights), np.zeros_like(self.bias)

    def advance(self, state: State) -> State:
        self.after = np.tanh(self.weights @ state[0] + self.bias)
        return (self.after,)

    def turn(self, state: State) -> None:
        self.cts = (2 * (state[0] - self.data["target"]),)

    def reverse(self) -> None:
        ct = self.cts[0] * (1 - self.after**2)
        self.ct_bias += ct
        self.ct_weights += ct[:, None] * self.before[0]
        self.cts = (self.weights.T @ ct,)

    def gradient(self) -> tuple[np.ndarray, ...]:
        return self.ct_weights, self.ct_bias, self.cts[0]


def by_hand(problem: Problem) -> ByHand:
    """The problem with its adjoint."""
    return {"lorenz": Lorenz, "wave": Wave, "network": Network}[problem.name](problem)

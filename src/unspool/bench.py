"""A small study of memory against time on this machine: one wave field, one gradient under each of several policies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from unspool.diagnostics.report import Log, observe
from unspool.loops import fori_loop
from unspool.observers import LoopReport
from unspool.planner import Plan
from unspool.schedules import Every, Revolve, StoreAll
from unspool.transforms import value_and_grad

COURANT = 0.4
"""Time step over grid spacing."""


@dataclass(frozen=True, slots=True)
class Study:
    """Reports and seconds of the gradient under each policy, whether all bits agree, and the plan of "auto"."""

    title: str
    log: Log
    seconds: tuple[float, ...]
    bitwise_equal: bool
    plan: Plan

    @property
    def names(self) -> list[str]:
        """The policies; "auto" comes last."""
        return [str(report.policy) for report in self.log[:-1]] + [f"auto: {self.log[-1].policy}"]


def wave(n_steps: int, size: int, **how: Any) -> tuple[Callable[[Any], Any], np.ndarray]:
    """The misfit of a 2-D wave after n steps as a function of the velocity f64[size, size], and a velocity.

    Leapfrog with a stencil of five points and a fixed border; all numbers are given by formulas.
    """
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    pulse = np.exp(-((x - 0.4) ** 2 + (y - 0.5) ** 2) / 0.01)
    target = 0.1 * np.sin(3 * x) * np.sin(2 * y)

    def loss(velocity: Any) -> Any:
        factor = (COURANT * velocity[1:-1, 1:-1]) ** 2

        def step(i: int, fields: Any) -> Any:
            before, now = fields
            after = 2 * now - before
            after[1:-1, 1:-1] += factor * (
                now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2] - 4 * now[1:-1, 1:-1]
            )
            return now, after

        _, last = fori_loop(0, n_steps, step, (pulse, pulse), **how)
        return np.mean((last - target) ** 2)

    return loss, 1 + 0.2 * x


def study(*, n_steps: int, size: int, rounds: int, memory: int | None = None, compiled: bool = False) -> Study:
    """The gradient of the wave under classical policies, and under "auto" in `memory`, the medians of some rounds.

    Without `memory`, "auto" gets a tenth of what storing everything takes. UnspoolError where nothing fits or compiles.
    """
    root = isqrt(n_steps)
    slots = sorted({max(2, root), 10, 5}, reverse=True)
    policies = [StoreAll(), Every(max(1, root)), *map(Revolve, slots)]
    compiling: bool | str = True if compiled else "auto"
    ways: list[dict[str, Any]] = [{"policy": policy, "compile": compiling} for policy in policies]
    everything, first = _gradient(n_steps, size, ways[0])
    if memory is None:
        memory = max(everything.peak_bytes // 10, 2 * (everything.state_bytes + everything.residual_bytes))
    ways.append({"policy": "auto", "memory": memory, "compile": compiling})
    seconds: list[list[float]] = [[] for _ in ways]
    log, equal = Log(), True
    for _ in range(rounds):  # in turn, so that noise hits all alike
        log.clear()
        for times, how in zip(seconds, ways, strict=True):
            begin = perf_counter()
            report, gradient = _gradient(n_steps, size, how)
            times.append(perf_counter() - begin)
            log.append(report)
            equal = equal and np.array_equal(first, gradient)
    plan = log[-1].plan
    assert plan is not None
    title = f"2-D wave, {size} × {size}, {n_steps:,} leapfrog steps, gradient in the velocity"
    return Study(title, log, tuple(map(median, seconds)), equal, plan)


def _gradient(n_steps: int, size: int, how: dict[str, Any]) -> tuple[LoopReport, np.ndarray]:
    loss, velocity = wave(n_steps, size, **how)
    with observe() as log:
        _, gradient = value_and_grad(loss)(velocity)
    return log[0], gradient

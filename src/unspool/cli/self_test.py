"""Gradients of a small simulation that must agree: by the tape, by the complex step, compiled, in a budget."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from unspool.diagnostics.report import observe
from unspool.loops import fori_loop
from unspool.schedules import StoreAll
from unspool.transforms import value_and_grad

N_STEPS = 400
START = np.array([0.7, -0.2])
APART = 1e-12
"""How far gradients that were computed in different ways may be apart, relative to the largest entry."""


def pendulum(start: Any, **how: Any) -> Any:
    """The mean of squares of the angle of a pendulum with friction, over N_STEPS of the midpoint rule."""
    stack = np.stack

    def flow(u: Any) -> Any:
        return stack([u[1], -np.sin(u[0]) - 0.1 * u[1]])

    def step(i: int, carried: Any) -> Any:
        u, total = carried
        u = u + 0.02 * flow(u + 0.01 * flow(u))
        return u, total + u[0] ** 2 / N_STEPS

    return fori_loop(0, N_STEPS, step, (start, 0.0 * start[0]), **how)[1]


def self_test() -> list[dict[str, Any]]:
    """The checks: name, whether it passed, seconds, and in words what was found."""
    checks: list[Callable[[], tuple[bool, str]]] = [tape_and_complex_step, compiled_and_tape, in_a_budget]
    found = []
    for check in checks:
        begin = perf_counter()
        try:
            passed, told = check()
        except Exception as error:  # whatever is broken here is what was to be found
            passed, told = False, f"{type(error).__name__}: {' '.join(str(error).split())}"
        name = check.__name__.replace("_", " ")
        found.append({"name": name, "passed": passed, "seconds": perf_counter() - begin, "told": told})
    return found


def tape_and_complex_step() -> tuple[bool, str]:
    """The gradient by the tape beside the complex step [SquireTrapp1998]."""
    taped = _gradient(policy=StoreAll(), compile=False)
    stepped = np.array([pendulum(START + 1e-30j * e).imag / 1e-30 for e in np.eye(2)])
    return _compared(taped, stepped)


def compiled_and_tape() -> tuple[bool, str]:
    """The gradient by machine code beside the tape."""
    return _compared(_gradient(policy=StoreAll(), compile=True), _gradient(policy=StoreAll(), compile=False))


def in_a_budget() -> tuple[bool, str]:
    """The gradient in a tenth of the memory: the same bits, and no more bytes than were predicted and allowed."""
    with observe() as log:
        everything = _gradient(policy=StoreAll(), compile=False)
        budget = log[0].peak_bytes // 10
        bounded = _gradient(policy="auto", memory=budget, compile=False)
    report = log[1]
    same = np.array_equal(everything, bounded)
    held = report.peak_bytes <= report.predicted_peak_bytes <= budget
    bits = "the same bits" if same else "OTHER BITS"
    return same and held, (
        f"{report.peak_bytes:,} bytes held, {report.predicted_peak_bytes:,} predicted, {budget:,} allowed; {bits}"
    )


def _gradient(**how: Any) -> np.ndarray:
    gradient: np.ndarray = value_and_grad(lambda start: pendulum(start, **how))(START)[1]
    return gradient


def _compared(ours: np.ndarray, theirs: np.ndarray) -> tuple[bool, str]:
    apart = float(np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs)))
    return apart <= APART, f"apart by {apart:.1e} (allowed {APART:.0e})"

"""JAX: one scan, with a checkpoint around the step, or scans of scans; the loop of equinox with 30 checkpoints.

The step is written in the first of the ways in ``xla.py``; the yardstick tries them all.
"""

from __future__ import annotations

from typing import Any

from benchmarks.problems.problem import Problem
from benchmarks.rivals.rival import Rival

CHECKPOINTS = 30


def scans(n: int) -> tuple[str, ...]:
    """What a scan may keep, in the words of ``xla.scans``."""
    return ("scan", "scan, checkpoint", *((f"scans of {round(n**0.5)}, checkpoint",) if n > 100 else ()))


def make(problem: Problem, label: str) -> Any:
    """A program, compiled when it is first run."""
    from benchmarks.rivals import xla

    jax, models = xla.models_of(problem, **problem.options)
    run = xla.scans(jax, problem.n_steps, small=False)[label]
    gradient = xla.compiled(jax, problem, next(iter(models.values())), run)
    return lambda: gradient


def make_equinox(problem: Problem, label: str) -> Any:
    """The same step in equinox's loop."""
    from benchmarks.rivals import xla

    gradient = xla.equinox(problem, checkpoints=CHECKPOINTS, **problem.options)
    return lambda: gradient


JAX = Rival("JAX", ("jax", "jaxlib"), scans, make, knows_steps=True)
EQUINOX = Rival(
    "equinox",
    ("equinox", "jax", "jaxlib"),
    lambda n: (f"{CHECKPOINTS} checkpoints",),
    make_equinox,
    knows_steps=True,
)

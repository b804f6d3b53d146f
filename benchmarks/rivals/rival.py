"""What a rival is: a way to a gradient, under some labels, by a package that is imported when it is measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.problems.problem import Problem

Gradient = Callable[[], tuple[Any, ...]]
"""Returns the value and the gradient in each parameter."""


@dataclass(frozen=True)
class Rival:
    """A tool: the packages that it needs, what it can be set to for n steps, and how a gradient is made of a problem.

    ``make(problem, label)`` returns a function that returns a gradient: what is compiled is shared, buffers are new.
    """

    title: str
    packages: tuple[str, ...]
    labels: Callable[[int], tuple[str, ...]]
    make: Callable[[Problem, str], Callable[[], Gradient]]
    differentiates: bool = True


def root(n: int) -> int:
    """The length of segments at which as many states are held as steps are recorded."""
    return math.isqrt(n - 1) + 1


def policies(n: int) -> dict[str, tuple[int, int]]:
    """Names of policies for n steps with slots and leaf of Revolve(slots, leaf), which each of them is."""
    found = {"none": (1, n), f"every-{root(n)}": (-(-n // root(n)), root(n))}
    return found | ({"revolve-30": (30, 1)} if n > 30 else {})

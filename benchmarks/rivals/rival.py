"""What a rival is: a way to a gradient, under some labels, by a package that is imported when it is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.problems import root
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
    knows_steps: bool = False
    """Is compiled for a number of steps, so that fewer of them prepare nothing."""


def policies(n: int) -> tuple[str, ...]:
    """Names of policies for n steps."""
    return ("none", f"every-{root(n)}", *(("revolve-30",) if n > 30 else ()))


def slots_and_leaf(policy: str, n: int) -> tuple[int, int]:
    """Of the Revolve(slots, leaf) that a policy is for n steps."""
    kind, _, number = policy.partition("-")
    if kind == "none":
        return 1, n
    return (-(-n // int(number)), int(number)) if kind == "every" else (int(number), 1)

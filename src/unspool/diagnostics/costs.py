"""The cost of a Jacobian: one sweep per input in forward mode, one per result in reverse mode, and where they meet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import exp, log, prod
from typing import Any

import numpy as np

from unspool.diagnostics.counting import n_operations, seconds
from unspool.diagnostics.picture import Picture
from unspool.errors import InputError
from unspool.matrices import jacobian
from unspool.table import Table


@dataclass(frozen=True, slots=True)
class JacobianCost:
    """What the Jacobian of one function of ``n`` inputs and ``m`` results takes in both modes."""

    n: int
    m: int
    forward_operations: int
    reverse_operations: int
    forward_seconds: float
    reverse_seconds: float


@dataclass(frozen=True, slots=True)
class JacobianCosts(Picture):
    """The costs for all sizes; ``crossover`` says from how many results on forward mode is the cheaper one."""

    costs: tuple[JacobianCost, ...]

    def crossover(self, n: int, by: str = "operations") -> float | None:
        """The number of results at which both modes cost the same, for ``n`` inputs; ``by`` "operations" or "seconds".

        Interpolated between the sizes that were measured; None where one mode is the cheaper one at all of them.
        """
        if by not in ("operations", "seconds"):
            raise InputError(f'by={by!r}: costs are compared by "operations" or by "seconds"')
        row = sorted([c for c in self.costs if c.n == n], key=lambda c: c.m)
        if not row:
            raise InputError(f"no costs for n={n}; there are costs for {sorted({c.n for c in self.costs})}")
        ratios = [log(getattr(c, f"reverse_{by}") / getattr(c, f"forward_{by}")) for c in row]
        for (one, low), (other, high) in zip(
            zip(row, ratios, strict=True), zip(row[1:], ratios[1:], strict=True), strict=False
        ):
            if low <= 0 < high:
                part = -low / (high - low)
                return exp(log(one.m) + part * log(other.m / one.m))
        return None

    @property
    def table(self) -> Table:
        """A line for each size: operations and seconds in both modes, and the cheaper one."""
        head = ("n", "m", "forward operations", "reverse operations", "forward s", "reverse s", "cheaper")
        rows = [
            (
                str(c.n),
                str(c.m),
                f"{c.forward_operations:,}",
                f"{c.reverse_operations:,}",
                f"{c.forward_seconds:.2e}",
                f"{c.reverse_seconds:.2e}",
                "forward" if c.forward_seconds <= c.reverse_seconds else "reverse",
            )
            for c in self.costs
        ]
        return Table(head, tuple(rows), "Jacobians of n inputs and m results:", left=())

    def __str__(self) -> str:
        lines = [str(self.table)]
        for n in sorted({c.n for c in self.costs}):
            found = [(by, self.crossover(n, by)) for by in ("operations", "seconds")]
            words = [f"m = {m:.3g} by {by}" for by, m in found if m is not None]
            if words:
                lines.append(f"n = {n}: both modes cost the same at {', '.join(words)}")
        return "\n".join(lines)

    def draw(self, figure: Any) -> None:
        """Draw the seconds of both modes against the number of results, one pair of lines for each number of inputs."""
        axes = figure.subplots()
        for k, n in enumerate(sorted({c.n for c in self.costs})):
            row = sorted([c for c in self.costs if c.n == n], key=lambda c: c.m)
            m, colour = [c.m for c in row], ("#0072b2", "#d55e00", "#007a5e", "#cc79a7", "#333333")[k % 5]
            axes.loglog(m, [c.forward_seconds for c in row], "--", color=colour, label=f"forward mode, n = {n}")
            axes.loglog(m, [c.reverse_seconds for c in row], "-", color=colour, label=f"reverse mode, n = {n}")
            meet = self.crossover(n, "seconds")
            if meet is not None:
                axes.axvline(meet, color=colour, linewidth=0.8, linestyle=":")
        axes.set(xlabel="m, the number of results", ylabel="seconds for one Jacobian")
        axes.grid(visible=True, alpha=0.3)
        axes.legend()


def jacobian_costs(
    make: Callable[[int, int], tuple[Callable[[Any], Any], Any]], *, n: Iterable[int], m: Iterable[int]
) -> JacobianCosts:
    """Measure the Jacobian of functions of all these sizes in forward and in reverse mode.

    ``make(n, m)`` returns a function with ``m`` numbers as its result, and the array of ``n`` numbers to differentiate
    it at. Operations are counted (one on arrays counts once); seconds are measured here and now. The time of all of it
    is about a tenth of a second per size, and more where the Jacobians take long.

    >>> def make(n, m):
    ...     matrix = np.ones((m, n)) / n
    ...     return (lambda x: np.tanh(matrix @ x)), np.ones(n)
    >>> costs = jacobian_costs(make, n=[4], m=[1, 16])
    >>> [(c.forward_operations, c.reverse_operations) for c in costs.costs]
    [(22, 8), (22, 68)]
    """
    costs = []
    ms = tuple(m)
    for n_inputs in n:
        for n_results in ms:
            f, x = make(n_inputs, n_results)
            found = np.size(x), prod(np.shape(f(np.array(x))))
            if found != (n_inputs, n_results):
                raise InputError(
                    f"make({n_inputs}, {n_results}) made a function of {found[0]} numbers with {found[1]} results; "
                    "its sizes must be those that it was asked for"
                )
            forward, reverse = jacobian(f, mode="forward"), jacobian(f, mode="reverse")
            costs.append(
                JacobianCost(
                    n_inputs,
                    n_results,
                    n_operations(forward, x),
                    n_operations(reverse, x),
                    seconds(lambda g=forward, x=x: g(x)),  # type: ignore[misc]
                    seconds(lambda g=reverse, x=x: g(x)),  # type: ignore[misc]
                )
            )
    return JacobianCosts(tuple(costs))

"""The Taylor test: how fast what a gradient does not explain vanishes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isnan, log, nan
from typing import Any

import numpy as np

from unspool.errors import InputError
from unspool.table import Table
from unspool.testing.vectors import moved, norm, pairing, precision, random_like
from unspool.transforms import value_and_grad

RIGHT = 1.7
"""From this order on a remainder counts as one of second order."""

_ROUNDING = 100
"""Remainders of less than so many units in the last place of the function are noise."""


@dataclass(frozen=True, slots=True)
class TaylorTable:
    """Remainders of f(x + h v) without and with the gradient, level by level.

    ``first[k]`` is ``|f(x + h v) - f(x)|``, ``second[k]`` is ``|f(x + h v) - f(x) - h <gradient, v>|``; they fall
    as h and h² where the gradient is right. Remainders below ``noise`` say nothing.
    """

    h: tuple[float, ...]
    first: tuple[float, ...]
    second: tuple[float, ...]
    slope: float
    noise: float

    @property
    def first_orders(self) -> tuple[float, ...]:
        """The observed order from each level to the next, without the gradient; NaN where only noise is left."""
        return self._orders(self.first)

    @property
    def second_orders(self) -> tuple[float, ...]:
        """The observed order from each level to the next, with the gradient; NaN where only noise is left."""
        return self._orders(self.second)

    @property
    def order(self) -> float:
        """The order of the remainder at the smallest h that noise leaves; infinite where none is left at all."""
        if all(remainder <= self.noise for remainder in self.second):
            return float("inf")
        seen = [order for order in self.second_orders if not isnan(order)]
        return float(np.median(seen[-3:])) if seen else nan

    @property
    def passed(self) -> bool:
        """Whether the remainder is of second order, or nothing but noise."""
        return self.order > RIGHT

    def _orders(self, remainders: Sequence[float]) -> tuple[float, ...]:
        levels = pairwise(zip(self.h, remainders, strict=True))
        return tuple(
            [
                log(r / s) / log(h / i) if min(r, s) > self.noise and np.isfinite([r, s]).all() else nan
                for (h, r), (i, s) in levels
            ]
        )

    def rows(self) -> list[tuple[str, ...]]:
        """The table as text, its head first."""
        found: list[tuple[str, ...]] = [("h", "without gradient", "order", "with gradient", "order")]
        orders = zip((nan, *self.first_orders), (nan, *self.second_orders), strict=True)
        for h, r, s, (p, q) in zip(self.h, self.first, self.second, orders, strict=True):
            found.append((f"{h:.1e}", f"{r:.3e}", _order(p), f"{s:.3e}", _order(q)))
        return found

    @property
    def verdict(self) -> str:
        """What the table says, in a sentence."""
        if self.order == float("inf"):
            return "The gradient explains f to the last digits."
        if self.passed:
            return f"The remainder with the gradient is of order {self.order:.2f}: the gradient is right."
        return (
            f"The remainder with the gradient is of order {self.order:.2f} and should be of order 2: the gradient is "
            "wrong, or f has a kink or noise here, or every h is too large. check_grads names the primitive."
        )

    def __str__(self) -> str:
        return str(self._table())

    def _repr_html_(self) -> str:
        return self._table()._repr_html_()

    def _table(self) -> Table:
        head, *rows = self.rows()
        return Table(head, tuple(rows), note=self.verdict, left=())


def _order(order: float) -> str:
    return "" if isnan(order) else f"{order:.2f}"


def taylor_test(
    f: Callable[[Any], Any], x: Any, v: Any = None, *, levels: int | Sequence[float] = 6, seed: int = 0
) -> TaylorTable:
    """Compare f(x + h v) with f(x) and with f(x) + h <gradient, v> for smaller and smaller h.

    ``f`` returns one real number. ``v`` is a direction with the structure and shapes of ``x``; a random one, as long as
    ``x``, where it is left out. ``levels`` is the number of values of h, which are halved from 0.01, or the values
    themselves, falling. Costs one gradient and one evaluation per level.

    >>> import numpy as np
    >>> table = taylor_test(lambda u: np.sum(np.exp(u)), np.array([0.5, -1.0]), np.array([1.0, 2.0]), levels=3)
    >>> print(table)
          h  without gradient  order  with gradient  order
    1.0e-02         2.400e-02             1.568e-04
    5.0e-03         1.196e-02   1.00      3.910e-05   2.00
    2.5e-03         5.971e-03   1.00      9.763e-06   2.00
    The remainder with the gradient is of order 2.00: the gradient is right.
    """
    value, gradient = value_and_grad(f)(x)
    if v is None:
        v = random_like(x, np.random.default_rng(seed))
        v = moved(v, v, (norm(x) or 1.0) / (norm(v) or 1.0) - 1.0)
    return remainders(
        lambda h: f(moved(x, v, h)), float(value), pairing(gradient, v), levels=as_levels(levels), eps=precision(x)
    )


def as_levels(levels: int | Sequence[float]) -> tuple[float, ...]:
    """The values of h: as given, or so many, halved from 0.01."""
    h = tuple(0.01 * 0.5**k for k in range(levels)) if isinstance(levels, int) else tuple(map(float, levels))
    if len(h) < 2 or any(not 0 < small < large for large, small in pairwise(h)):
        raise InputError(
            f"levels={levels!r}: give a number of levels from 2 on, or values of h that fall and are positive"
        )
    return h


def remainders(
    along: Callable[[float], Any], value: float, slope: float, *, levels: Sequence[float], eps: float
) -> TaylorTable:
    """The table of a function of h whose value and slope at 0 are known."""
    values = [float(along(h)) for h in levels]
    first = tuple([abs(moved - value) for moved in values])
    second = tuple([abs(moved - value - h * slope) for moved, h in zip(values, levels, strict=True)])
    noise = _ROUNDING * eps * max(map(abs, [value, *values]))
    return TaylorTable(tuple(levels), first, second, slope, noise)

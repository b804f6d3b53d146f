"""How fast the cotangent grows on its way back: the warning that the gradient of a chaotic system means nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import expm1, inf, isnan, log, log10, nan
from typing import Any

import numpy as np

from unspool.custom import custom_vjp
from unspool.loop_inputs import Policy
from unspool.loops import fori_loop
from unspool.table import preformatted
from unspool.testing.vectors import is_float, moved, norm, precision
from unspool.transforms import vjp
from unspool.tree import flatten, map_leaves

_ROWS = 11


@dataclass(frozen=True, slots=True, eq=False)
class AdjointGrowth:
    """Norms of the cotangent of the state: ``norms[k]`` before step k, ``norms[n]`` where the loss seeds it.

    ``rate`` is the growth of its logarithm per step on the way back, by least squares; for a chaotic system it is the
    largest Lyapunov exponent times the time step.
    """

    norms: np.ndarray
    rate: float
    eps: float

    @property
    def n_steps(self) -> int:
        """How many steps the cotangent was carried back."""
        return len(self.norms) - 1

    @property
    def horizon_steps(self) -> float:
        """After how many steps one unit in the last place has grown to 1; infinite where nothing grows."""
        return -log(self.eps) / self.rate if self.rate > 0 else inf

    @property
    def meaningful(self) -> bool:
        """Whether the digits of the state outlast the growth over these steps."""
        return bool(np.isfinite(self.norms).all()) and not self.n_steps > self.horizon_steps

    @property
    def verdict(self) -> str:
        """What the rate means, in a sentence."""
        n = self.n_steps
        if isnan(self.rate):
            return "The cotangent is zero, or not finite, from the first step back: there is no rate."
        per_step = (
            f"The cotangent {'grows' if self.rate > 0 else 'shrinks'} by {abs(expm1(self.rate)):.2%} per step back"
        )
        if not self.meaningful:
            return (
                f"{per_step}: after {self.horizon_steps:,.0f} steps the last digit of the state decides the first "
                f"one of the gradient. Over {n:,} steps it belongs to this one trajectory and says nothing about "
                "averages: the system is chaotic, or the scheme is unstable. Differentiate shorter windows (multiple "
                "shooting), or use shadowing or ensemble sensitivities."
            )
        if self.rate > 0:
            return (
                f"{per_step}: over {n:,} steps by {log10(np.e) * self.rate * n:.1f} of {-log10(self.eps):.0f} digits."
            )
        if self.rate < 0:
            return f"{per_step}: the gradient forgets what lies further back than {-5 / self.rate:,.0f} steps."
        return "The cotangent neither grows nor shrinks."

    def __str__(self) -> str:
        n = self.n_steps
        steps = sorted({round(k * n / (_ROWS - 1)) for k in range(_ROWS)}, reverse=True)
        lines = [f"{'step':>10}  |cotangent|"] + [f"{step:>10,}  {self.norms[step]:.3e}" for step in steps]
        return "\n".join([*lines, f"rate: {self.rate:+.6g} per step", self.verdict])

    def _repr_html_(self) -> str:
        return preformatted(str(self))


def adjoint_growth(
    step: Callable[[int, Any], Any], init: Any, n_steps: int, ct: Any = None, *, policy: Policy | None = None
) -> AdjointGrowth:
    """Carry a cotangent back through ``fori_loop(0, n_steps, step, init)``, and measure its norm before every step.

    ``ct`` is the cotangent of the final state, of its structure; ones of norm 1 where it is left out. One sweep and
    its way back under ``policy``, as any gradient of the loop has them, on the tape.

    >>> import numpy as np
    >>> growth = adjoint_growth(lambda i, u: 0.9 * u, np.ones(3), 50, policy="revolve-5")
    >>> round(growth.rate, 6) == round(float(np.log(0.9)), 6)
    True
    """
    norms = np.full(n_steps + 1, nan)

    @custom_vjp
    def passing(k: int, state: Any) -> Any:
        return state

    def note(k: int, ct: Any) -> tuple[None, Any]:
        norms[k] = norm(ct)
        return None, ct

    passing.defvjp(lambda k, state: (state, k), note)

    def noted(k: int, state: Any) -> Any:
        return step(k, passing(k, state))

    leaves, structure = flatten(init)
    moving = [k for k, leaf in enumerate(leaves) if is_float(leaf)]

    def run(floats: list[Any]) -> Any:
        here = dict(zip(moving, floats, strict=True))
        start = structure.unflatten([here.get(k, leaf) for k, leaf in enumerate(leaves)])
        return fori_loop(0, n_steps, noted, start, policy=policy, compile=False)

    final, pullback = vjp(run, [leaves[k] for k in moving])
    if ct is None:
        ones = map_leaves(lambda leaf: np.ones_like(leaf) if is_float(leaf) else np.zeros(np.shape(leaf)), final)
        ct = moved(ones, ones, 1.0 / (norm(ones) or 1.0) - 1.0)
    norms[n_steps] = norm(ct)
    with np.errstate(over="ignore", invalid="ignore"):
        pullback(ct)
    norms.setflags(write=False)
    return AdjointGrowth(norms, _rate(norms), precision(final))


def _rate(norms: np.ndarray) -> float:
    """The slope of the logarithms against the number of steps back, over those that are neither zero nor infinite."""
    back = np.arange(len(norms))[::-1]
    seen = np.isfinite(norms) & (norms > np.finfo(float).tiny)
    if np.count_nonzero(seen) < 2:
        return nan
    return float(np.polyfit(back[seen], np.log(norms[seen]), 1)[0])

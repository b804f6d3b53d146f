"""scipy.integrate.solve_ivp by an explicit method: the discrete adjoint.

SciPy's integrator runs first, on plain numbers, and chooses the steps. The same steps are then taken as a loop, under
a policy, whose derivative is that of the numbers that come out: exact to rounding, whatever the tolerance. The lengths
of the steps count as constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import scipy.integrate

from unspool.ir.listener import primal
from unspool.loops import scan

si: Any = scipy.integrate
METHODS: dict[str, Any] = {"RK23": si.RK23, "RK45": si.RK45, "DOP853": si.DOP853}


@dataclass(frozen=True, slots=True)
class Steps:
    """What the integrator has chosen: the times between which it stepped, and how its run ended."""

    times: np.ndarray
    status: int
    message: str | None
    n_calls: int


def chosen(method: Any, f: Callable[..., Any], t_span: Sequence[float], y0: np.ndarray, options: Any) -> Steps:
    """Run the integrator on plain numbers."""
    solver = method(f, t_span[0], y0, t_span[1], **options)
    times, message, status = [t_span[0]], None, 0
    while solver.status == "running":
        message = solver.step()
        if solver.status == "failed":
            status = -1
            break
        times.append(solver.t)
    return Steps(np.array(times, float), status, message, solver.nfev)


def integrated(method: Any, f: Callable[..., Any], times: Any, y0: Any, *, wanted: Any, **how: Any) -> Any:
    """The values at the beginning and after every step, or at the wanted times, one row each; times may be traced."""
    n_steps = times.shape[0] - 1
    widths = times[1:] - times[:-1]
    state = (y0, _as_like(f(times[0], y0), y0))
    if wanted is None:
        _, rows = scan(_step_of(method, f, times, widths, None), state, np.arange(n_steps), **how)
        return np.concatenate((y0[None], rows))
    fractions, counts, done = _places(times, wanted)
    parts = [np.broadcast_to(y0, (done, *y0.shape))] if done else []
    for size, run in groupby(range(n_steps), key=lambda k: _bucket(int(counts[k]))):
        steps = np.array(list(run))
        shares = np.zeros((n_steps, size), np.int64)
        used = np.arange(size) < counts[steps, None]
        shares[steps[:, None].repeat(size, 1)[used], np.nonzero(used)[1]] = done + np.arange(np.count_nonzero(used))
        done += int(np.count_nonzero(used))
        state, rows = scan(_step_of(method, f, times, widths, fractions[shares]), state, steps, **how)
        if size:
            parts.append(rows[used])
    return np.concatenate(parts)


def _bucket(count: int) -> int:
    """How many values a step puts out, of which some may not be used: 0, 1, 8, 64 …"""
    size = min(count, 1)
    while size < count:
        size *= 8
    return size


def _places(times: Any, wanted: Any) -> tuple[Any, np.ndarray, int]:
    """Where the wanted times lie within their steps, how many in each step, and how many at the very beginning."""
    plain, asked = (np.asarray(primal(v)) for v in (times, wanted))
    forward = 1.0 if plain[-1] >= plain[0] else -1.0
    number = np.searchsorted(forward * plain, forward * asked, side="left") - 1
    first = int(np.count_nonzero(number < 0))
    number = np.minimum(np.maximum(number, 0), len(plain) - 2)
    counts = np.bincount(number[first:], minlength=len(plain) - 1)
    return (wanted - times[number]) / (times[number + 1] - times[number]), counts, first


def _as_like(value: Any, like: Any) -> Any:
    value = value if hasattr(value, "dtype") else np.asarray(value)
    return value if value.dtype == like.dtype else np.astype(value, like.dtype)


# --- one step ---------------------------------------------------------------------------------------------------------
def _weighted(slopes: Sequence[Any], weights: Sequence[float]) -> Any:
    total: Any = 0.0
    for slope, weight in zip(slopes, weights, strict=False):
        if weight != 0.0:
            total = total + weight * slope
    return total


def _step_of(method: Any, f: Callable[..., Any], times: Any, widths: Any, fractions: Any) -> Callable[..., Any]:
    """A step of the loop; it puts out the values at these fractions of its width, or at its end."""

    def step(state: Any, k: Any) -> Any:
        y, slope = state
        t, h = times[k], widths[k]
        slopes = [slope]
        for row, c in zip(method.A[1 : method.n_stages], method.C[1 : method.n_stages], strict=True):
            slopes.append(_as_like(f(t + c * h, y + h * _weighted(slopes, row)), y))
        new = y + h * _weighted(slopes, method.B)
        slopes.append(_as_like(f(t + h, new), y))
        if fractions is None:
            return (new, slopes[-1]), new
        if fractions.shape[1] == 0:
            return (new, slopes[-1]), None
        dense = _of_order_seven if method is METHODS["DOP853"] else _of_low_order
        return (new, slopes[-1]), dense(method, f, (t, h), (y, new), slopes=slopes, x=fractions[k])

    return step


def _of_low_order(method: Any, f: Any, time: tuple[Any, Any], ends: tuple[Any, Any], *, slopes: Any, x: Any) -> Any:
    """The polynomial that SciPy interpolates with within a step."""
    _, h = time
    y = ends[0]
    column = x[:, None]
    total: Any = 0.0
    for power in range(method.P.shape[1] - 1, -1, -1):
        total = (total + _weighted(slopes, method.P[:, power])[None]) * column
    return y[None] + h * total


def _of_order_seven(method: Any, f: Any, time: tuple[Any, Any], ends: tuple[Any, Any], *, slopes: Any, x: Any) -> Any:
    (t, h), (y, new) = time, ends
    stages = list(slopes)
    for row, c in zip(method.A_EXTRA, method.C_EXTRA, strict=True):
        stages.append(_as_like(f(t + c * h, y + h * _weighted(stages, row)), y))
    change = new - y
    parts = [change, h * slopes[0] - change, 2 * change - h * (slopes[-1] + slopes[0])]
    parts += [h * _weighted(stages, row) for row in method.D]
    column, total = x[:, None], 0.0 * x[:, None] * y[None]
    for k, part in enumerate(reversed(parts)):
        total = (total + part[None]) * (column if k % 2 == 0 else 1 - column)
    return y[None] + total

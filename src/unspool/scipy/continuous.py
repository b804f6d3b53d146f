"""Integrators whose steps cannot be taken again (LSODA, BDF, Radau): the continuous adjoint.

The values are SciPy's. A tangent is integrated along with the values; a cotangent is integrated backwards along the
trajectory, which is interpolated from values that the integrator gives. Both solve differential equations of their own,
with the same method and tolerances, so that a derivative is as exact as the tolerances, and not more: that of the
equation, not of the numbers. Rules are flows again, and so differentiable in their turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.integrate

from unspool.errors import ReplayError, UnsupportedError
from unspool.ir.listener import primal, resolve
from unspool.ir.primitive import Primitive
from unspool.scipy.aside import carried_out, plainly
from unspool.transforms import jvp, vjp

si: Any = scipy.integrate
_FINER = 8  # points of a trajectory per step of the integrator: the error of cubics between them falls with its power 4
_APART = 100.0  # tolerances by which a trajectory that is integrated again may miss what it gave first


@dataclass(frozen=True, slots=True)
class How:
    """An integrator: its name, tolerances, and further keywords, which are those of the first sweep alone."""

    method: str  # of solve_ivp, or "odeint"
    rtol: float
    atol: Any
    options: tuple[tuple[str, Any], ...] = ()

    def again(self) -> How:
        """The integrator of the tangents and cotangents."""
        patient = (("mxstep", 1_000_000),) if self.method == "odeint" else ()
        return replace(self, atol=float(np.min(self.atol)), options=patient)

    def values(self, f: Callable[..., Any], y0: np.ndarray, times: np.ndarray) -> np.ndarray:
        """The values at these times, by SciPy."""
        options = dict(self.options)
        if self.method == "odeint":
            given = {"rtol": self.rtol, "atol": self.atol, **options}
            ys, report = si.odeint(f, y0, times, tfirst=True, full_output=True, **given)
            if report["message"] != "Integration successful.":
                raise UnsupportedError(
                    f"scipy.integrate.odeint did not finish, so that it has no derivative: {report['message']} Give it "
                    "more steps with mxstep=."
                )
            return np.asarray(ys)
        found = self._run(f, y0, (times[0], times[-1]), t_eval=times)
        return np.asarray(found.y.T)

    def _run(self, f: Callable[..., Any], y0: np.ndarray, span: Any, **more: Any) -> Any:
        method = "LSODA" if self.method == "odeint" else self.method
        options = {} if self.method == "odeint" else dict(self.options)
        found = si.solve_ivp(f, span, y0, method, rtol=self.rtol, atol=self.atol, **options, **more)
        if not found.success:
            raise UnsupportedError(
                f"scipy.integrate.solve_ivp did not finish, so that it has no derivative: {found.message}"
            )
        return found

    def trajectory(self, f: Callable[..., Any], y0: np.ndarray, span: tuple[float, float]) -> np.ndarray:
        """Times so close that cubics between them stand for the solution."""
        coarse = self._run(f, y0, span).t
        fractions = np.arange(_FINER) / _FINER
        fine = coarse[:-1, None] + fractions * np.diff(coarse)[:, None]
        return np.append(fine.ravel(), coarse[-1])


def flow(f: Callable[..., Any], y0: Any, times: np.ndarray, how: How) -> Any:
    """The solution of ``y' = f(t, y)`` at these times, one row each: f64[n_times, n].

    ``y0`` may be traced, and f may read traced values of the code around it.
    """
    start = resolve(y0)
    return carried_out(
        lambda plain: how.values(plainly(f), plain, times),
        lambda of: _primitive(of, times, how),
        function=f,
        start=start,
        probe=(float(times[0]), np.array(primal(start))),
    )


def _primitive(of: Callable[..., Any], times: np.ndarray, how: How) -> Primitive:
    """The flow as a function of its start and of what f reads."""

    def evaluate(y0: Any, *values: Any) -> Any:
        return flow(lambda t, y: of(values, t, y), y0, times, how)

    def push(operands: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
        y0, *values = operands
        moves = [_zeros(v) if t is None else t for v, t in zip(operands, tangents, strict=True)]
        n = y0.shape[0]

        def both(t: Any, state: Any) -> Any:
            slope = jvp(lambda y, *vs: of(vs, t, y), (state[:n], *values), (state[n:], *moves[1:]))
            return np.concatenate(slope)

        rows = flow(both, np.concatenate((y0, moves[0])), times, how.again())
        return evaluate(*operands), rows[:, n:]

    def record(operands: tuple[Any, ...], wanted: int) -> tuple[Any, Callable[[Any], list[Any]]]:
        ys = evaluate(*operands)
        chosen = [k - 1 for k in range(1, len(operands)) if wanted >> k & 1]

        def pull(ct: Any) -> list[Any]:
            flows = _Back(of, operands[1:], chosen, times, how.again())
            back, shares = flows.swept(ys, ct)
            return [back, *shares] if wanted & 1 else shares

        return ys, pull

    return Primitive("flow", evaluate, record=record, push=push)


def _zeros(value: Any) -> Any:
    return np.zeros(value.shape, value.dtype)[()]


@dataclass(frozen=True, slots=True, eq=False)
class _Back:
    """The way back of one flow: what f reads, and which of it wants a cotangent."""

    of: Callable[..., Any]
    values: Sequence[Any]
    chosen: Sequence[int]
    times: np.ndarray
    how: How

    def swept(self, ys: Any, ct: Any) -> tuple[Any, list[Any]]:
        """The cotangents of the start and of the chosen values, from those of the rows: one interval after another."""
        times, n = self.times, ys.shape[1]
        wanted = [self.values[k] for k in self.chosen]
        sizes = [int(np.prod(value.shape, dtype=int)) for value in wanted]
        state: Any = np.zeros(n + sum(sizes))
        for k in range(len(times) - 1, 0, -1):
            state = np.concatenate((state[:n] + ct[k], state[n:]))
            if times[k] == times[k - 1]:
                continue
            along = self._trajectory(ys[k - 1], ys[k], (float(times[k - 1]), float(times[k])))
            state = flow(self._slope(along, n), state, -times[[k, k - 1]], self.how)[-1]
        shares, place = [], n
        for value, size in zip(wanted, sizes, strict=True):
            shares.append(np.astype(np.reshape(state[place : place + size], value.shape), value.dtype))
            place += size
        return state[:n] + ct[0], shares

    def _slope(self, along: Callable[[Any], Any], n: int) -> Callable[..., Any]:
        """The differential equation of the cotangents in -t: of y, and, summed up, of what f reads."""

        def slope(minus_t: Any, state: Any) -> Any:
            t = -minus_t

            def f(y: Any, *moving: Any) -> Any:
                all_values = list(self.values)
                for k, value in zip(self.chosen, moving, strict=True):
                    all_values[k] = value
                return self.of(all_values, t, y)

            _, pullback = vjp(f, along(t), *[self.values[k] for k in self.chosen])
            return np.concatenate([np.ravel(part) for part in pullback(state[:n])])

        return slope

    def _trajectory(self, first: Any, last: Any, span: tuple[float, float]) -> Callable[[Any], Any]:
        """The solution within an interval as a function of time: cubics with the values and slopes at its points."""

        def f(t: Any, y: Any) -> Any:
            return self.of(self.values, t, y)

        points = self.how.trajectory(plainly(f), np.array(primal(first)), span)
        rows = flow(f, first, points, self.how)
        found, expected = np.asarray(primal(rows))[-1], np.asarray(primal(last))
        if np.any(np.abs(found - expected) > _APART * (self.how.rtol * np.abs(expected).max() + self.how.atol)):
            raise ReplayError(
                f"the solution between {span[0]} and {span[1]} came out differently when it was integrated again: the "
                "function reads something that has changed meanwhile. Pass it as an argument, and do not write into it."
            )
        slopes = np.stack([f(t, rows[j]) for j, t in enumerate(points)])
        forward = 1.0 if span[1] > span[0] else -1.0

        def along(t: Any) -> Any:
            j = int(np.clip(np.searchsorted(forward * points, forward * t, side="right") - 1, 0, len(points) - 2))
            h = points[j + 1] - points[j]
            x = (t - points[j]) / h
            blend = x * x * (3.0 - 2.0 * x)
            bent = h * x * (1.0 - x) * ((1.0 - x) * slopes[j] - x * slopes[j + 1])
            return (1.0 - blend) * rows[j] + blend * rows[j + 1] + bent

        return along

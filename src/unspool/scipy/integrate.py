"""scipy.integrate for traced values; what is not listed here is SciPy's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any, NoReturn

import numpy as np
import scipy.integrate as _scipy
import scipy.optimize

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced, active, primal
from unspool.ops import TABLE
from unspool.ops.shape import as_array
from unspool.ops.table import Entry
from unspool.scipy import runge_kutta
from unspool.scipy.aside import plainly, read_by
from unspool.scipy.continuous import How, flow
from unspool.scipy.mirror import any_traced, mirrored

__all__ = [
    "cumulative_simpson",
    "cumulative_trapezoid",
    "odeint",
    "romb",
    "simpson",
    "solve_ivp",
    "trapezoid",
]

_si: Any = _scipy
_result_of: Any = scipy.optimize.OptimizeResult
cumulative_simpson = mirrored(_scipy.cumulative_simpson)
cumulative_trapezoid = mirrored(_scipy.cumulative_trapezoid)
romb = mirrored(_scipy.romb)
simpson = mirrored(_scipy.simpson)
trapezoid = mirrored(_scipy.trapezoid)


def solve_ivp(  # noqa: PLR0917 - SciPy's signature
    fun: Callable[..., Any],
    t_span: Sequence[Any],
    y0: Any,
    method: str = "RK45",
    t_eval: Any = None,
    dense_output: bool = False,
    events: Any = None,
    vectorized: bool = False,
    args: Sequence[Any] | None = None,
    *,
    policy: Any = None,
    memory: Any = None,
    **options: Any,
) -> Any:
    """`scipy.integrate.solve_ivp` by its discrete adjoint (RK23, RK45, DOP853) or continuous one (Radau, BDF, LSODA).

    The start, the arguments and what the function reads may be traced; ``y`` is f64[n, n_times]. By the first three
    methods SciPy chooses the steps, which count as constants, and the derivative is that of the numbers that come out,
    exact to rounding. The steps are a loop, for which ``policy`` and ``memory`` are those of `unspool.scan`; the limits
    of time and ``t_eval`` may be traced too. By the others it is as exact as ``rtol`` and ``atol``. ``dense_output``
    and ``events`` raise `UnsupportedError` on traced values, and so does an integration that does not finish.

    >>> import unspool
    >>> def final(rate):
    ...     return solve_ivp(lambda t, y: -rate * y, (0.0, 2.0), np.array([1.0]), rtol=1e-6).y[0, -1]
    >>> unspool.grad(final)(0.5).round(4)
    np.float64(-0.7358)
    """
    given = {"t_eval": t_eval, "dense_output": dense_output, "events": events, "vectorized": vectorized, "args": args}
    if not active():
        return _si.solve_ivp(fun, t_span, y0, method, **given, **options)

    def f(t: Any, y: Any) -> Any:
        return fun(t, y, *(args or ()))

    start = as_array(y0) * 1.0
    plain_start, plain_span = np.array(primal(start)), [float(primal(t)) for t in t_span]
    traced = any_traced([start, *t_span, t_eval]) or bool(read_by(f, plain_span[0], plain_start))
    if not traced:
        return _si.solve_ivp(plainly(f), t_span, y0, method, **(given | {"args": None}), **options)
    _refuse_on_traced(dense_output, events, vectorized)
    if method in runge_kutta.METHODS:
        return _by_steps(f, (t_span, start, t_eval), method, options, {"policy": policy, "memory": memory})
    if method not in ("Radau", "BDF", "LSODA"):
        raise UnsupportedError(
            f"scipy.integrate.solve_ivp: no derivative rule for method={method!r} (with a rule: RK23, RK45, DOP853, "
            "Radau, BDF, LSODA)."
        )
    if any_traced([*t_span, t_eval]) or start.dtype.kind == "c":
        raise UnsupportedError(
            f"scipy.integrate.solve_ivp: with method={method!r} times are plain and values real. Use RK45 or DOP853."
        )
    return _continuously(f, plain_span, start, t_eval, method=method, options=options)


def _refuse_on_traced(dense_output: bool, events: Any, vectorized: bool) -> None:
    names = {"dense_output": dense_output, "events": events is not None, "vectorized": vectorized}
    for name, given in names.items():
        if given:
            raise UnsupportedError(
                f"scipy.integrate.solve_ivp: no derivative rule for {name}= on traced values. Give the times at which "
                "the solution is wanted with t_eval=; find the times of events with plain values first."
            )


def _by_steps(f: Any, what: tuple[Any, Any, Any], method: str, options: dict[str, Any], how: dict[str, Any]) -> Any:
    t_span, start, t_eval = what
    rule = runge_kutta.METHODS[method]
    span = [float(primal(t)) for t in t_span]
    steps = runge_kutta.chosen(rule, plainly(f), span, np.array(primal(start)), options)
    times: Any = steps.times
    if any_traced(t_span):
        shares = (times - span[0]) / (span[1] - span[0])
        times = t_span[0] + shares * (t_span[1] - t_span[0])
    wanted = None if t_eval is None else as_array(t_eval) * 1.0
    if wanted is not None:
        _check_wanted(np.asarray(primal(wanted)), span)
    if steps.status < 0:
        _not_finished(steps.message)
    if span[0] == span[1]:
        n = len(steps.times) if wanted is None else wanted.shape[0]
        rows = np.broadcast_to(start, (n, *start.shape))
    else:
        rows = runge_kutta.integrated(rule, f, times, start, wanted=wanted, **how)
    return _result(times if wanted is None else wanted, rows, steps.status, steps.message, steps.n_calls)


def _check_wanted(wanted: np.ndarray, span: list[float]) -> None:
    if wanted.ndim != 1:
        raise ValueError("`t_eval` must be 1-dimensional.")
    if np.any(wanted < min(span)) or np.any(wanted > max(span)):
        raise ValueError("Values in `t_eval` are not within `t_span`.")
    steps = np.diff(wanted)
    if np.any(steps <= 0) if span[1] > span[0] else np.any(steps >= 0):
        raise ValueError("Values in `t_eval` are not properly sorted.")


def _not_finished(message: str | None) -> NoReturn:
    raise UnsupportedError(f"scipy.integrate.solve_ivp did not finish, so that it has no derivative: {message}")


def _continuously(f: Any, span: list[float], start: Any, t_eval: Any, *, method: str, options: Any) -> Any:
    rest = {k: v for k, v in options.items() if k not in ("rtol", "atol")}
    how = How(method, options.get("rtol", 1e-3), options.get("atol", 1e-6), tuple(rest.items()))
    plain = _si.solve_ivp(plainly(f), span, np.array(primal(start)), method, t_eval, **options)
    if not plain.success:
        _not_finished(plain.message)
    times = np.asarray(plain.t)
    rows = flow(f, start, times if times[0] == span[0] else np.append(span[0], times), how)
    return _result(times, rows[-len(times) :], plain.status, plain.message, plain.nfev)


def _result(times: Any, rows: Any, status: int, message: str | None, n_calls: int) -> Any:
    said = {0: "The solver successfully reached the end of the integration interval."}.get(status, message)
    return _result_of(
        t=times,
        y=np.transpose(rows),
        sol=None,
        t_events=None,
        y_events=None,
        nfev=n_calls,
        status=status,
        message=said,
        success=status >= 0,
    )


_KNOWN = frozenset({"h0", "hmax", "hmin", "mxstep", "mxhnil", "mxordn", "mxords", "tcrit"})
_TOLERANCE = 1.49012e-8  # of odeint


def odeint(func: Callable[..., Any], y0: Any, t: Any, *args: Any, **keywords: Any) -> Any:
    """`scipy.integrate.odeint` by its continuous adjoint, which is as exact as the tolerances: f64[n_times, n].

    The start, the arguments and what the function reads may be traced; times are plain. Tangents and cotangents are
    integrated with the same tolerances. ``Dfun``, ``full_output`` and what belongs to them raise `UnsupportedError` on
    traced values, and so does an integration that does not finish.

    >>> import unspool
    >>> times = np.array([0.0, 1.0, 2.0])
    >>> unspool.grad(lambda k: odeint(lambda y, t: -k * y, 1.0, times)[-1, 0])(0.5).round(6)
    np.float64(-0.735759)
    """
    if not active():
        return _si.odeint(func, y0, t, *args, **keywords)
    given = dict(signature(_si.odeint).bind(func, y0, t, *args, **keywords).arguments)
    more, tfirst = given.get("args", ()), given.get("tfirst", False)
    options = {k: v for k, v in given.items() if k not in ("func", "y0", "t", "args", "tfirst", "rtol", "atol")}
    rtol, atol = given.get("rtol"), given.get("atol")

    def f(time: Any, y: Any) -> Any:
        return func(time, y, *more) if tfirst else func(y, time, *more)

    start = np.ravel(as_array(y0) * 1.0)
    if isinstance(t, Traced):
        raise UnsupportedError("scipy.integrate.odeint: times are plain. Use solve_ivp with method='RK45'.")
    times = np.asarray(t, float)
    if not isinstance(start, Traced) and not read_by(f, float(times[0]), start):
        return _si.odeint(plainly(f), y0, t, tfirst=True, rtol=rtol, atol=atol, **options)
    if not options.keys() <= _KNOWN:
        unknown = ", ".join(f"{k}=" for k in options if k not in _KNOWN)
        raise UnsupportedError(
            f"scipy.integrate.odeint: no derivative rule for the keyword {unknown} on a traced value. Leave it out."
        )
    tolerances = _TOLERANCE if rtol is None else rtol, _TOLERANCE if atol is None else atol
    return flow(f, start, times, How("odeint", *tolerances, tuple(options.items())))


_IVP = frozenset(
    ["fun", "t_span", "y0", "method", "t_eval", "args", "policy", "memory", "rtol", "atol", "max_step", "first_step"]
)
TABLE[_scipy.solve_ivp] = Entry("scipy.integrate.solve_ivp", solve_ivp, 9, _IVP)
TABLE[_scipy.odeint] = Entry(
    "scipy.integrate.odeint", odeint, -1, _KNOWN | {"func", "y0", "t", "args", "tfirst", "rtol", "atol"}
)


def __getattr__(name: str) -> Any:
    return getattr(_scipy, name)

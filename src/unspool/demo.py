"""The main job: fit a simulation to real data by its gradient, and see what each policy costs.

The data is the Hudson Bay Company's record of hare and lynx pelts, in thousands, as printed in Elton & Nicholson
(1942).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from unspool.diagnostics.report import Log, facts, observe
from unspool.loops import scan
from unspool.schedules import Every, Revolve, StoreAll
from unspool.transforms import value_and_grad

YEARS = np.arange(1900, 1921)
HARE = (
    30,
    47.2,
    70.2,
    77.4,
    36.3,
    20.6,
    18.1,
    21.4,
    22,
    25.4,
    27.1,
    40.3,
    57,
    76.6,
    52.3,
    19.5,
    11.2,
    7.6,
    14.6,
    16.2,
    24.7,
)
LYNX = (4, 6.1, 9.8, 35.2, 59.4, 41.7, 19, 13, 8.3, 9.1, 7.4, 8, 12.3, 19.5, 45.7, 51.1, 29.7, 15.8, 9.7, 10.1, 8.6)
PELTS = np.array([HARE, LYNX]).T

NAMES = ("hare birth", "predation", "lynx death", "lynx birth", "hares 1900", "lynxes 1900")
MEMORY = "1 MB"
"""What the gradients of the fit may hold: about a tenth of what storing everything takes."""

GUESS = np.log([0.6, 0.03, 0.7, 0.02, 30.0, 5.0])
"""Where the fit starts: the logarithms of the four rates (per year, per year and thousand) and of the populations."""


def simulate_pelts(logs: Any, steps_per_year: int, **how: Any) -> Any:
    """Hares and lynxes, f64[n + 1, 2], before and after each of the n steps of the classical Runge-Kutta method."""
    birth, predation, death, growth = (np.exp(logs[k]) for k in range(4))
    start = np.exp(logs[4:])
    rates = np.stack([birth, -death])
    coupling = np.stack([np.stack([0.0 * birth, -predation]), np.stack([growth, 0.0 * death])])
    h = 1.0 / steps_per_year

    def rhs(u: Any) -> Any:
        return u * (rates + coupling @ u)

    def step(u: Any, _: None) -> tuple[Any, Any]:
        k1 = rhs(u)
        k2 = rhs(u + 0.5 * h * k1)
        k3 = rhs(u + 0.5 * h * k2)
        k4 = rhs(u + h * k3)
        u = u + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return u, u

    _, path = scan(step, start, length=(len(YEARS) - 1) * steps_per_year, **how)
    return np.concatenate([start[None], path])


def loss_of(steps_per_year: int, **how: Any) -> Callable[[Any], Any]:
    """The sum of squares of the log-residuals, as a function of the six logarithms."""

    def loss(logs: Any) -> Any:
        yearly = simulate_pelts(logs, steps_per_year, **how)[::steps_per_year]
        return np.sum((np.log(yearly) - np.log(PELTS)) ** 2)

    return loss


def demo(*, steps_per_year: int = 100, out: Path = Path(), tell: Callable[[str], None] = print) -> dict[str, Any]:
    """Fit, check the gradient, compare the policies, and draw; tell of it on the way, and return what was found."""
    from scipy.optimize import minimize

    n_steps = (len(YEARS) - 1) * steps_per_year
    loss = loss_of(steps_per_year, memory=MEMORY)
    tell(f"Hare and lynx, 1900-1920: Lotka-Volterra, {n_steps:,} Runge-Kutta steps, gradients in {MEMORY}")
    begin = perf_counter()
    with _counter("gradients") as count:
        gradient = value_and_grad(loss)
        fit: Any = minimize(lambda x: count(gradient(x)), GUESS, jac=True, method="L-BFGS-B")  # type: ignore[call-overload]
    fit_seconds = perf_counter() - begin
    tell(f"{fit.nfev} gradients in {fit_seconds:.1f} s: {fit.message}\n")
    tell(f"{'':12}  {'before':>8}  {'after':>8}")
    for name, before, after in zip(NAMES, np.exp(GUESS), np.exp(fit.x), strict=True):
        tell(f"{name:12}  {before:8.4f}  {after:8.4f}")
    residuals = float(loss(GUESS)), float(fit.fun)
    tell(f"{'residual':12}  {residuals[0]:8.4f}  {residuals[1]:8.4f}   (sum of squares of the log-residuals)\n")
    taped, stepped = check_gradient(loss, fit.x)
    tell(
        f"gradient in a random direction: {taped:.12f}, by complex step {stepped:.12f}, "
        f"difference {abs(taped - stepped):.1e}"
    )
    log, seconds, equal = compare(steps_per_year, fit.x)
    tell(f"\nOne gradient on the tape under six policies (bitwise equal: {'yes' if equal else 'NO'}):")
    tell(str(log))
    pictures = draw(fit.x, steps_per_year, log, seconds, out)
    tell(
        f"\nwrote {pictures[0]} and {pictures[1]}"
        if pictures
        else "\nno pictures: matplotlib is not installed (pip install 'unspool[plot]')"
    )
    return {
        "n_steps": n_steps,
        "gradients": fit.nfev,
        "seconds": fit_seconds,
        "residual": {"before": residuals[0], "after": residuals[1]},
        "parameters": dict(zip(NAMES, np.exp(fit.x).tolist(), strict=True)),
        "directional_derivative": {"reverse_mode": taped, "complex_step": stepped},
        "bitwise_equal": equal,
        "policies": [{**facts(report), "seconds": time} for report, time in zip(log, seconds, strict=True)],
        "pictures": [str(picture) for picture in pictures],
    }


def check_gradient(loss: Callable[[Any], Any], x: np.ndarray) -> tuple[float, float]:
    """The derivative in a random direction, by the gradient and by the complex step [SquireTrapp1998]."""
    direction = np.random.default_rng(0).normal(size=x.shape)
    taped = value_and_grad(loss)(x)[1] @ direction
    stepped = loss(x + 1e-30j * direction).imag / 1e-30
    return float(taped), float(stepped)


def compare(steps_per_year: int, x: np.ndarray) -> tuple[Log, list[float], bool]:
    """One gradient under each of six policies: the reports, the seconds, and whether all bits agree.

    On the tape, where the residuals of a step are a hundred times as large as a state, and time can be seen.
    """
    n_steps = (len(YEARS) - 1) * steps_per_year
    policies = [StoreAll(), Every(round(n_steps**0.5)), Revolve(30), Revolve(10), Revolve(5)]
    seconds, gradients = [], []
    with observe() as log:
        ways: list[dict[str, Any]] = [{"memory": MEMORY}, *({"policy": policy} for policy in policies)]
        for how in ways:
            begin = perf_counter()
            gradients.append(value_and_grad(loss_of(steps_per_year, compile=False, **how))(x)[1])
            seconds.append(perf_counter() - begin)
    return log, seconds, all(np.array_equal(gradients[0], g) for g in gradients)


@contextmanager
def _counter(unit: str) -> Iterator[Callable[[Any], Any]]:
    """A progress bar that counts what passes through."""
    from tqdm.auto import tqdm

    with tqdm(desc="fit", unit=f" {unit}") as bar:

        def count(result: Any) -> Any:
            bar.set_postfix(residual=f"{result[0]:.4f}", refresh=False)
            bar.update()
            return result

        yield count


def draw(x: np.ndarray, steps_per_year: int, log: Log, seconds: list[float], out: Path) -> list[Path]:
    """Write two pictures, the fit over the data and memory against time by policy; none where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return []
    out.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    path = simulate_pelts(x, steps_per_year)
    for k, (name, colour) in enumerate((("hare", "tab:orange"), ("lynx", "tab:blue"))):
        axes.plot(YEARS, PELTS[:, k], "o", color=colour, label=f"{name}, pelts")
        axes.plot(np.linspace(YEARS[0], YEARS[-1], len(path)), path[:, k], color=colour, label=f"{name}, model")
    axes.set(xlabel="year", ylabel="pelts in thousands", title="Lotka-Volterra fitted to the Hudson Bay record")
    axes.set_xticks(YEARS[::4])
    axes.legend()
    fit_file = out / "unspool-demo-fit.png"
    figure.savefig(fit_file, dpi=120)

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for report, time in zip(log, seconds, strict=True):
        axes.plot(time, report.peak_bytes / 1e6, "o", color="tab:blue")
        axes.annotate(f" {report.policy}", (time, report.peak_bytes / 1e6), va="bottom")
    axes.set(xlabel="seconds for one gradient", ylabel="snapshots and residuals, MB", yscale="log")
    axes.set_title(f"Memory against time by policy, {log[0].n_steps:,} steps")
    axes.margins(x=0.15, y=0.15)
    memory_file = out / "unspool-demo-memory.png"
    figure.savefig(memory_file, dpi=120)
    return [fit_file, memory_file]

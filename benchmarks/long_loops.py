"""Long loops as a user writes them, in float64 with seeded inputs: what compiled steps are measured on.

Each is a function of its parameters, ``loss(*parameters, policy=..., compile=...)``. Beside it stand a gradient by hand
in Numba (``rivals/hand``) and JAX programs (``rivals/xla.py``) of the same numbers. ``yardstick.py`` measures all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

import unspool
from benchmarks.problems import Problem

H, WEIGHT = 0.01, 1e-3
"""The time step of the Lorenz system, and the weight of its loss term."""

COURANT, MARGIN = 0.4, 10
"""Time step over grid spacing of the wave; receivers stand so far from the ends of their row."""


def lorenz(n_steps: int) -> Problem:
    """Lorenz-63 by RK4: gradient in the state f64[3] and three rates. The loss has a term in every step.

    rho is 12, where the flow runs into a fixed point, so that gradients over many steps stay small.
    """

    def slope(u, rates):
        x, y, z = u[0], u[1], u[2]
        return np.stack([rates[0] * (y - x), x * (rates[1] - z) - y, x * y - rates[2] * z])

    def loss(start, rates, **how):
        def step(u, _):
            k1 = slope(u, rates)
            k2 = slope(u + 0.5 * H * k1, rates)
            k3 = slope(u + 0.5 * H * k2, rates)
            k4 = slope(u + H * k3, rates)
            u = u + H / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            return u, WEIGHT * np.sum(u * u)

        u, terms = unspool.scan(step, start, length=n_steps, **how)
        return np.sum(terms) + np.sum(u)

    parameters = np.array([1.0, 1.0, 1.0]), np.array([10.0, 12.0, 8.0 / 3.0])
    return Problem("lorenz", f"Lorenz-63, {n_steps:,} RK4 steps", n_steps, parameters, {}, loss)


def wave(n_steps: int, size: int, *, step: str, seed: int = 0) -> Problem:
    """The 2-D wave equation by leapfrog, 5-point stencil: gradient in the velocity f64[size, size].

    The loss is the misfit at a line of receivers in every step. ``step`` says how the user writes it: with slices and
    an addition in place, with slices and zeros around (both have a border at which the wave is 0), or with np.roll
    (periodic).
    """
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    pulse = np.exp(-((x - 0.4) ** 2 + (y - 0.5) ** 2) / 0.01)
    pulse[[0, -1]] = 0
    pulse[:, [0, -1]] = 0
    velocity = 1 + 0.2 * x + 0.05 * rng.normal(size=(size, size))
    data = 0.1 * rng.normal(size=(n_steps, size - 2 * MARGIN))
    row = size // 8

    def loss(velocity, **how):
        factor = (COURANT * velocity) ** 2
        inside = factor[1:-1, 1:-1]

        def slices(fields, _):
            before, now = fields
            after = 2 * now - before
            after[1:-1, 1:-1] += inside * (
                now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2] - 4 * now[1:-1, 1:-1]
            )
            return (now, after), after[row, MARGIN:-MARGIN]

        def zeros(fields, _):
            before, now = fields
            middle = now[1:-1, 1:-1]
            laplacian = now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2] - 4 * middle
            after = np.zeros_like(now)
            after[1:-1, 1:-1] = 2 * middle - before[1:-1, 1:-1] + inside * laplacian
            return (now, after), after[row, MARGIN:-MARGIN]

        def roll(fields, _):
            before, now = fields
            around = (
                np.roll(now, 1, axis=0) + np.roll(now, -1, axis=0) + np.roll(now, 1, axis=1) + np.roll(now, -1, axis=1)
            )
            after = 2 * now - before + factor * (around - 4 * now)
            return (now, after), after[row, MARGIN:-MARGIN]

        body = {"slices": slices, "zeros": zeros, "roll": roll}[step]
        _, seen = unspool.scan(body, (pulse, pulse), length=n_steps, **how)
        return np.sum((seen - data) ** 2)

    constants = {"pulse": pulse, "data": data}
    title = f"2-D wave by {step}, {size} × {size}, {n_steps:,} leapfrog steps"
    return Problem("wave", title, n_steps, (velocity,), constants, loss)


def network(n_steps: int, units: int = 128, seed: int = 0) -> Problem:
    """A recurrent network h = tanh(W h + b): gradient in W f64[units, units], b and the first h f64[units]."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(units, units)) / np.sqrt(units)
    bias, start = 0.1 * rng.normal(size=units), rng.normal(size=units)
    target = rng.normal(size=units)

    def loss(weights, bias, start, **how):
        def step(i, h):
            return np.tanh(weights @ h + bias)

        h = unspool.fori_loop(0, n_steps, step, start, **how)
        return np.sum((h - target) ** 2)

    title = f"Recurrent network, {units} units, {n_steps:,} steps"
    return Problem("network", title, n_steps, (weights, bias, start), {"target": target}, loss)


def trivial(n_steps: int) -> Problem:
    """A step of two operations on one number: gradient in the number and in both of the step's.

    The factor is 1 - 1e-6, since with 0.999 the gradient over a million steps is less than the least number.
    """

    def loss(start, factor, shift, **how):
        return unspool.fori_loop(0, n_steps, lambda i, u: u * factor + shift, start, **how)

    parameters = np.array(0.5), np.array(1 - 1e-6), np.array(1e-6)
    return Problem("trivial", f"u * a + b, {n_steps:,} steps", n_steps, parameters, {}, loss)


@dataclass(frozen=True)
class Case:
    """A problem of one size, made when it is asked for: ``make(n_steps)``; and what the rivals must know of it."""

    make: Callable[[int], Problem]
    n_steps: int
    options: dict[str, Any] = field(default_factory=dict)

    def problem(self) -> Problem:
        return self.make(self.n_steps)


CASES: dict[str, Case] = {
    **{f"lorenz-{n}": Case(lorenz, n) for n in (10, 10**5, 10**6)},
    **{
        f"wave-{size}-{step}": Case(partial(wave, size=size, step=step), 1000, {"step": step})
        for size in (256, 512)
        for step in ("slices", "zeros", "roll")
    },
    "network-128": Case(network, 2000),
    "trivial-1000000": Case(trivial, 10**6),
}

"""Three simulations as a user would write them: a small ODE, a 2-D wave field, and a recurrent network.

Each is a function of its parameters, ``loss(*parameters, policy=..., memory=...)``, made for a size and a seed. Other
options of loops are passed on too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import unspool


@dataclass(frozen=True)
class Problem:
    """A loss, the parameters at which it is differentiated, the constants that it reads, and what it is called."""

    name: str
    title: str
    n_steps: int
    parameters: tuple[np.ndarray, ...]
    constants: dict[str, np.ndarray]
    loss: Callable[..., Any]

    @property
    def gradient(self) -> Callable[..., Any]:
        """The value and the gradient in all parameters; options of loops are passed on."""
        return unspool.value_and_grad(self.loss, argnums=tuple(range(len(self.parameters))))


DT = 0.01
"""The time step of the Lorenz system."""

COURANT = 0.4
"""Time step over grid spacing of the wave."""


def lorenz_flow(u, sigma, rho, beta, stack=np.stack):
    """The right-hand side of the Lorenz system, f64[3]."""
    x, y, z = u
    return stack([sigma * (y - x), x * (rho - z) - y, x * y - beta * z])


def lorenz(n_steps: int = 500, seed: int = 0) -> Problem:
    """Lorenz-63 by the classical Runge-Kutta method: gradient in the state f64[3] and (sigma, rho, beta).

    rho is 12, where the flow runs into a fixed point, so that gradients over many steps stay small.
    """
    start = np.array([1.0, 1.0, 20.0]) + 0.1 * np.random.default_rng(seed).normal(size=3)
    rates = np.array([10.0, 12.0, 8.0 / 3.0])
    target = np.array([5.0, 5.0, 11.0])

    def loss(start, rates, *, policy=None, memory=None, **options):
        sigma, rho, beta = rates

        def step(i, carried):
            u, total = carried
            k1 = lorenz_flow(u, sigma, rho, beta)
            k2 = lorenz_flow(u + DT / 2 * k1, sigma, rho, beta)
            k3 = lorenz_flow(u + DT / 2 * k2, sigma, rho, beta)
            k4 = lorenz_flow(u + DT * k3, sigma, rho, beta)
            u = u + DT / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            return u, total + DT * np.sum((u - target) ** 2)

        _, total = unspool.fori_loop(0, n_steps, step, (start, 0.0), policy=policy, memory=memory, **options)
        return total

    return Problem(
        "lorenz", f"Lorenz-63, {n_steps:,} Runge-Kutta steps", n_steps, (start, rates), {"target": target}, loss
    )


def wave(n_steps: int = 200, size: int = 256, seed: int = 0) -> Problem:
    """The 2-D wave equation by leapfrog, 5-point stencil, fixed border: gradient in the velocity f64[size, size]."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    pulse = np.exp(-((x - 0.4) ** 2 + (y - 0.5) ** 2) / 0.01)
    velocity = 1 + 0.2 * x + 0.05 * rng.normal(size=(size, size))
    target = 0.1 * np.sin(3 * x) * np.sin(2 * y)

    def loss(velocity, *, policy=None, memory=None, **options):
        factor = (COURANT * velocity[1:-1, 1:-1]) ** 2

        def step(i, fields):
            before, now = fields
            after = 2 * now - before
            after[1:-1, 1:-1] += factor * (
                now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2] - 4 * now[1:-1, 1:-1]
            )
            return now, after

        _, last = unspool.fori_loop(0, n_steps, step, (pulse, pulse), policy=policy, memory=memory, **options)
        return np.mean((last - target) ** 2)

    data = {"pulse": pulse, "target": target}
    return Problem("wave", f"2-D wave, {size} × {size}, {n_steps:,} leapfrog steps", n_steps, (velocity,), data, loss)


def network(n_steps: int = 2000, units: int = 128, seed: int = 0) -> Problem:
    """A recurrent network h = tanh(W h + b): gradient in W f64[units, units], b and the first h f64[units]."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(units, units)) / np.sqrt(units)
    bias, start = 0.1 * rng.normal(size=units), rng.normal(size=units)
    target = rng.normal(size=units)

    def loss(weights, bias, start, *, policy=None, memory=None, **options):
        def step(i, h):
            return np.tanh(weights @ h + bias)

        h = unspool.fori_loop(0, n_steps, step, start, policy=policy, memory=memory, **options)
        return np.sum((h - target) ** 2)

    title = f"Recurrent network, {units} units, {n_steps:,} steps"
    return Problem("network", title, n_steps, (weights, bias, start), {"target": target}, loss)


PROBLEMS: dict[str, Callable[..., Problem]] = {"lorenz": lorenz, "wave": wave, "network": network}

SMALL_SIZES: dict[str, dict[str, int]] = {
    "lorenz": {"n_steps": 100},
    "wave": {"n_steps": 40, "size": 64},
    "network": {"n_steps": 300, "units": 32},
}

"""Whether what docs/explanation/comparison.md says of other tools is so, for those that are installed here.

``python -m benchmarks.comparison`` prints a line for every statement, and ends with 1 if one does not hold.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
import random
import sys
from collections.abc import Callable

import numpy as np

import unspool

STATEMENTS: list[tuple[str, str, Callable[[], bool]]] = []


def says(package, statement):
    """Enrol a function that finds out whether a statement about a package holds."""

    def enrol(check):
        STATEMENTS.append((package, statement, check))
        return check

    return enrol


def raises(function, kind=Exception):
    try:
        function()
    except kind:
        return True
    return False


def twice(u):
    """In-place code as simulations have it."""
    u = u * 1.0
    u[0] = 2.0 * u[1]
    return u


# --- in place ---------------------------------------------------------------------------------------------------------
@says("unspool", "assignment to parts works")
def _():
    return unspool.grad(lambda u: np.sum(twice(u)))(np.ones(3)).tolist() == [0.0, 3.0, 1.0]


@says("jax", "assignment to parts raises")
def _():
    import jax

    return raises(lambda: jax.grad(lambda u: twice(u).sum())(np.ones(3)), TypeError)


@says("autograd", "assignment to parts raises")
def _():
    import autograd

    return raises(lambda: autograd.grad(lambda u: autograd.numpy.sum(twice(u)))(np.ones(3)), TypeError)


@says("torch", "assignment to parts works, unless a rule still needs what is overwritten, which raises")
def _():
    import torch

    u = torch.ones(3, dtype=torch.float64, requires_grad=True)
    twice(u).sum().backward()
    y = torch.exp(u)
    loss = torch.sin(y).sum()
    y[0] = 2.0
    return u.grad.tolist() == [0.0, 3.0, 1.0] and raises(loss.backward, RuntimeError)


@says("unspool", "a value that is overwritten after a rule has read it does no harm")
def _():
    def loss(u):
        y = np.exp(u)
        z = np.sum(np.sin(y))
        y[0] = 2.0
        return z

    return np.allclose(unspool.grad(loss)(np.ones(2)), np.cos(np.e) * np.e)


# --- loops ------------------------------------------------------------------------------------------------------------
@says("jax", "while_loop has no reverse mode")
def _():
    import jax

    return raises(
        lambda: jax.grad(lambda x: jax.lax.while_loop(lambda s: s < 9.0, lambda s: 1.5 * s, x))(1.0), ValueError
    )


@says(
    "equinox",
    "its checkpointed loop takes a number of snapshots, has reverse mode, and neither forward mode nor a second order",
)
def _():
    import equinox
    import jax

    def loss(u):
        return equinox.internal.while_loop(
            lambda s: s[0] < 10, lambda s: (s[0] + 1, 0.9 * s[1] * s[1]), (0, u), kind="checkpointed", checkpoints=4
        )[1]

    first = np.isfinite(jax.grad(loss)(1.1))
    return (
        bool(first) and raises(lambda: jax.jvp(loss, (1.1,), (1.0,))) and raises(lambda: jax.grad(jax.grad(loss))(1.1))
    )


@says("unspool", "a loop of unknown length has reverse mode, forward mode and second derivatives under a policy")
def _():
    def loss(u):
        return unspool.while_loop(lambda s: s < 9.0, lambda s: 0.9 * s * s + 1.0, u, policy="online-4")

    return bool(np.isfinite(unspool.grad(loss)(1.1)) and np.isfinite(unspool.hessian(loss)(1.1)))


@says("jax", "checkpoint takes no amount of memory")
def _():
    import jax

    return not {"memory", "bytes", "budget"} & set(inspect.signature(jax.checkpoint).parameters)


@says("torch", "checkpoint takes no amount of memory")
def _():
    import torch.utils.checkpoint

    return not {"memory", "bytes", "budget"} & set(inspect.signature(torch.utils.checkpoint.checkpoint).parameters)


# --- steps that do not repeat themselves ------------------------------------------------------------------------------
@says("torch", "a checkpointed step that draws from Python's random gets another gradient, without a word")
def _():
    import torch.utils.checkpoint

    def step(v):
        return torch.sin(torch.exp(v * random.random()))

    found = []
    for run in (step, lambda v: torch.utils.checkpoint.checkpoint(step, v, use_reentrant=False)):
        random.seed(0)
        v = torch.ones(2, dtype=torch.float64, requires_grad=True)
        run(v).sum().backward()
        found.append(v.grad)
    return not torch.allclose(*found)


@says("autograd", "a checkpointed step with a counter gets another gradient, without a word")
def _():
    import autograd

    calls = []

    def step(v):
        calls.append(v)
        return autograd.numpy.exp(v * len(calls))

    return not np.isclose(autograd.grad(autograd.checkpoint(step))(0.5), np.exp(0.5))


@says("unspool", "a step that does not repeat itself raises ReplayError")
def _():
    def loss(u):
        return unspool.fori_loop(0, 9, lambda i, u: np.sin(u * random.random()), u, policy="every-3")

    return raises(lambda: unspool.grad(loss)(1.0), unspool.errors.ReplayError)


# --- bits, and complex numbers ----------------------------------------------------------------------------------------
@says("jax", "a scan with checkpoint has the same bits as one without, in this example")
def _():
    import jax

    def loss(u, wrap):
        return jax.lax.scan(wrap(lambda u, _: (u + 0.01 * jax.numpy.sin(u * u), None)), u, None, length=1000)[0].sum()

    u = np.linspace(0.1, 1.0, 50)
    found = [jax.jit(jax.grad(lambda u: loss(u, wrap)))(u) for wrap in (lambda f: f, jax.checkpoint)]  # noqa: B023
    return bool((found[0] == found[1]).all())


@says("jax", "float64 must be asked for")
def _():
    import jax

    with jax.enable_x64(False):
        return jax.numpy.asarray(np.ones(1)).dtype == np.float32


@says("jax", "the gradient of |z|² is 2 conj(z)")
def _():
    import jax

    return complex(jax.grad(lambda z: (z * z.conj()).real)(1 + 2j)) == 2 - 4j


@says("torch", "the gradient of |z|² is 2 z")
def _():
    import torch

    z = torch.tensor(1 + 2j, requires_grad=True)
    (z * z.conj()).real.backward()
    return z.grad.item() == 2 + 4j


@says("unspool", "the gradient of |z|² is 2 conj(z)")
def _():
    return unspool.grad(lambda z: np.real(z * np.conj(z)))(1 + 2j) == 2 - 4j


def main() -> int:
    """Check every statement about what is installed."""
    wrong = 0
    for package, statement, check in STATEMENTS:
        if importlib.util.find_spec(package) is None:
            print(f"not installed  {package}: {statement}")
            continue
        holds = check()
        wrong += not holds
        print(
            f"{'holds' if holds else 'DOES NOT HOLD':13}  {package} {importlib.metadata.version(package)}: {statement}"
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    if importlib.util.find_spec("jax"):
        import jax

        jax.config.update("jax_enable_x64", True)
    sys.exit(main())

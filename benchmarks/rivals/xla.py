"""The long loops in JAX, in the ways that a JAX user would try: how the step is written, and what the scan keeps.

One thread takes NPROC=1 in the environment before JAX is imported: with ``--xla_cpu_multi_thread_eigen=false`` alone,
XLA still runs parts of a step at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.problems.problem import Library, Problem, Scanned
from benchmarks.problems.wave import COURANT, MARGIN

Gradient = Callable[[], tuple[Any, ...]]


def wave(jnp: Any, problem: Problem, periodic: bool) -> dict[str, Callable[..., Scanned]]:
    """The wave with the stencil added at an index, padded afterwards, or on a padded field; or with rolls."""
    pulse, data = (jnp.asarray(problem.constants[name]) for name in ("pulse", "data"))
    row = len(pulse) // 8

    def inner(u: Any) -> Any:
        return u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1]

    def added(factor: Any) -> Any:
        return lambda before, now: (2 * now - before).at[1:-1, 1:-1].add(factor[1:-1, 1:-1] * inner(now))

    def padded_after(factor: Any) -> Any:
        return lambda before, now: 2 * now - before + jnp.pad(factor[1:-1, 1:-1] * inner(now), 1)

    def padded_before(factor: Any) -> Any:
        fixed = jnp.pad(factor[1:-1, 1:-1], 1)
        return lambda before, now: 2 * now - before + fixed * inner(jnp.pad(now, 1))

    def wrapped(factor: Any) -> Any:
        return lambda before, now: 2 * now - before + factor * inner(jnp.pad(now, 1, mode="wrap"))

    def rolled(factor: Any) -> Any:
        def ahead(before: Any, now: Any) -> Any:
            around = jnp.roll(now, 1, 0) + jnp.roll(now, -1, 0) + jnp.roll(now, 1, 1) + jnp.roll(now, -1, 1)
            return 2 * now - before + factor * (around - 4 * now)

        return ahead

    def scanned(make: Callable[[Any], Any]) -> Callable[..., Scanned]:
        def model(velocity: Any) -> Scanned:
            ahead = make((COURANT * velocity) ** 2)

            def step(fields: Any, _: None) -> Any:
                before, now = fields
                after = ahead(before, now)
                return (now, after), after[row, MARGIN:-MARGIN]

            return Scanned((pulse, pulse), step, lambda _, seen: jnp.sum((seen - data) ** 2))

        return model

    fixed = {"at": added, "padded after": padded_after, "padded before": padded_before}
    return {label: scanned(make) for label, make in ({"roll": rolled, "wrap": wrapped} if periodic else fixed).items()}


def network(jax: Any, problem: Problem) -> dict[str, Callable[..., Scanned]]:
    """The network with a matrix times a vector, or a row times the transpose."""
    jnp, target = jax.numpy, problem.constants["target"]

    def scanned(times: Callable[[Any, Any, Any], Any]) -> Callable[..., Scanned]:
        def model(weights: Any, bias: Any, start: Any) -> Scanned:
            transposed = weights.T

            def step(h: Any, _: None) -> Any:
                return jnp.tanh(times(weights, transposed, h) + bias), None

            return Scanned(start, step, lambda h, _: jnp.sum((h - target) ** 2))

        return model

    return {
        "matrix": scanned(lambda weights, transposed, h: weights @ h),
        "row": scanned(lambda weights, transposed, h: (h[None] @ transposed)[0]),
    }


def library(jax: Any) -> Library:
    """JAX for the steps that are written once for all libraries of immutable arrays."""

    def add_inside(a: Any, b: Any) -> Any:
        return a.at[(slice(1, -1),) * a.ndim].add(b)

    return Library(jax.numpy, jax.numpy.asarray, add_inside)


# --- what the scan keeps ----------------------------------------------------------------------------------------------
def scans(jax: Any, n: int, small: bool) -> dict[str, Callable[[Scanned], Any]]:
    """One scan, with a checkpoint around the step or without; scans of scans. Fields are twice as slow unrolled."""
    jnp = jax.numpy

    def one(remat: bool, unroll: int) -> Callable[[Scanned], Any]:
        def run(model: Scanned) -> Any:
            step = jax.checkpoint(model.step) if remat else model.step
            return jax.lax.scan(step, model.start, model.xs, n, unroll=unroll)

        return run

    def nested(length: int, remat: bool) -> Callable[[Scanned], Any]:
        def run(model: Scanned) -> Any:
            step = jax.checkpoint(model.step) if remat else model.step

            @jax.checkpoint
            def segment(state: Any, rows: Any) -> Any:
                return jax.lax.scan(step, state, rows, length)

            whole = n - n % length
            rows = jax.tree.map(lambda x: x[:whole].reshape(-1, length, *x.shape[1:]), model.xs)
            state, ys = jax.lax.scan(segment, model.start, rows, n // length)
            ys = jax.tree.map(lambda y: y.reshape(-1, *y.shape[2:]), ys)
            if n % length:
                rows = jax.tree.map(lambda x: x[whole:], model.xs)
                state, more = jax.lax.scan(step, state, rows, n % length)
                ys = jax.tree.map(lambda *parts: jnp.concatenate(parts), ys, more)
            return state, ys

        return run

    found = {"scan": one(False, 1), "scan, checkpoint": one(True, 1)}
    if small:
        found |= {"scan, unroll 4": one(False, 4), "scan, checkpoint, unroll 4": one(True, 4)}
    if n > 100:
        root = round(n**0.5)
        for length in dict.fromkeys((16, 32, root)):
            found[f"scans of {length}"] = nested(length, False)
            found[f"scans of {length}, checkpoint"] = nested(length, True)
    return found


def checkpointed(jax: Any, n: int, checkpoints: int) -> Callable[[Scanned], Any]:
    """Equinox's loop with so many checkpoints."""
    import equinox.internal as eqxi

    def run(model: Scanned) -> Any:
        def step(state: Any, row: Any) -> Any:
            return model.step(state, None if model.xs is None else row)

        rows = jax.numpy.arange(n) if model.xs is None else model.xs
        return eqxi.scan(step, model.start, rows, n, kind="checkpointed", checkpoints=min(n, checkpoints))

    return run


# --- gradients --------------------------------------------------------------------------------------------------------
def variants(problem: Problem, *, step: str = "") -> Iterator[tuple[str, Callable[[], Gradient]]]:
    """JAX programs for a problem by their label, each compiled when it is called."""
    jax, models = models_of(problem, step)
    for written, model in models.items():
        for kept, run in scans(jax, problem.n_steps, problem.name != "wave").items():
            yield ", ".join(filter(None, (written, kept))), lambda m=model, r=run: compiled(jax, problem, m, r)


def equinox(problem: Problem, *, checkpoints: int, step: str = "") -> Gradient:
    """The gradient by equinox's checkpointed loop, with the step written in the first way."""
    jax, models = models_of(problem, step)
    return compiled(jax, problem, next(iter(models.values())), checkpointed(jax, problem.n_steps, checkpoints))


def models_of(problem: Problem, step: str = "") -> tuple[Any, dict[str, Callable[..., Scanned]]]:
    import jax

    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    if problem.name == "wave":
        return jax, wave(jnp, problem, step == "roll")
    if problem.name == "network":
        return jax, network(jax, problem)
    written = "numbers" if problem.name == "lorenz" else ""
    return jax, {written: lambda *parameters: problem.model(library(jax), *parameters)}


def compiled(jax: Any, problem: Problem, model: Callable[..., Scanned], run: Callable[[Scanned], Any]) -> Gradient:
    def loss(*parameters: Any) -> Any:
        scanned = model(*parameters)
        return scanned.loss(*run(scanned))

    both = jax.jit(jax.value_and_grad(loss, argnums=tuple(range(len(problem.parameters)))))

    def gradient() -> tuple[Any, ...]:
        value, cts = jax.block_until_ready(both(*problem.parameters))
        return value, *cts

    return gradient

"""Other tools on the same problems at the same memory, each in a fresh process. Prints JSON.

``python -m benchmarks.rivals torch lorenz`` reads ``{"quick": false, "budgets": [...]}`` from standard input.

What counts as memory, for each tool: the bytes that it holds for the way back. For PyTorch the tensors that autograd
saves (its graph is not counted, which favours it); for JAX and equinox the temporary buffers of the compiled gradient,
less those of a gradient over one step; for pyrevolve its checkpoints, and by hand it records nothing. In each tool the
fastest setting that fits is taken. Compilation is not timed.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from time import process_time
from typing import Any

import numpy as np

from benchmarks.study_problems import COURANT, DT, PROBLEMS, SMALL_SIZES, Problem, lorenz_flow

ROUNDS = 5


@dataclass(frozen=True)
class Setting:
    """A rival set up in one way: its gradient, the bytes that it holds, and how often it evaluates the step."""

    label: str
    n_bytes: int
    gradient: Callable[[], tuple[Any, ...]]
    steps: int | None = None


# --- the steps, for libraries whose arrays look like NumPy's ----------------------------------------------------------
@dataclass(frozen=True)
class Model:
    """A problem taken apart: the state at the start, what every step reads, a step, and the loss of the last state."""

    start: Callable[..., tuple[Any, ...]]
    read: Callable[..., tuple[Any, ...]]
    step: Callable[..., tuple[Any, ...]]
    loss: Callable[..., Any]


def model(problem: Problem, xp: Any, add_inside: Callable[[Any, Any], Any]) -> Model:
    """The problem in a library; ``add_inside(a, b)`` is ``a[1:-1, 1:-1] += b`` there."""
    data = {name: xp.asarray(value) for name, value in problem.constants.items()}

    def lorenz_step(carried: Any, *rates: Any) -> Any:
        u, total = carried
        k1 = lorenz_flow(u, *rates, xp.stack)
        k2 = lorenz_flow(u + DT / 2 * k1, *rates, xp.stack)
        k3 = lorenz_flow(u + DT / 2 * k2, *rates, xp.stack)
        k4 = lorenz_flow(u + DT * k3, *rates, xp.stack)
        u = u + DT / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return u, total + DT * ((u - data["target"]) ** 2).sum()

    def wave_step(fields: Any, factor: Any) -> Any:
        before, now = fields
        middle = now[1:-1, 1:-1]
        around = now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2]
        return now, add_inside(2 * now - before, factor * (around - 4 * middle))

    def network_step(carried: Any, weights: Any, bias: Any) -> Any:
        return (xp.tanh(weights @ carried[0] + bias),)

    zero = xp.asarray(np.zeros(()))
    return {
        "lorenz": Model(
            lambda start, rates: (start, zero), lambda start, rates: tuple(rates), lorenz_step, lambda last: last[1]
        ),
        "wave": Model(
            lambda velocity: (data["pulse"], data["pulse"]),
            lambda velocity: ((COURANT * velocity[1:-1, 1:-1]) ** 2,),
            wave_step,
            lambda last: ((last[1] - data["target"]) ** 2).mean(),
        ),
        "network": Model(
            lambda weights, bias, start: (start,),
            lambda weights, bias, start: (weights, bias),
            network_step,
            lambda last: ((last[0] - data["target"]) ** 2).sum(),
        ),
    }[problem.name]


# --- PyTorch ----------------------------------------------------------------------------------------------------------
def torch_settings(problem: Problem, budgets: list[int]) -> Iterator[Setting]:
    """Segments by torch.utils.checkpoint, as long as fit."""
    import torch
    from torch.utils.checkpoint import checkpoint

    torch.set_num_threads(1)

    def add_inside(a: Any, b: Any) -> Any:
        a[1:-1, 1:-1] += b
        return a

    m = model(problem, torch, add_inside)
    n = problem.n_steps

    def segment(state: Any, read: Any, length: int) -> Any:
        for _ in range(length):
            state = m.step(state, *read)
        return state

    def gradient(length: int) -> tuple[Any, ...]:
        parameters = [torch.tensor(p, requires_grad=True) for p in problem.parameters]
        state, read = m.start(*parameters), m.read(*parameters)
        if length == n:
            state = segment(state, read, n)
        else:
            for begin in range(0, n, length):
                steps = min(length, n - begin)
                state = checkpoint(segment, state, read, steps, use_reentrant=False, preserve_rng_state=False)
        m.loss(state).backward()
        return tuple(p.grad.numpy() for p in parameters)

    state_bytes, residual_bytes = torch_weights(torch, m, problem)
    lengths = {}
    for budget in budgets:
        held = {
            k: (n * residual_bytes if k == n else -(-n // k) * state_bytes + k * residual_bytes)
            for k in range(1, n + 1)
        }
        fitting = [k for k, n_bytes in held.items() if n_bytes <= budget]
        if fitting:
            lengths[max(fitting)] = held[max(fitting)]
    for k, n_bytes in lengths.items():
        label = "no checkpoints" if k == n else f"segments of {k}"
        steps = n if k == n else 2 * n
        yield Setting(label, n_bytes, lambda k=k: gradient(k), steps)


def torch_weights(torch: Any, m: Model, problem: Problem) -> tuple[int, int]:
    """Bytes of a state, and of what autograd saves for one step more, without the parameters."""
    parameters = [torch.tensor(p, requires_grad=True) for p in problem.parameters]
    own = {p.untyped_storage().data_ptr() for p in parameters}

    def weigh(tensors: Any) -> int:
        return sum({s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in tensors)}.values())

    def saved(steps: int) -> int:
        kept: list[Any] = []

        def pack(tensor: Any) -> Any:
            kept.append(tensor)
            return tensor

        state, read = m.start(*parameters), m.read(*parameters)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            for _ in range(steps):
                state = m.step(state, *read)
        return weigh(t for t in kept if t.untyped_storage().data_ptr() not in own)

    return weigh(m.step(m.start(*parameters), *m.read(*parameters))), saved(4) - saved(3)


# --- JAX and equinox --------------------------------------------------------------------------------------------------
def jax_settings(problem: Problem, budgets: list[int]) -> Iterator[Setting]:
    """Two nested scans with remat around the inner one, and perhaps around the step."""
    jax, m = jax_model(problem)
    n = problem.n_steps

    def loss(segments: int, inner_remat: bool, remat: bool) -> Callable[..., Any]:
        def function(*parameters: Any) -> Any:
            read = m.read(*parameters)

            def step(state: Any, _: None) -> Any:
                return m.step(state, *read), None

            body = jax.checkpoint(step) if inner_remat else step

            def segment(state: Any, _: None) -> Any:
                return jax.lax.scan(body, state, None, n // segments)

            outer = jax.checkpoint(segment) if remat else segment
            last, _ = jax.lax.scan(outer, m.start(*parameters), None, segments)
            return m.loss(last)

        return function

    base = one_step_bytes(jax, m, problem)
    for segments in (k for k in range(1, n + 1) if n % k == 0):
        for inner in (False, True):
            if segments == 1:
                label, evaluations = ("one scan", 2 * n if inner else n)
                function = loss(1, inner, False)
            else:
                label, evaluations = f"{segments} scans of {n // segments}", (3 * n if inner else 2 * n)
                function = loss(segments, inner, True)
            label += ", remat of steps" if inner else ""
            yield compiled(jax, function, problem, label, base=base, steps=evaluations)


def equinox_settings(problem: Problem, budgets: list[int]) -> Iterator[Setting]:
    """equinox's checkpointed scan, with numbers of checkpoints at equal ratios."""
    import equinox.internal as eqxi

    jax, m = jax_model(problem)
    n = problem.n_steps

    def loss(checkpoints: int) -> Callable[..., Any]:
        def function(*parameters: Any) -> Any:
            read = m.read(*parameters)

            def step(state: Any, _: Any) -> Any:
                return m.step(state, *read), None

            indices = jax.numpy.arange(n)
            last, _ = eqxi.scan(step, m.start(*parameters), indices, n, kind="checkpointed", checkpoints=checkpoints)
            return m.loss(last)

        return function

    base = one_step_bytes(jax, m, problem)
    for checkpoints in sorted({round(4 * (n / 4) ** (k / 9)) for k in range(10)}):
        yield compiled(jax, loss(checkpoints), problem, f"{checkpoints} checkpoints", base=base, steps=None)


def jax_model(problem: Problem) -> tuple[Any, Model]:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax, model(problem, jax.numpy, lambda a, b: a.at[1:-1, 1:-1].add(b))


def compiled(
    jax: Any, loss: Callable[..., Any], problem: Problem, label: str, *, base: int, steps: int | None
) -> Setting:
    gradient = jax.jit(jax.grad(loss, argnums=tuple(range(len(problem.parameters)))))
    code = gradient.lower(*problem.parameters).compile()
    n_bytes = max(0, code.memory_analysis().temp_size_in_bytes - base)
    return Setting(label, n_bytes, lambda: jax.block_until_ready(code(*problem.parameters)), steps)


def one_step_bytes(jax: Any, m: Model, problem: Problem) -> int:
    def loss(*parameters: Any) -> Any:
        return m.loss(m.step(m.start(*parameters), *m.read(*parameters)))

    return compiled(jax, loss, problem, "", base=0, steps=1).n_bytes


# --- pyrevolve --------------------------------------------------------------------------------------------------------
def pyrevolve_settings(problem: Problem, budgets: list[int]) -> Iterator[Setting]:
    """pyrevolve around NumPy steps, whose adjoints are written by hand."""
    import pyrevolve

    from benchmarks.by_hand import by_hand

    n = problem.n_steps

    class State(pyrevolve.Checkpoint):
        """The live state as pyrevolve copies it."""

        def __init__(self, arrays: list[np.ndarray]) -> None:
            self.arrays = arrays

        @property
        def dtype(self) -> Any:
            return np.float64

        @property
        def size(self) -> int:
            return sum(a.size for a in self.arrays)

        def get_data(self, timestep: int) -> list[np.ndarray]:
            return self.arrays

        def get_data_location(self, timestep: int) -> list[np.ndarray]:
            return self.arrays

    class Forward(pyrevolve.Operator):
        def __init__(self, steps: Any, state: State) -> None:
            self.steps, self.state, self.count = steps, state, 0

        def apply(self, t_start: int, t_end: int, **_: Any) -> None:
            for _k in range(t_start, t_end):
                self.steps.before = tuple(a.copy() for a in self.state.arrays) if _k == t_end - 1 else None
                new = self.steps.advance(tuple(self.state.arrays))
                for array, value in zip(self.state.arrays, new, strict=True):
                    array[...] = value
            self.count += t_end - t_start

    class Reverse(pyrevolve.Operator):
        def __init__(self, steps: Any) -> None:
            self.steps, self.started = steps, False

        def apply(self, t_start: int, t_end: int, **_: Any) -> None:
            self.steps.reverse()

    counts: dict[int, int] = {}

    def gradient(slots: int) -> tuple[Any, ...]:
        steps = by_hand(problem)
        state = State([np.array(a) for a in steps.start])
        forward = Forward(steps, state)
        revolver = pyrevolve.MemoryRevolver(state, forward, Reverse(steps), slots, n)
        revolver.apply_forward()
        steps.turn(tuple(state.arrays))
        revolver.apply_reverse()
        counts[slots] = forward.count
        return steps.gradient()

    state_bytes = 8 * State([np.array(a) for a in by_hand(problem).start]).size
    for slots in sorted({min(n - 1, budget // state_bytes) for budget in budgets}):
        gradient(slots)
        yield Setting(f"{slots} checkpoints", slots * state_bytes, lambda slots=slots: gradient(slots), counts[slots])


# --- measuring --------------------------------------------------------------------------------------------------------
RIVALS: dict[str, tuple[Callable[[Problem, list[int]], Iterator[Setting]], tuple[str, ...]]] = {
    "torch": (torch_settings, ("torch",)),
    "jax": (jax_settings, ("jax", "jaxlib")),
    "equinox": (equinox_settings, ("equinox", "jax", "jaxlib")),
    "pyrevolve": (pyrevolve_settings, ("pyrevolve",)),
}


def measure(rival: str, problem: Problem, budgets: list[int]) -> dict[str, Any]:
    """The settings that are of use at some budget, timed; and the fastest that fits at each."""
    settings, packages = RIVALS[rival]
    _, reference = problem.gradient(*problem.parameters, policy="none")
    timed = []
    for setting in settings(problem, budgets):
        if setting.n_bytes > budgets[-1]:
            continue
        worst = max(
            float(np.max(np.abs(np.asarray(f) - e)) / np.max(np.abs(e)))
            for f, e in zip(setting.gradient(), reference, strict=True)
        )
        if not worst < 1e-8:
            raise SystemExit(f"{rival}, {setting.label}: its gradient is off by {worst:.1e} of the largest entry")
        seconds = []
        for _ in range(ROUNDS):
            gc.collect()
            begin = process_time()
            setting.gradient()
            seconds.append(process_time() - begin)
        timed.append(
            {
                "setting": setting.label,
                "bytes": setting.n_bytes,
                "seconds": median(seconds),
                "steps": setting.steps,
                "difference": worst,
            }
        )
        print(f"  {rival} {timed[-1]}", file=sys.stderr, flush=True)
    rows = []
    for budget in budgets:
        fitting = [t for t in timed if t["bytes"] <= budget]
        rows.append({"budget_bytes": budget, **min(fitting, key=lambda t: t["seconds"])} if fitting else None)
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {"rival": rival, "versions": versions, "settings": timed, "budgets": rows}


def main() -> None:
    """Measure one rival on one problem."""
    rival, name = sys.argv[1:]
    asked = json.load(sys.stdin)
    problem = PROBLEMS[name](**(SMALL_SIZES[name] if asked["quick"] else {}))
    print(json.dumps(measure(rival, problem, asked["budgets"])))


if __name__ == "__main__":
    main()

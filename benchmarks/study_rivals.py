"""Other tools on the same problems at the same memory, each in a fresh process. Prints JSON.

``python -m benchmarks.study_rivals torch lorenz`` reads ``{"quick": false, "budgets": [...]}`` from standard input.

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

from benchmarks.problems import PROBLEMS
from benchmarks.problems.problem import Problem, Scanned, difference
from benchmarks.study import STUDIED

ROUNDS = 5


@dataclass(frozen=True)
class Setting:
    """A rival set up in one way: its gradient, the bytes that it holds, and how often it evaluates the step."""

    label: str
    n_bytes: int
    gradient: Callable[[], tuple[Any, ...]]
    steps: int | None = None


# --- PyTorch ----------------------------------------------------------------------------------------------------------
def torch_settings(problem: Problem, budgets: list[int]) -> Iterator[Setting]:
    """Segments by torch.utils.checkpoint, as long as fit."""
    from benchmarks.rivals.by_torch import segmented

    n = problem.n_steps
    state_bytes, residual_bytes = torch_weights(problem)
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
        yield Setting(label, n_bytes, segmented(problem, k), n if k == n else 2 * n)


def torch_weights(problem: Problem) -> tuple[int, int]:
    """Bytes of a state, and of what autograd saves for one step more, without the parameters."""
    from benchmarks.rivals.by_torch import library, steps

    lib = library()
    torch = lib.xp
    parameters = [torch.tensor(p, requires_grad=True) for p in problem.parameters]
    own = {p.untyped_storage().data_ptr() for p in parameters}
    model = problem.model(lib, *parameters)

    def weigh(tensors: Any) -> int:
        return sum({s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in tensors)}.values())

    def saved(count: int) -> int:
        kept: list[Any] = []

        def pack(tensor: Any) -> Any:
            kept.append(tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            steps(model, model.start, 0, count)
        return weigh(t for t in kept if t.untyped_storage().data_ptr() not in own)

    state, _ = steps(model, model.start, 0, 1)
    return weigh([state] if torch.is_tensor(state) else state), saved(4) - saved(3)


# --- JAX and equinox --------------------------------------------------------------------------------------------------
def jax_settings(problem: Problem, budgets: list[int]) -> Iterator[Setting]:
    """Two nested scans with remat around the inner one, and perhaps around the step."""
    jax, model = jax_model(problem)
    n = problem.n_steps

    def loss(segments: int, inner_remat: bool, remat: bool) -> Callable[..., Any]:
        def function(*parameters: Any) -> Any:
            m = model(*parameters)
            body = jax.checkpoint(m.step) if inner_remat else m.step

            def segment(state: Any, _: None) -> Any:
                return jax.lax.scan(body, state, None, n // segments)

            outer = jax.checkpoint(segment) if remat else segment
            last, ys = jax.lax.scan(outer, m.start, None, segments)
            return m.loss(last, jax.tree.map(lambda y: y.reshape(n, *y.shape[2:]), ys))

        return function

    base = one_step_bytes(jax, model, problem)
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
    from benchmarks.rivals.xla import checkpointed

    jax, model = jax_model(problem)
    n = problem.n_steps

    def loss(checkpoints: int) -> Callable[..., Any]:
        def function(*parameters: Any) -> Any:
            m = model(*parameters)
            return m.loss(*checkpointed(jax, n, checkpoints)(m))

        return function

    base = one_step_bytes(jax, model, problem)
    for checkpoints in sorted({round(4 * (n / 4) ** (k / 9)) for k in range(10)}):
        yield compiled(jax, loss(checkpoints), problem, f"{checkpoints} checkpoints", base=base, steps=None)


def jax_model(problem: Problem) -> tuple[Any, Callable[..., Scanned]]:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    import jax

    from benchmarks.rivals.xla import library

    jax.config.update("jax_enable_x64", True)
    return jax, lambda *parameters: problem.model(library(jax), *parameters)


def compiled(
    jax: Any, loss: Callable[..., Any], problem: Problem, label: str, *, base: int, steps: int | None
) -> Setting:
    gradient = jax.jit(jax.grad(loss, argnums=tuple(range(len(problem.parameters)))))
    code = gradient.lower(*problem.parameters).compile()
    n_bytes = max(0, code.memory_analysis().temp_size_in_bytes - base)
    return Setting(label, n_bytes, lambda: (0.0, *jax.block_until_ready(code(*problem.parameters))), steps)


def one_step_bytes(jax: Any, model: Callable[..., Scanned], problem: Problem) -> int:
    def loss(*parameters: Any) -> Any:
        m = model(*parameters)
        state, y = m.step(m.start, None)
        return m.loss(state, None if y is None else y[None])

    return compiled(jax, loss, problem, "", base=0, steps=1).n_bytes


# --- pyrevolve --------------------------------------------------------------------------------------------------------
def pyrevolve_settings(problem: Problem, budgets: list[int]) -> Iterator[Setting]:
    """pyrevolve around steps and adjoints by hand in Numba."""
    from benchmarks.rivals.by_pyrevolve import revolved
    from benchmarks.rivals.hand import PARTS

    state_bytes = PARTS[problem.name](problem).start.nbytes
    for slots in sorted({min(problem.n_steps - 1, budget // state_bytes) for budget in budgets}):
        gradient, run = revolved(problem, slots)
        gradient()
        yield Setting(f"{slots} checkpoints", slots * state_bytes, gradient, run["steps"])


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
        worst = difference(tuple(map(np.asarray, setting.gradient()))[1:], reference)
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
    problem = PROBLEMS[name][0](**STUDIED["quick" if asked["quick"] else "full"][name])
    print(json.dumps(measure(rival, problem, asked["budgets"])))


if __name__ == "__main__":
    main()

"""PyTorch: a Python loop, recorded as a whole or in segments by torch.utils.checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.problems import root
from benchmarks.problems.problem import Library, Problem, Scanned
from benchmarks.rivals.rival import Gradient, Rival


def library() -> Library:
    """PyTorch for the steps that are written once for all libraries."""
    import torch

    torch.set_num_threads(1)

    def add_inside(a: Any, b: Any) -> Any:
        a = a.clone()
        a[(slice(1, -1),) * a.ndim] += b
        return a

    return Library(torch, lambda x: torch.tensor(np.ascontiguousarray(x)), add_inside)


def steps(model: Scanned, state: Any, begin: int, end: int) -> tuple[Any, list[Any]]:
    """The state after some steps, and what they gave out."""
    ys = []
    for k in range(begin, end):
        state, y = model.step(state, None if model.xs is None else tuple(x[k] for x in model.xs))
        ys.append(y)
    return state, ys


def segmented(problem: Problem, length: int) -> Gradient:
    """The gradient with a snapshot before every so many steps, and none if that is all of them."""
    lib = library()
    torch, n = lib.xp, problem.n_steps
    from torch.utils.checkpoint import checkpoint

    def gradient() -> tuple[Any, ...]:
        parameters = [torch.tensor(p, requires_grad=True) for p in problem.parameters]
        model = problem.model(lib, *parameters)
        run: Callable[..., Any] = steps
        if length < n:
            run = lambda *a: checkpoint(steps, *a, use_reentrant=False, preserve_rng_state=False)  # noqa: E731
        state, ys = model.start, []
        for begin in range(0, n, length):
            state, more = run(model, state, begin, min(begin + length, n))
            ys += more
        value = model.loss(state, None if ys[0] is None else torch.stack(ys))
        value.backward()
        return value.item(), *(p.grad.numpy() for p in parameters)

    return gradient


def _labels(n: int) -> tuple[str, ...]:
    return ("no checkpoints", f"segments of {root(n)}")


def _make(problem: Problem, label: str) -> Any:
    n = problem.n_steps
    gradient = segmented(problem, n if label == "no checkpoints" else int(label.rsplit(maxsplit=1)[-1]))
    return lambda: gradient


TORCH = Rival("PyTorch", ("torch",), _labels, _make)

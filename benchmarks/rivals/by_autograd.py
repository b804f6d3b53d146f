"""autograd: a Python loop over arrays that nothing is assigned to."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.problems.problem import Library, Problem
from benchmarks.rivals.by_torch import steps
from benchmarks.rivals.rival import Gradient, Rival


def _make(problem: Problem, label: str) -> Any:
    import autograd
    import autograd.numpy as anp

    def add_inside(a: Any, b: Any) -> Any:
        """With zeros around b, one axis after another."""
        for axis in range(a.ndim):
            zeros = np.zeros([1 if k == axis else size for k, size in enumerate(b.shape)])
            b = anp.concatenate((zeros, b, zeros), axis)
        return a + b

    library = Library(anp, lambda x: x, add_inside)

    def loss(*parameters: Any) -> Any:
        model = problem.model(library, *parameters)
        state, ys = steps(model, model.start, 0, problem.n_steps)
        return model.loss(state, None if ys[0] is None else anp.stack(ys))

    both = autograd.value_and_grad(loss, argnum=tuple(range(len(problem.parameters))))

    def gradient() -> tuple[Any, ...]:
        value, cts = both(*problem.parameters)
        return value, *cts

    found: Gradient = gradient
    return lambda: found


AUTOGRAD = Rival("autograd", ("autograd",), lambda n: ("no checkpoints",), _make)

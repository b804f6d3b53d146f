"""One measurement, in the process that it has for itself; ``python -m benchmarks`` starts it and reads its JSON.

``python -m benchmarks.measure heat small jax "scan, checkpoint" REFERENCE`` measures a rival and compares its gradient
with that in the file; ``python -m benchmarks.measure heat small reference tape REFERENCE`` writes the file, by the tape
(or by hand), and compares it with a complex step, or where numbers must be real with central differences.
"""

from __future__ import annotations

import gc
import json
import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from time import process_time
from typing import Any

import numpy as np

from benchmarks.problems import made, shortened
from benchmarks.problems.problem import Problem, difference
from benchmarks.process_memory import growth
from benchmarks.rivals import OURS, RIVALS

SAMPLE = 2e-3
"""A call that is shorter than so many seconds is repeated until it is not."""

ROUNDS, LONG_ENOUGH = (3, 15), 1.0
"""At least and at most so many rounds; no more when they took so many seconds."""

STEP, REAL_STEP = 1e-30, 1e-4


# --- the reference ----------------------------------------------------------------------------------------------------
def reference(problem: Problem, by: str, file: Path) -> dict[str, Any]:
    """Write value and gradient, and tell how far the gradient along a direction is from what other means say."""
    begin = process_time()
    if by == "tape":
        value, cts = problem.gradient(*problem.parameters, compile=False)
    else:
        value, *cts = RIVALS[by].make(problem, RIVALS[by].labels(problem.n_steps)[0])()()
    seconds = process_time() - begin
    with file.open("wb") as out:
        np.savez(out, value, *cts)
    rng = np.random.default_rng(1)
    direction = [np.max(np.abs(p)) * rng.normal(size=p.shape) for p in problem.parameters]
    means, slope = along(problem, direction)
    found = sum(float(np.sum(ct * d)) for ct, d in zip(cts, direction, strict=True))
    size = math.sqrt(sum(float(np.sum((ct * d) ** 2)) for ct, d in zip(cts, direction, strict=True)))
    return {"by": by, "seconds": seconds, "checked_by": means, "error": abs(found - slope) / size}


def along(problem: Problem, direction: list[np.ndarray]) -> tuple[str, float]:
    """The derivative of the loss along a direction, without anything that is to be measured: by which means, and what.

    Central differences are extrapolated from two steps, so that their error is of order step⁴.
    """

    def loss(step: complex) -> Any:
        moved = [p + step * d for p, d in zip(problem.parameters, direction, strict=True)]
        return problem.loss(*moved, policy="none", compile=False)

    try:
        return "complex step", float(np.imag(loss(1j * STEP))) / STEP
    except Exception:  # real arrays that the user makes take no complex numbers, whatever that raises
        wide, narrow = ((loss(h) - loss(-h)) / (2 * h) for h in (2 * REAL_STEP, REAL_STEP))
        return "central differences", float((4 * narrow - wide) / 3)


# --- a rival ----------------------------------------------------------------------------------------------------------
def measured(problem: Problem, short: Problem, rival: str, label: str, file: Path) -> dict[str, Any]:
    """CPU seconds of the first call and of later ones, peak memory of one, and the difference from the reference.

    Memory is that of the first call that compiles nothing: of all steps after a call of few, which is the same code; or
    where the number of steps is compiled in, of the second call of all.
    """
    tool = RIVALS[rival]
    begin = process_time()
    make = tool.make(problem, label)
    (make if tool.knows_steps else tool.make(short, label))()()
    prepared = process_time() - begin
    results: list[tuple[Any, ...]] = []
    begin = process_time()
    grown = growth(lambda: results.append(make()()))
    first = prepared + (0.0 if tool.knows_steps else process_time() - begin)
    found = tuple(map(np.array, results.pop()))
    seconds = timed(make())
    with np.load(file) as kept:
        expected = tuple(kept[name] for name in kept.files)
    parts = len(expected) if tool.differentiates else 1
    spread = quantiles(seconds, n=4)
    result = {
        "seconds": median(seconds),
        "quartiles": [spread[0], spread[2]],
        "rounds": len(seconds),
        "first_call_seconds": first,
        "peak_bytes": grown,
        "difference": difference(found, expected[:parts]),
    }
    return result | (held(make()) if rival in OURS else {})


def timed(gradient: Callable[[], Any]) -> list[float]:
    """CPU seconds of a call, in some rounds."""
    begin = process_time()
    gradient()
    repeats = max(1, math.ceil(SAMPLE / max(process_time() - begin, 1e-9)))
    seconds: list[float] = []
    while len(seconds) < ROUNDS[0] or (len(seconds) < ROUNDS[1] and sum(seconds) * repeats < LONG_ENOUGH):
        gc.collect()
        begin = process_time()
        for _ in range(repeats):
            gradient()
        seconds.append((process_time() - begin) / repeats)
    return seconds


def held(gradient: Callable[[], Any]) -> dict[str, Any]:
    """What the loop reports of itself: the bytes of snapshots and residuals, the steps run, whether it was compiled."""
    import unspool

    with unspool.observe() as log:
        gradient()
    return {
        "held_bytes": log[0].peak_bytes,
        "steps": log[0].steps,
        "policy": str(log[0].policy),
        "compiled": log[0].compiled,
    }


def main() -> None:
    """Measure what the arguments say, and print it."""
    name, size, rival, label, file = sys.argv[1:]
    problem = made(name, size)
    with tempfile.TemporaryDirectory() as cache:
        from unspool.codegen import disk_cache

        disk_cache.directory = lambda: Path(cache) / "unspool"  # the first call compiles, whatever ran before
        if rival == "reference":
            found = reference(problem, label, Path(file))
            found |= {"title": problem.title, "n_steps": problem.n_steps, "tolerance": problem.tolerance}
            found["numbers"] = sum(p.size for p in problem.parameters)
        else:
            found = measured(problem, shortened(name, size), rival, label, Path(file))
    print(json.dumps(found))


if __name__ == "__main__":
    main()

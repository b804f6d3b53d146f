"""Loops that can be differentiated: fori_loop, scan and while_loop in JAX's shapes, with a policy.

A loop is one node on the tape around it; what the way back keeps is the policy's choice, and the gradient is the same
to the last bit whatever it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from unspool.closure import Captures, Capturing, standing_in
from unspool.codegen.fallback import Condition, FlatStep, Steps, Surroundings
from unspool.errors import PolicyError, StateError, UnsupportedError
from unspool.generators import Carried, FlatBody, is_generator
from unspool.ir.listener import Traced, refuse_subclass, resolve
from unspool.loop import Loop, plain_state
from unspool.loop_inputs import (
    Policy,
    as_mode,
    as_number,
    as_policy,
    as_threads,
    n_rows,
    returned_leaves,
    state_leaves,
    step_name,
)
from unspool.loop_rules import run_loop
from unspool.memory import Memory
from unspool.planner import Auto, Plan
from unspool.probe import Probe
from unspool.replay import as_check
from unspool.schedules.recompute import Recompute
from unspool.tree import Structure, flatten


def fori_loop(
    lower: int,
    upper: int,
    body_fun: Callable[[int, Any], Any],
    init_val: Any,
    *,
    policy: Policy | None = None,
    memory: Memory = None,
    compile: bool | str = "auto",
    threads: int | None = None,
    check: str = "digest",
    check_finite: bool = False,
    progress: bool = False,
) -> Any:
    """``for i in range(lower, upper): val = body_fun(i, val)``; returns the last val.

    ``init_val`` is an array or any nest of arrays; ``body_fun`` returns the same structure, shapes and dtypes. Arrays
    that the body takes from the code around it get their gradient too. ``policy`` says what the way back keeps: a
    `Schedule`, or "none" (keep all), "every-k", "revolve-c", ... (see `unspool.schedules`); the gradient is the same
    to the last bit. ``progress`` shows a bar. ``threads`` (from 1 to 256; None is 1) share the large loops of a
    compiled step, with the same bits for any number of them; loops on a few numbers and on the tape take one. A state
    may hold `numpy.random.Generator`: its draws are replayed, and it ends where a plain loop would leave it.

    Where a state is computed again, it is compared with what it was, and `ReplayError` names the first difference.
    ``check="digest"`` compares all bits at the snapshots of the sweep and at its end, and between them those of 1024
    elements of each array of more than 64 KiB; "sample" does that everywhere; "off" nowhere. A compiled loop needs no
    check: machine code reads nothing but its arguments. ``check_finite`` raises `NonFiniteError` where a NaN or an
    infinity is born that reaches a state, an output or a gradient, and names step, primitive, line and index; the loop
    is not compiled then, and several times as slow.

    Raises `StateError` when the state changes its type, `InputError` for another number of threads, and whatever the
    body raises, with the step number added.

    >>> import numpy as np, unspool
    >>> def decayed(rate):
    ...     return unspool.fori_loop(0, 100, lambda i, u: u - 0.01 * rate * u, 1.0, policy="revolve-5")
    >>> unspool.grad(decayed)(0.5).round(6)
    np.float64(-0.608815)
    """
    lower, upper = as_number(lower, "lower"), as_number(upper, "upper")
    if upper < lower:
        raise PolicyError(f"fori_loop from {lower} to {upper}: the number of steps would be negative")
    leaves, structure, carried = state_leaves(init_val, "fori_loop")

    def flat(body: Any) -> FlatBody:
        return lambda k, state, inputs: (
            returned_leaves(body(lower + k, structure.unflatten(state)), structure, "fori_loop", k),
            [],
        )

    loop = _loop(
        "fori_loop",
        flat,
        body_fun,
        structure,
        carried,
        n_steps=upper - lower,
        policy=policy,
        memory=memory,
        compile=compile,
        threads=threads,
        check=check,
        check_finite=check_finite,
        progress=progress,
        about=(lower,),
    )
    final, _ = run_loop(loop, leaves, [])
    return structure.unflatten(final if carried is None else carried.given_back(final))


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    *,
    policy: Policy | None = None,
    memory: Memory = None,
    compile: bool | str = "auto",
    threads: int | None = None,
    check: str = "digest",
    check_finite: bool = False,
    progress: bool = False,
) -> tuple[Any, Any]:
    """Carry a state over the rows of xs: ``carry, y = f(carry, x)``; returns the last carry and the ys, stacked.

    ``xs`` is a nest of arrays whose first axis counts the steps, or None with a ``length``; x is None then. Gradients
    go to ``init``, to every row of ``xs``, through every y, and to arrays that f takes from the code around it.
    The keywords are those of `fori_loop`.

    >>> import numpy as np, unspool
    >>> def walk(forces):
    ...     position, path = unspool.scan(lambda u, f: (u + f, u * f), 0.0, forces, policy="every-2")
    ...     return np.sum(path)
    >>> unspool.grad(walk)(np.array([1.0, 2.0, 3.0]))
    array([5., 4., 3.])
    """
    leaves, structure, carried = state_leaves(init, "scan")
    rows, inputs_structure = flatten(xs)
    for row, path in zip(rows, inputs_structure.paths(), strict=True):
        refuse_subclass(row, f"xs{path} of scan")
    rows = [row if isinstance(row, Traced) else np.asarray(row) for row in rows]
    n = n_rows(rows, length)
    found: list[Structure] = []

    def flat(body: Any) -> FlatBody:
        def function(k: int, state: list[Any], inputs: list[Any]) -> tuple[list[Any], list[Any]]:
            result = body(structure.unflatten(state), inputs_structure.unflatten(inputs))
            if not isinstance(result, tuple) or len(result) != 2:
                raise StateError(f"the step of scan returned {type(result).__name__}; it must return a pair (carry, y)")
            outputs, outputs_structure = flatten(result[1])
            if found and found[0] != outputs_structure:
                raise StateError(f"the output of scan was {found[0]} and became {outputs_structure} in {step_name(k)}")
            found[:] = [outputs_structure]
            return returned_leaves(result[0], structure, "scan", k), outputs

        return function

    loop = _loop(
        "scan",
        flat,
        f,
        structure,
        carried,
        n_steps=n,
        policy=policy,
        memory=memory,
        compile=compile,
        threads=threads,
        check=check,
        check_finite=check_finite,
        progress=progress,
        about=(inputs_structure,),
        outputs=found,
    )
    if n == 0:
        return init, _no_outputs(loop, leaves, rows, found)
    final, ys = run_loop(loop, leaves, rows)
    carry = structure.unflatten(final if carried is None else carried.given_back(final))
    return carry, found[0].unflatten(ys)


def while_loop(
    cond_fun: Callable[[Any], Any],
    body_fun: Callable[[Any], Any],
    init_val: Any,
    *,
    policy: Policy | None = None,
    memory: Memory = None,
    compile: bool | str = "auto",
    check: str = "digest",
    check_finite: bool = False,
    progress: bool = False,
) -> Any:
    """``while cond_fun(val): val = body_fun(val)``; returns the last val.

    The number of steps need not be known: ``policy`` is one that does not ask for it, as "none", "every-k" or
    "online-c". The condition has no derivative; it may branch, and read what the step may read. With ``compile=True``
    its machine code says how many steps there are, which costs a sweep more; with "auto" the loop begins on the tape,
    and again in machine code where it is long. The rest is as in `fori_loop`.

    >>> import numpy as np, unspool
    >>> def root(a):  # Newton's method for the square root
    ...     def better(x):
    ...         return (x + a / x) / 2
    ...     return unspool.while_loop(lambda x: abs(x * x - a) > 1e-12, better, 1.0, policy="online-3")
    >>> unspool.grad(root)(4.0).round(9)
    np.float64(0.25)
    """
    leaves, structure, carried = state_leaves(init_val, "while_loop")

    def flat(body: Any) -> FlatBody:
        return lambda k, state, inputs: (
            returned_leaves(body(structure.unflatten(state)), structure, "while_loop", k),
            [],
        )

    captures = Captures()

    def going(state: list[Any]) -> Any:
        return cond_fun(structure.unflatten(state))

    def condition(state: list[Any], around: Surroundings, truth: Callable[[Any], bool] = bool) -> bool:
        with standing_in(Capturing(captures, around.read), around.listeners):
            return truth(carried.asked(going, state) if carried is not None else going(state))

    loop = _loop(
        "while_loop",
        flat,
        body_fun,
        structure,
        carried,
        n_steps=None,
        policy=policy,
        memory=memory,
        compile=compile,
        check=check,
        check_finite=check_finite,
        progress=progress,
        captures=captures,
        condition=condition,
        going=going,
        asked=cond_fun,
    )
    final, _ = run_loop(loop, leaves, [])
    return structure.unflatten(final if carried is None else carried.given_back(final))


def plan(step: Callable[[int, Any], Any], init: Any, n_steps: int, *, memory: Memory = None) -> Plan:
    """What policy "auto" would do with ``fori_loop(0, n_steps, step, init)`` in this memory, and why.

    Runs the first steps, at most twelve, to weigh a state (bytes) and the residuals of a step (bytes), and to time a
    step forwards and backwards (seconds). Printed, the plan is a table; ``plan.frontier()`` is the curve of memory
    against time. Arrays that the step takes from the code around it are weighed as constants. Raises `BudgetError` with
    the least memory that works.

    >>> import numpy as np, unspool
    >>> chosen = unspool.plan(lambda i, u: np.sin(u), np.ones(1000), 10_000, memory="10 MB")
    >>> chosen.cost.peak_bytes <= chosen.budget_bytes, chosen.cost.steps < 30_000
    (True, True)
    """
    leaves, structure, carried = state_leaves(init, "plan")

    def flat(body: Any) -> FlatBody:
        return lambda k, state, inputs: (returned_leaves(body(k, structure.unflatten(state)), structure, "plan", k), [])

    n = as_number(n_steps, "n_steps")
    if n < 0:
        raise PolicyError(f"plan for {n} steps: the number of steps is negative")
    policy = Auto(memory)
    loop = _loop(
        "plan", flat, step, structure, carried, n_steps=n, policy=None, memory=memory, compile=False, progress=False
    )
    state = plain_state(leaves)
    return Probe(loop.steps(state, [], []).kernels(), state).plan(policy, n, timed=True)


def checkpoint(f: Callable[..., Any], *, check: str = "digest") -> Callable[..., Any]:
    """The same function, of which the tape keeps the arguments only: the way back runs it a second time.

    ``f`` takes and returns any nest of arrays. Memory for its residuals is held only while its own adjoint runs. A
    `numpy.random.Generator` among the arguments draws the same numbers the second time. ``check`` is that of
    `fori_loop`, for the results.

    >>> import numpy as np, unspool
    >>> unspool.grad(lambda x: unspool.checkpoint(lambda y: np.sin(np.exp(y)))(x) ** 2)(0.5).round(6)
    np.float64(-0.255914)
    """

    as_check(check)  # refuses what is none, before the first call

    @wraps(f)
    def recomputed(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = flatten((args, kwargs))
        moving = [k for k, leaf in enumerate(leaves) if isinstance(leaf, Traced)]
        drawing = [k for k, leaf in enumerate(leaves) if is_generator(leaf)]

        def step(generators: Any, rows: list[Any]) -> tuple[Any, Any]:
            here = list(leaves)
            for k, value in zip((*moving, *drawing), (*rows, *generators), strict=True):
                here[k] = value
            positional, named = structure.unflatten(here)
            return generators, f(*positional, **named)

        rows = [np.expand_dims(leaves[k], 0) for k in moving]
        carry = tuple([leaves[k] for k in drawing])
        _, stacked = scan(step, carry, rows, 1, policy=Recompute(), check=check)
        results, results_structure = flatten(stacked)
        return results_structure.unflatten([result[0] for result in results])

    return recomputed


# --- what the public loops share --------------------------------------------------------------------------------------
def _loop(
    name: str,
    flat: Callable[[Any], FlatBody],
    body: Callable[..., Any],
    structure: Structure,
    carried: Carried | None,
    *,
    n_steps: int | None,
    policy: Policy | None,
    memory: Memory,
    compile: bool | str,
    progress: bool,
    threads: int | None = None,
    check: str = "digest",
    check_finite: bool = False,
    captures: Captures | None = None,
    condition: Condition | None = None,
    going: Callable[[list[Any]], Any] | None = None,
    asked: Any = None,
    about: tuple[Any, ...] = (),
    outputs: list[Structure] | None = None,
) -> Loop:
    noted = Captures() if captures is None else captures
    if carried is not None and compile is True:
        raise UnsupportedError(
            f"{name} carries the random generator state{carried.paths[0]}, and compile=True asks for machine code, "
            "which cannot draw from it. Leave compile= away, or draw before the loop and pass xs to scan."
        )

    def flatly(body: Any) -> FlatBody:
        return flat(body) if carried is None else carried.around(flat(body), name)

    def stepping(body: Any) -> FlatStep:
        function = flatly(body)

        def step(k: int, state: list[Any], inputs: list[Any], around: Surroundings) -> tuple[list[Any], list[Any]]:
            with standing_in(Capturing(noted, around.read), around.listeners):
                new, outputs = function(k, state, inputs)
                return [resolve(leaf) for leaf in new], [resolve(leaf) for leaf in outputs]

        return step

    loop = Loop(
        name,
        stepping(body),
        n_steps,
        as_policy(policy, memory),
        structure.paths(),
        noted,
        condition,
        progress,
        as_mode(compile),
        body,
        (*about, structure),
        stepping,
        flatly(body),
        going,
        [] if outputs is None else outputs,
        as_threads(threads),
        as_check(check),
        asked,
    )
    if check_finite:
        from unspool.finite import check_loop  # a tool for a bad day

        return check_loop(loop)
    return loop


def _no_outputs(loop: Loop, init: Sequence[Any], rows: Sequence[Any], found: list[Structure]) -> Any:
    """The outputs of no steps: one step on zeros tells their structure and types."""
    samples = [np.zeros((1, *row.shape[1:]), row.dtype) for row in rows]
    state = plain_state(init)
    steps = Steps(
        loop.step,
        state,
        xs=samples,
        captures=loop.captures,
        values=[],
        n_steps=1,
        names=loop.names,
        loop_name=loop.name,
    )
    with np.errstate(all="ignore"):
        steps.advance(state, 0, 1)
    return found[0].unflatten([y[:0] for y in steps.ys or []])

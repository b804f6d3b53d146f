"""From a function to its derivatives, with JAX's names, argument order and result order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np

from unspool.arguments import (
    Function,
    as_inputs,
    checked_loss,
    directions_like,
    name_of,
    owned,
    pair_of,
    positions_of,
    replaced,
    result_leaves,
    taken_off,
    unflatten,
    without,
    zeros_like,
)
from unspool.errors import InputError, ZeroGradientWarning
from unspool.ir.listener import Traced, bind, fresh, listening, resolve
from unspool.layout import ArrayType
from unspool.ops.convert import copy
from unspool.tangents import Tangents
from unspool.tape import Tape
from unspool.tree import flatten

if TYPE_CHECKING:
    from unspool.memory import Memory
    from unspool.schedules import Schedule

    Policy = str | Schedule | None


def _tape(policy: Policy, memory: Memory, name: str) -> Tape:
    if policy is None and memory is None:
        return Tape()
    from unspool.segments import tape_for  # most programs never forget, and would wait for it

    return tape_for(policy, memory, name)


def _named(positions: Sequence[int]) -> str:
    return f"argument {positions[0]}" if len(positions) == 1 else f"the arguments {', '.join(map(str, positions))}"


def _checked(f: Function) -> Function:
    from unspool.finite import check_finite  # a tool for a bad day

    return check_finite(f, plain=False)


# --- reverse mode -----------------------------------------------------------------------------------------------------
def value_and_grad(
    f: Function,
    argnums: int | Sequence[int] = 0,
    *,
    has_aux: bool = False,
    policy: Policy = None,
    memory: Memory = None,
    check_finite: bool = False,
) -> Function:
    """The function that returns ``(f(*args), gradient)``.

    ``f`` returns one real number, or ``(loss, aux)`` with ``has_aux``. The gradient has the structure, shapes and
    dtypes of the argument ``argnums``, or is a tuple of such for several. With ``has_aux`` the result is ``((loss,
    aux), gradient)``. Raises `InputError` for arguments that are not real or complex floats and for a loss that is not
    one number; warns with `ZeroGradientWarning` if the loss depends on none of the arguments.

    ``policy`` ("every-k", "online-c") or ``memory`` (bytes, "512 MB", ...) bound what is held for the way back: values
    are forgotten and computed again from snapshots, in plain Python loops too, and the gradient is the same to the last
    bit (`unspool.mark`). Raises `BudgetError` where the memory is too little.

    ``check_finite`` listens to every operation and raises `NonFiniteError` where a NaN or an infinity reaches the loss
    or the gradient, with the step, the primitive, the line and the index where it was born: several times as slow, for
    a bad day (`unspool.testing.check_finite`).

    >>> import unspool
    >>> unspool.value_and_grad(lambda p: (p["a"] + p["b"]) * (p["b"] + 1))({"a": 2.0, "b": 1.0})
    (np.float64(6.0), {'a': np.float64(2.0), 'b': np.float64(5.0)})
    """
    name = name_of(f)
    heard = _checked(f) if check_finite else f

    @wraps(f)
    def value_and_gradient(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        positions = positions_of(argnums, len(args))
        values, structures = as_inputs([args[p] for p in positions], positions)
        tape = _tape(policy, memory, name)
        with listening(tape):
            variables = [tape.input(value) for value in values]
            try:
                out = heard(*replaced(args, positions, unflatten(structures, variables)), **kwargs)
                loss, aux = pair_of(out, name) if has_aux else (out, None)
                loss = checked_loss(loss, name)
                node = tape.node_of(loss)
                value, aux = without(tape, loss, copy=False), without(tape, aux, copy=False)
            finally:
                tape.close()
        if node < 0:
            warn(
                f"the result of {name} does not depend on {_named(positions)}: the gradient is zero. Plain numbers, "
                "stop_gradient, rounding, comparisons and counts carry no derivative; compute the loss from the "
                "argument itself, or filter unspool.errors.ZeroGradientWarning if it is meant so.",
                ZeroGradientWarning,
                stacklevel=2,
            )
        seed = np.ones((), value.dtype)[()] if node >= 0 else None
        cts = tape.sweep([(node, seed)], free=True)
        gradients = unflatten(structures, owned(cts, values))
        gradient = gradients[0] if isinstance(argnums, int) else tuple(gradients)
        return ((value, aux), gradient) if has_aux else (value, gradient)

    return value_and_gradient


def grad(
    f: Function,
    argnums: int | Sequence[int] = 0,
    *,
    has_aux: bool = False,
    policy: Policy = None,
    memory: Memory = None,
    check_finite: bool = False,
) -> Function:
    """The function that returns the gradient of ``f``: `value_and_grad` without the value.

    With ``has_aux`` it returns ``(gradient, aux)``. ``policy``, ``memory`` and ``check_finite`` are those of
    `value_and_grad`.

    >>> import unspool
    >>> unspool.grad(lambda x: np.log(x[0]) + x[0] * x[1] - np.sin(x[1]))(np.array([2.0, 5.0])).round(3)
    array([5.5  , 1.716])
    """
    both = value_and_grad(f, argnums, has_aux=has_aux, policy=policy, memory=memory, check_finite=check_finite)

    @wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, result = both(*args, **kwargs)
        return (result, value[1]) if has_aux else result

    return gradient


def vjp(
    f: Function, *primals: Any, has_aux: bool = False, policy: Policy = None, memory: Memory = None
) -> tuple[Any, ...]:
    """``f(*primals)`` and its pullback: a function from a cotangent of the result to a tuple, one entry per primal.

    The pullback may be called any number of times; it holds the residuals as long as it lives. The cotangent has the
    structure, shapes and dtypes of the result; the pairing is Re(sum(ct * v)). With ``has_aux`` the result is
    ``(out, pullback, aux)``. ``policy`` and ``memory`` are those of `value_and_grad`.

    >>> import unspool
    >>> out, pullback = unspool.vjp(lambda a, b: a * b, np.array([1.0, 2.0]), 3.0)
    >>> pullback(np.array([1.0, 1.0]))
    (array([3., 3.]), np.float64(3.0))
    """
    values, structures = as_inputs(primals, range(len(primals)))
    tape = _tape(policy, memory, name_of(f))
    with listening(tape):
        variables = [tape.input(value) for value in values]
        try:
            out = f(*unflatten(structures, variables))
            out, aux = pair_of(out, name_of(f)) if has_aux else (out, None)
            leaves, structure = result_leaves(out, name_of(f))
            nodes = [tape.node_of(leaf) for leaf in leaves]
            results = [taken_off(tape, leaf, copy=True) for leaf in leaves]
            aux = without(tape, aux, copy=True)
        finally:
            tape.close()
    types = [ArrayType.of(result) for result in results]

    def pullback(ct: Any) -> tuple[Any, ...]:
        cts = directions_like(ct, structure, types, "the cotangent")
        back = tape.sweep(zip(nodes, cts, strict=True), free=False)
        return tuple(unflatten(structures, owned(back, values)))

    result = structure.unflatten(results)
    return (result, pullback, aux) if has_aux else (result, pullback)


# --- forward mode -----------------------------------------------------------------------------------------------------
def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any], *, has_aux: bool = False) -> tuple[Any, ...]:
    """``(f(*primals), tangent_out)``: the derivative in the direction of the tangents, by forward mode.

    ``primals`` and ``tangents`` are sequences of equal structure. Nothing is kept: memory does not grow with the
    length of the computation. With ``has_aux`` the result is ``(out, tangent_out, aux)``.

    >>> import unspool
    >>> unspool.jvp(np.sin, (0.0,), (2.0,))
    (np.float64(0.0), np.float64(2.0))
    """
    if not isinstance(primals, list | tuple) or not isinstance(tangents, list | tuple):
        raise InputError("jvp takes two tuples: jvp(f, (x,), (v,))")
    values, structures = as_inputs(primals, range(len(primals)))
    _, whole = flatten(tuple(primals))
    directions = directions_like(tuple(tangents), whole, [ArrayType.of(v) for v in values], "tangents")
    sweep = Tangents()
    with listening(sweep):
        try:
            variables = [sweep.input(v, t) for v, t in zip(values, directions, strict=True)]
            out = f(*unflatten(structures, variables))
            out, aux = pair_of(out, name_of(f)) if has_aux else (out, None)
            leaves, structure = result_leaves(out, name_of(f))
            pairs = [(sweep.primal_of(leaf), sweep.tangent_of(leaf)) for leaf in leaves]
            aux_leaves, aux_structure = flatten(aux)
            aux = aux_structure.unflatten([sweep.primal_of(leaf) for leaf in aux_leaves])
        finally:
            sweep.close()
    results = [value for value, _ in pairs]
    moved = [zeros_like(value) if tangent is None else tangent for value, tangent in pairs]
    answer = structure.unflatten(results), structure.unflatten(moved)
    return (*answer, aux) if has_aux else answer


def stop_gradient(nest: Any) -> Any:
    """The plain values of a nest: constants to every derivative, copied.

    >>> import unspool
    >>> unspool.grad(lambda x: x * unspool.stop_gradient(x))(3.0)
    np.float64(3.0)
    """
    leaves, structure = flatten(nest)
    return structure.unflatten([_constant(leaf) if isinstance(leaf, Traced) else leaf for leaf in leaves])


def _constant(value: Any) -> Any:
    """The plain value; where a step is traced for the compiler, the value below all derivatives."""
    value = resolve(value)
    while isinstance(value, Traced):
        below = fresh(value).value
        if isinstance(below, ArrayType):
            return bind(copy, value)
        value = below
    return np.array(value)[()]

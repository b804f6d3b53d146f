"""From a function to its derivatives, with JAX's names, argument order and result order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from math import prod
from typing import Any

import numpy as np

from unspool.errors import InputError
from unspool.ir.listener import Traced, fresh, listening, primal, resolve, still
from unspool.layout import ArrayType
from unspool.tangents import Tangents
from unspool.tape import Tape
from unspool.tree import Structure, flatten

Function = Callable[..., Any]


# --- arguments and results --------------------------------------------------------------------------------------------
def _input(value: Any, where: str) -> Any:
    """A leaf with respect to which we differentiate: a private copy, so that a later write into it changes nothing."""
    value = resolve(value)
    if isinstance(value, Traced):
        return still(fresh(value))
    if isinstance(value, bool | int | np.bool_ | np.integer) or (
        isinstance(value, np.ndarray) and value.dtype.kind in "biu"
    ):
        raise InputError(
            f"{where} is of type {ArrayType.of(value)}: the derivative with respect to integers or booleans is not "
            "defined. Pass a float (2.0 for 2, x.astype(float)), or leave the argument out of argnums."
        )
    if isinstance(value, float | complex | np.floating | np.complexfloating):
        return np.asarray(value)[()]
    if isinstance(value, np.ndarray) and value.dtype.kind in "fc":
        return _same_layout(value)
    kind = f"dtype {value.dtype}" if isinstance(value, np.ndarray) else f"type {type(value).__name__}"
    raise InputError(
        f"{where} is of {kind}, with respect to which nothing can be differentiated. Pass arrays or floats, nested in "
        "lists, tuples, dicts, dataclasses, or leave the argument out of argnums."
    )


def _same_layout(value: np.ndarray) -> np.ndarray:
    """A copy with the gaps of the array, so that reshape gives a view of it just where it would of the array."""
    dtype = value.dtype.newbyteorder("=")
    contiguous = value.flags.c_contiguous or value.flags.f_contiguous
    reach = [(n - 1) * stride for n, stride in zip(value.shape, value.strides, strict=True)]
    low, high = sum(r for r in reach if r < 0), sum(r for r in reach if r > 0) + value.itemsize
    if contiguous or 0 in value.strides or high - low > 4 * value.nbytes:
        return np.array(value, dtype, order="K", subok=False)
    copy = np.ndarray(value.shape, dtype, np.empty(high - low, np.uint8), -low, value.strides)
    copy[...] = value
    return copy


def _inputs(values: Sequence[Any], positions: Sequence[int]) -> tuple[list[Any], list[Structure]]:
    leaves: list[Any] = []
    structures = []
    for position, value in zip(positions, values, strict=True):
        part, structure = flatten(value)
        where = [f"argument {position}{path}" for path in structure.paths()]
        leaves += [_input(leaf, name) for leaf, name in zip(part, where, strict=True)]
        structures.append(structure)
    return leaves, structures


def _copies(values: Sequence[Any]) -> list[Any]:
    """Plain copies, into which a function may write."""
    return [np.array(primal(value))[()] for value in values]


def _unflatten(structures: Sequence[Structure], leaves: Sequence[Any]) -> list[Any]:
    rest = iter(leaves)
    return [s.unflatten([next(rest) for _ in range(s.n_leaves)]) for s in structures]


def _positions(argnums: int | Sequence[int], n: int) -> tuple[int, ...]:
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for number in numbers:
        if not isinstance(number, int) or not -n <= number < n:
            raise InputError(f"argnums={argnums!r}, but the function was called with {n} positional arguments")
    positions = tuple(number % n for number in numbers)
    if len(set(positions)) < len(positions):
        raise InputError(f"argnums={argnums!r} names an argument twice: give every position once")
    return positions


def _replaced(args: tuple[Any, ...], positions: Sequence[int], values: Sequence[Any]) -> list[Any]:
    result = list(args)
    for position, value in zip(positions, values, strict=True):
        result[position] = value
    return result


def _owned(cts: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    """Gradients as arrays of their own: zeros where nothing arrived, never a view of, or the same array as, another."""
    result: list[Any] = []
    seen: set[int] = set()
    for ct, value in zip(cts, inputs, strict=True):
        if ct is None:
            ct = np.zeros(value.shape, value.dtype)
        elif isinstance(ct, np.ndarray) and (ct.base is not None or not ct.flags.writeable or id(ct) in seen):
            ct = np.array(ct)
        seen.add(id(ct))
        result.append(ct if isinstance(ct, Traced) or value.shape else ct[()])
    return result


def _without(tape: Tape, nest: Any, *, copy: bool) -> Any:
    """The nest with this tape's level of tracing taken off."""
    leaves, structure = flatten(nest)
    return structure.unflatten([_off(tape, leaf, copy=copy) for leaf in leaves])


def _off(tape: Tape, leaf: Any, *, copy: bool) -> Any:
    if isinstance(leaf, Traced) and fresh(leaf).listener is tape:
        value = leaf.value
        return np.array(value, order="K") if copy and isinstance(value, np.ndarray) else value
    return leaf


def _name(f: Function) -> str:
    return getattr(f, "__name__", repr(f))


def _pair(out: Any, name: str) -> tuple[Any, Any]:
    if not isinstance(out, tuple) or len(out) != 2:
        raise InputError(f"{name} returned {type(out).__name__}; has_aux=True expects a pair (result, aux)")
    return out


def _results(nest: Any, name: str) -> tuple[list[Any], Structure]:
    """The leaves of what a function returned; in anything but arrays and numbers a derivative could hide."""
    leaves, structure = flatten(nest)
    for leaf, path in zip(leaves, structure.paths(), strict=True):
        if not isinstance(leaf, Traced) and np.asarray(leaf).dtype.kind not in "biufc":
            kind = f"dtype {leaf.dtype}" if hasattr(leaf, "dtype") else f"type {type(leaf).__name__}"
            raise InputError(
                f"{name} returned{f' at {path}' if path else ''} something of {kind}, in which a derivative would be "
                "lost. "
                "Return arrays and numbers nested in lists, tuples, dicts, dataclasses (np.stack joins traced values "
                "into "
                "one array), and other things as aux with has_aux=True."
            )
    return leaves, structure


def _loss(out: Any, name: str) -> Any:
    """Refuse what is not one real number."""
    if out is None:
        raise InputError(f"{name} returned None: a function to be differentiated must return its loss")
    if not hasattr(out, "shape") and not isinstance(out, float | int | complex):
        raise InputError(
            f"{name} returned {type(out).__name__}, not one number. Return the loss alone, or (loss, aux) with "
            "has_aux=True."
        )
    found = ArrayType.of(out)
    if found.shape != ():
        raise InputError(
            f"{name} returned an array {found}, not one number. Reduce it, for example with np.sum, or use "
            "unspool.jacobian or unspool.vjp for functions with many results."
        )
    if found.dtype.kind not in "biufc":
        raise InputError(
            f"{name} returned an array of dtype {found.dtype}, in which the derivative would be lost: return the "
            "traced "
            "value itself."
        )
    if found.dtype.kind == "c":
        raise InputError(
            f"{name} returned a complex number: the gradient is that of a real loss. Take np.real or np.abs of it, or "
            "use "
            "unspool.vjp."
        )
    return out


# --- reverse mode -----------------------------------------------------------------------------------------------------
def value_and_grad(f: Function, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Function:
    """The function that returns ``(f(*args), gradient)``.

    ``f`` returns one real number, or ``(loss, aux)`` with ``has_aux``. The gradient has the structure, shapes and
    dtypes of the argument ``argnums``, or is a tuple of such for several. With ``has_aux`` the result is ``((loss,
    aux), gradient)``. Raises `InputError` for arguments that are not real or complex floats and for a loss that is not
    one number.

    >>> import unspool
    >>> unspool.value_and_grad(lambda p: (p["a"] + p["b"]) * (p["b"] + 1))({"a": 2.0, "b": 1.0})
    (np.float64(6.0), {'a': np.float64(2.0), 'b': np.float64(5.0)})
    """
    name = _name(f)

    @wraps(f)
    def value_and_gradient(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        positions = _positions(argnums, len(args))
        values, structures = _inputs([args[p] for p in positions], positions)
        tape = Tape()
        with listening(tape):
            variables = [tape.input(value) for value in values]
            try:
                out = f(*_replaced(args, positions, _unflatten(structures, variables)), **kwargs)
                loss, aux = _pair(out, name) if has_aux else (out, None)
                loss = _loss(loss, name)
                node = tape.node_of(loss)
                value, aux = _without(tape, loss, copy=False), _without(tape, aux, copy=False)
            finally:
                tape.close()
        seed = np.ones((), value.dtype)[()] if node >= 0 else None
        cts = tape.sweep([(node, seed)], free=True)
        gradients = _unflatten(structures, _owned(cts, values))
        gradient = gradients[0] if isinstance(argnums, int) else tuple(gradients)
        return ((value, aux), gradient) if has_aux else (value, gradient)

    return value_and_gradient


def grad(f: Function, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Function:
    """The function that returns the gradient of ``f``: `value_and_grad` without the value.

    With ``has_aux`` it returns ``(gradient, aux)``.

    >>> import unspool
    >>> unspool.grad(lambda x: np.log(x[0]) + x[0] * x[1] - np.sin(x[1]))(np.array([2.0, 5.0])).round(3)
    array([5.5  , 1.716])
    """
    both = value_and_grad(f, argnums, has_aux=has_aux)

    @wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, result = both(*args, **kwargs)
        return (result, value[1]) if has_aux else result

    return gradient


def vjp(f: Function, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """``f(*primals)`` and its pullback: a function from a cotangent of the result to a tuple, one entry per primal.

    The pullback may be called any number of times; it holds the residuals as long as it lives. The cotangent has the
    structure, shapes and dtypes of the result; the pairing is Re(sum(ct * v)). With ``has_aux`` the result is
    ``(out, pullback, aux)``.

    >>> import unspool
    >>> out, pullback = unspool.vjp(lambda a, b: a * b, np.array([1.0, 2.0]), 3.0)
    >>> pullback(np.array([1.0, 1.0]))
    (array([3., 3.]), np.float64(3.0))
    """
    values, structures = _inputs(primals, range(len(primals)))
    tape = Tape()
    with listening(tape):
        variables = [tape.input(value) for value in values]
        try:
            out = f(*_unflatten(structures, variables))
            out, aux = _pair(out, _name(f)) if has_aux else (out, None)
            leaves, structure = _results(out, _name(f))
            nodes = [tape.node_of(leaf) for leaf in leaves]
            results = [_off(tape, leaf, copy=True) for leaf in leaves]
            aux = _without(tape, aux, copy=True)
        finally:
            tape.close()
    types = [ArrayType.of(result) for result in results]

    def pullback(ct: Any) -> tuple[Any, ...]:
        cts = _directions(ct, structure, types, "the cotangent")
        back = tape.sweep(zip(nodes, cts, strict=True), free=False)
        return tuple(_unflatten(structures, _owned(back, values)))

    result = structure.unflatten(results)
    return (result, pullback, aux) if has_aux else (result, pullback)


def _directions(nest: Any, structure: Structure, types: Sequence[ArrayType], what: str) -> list[Any]:
    """The leaves of a tangent or cotangent, checked against what it belongs to."""
    leaves, found = flatten(nest)
    if found != structure:
        raise InputError(f"{what} has the structure {found}; expected {structure}")
    result = []
    for leaf, t, path in zip(leaves, types, structure.paths(), strict=True):
        value: Any = leaf if isinstance(leaf, Traced) else np.array(leaf)  # a copy: rules may hand it on as a result
        if (
            value.shape != t.shape
            or (value.dtype.kind == "c" and t.dtype.kind != "c")
            or value.dtype.kind not in "biufc"
        ):
            raise InputError(f"{what}{path} is {ArrayType.of(value)}; expected {t}")
        if value.dtype != t.dtype and t.dtype.kind in "fc":
            value = value.astype(t.dtype)
        result.append(value if isinstance(value, Traced) or t.shape else value[()])
    return result


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
    values, structures = _inputs(primals, range(len(primals)))
    _, whole = flatten(tuple(primals))
    directions = _directions(tuple(tangents), whole, [ArrayType.of(v) for v in values], "tangents")
    sweep = Tangents()
    with listening(sweep):
        try:
            variables = [sweep.input(v, t) for v, t in zip(values, directions, strict=True)]
            out = f(*_unflatten(structures, variables))
            out, aux = _pair(out, _name(f)) if has_aux else (out, None)
            leaves, structure = _results(out, _name(f))
            pairs = [(sweep.primal_of(leaf), sweep.tangent_of(leaf)) for leaf in leaves]
            aux_leaves, aux_structure = flatten(aux)
            aux = aux_structure.unflatten([sweep.primal_of(leaf) for leaf in aux_leaves])
        finally:
            sweep.close()
    results = [value for value, _ in pairs]
    moved = [_zeros_like(value) if tangent is None else tangent for value, tangent in pairs]
    answer = structure.unflatten(results), structure.unflatten(moved)
    return (*answer, aux) if has_aux else answer


def _zeros_like(value: Any) -> Any:
    t = ArrayType.of(value)
    return np.zeros(t.shape, t.dtype if t.dtype.kind in "fc" else float)[()]


# --- matrices of derivatives ------------------------------------------------------------------------------------------
def jacobian(f: Function, argnums: int | Sequence[int] = 0, *, mode: str | None = None) -> Function:
    """The function that returns all first derivatives of all results.

    For an array result of shape ``out`` and an array argument of shape ``in`` it is an array of shape ``(*out, *in)``;
    for nests it is the nest of the results, each leaf being the nest of the argument. ``mode`` is "reverse" (one sweep
    back per result), "forward" (one sweep per argument entry), or None, which counts both and takes the cheaper.

    >>> import unspool
    >>> unspool.jacobian(lambda x: np.stack([x[0] * x[1], x[1] ** 2]))(np.array([3.0, 2.0]))
    array([[2., 3.],
           [0., 4.]])
    """
    if mode not in (None, "forward", "reverse"):
        raise InputError(f'mode={mode!r}: choose "forward", "reverse", or None for the cheaper one')

    @wraps(f)
    def all_derivatives(*args: Any, **kwargs: Any) -> Any:
        positions = _positions(argnums, len(args))
        chosen = [args[p] for p in positions]
        inputs, structures = _inputs(chosen, positions)

        @wraps(f)
        def of_chosen(*values: Any) -> Any:
            return f(*_replaced(args, positions, values), **kwargs)

        n_in = sum(prod(value.shape) for value in inputs)
        way = mode
        if way is None:
            plain = of_chosen(*_unflatten(structures, _copies(inputs)))
            n_out = sum(prod(np.shape(primal(leaf))) for leaf in flatten(plain)[0])
            way = "forward" if n_in <= n_out else "reverse"
        blocks, structure = (_by_columns if way == "forward" else _by_rows)(of_chosen, chosen, inputs, structures)
        rows = []
        for row in blocks:
            nests = _unflatten(structures, row)
            rows.append(nests[0] if isinstance(argnums, int) else tuple(nests))
        return structure.unflatten(rows)

    return all_derivatives


def _by_rows(
    f: Function, args: Sequence[Any], inputs: Sequence[Any], structures: Sequence[Structure]
) -> tuple[list[list[Any]], Structure]:
    out, pullback = vjp(f, *args)
    leaves, structure = flatten(out)
    types = [ArrayType.of(leaf) for leaf in leaves]
    blocks = []
    for position, t in enumerate(types):
        rows = []
        for unit in _units(t):
            cts = [unit if k == position else np.zeros(u.shape, u.dtype) for k, u in enumerate(types)]
            rows.append(flatten(pullback(structure.unflatten(cts)))[0])
        blocks.append(
            [
                np.reshape(np.stack(column), t.shape + x.shape) if column else np.zeros(t.shape + x.shape, x.dtype)
                for x, column in zip(inputs, zip(*rows, strict=True) if rows else [()] * len(inputs), strict=True)
            ]
        )
    return blocks, structure


def _by_columns(
    f: Function, args: Sequence[Any], inputs: Sequence[Any], structures: Sequence[Structure]
) -> tuple[list[list[Any]], Structure]:
    columns: list[list[list[Any]]] = []
    outs: list[Any] = []
    structure: Structure | None = None
    for position, x in enumerate(inputs):
        group = []
        for unit in _units(ArrayType.of(x)):
            directions = [unit if k == position else np.zeros(v.shape, v.dtype) for k, v in enumerate(inputs)]
            out, tangent = jvp(f, tuple(args), tuple(_unflatten(structures, directions)))
            outs, structure = flatten(out)
            group.append(flatten(tangent)[0])
        columns.append(group)
    if structure is None:
        outs, structure = flatten(f(*_unflatten(structures, _copies(inputs))))
    types = [ArrayType.of(out) for out in outs]
    blocks = [
        [
            np.reshape(np.stack([tangents[row] for tangents in group], axis=-1), t.shape + x.shape)
            if group
            else np.zeros(t.shape + x.shape, x.dtype)
            for x, group in zip(inputs, columns, strict=True)
        ]
        for row, t in enumerate(types)
    ]
    return blocks, structure


def _units(t: ArrayType) -> list[np.ndarray]:
    return [unit.reshape(t.shape) for unit in np.eye(t.size, dtype=t.dtype)]


def hessian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """The function that returns all second derivatives of a real function: forward mode over reverse mode.

    >>> import unspool
    >>> unspool.hessian(lambda x: x[0] ** 2 * x[1])(np.array([3.0, 2.0]))
    array([[4., 6.],
           [6., 0.]])
    """
    return jacobian(grad(f, argnums), argnums, mode="forward")


def hvp(f: Function) -> Function:
    """The function ``(x, v, *args) -> H v``: the Hessian of ``f(x, *args)`` in x times a vector, without the Hessian.

    ``v`` has the structure and shapes of ``x``. It costs a small multiple of one gradient: forward mode over reverse
    mode.

    >>> import unspool
    >>> unspool.hvp(lambda x: np.sum(x**3))(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """
    gradient = grad(f)

    @wraps(f)
    def product(x: Any, v: Any, *args: Any, **kwargs: Any) -> Any:
        return jvp(lambda y: gradient(y, *args, **kwargs), (x,), (v,))[1]

    return product


def stop_gradient(nest: Any) -> Any:
    """The plain values of a nest: constants to every derivative, copied.

    >>> import unspool
    >>> unspool.grad(lambda x: x * unspool.stop_gradient(x))(3.0)
    np.float64(3.0)
    """
    leaves, structure = flatten(nest)
    plain = [np.array(primal(resolve(leaf)))[()] if isinstance(leaf, Traced) else leaf for leaf in leaves]
    return structure.unflatten(plain)

"""Matrices of derivatives, and products with them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps
from math import prod
from typing import Any

import numpy as np

from unspool.arguments import Function, as_inputs, plain_copies, positions_of, replaced, unflatten
from unspool.errors import InputError
from unspool.ir.listener import primal
from unspool.layout import ArrayType
from unspool.transforms import grad, jvp, vjp
from unspool.tree import Structure, flatten


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
        positions = positions_of(argnums, len(args))
        chosen = [args[p] for p in positions]
        inputs, structures = as_inputs(chosen, positions)

        @wraps(f)
        def of_chosen(*values: Any) -> Any:
            return f(*replaced(args, positions, values), **kwargs)

        n_in = sum(prod(value.shape) for value in inputs)
        way = mode
        if way is None:
            plain = of_chosen(*unflatten(structures, plain_copies(inputs)))
            n_out = sum(prod(np.shape(primal(leaf))) for leaf in flatten(plain)[0])
            way = "forward" if n_in <= n_out else "reverse"
        blocks, structure = (_by_columns if way == "forward" else _by_rows)(of_chosen, chosen, inputs, structures)
        rows = []
        for row in blocks:
            nests = unflatten(structures, row)
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
            out, tangent = jvp(f, tuple(args), tuple(unflatten(structures, directions)))
            outs, structure = flatten(out)
            group.append(flatten(tangent)[0])
        columns.append(group)
    if structure is None:
        outs, structure = flatten(f(*unflatten(structures, plain_copies(inputs))))
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

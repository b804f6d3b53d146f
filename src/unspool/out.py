"""Results that go into arrays which are there already: ``out=``, ``where=`` and augmented assignment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from unspool.errors import DetachedError, UnsupportedError
from unspool.ir.listener import Traced, assign
from unspool.ops import TABLE
from unspool.ops.index import store
from unspool.ops.table import Entry, name_of


def called(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of a ufunc with keywords, or of one of its methods."""
    name = name_of(ufunc)
    outs = kwargs.pop("out", ())
    kwargs = {key: value for key, value in kwargs.items() if key not in _USUAL or value not in _USUAL[key]}
    where = True
    if method == "__call__":
        where = kwargs.pop("where", True)
        if kwargs:
            raise UnsupportedError(
                f"{name}: no derivative rule for the keyword {', '.join(k + '=' for k in kwargs)} on a traced value. "
                "Use astype to convert the operands or the result."
            )
        entry = TABLE.get(ufunc)
    else:
        name = f"{name}.{method}"
        entry = TABLE.get(_METHODS.get((ufunc, method)) or getattr(ufunc, method))
    if entry is None:
        raise UnsupportedError(
            f"{name} has no derivative rule on a traced value. Write it with functions of the function table, or give "
            "it a rule with unspool.custom_vjp."
        )
    if method in ("reduce", "accumulate") and len(inputs) == 1:
        kwargs.setdefault("axis", 0)
    if where is not True:
        if ufunc.signature is not None or ufunc.nout != 1:
            raise UnsupportedError(f"{name}: no derivative rule for the keyword where=. Choose elements with np.where.")
        return _chosen(entry, inputs, outs[0] if outs else None, where, name=name)
    result = entry(*inputs, **kwargs)
    if not any(out is not None for out in outs):
        return result
    spreads = method == "__call__" and ufunc.signature is None
    if ufunc.nout == 1:
        return into(outs[0], result, name, spreads=spreads)
    pairs = zip(outs, result, strict=True)
    return tuple([part if out is None else into(out, part, name, spreads=spreads) for out, part in pairs])


_USUAL: dict[str, tuple[Any, ...]] = {"casting": ("same_kind",), "order": ("K",), "subok": (True,)}


def _chosen(entry: Entry, inputs: tuple[Any, ...], out: Any, where: Any, *, name: str) -> Any:
    """A ufunc with ``where=``: computed for the chosen elements only, as NumPy does, so that no other can warn."""
    chosen: Any = where if isinstance(where, Traced) else np.asarray(where)
    if chosen.dtype != bool:
        raise TypeError(f"{name}: where= is made of truth values, as x > 0 is; this is of dtype {chosen.dtype}")
    if out is None:
        raise UnsupportedError(
            f"{name}: where= without out= leaves the other elements as memory happened to be, and they have no "
            "derivative. Say with out= what they are, as out=np.zeros_like(x), or use np.where."
        )
    _can_receive(out, name)
    shape = np.broadcast_shapes(out.shape, chosen.shape, *map(np.shape, inputs))
    if shape != out.shape:
        raise ValueError(f"{name}: the result has the shape {shape} and cannot be written into one of {out.shape}")
    chosen = np.broadcast_to(chosen, shape)
    result = entry(*[np.broadcast_to(x, shape)[chosen] if np.shape(x) else x for x in inputs])
    out[chosen] = _converted(result, out.dtype, name)
    return out


_METHODS: dict[tuple[np.ufunc, str], Callable[..., Any]] = {
    (np.add, "reduce"): np.sum,
    (np.multiply, "reduce"): np.prod,
    (np.maximum, "reduce"): np.max,
    (np.minimum, "reduce"): np.min,
    (np.add, "accumulate"): np.cumsum,
    (np.multiply, "accumulate"): np.cumprod,
    (np.multiply, "outer"): np.multiply.outer,
}


def into(out: Any, result: Any, name: str, *, spreads: bool = False) -> Any:
    """Write a result where ``out=`` says; that of an elementwise function spreads over a larger array."""
    _can_receive(out, name)
    if spreads and result.shape != out.shape and np.broadcast_shapes(result.shape, out.shape) == out.shape:
        out[...] = _converted(result, out.dtype, name)
    else:
        assign(out, fitted(out, result, name), laid)
    return out


def _can_receive(out: Any, name: str) -> None:
    if not isinstance(out, Traced):
        raise DetachedError(
            f"{name}: out= is a plain NumPy array, and a traced value stored there would lose its derivative. Make it "
            "with np.zeros_like(x) or unspool.numpy.zeros(shape), or leave out= away."
        )


def laid(base: Any, value: Any) -> Any:
    """The value in the memory layout of the base."""
    return store(base, ..., value)


def fitted(handle: Any, result: Any, name: str) -> Any:
    """The result in the handle's dtype, under NumPy's rules for in-place operations."""
    if result.shape != handle.shape:
        raise ValueError(
            f"{name}: the result has the shape {result.shape} and cannot be written into an array of shape "
            f"{handle.shape}"
        )
    return _converted(result, handle.dtype, name)


def _converted(result: Any, dtype: np.dtype[Any], name: str) -> Any:
    if result.dtype == dtype:
        return result
    if not np.can_cast(result.dtype, dtype, "same_kind"):
        raise UnsupportedError(
            f"{name}: cannot write {result.dtype} into {dtype} in place (NumPy's rule 'same_kind'). Convert the "
            "array with astype first."
        )
    return result.astype(dtype)

"""NumPy functions that cannot be differentiated as they stand, each with what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, NoReturn

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ops.table import TABLE, Entry, name_of


def refuse(function: Callable[..., Any], why: str) -> None:
    """Let a traced argument of this function raise, with the reason and the way out."""
    name = name_of(function)

    def call(*args: Any, **kwargs: Any) -> NoReturn:
        raise UnsupportedError(f"{name} has no derivative rule on a traced value: {why}")

    TABLE[function] = Entry(name, call, -1, frozenset(signature(function).parameters), None, "refused")


_SHAPE = "the number of elements of the result depends on the values. "
_function: Any
for _function in (np.apply_along_axis, np.apply_over_axes):
    refuse(
        _function,
        "it hands out one plain row after the other. Write the function with axis= arguments, or loop over the rows "
        "in Python and join the results with np.stack.",
    )
for _function in (np.unique, np.unique_values, np.unique_counts, np.unique_inverse, np.unique_all):
    refuse(_function, _SHAPE + "Use np.sort(x), or np.unique(unspool.stop_gradient(x)) for the plain values.")
for _function in (np.roots, np.poly):
    refuse(
        _function,
        "the roots of a polynomial are the eigenvalues of its companion matrix. Build that matrix and use "
        "np.linalg.eigvals, or give the function a rule with unspool.custom_vjp.",
    )
refuse(np.polydiv, _SHAPE + "Divide the values: np.polyval(u, x) / np.polyval(v, x).")
refuse(np.histogram2d, "count pairs with np.histogramdd(unspool.stop_gradient(x)) for the plain counts.")
refuse(np.histogramdd, "use np.histogramdd(unspool.stop_gradient(x)) for the plain counts.")
for _function in (np.save, np.savetxt, np.savez, np.savez_compressed):
    refuse(_function, "a file would lose the derivative. Write unspool.stop_gradient(x), the plain value.")

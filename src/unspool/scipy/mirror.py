"""What makes a function of SciPy take traced values: those go to the function table, plain ones to SciPy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced
from unspool.ops import TABLE
from unspool.ops.outside import Holder
from unspool.ops.table import name_of

_NESTS = (list, tuple)


def mirrored(function: Callable[..., Any]) -> Callable[..., Any]:
    """SciPy's function, for which its entry in the function table answers when an argument is traced.

    Raises `UnsupportedError` for what has no entry, and for every keyword that the entry does not model.
    """

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not (any_traced(args) or (kwargs and any_traced(kwargs.values()))):
            return function(*args, **kwargs)
        entry = TABLE.get(function)
        if entry is None:
            raise UnsupportedError(
                f"{name_of(function)} has no derivative rule on a traced value. Write it with functions of the "
                "function table, or give it a rule with unspool.custom_vjp."
            )
        return entry(*args, **kwargs)

    return call


def any_traced(values: Iterable[Any]) -> bool:
    """Whether there is a traced value among these, or in lists and tuples among them."""
    return any(isinstance(v, Traced | Holder) or (v.__class__ in _NESTS and any_traced(v)) for v in values)

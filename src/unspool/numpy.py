"""NumPy, with creation functions whose results may hold traced values.

``import unspool.numpy as np`` in the place of ``import numpy as np``: every name is NumPy's own, except that inside a
function that is being differentiated ``zeros``, ``ones``, ``empty``, ``full``, ``eye``, ``identity``, ``arange``,
``linspace``, ``array`` and ``asarray`` return arrays into which traced values can be written, and ``array`` joins
traced values. Integer and boolean results stay plain.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as _numpy

from unspool.ir.listener import Traced, current


def _holding(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def created(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        listener = current()
        return listener.constant(result) if listener is not None and result.dtype.kind in "fc" else result

    return created


zeros = _holding(_numpy.zeros)
ones = _holding(_numpy.ones)
empty = _holding(_numpy.empty)


def full(shape: Any, fill_value: Any, dtype: Any = None, **kwargs: Any) -> Any:
    """`numpy.full`, of a traced value too."""
    if not isinstance(fill_value, Traced):
        return _plain_full(shape, fill_value, dtype, **kwargs)
    filled = _numpy.copy(_numpy.broadcast_to(fill_value, shape))  # type: ignore[call-overload]
    return filled if dtype is None else filled.astype(dtype)


_plain_full = _holding(_numpy.full)
eye = _holding(_numpy.eye)
identity = _holding(_numpy.identity)
arange = _holding(_numpy.arange)
linspace = _holding(_numpy.linspace)


def _joined(nest: Any) -> Any:
    """A nested list as an array, stacked where an entry is traced."""
    if isinstance(nest, list | tuple) and _has_traced(nest):
        return _numpy.stack([_joined(entry) for entry in nest])
    return nest if isinstance(nest, Traced) else _numpy.asarray(nest)


def _has_traced(nest: Any) -> bool:
    return isinstance(nest, Traced) or (isinstance(nest, list | tuple) and any(map(_has_traced, nest)))


def array(object: Any, dtype: Any = None, **kwargs: Any) -> Any:
    """`numpy.array`, of nested lists that may hold traced values too.

    >>> import unspool, unspool.numpy as unp
    >>> unspool.grad(lambda x: (unp.array([x, 2 * x]) ** 2).sum())(3.0)
    np.float64(30.0)
    """
    if not _has_traced(object):
        return _own(_numpy.array(object, dtype, **kwargs))
    joined = _joined(object)
    joined = _numpy.copy(joined) if joined is object else joined
    return joined if dtype is None else joined.astype(dtype)


def asarray(a: Any, dtype: Any = None, **kwargs: Any) -> Any:
    """`numpy.asarray`; a traced value is returned as it is."""
    if isinstance(a, Traced):
        return a if dtype is None or a.value.dtype == dtype else _numpy.astype(a, dtype)  # type: ignore[call-overload]
    return array(a, dtype, **kwargs) if _has_traced(a) else _own(_numpy.asarray(a, dtype, **kwargs))


def _own(result: Any) -> Any:
    """The array, or a handle on a copy of it: a write into the user's own array must not reach what was recorded."""
    listener = current()
    return result if listener is None or result.dtype.kind not in "fc" else listener.constant(result.copy(order="K"))


def __getattr__(name: str) -> Any:
    return getattr(_numpy, name)

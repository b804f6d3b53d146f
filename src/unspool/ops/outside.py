"""What is no array: SciPy's functions, to which a traced value is one, and sparse matrices beside it.

SciPy's plain functions do not ask a traced value for its rule, they ask for its array: which of them does it now.

Only an error looks this up, so that it costs nothing where all is well.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import FrameType
from typing import Any

import numpy as np

from unspool.errors import DetachedError, UnsupportedError
from unspool.ir.listener import Traced, beside
from unspool.ir.primitive import Primitive
from unspool.ops.table import public_part

_ROOT = __package__.split(".")[0]


class Holder:
    """An object that is no array and holds traced values: a sparse matrix of them, or a matrix given by a function."""

    pattern: Any
    data: Any
    iterated: Any
    __array_ufunc__ = None  # let `array @ matrix` come to __rmatmul__
    __array_priority__ = 20.0


def _beside(primitive: Primitive, args: tuple[Any, ...]) -> Any:
    """An operation on a traced array and what is no array of NumPy's but behaves as one: a sparse matrix."""
    for arg in args:
        kind = type(arg)
        sparse = isinstance(arg, Holder) or public_part(kind.__module__) == "scipy.sparse"
        if hasattr(arg, "__array_priority__") and not sparse and not isinstance(arg, Traced | np.ndarray | np.generic):
            raise UnsupportedError(
                f"{primitive.name}: an operand of type {kind.__name__} beside a traced array. Turn it into an array "
                "with np.asarray first."
            )
    return import_module(f"{__package__}.sparse_arrays").operated(primitive.name, args)


beside.append(_beside)


def waits_for_reflection() -> bool:
    """Whether SciPy is computing ``matrix @ x``, and asks x for an array only to find out if x can do it itself."""
    frame: FrameType | None = sys._getframe(2)
    if frame is None or _package(frame) != "scipy" or frame.f_code.co_name != "_matmul_dispatch":
        return False
    return frame.f_back is not None and frame.f_back.f_code.co_name == "__matmul__"


def refuse_to_scipy(shape: tuple[int, ...]) -> None:
    """Raise, with the way out, where a function of SciPy is about to turn a traced value into a plain array."""
    name = _called()
    if name is None:
        return
    instead = _counterpart(name)
    if name.startswith("scipy.sparse.") and name.endswith(("_array", "_matrix")):
        way_out = (
            "Write matrix @ x for a product of matrices, x * matrix with the traced value first for a scaled one, and "
            "make matrices of traced numbers with unspool.scipy.sparse."
        )
    elif instead is not None:
        way_out = f"Use {instead}, which is the same function and takes traced values too."
    else:
        way_out = "Write it with functions of the function table, or give it a rule with unspool.custom_vjp."
    raise DetachedError(
        f"{name} was given a traced value of shape {shape}, which SciPy would turn into a plain array without its "
        f"derivative. {way_out}"
    )


def _called() -> str | None:
    """The function of SciPy that was called from outside SciPy and has led here, as ``scipy.linalg.solve``."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and _package(frame) in (_ROOT, "numpy", "copy"):
        frame = frame.f_back
    found = None
    while frame is not None and _package(frame) in ("scipy", "numpy"):
        found = _public_name(frame) or found
        frame = frame.f_back
    return found


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).split(".")[0]


def _public_name(frame: FrameType) -> str | None:
    """The name of the function that runs in a frame, if it is one that users call."""
    here = frame.f_locals
    if "self" in here:  # a method of an object, or of a distribution, which is an object that users know by a name
        kind, name = type(here["self"]), getattr(here["self"], "name", None)
        package = public_part(kind.__module__)
        return _known(package, name) or _known(package, kind.__name__.removesuffix("_gen"))
    function = here.get("f", frame)  # SciPy's wrapper that loops over stacks has the function under this name
    package = public_part(getattr(function, "__module__", frame.f_globals["__name__"]))
    return _known(package, getattr(function, "__name__", frame.f_code.co_name))


def _known(package: str, name: object) -> str | None:
    public = isinstance(name, str) and not name.startswith("_") and hasattr(sys.modules.get(package), name)
    return f"{package}.{name}" if public else None


def _counterpart(name: str) -> str | None:
    """What answers for a function of SciPy when it is given traced values, as ``unspool.scipy.linalg.solve``."""
    package, _, function = name.rpartition(".")
    try:
        room = import_module(f"{_ROOT}.{package}")
    except ImportError:
        return None
    return f"{_ROOT}.{name}" if function in vars(room) else None

"""Reverse-mode differentiation of long NumPy simulations in the memory that you have."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unspool import errors, numpy
from unspool.custom import custom_jvp, custom_vjp
from unspool.matrices import hessian, hvp, jacobian
from unspool.transforms import (
    grad,
    jvp,
    stop_gradient,
    value_and_grad,
    vjp,
)
from unspool.variable import Variable

if TYPE_CHECKING:
    from unspool.backward import recording
    from unspool.diagnostics.inspection import inspect
    from unspool.diagnostics.report import observe
    from unspool.jit import jit
    from unspool.loops import checkpoint, fori_loop, plan, scan, while_loop
    from unspool.schedules import Every, Online, Revolve, Schedule, StoreAll, simulate
    from unspool.segments import mark

__all__ = [
    "Every",
    "Online",
    "Revolve",
    "Schedule",
    "StoreAll",
    "Variable",
    "checkpoint",
    "custom_jvp",
    "custom_vjp",
    "errors",
    "fori_loop",
    "grad",
    "hessian",
    "hvp",
    "inspect",
    "jacobian",
    "jit",
    "jvp",
    "mark",
    "numpy",
    "observe",
    "plan",
    "recording",
    "scan",
    "simulate",
    "stop_gradient",
    "value_and_grad",
    "vjp",
    "while_loop",
]


_ON_DEMAND = {  # imported when they are asked for: an import of the tape alone takes half the time
    "unspool.backward": ("recording",),
    "unspool.diagnostics.inspection": ("inspect",),
    "unspool.diagnostics.report": ("observe",),
    "unspool.jit": ("jit",),
    "unspool.loops": ("checkpoint", "fori_loop", "plan", "scan", "while_loop"),
    "unspool.schedules": ("Every", "Online", "Revolve", "Schedule", "StoreAll", "simulate"),
    "unspool.segments": ("mark",),
}
_HOME = {name: module for module, names in _ON_DEMAND.items() for name in names}
_ROOMS = "diagnostics", "schedules", "stores", "testing"


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"unspool.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})

"""Reverse-mode differentiation of long NumPy simulations in the memory that you have."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unspool import errors, numpy
from unspool.custom import custom_jvp, custom_vjp
from unspool.diagnostics.report import observe
from unspool.loops import checkpoint, fori_loop, plan, scan, while_loop
from unspool.matrices import hessian, hvp, jacobian
from unspool.schedules import Every, Online, Revolve, Schedule, StoreAll
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
    from unspool.schedules import simulate
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


_ON_DEMAND = {  # imported when they are asked for: the machine, the compiler, the tape that forgets, another manner
    "inspect": "unspool.diagnostics.inspection",
    "mark": "unspool.segments",
    "recording": "unspool.backward",
    "simulate": "unspool.schedules.machine",
}


def __getattr__(name: str) -> Any:
    if name == "testing":
        return import_module("unspool.testing")
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ON_DEMAND[name]), name)

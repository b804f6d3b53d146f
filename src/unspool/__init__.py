"""Reverse-mode differentiation of long NumPy simulations in the memory that you have."""

from unspool.transforms import (
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    stop_gradient,
    value_and_grad,
    vjp,
)
from unspool.variable import Variable

__all__ = [
    "Variable",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]

"""From a step to the programs of its derivative."""

from unspool.adjoint.outside import outside
from unspool.adjoint.reverse import Adjoint, differentiate

__all__ = ["Adjoint", "differentiate", "outside"]

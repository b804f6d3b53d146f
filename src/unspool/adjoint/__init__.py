"""From a step to the programs of its derivative."""

from unspool.adjoint.reverse import Adjoint, differentiate

__all__ = ["Adjoint", "differentiate"]

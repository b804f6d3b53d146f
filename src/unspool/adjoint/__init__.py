"""From a step to the programs of its derivative."""

from unspool.adjoint.outside import changes, outside
from unspool.adjoint.paths import joined
from unspool.adjoint.reverse import Adjoint, Point, Recording, record

__all__ = ["Adjoint", "Point", "Recording", "changes", "joined", "outside", "record"]

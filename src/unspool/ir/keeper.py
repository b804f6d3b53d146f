"""What a traced value can be asked in PyTorch's manner, and the listener that answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced


class Keeper(ABC):
    """A listener that carries cotangents back on demand, and keeps the gradients of its variables."""

    @abstractmethod
    def backward(self, y: Traced, ct: Any) -> None:
        """Carry a cotangent of y back, and add what arrives to the gradients."""

    @abstractmethod
    def gradient_of(self, x: Traced) -> Any:
        """What has been kept for a variable."""

    @abstractmethod
    def set_gradient(self, x: Traced, gradient: Any) -> None:
        """Keep something else for a variable."""


class Asked(Traced):
    """A traced value with ``backward()`` and ``grad``, which its listener answers if it is a `Keeper`."""

    __slots__ = ()

    def backward(self, ct: Any = None) -> None:
        """Add the gradient of this value to ``x.grad`` of the variables of `unspool.recording` that it depends on.

        ``ct`` is the cotangent of this value, 1 where it is left out and the value is one number.
        """
        self._keeper("backward()").backward(self, ct)

    @property
    def grad(self) -> Any:
        """The sum of the gradients that ``backward()`` has brought to this variable of `unspool.recording`, or None."""
        return self._keeper("grad").gradient_of(self)

    @grad.setter
    def grad(self, gradient: Any) -> None:
        self._keeper("grad").set_gradient(self, gradient)

    def _keeper(self, what: str) -> Keeper:
        listener: Any = self.listener
        if isinstance(listener, Keeper):
            return listener
        raise UnsupportedError(
            f"x.{what} is for values of `with unspool.recording() as tape:`. This one belongs to a transform or to a "
            "step of a loop, which carries the cotangents back itself: return the value, and take the gradient from "
            "unspool.grad or unspool.vjp."
        )

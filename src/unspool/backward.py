"""Gradients in PyTorch's manner: variables, ``y.backward()``, ``x.grad``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from unspool.arguments import as_input, directions_like, owned
from unspool.errors import ClosedError, InputError, StateError
from unspool.ir.keeper import Keeper
from unspool.ir.listener import LEAF, Scope, Traced, listening
from unspool.layout import ArrayType
from unspool.tape import Tape
from unspool.tree import LEAF as ONE_LEAF
from unspool.variable import Variable


class Ended(Scope):
    """Stands in front of a recording that has ended: its gradients can be read, and nothing else be done."""

    def lift(self, traced: Traced) -> NoReturn:
        """Refuse."""
        raise ClosedError(
            f"a value of shape {traced.value.shape} was used after its recording had ended. Compute with it, and call "
            "backward(), inside the `with unspool.recording()` block; x.grad can be read after it."
        )


ENDED = Ended()


class Recording(Tape, Keeper):
    """A tape that stays open while the user works with it, and keeps the gradients of its variables.

    It is made by `recording`.
    """

    __slots__ = ("_gradients", "_variables")

    def __init__(self) -> None:
        super().__init__()
        self._variables: list[Variable] = []
        self._gradients: list[Any] = []

    def variable(self, value: Any) -> Variable:
        """A copy of an array or number of floats with respect to which `backward` differentiates.

        Its ``grad`` is None at first. It cannot be written in place: write into ``np.copy(x)``. InputError for what is
        not made of floats.
        """
        handle = self.input(as_input(value, "the value of a variable"))
        handle.version = LEAF
        self._variables.append(handle)
        self._gradients.append(None)
        return handle

    def zero_grad(self) -> None:
        """Set the gradient of every variable back to None."""
        self._gradients = [None] * len(self._variables)

    def backward(self, y: Traced, ct: Any) -> None:
        """Sweep from y, and add what arrives to the gradient of every variable. O(nodes) time."""
        if self.scope is not None:
            if self.scope is ENDED:
                ENDED.lift(y)
            raise StateError(
                f"backward() of a value of shape {y.value.shape} from outside of a loop was called inside a step of "
                "the loop. Call it after the loop, or take the gradient in the step with unspool.grad."
            )
        node, found = self.node_of(y), ArrayType.of(y)
        if node < 0:
            raise InputError(
                f"backward() of a value {found} that depends on no variable of this recording: make the arrays that it "
                "is computed from with tape.variable(array)."
            )
        if ct is None and (found.shape or found.dtype.kind != "f"):
            raise InputError(
                f"backward() of a value {found} needs to know its cotangent: without one it is for one real number. "
                "Reduce the value, with np.sum, or give a cotangent of its shape, y.backward(ct)."
            )
        (seed,) = directions_like(1.0 if ct is None else ct, ONE_LEAF, [found], "the cotangent")
        back = owned(self.sweep([(node, seed)], free=False), [x.value for x in self._variables])
        self._gradients = [
            part if before is None else before + part for before, part in zip(self._gradients, back, strict=True)
        ]

    def gradient_of(self, x: Traced) -> Any:
        """The sum of what has arrived at a variable, or None."""
        return self._gradients[self._position(x)]

    def set_gradient(self, x: Traced, gradient: Any) -> None:
        """Forget the gradient of a variable (None), or put a copy of another in its place."""
        position, found = self._position(x), None
        if gradient is not None:
            (found,) = directions_like(gradient, ONE_LEAF, [ArrayType.of(x)], "the gradient")
        self._gradients[position] = found

    def _position(self, x: Traced) -> int:
        for position, variable in enumerate(self._variables):
            if variable is x:
                return position
        raise InputError(
            f"grad of a value of shape {x.value.shape} that was computed: only what tape.variable(array) returned "
            "keeps its gradient. Make it a variable, or use unspool.vjp from there on."
        )


@contextmanager
def recording() -> Iterator[Recording]:
    """A tape for the length of a ``with`` block, for those who know ``y.backward()`` and ``x.grad`` from PyTorch.

    ``tape.variable(array)`` makes a variable; ``y.backward()``, or ``y.backward(ct)`` for a ``y`` that is not one real
    number, adds the gradient of ``y`` to the ``grad`` of every variable, zeros where ``y`` does not depend on it.
    ``x.grad = None`` forgets one, ``tape.zero_grad()`` all. The tape keeps its nodes until the block ends, so that
    ``backward()`` may be called any number of times; gradients can be read after it. They are plain arrays: for second
    derivatives use `unspool.hessian` and the like. Loops keep their policy. Raises `ClosedError` for values that are
    used after the block.

    >>> import numpy as np, unspool
    >>> with unspool.recording() as tape:
    ...     x = tape.variable(np.array([1.0, 2.0]))
    ...     y = np.sum(x**2)
    ...     y.backward()
    ...     y.backward()
    >>> x.grad
    array([4., 8.])
    """
    tape = Recording()
    with listening(tape):
        try:
            yield tape
        finally:
            tape.scope = ENDED
            tape.nodes.clear()
            tape.overwritten.clear()

"""Where a NaN or an infinity was born: in which primitive, at which line, in which step, on which way.

Every value carries a note of the operation that made it, and of the birth that its first number that is not finite
descends from. A number that is masked away later (``np.where(x > 0, np.log(x), 0)``) harms nobody and is not reported;
one that reaches a state, a result or a cotangent of an input is, with the place where it began. The way back is
listened to by identities around each operation, through which its cotangents pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from unspool.errors import NonFiniteError, PolicyError
from unspool.ir.listener import Traced, bind, primal
from unspool.ir.primitive import Primitive
from unspool.loop import Loop
from unspool.planner import Auto
from unspool.witness import Ear, Operation, witness, witnessed_loop


@dataclass(frozen=True, slots=True)
class Birth:
    """Where numbers stopped being finite.

    ``index`` is the first such place in the result (in the sweep) or in the cotangent (in the adjoint), row by row;
    ``primitive`` is None for what came in from outside.
    """

    value: float | complex
    primitive: str | None
    line: str | None
    place: str
    index: tuple[int, ...]
    in_adjoint: bool
    what: str
    operands: str = ""
    before: Birth | None = None

    def __str__(self) -> str:
        where = [part for part in (self.line and f"at {self.line}", self.place and f"in {self.place}") if part]
        at = f" at index {self.index}" if self.index else ""
        begin = "came in with" if self.primitive is None else "was born in"
        way = "in the adjoint" if self.in_adjoint else "in the sweep"
        text = f"{self.value} {begin} {self.what}{at}, {', '.join([way, *where])}{self.operands}."
        return text if self.before is None else f"{text} The operation had read this: {self.before}"

    @property
    def way_out(self) -> str:
        """What to do."""
        if self.primitive is None:
            return "Look at the numbers before they are handed over."
        if self.in_adjoint and self.before is None:
            return (
                "The value is finite and its derivative is not: keep away from the point (sqrt, norm and powers at 0, "
                "division by a small number), or give the function a rule with custom_vjp."
            )
        return (
            "Guard the operand, with np.where before the operation (after it the derivative has seen the number), "
            "np.maximum(x, tiny), or a smaller step."
        )


@dataclass(slots=True, eq=False)
class _Note:
    """What is known of a value: the operation that made it, its birth in the sweep, and that of its cotangent."""

    what: str
    operation: Operation | None
    place: str
    born: Birth | None = None
    ct_born: Birth | None = None


class _Finite(Ear):
    def enter(self, value: Any, name: str, place: str) -> tuple[Any, Any]:
        """Note what is not finite already; the cotangent that leaves here is one that somebody receives."""
        note = _Note(name, None, place)
        found = _first(value)
        if found is not None and not place:  # in a step it was reported, or wanted, before
            note.born = Birth(found[0], None, None, place, found[1], False, name)
        if isinstance(value, Traced):
            value = _passing(value, partial(self._received, note))
        return value, note

    def leave(self, value: Any, note: Any, place: str) -> None:
        """A result or a state that is not finite, and was once."""
        if note is not None and note.born is not None and _first(value) is not None:
            raise _error(note.born, f"the state or an output of {place}" if place else "the result")

    def hear(
        self, operation: Operation, call: Callable[..., Any], values: Sequence[Any], notes: Sequence[Any]
    ) -> tuple[Any, Sequence[Any]]:
        """Carry it out between identities; views pass cotangents on as they are, and stay views."""
        primitive = operation.primitive
        if primitive.put is not None:
            y = call(*values)
            note = notes[0]
            if note is None or (note.born is None and _first(y) is not None):
                note = self._made(operation, y, values, notes, "the result")
            return y, [note]
        shared = _Note(primitive.name, operation, operation.place)
        operands = [
            _passing(value, partial(self._sent, shared, note, k)) if _is_float(value) else value
            for k, (value, note) in enumerate(zip(values, notes, strict=True))
        ]
        y = call(*operands)
        parts = y if primitive.multiple else (y,)
        names = [f"result {k}" for k in range(len(parts))] if primitive.multiple else ["the result"]
        found = [self._made(operation, p, values, notes, name) for p, name in zip(parts, names, strict=True)]
        shared.born = next((note.born for note in notes if note is not None and note.born is not None), None)
        out = [
            _passing(part, partial(self._arrived, shared, note)) if _is_float(part) else part
            for part, note in zip(parts, found, strict=True)
        ]
        return (tuple(out) if primitive.multiple else out[0]), found

    # --- the sweep ----------------------------------------------------------------------------------------------------
    def _made(self, operation: Operation, y: Any, values: Sequence[Any], notes: Sequence[Any], which: str) -> _Note:
        """The note of a result: a birth of its own, or that of an operand."""
        note = _Note(operation.primitive.name, operation, operation.place)
        found = _first(y)
        if found is None:
            return note
        note.born = next((n.born for n in notes if n is not None and n.born is not None), None)
        if note.born is None:
            name, index = operation.primitive.name, found[1]
            bad = next((k for k, value in enumerate(values) if _first(value) is not None), None)
            told = _operands(values, primal(y).shape, index) if bad is None else _unborn(bad, notes[bad])
            what = f"{which} of {name}"
            note.born = Birth(found[0], name, operation.line, operation.place, index, False, what, told)
        return note

    # --- the way back -------------------------------------------------------------------------------------------------
    def _arrived(self, shared: _Note, note: _Note, ct: Any) -> None:
        """The cotangent of a result, before the rule."""
        found = _first(ct)
        if found is not None and note.ct_born is None:
            what = f"the cotangent of {note.what}, or overflowed in a sum"
            note.ct_born = Birth(found[0], None, None, note.place, found[1], True, what)
        shared.ct_born = shared.ct_born or note.ct_born

    def _sent(self, shared: _Note, receiver: _Note | None, k: int, ct: Any) -> None:
        """The cotangent of an operand, after the rule."""
        found = _first(ct)
        if found is None:
            return
        birth = shared.ct_born
        if birth is None:
            operation = shared.operation
            assert operation is not None
            name = operation.primitive.name
            what = f"the rule of {name}, in the cotangent of its operand {k},"
            at = (operation.line, operation.place)
            birth = Birth(found[0], name, *at, found[1], True, what, before=shared.born)
        if receiver is not None and receiver.ct_born is None:
            receiver.ct_born = birth

    def _received(self, note: _Note, ct: Any) -> None:
        """The cotangent that leaves a function or a step."""
        found = _first(ct)
        if found is not None and note.ct_born is not None and (note.ct_born.primitive is not None or not note.place):
            raise _error(note.ct_born, f"the gradient of {note.what}{note.place and f' of {note.place}'}")


def check_finite(f: Callable[..., Any], *, plain: bool = True) -> Callable[..., Any]:
    """The same function, which raises `NonFiniteError` where a NaN or an infinity reaches its result or its gradient.

    The error names the primitive in which the number was born, the line, the first index, and the step if that is in a
    loop; in the sweep or, under ``grad(check_finite(f))`` and its like, in the adjoint. Numbers that are masked away
    are not reported. Arguments that nobody differentiates in are followed too, unless ``plain`` is False. Loops keep
    their policy ("auto" becomes "revolve-20"), are not compiled, and run several times as long: a tool for a bad day.
    ``grad(f, check_finite=True)`` is short for it, and ``fori_loop(..., check_finite=True)`` listens to one loop.

    >>> import numpy as np, unspool
    >>> def loss(u):
    ...     return np.sum(np.sqrt(u))
    >>> unspool.grad(loss)(np.array([4.0, 0.0]))
    array([0.25,  inf])
    >>> unspool.grad(check_finite(loss))(np.array([4.0, 0.0]))
    Traceback (most recent call last):
    unspool.errors.NonFiniteError: inf was born in the rule of sqrt, in the cotangent of its operand 0, at
    index (1,), in the adjoint, at <doctest ...>:2. It reached the gradient of argument 0. The value is finite ...
    """
    return witness(f, _Finite(), plain=plain)


def check_loop(loop: Loop) -> Loop:
    """The same loop, each step of which raises where a NaN or an infinity that was born in it reaches its state, its
    outputs or its gradient; PolicyError for options that need steps to be machine code or to be measured."""
    if loop.compile is True:
        raise PolicyError(
            f"{loop.name} with check_finite=True and compile=True: operations are listened to one by one, and machine "
            "code has none. Leave one of the two out."
        )
    if isinstance(loop.schedule, Auto) and loop.schedule.memory is not None:
        raise PolicyError(
            f"{loop.name} with check_finite=True and memory={loop.schedule.memory!r}: steps are not measured while "
            'they are listened to. Give a policy, as "revolve-20", or leave one of the two out.'
        )
    return witnessed_loop(loop, _Finite(), "")


def _error(birth: Birth, reached: str) -> NonFiniteError:
    return NonFiniteError(f"{birth} It reached {reached}. {birth.way_out}", birth)


# --- numbers ----------------------------------------------------------------------------------------------------------
def _is_float(value: Any) -> bool:
    return isinstance(value, Traced) and primal(value).dtype.kind in "fc"


def _first(value: Any) -> tuple[float | complex, tuple[int, ...]] | None:
    """The first number that is not finite, and its index."""
    array = np.asarray(primal(value))
    if array.dtype.kind not in "fc":
        return None
    finite = np.isfinite(array)
    if finite.all():
        return None
    index = np.unravel_index(int(np.argmin(finite)), array.shape)
    return array[index].item(), tuple(map(int, index))


def _unborn(k: int, note: _Note | None) -> str:
    """An operand that was not finite when it came in."""
    name = f", {note.what}," if note is not None and note.operation is None else ""
    return f" (operand {k}{name} was not finite before)"


def _operands(values: Sequence[Any], shape: tuple[int, ...], index: tuple[int, ...]) -> str:
    """The operands at the index, where they have the result's shape or broadcast to it."""
    seen = []
    for k, value in enumerate(values):
        array = np.asarray(primal(value))
        if array.ndim <= len(shape) and all(d in (1, n) for d, n in zip(array.shape[::-1], shape[::-1], strict=False)):
            seen.append(f"operand {k} = {np.broadcast_to(array, shape)[index].item():.6g}")
    return f" ({', '.join(seen)} there)" if len(seen) == len(values) else ""


def _passing(value: Any, seen: Callable[[Any], None]) -> Any:
    """The same value, whose cotangent is shown on its way back."""

    def record(values: tuple[Any, ...], wanted: int) -> tuple[Any, Any]:
        def pull(ct: Any) -> tuple[Any]:
            seen(ct)
            return (ct,)

        return values[0], pull

    def push(values: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
        return values[0], tangents[0]

    return bind(Primitive("passing", lambda x: x, record=record, push=push), value)

"""Program: what one function does, as a list of equations.

    program   ::=  inputs, consts, equations, outputs
    equation  ::=  var, ... = primitive(atom, ..., **params)
    atom      ::=  var | literal

Every var is bound once: as an input, as a const, or by one equation, before its uses (static single assignment). A
literal is a Python number, which takes the dtype of what it meets, as in NumPy. Programs are values: equal content has
an equal hash.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType
from unspool.table import preformatted


@dataclass(frozen=True, slots=True)
class Var:
    """A name for a value of a program; it prints as ``%3``."""

    number: int
    type: ArrayType

    def content(self) -> str:
        """The name: within one program it says all."""
        return f"%{self.number}"

    def __str__(self) -> str:
        return f"%{self.number}"


@dataclass(frozen=True, slots=True, eq=False)
class Literal:
    """A Python number in a program. Equal ones have equal types and bits: 1, 1.0 and True differ, and 0.0 and -0.0."""

    value: float | int | complex

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and self._bits() == other._bits()

    def __hash__(self) -> int:
        return hash(self._bits())

    def content(self) -> str:
        """The number with its type."""
        return f"{type(self.value).__name__} {self.value!r}"

    def _bits(self) -> tuple[type, str]:
        return type(self.value), repr(self.value)

    def __str__(self) -> str:
        return repr(self.value)


Atom = Var | Literal
Params = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Equation:
    """One operation: ``outputs = primitive(*operands, **params)``, and the line of the user's code that it comes
    from."""

    primitive: Primitive
    operands: tuple[Atom, ...]
    params: Params
    outputs: tuple[Var, ...]
    line: str | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for equations that compute the same."""
        return self.primitive, self.operands, freeze(dict(self.params))

    def content(self) -> str:
        """The equation as text, in which functions of the user are told apart by more than their names."""
        primitive = self.primitive
        own = primitive.record is not None or primitive.push is not None
        name = f"{primitive.name}@{primitive.digest or id(primitive)}" if own else primitive.name
        operands = " ".join([atom.content() for atom in self.operands])
        results = " ".join([f"{var} {var.type}" for var in self.outputs])
        return f"{results} = {name} {operands} {freeze(dict(self.params)) if self.params else ''}"


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A function on arrays: inputs and consts to outputs, by equations in order."""

    inputs: tuple[Var, ...]
    consts: tuple[tuple[Var, np.ndarray], ...]
    equations: tuple[Equation, ...]
    outputs: tuple[Atom, ...]

    def content(self) -> bytes:
        """A digest of all that the program is, its source lines apart."""
        lines = [" ".join([f"{var} {var.type}" for var in self.inputs])]
        lines += [f"{var} {var.type} {_digest(value)}" for var, value in self.consts]
        lines += [equation.content() for equation in self.equations]
        lines.append(" ".join([atom.content() for atom in self.outputs]))
        return hashlib.sha256("\n".join(lines).encode()).digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and self.content() == other.content()

    def __hash__(self) -> int:
        return hash(self.content())

    def __str__(self) -> str:
        from unspool.ir.pretty import pretty

        return pretty(self)

    def _repr_html_(self) -> str:
        return preformatted(str(self))


def _digest(value: np.ndarray) -> str:
    content = np.ascontiguousarray(value).tobytes()
    return content.hex() if len(content) <= 64 else hashlib.sha256(content).hexdigest()


def freeze(value: Any) -> Any:
    """A hashable stand-in for a parameter: containers, slices and arrays by content."""
    if isinstance(value, dict):
        return tuple(sorted((key, freeze(entry)) for key, entry in value.items()))
    if isinstance(value, list | tuple):
        return tuple(freeze(entry) for entry in value)
    if isinstance(value, slice):
        return "slice", value.start, value.stop, value.step
    if isinstance(value, np.ndarray):
        return "array", str(value.dtype), value.shape, value.tobytes()
    return value

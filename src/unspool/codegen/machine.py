"""A compiled step: what it was made from, its machine code, and what it keeps."""

from __future__ import annotations

from dataclasses import dataclass

from unspool.adjoint import Adjoint
from unspool.codegen.field_step import FieldStep
from unspool.codegen.object_code import ObjectCode

_STATEMENT_SECONDS = 1.5e-9  # of a number, about


@dataclass(frozen=True, slots=True, eq=False)
class CompiledNumbers:
    """A step on a few numbers: it keeps its state and nothing else, so that a snapshot and a recorded step take the
    same. ``n_statements`` is about how long a step is."""

    adjoint: Adjoint
    source: str
    code: ObjectCode
    state_bytes: int
    n_statements: int
    first_bytes: int = 0

    @property
    def step_seconds(self) -> float:
        """About how long a step takes."""
        return _STATEMENT_SECONDS * max(20, self.n_statements)

    @property
    def residual_bytes(self) -> int:
        """Bytes that a recorded step keeps."""
        return self.state_bytes


@dataclass(frozen=True, slots=True, eq=False)
class CompiledFields:
    """A step on fields, and the bytes of a snapshot, of a recorded step, and what the first of those takes more:
    ``inner_bytes`` of it are those of the loops in the step, each while it is unwound."""

    step: FieldStep
    code: ObjectCode
    state_bytes: int
    residual_bytes: int
    first_bytes: int
    inner_bytes: int = 0

    @property
    def adjoint(self) -> Adjoint:
        """The programs of the step."""
        return self.step.adjoint

    @property
    def source(self) -> str:
        """The text of its module."""
        return self.step.text


Compiled = CompiledNumbers | CompiledFields

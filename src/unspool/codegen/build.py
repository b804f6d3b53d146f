"""From a step to machine code: as numbers with names where it is small, as loop nests on fields otherwise."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Any

from unspool.adjoint import Adjoint
from unspool.codegen.emit import emit
from unspool.codegen.field_drive import FieldDrive
from unspool.codegen.field_step import FieldStep, field_step
from unspool.codegen.number_drive import NumberDrive
from unspool.codegen.object_code import ObjectCode, load
from unspool.codegen.places import room
from unspool.errors import UnsupportedError

FEW = 512
"""Steps whose state, inputs and captures are more numbers than that are not even tried as numbers with names."""


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
    def residual_bytes(self) -> int:
        """Bytes that a recorded step keeps."""
        return self.state_bytes

    def run(self, *, threads: int = 1, **given: Any) -> NumberDrive:
        """A run of a loop of these steps, in one thread; `NumberDrive` says of what."""
        return NumberDrive(self, **given)


@dataclass(frozen=True, slots=True, eq=False)
class CompiledFields:
    """A step on fields, and the bytes of a snapshot, of a recorded step, and what the first of those takes more."""

    step: FieldStep
    code: ObjectCode
    state_bytes: int
    residual_bytes: int
    first_bytes: int

    @property
    def adjoint(self) -> Adjoint:
        """The programs of the step."""
        return self.step.adjoint

    @property
    def source(self) -> str:
        """The text of its module."""
        return self.step.text

    def run(self, **given: Any) -> FieldDrive:
        """A run of a loop of these steps; `FieldDrive` says of what."""
        return FieldDrive(self, **given)


Compiled = CompiledNumbers | CompiledFields

_BUILT: OrderedDict[tuple[bytes, bool], Compiled] = OrderedDict()
_LOCK = Lock()
_MOST = 64


def is_built(adjoint: Adjoint) -> bool:
    """Whether a step with this content has been compiled before."""
    return any((adjoint.content, shared) in _BUILT for shared in (False, True))


def build(adjoint: Adjoint, *, shared: bool = False) -> Compiled:
    """The machine code of a step, which may be for a crew of threads; steps that compute the same share it. Raises
    `UnsupportedError`."""
    content = adjoint.content, shared
    with _LOCK:
        if content not in _BUILT:
            _BUILT[content] = _numbers(adjoint) or _fields(adjoint, shared)
            if len(_BUILT) > _MOST:
                _BUILT.popitem(last=False)
        _BUILT.move_to_end(content)
        return _BUILT[content]


def _numbers(adjoint: Adjoint) -> CompiledNumbers | None:
    if sum(t.size for t in (*adjoint.state, *adjoint.inputs, *adjoint.captures)) > FEW:
        return None
    try:
        source = emit(adjoint)
    except UnsupportedError:
        return None
    code = load(source, ["advance", "record", "reverse"])
    return CompiledNumbers(adjoint, source, code, sum(t.nbytes for t in adjoint.state), source.count(" = "))


def _fields(adjoint: Adjoint, shared: bool) -> CompiledFields:
    step = field_step(adjoint, shared=shared)
    code = load(step.text, step.kernels)
    return CompiledFields(step, code, sum(room(t) for t in adjoint.state), *step.taped_bytes())

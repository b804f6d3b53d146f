"""From a step to machine code: as numbers with names where it is small, as loop nests on fields otherwise."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any

from unspool.adjoint import Adjoint
from unspool.codegen.emit import emit
from unspool.codegen.field_drive import FieldDrive
from unspool.codegen.field_step import field_step
from unspool.codegen.machine import Compiled, CompiledFields, CompiledNumbers
from unspool.codegen.number_drive import NumberDrive
from unspool.codegen.object_code import load
from unspool.codegen.places import room
from unspool.codegen.scalars import called
from unspool.errors import UnsupportedError

FEW = 512
"""Steps whose state, inputs and captures are more numbers than that are not even tried as numbers with names."""

_LONG, _LONGER = 1000, 9.5
"""A text of numbers with names that has more statements than that is dropped for one of nests, if it has so many times
as many: from there on nests are quicker, and take less to compile. Of the steps in ``benchmarks/problems`` heat and
Burgers on 8 x 8 are at 5.6 and 8.9 and quicker as numbers, advection on 48 points at 10.4 is quicker in nests."""

_FUNCTION, _BLAS = 10, 100  # statements that a call takes as long as


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
    if source.count(" = ") > _LONG and _is_better_in_nests(adjoint, source):
        return None
    code = load(source, ["advance", "record", "reverse"])
    return CompiledNumbers(adjoint, source, code, sum(t.nbytes for t in adjoint.state), source.count(" = "))


def _is_better_in_nests(adjoint: Adjoint, source: str) -> bool:
    try:
        step = field_step(adjoint)
    except UnsupportedError:
        return False
    return not step.calls and _weight(source) > _LONGER * _weight(step.text)


def _weight(text: str) -> int:
    """Statements of a text, calls weighed in."""
    return text.count(" = ") + _FUNCTION * len(called([text])) + _BLAS * (text.count("gemm(") + text.count("gemv("))


def _fields(adjoint: Adjoint, shared: bool) -> CompiledFields:
    step = field_step(adjoint, shared=shared)
    code = load(step.text, step.kernels)
    return CompiledFields(step, code, sum(room(t) for t in adjoint.state), *step.taped_bytes())


def run(compiled: Compiled, *, threads: int = 1, **given: Any) -> NumberDrive | FieldDrive:
    """A run of a loop of these steps; `FieldDrive` says of what. Steps on numbers take one thread."""
    if isinstance(compiled, CompiledNumbers):
        return NumberDrive(compiled, **given)
    return FieldDrive(compiled, threads=threads, **given)

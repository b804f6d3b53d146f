"""From a step to machine code: as numbers with names where it is small, as loop nests on fields otherwise."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from threading import Lock
from typing import Any

import numpy as np

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
from unspool.ir.program import Program, Var
from unspool.layout import ArrayType

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


def build_function(program: Program) -> Compiled:
    """The machine code of a program that has no way back: that of a step without a state, whose captures are the inputs
    and whose outputs are the outputs. Raises `UnsupportedError`."""
    numbers = count(1 + max([-1, *[var.number for var in _vars(program)]]))
    step = Var(next(numbers), ArrayType(np.dtype(np.int64), ()))
    captures = tuple([var.type for var in program.inputs])
    outputs = tuple([a.type if isinstance(a, Var) else ArrayType.of(a.value) for a in program.outputs])
    cts = tuple([Var(next(numbers), t) for t in outputs])
    nothing = tuple([(Var(next(numbers), t), np.zeros(t.shape, t.dtype)) for t in captures])
    advance = replace(program, inputs=(step, *program.inputs))
    reverse = Program((*advance.inputs, *cts), nothing, (), tuple([var for var, _ in nothing]))
    joint = replace(
        program,
        inputs=reverse.inputs,
        consts=(*program.consts, *nothing),
        outputs=(*program.outputs, *reverse.outputs),
    )
    adjoint = Adjoint(joint, advance, reverse, (), (), captures, outputs, b"")
    return _numbers(adjoint, only_forward=True) or _fields(adjoint, shared=False)


def _vars(program: Program) -> Iterator[Var]:
    yield from program.inputs
    yield from [var for var, _ in program.consts]
    for equation in program.equations:
        yield from equation.outputs


def _numbers(adjoint: Adjoint, *, only_forward: bool = False) -> CompiledNumbers | None:
    if sum(t.size for t in (*adjoint.state, *adjoint.inputs, *adjoint.captures)) > FEW:
        return None
    try:
        source = emit(adjoint)
    except UnsupportedError:
        return None
    if source.count(" = ") > _LONG and _is_better_in_nests(adjoint, source):
        return None
    code = load(source, ["advance"] if only_forward else ["advance", "record", "reverse"])
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
    residual, first = step.taped_bytes()
    inner = max([equation.primitive.n_bytes for equation in adjoint.joint.equations], default=0)
    return CompiledFields(step, code, sum(room(t) for t in adjoint.state), residual, first + inner, inner)


def run(compiled: Compiled, *, threads: int = 1, **given: Any) -> NumberDrive | FieldDrive:
    """A run of a loop of these steps; `FieldDrive` says of what. Steps on numbers take one thread."""
    if isinstance(compiled, CompiledNumbers):
        return NumberDrive(compiled, **given)
    return FieldDrive(compiled, threads=threads, **given)

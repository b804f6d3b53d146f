"""The kernels of a step on fields, and what a driver must know to call them.

A kernel takes the addresses of all that it works on: ``i64 kernel(i64* a)``. a[0] is the number of the step and a[1] that
of all steps; then comes what changes with every step, then what stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from unspool.adjoint import Adjoint
from unspool.adjoint.residuals import NEXT, RESIDUAL, STATE, Kept, Split, split
from unspool.codegen.fuse import kind_of, work
from unspool.codegen.nests import Array, Call, Kernel, Lines, Target
from unspool.codegen.scalars import check_sizes, check_types
from unspool.codegen.indices import Shape
from unspool.errors import UnsupportedError
from unspool.ir.program import Atom, Equation, Program, Var
from unspool.layout import ArrayType

GATHERED = 64
"""Rows of two factors that are gathered before their product is added to the cotangent of a matrix."""

_PER_OPERATION = 1.5e-10  # seconds: of a fused operation on one element
_PER_CALL, _PER_CALLED_ELEMENT = 5e-6, 5e-8
_PER_PRODUCT = 2.5e-10


_SKEW = 192  # bytes between buffers, so that the same element of two fields is not in the same set of a cache


def room(t: ArrayType) -> int:
    """Bytes of the buffer of an array."""
    padded = -(-t.nbytes // 64) * 64 or 64
    return padded if padded < 4096 else padded + _SKEW


@dataclass(frozen=True, slots=True)
class Place:
    """What an address stands for: ``role`` is capture, const, total, scratch or function; ``key`` says which."""

    role: str
    key: int | str
    shape: Shape = ()


class Places:
    """The addresses of a kernel that stay the same from step to step, in the order in which they are asked for."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.places: list[Place] = []
        self.calls: list[Call] = []

    def place(self, place: Place) -> int:
        """Where the address stands."""
        if place not in self.places:
            self.places.append(place)
        return self.first + self.places.index(place)

    def scratch(self, name: str, shape: Shape) -> Array:
        """Memory that a kernel has to itself while it runs."""
        return Array(name, shape, self.place(Place("scratch", name, shape)))

    def function(self, name: str) -> int:
        """The place of the address of a library function."""
        return self.place(Place("function", name))

    def call(self, call: Call) -> int:
        """The number of a call of Python."""
        self.calls.append(call)
        return len(self.calls) - 1


@dataclass(slots=True)
class FieldStep:
    """A step on fields: the text of its module, and the order of the addresses of its kernels.

    ``source[i]`` is the leaf of the old state that the new leaf i is, -1 where it is new; ``ct_source`` the same for
    cotangents. Forward: state, new leaves, inputs, outputs, residuals, fixed. Reverse: what is kept, cotangents, new
    cotangents, inputs, cotangents of outputs, cotangents of inputs, fixed.
    """

    adjoint: Adjoint
    split: Split
    source: tuple[int, ...]
    ct_source: tuple[int, ...]
    text: str = ""
    forward: list[Place] = field(default_factory=list)
    reverse: list[Place] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    records: bool = False  # whether record differs from advance
    n_statements: int = 0

    def taped_bytes(self) -> tuple[int, int]:
        """Bytes that each further recorded step takes, and what the first takes more: recorded in the mind."""
        fresh = count()
        state = [next(fresh) for _ in self.source]
        held: dict[int, int] = {}
        totals = [0]
        for _ in range(len(state) + 3):
            new = [next(fresh) if source < 0 else state[source] for source in self.source]
            for kept in self.kept:
                buffer = next(fresh) if kept.kind == RESIDUAL else (new if kept.kind == NEXT else state)[kept.position]
                held[buffer] = room(kept.var.type)
            state = new
            totals.append(sum(held.values()))
        residual = totals[-1] - totals[-2]
        return residual, totals[-1] - residual * (len(totals) - 1)

    @property
    def kept(self) -> tuple[Kept, ...]:
        """What a recorded step keeps."""
        return self.split.kept


def seconds(equation: Equation) -> float:
    """About how long an equation takes when it is carried out again."""
    size = max([var.type.size for var in equation.outputs])
    inside = sum([a.type.size for a in equation.operands if isinstance(a, Var)])
    match kind_of(equation):
        case "fused":
            return work(equation) * size * _PER_OPERATION
        case "filled" | "view":
            return 0.0
        case "sum":
            return inside * _PER_OPERATION
        case "product":
            left = equation.operands[0]
            assert isinstance(left, Var)
            return size * (left.type.shape[-1] if left.type.shape else 1) * _PER_PRODUCT
    return _PER_CALL + (size + inside) * _PER_CALLED_ELEMENT


def field_step(adjoint: Adjoint) -> FieldStep:
    """The kernels of a step. Raises `UnsupportedError` where it computes with what kernels do not know."""
    n_state, n_new = len(adjoint.state), len(adjoint.state) + len(adjoint.outputs)
    n_primal = 1 + n_state + len(adjoint.inputs) + len(adjoint.captures)
    _check(adjoint.joint)
    parts = split(adjoint.joint, n_state=n_state, n_new=n_new, n_primal=n_primal, work=seconds)
    state, cts = adjoint.joint.inputs[1 : 1 + n_state], adjoint.joint.inputs[n_primal : n_primal + n_state]
    step = FieldStep(
        adjoint,
        parts,
        _sources(parts.record.outputs[:n_state], state),
        _sources(parts.reverse.outputs[:n_state], cts),
    )
    lines = ["import math", "import numpy as np", "from numba import njit", ""]
    lines += ["from unspool.codegen.fields import call, field, gemm, gemv", "", ""]
    forward = Places(2 + n_state + step.source.count(-1) + len(adjoint.inputs) + len(adjoint.outputs) + len(_own(step)))
    step.records = bool(_own(step))
    lines += _forward(step, "advance", forward)
    if step.records:
        lines += _forward(step, "record", forward)
    reverse = Places(
        2 + len(step.kept) + n_state + step.ct_source.count(-1) + 2 * len(adjoint.inputs) + len(adjoint.outputs)
    )
    reverse.calls = forward.calls
    lines += _reverse(step, reverse)
    step.forward, step.reverse, step.calls = forward.places, reverse.places, forward.calls
    step.text = "\n".join(lines)
    step.n_statements = step.text.count(" = ")
    return step


def _check(program: Program) -> None:
    sizes: dict[Var, float] = dict.fromkeys(program.inputs, 2.0**31)
    for var, value in program.consts:
        if value.dtype.kind not in "fiub" or (value.dtype.kind == "f" and value.dtype != np.float64):
            raise UnsupportedError(f"the step computes with {var.type}: only float64 is compiled")
        sizes[var] = float(np.abs(value.astype(float)).max(initial=0.0)) if value.dtype.kind in "iub" else 0.0
    for equation in program.equations:
        if kind_of(equation) == "call":
            _check_call(equation)
            sizes |= dict.fromkeys(equation.outputs, 2.0**53)
        else:
            check_types(equation)
            sizes[equation.outputs[0]] = check_sizes(equation, sizes)


def _check_call(equation: Equation) -> None:
    for var in equation.outputs:
        if var.type.dtype not in (np.float64, np.int64, np.bool_):
            raise UnsupportedError(f"{equation.primitive.name} gives {var.type}: only float64 is compiled")


def _sources(atoms: Sequence[Atom], given: Sequence[Var]) -> tuple[int, ...]:
    return tuple([given.index(atom) if isinstance(atom, Var) and atom in given else -1 for atom in atoms])


def _own(step: FieldStep) -> list[Kept]:
    return [kept for kept in step.kept if kept.kind == RESIDUAL]


def _numbered(letter: str, types: Sequence[ArrayType], first: int) -> list[Array]:
    return [Array(f"{letter}{k}", t.shape, first + k) for k, t in enumerate(types)]


def _forward(step: FieldStep, name: str, places: Places) -> Lines:
    adjoint = step.adjoint
    n_state = len(adjoint.state)
    program = step.split.record
    slot = 2
    state = _numbered("u", adjoint.state, slot)
    slot += n_state
    fresh = [leaf for leaf, source in enumerate(step.source) if source < 0]
    new = [Array(f"v{leaf}", adjoint.state[leaf].shape, slot + k) for k, leaf in enumerate(fresh)]
    slot += len(fresh)
    inputs = _numbered("x", adjoint.inputs, slot)
    slot += len(inputs)
    outputs = _numbered("y", adjoint.outputs, slot)
    slot += len(outputs)
    residuals = _numbered("r", [kept.var.type for kept in _own(step)], slot)
    captures = _captures(adjoint, places)
    given = dict(zip(program.inputs[1:], [*state, *inputs, *captures], strict=True))
    given |= _consts(program, places, "forward")
    targets = [Target(program.outputs[leaf], array) for leaf, array in zip(fresh, new, strict=True)]
    targets += [Target(a, array) for a, array in zip(program.outputs[n_state:], outputs, strict=False)]
    if name == "record":
        targets += [Target(kept.var, array) for kept, array in zip(_own(step), residuals, strict=True)]
    kernel = Kernel(name, program, step=program.inputs[0], given=given, targets=targets, slots=places)
    return _text(kernel, [])


def _captures(adjoint: Adjoint, places: Places) -> list[Array]:
    return [
        Array(f"c{j}", t.shape, places.place(Place("capture", j, t.shape))) for j, t in enumerate(adjoint.captures)
    ]


def _consts(program: Program, places: Places, side: str) -> dict[Var, Array]:
    return {
        var: Array(f"const{k}", value.shape, places.place(Place("const", f"{side} {k}", value.shape)))
        for k, (var, value) in enumerate(program.consts)
    }


def _reverse(step: FieldStep, places: Places) -> Lines:
    adjoint = step.adjoint
    n_state = len(adjoint.state)
    program = step.split.reverse
    slot = 2
    kept = _numbered("u", [kept.var.type for kept in step.kept], slot)
    slot += len(kept)
    cts = _numbered("d", adjoint.state, slot)
    slot += n_state
    fresh = [leaf for leaf, source in enumerate(step.ct_source) if source < 0]
    new = [Array(f"w{leaf}", adjoint.state[leaf].shape, slot + k) for k, leaf in enumerate(fresh)]
    slot += len(fresh)
    inputs = _numbered("x", adjoint.inputs, slot)
    slot += len(inputs)
    cts_outputs = _numbered("e", adjoint.outputs, slot)
    slot += len(cts_outputs)
    cts_inputs = _numbered("z", adjoint.inputs, slot)
    captures = _captures(adjoint, places)
    given = dict(zip(program.inputs[1:], [*kept, *inputs, *captures, *cts, *cts_outputs], strict=True))
    given |= _consts(program, places, "reverse")
    outputs = program.outputs
    targets = [Target(outputs[leaf], array) for leaf, array in zip(fresh, new, strict=True)]
    targets += [Target(a, array) for a, array in zip(outputs[n_state:], cts_inputs, strict=False)]
    producers = {var: equation for equation in program.equations for var in equation.outputs}
    after: Lines = []
    for j, atom in enumerate(outputs[n_state + len(cts_inputs) :]):
        total = Array(f"g{j}", adjoint.captures[j].shape, places.place(Place("total", j, adjoint.captures[j].shape)))
        factors = _outer(atom, producers)
        if factors is None:
            targets.append(Target(atom, total, adds=True))
            continue
        rows = []
        for side, factor in zip("lr", factors, strict=True):
            shape = (factor.type.size,)
            base = places.scratch(f"{side}{j}", (GATHERED, *shape))
            rows.append(base)
            targets.append(Target(factor, Array(base.name, factor.type.shape, base.slot, lead="row")))
        after.append(
            f"    gemm(a[{places.function('dgemm')}], 1, 0, {rows[0].shape[1]}, {rows[1].shape[1]}, count, "
            f"a[{rows[0].slot}], a[{rows[1].slot}], a[{total.slot}], 1.0)"
        )
    gathering = ["row = a[0] % 64", "count = min(64, a[1] - a[0])"] if after else []
    if after:
        after = ["if row == 0:", *after]
    kernel = Kernel("reverse", program, step=program.inputs[0], given=given, targets=targets, slots=places)
    return _text(kernel, after, gathering)


def _outer(atom: Atom, producers: dict[Var, Equation]) -> tuple[Var, Var] | None:
    """The two vectors whose outer product an atom is, column and row, if it is one."""
    if not isinstance(atom, Var) or len(atom.type.shape) != 2 or atom not in producers:
        return None
    equation = producers[atom]
    if equation.primitive.name != "multiply" or not all(isinstance(a, Var) for a in equation.operands):
        return None
    m, n = atom.type.shape
    found: list[Var | None] = [None, None]
    for operand in equation.operands:
        assert isinstance(operand, Var)
        shape = (1,) * (2 - len(operand.type.shape)) + operand.type.shape
        if shape == (m, 1) and m > 1:
            found[0] = operand
        elif shape == (1, n) and n > 1:
            found[1] = operand
    column, row = found
    return None if column is None or row is None else (column, row)


def _text(kernel: Kernel, after: Lines, before: Lines | None = None) -> Lines:
    body = [*kernel.lines, *after]
    numbered = ["step = float(a[0])"] if any("step" in line for line in body) else []
    lines = [*(before or []), *numbered, *kernel.declared(body), *body, "return 0"]
    return [*kernel.borders, f"def {kernel.name}(a):", *[f"    {line}" for line in lines], "", ""]

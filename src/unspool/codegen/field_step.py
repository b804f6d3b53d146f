"""The kernels of a step on fields, and what a driver must know to call them.

A kernel takes the addresses of all that it works on: ``i64 kernel(i64* a)``. a[0] is the number of the step and a[1]
that of all steps; then comes what changes with every step, then what stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from unspool.adjoint import Adjoint
from unspool.adjoint.residuals import NEXT, RESIDUAL, Kept, Split, split
from unspool.codegen.arrays import Array, Call, Target, Update
from unspool.codegen.boxes import Lines
from unspool.codegen.cotangents import PASSED, REPLACED, added_rows, is_injective, outer, passed_on, signed
from unspool.codegen.fuse import Fusion, kind_of, work
from unspool.codegen.indices import Shape
from unspool.codegen.nests import Kernel
from unspool.codegen.places import Place, Places, room
from unspool.codegen.scalars import check_sizes, check_types, imported, where
from unspool.codegen.shares import Shares
from unspool.errors import UnsupportedError
from unspool.ir.program import Atom, Equation, Program, Var
from unspool.ir.simplify import drop_dead
from unspool.layout import ArrayType

GATHERED = 256
"""Rows of two factors that are gathered before their product is added to the cotangent of a matrix."""

_PER_OPERATION = 1.5e-10  # seconds: of a fused operation on one element
_PER_CALL, _PER_CALLED_ELEMENT = 5e-6, 5e-8
_PER_PRODUCT = 2.5e-10


@dataclass(slots=True)
class FieldStep:
    """A step on fields: the text of its module, and the order of the addresses of its kernels.

    ``source[i]`` is the leaf of the old state that the new leaf i is, -1 where it is new. ``ct_source[i]`` is the leaf
    whose buffer the new cotangent i takes over, and ``ct_manner[i]`` how: as it is, with the opposite sign, or written
    over. ``renewed[i]`` is the leaf that the kernel "renew" overwrites with the new leaf i, if nobody else holds it.
    ``n_shared`` counts the nests that a crew shares.
    Forward: state, new leaves, inputs, outputs, residuals, fixed. Reverse: what is kept, cotangents, their signs, new
    cotangents, inputs, cotangents of outputs, cotangents of inputs, fixed.
    """

    adjoint: Adjoint
    split: Split
    source: tuple[int, ...]
    ct_source: list[int]
    ct_manner: list[int]
    renewed: list[int]
    text: str = ""
    kernels: list[str] = field(default_factory=list)
    forward: list[Place] = field(default_factory=list)
    reverse: list[Place] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    columns: dict[str, tuple[Shape, int]] = field(default_factory=dict)  # shape, and where most of it is written from
    n_statements: int = 0
    n_shared: int = 0

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
        case "filled" | "view" | "row":
            return 0.0
        case "sum":
            return inside * _PER_OPERATION
        case "product":
            left = equation.operands[0]
            assert isinstance(left, Var)
            return size * (left.type.shape[-1] if left.type.shape else 1) * _PER_PRODUCT
    return _PER_CALL + (size + inside) * _PER_CALLED_ELEMENT


def field_step(adjoint: Adjoint, *, shared: bool = False) -> FieldStep:
    """The kernels of a step, which may be for a crew of threads. Raises `UnsupportedError` where it computes with what
    kernels do not know."""
    n_state, n_new = len(adjoint.state), len(adjoint.state) + len(adjoint.outputs)
    n_primal = 1 + n_state + len(adjoint.inputs) + len(adjoint.captures)
    _check(adjoint.joint)
    parts = split(adjoint.joint, n_state=n_state, n_new=n_new, n_primal=n_primal, work=seconds)
    state = adjoint.joint.inputs[1 : 1 + n_state]
    new = parts.record.outputs[:n_state]
    source = tuple([state.index(atom) if isinstance(atom, Var) and atom in state else -1 for atom in new])
    step = FieldStep(adjoint, parts, source, [-1] * n_state, [PASSED] * n_state, [-1] * n_state)
    places = Places(2 + n_state + source.count(-1) + len(adjoint.inputs) + len(adjoint.outputs) + len(_own(step)))
    back = Places(0)
    back.calls = places.calls
    lines = _forward(step, "advance", places, shared)
    if _own(step):
        lines += _forward(step, "record", places, shared)
    lines += _forward(step, "renew", places, shared)
    lines += _reverse(step, back, shared)
    if shared and not step.n_shared:
        return field_step(adjoint)
    step.forward, step.reverse, step.calls = places.places, back.places, places.calls
    head = [
        "import math",
        "import numpy as np",
        "",
        *["from unspool.codegen.combination import combine"] * any("combine(" in line for line in lines),
        f"from unspool.codegen.fields import call, field, fma, gemm, gemv, guarded, {'kernel, ' * shared}select",
    ]
    step.text = "\n".join([*head, *imported(lines), "", "", *lines]).rstrip("\n") + "\n"
    step.n_statements = step.text.count(" = ")
    return step


def _check(program: Program) -> None:
    for var in program.inputs[1:]:
        if var.type.dtype != np.float64:
            raise UnsupportedError(f"the step works on {var.type}: only float64 is compiled")
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
            raise UnsupportedError(f"{where(equation)} gives {var.type}: only float64 is compiled")
    if any(isinstance(a, Var) and a.type.dtype != np.float64 for a in equation.operands):
        _check_rule(equation)


def _check_rule(equation: Equation) -> None:
    """Try the type rule of a call that works on truths or whole numbers: where it errs, numbers would be taken for
    others."""
    samples = [  # 0 is an index that there always is
        np.full(a.type.shape, float(a.type.dtype.kind != "i"), a.type.dtype) if isinstance(a, Var) else a.value
        for a in equation.operands
    ]
    expected = [str(var.type) for var in equation.outputs]
    try:
        with np.errstate(all="ignore"):
            results = equation.primitive.evaluate(*samples, **dict(equation.params))
        found = [str(ArrayType.of(x)) for x in (results if equation.primitive.multiple else (results,))]
    except Exception as error:
        raise UnsupportedError(f"{where(equation)} works on other types than float64 ({error})") from error
    if found != expected:
        raise UnsupportedError(
            f"{where(equation)} gives {', '.join(found)}, and its type rule says {', '.join(expected)}: convert its "
            "operands to float64"
        )


def _own(step: FieldStep) -> list[Kept]:
    return [kept for kept in step.kept if kept.kind == RESIDUAL]


def _numbered(letter: str, types: Sequence[ArrayType], first: int) -> list[Array]:
    return [Array(f"{letter}{k}", t.shape, first + k) for k, t in enumerate(types)]


def _forward(step: FieldStep, name: str, places: Places, shared: bool) -> Lines:
    adjoint, program = step.adjoint, step.split.record
    n_state = len(adjoint.state)
    slot = 2
    state = _numbered("u", adjoint.state, slot)
    slot += n_state
    fresh = [leaf for leaf, source in enumerate(step.source) if source < 0]
    new = {leaf: Array(f"v{leaf}", adjoint.state[leaf].shape, slot + k) for k, leaf in enumerate(fresh)}
    slot += len(fresh)
    inputs = _numbered("x", adjoint.inputs, slot)
    slot += len(inputs)
    outputs = _numbered("y", adjoint.outputs, slot)
    slot += len(outputs)
    residuals = _numbered("r", [kept.var.type for kept in _own(step)], slot)
    given = dict(zip(program.inputs[1:], [*state, *inputs, *_captures(adjoint, places)], strict=True))
    given |= _consts(program, places, "forward")
    n_out = n_state + len(outputs) + len(_own(step)) * (name == "record")
    fusion = Fusion(program, [*given], program.outputs[:n_out])
    if name == "renew":
        free = [leaf for leaf in range(n_state) if leaf not in step.source]
        for leaf in fresh:
            step.renewed[leaf] = _replaceable(fusion, program.outputs[leaf], program.inputs[1 : 1 + n_state], free)
            if step.renewed[leaf] >= 0:
                free.remove(step.renewed[leaf])
                new[leaf] = replace(state[step.renewed[leaf]], name=f"v{leaf}")  # what is read anew has another name
        if max(step.renewed, default=-1) < 0:
            return []
    targets = [Target(program.outputs[leaf], new[leaf]) for leaf in fresh]
    targets += [Target(a, array) for a, array in zip(program.outputs[n_state:], outputs, strict=False)]
    if name == "record":
        targets += [Target(kept.var, array) for kept, array in zip(_own(step), residuals, strict=True)]
    shares = Shares(places) if shared else None
    kernel = Kernel(name, fusion, step=program.inputs[0], given=given, targets=targets, slots=places, shares=shares)
    return _text(step, kernel, [])


def _replaceable(fusion: Fusion, result: Atom, given: Sequence[Var], free: list[int]) -> int:
    """The array among the given ones that the result may overwrite, or -1."""
    if isinstance(result, Var):
        for leaf in free:
            if fusion.may_replace(result, given[leaf]):
                return leaf
    return -1


def _captures(adjoint: Adjoint, places: Places) -> list[Array]:
    return [Array(f"c{j}", t.shape, places.place(Place("capture", j, t.shape))) for j, t in enumerate(adjoint.captures)]


def _consts(program: Program, places: Places, side: str) -> dict[Var, Array]:
    return {
        var: Array(f"const{k}", value.shape, places.place(Place("const", f"{side} {k}", value.shape)))
        for k, (var, value) in enumerate(program.consts)
    }


def _reverse(step: FieldStep, places: Places, shared: bool) -> Lines:
    adjoint = step.adjoint
    n_state, n_inputs = len(adjoint.state), len(adjoint.inputs)
    cts_of_state = step.split.reverse.inputs[-n_state - len(adjoint.outputs) :][:n_state]
    program, additions, step.ct_source, step.ct_manner = passed_on(step.split.reverse, cts_of_state)
    outputs = program.outputs
    cts_of_state = program.inputs[len(program.inputs) - n_state - len(adjoint.outputs) :][:n_state]
    producers = {var: equation for equation in program.equations for var in equation.outputs}
    factors = [outer(atom, producers) for atom in outputs[n_state + n_inputs :]]
    added = [added_rows(atom, producers) for atom in outputs[n_state + n_inputs :]]
    results = [atom for leaf, atom in enumerate(outputs[:n_state]) if step.ct_source[leaf] < 0]
    results += outputs[n_state : n_state + n_inputs]
    for atom, pair, parts in zip(outputs[n_state + n_inputs :], factors, added, strict=True):
        results += [part for part, _ in parts] if parts else [atom] if pair is None else pair
    given_vars = [*program.inputs[1:], *[var for var, _ in program.consts]]
    indices = [index for parts in added for _, index in parts]
    parts_added = [part for _, _, part, _ in additions]
    program = replace(program, outputs=(*results, *indices, *parts_added))
    fusion = Fusion(drop_dead(program), given_vars, results)
    free = [leaf for leaf in range(n_state) if leaf not in step.ct_source]
    if is_injective(step.ct_source):
        for leaf in range(n_state):
            if step.ct_source[leaf] < 0:
                step.ct_source[leaf] = _replaceable(fusion, outputs[leaf], cts_of_state, free)
                if step.ct_source[leaf] >= 0:
                    free.remove(step.ct_source[leaf])
                    step.ct_manner[leaf] = REPLACED
    slot = 2
    kept = _numbered("u", [kept.var.type for kept in step.kept], slot)
    slot += len(kept)
    cts = [
        replace(array, sign=f"q{leaf}" if leaf in signed(step.ct_source, step.ct_manner) else "")
        for leaf, array in enumerate(_numbered("d", adjoint.state, slot))
    ]
    signs = [f"q{leaf} = float(a[{slot + n_state + leaf}])" for leaf in sorted(signed(step.ct_source, step.ct_manner))]
    slot += 2 * n_state
    fresh = [leaf for leaf in range(n_state) if step.ct_source[leaf] < 0]
    new = [Array(f"w{leaf}", adjoint.state[leaf].shape, slot + k) for k, leaf in enumerate(fresh)]
    slot += len(fresh)
    inputs = _numbered("x", adjoint.inputs, slot)
    slot += n_inputs
    cts_outputs = _numbered("e", adjoint.outputs, slot)
    slot += len(cts_outputs)
    cts_inputs = _numbered("z", adjoint.inputs, slot)
    places.first = slot + n_inputs
    captures = _captures(adjoint, places)
    given = dict(zip(program.inputs[1:], [*kept, *inputs, *captures, *cts, *cts_outputs], strict=True))
    given |= _consts(step.split.reverse, places, "reverse")
    targets = [Target(outputs[leaf], array) for leaf, array in zip(fresh, new, strict=True)]
    targets += [
        Target(outputs[leaf], replace(cts[step.ct_source[leaf]], name=f"w{leaf}", sign=""))
        for leaf in range(n_state)
        if step.ct_source[leaf] >= 0 and step.ct_manner[leaf] == REPLACED
    ]
    targets += [Target(a, array) for a, array in zip(outputs[n_state:], cts_inputs, strict=False)]
    after: Lines = []
    rows_of: list[tuple[str, int, Atom]] = []
    for j, (atom, pair) in enumerate(zip(outputs[n_state + n_inputs :], factors, strict=True)):
        total = Array(f"g{j}", adjoint.captures[j].shape, places.place(Place("total", j, adjoint.captures[j].shape)))
        for part, index in added[j]:
            lead = f"r{j}_{len(rows_of)}"
            rows_of.append((lead, total.shape[0], index))
            targets.append(Target(part, replace(total, shape=total.shape[1:], lead=lead), adds=True))
        if added[j]:
            continue
        if pair is None:
            targets.append(Target(atom, total, adds=True))
            continue
        rows = [places.scratch(f"{side}{j}", (GATHERED, f.type.size)) for side, f in zip("lr", pair, strict=True)]
        targets += [
            Target(f, Array(base.name, f.type.shape, base.slot, lead="row")) for f, base in zip(pair, rows, strict=True)
        ]
        after.append(
            f"    gemm(a[{places.function('dgemm')}], 1, 0, {rows[0].shape[1]}, {rows[1].shape[1]}, count, "
            f"a[{rows[0].slot}], a[{rows[1].slot}], a[{total.slot}], 1.0)"
        )
    before = [f"row = a[0] % {GATHERED}", f"count = min({GATHERED}, a[1] - a[0])"] if after else []
    kernel = Kernel(
        "reverse",
        fusion,
        step=program.inputs[0],
        given=given,
        targets=targets,
        slots=places,
        rows=rows_of,
        updates=[Update(cts[leaf], key, part, part_shape) for leaf, key, part, part_shape in additions],
        shares=Shares(places) if shared else None,
    )
    if after:
        kernel.write(["if row == 0:", *after])
    return _text(step, kernel, [*signs, *before])


def _text(step: FieldStep, kernel: Kernel, before: Lines) -> Lines:
    body = kernel.lines
    step.columns |= kernel.columns
    step.kernels.append(kernel.name)
    numbered = ["step = float(a[0])"] if any("step" in line for line in body) else []
    parts: Lines = []
    if kernel.shares is not None:
        parts, body = kernel.shares.declared(), [*body, *kernel.shares.last()]
        step.n_shared += kernel.shares.n_shared
    lines = [*before, *numbered, *parts, *kernel.declared(body), *body, "return 0"]
    return [f"def {kernel.name}(a):", *[f"    {line}" for line in lines], "", ""]

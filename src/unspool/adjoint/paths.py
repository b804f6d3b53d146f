"""A step that branches: the programs of the paths that it takes, as one program that chooses between their results.

All paths are computed, and the truths that decide choose a whole result or a whole cotangent; nothing of a path that
is not taken gets into it, a NaN neither. What the paths have in common is computed once. A step that goes another way
than all of them keeps its state, and its number is noted: whoever runs the steps looks for it and learns the path.

The condition of a while loop is a branch before the step, of which one side is known to be the end: there the state
stays as it is, too, and the number of steps is noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np

from unspool.adjoint.reverse import Adjoint, Recording, assemble
from unspool.ir.primitive import Primitive
from unspool.ir.program import Atom, Equation, Literal, Program, Var
from unspool.ir.simplify import fold_constants, join_common
from unspool.ir.verify import result_types
from unspool.layout import ArrayType
from unspool.ops.arithmetic import multiply
from unspool.ops.choice import where
from unspool.ops.dynamic import place_row, row
from unspool.ops.shape import reshape
from unspool.ops.table import PRIMITIVES

_FLAG = ArrayType(np.dtype(np.float64), ())


def joined(paths: Sequence[Recording]) -> Adjoint:
    """The adjoint of a step that takes these paths, which differ in their branches."""
    if len(paths) == 1 and not paths[0].branches:
        return assemble(paths[0], tuple(paths))
    model = max(paths, key=lambda path: len(path.captures))
    builder = _Builder(model)
    flows = [builder.flow(path) for path in paths]
    n_new, n_in = len(model.state) + len(model.outputs), len(model.whole.outputs)
    flat = [atom for flow in flows for atom in (*flow.outputs, *flow.conditions)]
    shared = join_common(fold_constants(builder.program(flat)))
    builder.equations, builder.consts = [*shared.equations], [*shared.consts]
    left = iter(shared.outputs)
    flows = [_Flow(f.path, [next(left) for _ in f.outputs], [next(left) for _ in f.conditions], f.asked) for f in flows]

    k, inputs = builder.inputs[0], builder.inputs[1:]
    nothing = [*inputs[: len(model.state)]]  # the state of a step whose path is not known stays as it is
    nothing += [builder.constant(np.zeros(t.shape)) for t in model.outputs]
    cts = builder.inputs[1 + len(model.state) + len(model.inputs) + len(model.captures) :][: len(model.state)]
    nothing += cts
    nothing += [builder.constant(np.zeros(t.shape)) for t in (*model.inputs, *model.captures)]
    ends = _ends(flows, nothing)
    watched = bool(ends) or not _is_complete([flow.path for flow in flows])
    results = builder.chosen([*flows, *ends], nothing)
    if not watched:
        return assemble(replace(model, whole=builder.program(results), branches=(), after=()), tuple(paths))
    flag, ct_flag = builder.var(_FLAG), builder.var(_FLAG)
    number = builder.apply(multiply, k, Literal(1.0))
    for flow in flows:
        flow.outputs[:] = [Literal(-1.0)]
    for end in ends:
        end.outputs[:] = [builder.apply(PRIMITIVES["subtract"], Literal(-2.0), number)]
    (found,) = builder.chosen([*flows, *ends], [number])
    noted = builder.apply(where, builder.apply(PRIMITIVES["equal"], flag, Literal(-1.0)), found, flag)
    n_state = len(model.state)
    at, ct_at = 1 + n_state, len(builder.inputs) - len(model.outputs)
    builder.inputs = [*builder.inputs[:at], flag, *builder.inputs[at:ct_at], ct_flag, *builder.inputs[ct_at:]]
    outputs = [*results[:n_state], noted, *results[n_state:n_new]]
    outputs += [*results[n_new : n_new + n_state], ct_flag, *results[n_new + n_state : n_in]]
    whole = builder.program(outputs)
    recording = replace(model, whole=whole, state=(*model.state, _FLAG), branches=(), after=())
    return assemble(recording, tuple(paths), watched=True)


@dataclass(slots=True)
class _Flow:
    """One path in the common program: its outputs, and the truths on which it branches."""

    path: tuple[bool, ...]
    outputs: list[Any]
    conditions: list[Any]
    asked: int = 0


class _Builder:
    """The common program while it grows; its inputs are those of the model."""

    def __init__(self, model: Recording) -> None:
        self._numbers = count()
        self._model = model
        self.inputs: list[Var] = [self.var(v.type) for v in model.whole.inputs]
        self.consts: list[tuple[Var, np.ndarray]] = []
        self.equations: list[Equation] = []

    def var(self, type: ArrayType) -> Var:
        """A new name."""
        return Var(next(self._numbers), type)

    def constant(self, value: np.ndarray) -> Var:
        """A known array."""
        var = self.var(ArrayType.of(value))
        self.consts.append((var, value))
        return var

    def apply(self, primitive: Primitive, *operands: Atom, **params: Any) -> Var:
        """One more equation."""
        types = [a.value if isinstance(a, Literal) else a.type for a in operands]
        (found,) = result_types(primitive, tuple(types), params)
        var = self.var(found)
        self.equations.append(Equation(primitive, operands, tuple(params.items()), (var,)))
        return var

    def program(self, outputs: Sequence[Atom]) -> Program:
        """What there is so far."""
        return Program(tuple(self.inputs), tuple(self.consts), tuple(self.equations), tuple(outputs))

    def flow(self, path: Recording) -> _Flow:
        """Take the equations of a path in, each index of a row made harmless where the path is not taken."""
        model, whole = self._model, path.whole
        n_primal = 1 + len(path.state) + len(path.inputs) + len(path.captures)
        n_model = 1 + len(model.state) + len(model.inputs) + len(model.captures)
        here: dict[Atom, Atom] = dict(zip(whole.inputs[:n_primal], self.inputs, strict=False))
        here |= dict(zip(whole.inputs[n_primal:], self.inputs[n_model:], strict=True))
        for var, value in whole.consts:
            here[var] = self.constant(value)
        for position, equation in enumerate(whole.equations):
            operands = [here.get(atom, atom) for atom in equation.operands]
            if equation.primitive in (row, place_row):
                for branch in path.branches:
                    if branch.position <= position:
                        condition = self._truth(here[branch.condition])
                        either = (operands[1], Literal(0)) if branch.taken else (Literal(0), operands[1])
                        operands[1] = self.apply(where, condition, *either)
            outputs = tuple([self.var(var.type) for var in equation.outputs])
            here |= dict(zip(equation.outputs, outputs, strict=True))
            self.equations.append(replace(equation, operands=tuple(operands), outputs=outputs))
        results = [here.get(atom, atom) for atom in whole.outputs]
        results += [self.constant(np.zeros(t.shape)) for t in model.captures[len(path.captures) :]]
        return _Flow(path.path, results, [self._truth(here[b.condition]) for b in path.branches], path.asked)

    def _truth(self, condition: Atom) -> Var:
        """A condition as one truth without axes."""
        assert isinstance(condition, Var)
        if condition.type.shape:
            condition = self.apply(reshape, condition, shape=())
        if condition.type.dtype.kind != "b":
            condition = self.apply(PRIMITIVES["not_equal"], condition, Literal(0))
        return condition

    def chosen(self, flows: Sequence[_Flow], nothing: Sequence[Atom], depth: int = 0) -> list[Atom]:
        """The outputs of the flow that is taken, of which the first ``depth`` branches are alike; or nothing."""
        if not flows:
            return [*nothing]
        if len(flows) == 1 and len(flows[0].path) == depth:
            return [*flows[0].outputs]
        condition = flows[0].conditions[depth]
        sides = [
            self.chosen([flow for flow in flows if flow.path[depth] is taken], nothing, depth + 1)
            for taken in (True, False)
        ]
        return [
            one if one == other else self.apply(where, condition, one, other) for one, other in zip(*sides, strict=True)
        ]


def _ends(flows: Sequence[_Flow], nothing: Sequence[Atom]) -> list[_Flow]:
    """Where the condition of a while loop says that there is no step: the other side of its last branch."""
    ends: dict[tuple[bool, ...], _Flow] = {}
    for flow in flows:
        n = flow.asked
        if n:
            path = (*flow.path[: n - 1], not flow.path[n - 1])
            ends[path] = _Flow(path, [*nothing], flow.conditions[:n])
    return [*ends.values()]


def _is_complete(paths: Sequence[tuple[bool, ...]], depth: int = 0) -> bool:
    """Whether every way that the branches can go is one of the paths."""
    if not paths:
        return False
    if len(paths) == 1 and len(paths[0]) == depth:
        return True
    return all(_is_complete([p for p in paths if p[depth] is taken], depth + 1) for taken in (True, False))

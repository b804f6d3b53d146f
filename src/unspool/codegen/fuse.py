"""From a program to loop nests: which values get memory, and in which order and company they are computed.

A value is a function of its index. Most are written where they are asked for, inside the loops of another; memory goes
to the results of the program, to what enters and leaves a library call, to sums, and to what would be computed again
too often. Values of one domain that wait for the same things share one nest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np

from unspool.codegen.indices import Index, Shape, broadcast, identity, moved, pieces, summands
from unspool.codegen.scalars import is_elementwise
from unspool.ir.program import Atom, Equation, Literal, Program, Var

SMALL = 8
"""Arrays of up to so many elements are kept as numbers with names, where nothing needs them in memory."""

_AGAIN = 12.0
"""A value is kept in memory when computing it where it is asked for would take so many more operations per element."""

_MOST_EFFORT = 16.0  # what would take more has parts that are kept

WEIGHTS = {"divide": 4.0, "reciprocal": 4.0, "sqrt": 4.0, "remainder": 8.0, "floor_divide": 8.0, "fmod": 8.0}
_CHEAP = frozenset(
    ["add", "subtract", "multiply", "negative", "square", "absolute", "fabs", "where", "maximum", "minimum"]
)
_FUNCTION = 12.0

PRODUCTS = frozenset(["matmul", "dot", "inner"])
SUMS = frozenset(["sum", "max", "min"])
FILLED = frozenset(["zeros_like", "ones_like"])


def work(equation: Equation) -> float:
    """Operations per element of the result, a sum or a product counted as one."""
    name = equation.primitive.name
    if name in WEIGHTS:
        return WEIGHTS[name]
    if name in _CHEAP or not equation.primitive.emit:
        return float(name in _CHEAP)
    return 1.0 if equation.outputs[0].type.dtype.kind == "b" else _FUNCTION


def kind_of(equation: Equation) -> str:
    """How an equation is carried out: fused, small, filled, view, row, sum, product, or call."""
    name, (result, *_) = equation.primitive.name, equation.outputs
    if len(equation.outputs) > 1:
        return "call"
    if name in FILLED:
        return "filled"
    if is_elementwise(equation) or pieces(equation, identity(result.type.shape)) is not None:
        return "fused"
    if name == "reshape":
        return "view"
    if name == "row" and isinstance(equation.operands[0], Var) and equation.operands[0].type.dtype.kind == "f":
        return "row"
    if name in SUMS and _is_float(equation) and isinstance(equation.operands[0], Var):
        n = equation.operands[0].type.size
        return "call" if n == 0 else "fused" if n <= SMALL else "sum"
    if name in PRODUCTS and _is_float(equation) and _plain_product(equation):
        return "product"
    return "call"


def _is_float(equation: Equation) -> bool:
    return all(a.type.dtype.kind == "f" for a in (*equation.operands, *equation.outputs) if isinstance(a, Var))


def _plain_product(equation: Equation) -> bool:
    a, b = equation.operands
    if not (isinstance(a, Var) and isinstance(b, Var)):
        return False
    ranks = len(a.type.shape), len(b.type.shape)
    if equation.primitive.name == "inner":
        return ranks == (1, 1)
    return max(ranks) <= 2 and min(ranks) >= 1 and a.type.size > 0 and b.type.size > 0


@dataclass(slots=True)
class Group:
    """Values that are computed in one nest: each with the place of its first element in the common domain."""

    shape: Shape
    values: dict[Var, Shape] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """What can be computed from the stages before: numbers first, then nests, sums, products and calls."""

    numbers: list[Equation]
    nests: list[Group]
    others: list[Equation]


class Fusion:
    """The decisions for one program; ``given`` are the vars that stand in memory from the start."""

    def __init__(self, program: Program, given: Sequence[Var], results: Sequence[Atom]) -> None:
        self.program = program
        self.producer = {var: equation for equation in program.equations for var in equation.outputs}
        self.kinds = {id(equation): kind_of(equation) for equation in program.equations}
        self.given = frozenset(given)
        self.results = [atom for atom in results if isinstance(atom, Var)]
        self.named = frozenset(
            var
            for equation in program.equations
            for var in equation.outputs
            if var.type.size <= SMALL and self.kinds[id(equation)] in ("fused", "filled")
        )
        self._known_reads: dict[int, list[tuple[Var, Index]]] = {}
        self.stored: dict[Var, None] = {}
        for equation in program.equations:
            self._require(equation)
        for var in self.results:
            self._store(var)
        self._store_what_is_asked_for_often()

    # --- memory -----------------------------------------------------------------------------------------------------
    def kind(self, var: Var) -> str:
        """How the var comes about."""
        return self.kinds[id(self.producer[var])] if var in self.producer else "given"

    def in_memory(self, var: Var) -> bool:
        """Whether the var is read from memory."""
        return var in self.stored or var not in self.producer or self.kind(var) not in ("fused", "filled")

    def _store(self, atom: Atom) -> None:
        if isinstance(atom, Var) and atom in self.producer and self.kind(atom) in ("fused", "filled"):
            self.stored[atom] = None

    def _require(self, equation: Equation) -> None:
        """Give memory to the operands of what works on memory."""
        kind = self.kinds[id(equation)]
        if kind == "product":
            for atom in equation.operands:
                self._store(self.untransposed(atom)[0])
        elif kind in ("call", "view"):
            for atom in equation.operands:
                self._store(atom)
        elif kind == "row":
            self._store(equation.operands[0])
        elif kind == "sum":
            (operand,) = equation.operands
            if isinstance(operand, Var) and (operand in self.named or self._has_bounds(operand)):
                self._store(operand)

    def untransposed(self, atom: Atom) -> tuple[Atom, bool]:
        """A matrix, and whether it is to be read with its axes exchanged."""
        if isinstance(atom, Var) and atom in self.producer and len(atom.type.shape) == 2:
            equation = self.producer[atom]
            if equation.primitive.name == "transpose":
                source = equation.operands[0]
                if isinstance(source, Var):
                    return source, dict(equation.params)["axes"] == (1, 0)
        return atom, False

    def operands(self, var: Var, index: Index) -> Iterator[tuple[Atom, Index]]:
        """What a value at an index reads, with the indices at which it does."""
        equation = self.producer[var]
        if equation.primitive.name in FILLED:
            return
        if equation.primitive.name in SUMS:
            for inner in summands(equation, index):
                yield equation.operands[0], inner
            return
        found = None if is_elementwise(equation) else pieces(equation, index)
        if found is not None:
            for piece in found:
                yield equation.operands[piece.operand], piece.index
            return
        for atom in equation.operands:
            if isinstance(atom, Var):
                yield atom, broadcast(index, atom.type.shape)

    def _has_bounds(self, var: Var) -> bool:
        seen: set[Var] = set()
        stack = [var]
        while stack:
            now = stack.pop()
            if now in seen or self.in_memory(now) or now in self.named:
                continue
            seen.add(now)
            equation = self.producer[now]
            if not is_elementwise(equation) and equation.primitive.name not in SUMS:
                found = pieces(equation, identity(now.type.shape)) or []
                if len(found) > 1 or any(piece.bounds for piece in found):
                    return True
            stack += [atom for atom in equation.operands if isinstance(atom, Var)]
        return False

    def _store_what_is_asked_for_often(self) -> None:
        """Give memory to values that would be computed again too often, the last of the program first.

        So all that asks for a value is decided when it is its turn; what its operands take is an estimate.
        """
        asked: dict[Var, set[tuple[Shape, Index]]] = {}
        effort: dict[Var, float] = {}
        for equation in self.program.equations:
            parts = sum([effort.get(a, 0.0) for a in equation.operands if isinstance(a, Var)])
            for var in equation.outputs:
                inline = not self.in_memory(var) and var not in self.named
                effort[var] = min(_MOST_EFFORT, work(equation) + parts) if inline else 0.0

        def ask(atom: Atom, shape: Shape, index: Index) -> None:
            if isinstance(atom, Var) and not self.in_memory(atom):
                asked.setdefault(atom, set()).add((shape, index))

        for equation in reversed(self.program.equations):
            var, kind = equation.outputs[0], self.kinds[id(equation)]
            if kind == "sum":
                for atom in equation.operands:
                    if isinstance(atom, Var):
                        ask(atom, atom.type.shape, identity(atom.type.shape))
            if kind not in ("fused", "filled"):
                continue
            places = asked.get(var, set())
            if var in self.named:
                if any(d >= 0 for _, index in places for d, _, _ in index):
                    self.stored[var] = None  # numbers have no order in which a loop could go through them
                places = {((), tuple([(-1, 0, k) for k in at])) for at in np.ndindex(*var.type.shape)}
            elif var not in self.stored:
                evaluations = sum([prod(shape) for shape, _ in places])
                if (evaluations - var.type.size) * effort[var] > _AGAIN * var.type.size:
                    self.stored[var] = None
            if var in self.stored and var not in self.named:
                places = {(var.type.shape, identity(var.type.shape))}
            for shape, index in places:
                for atom, at in self.operands(var, index):
                    ask(atom, shape, at)

    # --- order ------------------------------------------------------------------------------------------------------
    @cached_property
    def stages(self) -> list[Stage]:
        """The program as stages, each of which reads only what those before have left."""
        ready: dict[Var, int] = {}  # the first stage that can read it
        placed: dict[Var, int] = {}  # the stage whose nest computes it
        stages: list[Stage] = []

        def at(number: int) -> Stage:
            while len(stages) <= number:
                stages.append(Stage([], [], []))
            return stages[number]

        for equation in self.program.equations:
            kind = self.kinds[id(equation)]
            var = equation.outputs[0]
            reads = self.reads(equation)
            if var in self.stored and var not in self.named:
                number = 0
                for source, index in reads:
                    together = source in placed and source.type.shape == var.type.shape
                    if together and index == identity(var.type.shape):
                        number = max(number, placed[source])
                    else:
                        number = max(number, ready.get(source, 0))
                placed[var], ready[var] = number, number + 1
                origin = (0,) * len(var.type.shape)
                for group in at(number).nests:
                    if group.shape == var.type.shape:
                        group.values[var] = origin
                        break
                else:
                    at(number).nests.append(Group(var.type.shape, {var: origin}))
                continue
            number = max([ready.get(source, 0) for source, _ in reads], default=0)
            if kind in ("fused", "filled"):
                ready[var] = number
                if var in self.named:
                    at(number).numbers.append(equation)
                continue
            at(number).others.append(equation)
            for result in equation.outputs:
                ready[result] = number + 1
        for stage in stages:
            self._join(stage)
        return stages

    def _join(self, stage: Stage) -> None:
        """Put nests of nearly the same domain together where they read the same memory: it is read once."""
        stage.nests.sort(key=lambda group: -prod(group.shape))
        for small in [*stage.nests]:
            for large in stage.nests:
                if large is small:
                    break
                place = self._aligned(small, large)
                if place is not None:
                    large.values |= dict.fromkeys(small.values, place)
                    stage.nests.remove(small)
                    break

    def _aligned(self, small: Group, large: Group) -> Shape | None:
        """Where the smaller domain lies in the larger one so that both read the same elements, if it should."""
        if len(small.shape) != len(large.shape) or prod(small.shape) < SMALL:
            return None
        if any(not 0 <= n - m <= max(4, n // 16) for m, n in zip(small.shape, large.shape, strict=True)):
            return None
        ours, theirs = self._offsets(small), self._offsets(large)
        shared = ours.keys() & theirs.keys()
        if not shared:
            return None
        place = []
        for d, (m, n) in enumerate(zip(small.shape, large.shape, strict=True)):
            shift = sum([ours[var][d] - theirs[var][d] for var in shared]) / len(shared)
            place.append(min(max(round(shift), 0), n - m))
        return tuple(place)

    def _offsets(self, group: Group) -> dict[Var, list[float]]:
        """The mean offset of the index at which each array of the rank of a group is read."""
        found: dict[Var, list[Index]] = {}
        for var, origin in group.values.items():
            for source, index in self.reads(self.producer[var]):
                if len(index) == len(group.shape) and all(d >= 0 for d, _, _ in index):
                    found.setdefault(source, []).append(moved(index, origin))
        return {
            var: [sum([index[d][2] for index in places]) / len(places) for d in range(len(group.shape))]
            for var, places in found.items()
        }

    def reads(self, equation: Equation) -> list[tuple[Var, Index]]:
        """What the computation of an equation reads that is not computed inside it."""
        if id(equation) in self._known_reads:
            return self._known_reads[id(equation)]
        found: dict[tuple[Var, Index], None] = {}
        if self.kinds[id(equation)] in ("fused", "filled"):
            shape = equation.outputs[0].type.shape
            stack = [*self.operands(equation.outputs[0], identity(shape))]
        else:
            stack = [(atom, identity(atom.type.shape)) for atom in equation.operands if isinstance(atom, Var)]
            if self.kinds[id(equation)] == "product":
                found |= {
                    (a, identity(a.type.shape)): None
                    for a, _ in map(self.untransposed, equation.operands)
                    if isinstance(a, Var)
                }
        seen: set[tuple[Var, Index]] = set()
        while stack:
            atom, index = stack.pop()
            if isinstance(atom, Literal) or (atom, index) in seen:
                continue
            seen.add((atom, index))
            if self.in_memory(atom) or atom in self.named:
                found[atom, index] = None
            else:
                stack += self.operands(atom, index)
        self._known_reads[id(equation)] = [*found]
        return self._known_reads[id(equation)]

    def may_replace(self, result: Var, source: Var) -> bool:
        """Whether a result can be written where a given array stands: it is the last that reads it, element by element.

        Nests before it may read anything, and others of its own nest the element that is written.
        """
        views = {source}  # all that lies in this memory
        for equation in self.program.equations:
            if self.kinds[id(equation)] in ("view", "row") and views.intersection(equation.operands):
                views.update(equation.outputs)
        if (
            result not in self.stored
            or result in self.named
            or result.type.shape != source.type.shape
            or views.intersection(self.results)
        ):
            return False
        where = [(k, group) for k, stage in enumerate(self.stages) for group in stage.nests if result in group.values]
        ((number, group),) = where
        place = moved(identity(result.type.shape), group.values[result])
        for k, stage in enumerate(self.stages):
            for other in stage.nests:
                for var, origin in other.values.items():
                    for read, index in self.reads(self.producer[var]):
                        together = read == source and other is group and moved(index, origin) == place
                        if read in views and not together and k >= number:
                            return False
            for equation in [*stage.numbers * (k > number), *stage.others * (k >= number)]:
                if any(read in views for read, _ in self.reads(equation)):
                    return False
        return True

"""The text of a kernel on fields: loop nests over index functions, with library calls between them.

The domain of a nest falls into boxes at the bounds of its pieces. Large boxes are written without conditions, and LLVM
vectorises them; in the thin rest, strips that share one text, every load carries its condition.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import prod
from typing import Any, Protocol

import numpy as np

from unspool.codegen.fuse import FILLED, Fusion
from unspool.codegen.indices import Bound, Index, Piece, Shape, broadcast, identity, moved, pieces, read, summands
from unspool.codegen.scalars import Code, Operand, Scalar, element, is_elementwise, text
from unspool.ir.program import Atom, Equation, Literal, Var

LANES = 64
"""A sum runs in so many lanes, which are added up pairwise: the same bits however the loop is carried out."""

_THIN = 16  # a box thinner than this, and than a tenth of the domain, belongs to the border
_MOST_BOXES = 6
_ROWS = 4  # that are added to a product at once

Box = tuple[tuple[int, int], ...]
Lines = list[str]


@dataclass(frozen=True, slots=True)
class Array:
    """Memory that a kernel reads or writes: its name in the text, its shape, where its address stands, a leading
    index, and the name of a sign that what is read has to be multiplied with."""

    name: str
    shape: Shape
    slot: int
    lead: str = ""
    sign: str = ""

    def load(self, index: Index) -> str:
        """The value of an element."""
        return f"({self.sign} * {self.place(index)})" if self.sign else self.place(index)

    def place(self, index: Index) -> str:
        """An element."""
        parts = [self.lead] * bool(self.lead) + [_position(axis) for axis in index]
        return f"{self.name}[{', '.join(parts) or '0'}]"

    @property
    def type(self) -> str:
        """As it is declared."""
        lengths = [":"] * bool(self.lead) + [str(n) for n in self.shape]
        return f"f64[{', '.join(lengths)}]"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a result goes, and whether it is added to what stands there."""

    atom: Atom
    array: Array
    adds: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A library call: an equation, and the slots of its operands (None for numbers and the step) and results."""

    equation: Equation
    operands: tuple[int | None, ...]
    results: tuple[int, ...]


class _Placed:
    """A target in the domain of a nest: the index of its elements, and the bounds within which there are any."""

    __slots__ = ("bounds", "index", "target")

    def __init__(self, target: Target, origin: Shape, domain: Box) -> None:
        self.target = target
        self.index = moved(identity(target.array.shape), origin)
        ends = [(d, o, o + n) for d, (o, n) in enumerate(zip(origin, target.array.shape, strict=True))]
        self.bounds = tuple([Bound(*end) for end in ends if end[1:] != domain[end[0]]])


@dataclass(slots=True)
class _Scope:
    """Statements that see each other: those of a kernel, or of one body of a nest."""

    code: Code
    box: Box | None  # None: every load carries its condition
    domain: Box = ()
    group: dict[Var, Index] = field(default_factory=dict)  # what is computed here, and at which index
    memo: dict[Any, Operand] = field(default_factory=dict)  # by value, index and guard
    first: bool = False  # before anything is computed: only what is given is in memory


def _position(axis: tuple[int, int, int]) -> str:
    d, scale, offset = axis
    if d < 0:
        return str(offset)
    name = f"i{d}" if scale == 1 else f"-i{d}" if scale == -1 else f"{scale} * i{d}"
    return name if not offset else f"{name} + {offset}" if offset > 0 else f"{name} - {-offset}"


@dataclass(frozen=True, slots=True)
class Update:
    """A part that is added to what stands in memory, before anything else is done: ``array[key] += part``."""

    array: Array
    key: tuple[Any, ...]
    part: Atom
    shape: Shape


class Slots(Protocol):
    """Gives out the places of addresses."""

    def scratch(self, name: str, shape: Shape) -> Array:
        """Memory that a kernel has to itself while it runs."""

    def function(self, name: str) -> int:
        """The place of the address of a library function."""

    def transposed(self, matrix: Array) -> Array | None:
        """The transpose of a matrix that stays the same from step to step, if it is not too large to be kept twice."""

    def call(self, call: Call) -> int:
        """The number of a call of Python."""


class Kernel:
    """Writes one kernel: ``lines`` is its body."""

    def __init__(
        self,
        name: str,
        fusion: Fusion,
        *,
        step: Var | None,
        given: dict[Var, Array],
        targets: Sequence[Target],
        slots: Slots,
        updates: Sequence[Update] = (),
        rows: Sequence[tuple[str, int, Atom]] = (),
    ) -> None:
        self.name = name
        self.step = step
        self.fusion = fusion
        self.numbers = {var: value.ravel()[0].item() for var, value in fusion.program.consts if _uniform(value)}
        self.columns: dict[str, tuple[Shape, int]] = {}  # where the largest nest begins to write
        self.targets: dict[Atom, list[Target]] = {}
        for target in targets:
            self.targets.setdefault(target.atom, []).append(target)
        self.arrays = dict(given)
        self.names: dict[Var, np.ndarray] = {}
        self._unsigned: dict[Var, Array] = {}
        self.lines: Lines = []
        self._slots = slots
        self._lane_array: Array | None = None
        self._transposed: dict[str, Array] = {}
        self._scope = _Scope(Code("s"), ())
        self._flushed = self._n_nests = 0
        first = replace(self._scope, first=True, memo={})
        for lead, n, index in rows:
            self._number_row(lead, n, self.at(first, index, ()))
        for update in updates:
            self._update(update)
        self._write()

    # --- memory -----------------------------------------------------------------------------------------------------
    def array(self, var: Var) -> Array:
        """The memory of a var: the result that it is, or scratch."""
        if var not in self.arrays:
            assert var in self.fusion.producer, f"nobody computes {var}"
            plain = [t.array for t in self.targets.get(var, ()) if not t.adds and not t.array.lead]
            self.arrays[var] = plain[0] if plain else self._slots.scratch(f"{self.name}_{var.number}", var.type.shape)
        return self.arrays[var]

    def _memory(self, var: Var) -> int:
        """The slot of the memory of a var, for what knows no signs and rows: a copy where it has one."""
        array = self.array(var)
        if not array.sign and not array.lead:
            return array.slot
        if var not in self._unsigned:
            self._unsigned[var] = self._slots.scratch(f"{self.name}_{var.number}", array.shape)
            self._nest(array.shape, [Target(var, self._unsigned[var])], {})
        return self._unsigned[var].slot

    def _view(self, equation: Equation) -> None:
        (operand,), (result,) = equation.operands, equation.outputs
        assert isinstance(operand, Var)
        base = self.array(operand)
        name = f"{base.name}_as_{result.number}"
        self.arrays[result] = Array(name, result.type.shape, base.slot, lead=base.lead, sign=base.sign)

    def _row(self, equation: Equation) -> None:
        """One row of an array, at an index that only the step knows."""
        (operand, index), (result,) = equation.operands, equation.outputs
        assert isinstance(operand, Var)
        base = self.array(operand)
        if base.lead:  # a row of a row
            base = replace(base, slot=self._memory(operand), lead="", sign="", name=f"{base.name}_copy")
        number = f"r{result.number}"
        self._number_row(number, operand.type.shape[0], self.at(self._scope, index, ()))
        self.arrays[result] = Array(
            f"{base.name}_row_{result.number}", result.type.shape, base.slot, lead=number, sign=base.sign
        )

    def _number_row(self, name: str, n: int, index: Operand) -> None:
        """Write down which of n rows an index means; outside of them the kernel stops."""
        self._flush()
        self.lines += [f"{name} = int({text(index)})", f"if {name} < 0:", f"    {name} += {n}"]
        self.lines += [f"if {name} < 0 or {name} >= {n}:", "    return 2"]

    # --- order ------------------------------------------------------------------------------------------------------
    def _write(self) -> None:
        fusion = self.fusion
        loaded = {var for equation in fusion.program.equations for var, _ in fusion.reads(equation)}
        direct: set[int] = set()
        for stage in fusion.stages:
            for equation in stage.numbers:
                self._name(equation)
                self._put(equation.outputs[0], direct)
            for group in stage.nests:
                targets = []
                for var in group.values:
                    found = self.targets.get(var, [])
                    direct.update(map(id, found))
                    targets += found
                    if not found or (var in loaded and all(t.adds or t.array.lead for t in found)):
                        targets.append(Target(var, self.array(var)))
                    elif var in loaded:
                        self.array(var)
                self._nest(group.shape, targets, group.values)
            for equation in stage.others:
                self._other(equation)
        rest: dict[Shape, list[Target]] = {}
        for found in self.targets.values():
            for target in found:
                if id(target) not in direct and self.arrays.get(target.atom) is not target.array:  # type: ignore[arg-type]
                    rest.setdefault(target.array.shape, []).append(target)
        for targets in rest.values():
            self._nest(targets[0].array.shape, targets, {})

    def _other(self, equation: Equation) -> None:
        match self.fusion.kinds[id(equation)]:
            case "view":
                self._view(equation)
            case "row":
                self._row(equation)
            case "sum":
                self._sum(equation)
            case "product":
                self._product(equation)
            case _:
                self._call(equation)

    def _comment(self, equation: Equation) -> None:
        line = f"  # {equation.line}" if equation.line else ""
        self.lines.append(f"# {equation.outputs[0].type} {equation.primitive.name}{line}")

    # --- numbers ----------------------------------------------------------------------------------------------------
    def _name(self, equation: Equation) -> None:
        var = equation.outputs[0]
        elements = np.empty(var.type.shape, object)
        for position in np.ndindex(*var.type.shape):
            index = tuple([(-1, 0, k) for k in position])
            elements[position] = self._computed(self._scope, var, index, ())
        self.names[var] = elements

    def _put(self, var: Var, direct: set[int]) -> None:
        """Write named numbers to where they are wanted in memory."""
        targets = self.targets.get(var, [])
        direct.update(map(id, targets))
        if var in self.fusion.stored and all(t.adds or t.array.lead for t in targets):
            targets = [*targets, Target(var, self.array(var))]
        if targets:
            self._flush()
        for target in targets:
            for position in np.ndindex(*var.type.shape):
                place = target.array.place(tuple([(-1, 0, k) for k in position]))
                number = _number(var, self.names[var][position])
                self.lines.append(f"{place} = {place} + {number}" if target.adds else f"{place} = {number}")

    def _flush(self) -> None:
        """Write down the statements on numbers so far."""
        self.lines += map(str, self._scope.code.statements[self._flushed :])
        self._flushed = len(self._scope.code.statements)

    # --- values at an index -----------------------------------------------------------------------------------------
    def at(self, scope: _Scope, atom: Atom, index: Index, guard: tuple[Bound, ...] = ()) -> Operand:
        """An element of a value, as a name or a number in the scope."""
        if isinstance(atom, Literal):
            return atom.value
        if atom in self.numbers:
            return self.numbers[atom]
        if atom == self.step:
            return Scalar(scope.code, "step")
        key = atom, index, guard
        if key not in scope.memo:
            scope.memo[key] = self._element(scope, atom, index, guard)
        return scope.memo[key]

    def _element(self, scope: _Scope, var: Var, index: Index, guard: tuple[Bound, ...]) -> Operand:
        inside = scope.group.get(var) == index
        if var in self.names and not inside and all(d < 0 for d, _, _ in index):
            return self.names[var][tuple([offset for _, _, offset in index])]
        if self._in_memory(scope, var) and not inside:
            loaded = self.array(var).load(index)
            conditions = _conditions(guard, scope.domain)
            load = f"({loaded} if {conditions} else 0.0)" if conditions else loaded
            found = scope.code.apply(load, ())
            return scope.code.apply("({0} != 0.0)", (found,)) if var.type.dtype.kind == "b" else found
        return self._computed(scope, var, index, guard)

    def _in_memory(self, scope: _Scope, var: Var) -> bool:
        return var not in self.fusion.producer if scope.first else self.fusion.in_memory(var)

    def _computed(self, scope: _Scope, var: Var, index: Index, guard: tuple[Bound, ...]) -> Operand:
        equation = self.fusion.producer[var]
        if equation.primitive.name in FILLED:
            return float(equation.primitive.name == "ones_like")
        if is_elementwise(equation):
            shapes = [() if isinstance(a, Literal) else a.type.shape for a in equation.operands]
            parts = [
                self.at(scope, atom, broadcast(index, shape), guard)
                for atom, shape in zip(equation.operands, shapes, strict=True)
            ]
            return element(scope.code, equation, parts)
        if equation.primitive.name in _REDUCTIONS:
            _, step = _REDUCTIONS[equation.primitive.name]
            first, *rest = [self.at(scope, equation.operands[0], inner, guard) for inner in summands(equation, index)]
            for part in rest:
                first = scope.code.apply(f"({step})", (first, part))
            return first
        found = pieces(equation, index)
        assert found is not None
        if scope.box is not None:
            for piece in found:
                if all(_holds(bound, scope.box) for bound in piece.bounds):
                    return self.at(scope, equation.operands[piece.operand], piece.index, guard)
            return 0.0  # and not NOTHING: strips have a zero there, and other kernels other boxes
        return self._selected(scope, equation, found, guard)

    def _selected(self, scope: _Scope, equation: Equation, found: list[Piece], guard: tuple[Bound, ...]) -> Operand:
        """A choice among pieces at run time."""
        result: Operand = 0.0
        for piece in reversed(found):
            if any(_excluded(bound, scope.domain) for bound in piece.bounds):
                continue
            within = (*guard, *(b for b in piece.bounds if b not in guard))
            value = self.at(scope, equation.operands[piece.operand], piece.index, within)
            conditions = _conditions(piece.bounds, scope.domain)
            if text(result) == "0.0" and self._is_load(scope, equation.operands[piece.operand], piece.index):
                result = value  # zero outside of the bounds, as it is
            elif conditions:
                result = scope.code.apply(f"({{0}} if {conditions} else {{1}})", (value, result))
            else:
                result = value
        return result

    def _is_load(self, scope: _Scope, atom: Atom, index: Index) -> bool:
        if isinstance(atom, Literal) or atom in self.numbers or atom in self.names or scope.group.get(atom) == index:
            return False
        return self._in_memory(scope, atom)

    # --- nests ------------------------------------------------------------------------------------------------------
    def _nest(self, shape: Shape, targets: list[Target], origins: dict[Var, Shape]) -> None:
        if not prod(shape):
            return
        self._flush()
        for target in targets:
            if isinstance(target.atom, Var) and target.atom in self.fusion.producer:
                self._comment(self.fusion.producer[target.atom])
        letter = f"n{self._n_nests}_"
        self._n_nests += 1
        domain: Box = tuple([(0, n) for n in shape])
        group = {var: moved(identity(var.type.shape), origin) for var, origin in origins.items()}
        placed = [_Placed(t, origins.get(t.atom, (0,) * len(shape)), domain) for t in targets]  # type: ignore[arg-type]
        parts = [*_boxes(domain, self._wide(placed, group, domain))]
        widest = max([box for box, inside in parts if inside], key=_volume, default=domain)
        for p in placed if domain else []:
            array = p.target.array
            self.columns[array.name] = array.shape, widest[-1][0] + (p.index[-1][2] if p.index else 0)
        for box, inside in parts:
            if inside:
                self.lines += _loops(box, self._body(placed, _Scope(Code(letter), box, domain, group)))
        strips = [box for box, inside in parts if not inside]
        if strips:
            self.lines += _strips(strips, self._body(placed, _Scope(Code(letter), None, domain, group)))

    def _update(self, update: Update) -> None:
        domain: Box = tuple([(0, n) for n in update.shape])
        scope = _Scope(Code(f"n{self._n_nests}_"), None, domain, first=True)
        self._n_nests += 1
        where = identity(update.shape)
        shape = () if isinstance(update.part, Literal) else update.part.type.shape
        value = self.at(scope, update.part, broadcast(where, shape))
        lines = [*map(str, scope.code.live([value]))]
        place = update.array.place(read(update.key, update.array.shape, where))
        self.lines += _loops(domain, [*lines, f"{place} = {place} + {text(value)}"])

    def _body(self, placed: list[_Placed], scope: _Scope) -> Lines:
        here = [p for p in placed if scope.box is None or all(_holds(bound, scope.box) for bound in p.bounds)]
        values = [self.at(scope, p.target.atom, p.index, () if scope.box else p.bounds) for p in here]
        lines = [*map(str, scope.code.live(values))]
        for p, value in zip(here, values, strict=True):
            place, number = p.target.array.place(p.index), _number(p.target.atom, value)
            line = f"{place} = {place} + {number}" if p.target.adds else f"{place} = {number}"
            conditions = "" if scope.box is not None else _conditions(p.bounds, scope.domain)
            lines += [f"if {conditions}:", f"    {line}"] if conditions else [line]
        return lines

    def declared(self, body: Lines) -> Lines:
        """The arrays that some lines use, declared."""
        used = set(_ARRAYS.findall("\n".join(body)))
        return [declaration for name, declaration in self._declarations() if name in used]

    def _declarations(self) -> Iterator[tuple[str, str]]:
        lanes = [] if self._lane_array is None else [self._lane_array]
        every = [*lanes, *self._transposed.values(), *self.arrays.values(), *self._unsigned.values()]
        every += [t.array for found in self.targets.values() for t in found]
        for array in {array.name: array for array in every}.values():
            yield array.name, f'{array.name} = field(a[{array.slot}], "{array.type}", {array.slot})'

    def _wide(self, placed: list[_Placed], group: dict[Var, Index], domain: Box) -> list[list[tuple[int, int]]]:
        """For each axis the ranges between bounds that are worth a nest of their own."""
        cuts = [{*ends} for ends in domain]
        seen: set[tuple[Var, Index]] = set()
        stack: list[tuple[Atom, Index]] = [(p.target.atom, p.index) for p in placed]
        for bound in [bound for p in placed for bound in p.bounds]:
            cuts[bound.dim] |= {bound.start, bound.stop}
        while stack:
            atom, index = stack.pop()
            if isinstance(atom, Literal) or atom in self.numbers or (atom, index) in seen:
                continue
            seen.add((atom, index))
            if group.get(atom) != index and (self.fusion.in_memory(atom) or atom in self.names):
                continue
            equation = self.fusion.producer[atom]
            if not is_elementwise(equation) and equation.primitive.name not in _REDUCTIONS:
                for bound in [b for piece in pieces(equation, index) or [] for b in piece.bounds]:
                    cuts[bound.dim] |= {bound.start, bound.stop}
            stack += self.fusion.operands(atom, index)
        found = []
        for cut, (low, high) in zip(cuts, domain, strict=True):
            ends = sorted(c for c in cut if low <= c <= high)
            ranges = [*pairwise(ends)]
            wide = [(a, b) for a, b in ranges if b - a >= min(_THIN, (high - low + 9) // 10)]
            found.append(wide or [max(ranges, key=_length)])
        while prod(map(len, found)) > _MOST_BOXES:
            longest = max(found, key=len)
            longest.remove(min(longest, key=_length))
        return found

    # --- sums -------------------------------------------------------------------------------------------------------
    def _sum(self, equation: Equation) -> None:
        (operand,), (result,) = equation.operands, equation.outputs
        assert isinstance(operand, Var)
        params = dict(equation.params)
        self._reduce(
            operand.type.shape,
            params["axis"],
            self.array(result),
            lambda scope, index: self.at(scope, operand, index),
            equation,
            keepdims=params["keepdims"],
        )

    def _reduce(
        self,
        shape: Shape,
        axes: tuple[int, ...],
        result: Array,
        value: Callable[[_Scope, Index], Operand],
        equation: Equation,
        *,
        keepdims: bool,
    ) -> None:
        """Sums over the last axis run in lanes, all others over whole rows: both vectorise, and have one order."""
        self._flush()
        self._comment(equation)
        start, step = _REDUCTIONS.get(equation.primitive.name, _REDUCTIONS["sum"])
        domain: Box = tuple([(0, n) for n in shape])
        scope = _Scope(Code(f"n{self._n_nests}_"), domain, domain)
        self._n_nests += 1
        where, last = identity(shape), len(shape) - 1
        found = value(scope, where)
        number = text(found)
        body = [*map(str, scope.code.live([found]))]
        kept = [(-1, 0, 0) if k in axes else where[k] for k in range(len(shape)) if keepdims or k not in axes]
        place = result.place(tuple(kept))
        outer = [k for k in range(last) if k not in axes]
        inner = [k for k in range(last) if k in axes]
        if last not in axes:
            tail = [last] * bool(shape)
            self.lines += _loops(domain, [f"{place} = {start}"], [*outer, *tail])
            self.lines += _loops(domain, [*body, f"{place} = {step.format(place, number)}"], [*outer, *inner, *tail])
            return
        lanes = self._lanes().name
        width = min(LANES, 1 << max(0, shape[last] - 1).bit_length())
        lane, other = f"{lanes}[lane]", f"{lanes}[lane + half]"
        lines = [f"for lane in range({width}):", f"    {lane} = {start}"]
        blocks = [
            f"for block in range(0, {shape[last]}, {width}):",
            f"    for lane in range(min({width}, {shape[last]} - block)):",
            f"        i{last} = block + lane",
            *[f"        {line}" for line in body],
            f"        {lane} = {step.format(lane, number)}",
        ]
        lines += _loops(domain, blocks, inner)
        halves = [
            f"half = {width // 2}",
            "while half > 0:",
            "    for lane in range(half):",
            f"        {lane} = {step.format(lane, other)}",
            "    half = half // 2",
        ]
        lines += halves * (width > 1)
        self.lines += _loops(domain, [*lines, f"{place} = {lanes}[0]"], outer)

    def _lanes(self) -> Array:
        if self._lane_array is None:
            self._lane_array = self._slots.scratch(f"{self.name}_lanes", (LANES,))
        return self._lane_array

    # --- library calls ----------------------------------------------------------------------------------------------
    def _product(self, equation: Equation) -> None:
        (left, turned), (right, flipped) = map(self.fusion.untransposed, equation.operands)
        result = self.array(equation.outputs[0])
        assert isinstance(left, Var)
        assert isinstance(right, Var)
        a, b = self.array(left), self.array(right)
        ranks = len(a.shape), len(b.shape)
        if ranks == (1, 1):
            pair = a, b

            def value(scope: _Scope, index: Index) -> Operand:
                return scope.code.apply("({0} * {1})", [scope.code.apply(x.load(index), ()) for x in pair])

            self._reduce(a.shape, (0,), result, value, equation, keepdims=False)
            return
        slots = self._memory(left), self._memory(right)
        self._flush()
        self._comment(equation)
        if 1 in ranks:
            (rows, columns), (matrix, vector) = (a.shape, slots) if ranks[1] == 1 else (b.shape, slots[::-1])
            across = turned if ranks[1] == 1 else not flipped
            if not (a.sign or b.sign or a.lead or b.lead):
                x, y = (a, b) if ranks[1] == 1 else (b, a)
                turned_round = x if across else self._slots.transposed(x)
                if turned_round is not None:
                    self._transposed[turned_round.name] = turned_round
                    self._add_rows(turned_round, y, result)
                    return
            function = self._slots.function("dgemv")
            self.lines.append(
                f"gemv(a[{function}], {int(across)}, {rows}, {columns}, a[{matrix}], a[{vector}], a[{result.slot}])"
            )
            return
        self.lines.append(
            self._gemm(*slots, result.slot, (*result.shape, a.shape[0 if turned else 1]), turned, flipped)
        )

    def _add_rows(self, matrix: Array, vector: Array, result: Array) -> None:
        """``vector @ matrix`` as a sum of rows, four at a time: twice as fast as BLAS while the result fits the cache."""
        rows, columns = matrix.shape
        whole = rows - rows % _ROWS

        def added(n: int) -> Lines:
            terms = [f"p{r} = {vector.name}[i0 + {r}]" for r in range(n)]
            sums = [f"t = fma(p{r}, {matrix.name}[i0 + {r}, i1], t)" for r in range(n)]
            return [
                *terms,
                f"for i1 in range(0, {columns}):",
                *[f"    {line}" for line in (f"t = {result.name}[i1]", *sums, f"{result.name}[i1] = t")],
            ]

        self.lines += [f"for i1 in range(0, {columns}):", f"    {result.name}[i1] = 0.0"]
        if whole:
            self.lines += [f"for i0 in range(0, {whole}, {_ROWS}):", *[f"    {line}" for line in added(_ROWS)]]
        if whole < rows:
            self.lines += [f"for i0 in range({whole}, {rows}):", *[f"    {line}" for line in added(1)]]

    def _gemm(
        self, a: int, b: int, result: int, sizes: tuple[Any, ...], turned: bool, flipped: bool, beta: float = 0.0
    ) -> str:
        rows, columns, inner = sizes
        function = self._slots.function("dgemm")
        return (
            f"gemm(a[{function}], {int(turned)}, {int(flipped)}, {rows}, {columns}, {inner}, a[{a}], a[{b}], "
            f"a[{result}], {beta})"
        )

    def _call(self, equation: Equation) -> None:
        operands = [None if isinstance(a, Literal) or a == self.step else self._memory(a) for a in equation.operands]
        self._flush()
        self._comment(equation)
        results = [self.array(var).slot for var in equation.outputs]
        number = self._slots.call(Call(equation, tuple(operands), tuple(results)))
        self.lines += [f"if call(a[{self._slots.function('python')}], {number}, a) != 0:", "    return 1"]


# --- text ---------------------------------------------------------------------------------------------------------------
_REDUCTIONS = {
    "sum": ("0.0", "{0} + {1}"),
    "max": ("-np.inf", "np.maximum({0}, {1})"),
    "min": ("np.inf", "np.minimum({0}, {1})"),
}
_ARRAYS = re.compile(r"\b(\w+)\[")


def _uniform(value: np.ndarray) -> bool:
    """Whether all elements have the same bits."""
    flat = value.ravel()
    return value.size > 0 and value.dtype.kind in "fiub" and flat.tobytes() == flat[:1].tobytes() * value.size


def _number(atom: Atom, value: Operand) -> str:
    is_truth = isinstance(atom, Var) and atom.type.dtype.kind == "b"
    return f"(1.0 if {text(value)} else 0.0)" if is_truth else text(value)


def _loops(bounds: Sequence[tuple[Any, Any]], body: Lines, axes: Sequence[int] | None = None) -> Lines:
    """Loops over some axes, the first outermost, around a body."""
    chosen = [*range(len(bounds))] if axes is None else axes
    lines = [f"{'    ' * k}for i{d} in range({bounds[d][0]}, {bounds[d][1]}):" for k, d in enumerate(chosen)]
    return [*lines, *[f"{'    ' * len(chosen)}{line}" for line in body]]


def _strips(boxes: list[Box], body: Lines) -> Lines:
    """Loops over several boxes around one body."""
    axes = range(len(boxes[0]))
    bounds = ", ".join([f"({', '.join([f'{a}, {b}' for a, b in box])})" for box in boxes])
    names = ", ".join([f"a{d}, b{d}" for d in axes])
    loops = _loops([(f"a{d}", f"b{d}") for d in axes], body)
    return [f"for {names} in ({bounds},):", *[f"    {line}" for line in loops]]


def _length(ends: tuple[int, int]) -> int:
    return ends[1] - ends[0]


def _volume(box: Box) -> int:
    return prod(map(_length, box))


def _holds(bound: Bound, box: Box) -> bool:
    low, high = box[bound.dim]
    return bound.start <= low and high <= bound.stop


def _excluded(bound: Bound, domain: Box) -> bool:
    low, high = domain[bound.dim]
    return bound.start >= high or bound.stop <= low


def _conditions(bounds: Sequence[Bound], domain: Box) -> str:
    """The bounds as a condition, without what always holds."""
    parts = []
    for bound in bounds:
        low, high = domain[bound.dim]
        parts += [f"i{bound.dim} >= {bound.start}"] * (bound.start > low)
        parts += [f"i{bound.dim} < {bound.stop}"] * (bound.stop < high)
    return " and ".join(dict.fromkeys(parts))


def _boxes(domain: Box, wide: list[list[tuple[int, int]]]) -> Iterator[tuple[Box, bool]]:
    """The domain in boxes: those that are wide in every direction, and the rest in as few as may be."""
    if not domain:
        yield (), True
        return
    low, high = domain[0]
    ends = sorted({low, high, *[end for r in wide[0] for end in r]})
    for part in pairwise(ends):
        if part in wide[0]:
            for box, inside in _boxes(domain[1:], wide[1:]):
                yield (part, *box), inside
        else:
            yield (part, *domain[1:]), False

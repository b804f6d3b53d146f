"""The text of a kernel on fields: loop nests over index functions, with library calls between them.

The domain of a nest falls into boxes at the bounds of its pieces. Large boxes, and long parts of the border if they are
few, are written without conditions, and LLVM vectorises them; in the rest, strips that share one text, every load
carries its condition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from unspool.codegen.arrays import Array, Slots, Target, Update
from unspool.codegen.boxes import (
    Box,
    Lines,
    condition,
    excluded,
    extent,
    holds,
    loops_side_by_side,
    nested_loops,
    partition,
    strip_loops,
    volume,
)
from unspool.codegen.fuse import FILLED, Fusion
from unspool.codegen.indices import Bound, Index, Piece, Shape, broadcast, identity, moved, pieces, read, summands
from unspool.codegen.library import write_call, write_product
from unspool.codegen.reductions import REDUCTIONS, write_sum
from unspool.codegen.scalars import element, is_elementwise
from unspool.codegen.scope import Scope
from unspool.codegen.shares import Shares, is_large, part_of
from unspool.codegen.statements import Code, Operand, Scalar, text
from unspool.ir.program import Atom, Equation, Literal, Var

_THIN = 16  # a box thinner than this, and than a tenth of the domain, belongs to the border
_MOST_BOXES = 6
_LONG = 32  # elements of a part of the border that may have a text of its own
_MOST_EDGES, _MOST_STATEMENTS = 12, 500  # such parts, and statements in them: each takes two milliseconds to compile
_ANY, _LETTERS = "box_", "abcdefghijklmnopqr"  # s is for strips


class _Placed:
    """A target in the domain of a nest: the index of its elements, and the bounds within which there are any."""

    __slots__ = ("bounds", "index", "target")

    def __init__(self, target: Target, origin: Shape, domain: Box) -> None:
        self.target = target
        self.index = moved(identity(target.array.shape), origin)
        ends = [(d, o, o + n) for d, (o, n) in enumerate(zip(origin, target.array.shape, strict=True))]
        self.bounds = tuple([Bound(*end) for end in ends if end[1:] != domain[end[0]]])


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
        shares: Shares | None = None,
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
        self.slots = slots
        self.shares = shares
        self.lane_array: Array | None = None
        self.own_lanes: Array | None = None
        self.failure: Array | None = None
        self.panels: dict[str, Array] = {}
        self._scope = Scope(Code("s"), ())
        self._flushed = self.n_nests = 0
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
            self.arrays[var] = plain[0] if plain else self.slots.scratch(f"{self.name}_{var.number}", var.type.shape)
        return self.arrays[var]

    def memory(self, var: Var) -> int:
        """The slot of the memory of a var, for what knows no signs and rows: a copy where it has one."""
        array = self.array(var)
        if not array.sign and not array.lead:
            return array.slot
        if var not in self._unsigned:
            self._unsigned[var] = self.slots.scratch(f"{self.name}_{var.number}", array.shape)
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
            base = replace(base, slot=self.memory(operand), lead="", sign="", name=f"{base.name}_copy")
        number = f"r{result.number}"
        self._number_row(number, operand.type.shape[0], self.at(self._scope, index, ()))
        self.arrays[result] = Array(
            f"{base.name}_row_{result.number}", result.type.shape, base.slot, lead=number, sign=base.sign
        )

    def _number_row(self, name: str, n: int, index: Operand) -> None:
        """Write down which of n rows an index means; outside of them the kernel stops."""
        self.flush()
        self.lines += [f"{name} = int({text(index)})", f"if {name} < 0:", f"    {name} += {n}"]
        self.lines += [f"if {name} < 0 or {name} >= {n}:", *[f"    {line}" for line in self.leaving(2)]]

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
                write_sum(self, equation)
            case "product":
                write_product(self, equation)
            case _:
                write_call(self, equation)

    def comment(self, equation: Equation) -> None:
        """Tell what the lines that follow compute, and for which line of the user."""
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
        if not targets:
            return
        self.flush()
        lines: Lines = []
        for target in targets:
            for position in np.ndindex(*var.type.shape):
                place = target.array.place(tuple([(-1, 0, k) for k in position]))
                number = _number(var, self.names[var][position])
                lines.append(f"{place} = {place} + {number}" if target.adds else f"{place} = {number}")
        self.write(lines)

    def flush(self) -> None:
        """Write down the statements on numbers so far."""
        lines = [*map(str, self._scope.code.statements[self._flushed :])]
        self._flushed = len(self._scope.code.statements)
        if self.shares is not None and lines:
            self.lines += self.shares.reading()
        self.lines += lines

    def write(self, lines: Lines, shares: Shares | None = None) -> None:
        """Lines that write memory; with shares each thread does its part of them."""
        if shares is not None:
            self.lines += shares.together(lines)
        else:
            self.lines += lines if self.shares is None else self.shares.alone(lines)

    def call(self, call: str) -> None:
        """A call that may fail."""
        if self.shares is None:
            self.lines += [f"if {call} != 0:", "    return 1"]
            return
        self.failure = self.failure or self.slots.scratch(f"{self.name}_failed", (1,))
        failed = f"{self.failure.name}[0]"
        self.write([f"{failed} = float({call})"])
        self.lines += self.shares.reading()
        self.lines += [f"if {failed} != 0.0:", *[f"    {line}" for line in self.leaving(1)]]

    def leaving(self, status: int) -> Lines:
        """Stop, and say why."""
        return [*([] if self.shares is None else [self.shares.meeting]), f"return {status}"]

    # --- values at an index -----------------------------------------------------------------------------------------
    def at(self, scope: Scope, atom: Atom, index: Index, guard: tuple[Bound, ...] = ()) -> Operand:
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

    def _element(self, scope: Scope, var: Var, index: Index, guard: tuple[Bound, ...]) -> Operand:
        inside = scope.group.get(var) == index
        if var in self.names and not inside and all(d < 0 for d, _, _ in index):
            return self.names[var][tuple([offset for _, _, offset in index])]
        if self._in_memory(scope, var) and not inside:
            found = scope.code.apply(self.array(var).load(index, condition(guard, scope.domain)), ())
            return scope.code.apply("({0} != 0.0)", (found,)) if var.type.dtype.kind == "b" else found
        return self._computed(scope, var, index, guard)

    def _in_memory(self, scope: Scope, var: Var) -> bool:
        return var not in self.fusion.producer if scope.first else self.fusion.in_memory(var)

    def _computed(self, scope: Scope, var: Var, index: Index, guard: tuple[Bound, ...]) -> Operand:
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
        if equation.primitive.name in REDUCTIONS:
            _, step = REDUCTIONS[equation.primitive.name]
            first, *rest = [self.at(scope, equation.operands[0], inner, guard) for inner in summands(equation, index)]
            for part in rest:
                first = scope.code.apply(f"({step})", (first, part))
            return first
        found = pieces(equation, index)
        assert found is not None
        if scope.box is not None:
            for piece in found:
                if all(holds(bound, scope.box) for bound in piece.bounds):
                    return self.at(scope, equation.operands[piece.operand], piece.index, guard)
            return 0.0  # and not NOTHING: strips have a zero there, and other kernels other boxes
        return self._selected(scope, equation, found, guard)

    def _selected(self, scope: Scope, equation: Equation, found: list[Piece], guard: tuple[Bound, ...]) -> Operand:
        """A choice among pieces at run time."""
        result: Operand = 0.0
        for piece in reversed(found):
            if any(excluded(bound, scope.domain) for bound in piece.bounds):
                continue
            within = (*guard, *(b for b in piece.bounds if b not in guard))
            value = self.at(scope, equation.operands[piece.operand], piece.index, within)
            conditions = condition(piece.bounds, scope.domain)
            if text(result) == "0.0" and self._is_load(scope, equation.operands[piece.operand], piece.index):
                result = value  # zero outside of the bounds, as it is
            elif conditions:
                result = scope.code.apply(f"select({conditions}, {{0}}, {{1}})", (value, result))
            else:
                result = value
        return result

    def _is_load(self, scope: Scope, atom: Atom, index: Index) -> bool:
        if isinstance(atom, Literal) or atom in self.numbers or atom in self.names or scope.group.get(atom) == index:
            return False
        return self._in_memory(scope, atom)

    # --- nests ------------------------------------------------------------------------------------------------------
    def _nest(self, shape: Shape, targets: list[Target], origins: dict[Var, Shape]) -> None:
        if not prod(shape):
            return
        self.flush()
        for target in targets:
            if isinstance(target.atom, Var) and target.atom in self.fusion.producer:
                self.comment(self.fusion.producer[target.atom])
        letter = f"n{self.n_nests}_"
        self.n_nests += 1
        domain: Box = tuple([(0, n) for n in shape])
        group = {var: moved(identity(var.type.shape), origin) for var, origin in origins.items()}
        placed = [_Placed(t, origins.get(t.atom, (0,) * len(shape)), domain) for t in targets]  # type: ignore[arg-type]
        ends, ranges = self._wide(placed, group, domain)

        def written(boxes: list[Box]) -> list[tuple[Box, Lines]]:
            return [(box, self._body(placed, Scope(Code(_ANY), box, domain, group))) for box in boxes]

        inside, edges, strips = partition(domain, ends, ranges, least=_LONG, most=_MOST_EDGES)
        own = written(edges)
        if sum(len(body) for _, body in own) > _MOST_STATEMENTS:
            own, strips = [], partition(domain, ends, ranges, least=_LONG, most=0)[2]
        wide = written(inside)
        widest = max(inside, key=volume, default=domain)
        for p in placed if domain else []:
            array = p.target.array
            self.columns[array.name] = array.shape, widest[-1][0] + (p.index[-1][2] if p.index else 0)
        border = self._body(placed, Scope(Code(f"{letter}s"), None, domain, group)) if strips else []
        shares = self.shares if any(is_large(box, body) for box, body in wide) else None
        boxes = _named([*wide, *own], letter)
        lines = loops_side_by_side([(box if shares is None else part_of(box), body) for box, body in boxes])
        if strips:
            lines += strip_loops([box if shares is None else part_of(box) for box in strips], border)
        self.write(lines, shares)

    def _update(self, update: Update) -> None:
        domain: Box = tuple([(0, n) for n in update.shape])
        scope = Scope(Code(f"n{self.n_nests}_"), None, domain, first=True)
        self.n_nests += 1
        where = identity(update.shape)
        shape = () if isinstance(update.part, Literal) else update.part.type.shape
        value = self.at(scope, update.part, broadcast(where, shape))
        lines = [*map(str, scope.code.live([value]))]
        place = update.array.place(read(update.key, update.array.shape, where))
        lines.append(f"{place} = {place} + {text(value)}")
        shares = self.shares if is_large(domain, lines) else None
        self.write(nested_loops(domain if shares is None else part_of(domain), lines), shares)

    def _body(self, placed: list[_Placed], scope: Scope) -> Lines:
        here = [p for p in placed if scope.box is None or all(holds(bound, scope.box) for bound in p.bounds)]
        values = [self.at(scope, p.target.atom, p.index, () if scope.box else p.bounds) for p in here]
        lines = [*map(str, scope.code.live(values))]
        for p, value in zip(here, values, strict=True):
            place, number = p.target.array.place(p.index), _number(p.target.atom, value)
            line = f"{place} = {place} + {number}" if p.target.adds else f"{place} = {number}"
            conditions = "" if scope.box is not None else condition(p.bounds, scope.domain)
            lines += [f"if {conditions}:", f"    {line}"] if conditions else [line]
        return lines

    def declared(self, body: Lines) -> Lines:
        """The arrays that some lines use, declared."""
        used = set(_WORDS.findall("\n".join(body)))
        return [declaration for name, declaration in self._declarations() if name in used]

    def _declarations(self) -> Iterator[tuple[str, str]]:
        few = [array for array in (self.lane_array, self.own_lanes, self.failure) if array is not None]
        every = [*few, *self.panels.values(), *self.arrays.values(), *self._unsigned.values()]
        every += [t.array for found in self.targets.values() for t in found]
        for array in {array.name: array for array in every}.values():
            own = f" + part * {8 * prod(array.shape)}" if array is self.own_lanes else ""
            yield array.name, f'{array.name} = field(a[{array.slot}]{own}, "{array.type}", {array.slot})'

    def _wide(
        self, placed: list[_Placed], group: dict[Var, Index], domain: Box
    ) -> tuple[list[list[int]], list[list[tuple[int, int]]]]:
        """For each axis the bounds, and the ranges between them that are worth a nest of their own."""
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
            if not is_elementwise(equation) and equation.primitive.name not in REDUCTIONS:
                for bound in [b for piece in pieces(equation, index) or [] for b in piece.bounds]:
                    cuts[bound.dim] |= {bound.start, bound.stop}
            stack += self.fusion.operands(atom, index)
        found = []
        every = [sorted(c for c in cut if low <= c <= high) for cut, (low, high) in zip(cuts, domain, strict=True)]
        for ends, (low, high) in zip(every, domain, strict=True):
            ranges = [*pairwise(ends)]
            wide = [(a, b) for a, b in ranges if b - a >= min(_THIN, (high - low + 9) // 10)]
            found.append(wide or [max(ranges, key=extent)])
        while prod(map(len, found)) > _MOST_BOXES:
            longest = max(found, key=len)
            longest.remove(min(longest, key=extent))
        return every, found


# --- text -------------------------------------------------------------------------------------------------------------
_WORDS = re.compile(r"\w+")


def _named(boxes: list[tuple[Box, Lines]], nest: str) -> list[tuple[Box, Lines]]:
    """Bodies with names: the same for those that are the same but for their place in the axes before the last, else
    others, since Numba takes long for names that are bound twice."""
    letters: dict[Any, str] = {}
    named = []
    for box, body in boxes:
        letter = letters.setdefault((box[-1:], *body), _LETTERS[len(letters)])
        named.append((box, [line.replace(_ANY, nest + letter) for line in body]))
    return named


def _uniform(value: np.ndarray) -> bool:
    """Whether all elements have the same bits."""
    flat = value.ravel()
    return value.size > 0 and value.dtype.kind in "fiub" and flat.tobytes() == flat[:1].tobytes() * value.size


def _number(atom: Atom, value: Operand) -> str:
    is_truth = isinstance(atom, Var) and atom.type.dtype.kind == "b"
    return f"select({text(value)}, 1.0, 0.0)" if is_truth else text(value)

"""Straight-line code on numbers: names, the operations that they stand for, and what those come to beforehand.

Arithmetic on a `Scalar` writes statements. Equal expressions share a name, structural zeros and ones are folded, and
what no result needs is left out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unspool.errors import UnsupportedError

MOST_STATEMENTS = 4000
"""A longer step is not compiled: the compiler takes 1.6 seconds for a thousand statements."""

Operand = Any  # a Scalar, a Python number, or NOTHING


class Nothing:
    """What stands outside a placed block: not a zero, for not even infinity times it is NaN."""

    __slots__ = ()

    def __add__(self, other: Operand) -> Operand:
        return other

    __radd__ = __add__

    def __mul__(self, other: Operand) -> Nothing:
        return self

    __rmul__ = __mul__

    def __float__(self) -> float:
        return 0.0


NOTHING = Nothing()


class Scalar:
    """The name of a number in the code; arithmetic on it writes statements."""

    __slots__ = ("code", "name")

    def __init__(self, code: Code, name: str) -> None:
        self.code = code
        self.name = name

    def __add__(self, other: Operand) -> Operand:
        return self.code.apply("({0} + {1})", (self, other))

    def __radd__(self, other: Operand) -> Operand:
        return self.code.apply("({0} + {1})", (other, self))

    def __mul__(self, other: Operand) -> Operand:
        return self.code.apply("({0} * {1})", (self, other))

    def __rmul__(self, other: Operand) -> Operand:
        return self.code.apply("({0} * {1})", (other, self))

    def __bool__(self) -> bool:
        raise UnsupportedError("a primitive decides on values; there are only names while code is written")


@dataclass(frozen=True, slots=True)
class Statement:
    """A name, and the operation that it stands for: a template, its operands as code, and the names among them."""

    name: str
    template: str
    operands: tuple[str, ...]
    reads: tuple[str, ...]

    @property
    def expression(self) -> str:
        """The operation as code."""
        return self.template.format(*self.operands)

    def __str__(self) -> str:
        return f"{self.name} = {self.expression}"


def _is_number(code: str) -> bool:
    return not code[:1].isalpha()


class Code:
    """Statements in single assignment, with equal ones shared."""

    def __init__(self, letter: str = "t", *, one_by_one: bool = False) -> None:
        self.letter = letter
        self.one_by_one = one_by_one  # no loop will go through vectors of these numbers
        self.statements: list[Statement] = []
        self._known: dict[tuple[str, ...], Scalar] = {}

    def apply(self, template: str, operands: Sequence[Operand]) -> Operand:
        """The result of an operation: a name, or an operand where that is all it comes to."""
        folded = fold(self, template, operands)
        if folded is not None:
            return folded
        texts = [text(x) for x in operands]
        key = (template, *texts)
        if key not in self._known:
            name = f"{self.letter}{len(self.statements)}"
            names = tuple(x.name for x in operands if isinstance(x, Scalar))
            self.statements.append(Statement(name, template, tuple(texts), names))
            if len(self.statements) > 8 * MOST_STATEMENTS:
                raise UnsupportedError(f"the step has more than {MOST_STATEMENTS} statements on numbers")
            self._known[key] = Scalar(self, name)
        return self._known[key]

    def live(self, outputs: Sequence[Operand]) -> list[Statement]:
        """The statements that the outputs need, in order."""
        needed = {x.name for x in outputs if isinstance(x, Scalar)}
        kept = []
        for statement in reversed(self.statements):
            if statement.name in needed:
                kept.append(statement)
                needed.update(statement.reads)
        return kept[::-1]

    def contract(self, outputs: Sequence[Operand]) -> None:
        """Let a product and the sum that alone needs it be one operation, rounded once.

        It is written down here, where all kernels of a step are still one text: none of them can do it otherwise.
        """
        live = self.live(outputs)
        uses = Counter([name for statement in live for name in set(statement.reads)])
        uses.update({x.name for x in outputs if isinstance(x, Scalar)})
        products = {s.name: s.operands for s in live if s.template == "({0} * {1})" and uses[s.name] == 1}
        order = {s.name: k for k, s in enumerate(self.statements)}
        for statement in live:
            if (
                statement.template not in ("({0} + {1})", "({0} - {1})")
                or statement.operands[0] == statement.operands[1]
            ):
                continue
            factors = [name for name in statement.operands if name in products]
            if not factors:
                continue
            last = max(factors, key=order.__getitem__)  # what is ready last, last
            a, b = products[last]
            minus = statement.template == "({0} - {1})"
            if statement.operands[0] == last:
                template, rest = ("fma({0}, {1}, -{2})" if minus else "fma({0}, {1}, {2})"), statement.operands[1]
            else:
                template, rest = ("fma(-{0}, {1}, {2})" if minus else "fma({0}, {1}, {2})"), statement.operands[0]
            reads = tuple([x for x in (a, b, rest) if x in order or not _is_number(x)])
            self.statements[order[statement.name]] = Statement(statement.name, template, (a, b, rest), reads)


def text(x: Operand) -> str:
    """An operand as code."""
    if isinstance(x, Scalar):
        return x.name
    if isinstance(x, bool | np.bool_):
        return repr(bool(x))
    value = float(x)
    if math.isnan(value):
        return "np.nan"
    if math.isinf(value):
        return "np.inf" if value > 0 else "(-np.inf)"
    return repr(value) if value >= 0 else f"({value!r})"


def _is(x: Operand, value: float) -> bool:
    """Whether an operand is this number, zeros told apart by their signs."""
    if isinstance(x, Scalar | Nothing | bool | np.bool_):
        return False
    return float(x) == value and math.copysign(1.0, float(x)) == math.copysign(1.0, value)


def fold(code: Code, template: str, operands: Sequence[Operand]) -> Operand:
    """What an operation comes to without being carried out, or None. Bits stay: x + 0.0 is not x where x is -0.0."""
    match template, operands:
        case "({0} * {1})", (a, b):
            if a is NOTHING or b is NOTHING:
                return NOTHING
            return b if _is(a, 1.0) else a if _is(b, 1.0) else None
        case "({0} + {1})", (a, b):
            return b if a is NOTHING or _is(a, -0.0) else a if b is NOTHING or _is(b, -0.0) else None
        case "({0} - {1})", (a, b):
            if b is NOTHING or _is(b, 0.0):
                return a
            return code.apply("(-{0})", (b,)) if a is NOTHING else None
        case "({0} / {1})", (a, b):
            return NOTHING if a is NOTHING else a if _is(b, 1.0) else None
        case "(-{0})", (a,):
            return NOTHING if a is NOTHING else None
        case "select({0}, {1}, {2})", (condition, a, b):
            return None if isinstance(condition, Scalar) else a if condition else b
    return None

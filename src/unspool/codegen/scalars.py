"""Small arrays as scalars: a program becomes straight-line code on numbers.

The program is evaluated on object arrays whose elements are names of scalars. What moves elements about (slices,
stacks, reshapes, stores) is done by NumPy itself on those arrays and leaves no trace in the code; what computes writes
one statement per element. Equal expressions share a name, structural zeros and ones are folded, and what no output
needs is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.primitive import Primitive
from unspool.ir.program import Atom, Equation, Literal, Program, Var
from unspool.ops.index import is_basic

MOST_STATEMENTS = 4000
"""A longer step is not compiled: the compiler takes 1.6 seconds for a thousand statements."""

Operand = Any  # a Scalar or a Python number


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


class Code:
    """Statements in single assignment, with equal ones shared."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, str, tuple[str, ...]]] = []  # name, expression, names that it reads
        self._known: dict[tuple[str, ...], Scalar] = {}

    def apply(self, template: str, operands: Sequence[Operand]) -> Operand:
        """The result of an operation: a name, or a number where that is known."""
        folded = _fold(self, template, operands)
        if folded is not None:
            return folded
        texts = [text(x) for x in operands]
        key = (template, *texts)
        if key not in self._known:
            name = f"t{len(self.statements)}"
            names = tuple(x.name for x in operands if isinstance(x, Scalar))
            self.statements.append((name, template.format(*texts), names))
            if len(self.statements) > 8 * MOST_STATEMENTS:
                raise UnsupportedError(f"the step has more than {MOST_STATEMENTS} statements on numbers")
            self._known[key] = Scalar(self, name)
        return self._known[key]

    def live(self, outputs: Sequence[Operand]) -> Iterator[tuple[str, str]]:
        """The statements that the outputs need, in order."""
        needed = {x.name for x in outputs if isinstance(x, Scalar)}
        kept = []
        for name, expression, names in reversed(self.statements):
            if name in needed:
                kept.append((name, expression))
                needed.update(names)
        return reversed(kept)


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


def _is_zero(x: Operand) -> bool:
    return not isinstance(x, Scalar) and x == 0


def _is_structural_zero(x: Operand) -> bool:
    """A zero that stands for nothing at all (an int), as outside a placed block: not even infinity times it is NaN."""
    return type(x) is int and x == 0


def _is_one(x: Operand) -> bool:
    return not isinstance(x, Scalar) and not isinstance(x, bool | np.bool_) and x == 1


def _fold(code: Code, template: str, operands: Sequence[Operand]) -> Operand:
    """What an operation comes to without being carried out, or None."""
    match template, operands:
        case "({0} * {1})", (a, b):
            if _is_structural_zero(a) or _is_structural_zero(b):
                return 0
            return b if _is_one(a) else a if _is_one(b) else None
        case "({0} + {1})", (a, b):
            return b if _is_zero(a) else a if _is_zero(b) else None
        case "({0} - {1})", (a, b):
            return a if _is_zero(b) else code.apply("(-{0})", (b,)) if _is_structural_zero(a) else None
        case "({0} / {1})", (a, b):
            return 0 if _is_structural_zero(a) else a if _is_one(b) else None
        case "(-{0})", (a,):
            return 0 if _is_structural_zero(a) else None
        case "({1} if {0} else {2})", (condition, a, b):
            return None if isinstance(condition, Scalar) else a if condition else b
    return None


# --- programs ---------------------------------------------------------------------------------------------------------
MOVING = frozenset(
    [
        "copy",
        "reshape",
        "transpose",
        "broadcast_to",
        "roll",
        "concatenate",
        "stack",
        "getitem",
        "einsum",
        "sum",
        "cumsum",
        "matmul",
        "dot",
        "inner",
    ]
)
"""Primitives whose own evaluation works on arrays of names: they move elements about, add and multiply."""

TEMPLATES = {
    "sign": "np.sign({0})",
    "floor": "np.floor({0})",
    "ceil": "np.ceil({0})",
    "less": "({0} < {1})",
    "less_equal": "({0} <= {1})",
    "greater": "({0} > {1})",
    "greater_equal": "({0} >= {1})",
    "equal": "({0} == {1})",
    "not_equal": "({0} != {1})",
    "logical_and": "({0} and {1})",
    "logical_or": "({0} or {1})",
    "logical_not": "(not {0})",
    "isnan": "np.isnan({0})",
    "isfinite": "np.isfinite({0})",
    "isinf": "np.isinf({0})",
}
"""Code for primitives that have no template of their own."""


def run(program: Program, code: Code, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Evaluate the program on arrays of names; return the outputs as arrays of names and numbers.

    Raises `UnsupportedError` with the line of the equation that cannot be written as scalars.
    """
    values: dict[Var, np.ndarray] = dict(zip(program.inputs, inputs, strict=True))
    for var, constant in program.consts:
        values[var] = constant.astype(object)

    def read(atom: Atom) -> Any:
        return atom.value if isinstance(atom, Literal) else values[atom]

    for equation in program.equations:
        operands = [read(atom) for atom in equation.operands]
        try:
            result = _evaluate(code, equation, operands)
        except UnsupportedError:
            raise
        except Exception as error:
            raise UnsupportedError(f"{_where(equation)} cannot be written as scalars ({error})") from error
        (var,) = equation.outputs
        values[var] = result if isinstance(result, np.ndarray) else _as_array(result)
        if values[var].shape != var.type.shape:
            raise UnsupportedError(f"{_where(equation)} cannot be written as scalars")
    return [values[a] if isinstance(a, Var) else _as_array(a.value) for a in program.outputs]


def _as_array(value: Any) -> np.ndarray:
    array = np.empty((), object)
    array[()] = value
    return array


def _where(equation: Equation) -> str:
    return f"{equation.primitive.name}{f' in {equation.line}' if equation.line else ''}"


def _evaluate(code: Code, equation: Equation, operands: list[Any]) -> Any:
    primitive, params = equation.primitive, dict(equation.params)
    if equation.outputs[0].type.dtype.kind not in "fib" or equation.outputs[0].type.dtype.itemsize not in (1, 8):
        raise UnsupportedError(f"{_where(equation)} is {equation.outputs[0].type}: only float64 is compiled")
    if primitive.name in ("zeros_like", "ones_like"):
        return np.full(equation.outputs[0].type.shape, float(primitive.name == "ones_like"), object)
    if primitive.name in ("real", "conjugate", "positive"):
        return operands[0]
    template = _template(primitive)
    if template is not None:
        return np.frompyfunc(lambda *xs: code.apply(template, xs), len(operands), 1)(*operands)
    if primitive.name == "power":
        exponent = operands[1][()] if isinstance(operands[1], np.ndarray) and not operands[1].ndim else operands[1]
        if isinstance(exponent, int | float):
            return _power(code, operands[0], exponent)
        return np.frompyfunc(lambda *xs: code.apply("({0} ** {1})", xs), 2, 1)(*operands)
    if primitive.name in ("place", "store"):  # into an array of objects a 0-d array would go as an array
        operands = [x[()] if isinstance(x, np.ndarray) and not x.ndim else x for x in operands]
        target = np.full(params["shape"], 0, object) if primitive.name == "place" else np.array(operands[0], object)
        if primitive.name == "place" and not is_basic(params["index"]):
            np.add.at(target, params["index"], operands[-1])
        else:
            target[params["index"]] = operands[-1]
        return target
    if primitive.name in MOVING:
        return primitive.evaluate(*operands, **params)
    raise UnsupportedError(f"{_where(equation)} has no scalar code")


def _template(primitive: Primitive) -> str | None:
    if primitive.name == "power":
        return None
    return primitive.emit or TEMPLATES.get(primitive.name)


def _power(code: Code, base: np.ndarray, exponent: float) -> Any:
    """Small whole powers are products, as in NumPy."""

    def power(x: Operand) -> Operand:
        if exponent == 0:
            return 1.0
        if exponent == int(exponent) and 0 < exponent <= 4:
            square = x if exponent == 1 else code.apply("({0} * {1})", (x, x))
            if exponent <= 2:
                return square
            return code.apply("({0} * {1})", (square, x if exponent == 3 else square))
        return code.apply("({0} ** {1})", (x, exponent))

    return np.frompyfunc(power, 1, 1)(base)

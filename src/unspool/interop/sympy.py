"""Programs as formulas of SymPy: what its operations come to on symbols, the derivatives of that, and their lengths.

A formula forgets what a program shares: a value that is used twice is written twice, and its derivative four times.
`n_operations` counts what is written, `n_distinct` what is different in it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from unspool.codegen.scalars import MOVING
from unspool.errors import InputError, UnsupportedError
from unspool.ir.program import Equation, Literal, Program, Var

try:
    import sympy  # type: ignore[import-untyped]
except ImportError as error:
    raise ImportError(
        "unspool.interop.sympy makes formulas for a package that is not installed here: pip install 'unspool[sympy]'"
    ) from error

_DIGITS = 40  # of a number that is no short fraction: more than those of a double, and those of a sum of many
_SHORT = 2**10  # fractions with denominators up to this one are kept as they are


def to_sympy(program: Program, *operands: Any) -> tuple[Any, ...]:
    """The outputs of a program for expressions: an expression for a number, an array of expressions for an array.

    Each operand is an expression or a symbol, or a nested list or array of such, of the shape of the input. Choices
    that the program does not make are not in it: one recorded on a tape is the branch that was taken. Raises
    `UnsupportedError` with the name of a primitive that has no formula.

    >>> from unspool.layout import ArrayType
    >>> from unspool.tracer import trace
    >>> program = trace(lambda x: np.log(x[0]) + x[0] * x[1] - np.sin(x[1]), ArrayType(np.dtype(float), (2,)))
    >>> (y,) = to_sympy(program, sympy.symbols("a b"))
    >>> y, sympy.diff(y, "b")
    (a*b + log(a) - sin(b), a - cos(b))
    """
    if len(operands) != len(program.inputs):
        raise InputError(f"the program has {len(program.inputs)} inputs; {len(operands)} were given")
    values: dict[Var, Any] = {var: _exact_array(array) for var, array in program.consts}
    for number, (var, operand) in enumerate(zip(program.inputs, operands, strict=True)):
        array = _as_array(operand)
        if array.shape != var.type.shape:
            raise InputError(f"operand {number} has the shape {array.shape}; the program was made for {var.type}")
        values[var] = array
    for equation in program.equations:
        arrays = [
            _as_array(exact(atom.value)) if isinstance(atom, Literal) else values[atom] for atom in equation.operands
        ]
        values[equation.outputs[0]] = _as_array(_evaluate(equation, arrays))
    outputs = [_as_array(exact(x.value)) if isinstance(x, Literal) else values[x] for x in program.outputs]
    return tuple([output if output.ndim else output[()] for output in outputs])


def derivatives(value: Any, symbols: Sequence[Any]) -> list[Any]:
    """The partial derivatives of an expression, as the rules of the calculus write them: nothing is simplified."""
    return [sympy.diff(value, symbol) for symbol in symbols]


def expanded(value: Any) -> Any:
    """The expression multiplied out."""
    return sympy.expand(value)


def symbols(n: int) -> list[Any]:
    """So many symbols of real numbers: x for one, x0, x1, ... for several."""
    names = ["x"] if n == 1 else [f"x{k}" for k in range(n)]
    return [sympy.Symbol(name, real=True) for name in names]


def exact(number: Any) -> Any:
    """A number as SymPy should have it: a whole number or a short fraction as such, else with many digits.

    >>> exact(2.0), exact(0.375), exact(float("inf"))
    (2, 3/8, oo)
    """
    if isinstance(number, complex | np.complexfloating):
        return exact(number.real) + sympy.I * exact(number.imag)
    value = float(number)
    if not math.isfinite(value):
        return sympy.Float(value) if math.isnan(value) else sympy.oo if value > 0 else -sympy.oo
    numerator, denominator = value.as_integer_ratio()
    return sympy.Rational(numerator, denominator) if denominator <= _SHORT else sympy.Float(value, _DIGITS)


def values_of(expressions: Sequence[Any], symbols: Sequence[Any], at: Sequence[float], digits: int = 30) -> list[float]:
    """The expressions at a point, computed with so many digits."""
    point = {symbol: sympy.Float(float(x), _DIGITS) for symbol, x in zip(symbols, at, strict=True)}
    return [float(sympy.N(expression, digits, subs=point)) for expression in expressions]


def as_function(symbols: Sequence[Any], expressions: Sequence[Any]) -> Callable[..., list[float]]:
    """The function of floats that computes the expressions as they are written, in double precision."""
    function: Callable[..., list[float]] = sympy.lambdify(symbols, list(expressions), modules="numpy", cse=False)
    return function


# --- lengths ----------------------------------------------------------------------------------------------------------
def n_operations(*expressions: Any) -> int:
    """How many operations on two numbers, and functions of one, are written in the expressions.

    What occurs several times counts as often as it occurs; it costs no more time than what is different in it.

    >>> x = sympy.Symbol("x")
    >>> n_operations(4 * x * (1 - x)), n_operations(sympy.sin(x) ** 2 + sympy.sin(x))
    (4, 4)
    """
    known: dict[Any, int] = {}
    for part in _postorder(expressions):
        known[part] = _own(part) + sum([known[arg] for arg in part.args])
    return sum([known[expression] for expression in expressions])


def n_distinct(*expressions: Any) -> int:
    """How many operations there are if equal parts are computed once.

    >>> x = sympy.Symbol("x")
    >>> n_distinct(sympy.sin(x) ** 2 + sympy.sin(x))
    3
    """
    return sum(map(_own, _postorder(expressions)))


def _own(part: Any) -> int:
    if not part.args:
        return 0
    return len(part.args) - 1 if part.is_Add or part.is_Mul else 1


def _postorder(expressions: Sequence[Any]) -> list[Any]:
    """The different parts of the expressions, each after its own parts; without recursion."""
    done: dict[Any, None] = {}
    stack = [(expression, False) for expression in reversed(expressions)]
    while stack:
        part, opened = stack.pop()
        if part in done:
            continue
        if opened:
            done[part] = None
        else:
            stack.append((part, True))
            stack += [(arg, False) for arg in part.args]
    return list(done)


# --- one equation -----------------------------------------------------------------------------------------------------
def _choice(condition: Any, x: Any, y: Any) -> Any:
    return x if condition else y  # the condition is a constant: comparisons have no formula here


_FORMULAS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
    "float_power": operator.pow,
    "negative": operator.neg,
    "positive": lambda x: x,
    "square": lambda x: x**2,
    "reciprocal": lambda x: 1 / x,
    "sqrt": sympy.sqrt,
    "cbrt": sympy.cbrt,
    "hypot": lambda x, y: sympy.sqrt(x**2 + y**2),
    "absolute": sympy.Abs,
    "fabs": sympy.Abs,
    "exp": sympy.exp,
    "exp2": lambda x: 2**x,
    "expm1": lambda x: sympy.exp(x) - 1,
    "log": sympy.log,
    "log2": lambda x: sympy.log(x) / sympy.log(2),
    "log10": lambda x: sympy.log(x) / sympy.log(10),
    "log1p": lambda x: sympy.log(1 + x),
    "logaddexp": lambda x, y: sympy.log(sympy.exp(x) + sympy.exp(y)),
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "arcsin": sympy.asin,
    "arccos": sympy.acos,
    "arctan": sympy.atan,
    "arctan2": sympy.atan2,
    "sinh": sympy.sinh,
    "cosh": sympy.cosh,
    "tanh": sympy.tanh,
    "arcsinh": sympy.asinh,
    "arccosh": sympy.acosh,
    "arctanh": sympy.atanh,
    "sinc": lambda x: sympy.sinc(sympy.pi * x),
    "deg2rad": sympy.rad,
    "radians": sympy.rad,
    "rad2deg": sympy.deg,
    "degrees": sympy.deg,
    "maximum": sympy.Max,
    "minimum": sympy.Min,
    "where": _choice,
}

_STORING = frozenset({"store", "place", "prod", "cumprod"})  # NumPy does these on objects as well as those of MOVING


def _evaluate(equation: Equation, operands: Sequence[Any]) -> Any:
    name, params = equation.primitive.name, dict(equation.params)
    if name in _FORMULAS:
        return np.frompyfunc(_FORMULAS[name], len(operands), 1)(*operands)
    if name in ("max", "min") and params["axis"] == tuple(range(operands[0].ndim)) and not params["keepdims"]:
        return reduce(sympy.Max if name == "max" else sympy.Min, operands[0].ravel().tolist())
    if (name in MOVING or name in _STORING) and "dtype" not in params:
        return equation.primitive.evaluate(*operands, **params)
    where = f" (at {equation.line})" if equation.line else ""
    raise UnsupportedError(
        f"{name}{where} has no formula in SymPy here. Write the function with elementary functions, sums and products."
    )


def _as_array(value: Any) -> Any:
    """An array of expressions; a single one as an array without axes."""
    if isinstance(value, sympy.Basic):
        array = np.empty((), object)
        array[()] = value
        return array
    return np.array(value, object)


def _exact_array(array: np.ndarray) -> Any:
    if array.dtype.kind == "b":
        return array.astype(object)
    return _as_array(np.frompyfunc(exact, 1, 1)(array))

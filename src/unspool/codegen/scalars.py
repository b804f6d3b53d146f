"""Small arrays as scalars: a program becomes straight-line code on numbers.

The program is evaluated on object arrays whose elements are names of scalars. What moves elements about (slices,
stacks, reshapes, stores) is done by NumPy itself on those arrays and leaves no trace in the code; what computes writes
one statement per element. Equal expressions share a name, structural zeros and ones are folded, and what no output
needs is left out.

Whole numbers (the number of a step, and what is made of it) are float64 in the code: exact as far as 2**53. Truths are
Booleans, and become numbers where something computes with them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from unspool.codegen.statements import NOTHING, Code, Operand, Scalar, fold
from unspool.errors import UnsupportedError
from unspool.ir.primitive import Primitive
from unspool.ir.program import Atom, Equation, Literal, Program, Var
from unspool.ops.arithmetic import add
from unspool.ops.index import is_basic
from unspool.ops.table import PRIMITIVES

MOST_STEPS = 2**31
"""The number of a step is below this: from it follows which whole numbers are exact."""

_EXACT, _WHOLE = 2.0**53, 2.0**63

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

EXTREMA = {"max": "maximum", "min": "minimum"}
"""Those that compare all elements, and how two of them are compared."""

ADDING = frozenset(["einsum", "sum", "cumsum", "matmul", "dot", "inner"])
"""Those that add and multiply."""

FUNCTIONS = {
    **dict.fromkeys(["exp", "exp2", "expm1", "sinh", "cosh", "tanh", "log", "log2", "log10", "log1p"], 1),
    **dict.fromkeys(["arcsinh", "arccosh", "arctanh", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "cbrt"], 1),
    **dict.fromkeys(["arctan2", "hypot", "logaddexp"], 2),
    "expit": 1,
}
"""The elementary functions of `unspool.codegen.vectormath`, with their numbers of operands."""

QUICKER = frozenset(["exp", "exp2", "log", "log2", "log10", "log1p", "arcsin", "arccos"])
"""Functions of which that of the C library takes less time for one number."""

TEMPLATES = {
    **{name: f"{name}({', '.join(['{0}', '{1}'][:n])})" for name, n in FUNCTIONS.items()},
    "sign": "(np.sign({0}) + 0.0)",  # not -0.0 of -0.0
    "fmod": "np.fmod({0}, {1})",
    "invert": "(not {0})",
    "logical_not": "(not {0})",
    "where": "select({0}, {1}, {2})",
    "logical_and": "({0} & {1})",
    "logical_or": "({0} | {1})",
    "logical_xor": "({0} != {1})",
    "bitwise_and": "({0} & {1})",
    "bitwise_or": "({0} | {1})",
    "bitwise_xor": "({0} != {1})",
}
"""Code that goes before that of the primitive itself."""

ON_TRUTHS = {
    "add": "({0} | {1})",
    "maximum": "({0} | {1})",
    "fmax": "({0} | {1})",
    "multiply": "({0} & {1})",
    "minimum": "({0} & {1})",
    "fmin": "({0} & {1})",
}
"""What arithmetic between truths comes to, where NumPy gives a truth."""

LOGICAL = frozenset(["logical_not", "logical_and", "logical_or", "logical_xor"])
BITWISE = frozenset(["invert", "bitwise_and", "bitwise_or", "bitwise_xor"])
COMPARISONS = frozenset(["less", "less_equal", "greater", "greater_equal", "equal", "not_equal"])
QUESTIONS = COMPARISONS | {"isnan", "isfinite", "isinf"}
_ROUNDING = ["sign", "floor", "ceil", "trunc", "rint", "floor_divide", "astype_discrete", "whole"]
_CHOOSING = ["negative", "positive", "absolute", "fabs", "maximum", "minimum", "where", "store", "place"]
KEEPING = (MOVING - ADDING) | {*_ROUNDING, *_CHOOSING}
"""Those whose result is no larger than the largest operand, where these are whole numbers."""

DISCRETE = COMPARISONS | {"floor_divide", "remainder", "fmod"}  # a wrong last digit makes them another number


PASSING = frozenset(["real", "conjugate", "positive", "astype", "astype_discrete", "whole"])
"""Primitives whose result on real numbers is their operand, a truth apart."""


def imported(lines: Sequence[str]) -> list[str]:
    """The lines that bring in the elementary functions that some code calls."""
    names = sorted(set(called(lines)))
    if not names:
        return []
    return [
        "from unspool.codegen.vectormath import FUNCTIONS",
        "",
        *[f'{name} = FUNCTIONS["{name}"]' for name in names],
    ]


_CALLED = re.compile(r"\b([a-z][a-z0-9]*)\(")


def called(lines: Sequence[str]) -> list[str]:
    """The elementary functions that some code calls, once for each time."""
    return [name for name in _CALLED.findall("\n".join(lines)) if name in FUNCTIONS or name == "power"]


def is_elementwise(equation: Equation) -> bool:
    """Whether the equation has scalar code for one element of its result."""
    name, primitive = equation.primitive.name, equation.primitive
    if PRIMITIVES.get(name) is not primitive:
        return False
    return primitive.emit is not None or name in TEMPLATES or name in PASSING or name == "power"


def element(code: Code, equation: Equation, operands: Sequence[Operand]) -> Operand:
    """One element of the result of an elementwise equation, from one element of each operand."""
    return _evaluate(code, equation, [*operands])


def run(program: Program, code: Code, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Evaluate the program on arrays of names; return the outputs as arrays of names and numbers.

    Raises `UnsupportedError` with the line of the equation that cannot be written as scalars.
    """
    values: dict[Var, np.ndarray] = dict(zip(program.inputs, inputs, strict=True))
    sizes: dict[Var, float] = dict.fromkeys(program.inputs, float(MOST_STEPS))  # of whole numbers, at most
    for var, constant in program.consts:
        if constant.dtype.kind not in "fiub":
            raise UnsupportedError(f"the step computes with {var.type}: only float64 is compiled")
        values[var] = constant.astype(object)
        sizes[var] = float(np.abs(constant.astype(float)).max(initial=0.0)) if constant.dtype.kind in "iub" else 0.0

    def read(atom: Atom) -> Any:
        return atom.value if isinstance(atom, Literal) else values[atom]

    for equation in program.equations:
        operands = [read(atom) for atom in equation.operands]
        if PRIMITIVES.get(equation.primitive.name) is not equation.primitive:  # a function of the user, of any name
            raise UnsupportedError(f"{where(equation)} has no scalar code")
        (var,) = equation.outputs
        try:
            check_types(equation)
            sizes[var] = check_sizes(equation, sizes)
            result = _evaluate(code, equation, operands)
        except UnsupportedError:
            raise
        except Exception as error:
            raise UnsupportedError(f"{where(equation)} cannot be written as scalars ({error})") from error
        values[var] = result if isinstance(result, np.ndarray) else _as_array(result)
        if values[var].shape != var.type.shape:
            raise UnsupportedError(f"{where(equation)} cannot be written as scalars")
    return [values[a] if isinstance(a, Var) else _as_array(a.value) for a in program.outputs]


def check_types(equation: Equation) -> None:
    """Refuse what means something else on the numbers of the code than on the types of the program."""
    result, name = equation.outputs[0].type, equation.primitive.name
    kinds = [_kind(atom) for atom in equation.operands]
    if result.dtype.kind not in "fib" or result.dtype.itemsize not in (1, 8):
        raise UnsupportedError(f"{where(equation)} is {result}: only float64 is compiled")
    match name, result.dtype.kind:
        case ("reciprocal", "i"):
            fine = False  # of whole numbers it is a whole number
        case ("astype_discrete", "i"):
            fine = kinds[0] != "f"
        case ("store", "i" | "b"):
            fine = kinds[1] in ("b", result.dtype.kind)
        case (name, "b") if name in ADDING:
            fine = False
        case (name, _) if name in BITWISE:
            fine = set(kinds) == {"b"}
        case _:
            fine = True
    if not fine:
        raise UnsupportedError(f"{where(equation)} works on whole numbers or truths ({result}) and is not compiled")


def check_sizes(equation: Equation, sizes: dict[Var, float]) -> float:
    """How large the whole numbers in the result can be; refuse where they would not come out exactly."""
    name, result = equation.primitive.name, equation.outputs[0].type.dtype.kind
    of = [_size(atom, sizes) for atom in equation.operands]
    if name in DISCRETE and "i" in map(_kind, equation.operands) and max(of) > _EXACT:
        raise UnsupportedError(f"{where(equation)} works on whole numbers that may be larger than 2**53")
    if result != "i":
        return 1.0 if result == "b" else 0.0
    match name:
        case "add" | "subtract":
            size = of[0] + of[1]
        case "multiply":
            size = of[0] * of[1]
        case "square":
            size = of[0] ** 2
        case "zeros_like" | "ones_like":
            size = 1.0
        case "power" if isinstance(equation.operands[1], Literal):
            size = max(1.0, of[0]) ** of[1]
        case "remainder" | "fmod":
            size = of[1]
        case "sum" | "cumsum" if isinstance(equation.operands[0], Var):
            size = of[0] * equation.operands[0].type.size
        case name if name in KEEPING:
            size = max(of)
        case _:
            size = np.inf
    if size > _WHOLE:
        raise UnsupportedError(f"{where(equation)} makes whole numbers that may not fit into 64 bits")
    return float(size)


def _kind(atom: Atom) -> str:
    return np.asarray(atom.value).dtype.kind if isinstance(atom, Literal) else atom.type.dtype.kind


def _size(atom: Atom, sizes: dict[Var, float]) -> float:
    return abs(atom.value) if isinstance(atom, Literal) else sizes[atom]


def _as_array(value: Any) -> Any:
    array = np.empty((), object)
    array[()] = value
    return array


def where(equation: Equation) -> str:
    """The primitive of an equation, and the line of the user that it comes from."""
    return f"{equation.primitive.name}{f' in {equation.line}' if equation.line else ''}"


def _evaluate(code: Code, equation: Equation, operands: list[Any]) -> Any:
    primitive, params, name = equation.primitive, dict(equation.params), equation.primitive.name
    result, kinds = equation.outputs[0].type, [_kind(atom) for atom in equation.operands]
    of_truths = result.dtype.kind == "b" and set(kinds) == {"b"} and name not in QUESTIONS
    for position, kind in enumerate(kinds):
        if name in LOGICAL or (name, position) == ("where", 0) or (name, result.dtype.kind) == ("astype_discrete", "b"):
            operands[position] = operands[position] if kind == "b" else _truths(code, operands[position])
        elif kind == "b" and (result.dtype.kind != "b" or name in QUESTIONS):
            operands[position] = _numbers(code, operands[position])
    if name in ("zeros_like", "ones_like"):
        return np.full(result.shape, float(name == "ones_like"), object)
    if name in PASSING:
        return operands[0]
    if name == "power":
        return _power(code, equation, *operands)
    template = TEMPLATES.get(name) or primitive.emit
    if code.one_by_one and name in QUICKER:
        template = primitive.emit
    if of_truths and name not in TEMPLATES and name != "where":
        template = ON_TRUTHS.get(name)
    if template is not None:
        array = _elementwise(code, template, operands, primitive)
        if result.dtype.kind == "i" and name in ("multiply", "negative", "remainder", "floor_divide", "fmod"):
            return _elementwise(code, "({0} + {1})", [array, 0.0], add)  # whole numbers have one zero
        return array
    if name in ("place", "store"):  # into an array of objects a 0-d array would go as an array
        operands = [x[()] if isinstance(x, np.ndarray) and not x.ndim else x for x in operands]
        target = np.full(params["shape"], NOTHING, object) if name == "place" else np.array(operands[0], object)
        if name == "place" and not is_basic(params["index"]):
            np.add.at(target, params["index"], operands[-1])
        else:
            target[params["index"]] = operands[-1]
        return target
    if name in EXTREMA and result.dtype.kind == "f":
        return _extremum(code, PRIMITIVES[EXTREMA[name]], *operands, **params)
    if name in MOVING:
        if result.dtype.kind == "f":
            params.pop("dtype", None)  # NumPy would make floats of names
        return primitive.evaluate(*operands, **params)
    raise UnsupportedError(f"{where(equation)} has no scalar code")


def _elementwise(code: Code, template: str, operands: Sequence[Any], primitive: Primitive) -> Any:
    """The template applied to every element; NumPy itself computes what is known already."""

    def apply(*xs: Operand) -> Operand:
        folded = fold(code, template, xs)
        if folded is not None:
            return folded
        if any(isinstance(x, Scalar) for x in xs):
            return code.apply(template, xs)
        return primitive.evaluate(*[np.asarray(x if isinstance(x, bool) else float(x)) for x in xs]).item()

    with np.errstate(all="ignore"):  # around all of it: what an element computes is looked at in the end
        return np.frompyfunc(apply, len(operands), 1)(*operands)


def _extremum(code: Code, larger: Primitive, array: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    """The largest or least elements over some axes, compared one after the other."""
    assert larger.emit is not None
    moved = np.moveaxis(array, axis, range(len(axis)))
    rest = moved.shape[len(axis) :]
    first, *others = moved.reshape(-1, *rest)
    for other in others:
        first = _elementwise(code, larger.emit, [first, other], larger)
    found = np.empty(rest, object)
    found[...] = first
    return np.expand_dims(found, axis) if keepdims else found


def _truths(code: Code, numbers: Any) -> Any:
    return np.frompyfunc(lambda x: code.apply("({0} != 0.0)", (x,)) if isinstance(x, Scalar) else float(x) != 0, 1, 1)(
        numbers
    )


def _numbers(code: Code, truths: Any) -> Any:
    template = "select({0}, 1.0, 0.0)"
    return np.frompyfunc(lambda x: code.apply(template, (x,)) if isinstance(x, Scalar) else float(x), 1, 1)(truths)


def _power(code: Code, equation: Equation, base: Any, exponent: Any) -> Any:
    """Small whole powers are products, and the power 0.5 of an array is a root, as in NumPy."""
    primitive = equation.primitive
    of_array = len(equation.outputs[0].type.shape) > 0 and isinstance(equation.operands[1], Literal)
    single = exponent[()] if isinstance(exponent, np.ndarray) and not exponent.ndim else exponent
    template = "({0} ** {1})" if code.one_by_one else "power({0}, {1})"
    if not isinstance(single, int | float):
        return _elementwise(code, template, [base, exponent], primitive)

    def power(x: Operand) -> Operand:
        if single == 0:
            return 1.0
        if single == 0.5 and of_array:
            return code.apply("math.sqrt({0})", (x,))
        if single in (1, 2, 3, 4):
            square = x if single == 1 else code.apply("({0} * {1})", (x, x))
            if single <= 2:
                return square
            return code.apply("({0} * {1})", (square, x if single == 3 else square))
        return code.apply(template, (x, float(single)))

    def known(x: Operand) -> Operand:
        return power(x) if isinstance(x, Scalar) else float(np.float64(x) ** float(single))

    with np.errstate(all="ignore"):
        return np.frompyfunc(known, 1, 1)(base)

"""Arithmetic that writes LLVM instructions: the same formula serves one number and a vector of them.

A formula is a Python function of `Floats`. Called with values of width 1 it writes scalar instructions, called with
values of width 8 it writes the same instructions on vectors of eight; so both leave the same bits. No instruction has a
fast-math flag, and a product and a sum become one operation only where the formula says `fma`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

_DOUBLE, _INT64, _INT32, _BIT = ir.DoubleType(), ir.IntType(64), ir.IntType(32), ir.IntType(1)
_NO_SIGN, _SIGN = (1 << 63) - 1, 1 << 63


def widened(scalar: Any, width: int) -> Any:
    """The type of a value of that width: the scalar type itself for 1."""
    return scalar if width == 1 else ir.VectorType(scalar, width)


class Lanes:
    """Where the instructions go, and how many numbers a value holds."""

    __slots__ = ("builder", "width")

    def __init__(self, builder: Any, width: int) -> None:
        self.builder = builder
        self.width = width

    def constant(self, scalar: Any, value: float) -> Any:
        """One number in all lanes."""
        kind = widened(scalar, self.width)
        return ir.Constant(kind, value if self.width == 1 else [value] * self.width)

    def call(self, name: str, *xs: Floats) -> Floats:
        """An intrinsic of LLVM whose operands and result are all of one type."""
        kind = widened(_DOUBLE, self.width)
        full = f"llvm.{name}.{'f64' if self.width == 1 else f'v{self.width}f64'}"
        module = self.builder.module
        function = module.globals.get(full) or ir.Function(module, ir.FunctionType(kind, [kind] * len(xs)), full)
        return Floats(self, self.builder.call(function, [x.value for x in xs]))


class _Values:
    """What every value has: its lanes, and its name in the code."""

    __slots__ = ("lanes", "value")

    def __init__(self, lanes: Lanes, value: Any) -> None:
        self.lanes = lanes
        self.value = value


class Floats(_Values):
    """One float64 per lane."""

    __slots__ = ()

    def _with(self, name: str, other: Floats | float, *, swapped: bool = False) -> Floats:
        x, y = self.value, floats(self.lanes, other).value
        return Floats(self.lanes, getattr(self.lanes.builder, name)(*((y, x) if swapped else (x, y))))

    def __add__(self, other: Floats | float) -> Floats:
        return self._with("fadd", other)

    def __radd__(self, other: float) -> Floats:
        return self._with("fadd", other, swapped=True)

    def __sub__(self, other: Floats | float) -> Floats:
        return self._with("fsub", other)

    def __rsub__(self, other: float) -> Floats:
        return self._with("fsub", other, swapped=True)

    def __mul__(self, other: Floats | float) -> Floats:
        return self._with("fmul", other)

    def __rmul__(self, other: float) -> Floats:
        return self._with("fmul", other, swapped=True)

    def __truediv__(self, other: Floats | float) -> Floats:
        return self._with("fdiv", other)

    def __rtruediv__(self, other: float) -> Floats:
        return self._with("fdiv", other, swapped=True)

    def __neg__(self) -> Floats:
        return Floats(self.lanes, self.lanes.builder.fneg(self.value))

    def __abs__(self) -> Floats:
        return self.lanes.call("fabs", self)

    def _compared(self, how: str, other: Floats | float) -> Mask:
        return Mask(self.lanes, self.lanes.builder.fcmp_ordered(how, self.value, floats(self.lanes, other).value))

    def __lt__(self, other: Floats | float) -> Mask:
        return self._compared("<", other)

    def __le__(self, other: Floats | float) -> Mask:
        return self._compared("<=", other)

    def __gt__(self, other: Floats | float) -> Mask:
        return self._compared(">", other)

    def __ge__(self, other: Floats | float) -> Mask:
        return self._compared(">=", other)

    def equals(self, other: Floats | float) -> Mask:
        """Where both are the same number; nowhere where one is NaN."""
        return self._compared("==", other)

    def bits(self) -> Bits:
        """The 64 bits of each number."""
        return Bits(self.lanes, self.lanes.builder.bitcast(self.value, widened(_INT64, self.lanes.width)))


class Bits(_Values):
    """One word of 64 bits per lane; sums wrap around, and a shift to the right brings zeros in."""

    __slots__ = ()

    def _with(self, name: str, other: Bits | int) -> Bits:
        right = other.value if isinstance(other, Bits) else self.lanes.constant(_INT64, other)
        return Bits(self.lanes, getattr(self.lanes.builder, name)(self.value, right))

    def __add__(self, other: Bits | int) -> Bits:
        return self._with("add", other)

    def __sub__(self, other: Bits | int) -> Bits:
        return self._with("sub", other)

    def __and__(self, other: Bits | int) -> Bits:
        return self._with("and_", other)

    def __or__(self, other: Bits | int) -> Bits:
        return self._with("or_", other)

    def __xor__(self, other: Bits | int) -> Bits:
        return self._with("xor", other)

    def __lshift__(self, other: int) -> Bits:
        return self._with("shl", other)

    def __rshift__(self, other: int) -> Bits:
        return self._with("lshr", other)

    def nonzero(self) -> Mask:
        """Where a bit is set."""
        zero = self.lanes.constant(_INT64, 0)
        return Mask(self.lanes, self.lanes.builder.icmp_unsigned("!=", self.value, zero))

    def floats(self) -> Floats:
        """The numbers that have these bits."""
        return Floats(self.lanes, self.lanes.builder.bitcast(self.value, widened(_DOUBLE, self.lanes.width)))


class Mask(_Values):
    """One truth per lane."""

    __slots__ = ()

    def __and__(self, other: Mask) -> Mask:
        return Mask(self.lanes, self.lanes.builder.and_(self.value, other.value))

    def __or__(self, other: Mask) -> Mask:
        return Mask(self.lanes, self.lanes.builder.or_(self.value, other.value))

    def __xor__(self, other: Mask) -> Mask:
        return Mask(self.lanes, self.lanes.builder.xor(self.value, other.value))

    def __invert__(self) -> Mask:
        return Mask(self.lanes, self.lanes.builder.xor(self.value, self.lanes.constant(_BIT, 1)))


def floats(lanes: Lanes, x: Floats | float) -> Floats:
    """A value, or a number in all lanes."""
    return x if isinstance(x, Floats) else Floats(lanes, lanes.constant(_DOUBLE, x))


def fma(x: Floats, y: Floats | float, z: Floats | float) -> Floats:
    """The sum x y + z with one rounding; the C library does it where the machine has no such instruction."""
    return x.lanes.call("fma", x, floats(x.lanes, y), floats(x.lanes, z))


def sqrt(x: Floats) -> Floats:
    """The root, correctly rounded."""
    return x.lanes.call("sqrt", x)


def rint(x: Floats) -> Floats:
    """The nearest whole number, the even one of two."""
    return x.lanes.call("rint", x)


def where(mask: Mask, x: Floats | float, y: Floats | float) -> Floats:
    """The one number in the lanes where the mask is true, the other elsewhere."""
    lanes = mask.lanes
    return Floats(lanes, lanes.builder.select(mask.value, floats(lanes, x).value, floats(lanes, y).value))


def sign(x: Floats) -> Bits:
    """The bit of the sign, in its place."""
    return x.bits() & _SIGN


def flipped(x: Floats, signs: Bits) -> Floats:
    """The number, negated where the bit of the sign is set."""
    return (x.bits() ^ signs).floats()


def signed(x: Floats, signs: Bits) -> Floats:
    """The size of a number with the given signs."""
    return ((x.bits() & _NO_SIGN) | signs).floats()


def row(name: str, table: Sequence[Sequence[float]], index: Bits) -> list[Floats]:
    """One row of a constant table, for a value of width 1."""
    lanes, builder = index.lanes, index.lanes.builder
    n_columns = len(table[0])
    kind = ir.ArrayType(_DOUBLE, len(table) * n_columns)
    if name not in builder.module.globals:
        constant = ir.GlobalVariable(builder.module, kind, name)
        constant.linkage, constant.global_constant = "linkonce_odr", True
        constant.initializer = ir.Constant(kind, [x for row in table for x in row])
    base, first = builder.module.globals[name], builder.mul(index.value, ir.Constant(_INT64, n_columns))
    places = [builder.add(first, ir.Constant(_INT64, column)) for column in range(n_columns)]
    return [Floats(lanes, builder.load(builder.gep(base, [ir.Constant(_INT32, 0), place]))) for place in places]


def rarely(mask: Mask, usual: Sequence[Floats], other: Callable[[Floats], Sequence[Floats]], x: Floats) -> list[Floats]:
    """The usual values, and in the lanes of the mask those of the other formula at x.

    That formula is a function of its own in the module, for one number. It is called, lane by lane, only if the mask
    is true somewhere; a loop with this branch still becomes vector code.
    """
    lanes, builder = mask.lanes, mask.lanes.builder
    function = _scalar_function(builder.module, other, len(usual))
    some = mask.value
    if lanes.width > 1:
        word = ir.IntType(lanes.width)
        some = builder.icmp_unsigned("!=", builder.bitcast(mask.value, word), ir.Constant(word, 0))
    before = builder.block
    with builder.if_then(some, likely=False):
        chosen = [where(mask, y, z) for y, z in zip(_lane_by_lane(function, x, len(usual)), usual, strict=True)]
        within = builder.block
    merged = []
    for y, z in zip(usual, chosen, strict=True):
        phi = builder.phi(y.value.type)
        phi.add_incoming(y.value, before)
        phi.add_incoming(z.value, within)
        merged.append(Floats(lanes, phi))
    return merged


def _lane_by_lane(function: Any, x: Floats, n_results: int) -> list[Floats]:
    lanes, builder = x.lanes, x.lanes.builder
    if lanes.width == 1:
        results = builder.call(function, [x.value])
        return [Floats(lanes, builder.extract_value(results, i)) for i in range(n_results)]
    values: list[Any] = [ir.Constant(widened(_DOUBLE, lanes.width), ir.Undefined)] * n_results
    for lane in range(lanes.width):
        at = ir.Constant(_INT32, lane)
        results = builder.call(function, [builder.extract_element(x.value, at)])
        values = [builder.insert_element(v, builder.extract_value(results, i), at) for i, v in enumerate(values)]
    return [Floats(lanes, v) for v in values]


def _scalar_function(module: Any, formula: Callable[[Floats], Sequence[Floats]], n_results: int) -> Any:
    name = f"unspool.{formula.__name__}"
    if name not in module.globals:
        kind = ir.LiteralStructType([_DOUBLE] * n_results)
        function = ir.Function(module, ir.FunctionType(kind, [_DOUBLE]), name)
        function.linkage = "linkonce_odr"
        for attribute in ("noinline", "nounwind", "readnone"):
            function.attributes.add(attribute)
        builder = ir.IRBuilder(function.append_basic_block())
        builder.ret(_packed(builder, kind, formula(Floats(Lanes(builder, 1), function.args[0]))))
    return module.globals[name]


def _packed(builder: Any, kind: Any, values: Sequence[Floats]) -> Any:
    packed = ir.Constant(kind, ir.Undefined)
    for i, x in enumerate(values):
        packed = builder.insert_value(packed, x.value, i)
    return packed

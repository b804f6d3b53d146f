"""Arrays at an address, for kernels: a Numba type without bounds, reference counts or negative indices.

``u = field(address, "f64[256, 256]", 3)`` is the array of that shape at an address; 3 is the place of the address among
those that a kernel was given. Two places never share memory that is written, and LLVM is told so: otherwise it would
compare all pairs of addresses before every nest, or give up.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

inner: Any = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""For a function that kernels call and Python does not: it takes a sixth less time to compile."""

_WORD, _BYTE, _FLOAT = ir.IntType(64), ir.IntType(8), ir.DoubleType()
_SCOPES = 64  # places that are told apart


class Field(types.Type):
    """An array of float64 or int64 with fixed strides, and the place that its address came from."""

    def __init__(self, dtype: types.Type, strides: tuple[int, ...], place: int) -> None:
        self.dtype, self.strides, self.place = dtype, strides, place
        super().__init__(name=f"Field({dtype}, {strides}, {place})")


@register_model(Field)
class _FieldModel(models.PrimitiveModel):
    def __init__(self, manager: Any, fe_type: Field) -> None:
        super().__init__(manager, fe_type, _BYTE.as_pointer())


@infer_global(operator.getitem)
class _Load(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(args[0].dtype, *args) if isinstance(args[0], Field) else None


@infer_global(operator.setitem)
class _Store(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(types.none, *args[:2], args[0].dtype) if isinstance(args[0], Field) else None


@lower_builtin(operator.getitem, Field, types.Any)
def _load(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return marked(builder, builder.load(_pointer(context, builder, sig.args, args)), sig.args[0])


@lower_builtin(operator.setitem, Field, types.Any, types.Any)
def _store(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    marked(builder, builder.store(args[2], _pointer(context, builder, sig.args, args)), sig.args[0])
    return context.get_dummy_value()


def _pointer(context: Any, builder: Any, kinds: Any, args: Any) -> Any:
    """The address of an element: one product and sum per axis, in 64 bits, which LLVM can follow."""
    array, index = kinds[:2]
    if isinstance(index, types.BaseTuple):
        parts, of = cgutils.unpack_tuple(builder, args[1]), [*index]
    else:
        parts, of = [args[1]], [index]
    position = [context.cast(builder, part, kind, types.int64) for part, kind in zip(parts, of, strict=True)]
    return pointer(context, builder, array, args[0], position)


def pointer(context: Any, builder: Any, array: Field, address: Any, position: Sequence[Any]) -> Any:
    """The address of the element at a position, an i64 per axis."""
    offset = _WORD(0)
    for part, stride in zip(position, array.strides, strict=True):
        offset = builder.add(offset, builder.mul(part, _WORD(stride)) if stride != 1 else part)
    return builder.gep(builder.bitcast(address, context.get_data_type(array.dtype).as_pointer()), [offset])


def marked(builder: Any, instruction: Any, array: Field) -> Any:
    """The instruction, of which LLVM is told that this place shares no memory with the others."""
    if not 0 <= array.place < _SCOPES:
        return instruction
    module = builder.module
    marks: dict[int, tuple[Any, Any]] = module.__dict__.setdefault("unspool_marks", {})
    if array.place not in marks:
        domain = module.add_metadata([ir.MetaDataString(module, "unspool")])
        scopes = [module.add_metadata([ir.MetaDataString(module, f"place {k}"), domain]) for k in range(_SCOPES)]
        others = [scope for k, scope in enumerate(scopes) if k != array.place]
        marks[array.place] = module.add_metadata([scopes[array.place]]), module.add_metadata(others)
    own, others = marks[array.place]
    instruction.set_metadata("alias.scope", own)
    instruction.set_metadata("noalias", others)
    return instruction


@intrinsic(prefer_literal=True)
def field(typing: Any, address: Any, description: Any, place: Any) -> Any:
    """The array of a type such as ``f64[3, 4]`` at an address; the length of the first axis may be ``:``."""
    kind, _, lengths = description.literal_value.rstrip("]").partition("[")
    strides: list[int] = []
    n = 1
    for length in reversed(lengths.split(", ") if lengths else ["1"]):
        strides.insert(0, n)
        n *= 1 if length == ":" else int(length)
    array = Field({"f64": types.float64, "i64": types.int64}[kind], tuple(strides), place.literal_value)

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], _BYTE.as_pointer())

    return array(address, description, place), code


@intrinsic
def guarded(typing: Any, condition: Any, array: Any, index: Any) -> Any:
    """``array[index] if condition else 0.0`` without a branch: where it does not hold, the first element is read."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        holds, kinds = args[0], sig.args[1:]
        element = context.get_data_type(array.dtype).as_pointer()
        first = builder.bitcast(args[1], element)
        place = builder.select(holds, _pointer(context, builder, kinds, args[1:]), first)
        value = marked(builder, builder.load(place), array)
        return builder.select(holds, value, _FLOAT(0.0))

    return array.dtype(types.boolean, array, index), code


@intrinsic
def select(typing: Any, condition: Any, this: Any, other: Any) -> Any:
    """``this if condition else other`` without a branch: Numba takes time for each, and loops with some do not become
    vector code."""
    kind = types.boolean if this == other == types.boolean else types.float64

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(*args)

    return kind(types.boolean, kind, kind), code


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, rounded once, on any machine."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        values = [context.cast(builder, arg, kind, types.float64) for arg, kind in zip(args, sig.args, strict=True)]
        return builder.fma(*values)

    return types.float64(a, b, c), code


# --- functions at an address ------------------------------------------------------------------------------------------
def called(builder: Any, address: Any, result: Any, arguments: list[Any]) -> Any:
    """Call the function at an address."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments]).as_pointer()
    return builder.call(builder.inttoptr(address, kind), arguments)


@intrinsic
def call(typing: Any, function: Any, number: Any, addresses: Any) -> Any:
    """Call back into Python: ``i64 function(i64 number, i64* addresses)``, not zero if it failed."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        number = context.cast(builder, args[1], sig.args[1], types.int64)
        return called(builder, args[0], _WORD, [number, args[2]])

    return types.int64(function, number, addresses), code


def _kernel(builder: Any, function: Any, block: Any) -> Any:
    """Call ``status = function(&result, &exception, block)`` and return the result."""
    result = cgutils.alloca_once(builder, _WORD)
    exception = cgutils.alloca_once(builder, _BYTE.as_pointer())
    called(builder, function, ir.IntType(32), [result, exception, block])
    return builder.load(result)


@intrinsic
def kernel(typing: Any, function: Any, addresses: Any) -> Any:
    """Call a kernel, given the address of the addresses."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _kernel(builder, args[0], builder.inttoptr(args[1], _WORD.as_pointer()))

    return types.int64(function, addresses), code


@intrinsic
def kernel_at(typing: Any, function: Any, block: Any) -> Any:
    """Call a kernel on the block of addresses itself."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _kernel(builder, *args)

    return types.int64(function, block), code


def _at(builder: Any, value: Any, kind: Any) -> Any:
    """The address of a number on the stack, as Fortran wants it."""
    place = cgutils.alloca_once(builder, kind)
    builder.store(value, place)
    return place


def _numbers(context: Any, builder: Any, sig: Any, args: Any) -> list[Any]:
    return [context.cast(builder, arg, kind, types.int64) for arg, kind in zip(args, sig.args, strict=True)]


def _letter(builder: Any, turned: Any) -> Any:
    flag = builder.icmp_signed("!=", turned, _WORD(0))
    return _at(builder, builder.select(flag, _BYTE(ord("T")), _BYTE(ord("N"))), _BYTE)


def _int(builder: Any, value: Any) -> Any:
    return _at(builder, builder.trunc(value, ir.IntType(32)), ir.IntType(32))


@intrinsic
def gemv(
    typing: Any, function: Any, turned: Any, rows: Any, columns: Any, matrix: Any, vector: Any, result: Any
) -> Any:
    """``result = matrix @ vector`` by BLAS; with ``turned`` the matrix f64[rows, columns] is transposed."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        f, turned, rows, columns, matrix, vector, result = _numbers(context, builder, sig, args)
        pointers = [builder.inttoptr(x, _FLOAT.as_pointer()) for x in (matrix, vector, result)]
        plain = builder.select(builder.icmp_signed("!=", turned, _WORD(0)), _WORD(0), _WORD(1))
        one, zero, each = _at(builder, _FLOAT(1.0), _FLOAT), _at(builder, _FLOAT(0.0), _FLOAT), _int(builder, _WORD(1))
        n, m = _int(builder, columns), _int(builder, rows)  # in the order of Fortran the matrix is its transpose
        called(
            builder,
            f,
            ir.VoidType(),
            [_letter(builder, plain), n, m, one, pointers[0], n, pointers[1], each, zero, pointers[2], each],
        )
        return context.get_dummy_value()

    return types.none(function, turned, rows, columns, matrix, vector, result), code


@intrinsic
def gemm(
    typing: Any,
    function: Any,
    turned: Any,
    flipped: Any,
    rows: Any,
    columns: Any,
    inner: Any,
    a: Any,
    b: Any,
    result: Any,
    beta: Any,
) -> Any:
    """``result = a @ b + beta * result`` by BLAS, f64[rows, columns]; ``turned`` and ``flipped`` transpose a and b."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        f, turned, flipped, rows, columns, inner, a, b, result = [
            context.cast(builder, arg, kind, types.int64) for arg, kind in zip(args[:-1], sig.args[:-1], strict=True)
        ]
        pointers = [builder.inttoptr(x, _FLOAT.as_pointer()) for x in (a, b, result)]
        is_turned, is_flipped = [builder.icmp_signed("!=", x, _WORD(0)) for x in (turned, flipped)]
        one, beta = _at(builder, _FLOAT(1.0), _FLOAT), _at(builder, args[-1], _FLOAT)
        m, n, k = _int(builder, rows), _int(builder, columns), _int(builder, inner)
        stride_a, stride_b = builder.select(is_turned, m, k), builder.select(is_flipped, k, n)
        called(  # in the order of Fortran: result.T = b.T @ a.T
            builder,
            f,
            ir.VoidType(),
            [
                *(_letter(builder, flipped), _letter(builder, turned), n, m, k, one),
                *(pointers[1], stride_b, pointers[0], stride_a, beta, pointers[2], n),
            ],
        )
        return context.get_dummy_value()

    return types.none(function, turned, flipped, rows, columns, inner, a, b, result, beta), code

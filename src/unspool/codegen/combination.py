"""A linear combination of the rows of a matrix, in kernels: the sums stay in vector registers while the rows go by.

Of a loop in the text LLVM keeps such sums in registers or in memory, as its passes happen to see it. Every sum is one
chain of `fma` over the rows in their order, so its bits depend neither on the width of the vectors nor on who computes
which columns.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from unspool.codegen.fields import marked, pointer
from unspool.codegen.vectormath.lanes import Floats, Lanes, widened

_WORD, _INT32, _FLOAT = ir.IntType(64), ir.IntType(32), ir.DoubleType()
_LANES = 8  # of a vector of sums; machines with narrower registers take several for it
_VECTOR = widened(_FLOAT, _LANES)


@intrinsic(prefer_literal=True)
def combine(typing: Any, panels: Any, vector: Any, result: Any, panel: Any, columns: Any) -> Any:
    """``result = vector @ matrix`` for the columns of one panel of a matrix f64[rows, columns].

    Its panels f64[panels, rows, width] are as `codegen.panels` makes them; the number of columns is a literal.
    """
    n_columns, width = columns.literal_value, panels.strides[1]

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _, _, features = context.codegen().magic_tuple()
        number = context.cast(builder, args[3], sig.args[3], types.int64)
        fields = [*zip(sig.args[:3], args[:3], strict=True)]
        for first in range(0, width, _LANES * at_once(features)):
            last = min(width, first + _LANES * at_once(features))
            _write(context, builder, fields, number, [*range(first, last, _LANES)], n_columns)
        return context.get_dummy_value()

    return types.none(panels, vector, result, panel, columns), code


def at_once(features: str) -> int:
    """Vectors of eight sums that fit the registers, on a machine with these features in LLVM's words.

    >>> at_once("+avx,+avx512f"), at_once("+avx,-avx512f"), at_once("+neon")
    (16, 4, 2)
    """
    known = set(features.split(","))
    return 16 if "+avx512f" in known else 4 if "+avx" in known else 2


def _write(context: Any, builder: Any, fields: Any, panel: Any, columns: list[int], n_columns: int) -> None:
    """The loop over the rows for the vectors of sums that begin at some columns of a panel."""
    (matrix, matrix_address), (vector, vector_address), (result, result_address) = fields
    n_rows, width = matrix.strides[0] // matrix.strides[1], matrix.strides[1]
    before, loop, after = builder.block, builder.append_basic_block("rows"), builder.append_basic_block("combined")
    builder.branch(loop)
    builder.position_at_end(loop)
    row, sums = builder.phi(_WORD), [builder.phi(_VECTOR) for _ in columns]
    place = pointer(context, builder, vector, vector_address, [row])
    factor = _in_all_lanes(builder, marked(builder, builder.load(place), vector))
    totals = []
    for column, total in zip(columns, sums, strict=True):
        place = pointer(context, builder, matrix, matrix_address, [panel, row, _WORD(column)])
        found = builder.load(builder.bitcast(place, _VECTOR.as_pointer()), align=64)
        totals.append(_fma(builder, factor, marked(builder, found, matrix), total))
        total.add_incoming(ir.Constant(_VECTOR, [0.0] * _LANES), before)
        total.add_incoming(totals[-1], loop)
    following = builder.add(row, _WORD(1))
    row.add_incoming(_WORD(0), before)
    row.add_incoming(following, loop)
    branch = builder.cbranch(builder.icmp_signed("<", following, _WORD(n_rows)), loop, after)
    branch.set_metadata("llvm.loop", _not_unrolled(builder.module))
    builder.position_at_end(after)
    start = builder.mul(panel, _WORD(width))
    for column, total in zip(columns, totals, strict=True):
        first = builder.add(start, _WORD(column))
        place = pointer(context, builder, result, result_address, [first])
        marked(builder, _stored(builder, total, place, first, n_columns, whole=n_columns % width == 0), result)


def _in_all_lanes(builder: Any, value: Any) -> Any:
    undefined = ir.Constant(widened(value.type, _LANES), ir.Undefined)
    first = builder.insert_element(undefined, value, _INT32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(widened(_INT32, _LANES), [0] * _LANES))


def _fma(builder: Any, *xs: Any) -> Any:
    lanes = Lanes(builder, _LANES)
    return lanes.call("fma", *[Floats(lanes, x) for x in xs]).value


def _not_unrolled(module: Any) -> Any:
    """What is said of a loop that LLVM is to leave as it is: a node whose first part is itself.

    With one row at a time each instruction goes through memory in steps of up to 1 KiB, which processors fetch ahead;
    with two rows the product of a vector and a matrix 128 x 128 took half as long again.
    """
    manner = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    node = module.add_metadata([ir.MetaDataString(module, f"loop {len(module.metadata)}")])
    node.operands = node, manner
    return node


def _stored(builder: Any, value: Any, place: Any, first: Any, n_columns: int, *, whole: bool) -> Any:
    """Store the sums from a column on, as far as there are columns."""
    place = builder.bitcast(place, _VECTOR.as_pointer())
    if whole:
        return builder.store(value, place, align=8)
    left = _in_all_lanes(builder, builder.sub(_WORD(n_columns), first))
    numbers = ir.Constant(widened(_WORD, _LANES), [*range(_LANES)])
    mask = builder.icmp_signed("<", numbers, left)
    name, kinds = "llvm.masked.store.v8f64.p0", [_VECTOR, place.type, _INT32, mask.type]
    module = builder.module
    function = module.globals.get(name) or ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    return builder.call(function, [value, place, _INT32(8), mask])

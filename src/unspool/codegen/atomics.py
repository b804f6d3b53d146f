"""What threads of machine code tell each other by: words of memory that are read and changed in one piece, and in one
order that all of them see."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from unspool.codegen.fields import called

_WORD = ir.IntType(64)
_ORDER = "seq_cst"
_PAUSES = {"x86_64": ("llvm.x86.sse2.pause",), "aarch64": ("llvm.aarch64.hint", 1), "arm64": ("llvm.aarch64.hint", 1)}


@intrinsic
def words(typing: Any, address: Any) -> Any:
    """The block at an address."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], _WORD.as_pointer())

    return types.CPointer(types.int64)(types.int64), code


@intrinsic
def look(typing: Any, block: Any, place: Any) -> Any:
    """The word at a place of a block, as it is now."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load_atomic(_word(context, builder, sig, args), _ORDER, 8)

    return types.int64(block, place), code


@intrinsic
def add(typing: Any, block: Any, place: Any, number: Any) -> Any:
    """Add to the word at a place of a block; the word as it was before."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        number = context.cast(builder, args[2], sig.args[2], types.int64)
        return builder.atomic_rmw("add", _word(context, builder, sig, args), number, _ORDER)

    return types.int64(block, place, number), code


@intrinsic
def pause(typing: Any) -> Any:
    """Tell the processor that this is a loop which waits."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        found = _PAUSES.get(builder.module.triple.partition("-")[0])
        if found is not None:
            name, *numbers = found
            arguments = [ir.IntType(32)(number) for number in numbers]
            kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)
        return context.get_dummy_value()

    return types.none(), code


@intrinsic
def outside(typing: Any, function: Any, one: Any, other: Any) -> Any:
    """Call ``int function(void*, void*)`` of the C library at an address; one that takes less looks at less."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointers = [builder.inttoptr(arg, ir.IntType(8).as_pointer()) for arg in args[1:]]
        called(builder, args[0], ir.IntType(32), pointers)
        return context.get_dummy_value()

    return types.none(function, one, other), code


def _word(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.gep(args[0], [context.cast(builder, args[1], sig.args[1], types.int64)])

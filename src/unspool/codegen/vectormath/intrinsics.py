"""From a formula to a function that kernels call, with the vector versions that LLVM puts into loops.

A module that uses a function holds it once for one number and once for each width of the machine's vectors. The first
names the others in its attribute "vector-function-abi-variant", as C compilers do for a function that is declared to
have vector versions, and the loop vectoriser then calls those. So a loop vectorises whatever the formula contains, a
rarely taken branch included, and a kernel that calls a function ten times compiles it once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from unspool.codegen.vectormath.lanes import Floats, Lanes, widened

Formula = Callable[..., Floats]


def declare(formula: Formula, n_operands: int) -> Any:
    """The function of one or two float64 with this formula, for kernels; its code is written when one is compiled."""

    def typed(xs: tuple[Any, ...]) -> Any:
        if not all(isinstance(x, types.Float | types.Integer | types.Boolean) for x in xs):
            return None
        return types.float64(*[types.float64] * n_operands), code

    def code(context: Any, builder: Any, _: Any, operands: Any) -> Any:
        _, _, features = context.codegen().magic_tuple()
        return builder.call(_defined(builder.module, formula, n_operands, widths(features)), operands)

    def of_one(_: Any, x: Any) -> Any:
        return typed((x,))

    def of_two(_: Any, x: Any, y: Any) -> Any:
        return typed((x, y))

    definition = of_one if n_operands == 1 else of_two
    definition.__name__, definition.__doc__ = formula.__name__, formula.__doc__
    return intrinsic(definition)


def widths(features: str) -> tuple[int, ...]:
    """The numbers of float64 for which a loop may look, on a machine with these features in LLVM's words.

    >>> widths("+sse2,+avx,+avx2,-avx512f"), widths("+neon")
    ((4,), (2,))
    """
    known = set(features.split(","))
    if "+avx512f" in known:
        return 4, 8  # half vectors where LLVM prefers them, and after the last whole one
    if "+avx" in known:
        return (4,)
    return (2,) if features else (2, 4, 8)  # the processor may be known by its name only


def _defined(module: Any, formula: Formula, n_operands: int, vector_widths: tuple[int, ...]) -> Any:
    """The scalar function in a module; its vector versions come with it."""
    name = f"unspool.{formula.__name__}"
    if name not in module.globals:
        mappings = []
        for width in vector_widths:
            vector = _write(module, f"{name}.{width}", formula, n_operands, width)
            mappings.append(f"_ZGV_LLVM_N{width}{'v' * n_operands}_{name}({vector.name})")
        scalar = _write(module, name, formula, n_operands, 1)
        scalar.attributes.add(f'"vector-function-abi-variant"="{",".join(mappings)}"')
    return module.globals[name]


def _write(module: Any, name: str, formula: Formula, n_operands: int, width: int) -> Any:
    kind = widened(ir.DoubleType(), width)
    function = ir.Function(module, ir.FunctionType(kind, [kind] * n_operands), name)
    function.linkage = "weak_odr"  # is kept though nothing calls it before the vectoriser has run
    function.attributes = _Attributes(["noinline", "nounwind", "readnone", "willreturn"])
    lanes = Lanes(ir.IRBuilder(function.append_basic_block()), width)
    lanes.builder.ret(formula(*[Floats(lanes, x) for x in function.args]).value)
    return function


class _Attributes(ir.values.FunctionAttributes):  # type: ignore[misc]
    """The attributes of a function, also those that llvmlite has no name for."""

    def add(self, name: str) -> None:
        set.add(self, name)

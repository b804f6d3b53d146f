"""A primitive: everything the system knows about one operation."""

from __future__ import annotations

import dis
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from types import CodeType
from typing import Any

from unspool.layout import ArrayType


class Read(Enum):
    """How much of a primal value a rule looks at."""

    NOTHING = 0
    TYPE = 1  # its shape or dtype only
    VALUE = 2


def _keeper(reads: tuple[Read, ...]) -> Callable[..., tuple[Any, ...]]:
    def keep(*values: Any) -> tuple[Any, ...]:
        return tuple(
            [
                value if read is Read.VALUE else ArrayType.of(value) if read is Read.TYPE else None
                for value, read in zip(values, reads, strict=True)
            ]
        )

    return keep


_NO, _TYPE, _YES = Read.NOTHING, Read.TYPE, Read.VALUE
_KEEP: dict[tuple[Read, ...], Callable[..., tuple[Any, ...]]] = {  # the frequent ones, without a loop
    (_NO, _NO): lambda y, a: (None, None),
    (_YES, _NO): lambda y, a: (y, None),
    (_NO, _YES): lambda y, a: (None, a),
    (_YES, _YES): lambda y, a: (y, a),
    (_NO, _TYPE): lambda y, a: (None, ArrayType.of(a)),
    (_NO, _NO, _NO): lambda y, a, b: (None, None, None),
    (_NO, _YES, _NO): lambda y, a, b: (None, a, None),
    (_NO, _NO, _YES): lambda y, a, b: (None, None, b),
    (_NO, _YES, _YES): lambda y, a, b: (None, a, b),
    (_YES, _NO, _YES): lambda y, a, b: (y, None, b),
}


@dataclass(frozen=True, slots=True, eq=False)
class Pull:
    """How cotangents go from the output of a primitive to those operands that want one.

    ``function(ct, y, *xs, **params)`` returns one cotangent per wanted operand, of that operand's shape and dtype.
    ``reads`` says for (y, *xs) what the function looks at; ``keep(y, *xs)`` gives the residuals, with None in the place
    of what is not looked at.
    """

    function: Callable[..., tuple[Any, ...]]
    reads: tuple[Read, ...]
    keep: Callable[..., tuple[Any, ...]]

    @classmethod
    def reading(cls, function: Callable[..., tuple[Any, ...]], reads: tuple[Read, ...]) -> Pull:
        """The rule with the way to pick its residuals out of (y, *xs)."""
        return cls(function, reads, _KEEP.get(reads) or _keeper(reads))


@dataclass(frozen=True, slots=True, eq=False)
class Primitive:
    """One operation that can be evaluated, typed and differentiated.

    ``evaluate(*xs, **params)`` is pure and returns an array, or a tuple of arrays when ``multiple`` is set.
    ``type_rule(*types, **params)`` gives the type of the result without computing it, or a tuple of them.
    ``jvp(tangents, y, *xs, **params)`` returns the tangent of the result; a tangent that is None is zero.
    ``pull(wanted, n, plain)`` makes the rule for the operands whose bits are set in ``wanted``, of ``n`` operands;
    ``plain`` promises that each wanted operand has the shape and dtype of the result.
    ``differentiable`` is False where the derivative is zero or has no meaning (comparisons, rounding).
    ``elementwise`` marks the functions for which ``plain`` matters.
    ``put(base, part, **params)`` writes a part back, for primitives whose result NumPy returns as a view.
    ``record(values, wanted) -> (y, pull)`` and ``push(values, tangents) -> (y, tangent)`` take the place of evaluation
    and rule together, for operations that are functions of the user (loops, custom rules). Those of equal ``digest``
    do the same, and hold ``n_bytes`` at most while they are carried out.
    ``samples()`` yields (args, params) for the contract tests. ``note`` is what the function table says of it.
    """

    name: str
    evaluate: Callable[..., Any]
    type_rule: Callable[..., ArrayType | tuple[ArrayType, ...]] | None = None
    jvp: Callable[..., Any] | None = None
    pull: Callable[[int, int, bool], Pull] | None = None
    differentiable: bool = True
    elementwise: bool = False
    multiple: bool = False
    put: Callable[..., Any] | None = None
    record: Callable[..., Any] | None = None
    push: Callable[..., Any] | None = None
    emit: str | None = None
    samples: Callable[[], Any] | None = None
    note: str = ""
    digest: str = ""
    n_bytes: int = 0
    pulls: dict[tuple[int, int, bool], Pull] = field(default_factory=dict, repr=False)

    def pull_for(self, wanted: int, n: int, plain: bool) -> Pull:
        """The rule for these operands, made once and kept."""
        key = wanted, n, plain
        pull = self.pulls.get(key)
        if pull is None:
            assert self.pull is not None
            pull = self.pulls[key] = self.pull(wanted, n, plain)
        return pull

    def __repr__(self) -> str:
        return self.name


_TYPE_ATTRIBUTES = frozenset({"shape", "dtype", "ndim", "size"})


@cache
def reads_of(rule: Callable[..., Any], skip: int = 1) -> tuple[Read, ...]:
    """What a rule looks at, read off its byte code: residuals are derived, never declared.

    The first ``skip`` positional parameters (the cotangent) are left out. A parameter of which only ``shape``,
    ``dtype``, ``ndim`` or ``size`` is taken is read as a type. Anything that cannot be told apart counts as a value.

    >>> [r.name for r in reads_of(lambda ct, y, a, b: ct * y + a.shape[0])]
    ['VALUE', 'TYPE', 'NOTHING']
    """
    code: CodeType = rule.__code__
    names = code.co_varnames[skip : code.co_argcount]
    found = dict.fromkeys(names, Read.NOTHING)
    instructions = list(dis.get_instructions(code))
    for this, following in zip(instructions, [*instructions[1:], None], strict=True):
        if this.argval not in found or not this.opname.startswith(("LOAD_FAST", "LOAD_DEREF", "LOAD_CLOSURE")):
            if isinstance(this.argval, tuple):  # fused loads of later Python versions
                for name in this.argval:
                    if name in found:
                        found[name] = Read.VALUE
            continue
        of_type = (
            following is not None
            and following.opname == "LOAD_ATTR"
            and following.argval in _TYPE_ATTRIBUTES
            and this.opname.startswith("LOAD_FAST")
        )
        if not of_type:
            found[this.argval] = Read.VALUE
        elif found[this.argval] is Read.NOTHING:
            found[this.argval] = Read.TYPE
    return tuple(found[name] for name in names)

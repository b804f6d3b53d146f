"""What a tape has heard, in a few bytes per operation, and how any part of it is carried out again.

An operation is a number in a table of instructions and the numbers of its operands: columns of integers, about 16 bytes
an operation where the same instructions come again, as they do in a loop. A value is known by the number of the
operation that made it. What comes from outside (a number, a plain array, a random draw) is kept by value where it
enters, once for all entries with the same bits.
"""

from __future__ import annotations

import weakref
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from sys import getsizeof
from typing import Any

import numpy as np

from unspool.errors import ReplayError
from unspool.ir.primitive import Primitive, Pull, Read
from unspool.layout import digest
from unspool.tape import Node, select

_KNOWN = 4096  # keys: beyond this the table of what may be shared is begun anew
_ENTRY_BYTES = 240  # bytes: an entry in a list and in the table of what is known, with its key
_REPEATING = 64  # operations: fewer that are alike may be so by chance


@dataclass(frozen=True, slots=True, eq=False)
class Instruction:
    """One kind of operation: everything about it but its operands.

    ``part`` is the position in the results of the operation before, for an instruction that takes one of them out;
    ``rule`` is None where no cotangent comes back; ``n_bytes`` is what the result takes, 0 for a view.
    """

    primitive: Primitive | None
    evaluate: Callable[..., Any] | None
    params: dict[str, Any] | None
    wanted: int
    rule: Pull | None
    n_bytes: int
    part: int = -1


class Transcript:
    """The operations of a tape in order, and the values from outside that they read.

    An operand r >= 0 is the result of operation r; r < 0 is ``constants[~r]``.
    """

    __slots__ = (
        "_arrays",
        "_gapped",
        "_known",
        "_last_use",
        "_made",
        "_table_bytes",
        "constant_bytes",
        "constants",
        "digests",
        "instructions",
        "kinds",
        "operands",
        "starts",
    )

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.kinds = array("I")
        self.operands = array("i")
        self.starts = array("I", [0])
        self.constants: list[Any] = []
        self.constant_bytes = 0
        self.digests: dict[int, tuple[int, ...]] = {}
        self._table_bytes = 0
        self._known: dict[Any, int] = {}
        self._arrays: dict[int, tuple[weakref.ref[np.ndarray], int]] = {}
        self._made: dict[int, tuple[weakref.ref[np.ndarray], int, tuple[int, ...]]] = {}
        self._gapped: set[int] = set()
        self._last_use: Any = None

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def n_bytes(self) -> int:
        """What the columns, the instructions and the constants take."""
        columns = 4 * (len(self.kinds) + len(self.starts) + len(self.operands))
        return columns + self._table_bytes + self.constant_bytes + _ENTRY_BYTES * len(self.digests)

    # --- writing ------------------------------------------------------------------------------------------------------
    def add(self, instruction: tuple[Any, ...], operands: Sequence[int]) -> int:
        """Write down an operation, given the fields of its instruction; return its number."""
        params = instruction[2]
        key = (*instruction[:2], len(operands), _frozen(params) if params else None, *instruction[3:])
        kind = self._known.get(key)
        if kind is None:
            kind = len(self.instructions)
            self.instructions.append(Instruction(*instruction))
            self._table_bytes += _ENTRY_BYTES + getsizeof(self.instructions[-1]) + _weight(params)
            self._remember(key, kind)
        self.kinds.append(kind)
        self.operands.extend(operands)
        self.starts.append(len(self.operands))
        return len(self.kinds) - 1

    def _remember(self, key: Any, number: int) -> None:
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[key] = number

    def made(self, value: np.ndarray, node: int) -> None:
        """Know a plain array (a mask, positions) as the result of an operation, as long as nobody writes into it."""
        key, table = id(value), self._made
        table[key] = weakref.ref(value, lambda _: table.pop(key, None)), node, digest([value])

    def operand(self, value: Any) -> int:
        """The number of an operand from outside; a plain array is copied, for the user may go on to write into it."""
        if not isinstance(value, np.ndarray):
            key = _number(value)
            return self._constant(key, value, getsizeof(value))
        made = self._made.get(id(value))
        if made is not None and made[0]() is value and made[2] == digest([value]):
            return made[1]
        entry = self._arrays.get(id(value))
        if entry is not None and entry[0]() is value and _same_bits(value, self.constants[~entry[1]]):
            return entry[1]
        number = self._constant(_content(value), value, 0)
        key, table = id(value), self._arrays
        table[key] = weakref.ref(value, lambda _: table.pop(key, None)), number
        return number

    def residual(self, number: int) -> np.ndarray:
        """A plain array from outside as a plain tape keeps it for its rules: without gaps."""
        kept: np.ndarray = self.constants[~number]
        return kept.copy(order="K") if number in self._gapped else kept

    def _constant(self, key: Any, value: Any, n_bytes: int) -> int:
        number = None if key is None else self._known.get(key)
        if number is None:
            if isinstance(value, np.ndarray):
                value, n_bytes = _laid_alike(value)
            number = ~len(self.constants)
            self.constants.append(value)
            self.constant_bytes += n_bytes + _ENTRY_BYTES
            if isinstance(value, np.ndarray) and not (value.flags.c_contiguous or value.flags.f_contiguous):
                self._gapped.add(number)
            if key is not None:
                self._remember(key, number)
        return number

    # --- what repeats -------------------------------------------------------------------------------------------------
    def period(self) -> int | None:
        """After how many operations they come again, judged by the last of them; None where they do not."""
        classes: dict[Any, int] = {}
        of_kind = [classes.setdefault((i.primitive, i.n_bytes, i.part), len(classes)) for i in self.instructions]
        seen = np.array(of_kind)[np.frombuffer(self.kinds, np.uint32)]
        n = len(seen)
        for period in (n - 1 - np.flatnonzero(seen[:-1] == seen[-1]))[::-1].tolist():
            width = max(2 * period, _REPEATING)
            if width + period > n:
                return None
            if np.array_equal(seen[n - width :], seen[n - width - period : n - period]):
                return int(period)
        return None

    def narrowest(self, period: int) -> tuple[int, int]:
        """After which operation of the last period but one the fewest bytes are still to be read, and how many."""
        n = len(self.kinds)
        first = max(0, n - 3 * period)
        until = [0] * (n - first)
        for i in range(n - 1, first - 1, -1):
            view = not self.instructions[self.kinds[i]].n_bytes
            for r in self.operands[self.starts[i] : self.starts[i + 1]]:
                if r >= first:  # what is read through a view is held by it
                    until[r - first] = max(until[r - first], i, until[i - first] if view else 0)
        change = np.zeros(n - first + 1, np.int64)
        for k, last in enumerate(until):
            if last > first + k:
                size = self.instructions[self.kinds[first + k]].n_bytes
                change[k] += size
                change[last - first] -= size
        here = np.cumsum(change)[-1 - 2 * period : -1 - period]
        best = int(np.argmin(here))
        return n - 2 * period + best, int(here[best])

    # --- carrying out again -------------------------------------------------------------------------------------------
    def finish(self) -> None:
        """Find the last reader of every value: nothing is added any more. O(operations)."""
        if self._last_use is None:
            self._last_use = last = np.full(len(self.kinds), -1, np.int32)
            operands = np.frombuffer(self.operands, np.int32)
            readers = np.repeat(np.arange(len(self.kinds), dtype=np.int32), np.diff(np.frombuffer(self.starts, "u4")))
            inner = operands >= 0
            last[operands[inner]] = readers[inner]

    def needs(self, first: int, last: int) -> list[int]:
        """Which values from before operation `first` are read in the range. O(operations in the range)."""
        operands = np.frombuffer(self.operands, np.int32)[self.starts[first] : self.starts[last]]
        found: list[int] = np.unique(operands[(operands >= 0) & (operands < first)]).tolist()
        return found

    def made_bytes(self, first: int, last: int) -> int:
        """What the results of a range of operations take together: more than its residuals and temporaries."""
        sizes = self.instructions
        return sum([sizes[kind].n_bytes for kind in self.kinds[first:last]])

    def replay(self, values: dict[int, Any], first: int, last: int, nodes: list[Node | None] | None = None) -> None:
        """Carry the operations of a range out again, on the values that it needs.

        ``values`` is changed: a value leaves it after its last reader, and results enter. With ``nodes`` the node of
        each operation is appended there, as a tape would have it. ReplayError where a result has other bits than it
        had at first.
        """
        table, kinds, starts, operands = self.instructions, self.kinds, self.starts, self.operands
        constants, last_use, digests = self.constants, self._last_use, self.digests
        with np.errstate(all="ignore"):  # what there was to warn of, the first evaluation has warned of
            for i in range(first, last):
                refs = operands[starts[i] : starts[i + 1]]
                instruction = table[kinds[i]]
                xs = [values[r] if r >= 0 else constants[~r] for r in refs]
                used = last_use[i] >= 0 or i in digests
                node: Node | None = None
                if instruction.part >= 0:
                    if used:
                        values[i] = xs[0][instruction.part]
                    if instruction.wanted:
                        node = select, (refs[0],), (instruction.part, len(xs[0])), None
                elif instruction.primitive is not None and (used or (nodes is not None and instruction.wanted)):
                    y, node = self._again(instruction, refs, xs)
                    if used:
                        values[i] = y
                if i in digests and digests[i] != digest([values[i]]):
                    raise ReplayError(self._changed(i, values[i]))
                for r in refs:
                    if r >= 0 and last_use[r] == i:
                        values.pop(r, None)
                if last_use[i] < 0:
                    values.pop(i, None)
                if nodes is not None:
                    nodes.append(node)

    def _again(self, instruction: Instruction, refs: Sequence[int], xs: list[Any]) -> tuple[Any, Node | None]:
        primitive, wanted, rule, params = (
            instruction.primitive,
            instruction.wanted,
            instruction.rule,
            instruction.params,
        )
        assert primitive is not None
        assert instruction.evaluate is not None
        parents = tuple([r for k, r in enumerate(refs) if wanted >> k & 1])
        if wanted and primitive.record is not None:
            y, pull = primitive.record(tuple(xs), wanted)
            return y, (pull, parents, (), None)
        y = instruction.evaluate(*xs, **params) if params else instruction.evaluate(*xs)
        if rule is None:
            return y, None
        if self._gapped:
            for k, r in enumerate(refs):
                if r in self._gapped and rule.reads[k + 1] is Read.VALUE:
                    xs[k] = self.residual(r)
        return y, (rule.function, parents, rule.keep(y, *xs), params)

    def _changed(self, i: int, value: Any) -> str:
        while self.instructions[self.kinds[i]].part >= 0:
            i -= 1
        name = self.instructions[self.kinds[i]].primitive
        return (
            f"{name} (operation {i} of {len(self)}) computed another result of shape {np.shape(value)} when its part "
            "of the tape was replayed: it is not a function of its arguments. A function with a rule of its own that "
            "draws random numbers, reads a clock or an array that was changed since, does that; pass what it reads as "
            "an argument."
        )


def _same_bits(value: np.ndarray, copy: np.ndarray) -> bool:
    same_type = value.dtype == copy.dtype and value.shape == copy.shape and value.strides == copy.strides
    if not same_type or value.dtype.kind not in "biufc" or value.dtype.itemsize > 16:
        return False
    if value.dtype.kind == "c":
        return _same_bits(value.real, copy.real) and _same_bits(value.imag, copy.imag)
    if value.dtype.itemsize not in (1, 2, 4, 8):
        return False
    word = np.dtype(f"u{value.dtype.itemsize}")
    return bool(np.array_equal(value.view(word), copy.view(word)))


def _laid_alike(value: np.ndarray) -> tuple[np.ndarray, int]:
    """A copy with the strides of the array, on which the order of a sum may depend, and what it takes."""
    if value.flags.c_contiguous or value.flags.f_contiguous or value.dtype.kind not in "biufc":
        copy = value.copy(order="K")
        return copy, getsizeof(copy)
    reach = [(n - 1) * stride for n, stride in zip(value.shape, value.strides, strict=True)]
    low, high = sum(r for r in reach if r < 0), sum(r for r in reach if r > 0) + value.itemsize
    copy = np.ndarray(value.shape, value.dtype, np.zeros(high - low, np.uint8), -low, value.strides)
    writable = copy
    for axis, stride in enumerate(value.strides):
        if stride == 0 and value.shape[axis]:
            writable = writable[(slice(None),) * axis + (slice(0, 1),)]
            value = value[(slice(None),) * axis + (slice(0, 1),)]
    writable[...] = value
    return copy, high - low


def _content(value: np.ndarray) -> Any:
    """What two arrays have in common if they can stand for each other."""
    if value.dtype.kind not in "biufc":
        return None
    bits = blake2b(np.ascontiguousarray(value).data, digest_size=16).digest()
    return "array", value.dtype.str, value.shape, value.strides, bits


def _number(value: Any) -> Any:
    if isinstance(value, float | complex):  # np.float64 is a float
        return value.__class__, repr(value)
    if isinstance(value, np.generic):
        return value.__class__, value.dtype.str, value.tobytes()
    return (value.__class__, value) if isinstance(value, int | str | None) else None


def _frozen(value: Any) -> Any:
    """A key for parameters: equal only for what evaluates alike."""
    if isinstance(value, slice):
        return slice, _frozen(value.start), _frozen(value.stop), _frozen(value.step)
    if isinstance(value, tuple | list):
        return (value.__class__, *map(_frozen, value))
    if isinstance(value, dict):
        return (dict, *[(key, _frozen(entry)) for key, entry in value.items()])
    if isinstance(value, np.ndarray):
        return _content(value) or object()
    if isinstance(value, float | complex | np.generic | int):
        return _number(value)
    try:
        hash(value)
    except TypeError:
        return object()
    return value.__class__, value


def _weight(value: Any) -> int:
    if isinstance(value, dict):
        return getsizeof(value) + sum(map(_weight, value.values()))
    if isinstance(value, tuple | list):
        return getsizeof(value) + sum(map(_weight, value))
    return getsizeof(value) if isinstance(value, np.ndarray | slice) else 0

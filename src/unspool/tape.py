"""The tape: what happened, in order, and the sweep that carries cotangents back along it.

A node is a tuple (pull, parents, residuals, params). Nodes are append-only, so the reverse of recording is a
topological order: the sweep is one loop, without a graph search and without recursion. Views and in-place writes never
change a recorded value: a write makes a new node and lets the written handle stand for it
(``docs/decisions/0001-in-place.md``).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, ClassVar

import numpy as np

from unspool.ir.listener import CLOSED, Listener, Scope, Traced, bind, fresh, resolve, share, still
from unspool.ir.primitive import Primitive, Read
from unspool.layout import ArrayType
from unspool.ops.index import Index, Piece, Sum
from unspool.ops.overwrite import ADDED, STORED, TAKES_SUMS, TURNING, reach
from unspool.overwritten import Entry, Overwritten
from unspool.variable import Variable
from unspool.watched import Watch

Node = tuple[Callable[..., Sequence[Any]], tuple[int, ...], tuple[Any, ...], dict[str, Any] | None]

_COPY_AT_ONCE = 4096  # bytes: below this a copy is cheaper than the comparison that might save it


class Bundle:
    """The cotangents of a primitive with several results, gathered one by one."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.parts = parts

    def dense(self) -> tuple[Any, ...]:
        """The cotangents, None for the results that have none."""
        return tuple([part.dense() if isinstance(part, LAZY) else part for part in self.parts])

    def __add__(self, other: Bundle) -> Bundle:
        pairs = zip(self.parts, other.parts, strict=True)
        return Bundle(tuple([a if b is None else b if a is None else _added(a, b) for a, b in pairs]))


LAZY = (Piece, Sum, Bundle)


def _added(ct: Any, other: Any) -> Any:
    """The sum of two cotangents; a traced one would not leave the sum to a lazy one."""
    if other.__class__ in LAZY and isinstance(ct, Traced):
        other = other.dense()
    return ct + other


def select(ct: Any, position: int, n: int) -> tuple[Bundle]:
    """The pull of one result of several."""
    return (Bundle((None,) * position + (ct,) + (None,) * (n - position - 1)),)


class Copies:
    """Private copies of plain arrays that rules will read later: the user may write into the original at any time."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[np.ndarray], np.ndarray]] = {}

    def of(self, array: np.ndarray) -> np.ndarray:
        """A copy of the array as it is now; one that was made before serves again while the bits are the same."""
        if array.nbytes <= _COPY_AT_ONCE:
            return array.copy(order="K")
        key = id(array)
        entry = self._known.get(key)
        if entry is not None and entry[0]() is array and _same_bits(array, entry[1]):
            return entry[1]
        copy = array.copy(order="K")
        self._known[key] = weakref.ref(array, lambda _: self._known.pop(key, None)), copy
        return copy


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype.kind == "c":
        return _same_bits(a.real, b.real) and _same_bits(a.imag, b.imag)
    if a.dtype.itemsize in (1, 2, 4, 8):
        word = np.dtype(f"u{a.dtype.itemsize}")
        return bool(np.array_equal(a.view(word), b.view(word)))
    return bool(np.array_equal(a, b))


class Tape(Listener):
    """Listens to values: computes each operation at once and appends what the way back needs.

    A tape that does not record follows its values all the same, so that code runs alike in both modes; it holds
    nothing.
    """

    __slots__ = ("copies", "inputs", "level", "nodes", "overwritten", "recording", "scope", "watch")

    forgets: ClassVar[bool] = False
    """Whether it gets values back by carrying operations out again."""

    def __init__(self, *, recording: bool = True, copies: Copies | None = None, watch: Watch | None = None) -> None:
        self.level = 0
        self.scope: Scope | None = None
        self.recording = recording
        self.nodes: list[Node | None] = []
        self.inputs: list[int] = []
        self.copies = Copies() if copies is None else copies
        self.overwritten = Overwritten()
        self.watch = watch

    def input(self, value: Any) -> Variable:
        """A handle on a value with respect to which the tape can be swept."""
        self.inputs.append(len(self.nodes))
        self.nodes.append(None)
        return Variable(value, self, len(self.nodes) - 1)

    def constant(self, value: Any) -> Variable:
        """A handle without a derivative, into which traced values can be written."""
        return Variable(value, self, -1)

    def close(self) -> None:
        """End the tape: its values cannot be used any more."""
        self.scope = CLOSED

    def bind(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Evaluate the operation and append its node."""
        values: list[Any] = []
        parents: list[int] = []
        plain_arrays: list[int] = []
        wanted = 0
        nested = False
        watch = self.watch
        if watch is not None and params:
            watch.note_parameters(params)
        for k, arg in enumerate(args):
            if not isinstance(arg, Traced):
                values.append(arg)
                if isinstance(arg, np.ndarray):
                    plain_arrays.append(k)
                if watch is not None and isinstance(arg, np.ndarray | np.generic):
                    watch.note(arg)
            elif arg.listener is self:
                values.append(arg.value)
                nested = nested or isinstance(arg.value, Traced)
                if arg.node >= 0:
                    parents.append(arg.node)
                    wanted |= 1 << k
            else:
                values.append(still(arg))
                nested = True
        if wanted and primitive.record is not None and self.recording:
            y, pull = primitive.record(tuple(values), wanted)
            _mark_aliases(y if primitive.multiple else (y,), args, values)
            return self._append(y, (pull, tuple(parents), (), None), primitive.multiple)
        y = bind(primitive, *values, **params) if nested else primitive.evaluate(*values, **params)
        if primitive.multiple:
            _mark_aliases(y, args, values)
        elif y.__class__ is np.ndarray and primitive.put is None and (y.base is not None or id(y) in map(id, values)):
            _mark_aliases((y,), args, values)
        if not primitive.differentiable:
            return self._without_derivative(y)
        if not wanted or not self.recording:
            return tuple(map(self.constant, y)) if primitive.multiple else self.constant(y)
        plain = primitive.elementwise and all(
            values[k].shape == y.shape and values[k].dtype == y.dtype for k in range(len(args)) if wanted >> k & 1
        )
        rule = primitive.pull_for(wanted, len(args), plain)
        for k in plain_arrays:
            if rule.reads[k + 1] is Read.VALUE:
                values[k] = self.copies.of(values[k])
        residuals = rule.keep(y, *values)
        return self._append(y, (rule.function, tuple(parents), residuals, params or None), primitive.multiple)

    def binary(self, primitive: Primitive, operator: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
        """The short way for an arithmetic operator: the same as `bind`, for the operands that occur most."""
        if self.scope is not None or not self.recording:
            return bind(primitive, x, y)
        wanted = 0
        parents: tuple[int, ...] = ()
        a, b = x, y
        if x.__class__ is Variable:
            if x.listener is not self or (x.base is not None and x.base.version != x.version):
                return bind(primitive, x, y)
            a = x.value
            if x.node >= 0:
                wanted, parents = 1, (x.node,)
        elif x.__class__ is not float and x.__class__ is not int:
            return bind(primitive, x, y)
        if y.__class__ is Variable:
            if y.listener is not self or (y.base is not None and y.base.version != y.version):
                return bind(primitive, x, y)
            b = y.value
            if y.node >= 0:
                wanted, parents = wanted | 2, (*parents, y.node)
        elif y.__class__ is not float and y.__class__ is not int:
            return bind(primitive, x, y)
        out = operator(a, b)
        if not wanted:
            return Variable(out, self, -1)
        shape, dtype = out.shape, out.dtype
        plain = (wanted == 2 or (a.shape == shape and a.dtype is dtype)) and (
            wanted == 1 or (b.shape == shape and b.dtype is dtype)
        )
        rule = primitive.pulls.get((wanted, 2, plain)) or primitive.pull_for(wanted, 2, plain)
        nodes = self.nodes
        nodes.append((rule.function, parents, rule.keep(out, a, b), None))
        return Variable(out, self, len(nodes) - 1)

    def unary(self, primitive: Primitive, x: Variable) -> Any:
        """The short way for an elementwise function of one operand."""
        node = x.node
        if self.scope is not None or not self.recording or node < 0 or x.base is not None:
            return bind(primitive, x)
        a = x.value
        out = primitive.evaluate(a)
        plain = a.dtype is out.dtype
        rule = primitive.pulls.get((1, 1, plain)) or primitive.pull_for(1, 1, plain)
        nodes = self.nodes
        nodes.append((rule.function, (node,), rule.keep(out, a), None))
        return Variable(out, self, len(nodes) - 1)

    # --- writing in place ---------------------------------------------------------------------------------------------
    def write(self, handle: Traced, index: Index, value: Any, *, add: bool) -> bool:
        """Overwrite a part of an array where it lies, or add to it, and append the node of that.

        What was there is kept if anything may refer to it: O(part). An array that other handles may have is copied
        first, once.
        """
        base, value = (
            handle if handle.base is None else handle.base,
            fresh(value) if isinstance(value, Traced) else value,
        )
        if not self._can_write(handle, base, value):
            return False
        whole = not add and len(index) == 1 and index[0] is Ellipsis
        target = self._overwrite(handle, base, index, value, add=add, anew=whole and handle is base)
        base.version += 1
        if whole and handle is not base and isinstance(value, Variable) and ArrayType.of(value) == ArrayType.of(target):
            # the view is what was written there
            handle.value, handle.listener, handle.node, handle.version = target, self, value.node, base.version
        return True

    def _can_write(self, handle: Traced, base: Traced, value: Any) -> bool:
        own = not isinstance(value, Traced) or (value.listener is self and not isinstance(value.value, Traced))
        if not own or base.listener is not self or base.value.__class__ is not np.ndarray:
            return False
        path = handle.path
        return not path or (all(p.name in TURNING for p, _ in path) and reach(base.value, path) is not None)

    def _overwrite(
        self, handle: Traced, base: Traced, index: Index, value: Any, *, add: bool, anew: bool
    ) -> np.ndarray:
        """Carry a write out, append its node, let the base stand for it, and return what the handle names."""
        written = value.value if isinstance(value, Traced) else value
        position = len(self.nodes) if self.recording else None
        content = np.array(written) if add else written  # NumPy's add.at may read what it has written
        target = self.overwritten.write(handle, index, content, add=add, anew=anew, position=position)
        from_base = base.node >= 0 and not anew
        from_value = isinstance(value, Traced) and value.node >= 0
        wanted = from_base | from_value << 1
        if not wanted or not self.recording:
            base.node = -1
            return target
        parents = (base.node,) if wanted == 1 else (value.node,) if wanted == 2 else (base.node, value.node)
        residuals = (handle.path, index, ArrayType.of(written) if from_value else None)
        self.nodes.append(((ADDED if add else STORED)[wanted - 1], parents, residuals, None))
        base.node = len(self.nodes) - 1
        return target

    def _append(self, y: Any, node: Node, multiple: bool) -> Any:
        nodes = self.nodes
        nodes.append(node)
        root = len(nodes) - 1
        if not multiple:
            return Variable(y, self, root)
        for position in range(len(y)):
            nodes.append((select, (root,), (position, len(y)), None))
        return tuple([Variable(part, self, root + 1 + position) for position, part in enumerate(y)])

    def _without_derivative(self, y: Any) -> Any:
        if isinstance(y, Traced) or getattr(y, "dtype", np.dtype(bool)).kind not in "fc":
            return y
        return self.constant(y)

    def append(self, y: Sequence[Any], parents: Iterable[int], pull: Callable[[Any], Sequence[Any]]) -> tuple[Any, ...]:
        """Record one node with several results, whose pull takes a `Bundle` of their cotangents."""
        result: tuple[Any, ...] = self._append(tuple(y), (pull, tuple(parents), (), None), True)
        return result

    def node_of(self, value: Any) -> int:
        """The node of a value on this tape, or -1 where it has none."""
        value = resolve(value)
        if isinstance(value, Traced) and fresh(value).listener is self:
            return int(value.node)
        return -1

    def sweep(self, seeds: Iterable[tuple[int, Any]], *, free: bool) -> list[Any]:
        """Carry the cotangents of some nodes back to the inputs; None stands for a cotangent that is zero.

        O(nodes) time. With ``free`` each node is dropped as the sweep passes it, and the tape cannot be swept again.
        """
        nodes, ndarray = self.nodes, np.ndarray
        cts: list[Any] = [None] * len(nodes)
        for index, seed in seeds:
            if index >= 0:
                cts[index] = seed if cts[index] is None else cts[index] + seed
        again: list[Entry] | None = None if free else []
        try:
            for stretch in self.overwritten.stretches(len(nodes), again):
                for index in stretch:
                    ct = cts[index]
                    node = nodes[index]
                    if node is None:
                        continue
                    if free:
                        nodes[index] = None
                    if ct is None:
                        continue
                    cts[index] = None
                    pull, parents, residuals, params = node
                    if ct.__class__ is not ndarray and ct.__class__ in LAZY and pull not in TAKES_SUMS:
                        ct = ct.dense()
                    parts = pull(ct, *residuals) if params is None else pull(ct, *residuals, **params)
                    for parent, part in zip(parents, parts):
                        before = cts[parent]
                        if before is None:
                            cts[parent] = part
                        elif before.__class__ is Variable:
                            cts[parent] = _added(before, part)
                        else:
                            cts[parent] = before + part
        finally:
            if again:
                self.overwritten.redo(again)
        return [ct.dense() if ct.__class__ in LAZY else ct for ct in (cts[index] for index in self.inputs)]


def _mark_aliases(ys: Iterable[Any], args: Sequence[Any], values: Sequence[Any]) -> None:
    """Note which operands have their arrays among the results, without being views that the listener knows."""
    for y in ys:
        if isinstance(y, np.ndarray):
            whole = root(y)
            for arg, value in zip(args, values, strict=True):
                if isinstance(arg, Traced) and root(value) is whole:
                    share(arg)


def held(tape: Tape) -> Iterable[Any]:
    """Every object that the tape holds on to, with repetitions."""
    yield tape.nodes
    for node in tape.nodes:
        if node is not None:
            yield node
            yield node[1]
            yield node[2]
            for value in node[2]:
                if value is not None:
                    yield value
    for entry in tape.overwritten.entries:
        yield entry
        yield entry[3]


def root(value: Any) -> Any:
    """The array that owns the memory of a view; anything else itself."""
    while isinstance(value, np.ndarray) and value.base is not None:
        value = value.base
    return value


def pulled(tape: Tape, index: int, ct: Any) -> list[Any]:
    """What one node makes of a cotangent: one for each of its parents, written out."""
    with tape.overwritten.undone(len(tape.nodes)) as stretches:
        while index not in next(stretches):
            pass
        node = tape.nodes[index]
        assert node is not None
        pull, _, residuals, params = node
        parts = pull(ct, *residuals) if params is None else pull(ct, *residuals, **params)
    return [part.dense() if part.__class__ in LAZY else part for part in parts]


def cotangents(tape: Tape, index: int, seed: Any) -> list[Any]:
    """The cotangent of every node, None where it is zero: the sweep from one node, for those who look at all of it.

    O(nodes) time and memory; the tape stays as it was.
    """
    cts: list[Any] = [None] * len(tape.nodes)
    cts[index] = seed
    with tape.overwritten.undone(len(tape.nodes)) as stretches:
        for k in chain.from_iterable(stretches):
            node, ct = tape.nodes[k], cts[k]
            if node is None or ct is None:
                continue
            cts[k] = ct = ct.dense() if ct.__class__ in LAZY else ct
            pull, parents, residuals, params = node
            parts = pull(ct, *residuals) if params is None else pull(ct, *residuals, **params)
            for parent, part in zip(parents, parts):
                before = cts[parent]
                cts[parent] = part if before is None else _added(before, part)
    return [ct.dense() if ct.__class__ in LAZY else ct for ct in cts]

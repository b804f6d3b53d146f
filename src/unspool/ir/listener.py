"""The one door through which every operation on traced values goes.

A traced value belongs to a listener: a tape, a forward sweep of tangents, a tracer. Transforms nest, so listeners have
levels; the listener of the highest level among the operands hears an operation first, takes its own values off, and
passes the rest down. A scope stands in front of a listener while a loop runs a step that may see values from outside.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from unspool.errors import ClosedError, DetachedError, StateError, UnsupportedError
from unspool.ir.primitive import Primitive
from unspool.layout import ArrayType


class Traced:
    """A handle on a value that a listener follows; an in-place write gives the handle another value.

    ``node`` means what the listener says it means. A view names the handle that it is a view of (``base``), the
    operations that lead there (``path``), and the ``version`` of the base at which its own value was taken. ``owns`` is
    set when the handle is first written: no other handle but its views has its array, which is written where it lies.
    """

    __slots__ = ("base", "listener", "node", "owns", "path", "value", "version")
    owns: bool

    def __init__(self, value: Any, listener: Listener, node: Any) -> None:
        self.value = value
        self.listener = listener
        self.node = node
        self.base: Traced | None = None
        self.path: tuple[tuple[Primitive, dict[str, Any]], ...] = ()
        self.version = 0


class Scope(ABC):
    """What answers for a listener while it is set aside."""

    @abstractmethod
    def lift(self, traced: Traced) -> Any:
        """The value that stands for this one inside the scope."""


class Closed(Scope):
    """Stands in front of a tape that has ended: any further use of its values is an error."""

    def lift(self, traced: Traced) -> Any:
        """Refuse."""
        raise ClosedError(
            f"a traced value of shape {traced.value.shape} was used after the function that it was traced in had "
            "ended. Return the value from the function (value_and_grad has has_aux=True for that) or carry it in the "
            "state of the loop; do not keep it in a global, a list or an array outside."
        )


CLOSED = Closed()


class Listener(ABC):
    """Hears operations: computes their results and remembers what its kind of derivative needs."""

    level: int
    scope: Scope | None
    recording: bool

    @abstractmethod
    def bind(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Carry the operation out on operands of which at least one belongs to this listener."""

    @abstractmethod
    def binary(self, primitive: Primitive, operator: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
        """`bind` for an arithmetic operator, one of whose operands belongs to this listener."""

    @abstractmethod
    def unary(self, primitive: Primitive, x: Any) -> Any:
        """`bind` for an elementwise function of one operand of this listener."""

    @abstractmethod
    def constant(self, value: Any) -> Traced:
        """A handle on a value without a derivative, into which traced values can be written."""

    def truth(self, traced: Any) -> bool:
        """Which way a Python branch goes on a value of which only the type is known; refused where nobody has it."""
        raise DetachedError(
            f"a Python branch on the value of a traced array of shape {traced.shape}, of which only the type is known "
            "here. Use np.where, or leave the branch to a loop, which has the value."
        )

    def write(self, handle: Traced, index: tuple[Any, ...], value: Any, *, add: bool) -> bool:
        """Overwrite a part of an array where it lies, or add to it; False where a pure store has to do it."""
        return False


class _Active(threading.local):
    def __init__(self) -> None:
        self.listeners: list[Listener] = []


_ACTIVE = _Active()


def active() -> list[Listener]:
    """The listeners of this thread, outermost first."""
    return _ACTIVE.listeners


def current() -> Listener | None:
    """The innermost listener of this thread that is not set aside."""
    for listener in reversed(_ACTIVE.listeners):
        if listener.scope is None:
            return listener
    return None


class listening:  # noqa: N801 - read as a verb: `with listening(tape):`
    """Make the listener the innermost one of this thread, for the length of a ``with`` block."""

    __slots__ = ("_listener", "_listeners")

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._listeners = _ACTIVE.listeners

    def __enter__(self) -> Listener:
        listener, listeners = self._listener, self._listeners
        listener.level = listeners[-1].level + 1 if listeners else 0
        listeners.append(listener)
        return listener

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if self._listeners[-1] is self._listener:
            self._listeners.pop()
        else:
            self._listeners.remove(self._listener)
        if kind is ValueError and error is not None and isinstance(error.__cause__, DetachedError):
            # NumPy puts "setting an array element with a sequence" before what went wrong
            raise error.__cause__.with_traceback(error.__traceback__) from None


def resolve(value: Any) -> Any:
    """What a value stands for here: values of listeners that are set aside are lifted into their scopes."""
    while isinstance(value, Traced) and value.listener.scope is not None:
        value = value.listener.scope.lift(value)
    return value


def primal(value: Any) -> Any:
    """The plain array below all levels of tracing."""
    while isinstance(value, Traced):
        value = fresh(value).value
    return value


def still(traced: Traced) -> Traced:
    """A second handle on the same value, which later writes through the first do not reach."""
    share(traced)
    return type(traced)(traced.value, traced.listener, traced.node)


def share(traced: Traced) -> None:
    """Note that something else than its views has the array of a handle: the next write takes a copy first."""
    owner = traced if traced.base is None else traced.base
    owner.owns = False


_NESTS = (list, tuple)
_PLAIN = frozenset({np.ndarray, np.float64, np.float32, np.complex128, np.int64, np.bool_, float, int, complex, bool})
beside: list[Callable[[Primitive, tuple[Any, ...]], Any]] = []  # what answers where a sparse matrix is an operand


def refuse_subclass(value: Any, where: str) -> None:
    """Refuse masked arrays, matrices, arrays with units: they compute in a way of their own, which would be lost."""
    kind = type(value)
    if kind is np.ndarray or not isinstance(value, np.ndarray):
        return
    if kind.__mul__ is not np.ndarray.__mul__ or kind.__array_ufunc__ is not np.ndarray.__array_ufunc__:
        raise UnsupportedError(
            f"{where} of shape {value.shape} is a {kind.__name__}, a subclass of numpy.ndarray, whose own way of "
            "computing has no derivative rule. Pass a plain array: np.asarray(x); for a masked array x.filled(0.0), "
            "and its mask by np.where or sum(where=...)."
        )


def bind(primitive: Primitive, *args: Any, **params: Any) -> Any:
    """Carry out one operation on any mixture of plain and traced values."""
    top: Listener | None = None
    operands = args
    for k, arg in enumerate(args):
        if isinstance(arg, Traced):
            operand = fresh(arg) if arg.listener.scope is None else resolve(arg)
            if operand is not arg:
                operands = (*operands[:k], operand, *operands[k + 1 :])
            if isinstance(operand, Traced) and (top is None or operand.listener.level > top.level):
                top = operand.listener
        elif arg.__class__ not in _PLAIN:
            if arg.__class__ in _NESTS:
                operands = (*operands[:k], np.array(arg), *operands[k + 1 :])
            elif isinstance(arg, np.ndarray):
                refuse_subclass(arg, "an operand")
            elif hasattr(arg, "__array_priority__") and not isinstance(arg, np.generic):
                return beside[0](primitive, args)
    if top is None:
        return primitive.evaluate(*operands, **params)
    y = top.bind(primitive, operands, params)
    if primitive.put is not None:
        _link(y, operands[0], primitive, params)
    return y


# --- views and in-place writes ----------------------------------------------------------------------------------------

FROZEN = -1  # the version of a handle from outside of a step, which must not be written in it
WHOLE = (Ellipsis,)
"""The index of a write that leaves nothing of what was there."""

LEAF = -2  # the version of a variable of a recording, whose gradient is that of its first value


def view_of(part: Traced, whole: Any, *path: tuple[Primitive, dict[str, Any]]) -> None:
    """Make one handle a view of another, to which these operations lead."""
    whole = fresh(resolve(whole))
    part.base = whole if whole.base is None else whole.base
    part.path = (*whole.path, *path)
    part.version = part.base.version


def _link(y: Any, x: Any, primitive: Primitive, params: dict[str, Any]) -> None:
    """Make `y` a view of `x` where NumPy has made one."""
    if isinstance(y, Traced) and isinstance(x, Traced) and _aliases(y.value, x.value):
        y.base = x if x.base is None else x.base
        y.path = (*x.path, (primitive, params))
        y.version = y.base.version
        if isinstance(y.value, ArrayType) and not _is_view(y):
            y.base, y.path = None, ()


def _aliases(part: Any, whole: Any) -> bool:
    if isinstance(part, Traced):
        return part.base is not None
    if isinstance(part, np.ndarray):
        return part.base is not None and (part.base is whole or part.base is whole.base)
    return isinstance(part, ArrayType)


def _is_view(traced: Traced) -> bool:
    """Whether NumPy would lead this path by views all the way, found out on an array that nobody fills."""
    assert traced.base is not None
    whole = part = np.empty(traced.base.value.shape, bool)
    for primitive, params in traced.path:
        part = primitive.evaluate(part, **params)
    return part.base is whole


def fresh(traced: Traced) -> Traced:
    """The handle itself, after a view whose base was written has been taken anew."""
    base = traced.base
    if base is not None and base.version != traced.version:
        value: Any = base
        for primitive, params in traced.path:
            value = bind(primitive, value, **params)
        _adopt(traced, value)
        traced.version = base.version
    return traced


def assign(handle: Traced, value: Any, lay: Callable[[Traced, Any], Any]) -> None:
    """Write `value`, of the handle's shape and dtype, where the handle points: into its base too if it is a view.

    ``lay(base, value)`` gives the value the memory layout of the base, on which it depends what is a view of it later.
    """
    base = handle if handle.base is None else handle.base
    if base.version == LEAF:
        raise StateError(
            f"a variable of shape {base.value.shape} of a recording was written in place, and its gradient would be "
            "that of another value than it shows. Write into a copy: np.copy(x)."
        )
    if base.version == FROZEN or base.listener.scope is not None:
        raise StateError(
            f"a traced array of shape {base.value.shape} from outside the loop was written inside a step. A step may "
            "read such an array, but what it changes must be in the state: pass the array as part of the initial "
            "state and return it from the step."
        )
    adopts = handle is base and _lie_alike(base, value)
    if not adopts and base.listener.write(handle, WHOLE, value, add=False):
        return
    part = value
    if handle is not base:
        value = put_back(base, handle.path, value)
    _adopt(base, value if _lie_alike(base, value) else lay(base, value))
    base.version += 1
    if handle is not base and _lie_alike(handle, part):  # otherwise it is taken anew when it is needed
        _adopt(handle, part)
        handle.version = base.version


def overwrite(handle: Traced, index: tuple[Any, ...], value: Any, *, add: bool = False) -> bool:
    """Write where the array lies, if its listener can do that."""
    base = handle if handle.base is None else handle.base
    return base.version >= 0 and base.listener.scope is None and base.listener.write(handle, index, value, add=add)


def put_back(base: Any, path: tuple[tuple[Primitive, dict[str, Any]], ...], value: Any) -> Any:
    """The base with another value in the place to which a path leads."""
    stages = [base]
    for primitive, params in path[:-1]:
        stages.append(bind(primitive, stages[-1], **params))
    for (primitive, params), stage in zip(reversed(path), reversed(stages[: len(path)]), strict=True):
        assert primitive.put is not None
        value = primitive.put(stage, value, **params)
    return value


def _lie_alike(one: Traced, other: Any) -> bool:
    if len(one.value.shape) <= 1 and one.base is None:
        return True
    a, b = _below(one), _below(other)
    return not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)) or a.strides == b.strides


def _below(value: Any) -> Any:
    while isinstance(value, Traced):
        value = value.value
    return value


def _adopt(handle: Traced, value: Any) -> None:
    if not isinstance(value, Traced):
        value = handle.listener.constant(value)
    share(value)
    handle.owns = False
    handle.value, handle.listener, handle.node = value.value, value.listener, value.node

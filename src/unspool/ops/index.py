"""Reading and writing parts of an array: getitem, its transpose `place`, and `store`, the pure form of ``u[key] = v``.

A write never changes an array that was recorded. ``u[key] = v`` becomes ``store(u, v)``, and the handle u stands for
the result (`unspool.ir.listener.assign`); reading and writing through views goes by the ``put`` of the primitives that
make views. The cotangents of parts are added into one buffer, so that n reads of an array of n rows cost O(n) on the
way back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.errors import DetachedError, UnsupportedError
from unspool.ir.listener import Traced, bind
from unspool.ir.primitive import Primitive, Pull, Read
from unspool.layout import ArrayType
from unspool.ops.families import fit, linear
from unspool.ops.table import enrol

Index = tuple[Any, ...]

_BASIC = (slice, int, type(None), type(Ellipsis))


def as_index(key: Any) -> Index:
    """A key in the one form that is recorded: a tuple, whose arrays are copies that nobody else can write."""
    parts = key if isinstance(key, tuple) else (key,)
    return tuple([part if isinstance(part, _BASIC) and part.__class__ is not bool else _part(part) for part in parts])


def _part(part: Any) -> Any:
    if isinstance(part, Traced):
        if part.value.dtype.kind == "b":
            raise DetachedError(
                f"a traced mask of shape {part.value.shape} was used as an index: how many entries it chooses depends "
                "on values, so the step has no fixed program. Use np.where(mask, a, b); on the tape (compile=False) "
                "masks work as they are."
            )
        raise DetachedError(
            f"a traced value of shape {part.value.shape} was used as an index. An index has no derivative: compute it "
            "from plain numbers, or from unspool.stop_gradient(x)."
        )
    if isinstance(part, np.integer):
        return int(part)
    return np.array(part) if isinstance(part, np.ndarray | list) else part


def is_basic(index: Index) -> bool:
    """Whether NumPy answers this index with a view."""
    return not any(isinstance(part, np.ndarray | bool | np.bool_) for part in index)


# --- reading ----------------------------------------------------------------------------------------------------------
class Piece:
    """The cotangent of a part: zero elsewhere, which is not written down."""

    __slots__ = ("index", "part", "shape")
    __array_ufunc__ = None  # let `array + piece` come to __radd__

    def __init__(self, part: Any, index: Index, shape: tuple[int, ...]) -> None:
        self.part = part
        self.index = index
        self.shape = shape

    def dense(self) -> Any:
        """The whole array."""
        return _place(self.part, self.index, self.shape)

    def into(self, buffer: np.ndarray) -> None:
        """Add this part to a buffer."""
        if is_basic(self.index):
            buffer[self.index] += self.part
        else:
            np.add.at(buffer, self.index, self.part)

    def __add__(self, other: Any) -> Any:
        if isinstance(other, Traced):
            return self.dense() + other
        total = Sum(self.dense())
        return total + other

    def __radd__(self, other: Any) -> Any:
        if isinstance(other, Traced):
            return other + self.dense()
        return Sum(np.array(other)) + self


class Sum:
    """A sum of cotangents in a buffer of its own, to which parts are added in place."""

    __slots__ = ("buffer",)
    __array_ufunc__ = None

    def __init__(self, buffer: np.ndarray) -> None:
        self.buffer = buffer

    def dense(self) -> np.ndarray:
        """The whole array."""
        return self.buffer

    def __add__(self, other: Any) -> Any:
        if other.__class__ is Piece:
            other.into(self.buffer)
        elif isinstance(other, Traced):
            return self.buffer + other
        else:
            self.buffer += other.buffer if other.__class__ is Sum else other
        return self

    __radd__ = __add__


def _place(part: Any, index: Index, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, part.dtype)
    if is_basic(index):
        out[index] = part
    else:
        np.add.at(out, index, part)
    return out


place = linear(
    _place,
    lambda ct, part, index, shape: getitem(ct, index),
    name="place",
    samples=lambda: [
        ((np.arange(1.0, 4.0),), {"index": (slice(1, 4),), "shape": (5,)}),
        ((np.arange(1.0, 4.0),), {"index": (np.array([0, 2, 0]),), "shape": (4,)}),
    ],
)


def _getitem_pull(wanted: int, n: int, plain: bool) -> Pull:
    def pull(ct: Any, y: Any, x: ArrayType, index: Index) -> tuple[Any]:
        if isinstance(ct, Traced):
            return (bind(place, ct, index=index, shape=x.shape),)
        return (Piece(ct, index, x.shape),)

    return Pull.reading(pull, (Read.NOTHING, Read.TYPE))


getitem_primitive: Primitive = enrol(
    Primitive(
        "getitem",
        lambda x, index: x[index],
        jvp=lambda tangents, y, x, index: getitem(tangents[0], index),
        pull=_getitem_pull,
        put=lambda base, part, index: bind(store_primitive, base, part, index=index),
        samples=lambda: [
            ((np.arange(12.0).reshape(3, 4),), {"index": index})
            for index in (
                (slice(1, None), slice(None, None, -2)),
                (1,),
                (Ellipsis, None, 2),
                (np.array([0, 2, 0]),),
                (np.array([True, False, True]),),
                (slice(None), np.array([[1, 1], [3, 0]])),
            )
        ],
    )
)


def getitem(x: Any, key: Any) -> Any:
    """``x[key]`` for a plain or traced array, with any key that NumPy takes."""
    first, *rest = key if isinstance(key, tuple) and key else (key,)
    if isinstance(first, Traced):
        from unspool.ops.dynamic import is_index, row_of

        if is_index(first):
            found = row_of(x, first, is_view=bool(rest) or len(x.shape) > 1)  # one number of a vector is a copy
            return getitem(found, tuple(rest)) if rest else found
    return bind(getitem_primitive, x, index=as_index(key))


# --- writing ----------------------------------------------------------------------------------------------------------
def _store(x: Any, value: Any, index: Index) -> Any:
    out = np.array(x, order="K")
    out[index] = value
    return out


def last_writes(index: Index, shape: tuple[int, ...]) -> Any:
    """Where several elements were written to one place, True for the one that stayed."""
    numbers = np.full(shape, -1)
    order = np.arange(numbers[index].size).reshape(numbers[index].shape)
    numbers[index] = order
    return numbers[index] == order


def _store_pull(wanted: int, n: int, plain: bool) -> Pull:
    def into_x(ct: Any, index: Index) -> Any:
        return bind(store_primitive, ct, np.zeros((), ct.dtype), index=index)

    def into_value(ct: Any, value: ArrayType, index: Index) -> Any:
        part = getitem(ct, index)
        if not is_basic(index) and any(isinstance(i, np.ndarray) and i.dtype.kind != "b" for i in index):
            part = part * last_writes(index, ct.shape)
        return fit(part, value)

    rules = {
        1: lambda ct, y, x, value, index: (into_x(ct, index),),
        2: lambda ct, y, x, value, index: (into_value(ct, value, index),),
        3: lambda ct, y, x, value, index: (into_x(ct, index), into_value(ct, value, index)),
    }
    return Pull.reading(rules[wanted], (Read.NOTHING, Read.NOTHING, Read.TYPE if wanted & 2 else Read.NOTHING))


def _store_jvp(tangents: tuple[Any, Any], y: Any, x: Any, value: Any, index: Index) -> Any:
    tx, tv = tangents
    tx = np.zeros(x.shape, y.dtype) if tx is None else tx
    return bind(store_primitive, tx, np.zeros((), y.dtype) if tv is None else tv, index=index)


store_primitive: Primitive = enrol(
    Primitive(
        "store",
        _store,
        jvp=_store_jvp,
        pull=_store_pull,
        samples=lambda: [
            ((np.arange(12.0).reshape(3, 4), np.arange(1.0, 5.0)), {"index": (slice(0, 2),)}),
            ((np.arange(4.0), np.array(2.5)), {"index": (1,)}),
            ((np.arange(4.0), np.array([5.0, 6.0, 7.0])), {"index": (np.array([2, 0, 2]),)}),
            ((np.arange(4.0), np.array(2.0)), {"index": (np.array([True, False, True, False]),)}),
        ],
    )
)


def storable(x: Any, value: Any) -> Any:
    """The value as an array or traced value, if one of its dtype can be written into x."""
    if not isinstance(value, Traced):
        value = np.asarray(value)
    if value.dtype.kind not in "biufc" or (value.dtype.kind == "c" and x.dtype.kind != "c"):
        raise UnsupportedError(
            f"a value of dtype {value.dtype} was written into a traced array of dtype {x.dtype}, which cannot hold it. "
            "Convert the value (np.real(v)) or make the array of that dtype."
        )
    return value


def store(x: Any, key: Any, value: Any) -> Any:
    """A copy of x in which ``x[key]`` is ``value``, cast and broadcast as NumPy does it."""
    return bind(store_primitive, x, storable(x, value), index=as_index(key))


def same_place(handle: Traced, key: Any, value: Any) -> bool:
    """Whether ``handle[key] = value`` writes a view of a place back to that place: the second half of ``u[key] +=
    v``."""
    if not isinstance(value, Traced) or value.base is None or not value.path:
        return False
    base = handle if handle.base is None else handle.base
    primitive, params = value.path[-1]
    if value.base is not base or value.version != base.version or primitive is not getitem_primitive:
        return False
    index = as_index(key)
    return is_basic(index) and value.path[:-1] == handle.path and params["index"] == index

"""What an array is, and how several of them lie in one flat buffer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn
from zlib import crc32

import numpy as np

from unspool.errors import DetachedError

_X87_BITS = 63

ALIGNMENT = 64  # bytes: a cache line, and the widest vector register


@dataclass(frozen=True, slots=True)
class ArrayType:
    """The dtype and the shape of an array; it prints as ``f64[64, 64]``.

    >>> str(ArrayType.of(np.zeros((2, 3), np.float32)))
    'f32[2, 3]'
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, value: Any) -> ArrayType:
        """The type of an array, of a traced value, or of a Python number."""
        if hasattr(value, "dtype"):
            return cls(value.dtype, value.shape)
        array = np.asarray(value)
        return cls(array.dtype, array.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of a contiguous array of this type."""
        return self.size * self.dtype.itemsize

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        """Refuse: NumPy would make an object of it, which compares and computes without an error."""
        raise DetachedError(
            f"a value of type {self} is not known yet, while a program is traced, and was about to become a plain "
            "array. Its steps cannot be compiled: use compile=False, or leave it traced."
        )

    def __str__(self) -> str:
        return f"{self.dtype.kind}{8 * self.dtype.itemsize}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class Layout:
    """Arrays in one flat buffer: disjoint, each on a 64-byte boundary.

    >>> layout = Layout.of([np.zeros(3), np.zeros((2, 2), np.float32)])
    >>> layout.offsets, layout.n_bytes
    ((0, 64), 80)
    >>> buffer = layout.pack([np.arange(3.0), np.ones((2, 2), np.float32)])
    >>> layout.unpack(buffer)[0]
    array([0., 1., 2.])
    """

    types: tuple[ArrayType, ...]
    offsets: tuple[int, ...]
    n_bytes: int

    @classmethod
    def of(cls, arrays: Sequence[Any]) -> Layout:
        """The layout of these arrays, or of these types, in the given order."""
        types = tuple(a if isinstance(a, ArrayType) else ArrayType.of(a) for a in arrays)
        offsets, end = [], 0
        for t in types:
            start = -(-end // ALIGNMENT) * ALIGNMENT
            offsets.append(start)
            end = start + t.nbytes
        return cls(types, tuple(offsets), end)

    def pack(self, arrays: Sequence[Any], out: np.ndarray | None = None) -> np.ndarray:
        """Copy the arrays into a buffer of ``n_bytes`` bytes (``out``, or a new one); this is the only copy."""
        buffer = np.empty(self.n_bytes, np.uint8) if out is None else out
        for view, array in zip(self.unpack(buffer), arrays, strict=True):
            view[...] = array
        return buffer

    def unpack(self, buffer: np.ndarray) -> tuple[np.ndarray, ...]:
        """The arrays as views of the buffer, C-contiguous."""
        return tuple(
            buffer[start : start + t.nbytes].view(t.dtype).reshape(t.shape)
            for t, start in zip(self.types, self.offsets, strict=True)
        )


def digest(arrays: Sequence[Any]) -> tuple[int, ...]:
    """A checksum of the bits of each array.

    >>> digest([np.zeros(3), np.zeros(3)]) == digest([np.zeros(3), -np.zeros(3)])
    False
    """
    return tuple([crc32(_bits(np.ascontiguousarray(array))) for array in arrays])


def _bits(array: np.ndarray) -> Any:
    if array.dtype.char in "gG" and np.finfo(array.dtype).nmant == _X87_BITS:  # 10 bytes of 16 hold the number
        return np.ascontiguousarray(array.reshape(-1).view(np.uint8).reshape(-1, 16)[:, :10]).data
    return array.data


def copied(value: np.ndarray) -> np.ndarray:
    """A copy with the gaps of the array, so that reshape gives a view of it just where it would of the array."""
    dtype = value.dtype.newbyteorder("=")
    contiguous = value.flags.c_contiguous or value.flags.f_contiguous
    reach = [(n - 1) * stride for n, stride in zip(value.shape, value.strides, strict=True)]
    low, high = sum(r for r in reach if r < 0), sum(r for r in reach if r > 0) + value.itemsize
    if contiguous or 0 in value.strides or high - low > 4 * value.nbytes:
        return np.array(value, dtype, order="K", subok=False)
    copy = np.ndarray(value.shape, dtype, np.empty(high - low, np.uint8), -low, value.strides)
    copy[...] = value
    return copy

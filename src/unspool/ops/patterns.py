"""Where the numbers of a sparse matrix stand: plain, and shared by all matrices that have them in the same places."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from copy import copy
from functools import cached_property
from threading import Lock
from typing import Any
from zlib import crc32

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

ss: Any = scipy.sparse
sl: Any = scipy.sparse.linalg
Shape = tuple[int, int]


class Pattern:
    """The places of a matrix's numbers, row by row, or column by column (``by_rows``); a place may occur twice.

    ``indptr`` and ``indices`` are those of the formats CSR and CSC. Nobody else holds them. Patterns are equal when
    their contents are.
    """

    def __init__(self, indptr: Any, indices: Any, shape: Shape, by_rows: bool = True) -> None:
        self.indptr = indptr
        self.indices = indices
        self.shape = shape
        self.by_rows = by_rows

    @property
    def nnz(self) -> int:
        """The number of places."""
        return len(self.indices)

    @cached_property
    def majors(self) -> np.ndarray:
        """The row of each number, or its column where they are kept by columns."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

    @property
    def rows(self) -> np.ndarray:
        """The row of each number."""
        return self.majors if self.by_rows else self.indices

    @property
    def columns(self) -> np.ndarray:
        """The column of each number."""
        return self.indices if self.by_rows else self.majors

    @cached_property
    def T(self) -> Pattern:
        """The pattern of the transpose, in which the numbers keep their order."""
        return Pattern(self.indptr, self.indices, self.shape[::-1], not self.by_rows)

    @cached_property
    def _empty(self) -> Any:
        kind = ss.csr_array if self.by_rows else ss.csc_array
        return kind((np.zeros(self.nnz), self.indices, self.indptr), shape=self.shape)

    def matrix(self, data: Any) -> Any:
        """SciPy's matrix with these numbers."""
        result = copy(self._empty)
        result.data = np.asarray(data)
        return result

    @cached_property
    def _hash(self) -> int:
        return hash((self.shape, self.by_rows, crc32(np.ascontiguousarray(self.indices).data), len(self.indptr)))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Pattern) or (self.shape, self.by_rows) != (other.shape, other.by_rows):
            return False
        return np.array_equal(self.indptr, other.indptr) and np.array_equal(self.indices, other.indices)

    def __repr__(self) -> str:
        m, n = self.shape
        return f"Pattern({m} × {n}, {self.nnz} numbers)"


class Ordered:
    """How numbers given with their rows and columns go into a pattern: ``order`` sorts them, ``groups`` adds up."""

    def __init__(self, rows: Any, columns: Any, shape: Shape, by_rows: bool = True) -> None:
        major, minor, n_major = (rows, columns, shape[0]) if by_rows else (columns, rows, shape[1])
        order = np.lexsort((minor, major))
        major, minor = major[order], minor[order]
        starts = np.ones(len(order), bool)
        starts[1:] = (major[1:] != major[:-1]) | (minor[1:] != minor[:-1])
        first = np.flatnonzero(starts)
        indptr = np.zeros(n_major + 1, int)
        indptr[1:] = np.cumsum(np.bincount(major[first], minlength=n_major))
        self.pattern = Pattern(indptr, minor[first], shape, by_rows)
        self.order = order
        sums = Pattern(np.append(first, len(order)), order, (len(first), len(order)))
        self.groups = None if len(first) == len(order) else sums  # the matrix of ones that adds up what shares a place


# --- the patterns and numbers of SciPy's matrices ---------------------------------------------------------------------
_ARRAYS = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "coo": ("data", "row", "col"),
    "dia": ("data", "offsets"),
}


class _Known:
    """What was found for matrices that are still alive, as long as their arrays are what they were."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[Any, tuple[np.ndarray, ...], Pattern, np.ndarray]] = {}

    def of(self, matrix: Any) -> tuple[Pattern, np.ndarray]:
        names = _ARRAYS.get(matrix.format)
        if names is None:  # lists and dictionaries: no arrays to compare
            return _converted(matrix)
        own = matrix.format in ("csr", "csc")
        arrays = tuple([getattr(matrix, name) for name in names])
        key = id(matrix)
        entry = self._found.get(key)
        if entry is not None and entry[0]() is matrix:
            _, copies, pattern, data = entry
            same = zip(arrays[own:], copies, strict=True)  # the numbers of CSR and CSC are used as they are
            if pattern.shape == matrix.shape and all(np.array_equal(a, b) for a, b in same):
                return pattern, matrix.data if own else data
        pattern, data = _converted(matrix)
        copies = (pattern.indices, pattern.indptr) if own else tuple([a.copy() for a in arrays])
        kept = data[:0] if own else data
        self._found[key] = weakref.ref(matrix, lambda _: self._found.pop(key, None)), copies, pattern, kept
        return pattern, matrix.data if own else data


_KNOWN = _Known()


def parts_of(matrix: Any) -> tuple[Pattern, np.ndarray]:
    """The pattern and the numbers of one of SciPy's matrices: O(numbers), without conversion where it was seen before.

    What was converted serves again as long as the matrix lives and its arrays have the same contents.
    """
    return _KNOWN.of(matrix)


def _converted(matrix: Any) -> tuple[Pattern, np.ndarray]:
    if len(matrix.shape) != 2:
        raise ValueError(f"a sparse array of shape {matrix.shape}: only matrices can be differentiated")
    compressed = matrix if matrix.format in ("csr", "csc") else matrix.tocsr()
    pattern = Pattern(
        compressed.indptr.copy(), compressed.indices.copy(), tuple(compressed.shape), compressed.format == "csr"
    )
    return pattern, compressed.data


# --- factorisations ---------------------------------------------------------------------------------------------------
KEPT = 2


class Factorisations:
    """The last LU factorisations, for the next system with the same matrix: its adjoint, or the next step of a loop."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[Pattern, np.ndarray, str | None, Any]] = OrderedDict()
        self._count = 0
        self._lock = Lock()

    def of(self, pattern: Pattern, data: np.ndarray, permc_spec: str | None) -> Any:
        """SuperLU's factors of a matrix that is kept by columns; O(numbers) to find them, if they are kept."""
        with self._lock:
            for key, (known, numbers, how, factors) in reversed(self._kept.items()):
                if how == permc_spec and known == pattern and np.array_equal(numbers, data):
                    self._kept.move_to_end(key)
                    return factors
        matrix = pattern.matrix(np.array(data, np.result_type(data.dtype, np.float32)))
        factors = sl.splu(matrix, permc_spec=permc_spec)
        with self._lock:
            self._count += 1
            self._kept[self._count] = pattern, np.array(data), permc_spec, factors
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return factors


FACTORISATIONS = Factorisations()


def solved(pattern: Pattern, data: np.ndarray, b: np.ndarray, permc_spec: str | None) -> np.ndarray:
    """The solution of a sparse system for one or several right-hand sides, by LU factors."""
    columns, trans = (pattern.T, "T") if pattern.by_rows else (pattern, "N")
    return solved_by(FACTORISATIONS.of(columns, np.asarray(data), permc_spec), b, trans)


def solved_by(factors: Any, b: np.ndarray, trans: str) -> np.ndarray:
    """The solution by SuperLU's factors, whatever the dtypes."""
    wanted = factors.U.dtype
    if b.dtype.kind == "c" and wanted.kind != "c":
        parts = [solved_by(factors, np.ascontiguousarray(part), trans) for part in (b.real, b.imag)]
        return parts[0] + 1j * parts[1]
    common = np.result_type(b.dtype, wanted)
    solution = factors.solve(np.asarray(b, wanted), trans)
    result: np.ndarray = solution.astype(common, copy=False)
    return result

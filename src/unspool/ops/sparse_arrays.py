"""scipy.sparse: matrices whose numbers are traced, in places that are plain."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import scipy.sparse

from unspool.errors import UnsupportedError
from unspool.ir.listener import Traced
from unspool.ops.outside import Holder, waits_for_reflection
from unspool.ops.patterns import Ordered, Pattern, Shape
from unspool.ops.shape import as_array
from unspool.ops.sparse import behind, collected, multiplied, parts

ss: Any = scipy.sparse


class SparseArray(Holder):
    """A sparse matrix whose numbers are traced: what ``unspool.scipy.sparse.csr_array`` returns for traced numbers.

    ``data`` are the numbers, ``pattern`` their places, which have no derivative. Products, sums and differences with
    sparse matrices and dense arrays, scaling, transposes and conversions give what SciPy's give; the cotangent of
    ``data`` has an entry for each number and for no zero.

    >>> import unspool
    >>> from unspool.scipy import sparse
    >>> def f(data):
    ...     a = sparse.csr_array((data, [0, 2, 1], [0, 2, 3]), shape=(2, 3))
    ...     return np.sum(a @ np.array([1.0, 10.0, 100.0]))
    >>> unspool.grad(f)(np.ones(3))
    array([  1., 100.,  10.])
    """

    ndim = 2

    def __init__(self, pattern: Pattern, data: Any, is_matrix: bool = False) -> None:
        self.pattern = pattern
        self.data = data
        self._is_matrix = is_matrix  # of the older kind, where * is the product of matrices

    # --- what it is -------------------------------------------------------------------------------------------------
    @property
    def shape(self) -> Shape:
        """The numbers of rows and columns."""
        return (self.pattern.shape[0], self.pattern.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers."""
        dtype: np.dtype[Any] = self.data.dtype
        return dtype

    @property
    def nnz(self) -> int:
        """How many numbers there are."""
        return len(self.pattern.indices)

    @property
    def format(self) -> str:
        """By rows, "csr", or by columns, "csc"."""
        return "csr" if self.pattern.by_rows else "csc"

    @property
    def indices(self) -> np.ndarray:
        """The column of each number, or its row where they are kept by columns; a copy."""
        indices: np.ndarray = self.pattern.indices.copy()
        return indices

    @property
    def indptr(self) -> np.ndarray:
        """Where each row, or column, begins; a copy."""
        indptr: np.ndarray = self.pattern.indptr.copy()
        return indptr

    def __repr__(self) -> str:
        m, n = self.shape
        return f"SparseArray({m} × {n}, {self.nnz} numbers of {self.dtype}, {self.format})"

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if waits_for_reflection():
            return np.array(None)
        raise UnsupportedError("a sparse matrix of traced values is no dense array: use its method toarray()")

    def __getattr__(self, name: str) -> NoReturn:
        if hasattr(ss.csr_array, name):
            raise UnsupportedError(
                f"{name} has no derivative rule on a sparse matrix of traced values. It has @, *, +, -, /, T, dot, "
                "multiply, sum, diagonal, trace, toarray, tocsr, tocsc, astype, conj, copy, data, indices and indptr."
            )
        raise AttributeError(f"a sparse matrix of traced values has no attribute {name!r}")

    def __bool__(self) -> NoReturn:
        raise ValueError("The truth value of an array with more than one element is ambiguous.")

    def _with(self, data: Any) -> SparseArray:
        return SparseArray(self.pattern, data, self._is_matrix)

    # --- products -----------------------------------------------------------------------------------------------------
    def __matmul__(self, other: Any) -> Any:
        if is_sparse(other):
            return self._times_sparse(other)
        if np.ndim(other) == 0:
            raise ValueError("Scalar operands are not allowed, use '*' instead")
        return multiplied(self.pattern, self.data, as_array(other))

    def __rmatmul__(self, other: Any) -> Any:
        if is_sparse(other):
            return _as_traced(other)._times_sparse(self)
        if np.ndim(other) == 0:
            raise ValueError("Scalar operands are not allowed, use '*' instead")
        return behind(as_array(other), self)

    def dot(self, other: Any) -> Any:
        """The product with a number, an array or a sparse matrix."""
        return self * other if not is_sparse(other) and np.ndim(other) == 0 else self @ other

    def __mul__(self, other: Any) -> Any:
        if self._is_matrix and (is_sparse(other) or np.ndim(other)):
            return self @ other
        return self.multiply(other)

    def __rmul__(self, other: Any) -> Any:
        if self._is_matrix and np.ndim(other):
            return other @ self
        return self.multiply(other)

    def __truediv__(self, other: Any) -> Any:
        if is_sparse(other):
            raise UnsupportedError("a sparse matrix of traced values divided by a sparse one: divide the numbers.")
        return self.multiply(1.0 / as_array(other))

    def multiply(self, other: Any) -> SparseArray:
        """Element by element, with a number, a dense array that broadcasts, or a sparse matrix."""
        if is_sparse(other):
            return self._multiply_sparse(other)
        factor = as_array(other)
        if np.ndim(factor) == 0:
            return self._with(self.data * factor)
        spread = np.broadcast_to(factor, self.shape)  # a view of no size; NumPy's error where it does not fit
        return self._with(self.data * spread[self.pattern.rows, self.pattern.columns])

    def _multiply_sparse(self, other: Any) -> SparseArray:
        pattern, data = parts(other)
        if pattern.shape != self.shape:
            raise ValueError(f"inconsistent shapes {self.shape} and {pattern.shape}")
        ones = [p.matrix(np.ones(p.nnz)).tocsr() for p in (self.pattern, pattern)]
        both = ones[0].multiply(ones[1]).tocsr()
        common = Pattern(both.indptr, both.indices, self.shape)
        numbers = [_picked(p, d, common) for p, d in ((self.pattern, self.data), (pattern, data))]
        return SparseArray(common, numbers[0] * numbers[1], self._is_matrix)

    def _times_sparse(self, other: Any) -> SparseArray:
        """Every pair of numbers that meet, then their sums: O(products)."""
        left = self.tocsr()
        right = _as_traced(other).tocsr()
        m, n = self.shape[0], right.shape[1]
        if self.shape[1] != right.shape[0]:
            raise ValueError(f"matmul: dimension mismatch: {self.shape} and {right.shape}")
        lengths = np.diff(right.pattern.indptr)[left.pattern.columns]
        of_left = np.repeat(np.arange(left.nnz), lengths)
        within = np.arange(len(of_left)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        of_right = right.pattern.indptr[left.pattern.columns[of_left]] + within
        ordered = Ordered(left.pattern.rows[of_left], right.pattern.columns[of_right], (m, n))
        numbers = left.data[of_left] * right.data[of_right]
        return SparseArray(ordered.pattern, collected(ordered, numbers), self._is_matrix)

    # --- sums -----------------------------------------------------------------------------------------------------
    def __neg__(self) -> SparseArray:
        return self._with(-self.data)

    def __add__(self, other: Any) -> Any:
        if is_sparse(other):
            pattern, data = parts(other)
            if pattern.shape != self.shape:
                raise ValueError(f"inconsistent shapes {self.shape} and {pattern.shape}")
            rows, columns = (
                np.concatenate([getattr(p, name) for p in (self.pattern, pattern)]) for name in ("rows", "columns")
            )
            ordered = Ordered(rows, columns, self.shape, self.pattern.by_rows)
            return SparseArray(ordered.pattern, collected(ordered, np.concatenate((self.data, data))), self._is_matrix)
        if np.ndim(other) == 0:
            if not isinstance(other, Traced) and other == 0:
                return self
            raise NotImplementedError("adding a nonzero scalar to a sparse array is not supported")
        return self.toarray() + other

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self + (_as_traced(other) * -1.0 if is_sparse(other) else -as_array(other))

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    # --- conversions --------------------------------------------------------------------------------------------------
    @property
    def T(self) -> SparseArray:
        """The transpose."""
        return SparseArray(self.pattern.T, self.data, self._is_matrix)

    def transpose(self) -> SparseArray:
        """The transpose."""
        return self.T

    def tocsr(self) -> SparseArray:
        """The same matrix, kept by rows."""
        return self if self.pattern.by_rows else self._sorted(True)

    def tocsc(self) -> SparseArray:
        """The same matrix, kept by columns."""
        return self._sorted(False) if self.pattern.by_rows else self

    def _sorted(self, by_rows: bool) -> SparseArray:
        ordered = Ordered(self.pattern.rows, self.pattern.columns, self.shape, by_rows)
        return SparseArray(ordered.pattern, collected(ordered, self.data), self._is_matrix)

    def toarray(self) -> Any:
        """The dense array."""
        m, n = self.shape
        places = Ordered(self.pattern.rows * n + self.pattern.columns, np.zeros(self.nnz, int), (m * n, 1))
        flat = np.zeros_like(self.data, shape=(m * n,))
        flat[places.pattern.majors] = collected(places, self.data)
        return np.reshape(flat, (m, n))

    todense = toarray

    def diagonal(self, k: int = 0) -> Any:
        """The numbers of a diagonal, zeros where there is none."""
        m, n = self.shape
        first, last = max(-k, 0), min(m, n - k)
        if last <= first:
            return np.zeros(0, self.dtype)
        chosen = np.flatnonzero(self.pattern.columns - self.pattern.rows == k)
        ordered = Ordered(self.pattern.rows[chosen] - first, np.zeros(len(chosen), int), (last - first, 1))
        result = np.zeros_like(self.data, shape=(last - first,))
        result[ordered.pattern.majors] = collected(ordered, self.data[chosen])
        return result

    def trace(self, offset: int = 0) -> Any:
        """The sum of a diagonal."""
        return np.sum(self.diagonal(offset))

    def sum(self, axis: int | None = None) -> Any:
        """The sum of all numbers, of those of each column (axis 0), or of each row (axis 1)."""
        if axis is None:
            return np.sum(self.data)
        m, n = self.shape
        total = self @ np.ones(n) if axis in (1, -1) else self.T @ np.ones(m)
        return np.reshape(total, (-1, 1) if axis in (1, -1) else (1, -1)) if self._is_matrix else total

    def astype(self, dtype: Any) -> SparseArray:
        """The numbers converted to another type."""
        return self._with(np.astype(self.data, dtype))

    def conj(self) -> SparseArray:
        """The conjugate numbers."""
        return self._with(np.conj(self.data) if self.dtype.kind == "c" else self.data)

    def copy(self) -> SparseArray:
        """A copy."""
        return self._with(np.copy(self.data))


def is_sparse(value: Any) -> bool:
    """Whether this is a sparse matrix, of SciPy or of traced values."""
    return isinstance(value, SparseArray) or bool(ss.issparse(value))


def _as_traced(matrix: Any) -> SparseArray:
    return matrix if isinstance(matrix, SparseArray) else SparseArray(*parts(matrix), ss.isspmatrix(matrix))


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "matmul": operator.matmul,
}


def operated(name: str, args: tuple[Any, ...]) -> Any:
    """An operator of NumPy between a sparse matrix and a traced array."""
    if name not in _OPERATORS or len(args) != 2:
        raise UnsupportedError(
            f"numpy.{name} has no derivative rule where an operand is a sparse matrix. Use its data, or toarray()."
        )
    left, right = (_as_traced(arg) if is_sparse(arg) else arg for arg in args)
    if isinstance(left, SparseArray):
        return _OPERATORS[name](left, right)
    reflected = {"add": "__radd__", "subtract": "__rsub__", "multiply": "__rmul__", "matmul": "__rmatmul__"}
    if name not in reflected:
        raise UnsupportedError(f"numpy.{name}: a traced array divided by a sparse matrix is not supported.")
    return getattr(right, reflected[name])(left)


def _picked(pattern: Pattern, data: Any, common: Pattern) -> Any:
    """The numbers that stand in the places of another pattern, all of which are places of this one."""
    numbered = Ordered(pattern.rows, pattern.columns, pattern.shape)
    at = numbered.pattern.matrix(np.arange(1.0, numbered.pattern.nnz + 1))
    wanted = np.asarray(at[common.rows, common.columns]).ravel().astype(int) - 1
    return collected(numbered, data)[wanted]

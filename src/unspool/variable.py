"""Variable: an array that is being listened to, and that behaves as NumPy's own.

A Variable answers to NumPy's protocols, so that user code keeps ``import numpy as np``. It is a handle: an in-place
write (``u[1:-1] = v``, ``u += v``, ``out=u``) makes the handle, its base and its views stand for the new value, as
NumPy's aliasing has it, while every value that was recorded before stays as it was.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from unspool.errors import DetachedError, UnsupportedError
from unspool.ir.keeper import Asked
from unspool.ir.listener import Traced, assign, bind, fresh, overwrite, primal, resolve
from unspool.layout import ArrayType
from unspool.ops import TABLE
from unspool.ops.index import as_index, getitem, same_place, storable, store_primitive
from unspool.ops.outside import refuse_to_scipy, waits_for_reflection
from unspool.ops.table import name_of
from unspool.out import called, fitted, into, laid


class Variable(Asked):
    """A traced array: what a function that is being differentiated computes with.

    It is made by the transforms and by `unspool.recording`, not by users. ``value`` is the array as NumPy has computed
    it (of a type only, while a program is being traced), and later writes change it. All operators, NumPy functions in
    the function table and array methods work on it; what has no derivative rule raises `UnsupportedError` with its
    name, and what would lose the derivative (``float(x)``, ``np.asarray(x)``) raises `DetachedError`.

    >>> import unspool
    >>> unspool.grad(lambda u: np.sum(u[1:] * u[:-1]))(np.array([1.0, 2.0, 3.0]))
    array([2., 4., 2.])
    """

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    # --- what it is -------------------------------------------------------------------------------------------------
    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        shape: tuple[int, ...] = self.value.shape
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        dtype: np.dtype[Any] = self.value.dtype
        return dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.value.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(self.value.size)

    @property
    def nbytes(self) -> int:
        """The bytes of the elements."""
        return int(self.value.size * self.value.dtype.itemsize)

    @property
    def itemsize(self) -> int:
        """The bytes of one element."""
        return int(self.value.dtype.itemsize)

    @property
    def T(self) -> Any:
        """The transpose: the axes in reverse order, as a view."""
        return np.transpose(self)

    @property
    def mT(self) -> Any:
        """The transpose of the last two axes, as a view."""
        return np.swapaxes(self, -1, -2)

    @property
    def real(self) -> Any:
        """The real part."""
        return np.real(self)

    @real.setter
    def real(self, value: Any) -> None:
        np.real(self)[...] = value

    @property
    def imag(self) -> Any:
        """The imaginary part."""
        return np.imag(self)

    @imag.setter
    def imag(self, value: Any) -> None:
        if self.dtype.kind != "c":
            raise TypeError("array does not have imaginary part to set")
        np.imag(self)[...] = value

    @property
    def flat(self) -> NoReturn:
        """Not offered: it would hand out plain elements."""
        raise UnsupportedError("x.flat has no derivative rule on a traced value: use x.ravel() and index that.")

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a traced value without axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        for k in range(len(self)):
            yield self[k]

    def __repr__(self) -> str:
        return f"Variable({fresh(self).value})"

    def __format__(self, spec: str) -> str:
        return format(fresh(self).value, spec)

    # --- NumPy's protocols ------------------------------------------------------------------------------------------
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Answer for a ufunc."""
        if not kwargs and method == "__call__":
            entry = TABLE.get(ufunc)
            if entry is not None:
                if ufunc.nin == 1 and entry.primitive is not None:
                    return self.listener.unary(entry.primitive, self)
                return entry.call(*inputs)
        return called(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Answer for any other NumPy function."""
        entry = TABLE.get(func)
        if entry is None:
            raise UnsupportedError(
                f"{name_of(func)} has no derivative rule on a traced value. Write it with functions of the function "
                "table, or give it a rule with unspool.custom_vjp."
            )
        if "out" in kwargs:
            out = kwargs["out"]
            rest = {key: value for key, value in kwargs.items() if key != "out"}
            result = entry(*args, **rest)
            return result if out is None else into(out, result, entry.name)
        return entry(*args, **kwargs)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """Refuse: the array would carry no derivative. ``matrix @ x`` of a sparse matrix finds that x can do it."""
        if waits_for_reflection():
            return np.array(None)
        refuse_to_scipy(self.shape)
        raise DetachedError(
            f"a traced value of shape {self.shape} was about to be stored into, or turned into, a plain NumPy array, "
            "which would lose its derivative. Make the array that receives it with np.zeros_like(x) or "
            "unspool.numpy.zeros(shape), join values with np.stack or np.concatenate instead of np.array, or use "
            "unspool.stop_gradient(x) to have the plain value."
        )

    def __getattr__(self, name: str) -> NoReturn:
        if hasattr(np.ndarray, name):
            raise AttributeError(
                f"x.{name} has no derivative rule on a traced value. Use the NumPy functions of the function table, as "
                f"np.{name}(x) if there is one, or unspool.stop_gradient(x) to have the plain array."
            )
        raise AttributeError(f"a traced array has no attribute {name!r}")

    # --- what would detach ------------------------------------------------------------------------------------------
    def _detached(self, by: str) -> NoReturn:
        refuse_to_scipy(self.shape)
        raise DetachedError(
            f"{by} of a traced value of shape {self.shape} would give a plain number without its derivative. Use the "
            "NumPy function of the same name (np.sin for math.sin), store it in an array made with np.zeros_like(x) or "
            "unspool.numpy.zeros(shape), return the traced value itself, or use unspool.stop_gradient(x) to have the "
            "plain value."
        )

    def __float__(self) -> float:
        self._detached("float()")

    def __int__(self) -> int:
        self._detached("int()")

    def __complex__(self) -> complex:
        self._detached("complex()")

    def __index__(self) -> int:
        self._detached("use as an index")

    def item(self, *args: Any) -> NoReturn:
        """Refuse: the number would carry no derivative."""
        self._detached("item()")

    def tolist(self) -> NoReturn:
        """Refuse: the list would carry no derivatives."""
        self._detached("tolist()")

    def __reduce__(self) -> NoReturn:
        self._detached("copying or serialising")

    def __bool__(self) -> bool:
        here = resolve(self)  # in the step of a loop, what it stands for there
        value = fresh(here).value if isinstance(here, Traced) else here
        if isinstance(value, ArrayType):
            return bool(here.listener.truth(here))
        return bool(value)

    def __divmod__(self, other: Any) -> tuple[Any, Any]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Any, Any]:
        return other // self, other % self

    # --- indexing, in place -----------------------------------------------------------------------------------------
    def __getitem__(self, key: Any) -> Any:
        return getitem(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        if not same_place(self, key, value):
            value, index = storable(self, value), as_index(key)
            if not overwrite(self, index, value):
                assign(self, bind(store_primitive, self, value, index=index), laid)

    def fill(self, value: Any) -> None:
        """Write one value everywhere."""
        self[...] = value

    def put(self, indices: Any, values: Any, mode: str = "raise") -> None:
        """`numpy.put` into this array."""
        self.__array_function__(np.put, (), (self, indices, values, mode), {})

    def sort(self, axis: int = -1, **kwargs: Any) -> None:
        """Sort in place."""
        self[...] = np.sort(self, axis=axis, **kwargs)

    # --- methods ----------------------------------------------------------------------------------------------------
    def reshape(self, *shape: Any, **kwargs: Any) -> Any:
        """`numpy.reshape`, with the shape as one tuple or as several numbers."""
        return TABLE[np.reshape](self, shape[0] if len(shape) == 1 else shape, **kwargs)

    def transpose(self, *axes: Any) -> Any:
        """`numpy.transpose`, with the axes as one tuple or as several numbers."""
        return TABLE[np.transpose](self, axes[0] if len(axes) == 1 else axes or None)

    def copy(self, order: str = "C") -> Any:
        """A copy; in C order unless another is asked for, as the method of an array has it (`numpy.copy` keeps the
        order)."""
        if order not in ("C", "K"):
            raise UnsupportedError(
                f"x.copy(order={order!r}) has no derivative rule on a traced value: leave order= out."
            )
        value = primal(self)
        if order == "K" or not isinstance(value, np.ndarray) or value.flags.c_contiguous:
            return np.copy(self)
        return np.reshape(np.ravel(self), self.shape)

    def flatten(self) -> Any:
        """A copy with one axis."""
        return np.copy(np.ravel(self))

    def astype(self, dtype: Any, **kwargs: Any) -> Any:
        """The values converted to another type."""
        return TABLE[np.astype](self, dtype, **kwargs)

    def conj(self) -> Any:
        """The complex conjugate; of real values the array itself, as in NumPy."""
        return np.conjugate(self) if self.dtype.kind == "c" else self

    conjugate = conj


# --- operators and methods by table -----------------------------------------------------------------------------------
def _binary(ufunc: np.ufunc, python_operator: Callable[[Any, Any], Any], name: str) -> None:
    primitive = TABLE[ufunc].primitive
    assert primitive is not None

    def forward(self: Variable, other: Any) -> Any:
        return self.listener.binary(primitive, python_operator, self, other)

    def reflected(self: Variable, other: Any) -> Any:
        return self.listener.binary(primitive, python_operator, other, self)

    def in_place(self: Variable, other: Any) -> Any:
        result = self.listener.binary(primitive, python_operator, self, other)
        if not _is_scalar(self.value):
            assign(self, fitted(self, result, name_of(ufunc)), laid)
            return self
        return result

    for prefix, method in ("__", forward), ("__r", reflected), ("__i", in_place):
        method.__name__ = f"{prefix}{name}__"
        setattr(Variable, method.__name__, method)


def _is_scalar(value: Any) -> bool:
    """Whether NumPy would have a scalar here, which is immutable: ``s += v`` makes s another value."""
    return isinstance(value, np.generic | float | complex) or (isinstance(value, ArrayType) and not value.shape)


def _compare(ufunc: np.ufunc, name: str) -> None:
    primitive = TABLE[ufunc].primitive
    assert primitive is not None

    def compare(self: Variable, other: Any) -> Any:
        return bind(primitive, self, other)

    setattr(Variable, name, compare)


def _unary(ufunc: np.ufunc, name: str) -> None:
    entry = TABLE[ufunc]

    def method(self: Variable) -> Any:
        return entry.call(self) if entry.primitive is None else self.listener.unary(entry.primitive, self)

    setattr(Variable, name, method)


def _method(function: Callable[..., Any], name: str) -> None:
    entry = TABLE[function]

    def method(self: Variable, *args: Any, **kwargs: Any) -> Any:
        return self.__array_function__(function, (), (self, *args), kwargs)

    method.__name__ = name
    method.__doc__ = f"`{entry.name}` of this array."
    setattr(Variable, name, method)


_ARITHMETIC: dict[str, tuple[np.ufunc, Callable[[Any, Any], Any]]] = {
    "add": (np.add, operator.add),
    "sub": (np.subtract, operator.sub),
    "mul": (np.multiply, operator.mul),
    "truediv": (np.divide, operator.truediv),
    "floordiv": (np.floor_divide, operator.floordiv),
    "mod": (np.remainder, operator.mod),
    "pow": (np.power, operator.pow),
    "matmul": (np.matmul, operator.matmul),
    "and": (np.bitwise_and, operator.and_),
    "or": (np.bitwise_or, operator.or_),
    "xor": (np.bitwise_xor, operator.xor),
}
_COMPARISONS: dict[str, np.ufunc] = {
    "__lt__": np.less,
    "__le__": np.less_equal,
    "__gt__": np.greater,
    "__ge__": np.greater_equal,
    "__eq__": np.equal,
    "__ne__": np.not_equal,
}
_SIGNS: dict[str, np.ufunc] = {
    "__neg__": np.negative,
    "__pos__": np.positive,
    "__abs__": np.absolute,
    "__invert__": np.invert,
}
_FUNCTIONS = (
    "sum mean prod var std max min cumsum cumprod dot ravel swapaxes squeeze repeat clip trace round argmax "
    "argmin all any argsort nonzero diagonal"
).split()

for _name, (_ufunc_of_operator, _operator) in _ARITHMETIC.items():
    _binary(_ufunc_of_operator, _operator, _name)
for _name, _comparison in _COMPARISONS.items():
    _compare(_comparison, _name)
for _name, _sign in _SIGNS.items():
    _unary(_sign, _name)
for _name in _FUNCTIONS:
    _method(getattr(np, _name), _name)

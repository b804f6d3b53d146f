"""Kernels and drivers carried out as plain Python: no compiler, every index checked, unwritten memory is NaN.

`plainly()` puts this in the place of machine code for the length of a ``with`` block, so that whole loops run here.
"""

from __future__ import annotations

import ast
import ctypes
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from importlib.resources import files
from itertools import count
from math import prod
from typing import Any
from unittest.mock import patch

import numpy as np

from tests.codegen.elementary import elementary
from tests.oracles import same_bits
from unspool import traced_steps, value_and_grad
from unspool.codegen import build, calls, field_drive
from unspool.codegen.control import Crew, Trials
from unspool.schedules import Revolve
from unspool.stores import arena

POLICIES: tuple[Any, ...] = ("none", "every-2", "revolve-1", Revolve(2, leaf=2))

_NUMBER = ctypes.POINTER(ctypes.c_int64)
_FUNCTIONS: dict[int, Callable[[Any], int]] = {}
_NEXT = count(1)


class Memory:
    """An array at an address, f64 or i64, as a kernel declares it; an index outside of it is an error."""

    def __init__(self, address: int, description: str, place: int) -> None:
        kind, _, lengths = description.rstrip("]").partition("[")
        self.shape = [None if n == ":" else int(n) for n in lengths.split(", ")] if lengths else [1]
        self.strides = [prod(n or 1 for n in self.shape[k + 1 :]) for k in range(len(self.shape))]
        self.cells = ctypes.cast(address, ctypes.POINTER(ctypes.c_double if kind == "f64" else ctypes.c_int64))

    def _cell(self, index: Any) -> int:
        parts = index if isinstance(index, tuple) else (index,)
        assert len(parts) == len(self.shape), (parts, self.shape)
        for i, n in zip(parts, self.shape, strict=True):
            assert 0 <= i < (i + 1 if n is None else n), f"index {parts} of an array {self.shape}"
        return sum(int(i) * stride for i, stride in zip(parts, self.strides, strict=True))

    def __getitem__(self, index: Any) -> Any:
        found = self.cells[self._cell(index)]
        return np.float64(found) if isinstance(found, float) else found

    def __setitem__(self, index: Any, value: Any) -> None:
        self.cells[self._cell(index)] = value


class Mathematics:
    """The functions of ``math`` as machine code has them: poles give infinities, and no errors."""

    def __getattr__(self, name: str) -> Any:
        names = {"pow": "power", "atan2": "arctan2", "fabs": "abs"}
        names |= {name: f"arc{name[1:]}" for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh")}
        return getattr(np, names.get(name, name))


def fma(a: float, b: float, c: float) -> float:
    """``a * b + c``, rounded once."""
    plain = np.float64(a) * b + c
    if not all(map(np.isfinite, (a, b, c))):
        return plain
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    return np.float64(exact) if exact and np.isfinite(plain) else plain


def array_at(address: int, shape: Sequence[int]) -> np.ndarray:
    """The float64 array at an address."""
    cells = (ctypes.c_double * prod(shape)).from_address(address)
    return np.frombuffer(cells, np.float64).reshape(shape)


def _gemv(function: int, turned: int, rows: int, columns: int, matrix: int, vector: int, result: int) -> None:
    m = array_at(matrix, (rows, columns))
    m = m.T if turned else m
    array_at(result, (m.shape[0],))[:] = m @ array_at(vector, (m.shape[1],))


def _gemm(
    function: int,
    turned: int,
    flipped: int,
    rows: int,
    columns: int,
    inner: int,
    a: int,
    b: int,
    result: int,
    beta: float,
) -> None:
    left = array_at(a, (inner, rows)).T if turned else array_at(a, (rows, inner))
    right = array_at(b, (columns, inner)).T if flipped else array_at(b, (inner, columns))
    total = array_at(result, (rows, columns))
    total[...] = left @ right + (beta * total if beta else 0.0)


def _combine(panels: Memory, vector: Memory, result: Memory, panel: int, columns: int) -> None:
    _, rows, width = panels.shape
    first = panel * width
    for column in range(first, min(first + width, columns)):
        total = np.float64(0.0)
        for row in range(rows):
            total = fma(vector[row], panels[panel, row, column - first], total)
        result[column] = total


def _call(function: int, number: int, a: Any) -> int:
    return int(calls._CALLBACK(function)(number, a))


def _kernel(function: int, address: int) -> int:
    return _FUNCTIONS[function](ctypes.cast(address, _NUMBER))


class Turns:
    """A crew of which one thread runs at a time, from one meeting to the next, always in the same order: whoever reads
    what others have not written yet, or writes what they have not read, is found out."""

    def __init__(self, order: Sequence[int]) -> None:
        self.order, self.threads = order, len(order)
        self._block = np.zeros(Crew.LENGTH, np.int64)
        self._block[[Crew.PARTS, Crew.ALONE + Crew.PARTS]] = self.threads, 1
        self.address = int(self._block.ctypes.data)
        self._ready = [threading.Semaphore(0) for _ in order]
        self._others: list[threading.Thread] = []
        self._at_work: set[int] = set()
        self._errors: list[BaseException] = []
        self.jobs = 0

    def assign(self, function: int, vector: int, part: int, n: int, own: int) -> None:
        """Begin a job, in the thread whose turn it is; come back when it is the turn of this one."""
        self.finish()
        self.jobs += 1
        self._at_work = set(self.order)
        self._others = [
            threading.Thread(target=self._run, args=(k, function, vector, part, n, own + 8 * n * (k - 1)))
            for k in range(1, self.threads)
        ]
        for thread in self._others:
            thread.start()
        _TURN.crew, _TURN.part = self, 0
        self._ready[self.order[0]].release()
        self._ready[0].acquire()

    def _run(self, number: int, function: int, vector: int, part: int, n: int, own: int) -> None:
        _TURN.crew, _TURN.part = self, number
        self._ready[number].acquire()
        try:
            ctypes.memmove(own, vector, 8 * n)
            ctypes.cast(own, _NUMBER)[part] = number
            _kernel(function, own)
        except BaseException as error:
            self._errors.append(error)
        self._leave(number)

    def _next(self, number: int) -> None:
        place = self.order.index(number)
        for other in (*self.order[place + 1 :], *self.order[: place + 1]):
            if other in self._at_work:
                self._ready[other].release()
                return

    def _leave(self, number: int) -> None:
        self._at_work.remove(number)
        self._next(number)

    def meet(self, number: int) -> None:
        """The others first."""
        self._next(number)
        self._ready[number].acquire()

    def finish(self) -> None:
        """The job is done: the others have nothing left but to return."""
        if self._at_work:
            self._leave(0)
            for thread in self._others:
                thread.join(10.0)
                assert not thread.is_alive(), "a thread waits for others that have left"
        if self._errors:
            raise self._errors[0]


_TURN = threading.local()
_CREWS: dict[int, Turns] = {}


def _meet(block: Any) -> int:
    if block[Crew.PARTS] > 1:
        _TURN.crew.meet(_TURN.part)
    return 0


def _now_and_then(trials: Any, number: int, spent: int) -> None:
    """Every other call of a kernel is shared."""
    trials[number, Trials.SHARED] = 1 - trials[number, Trials.SHARED]


@contextmanager
def crews(order: Sequence[int]) -> Iterator[Turns]:
    """Loops with threads are carried out by a crew in this order."""
    turns = Turns(order)
    meeting = next(_NEXT)
    _CREWS[turns.address], _FUNCTIONS[meeting] = turns, _meet
    with (
        patch.object(field_drive.crew, "take", lambda threads: turns),
        patch.object(field_drive.crew, "give", lambda crew: crew.finish()),
        patch.object(field_drive.crew, "meeting", lambda: meeting),
        patch.object(Trials, "BEGIN", (1, 0, 0, 0, 0, 0)),
    ):
        yield turns


class _Numbers(ast.NodeTransformer):
    """Numbers of Python become numbers of NumPy, which divide by zero."""

    def visit_Constant(self, node: ast.Constant) -> Any:
        if not isinstance(node.value, float):
            return node
        return ast.Call(ast.Attribute(ast.Name("np", ast.Load()), "float64", ast.Load()), [node], [])


_BROUGHT_IN = (
    r"^(import math|from numba .*|.* = FUNCTIONS.*|"
    r"from unspool\.codegen\.(combination|fields|vectormath|crew_code|atomics) .*)$"
)


class Plain:
    """Functions by name, with numbers in the place of their addresses."""

    seconds, from_disk, owner = 0.0, False, None

    def __init__(self, text: str, names: Sequence[str]) -> None:
        text = re.sub(_BROUGHT_IN, "", text, flags=re.MULTILINE)
        space: dict[str, Any] = {
            "__name__": "plain",
            "math": Mathematics(),
            "np": np,
            "inner": lambda function: function,
            "field": Memory,
            "fma": fma,
            **elementary(),
            "select": lambda condition, this, other: this if condition else other,
            "guarded": lambda condition, array, index: array[index] if condition else 0.0,
            "gemv": _gemv,
            "gemm": _gemm,
            "combine": _combine,
            "call": _call,
            "kernel": _kernel,
            "words": lambda address: ctypes.cast(address, _NUMBER),
            "now": lambda block: 0,
            "judge": _now_and_then,
            "assign": lambda block, *job: _CREWS[ctypes.addressof(block.contents)].assign(*job),
        }
        tree = ast.fix_missing_locations(_Numbers().visit(ast.parse(text)))
        exec(compile(tree, "<plain step>", "exec"), space)
        self.addresses = {name: next(_NEXT) for name in names}
        _FUNCTIONS.update({number: space[name] for name, number in self.addresses.items()})

    def function(self, name: str) -> Callable[[np.ndarray], int]:
        """A function to be called on a block of int64."""
        function = _FUNCTIONS[self.addresses[name]]
        return lambda block: function(block.ctypes.data_as(_NUMBER))


DRIVER = Plain(files("unspool.codegen").joinpath("field_driver.py").read_text(), ["drive"])


def poisoned(n_bytes: int) -> np.ndarray:
    """Fresh memory that nobody has written."""
    return np.full(-(-n_bytes // 8), np.nan).view(np.uint8)[:n_bytes]


@contextmanager
def plainly(few: int = 0) -> Iterator[None]:
    """Loops of steps on more than so many numbers are carried out as fields, in plain Python."""
    functions = dict(_FUNCTIONS)
    with (
        patch.object(build, "load", Plain),
        patch.object(build, "FEW", few),
        patch.object(build, "_BUILT", OrderedDict()),
        patch.object(traced_steps, "_TRACED", OrderedDict()),
        patch.object(field_drive, "driver", lambda with_crew: DRIVER),
        patch.object(arena, "take", poisoned),
        patch.object(arena, "give", lambda buffers: None),
        np.errstate(all="ignore"),
    ):
        try:
            yield
        finally:
            _FUNCTIONS.clear()
            _FUNCTIONS.update(functions)


def agree(loss: Callable[..., Any], *args: Any, rtol: float = 1e-13, policies: Sequence[Any] = POLICIES) -> None:
    """Value and gradients of ``loss(*args, **options)`` are those of the tape, to the same bits under every policy.

    ``rtol`` is relative to the largest element of each, or to a thousandth of that of all.
    """
    argnums = tuple(range(len(args)))

    def found(**options: Any) -> list[np.ndarray]:
        value, back = value_and_grad(lambda *a: loss(*a, **options), argnums=argnums)(*args)
        return [np.asarray(value), *map(np.asarray, back)]

    with np.errstate(all="ignore"):
        expected = found(compile=False, policy="none")
    with plainly():
        several = [found(compile=True, policy=policy) for policy in policies]
    scales = [np.max(np.abs(other[np.isfinite(other)]), initial=1e-300) for other in expected]
    for one, other, own in zip(several[0], expected, scales, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        scale = max(own, 1e-3 * max(scales))  # what is nearly zero may be a difference
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * scale)
    for more in several[1:]:
        assert same_bits(more, several[0])

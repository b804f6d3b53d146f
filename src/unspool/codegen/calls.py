"""What kernels call beside their own code: equations that Python evaluates, and the functions of BLAS."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from unspool.codegen.arrays import Call
from unspool.codegen.scalars import where
from unspool.errors import ProgramError
from unspool.ir.program import Literal
from unspool.layout import ArrayType

_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.POINTER(ctypes.c_int64))


def callback(function: Callable[[int, Any], int]) -> tuple[Any, int]:
    """A function of Python for machine code: what has to be kept as long as it may be called, and its address."""
    kept = _CALLBACK(function)
    return kept, int(ctypes.cast(kept, ctypes.c_void_p).value or 0)


def evaluate(call: Call, addresses: Any) -> None:
    """Evaluate the equation of a call on arrays at their addresses."""
    equation = call.equation
    operands: list[Any] = []
    for atom, slot in zip(equation.operands, call.operands, strict=True):
        if isinstance(atom, Literal):
            operands.append(atom.value)
        elif slot is None:
            operands.append(np.int64(addresses[0]))
        else:
            array = array_at(addresses[slot], atom.type)
            operands.append(array.astype(atom.type.dtype) if atom.type.dtype != np.float64 else array)
    found = equation.primitive.evaluate(*operands, **dict(equation.params))
    for result, var, slot in zip(
        found if equation.primitive.multiple else (found,), equation.outputs, call.results, strict=True
    ):
        if ArrayType.of(result) != var.type:
            raise ProgramError(
                f"{where(equation)} gave {ArrayType.of(result)}, where its type rule says {var.type}: a compiled step "
                "would compute with another number. Correct the type rule of the primitive, or use compile=False."
            )
        array_at(addresses[slot], var.type)[...] = result


@cache
def blas(name: str) -> int:
    """The address of a function of BLAS."""
    from scipy.linalg import cython_blas

    capsules: Any = cython_blas.__pyx_capi__
    capsule = capsules[name]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return int(api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule)))


def array_at(address: int, t: ArrayType) -> np.ndarray:
    """The float64 array at an address."""
    buffer: Any = (ctypes.c_double * max(t.size, 1)).from_address(int(address))
    array: np.ndarray = np.frombuffer(buffer, np.float64, t.size).reshape(t.shape)
    return array

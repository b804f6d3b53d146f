"""Machine code from the text of a module: compiled by Numba, or read from the directory where a process before left it.

Functions are ``i64 f(i64* a)`` in the calling convention of Numba: ``status = f(&result, &exception, a)``. What is read
from the directory is linked by LLVM without Numba, whose import alone takes longer.
"""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from threading import RLock
from time import perf_counter
from typing import Any

import numpy as np

from unspool.codegen import disk_cache
from unspool.errors import UnsupportedError

_KERNEL = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


@dataclass(frozen=True, slots=True, eq=False)
class ObjectCode:
    """Functions by name: their addresses, what keeps them there, the seconds that it took, whether it was on disk."""

    addresses: dict[str, int]
    owner: Any
    seconds: float
    from_disk: bool

    def function(self, name: str) -> Callable[[np.ndarray], int]:
        """A function to be called from Python, on a block of int64."""
        compiled = _KERNEL(self.addresses[name])
        results = np.zeros(2, np.int64)  # and room for an exception, of which there is none
        address = results.ctypes.data

        def call(block: np.ndarray) -> int:
            compiled(address, address + 8, block.ctypes.data)
            return int(results[0])

        return call


_LOADED: OrderedDict[str, ObjectCode] = OrderedDict()
_LOCK = RLock()
_MOST = 128


def load(text: str, names: Sequence[str]) -> ObjectCode:
    """The functions of these names in a module. Raises `UnsupportedError`."""
    key = sha256(f"{_surroundings()}\n{' '.join(names)}\n{text}".encode()).hexdigest()
    with _LOCK:  # Numba compiles one thing at a time anyway
        if key not in _LOADED:
            _LOADED[key] = _from_disk(key, names) or _compile(text, names, key)
            if len(_LOADED) > _MOST:
                _LOADED.popitem(last=False)
        _LOADED.move_to_end(key)
        return _LOADED[key]


_OURS = (
    *("codegen/fields.py", "codegen/combination.py", "codegen/control.py", "codegen/atomics.py"),
    *("codegen/crew_code.py", "codegen/number_driver.py", "schedules/unfolding.py", "schedules/binomial.py"),
)
"""Sources that the text of a module may import."""


@cache
def _surroundings() -> str:
    """All that machine code depends on beside its text: the processor, the compiler, and the sources of ours."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features().flatten()
    here = files("unspool")
    ours = [here.joinpath(*name.split("/")).read_text() for name in _OURS]
    ours += [part.read_text() for part in here.joinpath("codegen", "vectormath").iterdir() if part.name.endswith(".py")]
    parts = [
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        features,
        version("numba"),
        version("llvmlite"),
        *ours,
    ]
    return sha256("\n".join(parts).encode()).hexdigest()


# --- compiled ---------------------------------------------------------------------------------------------------------
def _compile(text: str, names: Sequence[str], key: str) -> ObjectCode:
    from numba import types
    from numba.core import compiler
    from numba.core.errors import NumbaError
    from numba.core.registry import cpu_target

    begin = perf_counter()
    space: dict[str, Any] = {"__name__": "unspool.compiled"}
    exec(compile(text, "<unspool step>", "exec"), space)
    flags = compiler.Flags()
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"
    typing, target = cpu_target.typing_context, cpu_target.target_context
    addresses, parts = {}, []
    for name in names:
        try:
            found = compiler.compile_extra(
                typing, target, space[name], (types.CPointer(types.int64),), types.int64, flags, {}
            )
        except NumbaError as error:
            raise UnsupportedError(f"the compiler does not take the step: {error}") from error
        addresses[name] = found.library.get_pointer_to_function(found.fndesc.llvm_func_name)
        parts.append((name, found.fndesc.llvm_func_name, found.library))
    _keep(key, parts)
    return ObjectCode(addresses, parts, perf_counter() - begin, False)


def _keep(key: str, parts: Sequence[tuple[str, str, Any]]) -> None:
    """Leave compiled functions on disk, unless they need something that only Numba has."""
    entries = []
    for name, symbol, library in parts:
        try:
            module, machine = library._final_module, library._codegen._tm
            needs = sorted({_symbol(f.name) for f in module.functions if f.is_declaration} - {""})
            code = machine.emit_object(module)
        except AttributeError:  # another release of Numba
            return
        if not all(map(_is_known, needs)):
            return
        entries.append(disk_cache.Entry(name, symbol, tuple(needs), code))
    disk_cache.put(key, entries)


_IN_LIBRARY = frozenset(
    ["exp", "exp2", "log", "log2", "log10", "sin", "cos", "tan", "pow", "memset", "memcpy", "memmove"]
)


def _symbol(name: str) -> str:
    """What the linker will look for: intrinsics of LLVM may be functions of the C library."""
    if not name.startswith("llvm."):
        return name
    part = name.split(".")[1]
    return part if part in _IN_LIBRARY else ""


@cache
def _process() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def _is_known(symbol: str) -> bool:
    """Whether the process itself has a function of this name, as it has those of the C library."""
    return symbol.isidentifier() and not symbol.startswith(("numba", "NRT", "Py")) and hasattr(_process(), symbol)


# --- read from disk ---------------------------------------------------------------------------------------------------
def _from_disk(key: str, names: Sequence[str]) -> ObjectCode | None:
    begin = perf_counter()
    entries = disk_cache.get(key)
    if entries is None or [entry.name for entry in entries] != [*names]:
        return None
    if not all(_is_known(symbol) for entry in entries for symbol in entry.needs):
        return None
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    addresses, owners = {}, []
    for entry in entries:
        machine = llvm.Target.from_default_triple().create_target_machine()
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(entry.code))
        engine.finalize_object()
        addresses[entry.name] = engine.get_function_address(entry.symbol)
        owners.append(engine)
    if not all(addresses.values()):
        return None
    return ObjectCode(addresses, owners, perf_counter() - begin, True)

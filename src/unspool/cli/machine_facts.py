"""What the machine and the installation are: versions, processor, threads, memory, BLAS, cache. All of it as data."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "numba", "llvmlite", "scipy", "psutil", "tqdm", "matplotlib", "sympy")

FEATURES = {"x86_64": ("avx2", "avx512f", "fma"), "AMD64": ("avx2", "avx512f", "fma"), "aarch64": ("neon", "sve")}
"""What the compiled elementary functions gain from, by kind of machine, in LLVM's words."""

_THREAD_COUNTS = (  # how libraries of BLAS call the function that returns the number of their threads
    "openblas_get_num_threads",
    "openblas_get_num_threads64_",
    "scipy_openblas_get_num_threads",
    "scipy_openblas_get_num_threads64_",
    "MKL_Get_Max_Threads",
    "bli_thread_get_num_threads",
)


def versions() -> dict[str, str | None]:
    """The versions of unspool, Python and the packages it uses; None for one that is missing."""
    found: dict[str, str | None] = {"unspool": _version("unspool")}
    found["python"] = f"{platform.python_version()} ({platform.python_implementation()}, {platform.system()})"
    return found | {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def processor(root: Path = Path("/")) -> dict[str, Any]:
    """The name of the processor, the kind of machine, and which of the relevant features it has."""
    try:
        lines = (root / "proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    machine, features = platform.machine(), dict[str, bool]()
    if find_spec("llvmlite") is not None:
        import llvmlite.binding as llvm

        known = llvm.get_host_cpu_features()
        features = {name: bool(known.get(name, False)) for name in FEATURES.get(machine, ())}
        names.append(llvm.get_host_cpu_name())
    return {"name": names[0] if names else "unknown", "machine": machine, "features": features}


def threads() -> dict[str, int | None]:
    """The cores that there are, those that this process may use, and the threads that Numba would start."""
    numba = None
    if find_spec("numba") is not None:
        from numba import config

        numba = int(config.NUMBA_NUM_THREADS)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cores": os.cpu_count(), "usable": usable, "numba": numba}


def memory() -> dict[str, Any]:
    """The memory of the machine, what is left of it, the default budget of a loop, the limits of control groups."""
    from dataclasses import asdict

    import psutil

    from unspool.memory import as_bytes, available_bytes, group_limits

    total = int(psutil.virtual_memory().total)
    return {
        "total_bytes": total,
        "available_bytes": available_bytes(),
        "budget_bytes": as_bytes(None),
        "control_groups": [asdict(group) for group in group_limits() if group.limit_bytes < total],
    }


def blas() -> list[dict[str, Any]]:
    """The BLAS that NumPy and SciPy were built with, and the threads that each library in this process has."""
    import numpy
    import scipy
    import scipy.linalg

    found = []
    for package in (numpy, scipy):
        told: Any = package.show_config(mode="dicts")
        built = told.get("Build Dependencies", {}).get("blas", {})
        name, version = built.get("name", "unknown"), built.get("version", "")
        count = next(_thread_counts(Path(str(package.__file__)).parent), None)
        found.append({"of": package.__name__, "name": name, "version": version, "threads": count})
    return found


def _thread_counts(package: Path, root: Path = Path("/")) -> Iterator[int]:
    """Ask the libraries that are loaded already: those beside the package (in wheels), or those of the system."""
    import ctypes

    try:
        lines = (root / "proc/self/maps").read_text().splitlines()
    except OSError:
        return
    loaded = {Path(parts[5]) for line in lines if len(parts := line.split(maxsplit=5)) == 6}
    names = ("openblas", "mkl_rt", "blis")
    libraries = sorted(path for path in loaded if ".so" in path.name and any(name in path.name for name in names))
    own = package.with_name(package.name + ".libs")
    for path in sorted(libraries, key=lambda path: path.parent != own):
        if path.parent.name.endswith(".libs") and path.parent != own:
            continue  # the other package's
        library = ctypes.CDLL(str(path))
        for name in _THREAD_COUNTS:
            if hasattr(library, name):
                yield int(getattr(library, name)())
                break


def cache() -> dict[str, Any]:
    """The directory of compiled steps, what is in it, and why it is not used, or None where it is."""
    from unspool.codegen import disk_cache

    why_not = disk_cache.reason()
    files, n_bytes = disk_cache.contents()
    try:
        where = str(disk_cache.directory())
    except RuntimeError:  # there is no home
        where = "~/.cache/unspool"
    return {"directory": where, "files": files, "bytes": n_bytes, "not_used": why_not}

"""Where and with what something was measured, and the environment of one thread that it was measured in."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

ALONE = {**ONE_THREAD, "NUMBA_NUM_THREADS": "1", "NPROC": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}
"""NPROC is what XLA goes by: with the flag alone it runs parts of a step at the same time."""


def machine() -> dict[str, Any]:
    """Processor, caches, cores and memory, as far as the system tells."""
    import psutil

    found: dict[str, Any] = {
        "system": f"{platform.system()} {platform.release()}",
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
    }
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        models = [line.split(":")[1].strip() for line in cpu.read_text().splitlines() if line.startswith("model name")]
        found["processor"] = models[0] if models else platform.machine()
    for cache in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((cache / part).read_text().strip() for part in ("level", "type", "size"))
        if kind != "Instruction":
            found[f"L{level}"] = size
    return found


def versions() -> dict[str, str]:
    """Python, NumPy, unspool, and the commit where there is one."""
    found = {"python": platform.python_version()}
    found |= {name: importlib.metadata.version(name) for name in ("numpy", "unspool")}
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found | ({"commit": commit.stdout.strip()} if commit.returncode == 0 else {})


def installed(packages: tuple[str, ...]) -> dict[str, str]:
    """The versions of those that are installed."""
    return {name: importlib.metadata.version(name) for name in packages if importlib.util.find_spec(name)}

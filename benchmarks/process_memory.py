"""What this process holds of the machine's memory: now, and at most since it was asked last."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident_bytes(field: str = "VmRSS") -> int:
    """Resident bytes now (VmRSS), or the most since the last reset (VmHWM)."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"{STATUS} has no {field}")


def hand_back() -> None:
    """Collect garbage, and give what the C library keeps of freed memory back to the system."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def growth(run: Callable[[], Any]) -> int | None:
    """By how many bytes the process grows at most while something runs; None where the system does not tell."""
    try:
        hand_back()
        CLEAR.write_text("5")  # sets VmHWM to VmRSS
        before = resident_bytes()
        run()
        return max(0, resident_bytes("VmHWM") - before)
    except OSError:
        return None

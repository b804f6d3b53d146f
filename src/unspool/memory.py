"""Bytes: as users write them, and as the machine has them left."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unspool.errors import PolicyError

if TYPE_CHECKING:  # importing it takes longer than all of this module
    from pathlib import Path

DEFAULT_FRACTION = 0.5
"""Of the memory that is left, how much a loop may hold when nothing is said."""

_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}

Memory = int | float | str | None


def as_bytes(memory: Memory) -> int:
    """The bytes that a user means: a number, "512 MB", "2 GiB", "25%" of what is left, or None for half of it.

    >>> as_bytes("2 GiB"), as_bytes("1.5kB"), as_bytes(1e6)
    (2147483648, 1500, 1000000)
    """
    if memory is None:
        return int(available_bytes() * DEFAULT_FRACTION)
    if isinstance(memory, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d*)?(?:e\d+)?)\s*(%|[a-z]*)\s*", memory.lower())
        if match and match[2] == "%" and 0 < float(match[1]) <= 100:
            return int(available_bytes() * float(match[1]) / 100)
        if match and match[2] in _UNITS:
            return int(float(match[1]) * _UNITS[match[2]])
    elif not isinstance(memory, bool) and memory > 0:
        return int(memory)
    raise PolicyError(
        f'memory={memory!r} is no amount of memory. Give bytes as a number, or text such as "512 MB", "2 GiB" or "25%" '
        "(of what the machine has left)."
    )


def human_bytes(n: float) -> str:
    """Bytes in the unit that a person would take.

    >>> human_bytes(96), human_bytes(2_500_000), human_bytes(31_000)
    ('96 B', '2.50 MB', '31.0 kB')
    """
    size, unit = float(n), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{n:.0f} B" if unit == "B" else f"{size:.{max(0, 2 - (size >= 10) - (size >= 100))}f} {unit}"


def available_bytes(root: Path | None = None) -> int:
    """What this process can still take without swapping: the least of the machine's and its control groups' rest.

    ``root`` is where proc and sys are found.
    """
    import psutil

    return min([int(psutil.virtual_memory().available), *(group.left_bytes for group in group_limits(root))])


@dataclass(frozen=True, slots=True)
class GroupLimit:
    """What a control group may hold, holds, and could give back."""

    group: str
    limit_bytes: int
    used_bytes: int
    reclaimable_bytes: int

    @property
    def left_bytes(self) -> int:
        """What its processes can still take."""
        return max(0, self.limit_bytes - self.used_bytes + self.reclaimable_bytes)


def group_limits(root: Path | None = None) -> list[GroupLimit]:
    """The limit of each control group that this process is in, versions 1 and 2; none where nothing is limited.

    ``root`` is where proc and sys are found.
    """
    from pathlib import Path

    root = root or Path("/")
    found = []
    for version, path in _groups(root):
        if version == 2:
            base, limit, usage = root / "sys/fs/cgroup", "memory.max", "memory.current"
        else:
            base, limit, usage = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        group = base / path.lstrip("/")
        for folder in (group, *group.parents):  # a limit of an outer group binds too
            allowed, used = _number(folder / limit), _number(folder / usage)
            if allowed is not None and used is not None:
                found.append(GroupLimit(str(folder), allowed, used, _reclaimable(folder)))
            if folder == base:
                break
    return found


def _groups(root: Path) -> list[tuple[int, str]]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found.append((2, path))
        elif "memory" in controllers.split(","):
            found.append((1, path))
    return found


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # absent, or "max"
        return None


def _reclaimable(folder: Path) -> int:
    """File pages of the group that the kernel gives back when memory is short."""
    try:
        entries = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(entries.get("inactive_file", entries.get("total_inactive_file", 0)))

"""Machine code on disk, by content, for the processes to come: a private directory with one file per module.

A file is a line of JSON, which says what it holds and has a checksum of the rest, and then the object files. Nothing in
it is executed but the machine code itself, so the directory must be the user's own and closed to all others (0700); in
any other case nothing is read or written. A file is complete or absent: it is renamed into its place.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

_MAGIC = "unspool machine code 1"
_MOST_BYTES = 2**28
_LONGEST_HEADER = 2**16


@dataclass(frozen=True, slots=True)
class Entry:
    """A function as an object file: its name, its symbol, and the symbols of the C library that it needs."""

    name: str
    symbol: str
    needs: tuple[str, ...]
    code: bytes


def directory() -> Path:
    """Where the files are: ``~/.cache/unspool``."""
    return Path.home() / ".cache" / "unspool"


def reason() -> str | None:
    """Why the directory is not used, or None: it is missing and cannot be made, is not ours, or open to others."""
    try:
        path = directory()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        return f"~/.cache/unspool cannot be made: {error}"
    if not stat.S_ISDIR(status.st_mode):
        return f"{path} is not a directory"
    if status.st_uid != os.geteuid():
        return f"{path} belongs to somebody else"
    if status.st_mode & 0o077:
        return f"{path} is open to others (mode {stat.S_IMODE(status.st_mode):o}): chmod 700 {path}"
    return None


def get(key: str) -> list[Entry] | None:
    """What was left under a key; None where there is nothing, or nothing that can be trusted."""
    if reason() is not None:
        return None
    path = directory() / key
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
            return None
        if status.st_size > _MOST_BYTES:
            return None
        entries = _parsed(file.readline(_LONGEST_HEADER), file.read())
    if entries is None:
        path.unlink(missing_ok=True)  # damaged: it is compiled anew
    else:
        _touch(path)
    return entries


def _parsed(header: bytes, rest: bytes) -> list[Entry] | None:
    try:
        told = json.loads(header)
        if told["magic"] != _MAGIC or told["sha256"] != sha256(rest).hexdigest():
            return None
        entries, start = [], 0
        for name, symbol, needs, length in told["entries"]:
            if not all(isinstance(x, str) for x in (name, symbol, *needs)) or not isinstance(length, int):
                return None
            entries.append(Entry(name, symbol, tuple(needs), rest[start : start + length]))
            start += length
    except (ValueError, KeyError, TypeError):
        return None
    return entries if start == len(rest) else None


def put(key: str, entries: Sequence[Entry]) -> None:
    """Leave functions for other processes. Where that cannot be, nothing happens."""
    if reason() is not None:
        return
    rest = b"".join([entry.code for entry in entries])
    told = {
        "magic": _MAGIC,
        "sha256": sha256(rest).hexdigest(),
        "entries": [[e.name, e.symbol, [*e.needs], len(e.code)] for e in entries],
    }
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=".", dir=directory())  # 0600
        with os.fdopen(handle, "wb") as file:
            file.write(json.dumps(told).encode() + b"\n" + rest)
        os.replace(temporary, directory() / key)
        temporary = None
        _trim()
    except OSError:  # a full disk, a quota: the code is in memory all the same
        pass
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except OSError:
        return


def _listed() -> list[tuple[float, int, Path]]:
    found = []
    for path in directory().iterdir():
        try:
            status = path.lstat()
        except OSError:  # another process was faster
            continue
        if stat.S_ISREG(status.st_mode):
            found.append((status.st_mtime, status.st_size, path))
    return sorted(found)


def _trim() -> None:
    """Remove the files that were not used for the longest time, until the rest is small enough."""
    found = _listed()
    total = sum(size for _, size, _ in found)
    for _, size, path in found:
        if total <= _MOST_BYTES:
            return
        path.unlink(missing_ok=True)
        total -= size


def contents() -> tuple[int, int]:
    """The number of files, and their bytes."""
    found = _listed() if reason() is None else []
    return len(found), sum(size for _, size, _ in found)


def clear() -> int:
    """Remove all files; return how many there were."""
    found = _listed() if reason() is None else []
    for _, _, path in found:
        path.unlink(missing_ok=True)
    return len(found)

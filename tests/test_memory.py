"""Bytes as users write them, and what control groups leave."""

from pathlib import Path

import psutil
import pytest

from unspool.errors import PolicyError
from unspool.memory import as_bytes, available_bytes, group_limits


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (1000, 1000),
        (1e9, 10**9),
        ("512 MB", 512 * 10**6),
        ("2GiB", 2**31),
        ("1.5 kb", 1500),
        ("1e6", 10**6),
        ("7 TB", 7 * 10**12),
    ],
)
def test_amounts_are_read_as_people_write_them(memory: int | float | str, expected: int) -> None:
    assert as_bytes(memory) == expected


@pytest.mark.parametrize("memory", [0, -5, True, "", "lots", "12 parsecs", "0%", "101%", "-3 MB"])
def test_what_is_no_amount_is_refused_with_examples(memory: object) -> None:
    with pytest.raises(PolicyError, match="512 MB"):
        as_bytes(memory)  # type: ignore[arg-type]


def test_a_percentage_and_nothing_are_shares_of_what_is_left() -> None:
    left = available_bytes()
    assert 0.2 * left < as_bytes("25%") < 0.3 * left
    assert 0.4 * left < as_bytes(None) < 0.6 * left


def group(root: Path, version: int, limit: str, usage: int, *, nested: bool = False) -> Path:
    """A file system in which the process is in a control group with a limit."""
    (root / "proc/self").mkdir(parents=True)
    path = "/outer/inner" if nested else "/"
    base = root / ("sys/fs/cgroup" if version == 2 else "sys/fs/cgroup/memory")
    folder = base / "outer" if nested else base
    (base / path.lstrip("/")).mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"0::{path}\n" if version == 2 else f"4:cpu:/\n7:memory:{path}\n")
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    (folder / names[0]).write_text(limit)
    (folder / names[1]).write_text(str(usage))
    return folder


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("version", [1, 2])
def test_the_rest_of_a_control_group_is_what_is_left(tmp_path: Path, version: int, nested: bool) -> None:
    group(tmp_path, version, "1000000", 400000, nested=nested)
    assert available_bytes(tmp_path) == 600000


def test_file_pages_count_as_left(tmp_path: Path) -> None:
    folder = group(tmp_path, 2, "1000000", 400000)
    (folder / "memory.stat").write_text("anon 300000\ninactive_file 100000\n")
    assert available_bytes(tmp_path) == 700000


def test_a_group_without_a_limit_leaves_what_the_machine_has(tmp_path: Path) -> None:
    group(tmp_path, 2, "max", 400000)
    assert available_bytes(tmp_path) == pytest.approx(psutil.virtual_memory().available, rel=0.2)


def test_no_groups_at_all(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) == pytest.approx(psutil.virtual_memory().available, rel=0.2)


def test_limits_are_told_with_their_group(tmp_path: Path) -> None:
    folder = group(tmp_path, 2, "1000000", 400000, nested=True)
    (found,) = group_limits(tmp_path)
    assert (found.group, found.limit_bytes, found.used_bytes) == (str(folder), 1_000_000, 400_000)
    assert found.left_bytes == 600_000
    assert group_limits(tmp_path / "elsewhere") == []

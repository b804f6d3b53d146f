"""Files of machine code: complete or absent, believed only where nobody else could have written them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unspool.codegen import disk_cache, object_code
from unspool.codegen.disk_cache import Entry, clear, contents, get, put, reason

KEY = "ab" * 32
ENTRIES = [Entry("f", "symbol_f", (), b"\x7fELF" + bytes(range(256))), Entry("g", "symbol_g", ("exp", "sin"), b"")]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cache" / "unspool"
    monkeypatch.setattr(disk_cache, "directory", lambda: path)
    return path


def test_what_is_put_comes_back_and_the_directory_is_private(place: Path) -> None:
    assert get(KEY) is None
    put(KEY, ENTRIES)
    assert get(KEY) == ENTRIES
    assert place.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in place.iterdir()] == [0o600]
    assert contents()[0] == 1
    assert (clear(), contents()) == (1, (0, 0))


@pytest.mark.parametrize("mode", [0o701, 0o720, 0o777, 0o750])
def test_a_directory_that_is_open_to_others_is_not_used(mode: int, place: Path) -> None:
    put(KEY, ENTRIES)
    place.chmod(mode)
    assert "open to others" in str(reason())
    assert get(KEY) is None
    put("cd" * 32, ENTRIES)
    assert [path.name for path in place.iterdir()] == [KEY]
    assert clear() == 0


def test_neither_links_nor_files_of_others_are_followed(place: Path, tmp_path: Path) -> None:
    put(KEY, ENTRIES)
    (place / KEY).rename(tmp_path / "elsewhere")
    (place / KEY).symlink_to(tmp_path / "elsewhere")
    assert get(KEY) is None
    (place / KEY).unlink()
    (tmp_path / "elsewhere").rename(place / KEY)
    (place / KEY).chmod(0o622)
    assert get(KEY) is None


def test_a_link_in_the_place_of_the_directory_is_not_used(place: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir(mode=0o700)
    place.parent.mkdir()
    place.symlink_to(tmp_path / "other")
    assert "not a directory" in str(reason())


def test_a_directory_that_cannot_be_made_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(disk_cache, "directory", lambda: tmp_path / "file" / "unspool")
    assert "cannot be made" in str(reason())
    put(KEY, ENTRIES)
    assert (get(KEY), contents(), clear()) == (None, (0, 0), 0)


def test_every_flipped_byte_and_every_truncation_is_found(place: Path) -> None:
    put(KEY, ENTRIES)
    whole = (place / KEY).read_bytes()
    header = whole.index(b"\n") + 1
    for position in [*range(0, header, 7), *range(header, len(whole), 5)]:
        (place / KEY).write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        found = get(KEY)
        assert found is None or found == ENTRIES or position < header, position
        if position >= header:
            assert found is None
            assert not (place / KEY).exists()
    for n in [*range(0, len(whole), 11), len(whole) - 1]:
        (place / KEY).write_bytes(whole[:n])
        (place / KEY).chmod(0o600)
        assert get(KEY) is None, n


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\n",
        b"[]\n",
        b"{}\n",
        b"null\n",
        b'{"magic": 1}\n',
        b"\xff\xfe\n",
        b"x" * 100_000,
        b'{"magic": "' * 5000 + b"\n",
    ],
)
def test_hostile_files_are_nothing(header: bytes, place: Path) -> None:
    assert reason() is None
    (place / KEY).write_bytes(header + b"rest")
    (place / KEY).chmod(0o600)
    assert get(KEY) is None


def test_the_oldest_files_go_when_there_are_too_many(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_cache, "_MOST_BYTES", 2500)
    for k in range(5):
        put(f"{k}" * 64, [Entry("f", "s", (), bytes(1000))])
        os.utime(place / (f"{k}" * 64), (k, k)) if (place / (f"{k}" * 64)).exists() else None
    assert {path.name[0] for path in place.iterdir()} <= {"3", "4"}


# --- machine code -----------------------------------------------------------------------------------------------------
TEXT = """
import math

from unspool.codegen.fields import field


def f(a):
    x = field(a[0], "f64[:]", 0)
    x[0] = math.exp(x[0]) + {number}
    return 7
"""


def _call(code: Any) -> tuple[int, float]:
    x = np.array([0.5])
    return code.function("f")(np.array([x.ctypes.data], np.int64)), float(x[0])


def test_code_from_disk_does_what_it_did(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_code, "_LOADED", type(object_code._LOADED)())
    text = TEXT.format(number=1.25)
    first = object_code.load(text, ["f"])
    assert not first.from_disk
    assert object_code.load(text, ["f"]) is first
    object_code._LOADED.clear()
    second = object_code.load(text, ["f"])
    assert second.from_disk
    assert _call(first) == _call(second) == (7, np.exp(0.5) + 1.25)
    object_code._LOADED.clear()
    monkeypatch.setattr(object_code, "_is_known", lambda symbol: False)
    assert not object_code.load(text, ["f"]).from_disk


def test_a_step_is_linked_without_numba_and_eight_processes_share_the_directory(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        import numpy as np, unspool
        u = np.linspace(0.1, 0.9, 3)
        step = lambda i, u: u * 0.9 + np.exp(-u)
        found = unspool.grad(lambda u: np.sum(unspool.fori_loop(0, 7, step, u, compile=True)))(u)
        print(found.tobytes().hex(), "numba" in sys.modules)
        """
    )
    environment = {**os.environ, "HOME": str(tmp_path)}

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)

    together = [process.communicate(timeout=120)[0].split() for process in [start() for _ in range(8)]]
    again = start().communicate(timeout=120)[0].split()
    assert len({bits for bits, _ in together} | {again[0]}) == 1
    assert again[1] == "False"
    assert not [path for path in (tmp_path / ".cache" / "unspool").iterdir() if path.name.startswith(".")]


def test_threads_share_a_step_that_was_linked_without_numba(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        import numpy as np, unspool
        u = np.sin(np.arange(90_000.0)).reshape(300, 300)
        step = lambda i, u: u - 0.1 * np.roll(u, 1, axis=0) * np.tanh(u) - 0.1 * np.mean(u, axis=1, keepdims=True)
        loop = lambda u, n: np.sum(unspool.fori_loop(0, 7, step, u, compile=True, threads=n))
        found = [unspool.grad(loop)(u, n).tobytes() for n in (2, 3)]
        print(found[0] == found[1], len(found[0]), "numba" in sys.modules)
        """
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    told = [
        subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [process.stdout.split() for process in told] == [["True", "720000", "True"], ["True", "720000", "False"]]
    assert not any(process.stderr for process in told)

"""Machine code from text: functions on blocks of numbers, compiled once, or read from the directory."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from unspool.codegen import disk_cache, object_code
from unspool.codegen.object_code import ObjectCode, load
from unspool.errors import UnsupportedError

HEAD = "import math\nimport numpy as np\nfrom unspool.codegen.fields import field\n"
SUM = """
def total(a):
    x = field(a[0], "f64[:]", 0)
    y = field(a[1], "f64[1]", 1)
    y[0] = NUMBER
    for i in range(a[2]):
        y[0] = y[0] + 1.0 / x[i]
    return a[2] + 7

def last(a):
    return a[a[0]]
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory, and a memory, of each test's own."""
    monkeypatch.setattr(disk_cache, "directory", lambda: tmp_path / "unspool")
    monkeypatch.setattr(object_code, "_LOADED", OrderedDict())
    return tmp_path / "unspool"


def _text(number: float) -> str:
    return HEAD + SUM.replace("NUMBER", repr(number))


def _total(code: ObjectCode, x: np.ndarray) -> tuple[int, float]:
    y = np.zeros(1)
    result = code.function("total")(np.array([x.ctypes.data, y.ctypes.data, len(x)]))
    return result, float(y[0])


def test_functions_are_called_on_a_block_of_numbers() -> None:
    code = load(_text(0.5), ["total", "last"])
    assert code.addresses.keys() == {"total", "last"}
    assert not code.from_disk
    assert code.seconds > 0
    assert _total(code, np.array([1.0, 2.0, 4.0])) == (10, 2.25)
    assert _total(code, np.zeros(0)) == (7, 0.5)
    assert code.function("last")(np.array([2, 5, -9])) == -9


def test_a_division_by_zero_is_infinite_and_no_error() -> None:
    code = load(_text(0.25), ["total"])
    assert _total(code, np.array([0.0])) == (8, np.inf)
    assert np.isnan(_total(code, np.array([0.0, -0.0]))[1])


def test_a_text_is_compiled_once() -> None:
    one = load(_text(0.5), ["total", "last"])
    assert load(_text(0.5), ["total", "last"]) is one
    assert load(_text(0.75), ["total", "last"]) is not one
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(lambda k: load(_text(0.125 * (k % 2)), ["total"]), range(8))]
    assert len({*map(id, found)}) == 2


def test_another_process_reads_what_was_compiled(place: Path) -> None:
    load(_text(0.5), ["total", "last"])
    assert len([*place.iterdir()]) == 1
    object_code._LOADED.clear()  # as in a process that begins
    code = load(_text(0.5), ["total", "last"])
    assert code.from_disk
    assert _total(code, np.array([1.0, 2.0, 4.0])) == (10, 2.25)
    assert code.function("last")(np.array([1, 5])) == 5
    object_code._LOADED.clear()
    assert not load(_text(0.5), ["total"]).from_disk  # other functions than those that were kept


def test_what_is_damaged_is_compiled_anew(place: Path) -> None:
    load(_text(0.5), ["total"])
    (file,) = place.iterdir()
    file.write_bytes(file.read_bytes()[:-9] + b"damaged!!")
    object_code._LOADED.clear()
    code = load(_text(0.5), ["total"])
    assert not code.from_disk
    assert _total(code, np.array([2.0])) == (8, 1.0)


def test_the_key_changes_with_the_surroundings(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(_text(0.5), ["total"])
    monkeypatch.setattr(object_code, "_surroundings", lambda: "another processor")
    assert not load(_text(0.5), ["total"]).from_disk
    assert len([*place.iterdir()]) == 2


def test_a_function_that_the_process_does_not_have_is_not_kept(place: Path) -> None:
    """Printing needs Numba itself."""
    load("def total(a):\n    print(a[0])\n    return 0\n", ["total"])
    assert not place.exists() or not [*place.iterdir()]


@pytest.mark.parametrize(
    "body",
    ["return 'text'", "return unknown(a)", "return a + [1]", "x = {}\n    x[0] = a\n    return x.items()"],
)
def test_what_the_compiler_does_not_take_is_refused(body: str) -> None:
    with pytest.raises(UnsupportedError, match="the compiler does not take the step"):
        load(f"def total(a):\n    {body}\n", ["total"])


def test_the_texts_used_least_recently_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_code, "_MOST", 2)
    one, _ = (load(_text(float(k)), ["total"]) for k in range(2))
    assert load(_text(0.0), ["total"]) is one
    load(_text(2.0), ["total"])
    assert load(_text(0.0), ["total"]) is one
    assert len(object_code._LOADED) == 2
    assert load(_text(1.0), ["total"]).from_disk
    assert _total(one, np.array([4.0])) == (8, 0.25)

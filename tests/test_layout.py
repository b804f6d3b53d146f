"""Arrays in one flat buffer: disjoint, aligned, and bit for bit what was packed."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.oracles import same_bits
from unspool.layout import ALIGNMENT, ArrayType, Layout, digest

DTYPES = st.sampled_from([np.float64, np.float32, np.float16, np.complex128, np.int64, np.int8, np.bool_])
ARRAYS = st.lists(
    DTYPES.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))),
    max_size=5,
)


@given(arrays=ARRAYS)
def test_pack_and_unpack_return_the_bits_without_sharing_or_overlap(arrays: list[np.ndarray]) -> None:
    layout = Layout.of(arrays)
    buffer = layout.pack(arrays)
    assert buffer.nbytes == layout.n_bytes
    views = layout.unpack(buffer)
    assert all(same_bits(view, array) for view, array in zip(views, arrays, strict=True))
    assert all(view.flags.c_contiguous for view in views)
    assert all(offset % ALIGNMENT == 0 for offset in layout.offsets)
    ends = [start + t.nbytes for start, t in zip(layout.offsets, layout.types, strict=True)]
    assert all(end <= start for end, start in zip(ends, layout.offsets[1:], strict=False))
    assert ends == [] or ends[-1] == layout.n_bytes
    for k, view in enumerate(views):
        assert not any(np.shares_memory(view, other) for other in (*views[k + 1 :], *arrays))
    assert Layout.of(list(layout.types)) == layout


def test_pack_into_a_buffer_that_is_there_makes_no_other() -> None:
    arrays = [np.arange(6.0).reshape(2, 3).T, np.float32(2.5)]
    layout = Layout.of(arrays)
    out = np.full(layout.n_bytes, 255, np.uint8)
    assert layout.pack(arrays, out) is out
    assert same_bits(layout.unpack(out)[0], np.ascontiguousarray(arrays[0]))
    assert layout.unpack(out)[1] == 2.5


def test_types_print_and_weigh() -> None:
    types: list[Any] = [np.zeros((64, 64)), 1.0, 1, True, 1j, np.zeros(3, np.float32), [1.0, 2.0]]
    printed = ["f64[64, 64]", "f64[]", "i64[]", "b8[]", "c128[]", "f32[3]", "f64[2]"]
    assert [str(ArrayType.of(value)) for value in types] == printed
    t = ArrayType.of(np.zeros((2, 3), np.float32))
    assert (t.ndim, t.size, t.nbytes) == (2, 6, 24)


@given(
    array=hnp.arrays(np.float64, hnp.array_shapes(max_dims=2, max_side=4)),
    bit=st.integers(0, 63),
    at=st.integers(0, 15),
)
def test_a_digest_tells_any_bit_and_not_the_memory_layout(array: np.ndarray, bit: int, at: int) -> None:
    changed = array.copy()
    changed.reshape(-1).view(np.uint64)[at % array.size] ^= np.uint64(1 << bit)
    assert digest([array]) != digest([changed])
    assert digest([array]) == digest([np.asfortranarray(array)])


def test_a_digest_of_long_doubles_ignores_their_padding() -> None:
    one = np.frombuffer(np.ones(2, np.longdouble).tobytes(), np.uint8).copy()
    other = one.copy()
    one.reshape(2, -1)[:, 10:] = 170
    assert digest([one.view(np.longdouble)]) == digest([other.view(np.longdouble)])

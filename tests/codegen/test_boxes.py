"""The domain of a nest in boxes, and loops over them."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unspool.codegen.boxes import (
    condition,
    excluded,
    extent,
    holds,
    loops_side_by_side,
    nested_loops,
    partition,
    strip_loops,
    volume,
)
from unspool.codegen.indices import Bound


@given(data=st.data(), domain=st.lists(st.integers(1, 12), min_size=1, max_size=3))
def test_boxes_are_a_partition_of_the_domain(data: Any, domain: list[int]) -> None:
    ends, wide = [], []
    for n in domain:
        cuts = sorted({0, n} | data.draw(st.sets(st.integers(0, n), max_size=4)))
        ranges = [*pairwise(cuts)]
        chosen = data.draw(st.sets(st.sampled_from(ranges), min_size=1))
        ends.append(cuts)
        wide.append([r for r in ranges if r in chosen])
    least, most = data.draw(st.integers(1, 6)), data.draw(st.integers(0, 8))
    inside, border, strips = partition(tuple([(0, n) for n in domain]), ends, wide, least=least, most=most)
    covered = np.zeros(domain, int)
    for box in [*inside, *border, *strips]:
        covered[tuple([slice(*side) for side in box])] += 1
    assert (covered == 1).all()
    assert sorted(inside) == sorted(product(*wide))
    assert len(border) <= most
    for box in border:
        assert volume(box) >= least
        assert all(side in [*pairwise(cuts)] for side, cuts in zip(box, ends, strict=True))


def test_the_border_of_a_square_is_in_parts_where_they_are_long_and_else_in_four_strips() -> None:
    ends, wide = [[0, 1, 2, 9, 10]] * 2, [[(2, 9)]] * 2
    domain = ((0, 10), (0, 10))
    inside, border, strips = partition(domain, ends, wide, least=7, most=6)
    assert inside == [((2, 9), (2, 9))]
    assert sorted(border) == sorted(
        [
            *[((k, k + 1), (2, 9)) for k in (0, 1, 9)],
            *[((2, 9), (k, k + 1)) for k in (0, 1, 9)],
        ]
    )
    assert strips == [((0, 2), (0, 2)), ((0, 2), (9, 10)), ((9, 10), (0, 2)), ((9, 10), (9, 10))]
    whole = [((0, 2), (0, 10)), ((2, 9), (0, 2)), ((2, 9), (9, 10)), ((9, 10), (0, 10))]
    assert partition(domain, ends, wide, least=8, most=6)[1:] == ([], whole)
    assert partition(domain, ends, wide, least=7, most=0)[1:] == ([], whole)
    assert partition((), [], [], least=1, most=1) == ([()], [], [])


def test_loops_over_neighbours_share_what_they_can() -> None:
    boxes = [
        (((1, 3), (1, 3)), ["seen.append((i0, i1))"]),
        (((0, 1), (1, 3)), ["seen.append((-i0, i1))"]),
        (((1, 3), (0, 1)), ["seen.append((i0, 0))"]),
        (((3, 4), (1, 3)), ["seen.append((-i0, i1))"]),
    ]
    lines = loops_side_by_side(boxes)
    seen: list[Any] = []
    exec("\n".join(lines), {"seen": seen})
    assert seen == [(1, 1), (1, 2), (1, 0), (2, 1), (2, 2), (2, 0), (0, 1), (0, 2), (-3, 1), (-3, 2)]
    assert sum("(-i0, i1)" in line for line in lines) == 1
    assert loops_side_by_side([((), ["x = 1"])]) == ["x = 1"]


@given(data=st.data(), n=st.integers(0, 3))
def test_strips_go_through_their_boxes_only(data: Any, n: int) -> None:
    """The loops around one body over several boxes, as text that is carried out."""
    shapes = [(5,), (3, 4), (2, 3, 2), (4,)][n]
    boxes = []
    for _ in range(data.draw(st.integers(1, 4))):
        ends = [sorted([data.draw(st.integers(0, m)), data.draw(st.integers(0, m))]) for m in shapes]
        boxes.append(tuple([(a, b) for a, b in ends]))
    axes = ", ".join([f"i{d}" for d in range(len(shapes))])
    seen: list[Any] = []
    exec("\n".join(strip_loops(boxes, [f"seen.append(({axes},))"])), {"seen": seen})
    assert seen == [at for box in boxes for at in product(*[range(*ends) for ends in box])]


def test_loops_go_through_the_axes_that_are_asked_for() -> None:
    seen: list[Any] = []
    body = ["seen.append((i0, i2))"]
    exec("\n".join(nested_loops([(0, 2), (5, 9), (3, 5)], body, [2, 0])), {"seen": seen})
    assert seen == [(0, 3), (1, 3), (0, 4), (1, 4)]
    exec("\n".join(nested_loops([], ["seen.clear()"])), {"seen": seen})
    assert not seen


@given(start=st.integers(-2, 9), stop=st.integers(-2, 9), low=st.integers(0, 6), n=st.integers(1, 4))
def test_a_bound_holds_in_all_of_a_box_or_nowhere_or_has_a_condition(start: int, stop: int, low: int, n: int) -> None:
    bound, box = Bound(1, start, stop), ((0, 1), (low, low + n))
    inside = [start <= i < stop for i in range(low, low + n)]
    assert holds(bound, box) == all(inside)
    assert excluded(bound, box) <= (not any(inside))
    text = condition([bound, bound], box)
    assert [eval(text or "True", {"i1": i}) for i in range(low, low + n)] == inside
    assert (text == "") == all(inside)
    assert (volume(box), extent(box[1])) == (n, n)

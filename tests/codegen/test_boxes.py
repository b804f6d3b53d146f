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
    nested_loops,
    partition,
    strip_loops,
    volume,
)
from unspool.codegen.indices import Bound


@given(data=st.data(), domain=st.lists(st.integers(1, 12), min_size=1, max_size=3))
def test_boxes_are_a_partition_of_the_domain(data: Any, domain: list[int]) -> None:
    wide = []
    for n in domain:
        ends = sorted(data.draw(st.sets(st.integers(0, n), min_size=2, max_size=5)))
        ranges = [*pairwise(ends)]
        chosen = data.draw(st.sets(st.sampled_from(ranges), min_size=1))
        wide.append([r for r in ranges if r in chosen])
    boxes = [*partition(tuple([(0, n) for n in domain]), wide)]
    covered = np.zeros(domain, int)
    for box, inside in boxes:
        covered[tuple([slice(*ends) for ends in box])] += 1
        assert inside == all(ends in ranges for ends, ranges in zip(box, wide, strict=True))
    assert (covered == 1).all()


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

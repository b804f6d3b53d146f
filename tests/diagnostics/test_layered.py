"""Boxes do not overlap, links go to the right, and do not cross where they need not."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from unspool.diagnostics.layered import Arrangement, arrange

Graph = tuple[list[tuple[float, float]], list[tuple[int, int]]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Boxes of any size, and links from smaller to larger numbers, some of them twice."""
    n = draw(st.integers(1, 14))
    sizes = draw(st.lists(st.tuples(st.floats(20, 200), st.floats(20, 80)), min_size=n, max_size=n))
    pairs = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda p: p[0] < p[1])
    links = draw(st.lists(pairs, max_size=25)) if n > 1 else []
    return sizes, links


def check(sizes: list[tuple[float, float]], links: list[tuple[int, int]], found: Arrangement) -> None:
    """The laws of every arrangement."""
    slack = 1e-6
    for (x, y), (width, height) in zip(found.places, sizes, strict=True):
        assert -slack <= x - width / 2 <= x + width / 2 <= found.width + slack
        assert -slack <= y - height / 2 <= y + height / 2 <= found.height + slack
    boxes = list(zip(found.places, sizes, strict=True))
    for ((x, y), (w, h)), ((a, b), (v, k)) in combinations(boxes, 2):
        assert abs(x - a) >= (w + v) / 2 - slack or abs(y - b) >= (h + k) / 2 - slack
    for (source, target), route in zip(links, found.routes, strict=True):
        assert abs(route[0][0] - found.places[source][0] - sizes[source][0] / 2) < slack
        assert abs(route[-1][0] - found.places[target][0] + sizes[target][0] / 2) < slack
        assert all(x < a + slack for (x, _), (a, _) in pairwise(route))
        for (x, y), (a, b) in list(pairwise(route))[1::2]:  # where it goes straight past a column
            assert y == b
            for (p, q), (_, height) in boxes:  # clear of every box of that column
                assert not x - slack < p < a + slack or abs(y - q) > height / 2


@given(graphs())
def test_laws(graph: Graph) -> None:
    sizes, links = graph
    check(sizes, links, arrange(sizes, links))


def test_a_box_stands_to_the_right_of_all_it_comes_from() -> None:
    sizes = [(40.0, 20.0)] * 5
    found = arrange(sizes, [(0, 1), (1, 2), (0, 2), (2, 4), (3, 4)])
    assert [x for x, _ in found.places] == [20.0, 156.0, 292.0, 20.0, 428.0]
    assert len(found.routes[2]) == 4  # past one column
    assert arrange(sizes, [(0, 1)], gap=10.0).width == 90.0


def test_links_are_untangled() -> None:
    """Each of four boxes goes to one of four that come in the opposite order."""
    sizes = [(40.0, 20.0)] * 8
    links = [(k, 7 - k) for k in range(4)]
    found = arrange(sizes, links)
    starts = [found.places[k][1] for k, _ in links]
    ends = [found.places[k][1] for _, k in links]
    assert sorted(range(4), key=lambda k: starts[k]) == sorted(range(4), key=lambda k: ends[k])


def test_two_links_between_the_same_boxes_are_apart() -> None:
    found = arrange([(40.0, 40.0), (40.0, 40.0)], [(0, 1), (0, 1)])
    assert found.routes[0] != found.routes[1]


def test_nothing() -> None:
    assert arrange([], []) == Arrangement((), (), 0.0, 0.0)

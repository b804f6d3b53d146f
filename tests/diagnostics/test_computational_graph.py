"""The graph says what the tape says, and what every other way to the derivative says."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

import unspool
from tests.oracles import same_bits
from unspool.diagnostics.computational_graph import MOST_PATHS, Graph, graph
from unspool.errors import InputError, UnsupportedError


def example(a: Any, b: Any) -> Any:
    c = a + b
    d = b + 1
    e = c * d
    return e


def network(w: Any, x: Any, b: Any) -> Any:
    z = w @ x + b
    h = 1 / (1 + np.exp(-z))
    h[0] *= 2.0
    left, right = h[:1], h[1:]
    loss = np.sum((left - right) ** 2) + np.max(h) * np.linalg.norm(x)
    return loss


NETWORK = np.linspace(-0.5, 1.0, 6).reshape(3, 2), np.array([1.0, -2.0]), np.array([0.1, 0.0, 0.3])


@pytest.fixture
def seen() -> Graph:
    return graph(example)(2.0, 1.0)


# --- e = (a + b)(b + 1) at (2, 1) -------------------------------------------------------------------------------------
def test_values_cotangents_and_partial_derivatives(seen: Graph) -> None:
    assert {node.name: node.value for node in seen.nodes} == {"a": 2, "b": 1, "c": 3, "d": 2, "e": 6}
    assert seen.cotangents == {"a": 2, "b": 5, "c": 2, "d": 3, "e": 1}
    assert [(edge.source.name, edge.target.name, edge.partial) for edge in seen.edges] == [
        ("a", "c", 1),
        ("b", "c", 1),
        ("b", "d", 1),
        ("c", "e", 2),
        ("d", "e", 3),
    ]


def test_the_sum_over_the_paths(seen: Graph) -> None:
    paths = seen.paths("b", "e")
    assert [(str(path), path.factors, path.product) for path in paths] == [
        ("b → c → e", "1·2", 2.0),
        ("b → d → e", "1·3", 3.0),
    ]
    assert paths.sum == 5.0
    assert paths.equation == "∂e/∂b = 1·2 + 1·3 = 5"
    assert len(seen.paths("a")) == 1
    assert seen.paths("a").sum == 2.0
    assert (len(seen.paths("a", "d")), seen.paths("a", "d").sum) == (0, 0.0)
    assert (len(seen.paths("c", "c")), seen.paths("c", "c").sum) == (1, 1.0)


def test_both_factorings(seen: Graph) -> None:
    forward, reverse = seen.forward("b"), seen.reverse("e")
    assert forward.derivatives == {"b": 1, "c": 1, "d": 1, "e": 5}
    assert (forward["a"], forward["e"]) == (0, 5)
    assert reverse.derivatives == {"a": 2, "b": 5, "c": 2, "d": 3, "e": 1}
    assert "∂e/∂b       2·1 + 3·1                5" in str(forward)
    assert str(forward).startswith("forward from b: 4 edges, each used once")
    assert [line.split()[0] for line in str(reverse).splitlines()[2:]] == ["∂e/∂e", "∂e/∂d", "∂e/∂c", "∂e/∂b", "∂e/∂a"]


def test_what_is_marked_in_the_pictures(seen: Graph) -> None:
    assert not any(link.marked for link in seen.drawing.links)
    assert [box.note for box in seen.drawing.boxes] == [f"∂e/∂{n} = {d}" for n, d in zip("abcde", "25231", strict=True)]
    assert [box.lines for box in seen.drawing.boxes] == [
        ("a", "2"),
        ("b", "1"),
        ("c = a + b", "3"),
        ("d = b + 1", "2"),
        ("e = c·d", "6"),
    ]
    assert [link.word for link in seen.drawing.links] == ["1", "1", "1", "2", "3"]
    paths = seen.paths("b").drawing
    assert [link.marked for link in paths.links] == [False, True, True, True, True]
    assert [box.marked for box in paths.boxes] == [False, True, True, True, True]
    assert paths.title == "∂e/∂b = 1·2 + 1·3 = 5"
    assert [link.marked for link in seen.forward("a").drawing.links] == [True, False, False, True, False]
    assert [box.note for box in seen.forward("b").drawing.boxes] == [
        "",
        *(f"∂{n}/∂b = {d}" for n, d in zip("bcde", "1115", strict=True)),
    ]
    for shown in (seen, seen.paths("b"), seen.forward("b"), seen.reverse()):
        assert ET.fromstring(shown._repr_svg_() or "").tag.endswith("svg")
        assert ">e = c·d<" in shown._repr_html_()


def test_the_text(seen: Graph) -> None:
    assert [line.split() for line in str(seen).splitlines()] == [
        ["example:", "5", "nodes"],
        ["node", "operation", "value", "cotangent"],
        ["a", "2", "2"],
        ["b", "1", "5"],
        ["c", "a", "+", "b", "3", "2"],
        ["d", "b", "+", "1", "2", "3"],
        ["e", "c·d", "6", "1"],
    ]


# --- any function -----------------------------------------------------------------------------------------------------
def test_the_cotangents_are_those_of_the_sweep() -> None:
    seen = graph(network)(*NETWORK)
    gradients = unspool.grad(network, argnums=(0, 1, 2))(*NETWORK)
    assert seen.cotangents is not None
    assert same_bits([seen.cotangents[name] for name in "wxb"], gradients)
    again = graph(network)(*NETWORK)
    assert again.cotangents is not None
    assert same_bits(list(seen.cotangents.values()), list(again.cotangents.values()))


def test_every_cotangent_is_the_derivative_with_respect_to_the_node() -> None:
    seen = graph(network)(*NETWORK)
    assert seen.cotangents is not None
    reverse = seen.reverse()
    for node in seen.nodes:
        np.testing.assert_allclose(reverse[node.name], seen.cotangents[node.name], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", ["w", "x", "b"])
def test_paths_and_both_factorings_agree_with_the_jacobian(name: str) -> None:
    seen = graph(network)(*NETWORK)
    expected = unspool.jacobian(network, "wxb".index(name))(*NETWORK)
    paths = seen.paths(name)
    assert len(paths) > 2
    np.testing.assert_allclose(paths.sum, expected, rtol=1e-13)
    np.testing.assert_allclose(seen.forward(name)["loss"], expected, rtol=1e-13)
    np.testing.assert_allclose(seen.reverse()[name], expected, rtol=1e-13)
    assert np.shape(seen.forward(name)["z"]) == np.shape(seen["z"].value) + np.shape(seen[name].value)


def test_partial_derivatives_of_arrays_have_both_shapes() -> None:
    seen = graph(lambda w, x: np.sin(w @ x))(np.ones((3, 2)), np.ones(2))
    shapes = [np.shape(edge.partial) for edge in seen.edges]
    assert shapes == [(3, 3, 2), (3, 2), (3, 3)]
    assert seen.cotangents is None
    assert [edge.label for edge in seen.edges][1] == "norm 2.449"
    assert seen.paths("x").equation.startswith("∂sin/∂x = ∂sin/∂matmul·∂matmul/∂x = f64[3, 2], norm")
    np.testing.assert_allclose(seen.edges[1].pull(np.array([1.0, 0.0, 2.0])), [3.0, 3.0])


def test_one_operand_twice_is_two_edges_and_two_paths() -> None:
    seen = graph(lambda x: x * x)(3.0)
    assert [edge.partial for edge in seen.edges] == [3.0, 3.0]
    assert seen.paths("x").equation == "∂multiply/∂x = 3 + 3 = 6"


def test_operations_with_several_results() -> None:
    matrix = np.array([[2.0, 0.5], [0.5, 1.0]])

    def f(a: Any) -> Any:
        values, vectors = np.linalg.eigh(a)
        return values[0] * np.sum(vectors**2) + values[1] ** 2

    seen = graph(f)(matrix)
    np.testing.assert_allclose(seen.paths("a").sum, unspool.grad(f)(matrix), atol=1e-13)
    assert [edge.target.name for edge in seen.edges][:2] == ["values", "vectors"]


def test_a_loop_and_a_function_with_its_own_rule() -> None:
    @unspool.custom_vjp
    def doubled(x: Any) -> Any:
        return x + x

    doubled.defvjp(lambda x: (x + x, None), lambda _, ct: (3.0 * ct,))  # wrong on purpose: the rule is what is shown

    def f(x: Any) -> Any:
        u = unspool.fori_loop(0, 4, lambda i, u: u * x, x, policy="revolve-2")
        return doubled(u)

    seen = graph(f)(2.0)
    u = seen["u"]
    assert [edge.partial for edge in seen.edges if edge.target is u] == [16.0, 64.0]  # x and, by the closure, x
    assert seen.cotangents is not None
    assert seen.cotangents["x"] == unspool.grad(f)(2.0) == 3 * 80.0


def test_complex_values_are_shown_and_not_multiplied_along_paths() -> None:
    def f(x: Any) -> Any:
        spectrum = np.fft.fft(x)
        return np.sum(np.abs(spectrum))

    x = np.array([1.0, 2.0, 0.5])
    seen = graph(f)(x)
    assert seen.cotangents is not None
    np.testing.assert_allclose(seen.cotangents["x"], unspool.grad(f)(x), rtol=1e-14)
    assert "<svg" in seen._repr_html_()
    with pytest.raises(UnsupportedError, match="one is complex"):
        seen.reverse()


def test_results_that_are_no_number_and_nodes_that_nothing_needs() -> None:
    def f(x: Any, y: Any) -> Any:
        np.exp(y)
        return x * 2, x + 1

    seen = graph(f)(1.0, 2.0)
    assert seen.cotangents is None
    assert len(seen.outputs) == 2
    with pytest.raises(InputError, match="has 2 results: say which node"):
        seen.paths("x")
    assert seen.paths("x", "multiply").sum == 2.0
    assert seen.reverse("add")["y"] == 0.0

    unused = graph(lambda x, y: x * 2)(1.0, np.ones(2))
    assert unused.cotangents is not None
    assert unused.cotangents["y"].tolist() == [0.0, 0.0]


def test_wrong_questions_are_answered() -> None:
    seen = graph(example)(2.0, 1.0)
    with pytest.raises(InputError, match="no node 'z'; its nodes are a, b, c, d, e"):
        seen["z"]
    with pytest.raises(InputError, match="belongs to another graph"):
        seen.paths(graph(example)(2.0, 1.0)["b"])
    assert seen.paths(seen["b"]).sum == 5.0
    with pytest.raises(InputError, match="floats"):
        graph(example)(2, 1)


def test_many_paths_are_counted_and_not_listed() -> None:
    def f(x: Any) -> Any:
        for _ in range(100):
            x = x * x
        return x

    seen = graph(f)(1.0)
    with pytest.raises(InputError, match=r"at least 1,000,000,000,000,000,000 paths from x to x#101, .*forward\('x'\)"):
        seen.paths("x")
    assert seen.forward("x")["x#101"] == 2.0**100
    assert seen.reverse()["x"] == 2.0**100
    assert len(seen.paths("x", "x#11")) == 2**10 <= MOST_PATHS


def test_it_is_known_by_a_short_name(seen: Graph) -> None:
    assert repr(seen) == "<example: 5 nodes>"
    assert repr(seen["c"]) == "<node c: 3>"
    assert repr(seen.edges[0]) == "<edge a → c>"
    assert repr(seen.paths("b")) == "<∂e/∂b = 1·2 + 1·3 = 5>"
    assert repr(seen.paths("b").paths[0]) == "<path b → c → e>"
    assert repr(seen.forward("b")) == "<forward from b: 4 edges, each used once>"


def test_a_long_chain_is_walked_without_recursion_and_shown_in_part() -> None:
    def f(x: Any) -> Any:
        for _ in range(5000):
            x = np.negative(x)
        return x

    seen = graph(f)(2.0)
    (path,) = seen.paths("x")
    assert (len(path.edges), path.product) == (5000, 1.0)
    assert path.factors == "(-1)·(-1)·(-1)·…·(-1)·(-1)·(-1)"
    text = str(seen).splitlines()
    assert len(text) == 203
    assert "4,801 more" in text[102]
    assert seen._repr_html_().startswith("<pre>f: 5,001 nodes")
    assert seen.dot.count("->") == 5000


def test_a_large_partial_derivative_is_not_written_out() -> None:
    seen = graph(lambda x: np.sum(np.sin(x)))(np.ones(200))
    assert [edge.label for edge in seen.edges] == ["", "norm 14.14"]
    assert seen.cotangents is not None
    with pytest.raises(UnsupportedError, match="of sin by x has 40,000 entries, and 10,000 are written out"):
        str(seen.paths("x"))

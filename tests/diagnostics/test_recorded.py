"""What a function did, with the names of the user."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from unspool.diagnostics.recorded import Recorded, record, short
from unspool.errors import ClosedError, InputError, UnsupportedError
from unspool.ir.evaluate import evaluate


def words(recorded: Recorded) -> list[str]:
    """Every node with its formula."""
    return [f"{node.name} = {node.formula()}" if node.formula() else node.name for node in recorded.nodes]


def test_nodes_have_the_names_of_variables() -> None:
    def f(a: Any, b: Any) -> Any:
        c = a + b
        d = b + 1
        e = c * d
        return e

    seen = record(f, (2.0, 1.0))
    assert words(seen) == ["a", "b", "c = a + b", "d = b + 1", "e = c·d"]
    assert [node.value for node in seen.nodes] == [2.0, 1.0, 3.0, 2.0, 6.0]
    assert [node.name for node in seen.outputs] == ["e"]
    assert seen.loss is seen.nodes[-1]
    assert [node.name for node in seen.inputs] == ["a", "b"]
    assert all(node.line is not None and node.line.startswith("test_recorded.py:") for node in seen.nodes[2:])


def test_nodes_without_a_variable_have_the_name_of_their_primitive() -> None:
    seen = record(lambda a, b: (a + b) * (b + 1) - -3.0 * a, (2.0, 1.0))
    assert words(seen)[2:] == [
        "add = a + b",
        "add#2 = b + 1",
        "multiply = add·add#2",
        "multiply#2 = -3·a",
        "subtract = multiply - multiply#2",
    ]
    assert "x + (-3)" in words(record(lambda x: x + -3.0, (1.0,)))[1]


def test_names_reach_into_containers_arguments_and_helpers() -> None:
    def scaled(part: Any, by: Any) -> Any:
        result = part * by
        return result

    def f(params: Any, *rest: Any) -> Any:
        layers = [params["w"] @ rest[0]]
        layers.append(np.tanh(layers[0]))
        out = scaled(layers[1], params["s"][0])
        return np.sum(out)

    seen = record(f, ({"w": np.ones((2, 2)), "s": (2.0,)}, np.ones(2)))
    assert words(seen) == [
        "params['w']",
        "params['s'][0]",
        "rest[0]",
        "layers[0] = params['w'] @ rest[0]",
        "layers[1] = tanh(layers[0])",
        "out = layers[1]·params['s'][0]",
        "sum = sum(out)",
    ]


def test_rebinding_and_writing_make_new_nodes_of_the_same_name() -> None:
    def f(x: Any) -> Any:
        x = np.sin(x)
        u = np.copy(x)
        u[0] = 2.0
        return -u[1:]

    assert words(record(f, (np.ones(3),))) == [
        "x",
        "x#2 = sin(x)",
        "u = copy(x#2)",
        "u#2 = u[0] ← 2",
        "getitem = u#2[1:]",
        "negative = -getitem",
    ]


def test_what_does_not_depend_on_an_input_is_a_constant() -> None:
    def f(x: Any) -> Any:
        zeros = np.zeros_like(x)
        big = x > 1
        return np.where(big, x, zeros), 3.0

    seen = record(f, (np.array([0.5, 2.0]),))
    assert len(seen.nodes) == 2
    assert len(seen.outputs) == 1
    assert seen.loss is None


def test_a_function_written_in_c_and_one_with_several_results() -> None:
    assert words(record(np.multiply, (2.0, 3.0)))[2] == "multiply = x1·x2"
    assert words(record(max, (2.0, 3.0))) == ["x0", "x1"]

    seen = record(np.linalg.eigh, (np.diag([1.0, 2.0]),))
    assert [node.part for node in seen.nodes] == [None, 0, 1]
    assert words(seen)[1:] == ["eigh = eigh(a, lower=True)[0]", "eigh#2 = eigh(a, lower=True)[1]"]


def test_a_loop_is_one_node_under_its_own_policy() -> None:
    def f(x: Any) -> Any:
        u = unspool.fori_loop(0, 5, lambda i, u: u * x, x, policy="revolve-2")
        return u * 2

    with unspool.observe() as log:
        seen = record(f, (2.0,))
    assert [node.name for node in seen.nodes] == ["x", "u", "multiply"]
    assert seen.nodes[1].primitive is not None
    assert seen.nodes[1].primitive.name == "fori_loop"
    assert seen.nodes[2].value == 2 * 2.0**6
    assert [report.n_steps for report in log] == [5]


def test_the_operations_are_a_program() -> None:
    table = np.array([1.0, 2.0, 3.0])

    def f(x: Any, y: Any) -> Any:
        if y > 1:
            return np.sum(np.sin(x) * table) / y
        return y

    args = np.array([0.1, 0.2, 0.3]), 2.0
    program = record(f, args).program()
    (value,) = evaluate(program, args[0], np.float64(2.0))
    assert value == f(*args)
    assert "# test_recorded.py:" in str(program)

    with pytest.raises(UnsupportedError, match=r"fori_loop .* is one operation of the tape and no formula"):
        record(lambda x: unspool.fori_loop(0, 3, lambda i, u: u * x, x), (1.0,)).program()


@pytest.mark.parametrize("bad", [3, True, np.arange(3), "text"])
def test_arguments_are_floats(bad: Any) -> None:
    def first(x: Any, p: Any) -> Any:
        return x

    with pytest.raises(InputError, match=r"argument 1\['n'\] of first is .*lambda x: f\(x, n\)"):
        record(first, (1.0, {"n": bad}))


def test_values_end_with_the_function() -> None:
    kept = []

    def f(x: Any) -> Any:
        kept.append(x * 2)
        return x

    record(f, (1.0,))
    with pytest.raises(ClosedError):
        kept[0] + 1


def test_an_error_of_the_function_arrives_and_leaves_nothing_behind() -> None:
    from unspool.ir.listener import active

    with pytest.raises(ZeroDivisionError):
        record(lambda x: x * (1 // 0), (1.0,))
    assert active() == []


def test_values_in_few_letters() -> None:
    assert short(np.array(2.0)) == "2"
    assert short(np.float32(1 / 3)) == "0.3333"
    assert short(np.zeros(0)) == "[]"
    assert short(np.ones((2, 2), bool)) == "b8[2, 2]"
    assert short(np.array([1e300, np.nan, -np.inf])) == "[1e+300, nan, -inf]"

"""Programs are values, keep their laws, and print as a person would write them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from unspool.errors import ProgramError
from unspool.ir.evaluate import evaluate
from unspool.ir.program import Equation, Literal, Program, Var, freeze
from unspool.ir.simplify import drop_dead, fold_constants, join_common, renumber, simplify
from unspool.ir.verify import verify
from unspool.layout import ArrayType
from unspool.ops import PRIMITIVES
from unspool.tracer import trace

F3 = ArrayType(np.dtype(float), (3,))
F2 = ArrayType(np.dtype(float), (2,))


def _program(f: Any = lambda x, y: np.sin(x) * y) -> Program:
    return trace(f, F3, F3)


def test_equal_functions_make_equal_programs_and_others_do_not() -> None:
    assert _program() == _program()
    assert len({_program(), _program(), _program(lambda x, y: np.cos(x) * y)}) == 2
    assert _program() != _program(lambda x, y: y * np.sin(x))
    assert trace(lambda x: x * 2.0, F3) != trace(lambda x: x * 3.0, F3)
    assert trace(lambda x: x * 2.0, F3) != trace(lambda x: x * 2, F3)
    assert trace(lambda x: x[1:], F3) != trace(lambda x: x[:-1], F3)
    assert trace(lambda x: x + np.ones(3), F3) != trace(lambda x: x + np.zeros(3), F3)
    assert trace(lambda x: x * 1.0, F3) != trace(lambda x: x * 1.0, F2)
    assert _program() != "program"


def test_a_program_is_not_changed_by_its_passes() -> None:
    program = _program(lambda x, y: (np.sin(x) + np.sin(x)) * y + 0.0 * np.cos(y))
    before = program.content()
    simplify(program)
    assert program.content() == before


def test_dead_equations_go_and_inputs_stay() -> None:
    program = drop_dead(_program(lambda x, y: (np.cos(y), np.sin(x))[1]))
    assert [e.primitive.name for e in program.equations] == ["sin"]
    assert len(program.inputs) == 2


def test_equal_equations_are_joined() -> None:
    program = drop_dead(join_common(_program(lambda x, y: np.sin(x) * np.sin(x) + np.ones(3) * np.ones(3))))
    assert [e.primitive.name for e in program.equations].count("sin") == 1
    assert len(program.consts) <= 2


def test_zeros_of_either_sign_are_not_joined() -> None:
    program = simplify(trace(lambda x: np.copysign(1.0, x * 0.0 + np.array([0.0])) + (x + np.array([-0.0])), F3))
    assert len({value.tobytes() for _, value in program.consts}) == len(program.consts)
    x = np.full(3, -0.0)
    assert evaluate(simplify(trace(lambda x: (x + np.zeros(3), x + -np.zeros(3)), F3)), x)[1].tobytes() == x.tobytes()


def test_literals_of_different_types_are_not_joined() -> None:
    i3 = ArrayType(np.dtype(np.int64), (3,))
    program = simplify(trace(lambda n: (n * 1, n * 1.0, n * True), i3))
    results = evaluate(program, np.arange(3))
    assert [r.dtype.kind for r in results] == ["i", "f", "i"]


def test_constants_are_folded_and_bits_stay() -> None:
    f = lambda x, y: x * np.sin(np.arange(3.0) * 0.7) + y
    program = fold_constants(_program(f))
    x = np.array([0.3, -0.2, 0.5])
    assert evaluate(program, x, x)[0].tobytes() == f(x, x).tobytes()
    ones = trace(lambda x: x + (x * 0 + 1 / 3), F3)
    assert evaluate(simplify(ones), x)[0].tobytes() == evaluate(ones, x)[0].tobytes()


def test_vars_are_numbered_in_the_order_of_binding() -> None:
    program = renumber(_program(lambda x, y: np.sin(x) * y))
    bound = [v.number for v in (*program.inputs, *(v for v, _ in program.consts))]
    bound += [v.number for e in program.equations for v in e.outputs]
    assert bound == list(range(len(bound)))


def test_evaluate_refuses_other_numbers_and_types_of_inputs() -> None:
    with pytest.raises(ProgramError, match="2 inputs; 1 were given"):
        evaluate(_program(), np.zeros(3))
    with pytest.raises(ProgramError, match=r"input 1 is f64\[2\]; the program was made for f64\[3\]"):
        evaluate(_program(), np.zeros(3), np.zeros(2))


def _equation(name: str, operands: Any, outputs: Any) -> Equation:
    return Equation(PRIMITIVES[name], operands, (), outputs, "model.py:7")


def test_a_use_before_its_binding_is_found() -> None:
    a, b = Var(0, F3), Var(1, F3)
    with pytest.raises(ProgramError, match=r"equation 0 \(sin, model.py:7\): %1 is used before it is bound"):
        verify(Program((a,), (), (_equation("sin", (b,), (b,)),), (b,)))
    with pytest.raises(ProgramError, match="outputs: %1 is not bound"):
        verify(Program((a,), (), (), (b,)))


def test_a_second_binding_is_found() -> None:
    a, b = Var(0, F3), Var(1, F3)
    twice = (_equation("sin", (a,), (b,)), _equation("cos", (a,), (b,)))
    with pytest.raises(ProgramError, match="%1 is bound twice"):
        verify(Program((a,), (), twice, (b,)))
    with pytest.raises(ProgramError, match="inputs: %0 is bound twice"):
        verify(Program((a, a), (), (), (a,)))
    with pytest.raises(ProgramError, match="%0 is bound twice"):
        verify(Program((a, Var(0, F2)), (), (), (a,)))
    with pytest.raises(ProgramError, match="consts: %0 is bound twice"):
        verify(Program((a,), ((a, np.zeros(3)),), (), (a,)))


def test_a_wrong_type_is_found() -> None:
    a = Var(0, F3)
    with pytest.raises(ProgramError, match=r"said to be f64\[2\]; the primitive gives f64\[3\]"):
        verify(Program((a,), (), (_equation("sin", (a,), (Var(1, F2),)),), (a,)))
    with pytest.raises(ProgramError, match=r"const %1 is said to be f64\[2\] and is f64\[3\]"):
        verify(Program((a,), ((Var(1, F2), np.zeros(3)),), (), (a,)))


def test_the_hand_made_program_that_keeps_the_laws_is_returned() -> None:
    a, b = Var(0, F3), Var(1, F3)
    program = Program((a,), (), (_equation("multiply", (a, Literal(2.0)), (b,)),), (b, Literal(3)))
    assert verify(program) is program
    out = evaluate(program, np.ones(3))
    assert (out[0].tolist(), out[1]) == ([2.0] * 3, 3)
    assert replace(program) == program


def test_it_prints_with_types_lines_and_short_constants() -> None:
    def f(x: Any, y: Any) -> Any:
        u = x[1:, None] * np.array([1.0, 2.0])
        return np.sum(u, axis=(0,)), y + np.arange(100.0)[:3]

    text = str(simplify(_program(f)))
    assert text.startswith("program(%0: f64[3], %1: f64[3]):\n")
    assert "f64[2] = [1.0, 2.0]" in text
    assert "# test_program.py:" in text
    assert "getitem(%0, index=(1:, None))" in text
    assert text.splitlines()[-1].strip().startswith("return %")
    assert "const 0.0 ..." in str(trace(lambda x: x[0] + np.arange(100.0), F3))


def test_parameters_freeze_by_content() -> None:
    a = {"index": (slice(1, None), np.array([1, 2])), "axis": [0, 1]}
    b = {"axis": [0, 1], "index": (slice(1, None), np.array([1, 2]))}
    assert freeze(a) == freeze(b)
    assert hash(freeze(a)) == hash(freeze(b))
    assert freeze(np.array([1, 2])) != freeze(np.array([1.0, 2.0]))
    assert freeze(slice(0, 2)) != freeze(slice(0, 2, 1))

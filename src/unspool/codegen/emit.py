"""From the scalar code of a step to the text of a Numba module: advance, record and reverse on ranges of steps.

The state is one vector f64[s]; per-step inputs and outputs are rows of f64[n, i] and f64[n, o]; captures are one
vector. A kernel is given the addresses of all of them, then start and stop of the range, and the height of the tape.
Record keeps the state before each step in ``taped``; reverse computes what else it needs again. No fastmath anywhere:
the bits of a step do not depend on the function that runs it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from unspool.adjoint import Adjoint
from unspool.codegen.scalars import imported, run
from unspool.codegen.statements import MOST_STATEMENTS, Code, Scalar, text
from unspool.errors import UnsupportedError
from unspool.ir.program import Program
from unspool.layout import ArrayType

Names = list[str]


def emit(adjoint: Adjoint) -> str:
    """The source of the module for a step. Raises `UnsupportedError` where the step is not for scalar code."""
    n_state = sum(t.size for t in adjoint.state)
    n_inputs = sum(t.size for t in adjoint.inputs)
    n_outputs = sum(t.size for t in adjoint.outputs)
    n_captures = sum(t.size for t in adjoint.captures)
    state, inputs = _names("s", n_state), _names("x", n_inputs)
    captures, outputs = _names("c", n_captures), _names("y", n_outputs)
    cts, cts_outputs = _names("d", n_state), _names("e", n_outputs)
    totals = _names("g", n_captures)
    operands = [*_spread(adjoint.state, state), *_spread(adjoint.inputs, inputs), *_spread(adjoint.captures, captures)]

    given = [*operands, *_spread(adjoint.state, cts), *_spread(adjoint.outputs, cts_outputs)]
    code, results = _written(adjoint.joint, given)
    forward = _body(code, results[: n_state + n_outputs], [*state, *outputs])
    backward = _body(code, results[n_state + n_outputs :], [*cts, *_names("z", n_inputs), *_names("h", n_captures)])

    load_captures = [f"c{i} = captures[{i}]" for i in range(n_captures)]
    load_state = [f"s{i} = state[{i}]" for i in range(n_state)]
    keep_state = [f"state[{i}] = s{i}" for i in range(n_state)]
    rows = [f"x{i} = xs[k, {i}]" for i in range(n_inputs)]
    put_out = [f"ys[k, {i}] = y{i}" for i in range(n_outputs)]
    stop = [f"if s{n_state - 1} != -1.0:", "    break"] if adjoint.watched else []  # the state stays as it is
    tape = [f"taped[top, {i}] = s{i}" for i in range(n_state)]
    arrays = {
        "state": "f64[:]",
        "xs": f"f64[:, {n_inputs}]",
        "ys": f"f64[:, {n_outputs}]",
        "captures": "f64[:]",
        "ct": "f64[:]",
        "cts_xs": f"f64[:, {n_inputs}]",
        "cts_ys": f"f64[:, {n_outputs}]",
        "totals": "f64[:]",
        "taped": f"f64[:, {n_state}]",
    }
    lines: Names = []
    lines += _function(
        "advance",
        arrays,
        before=[*load_captures, *load_state],
        loop="for k in range(a[9], a[10]):",
        body=[*rows, *forward, *put_out, *stop],
        after=keep_state,
    )
    lines += _function(
        "record",
        arrays,
        before=["top = a[11]", *load_captures, *load_state],
        loop="for k in range(a[9], a[10]):",
        body=[*tape, "top += 1", *rows, *forward, *put_out],
        after=keep_state,
    )
    lines += _function(
        "reverse",
        arrays,
        before=[
            "top = a[11]",
            *load_captures,
            *(f"d{i} = ct[{i}]" for i in range(n_state)),
            *(f"g{i} = totals[{i}]" for i in range(n_captures)),
        ],
        loop="for k in range(a[10] - 1, a[9] - 1, -1):",
        body=[
            "top -= 1",
            *(f"s{i} = taped[top, {i}]" for i in range(n_state)),
            *(f"x{i} = xs[k, {i}]" for i in range(n_inputs)),
            *(f"e{i} = cts_ys[k, {i}]" for i in range(n_outputs)),
            *backward,
            *(f"cts_xs[k, {i}] = z{i}" for i in range(n_inputs)),
            *(f"{total} = {total} + h{i}" for i, total in enumerate(totals)),
        ],
        after=[
            *(f"ct[{i}] = d{i}" for i in range(n_state)),
            *(f"totals[{i}] = g{i}" for i in range(n_captures)),
        ],
    )
    head = [
        "import math",
        "import numpy as np",
        "",
        "from unspool.codegen.fields import field, fma, select",
        *imported(lines),
    ]
    return "\n".join([*head, "", "", *lines]).rstrip("\n") + "\n"


def _names(letter: str, n: int) -> Names:
    return [f"{letter}{i}" for i in range(n)]


def _spread(types: Sequence[ArrayType], names: Names) -> list[list[str]]:
    """The names in groups, one per array."""
    rest = iter(names)
    return [[next(rest) for _ in range(t.size)] for t in types]


def _written(program: Program, operands: Sequence[Sequence[str]]) -> tuple[Code, list[Any]]:
    """The code of a program, and its outputs element by element."""
    code = Code(one_by_one=True)
    arrays: list[Any] = [_array([Scalar(code, "step")], ())]
    for var, names in zip(program.inputs[1:], operands, strict=True):
        if var.type.dtype != np.float64:
            raise UnsupportedError(f"the step works on {var.type}: only float64 is compiled")
        arrays.append(_array([Scalar(code, name) for name in names], var.type.shape))
    results = [x for array in run(program, code, arrays) for x in array.ravel().tolist()]
    code.contract(results)
    return code, results


def _body(code: Code, results: list[Any], targets: Sequence[str]) -> Names:
    """The statements that some results need, and their assignment to the targets."""
    live = code.live(results)
    if len(live) > MOST_STATEMENTS:
        raise UnsupportedError(f"the step has {len(live)} statements on numbers; {MOST_STATEMENTS} are compiled")
    statements = [*map(str, live)]
    if any("step" in statement.reads for statement in live) or any(getattr(x, "name", "") == "step" for x in results):
        statements.insert(0, "step = float(k)")
    # outputs may be inputs under other names (a state shifted by one): read all before any is written
    direct = [x.name if isinstance(x, Scalar) else None for x in results]
    clash = {name for name in direct if name is not None and name in targets}
    statements += [f"was_{name} = {name}" for name in sorted(clash)]
    for target, x, name in zip(targets, results, direct, strict=True):
        value = f"was_{name}" if name in clash else text(x)
        if value != f"was_{target}":
            statements.append(f"{target} = {value}")
    return statements


def _array(values: list[Any], shape: tuple[int, ...]) -> Any:
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape)


def _function(name: str, arrays: dict[str, str], *, before: Names, loop: str, body: Names, after: Names) -> Names:
    words = set(_ARRAYS.findall("\n".join([*before, *body, *after])))
    lines = [f"def {name}(a):"]
    for place, (array, kind) in enumerate(arrays.items()):
        if array in words:
            lines.append(f'    {array} = field(a[{place}], "{kind}", {place})')
    lines += [f"    {line}" for line in before]
    lines.append(f"    {loop}")
    lines += [f"        {line}" for line in body or ["pass"]]
    lines += [f"    {line}" for line in after]
    return [*lines, "    return 0", "", ""]


_ARRAYS = re.compile(r"\b(\w+)\[")

"""The text of a module: as the golden file has it, readable, and right where names cross.

After a change that is meant: ``python -m tests.codegen.test_emit`` writes the golden file anew; review its diff.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.codegen.plain import Plain
from unspool.adjoint import Adjoint, joined, record
from unspool.codegen.control import Numbers
from unspool.codegen.emit import emit
from unspool.errors import UnsupportedError
from unspool.ir.evaluate import evaluate
from unspool.layout import ArrayType

GOLDEN = Path(__file__).parent / "golden" / "lorenz_rk4.py.txt"


def adjoint_of(step: Any, state: list[Any], captures: list[Any], inputs: list[Any] = []) -> Adjoint:  # noqa: B006
    """The programs of ``step(k, state, inputs, captures) -> (state, outputs)`` for arrays like these."""

    def flat(k: Any, new: list[Any], rows: list[Any], read: Any) -> Any:
        return step(k, new, rows, [read(j) for j in range(len(captures))])

    types = [[*map(ArrayType.of, group)] for group in (state, inputs)]
    return joined([record(flat, *types, lambda j: ArrayType.of(captures[j]), lambda: len(captures))])


def _slope(u: Any, p: Any) -> Any:
    x, y, z = u
    return np.stack([p[0] * (y - x), x * (p[1] - z) - y, x * y - p[2] * z])


def lorenz(k: Any, state: list[Any], inputs: list[Any], captures: list[Any]) -> Any:
    """A step of Lorenz-63 by the classical Runge-Kutta method; the parameters are captured."""
    (u,), (p,) = state, captures
    dt = 0.01
    a = _slope(u, p)
    b = _slope(u + dt / 2 * a, p)
    c = _slope(u + dt / 2 * b, p)
    d = _slope(u + dt * c, p)
    return [u + dt / 6 * (a + 2 * b + 2 * c + d)], []


def lorenz_source() -> str:
    """The text of its module."""
    return emit(adjoint_of(lorenz, [np.ones(3)], [np.ones(3)]))


def test_the_source_of_lorenz_is_the_golden_file() -> None:
    assert lorenz_source() == GOLDEN.read_text(), "if this is meant: python -m tests.codegen.test_emit"


def test_the_source_is_the_same_every_time_and_is_plain_python() -> None:
    assert lorenz_source() == lorenz_source()
    compile(lorenz_source(), "<source>", "exec")
    assert "fastmath" not in lorenz_source()
    assert re.findall(r"^def (\w+)\(a\):$", lorenz_source(), re.M) == ["advance", "record", "reverse"]


def _run(step: Any, state: list[Any], captures: list[Any], inputs: list[Any], n_outputs: int, n: int = 3) -> None:
    """Carry the text out without a compiler and compare with the programs by the interpreter, step by step."""
    adjoint = adjoint_of(step, state, captures, inputs)
    kernels = Plain(emit(adjoint), ["advance", "record", "reverse"])
    flat = lambda arrays: np.concatenate([np.zeros(0), *map(np.ravel, arrays)])
    vector, taken = flat(state), flat(captures)
    rng = np.random.default_rng(0)
    xs = rng.normal(size=(n, sum(np.size(x) for x in inputs)))
    ys, taped = np.full((n, n_outputs), np.nan), np.full((n, vector.size), np.nan)

    def run(name: str, start: int, stop: int, top: int = 0, **arrays: np.ndarray) -> None:
        block = np.zeros(Numbers.TOP + 1, np.int64)
        for array, value in arrays.items():
            block[getattr(Numbers, array.upper())] = value.ctypes.data
        block[Numbers.START], block[Numbers.STOP], block[Numbers.TOP] = start, stop, top
        assert kernels.function(name)(block) == 0

    run("record", 0, n, state=vector, xs=xs, ys=ys, captures=taken, taped=taped)
    other, other_ys = flat(state), np.full((n, n_outputs), np.nan)
    run("advance", 0, 1, state=other, xs=xs, ys=other_ys, captures=taken)
    run("advance", 1, n, state=other, xs=xs, ys=other_ys, captures=taken)
    assert np.array_equal(vector, other)
    assert np.array_equal(ys, other_ys)

    values, saved, outputs = state, [], []
    for k in range(n):
        rows = _split(xs[k], inputs)
        saved.append((np.int64(k), *values, *rows, *captures))
        results = evaluate(adjoint.advance, *saved[-1])
        values, outputs = [*results[: len(state)]], [*outputs, flat(results[len(state) :])]
    np.testing.assert_allclose(vector, flat(values), rtol=1e-14)
    np.testing.assert_allclose(ys, np.array(outputs).reshape(n, n_outputs), rtol=1e-14)

    ct, cts_ys, cts_xs = rng.normal(size=vector.size), rng.normal(size=ys.shape), np.full(xs.shape, np.nan)
    totals, total, back = np.zeros(taken.size), np.zeros(taken.size), _split(ct, state)
    expected_xs = np.zeros(xs.shape)
    for k in reversed(range(n)):
        outs = [*adjoint.outputs]
        found = evaluate(adjoint.reverse, *saved[k], *back, *_split(cts_ys[k], outs))
        back = [*found[: len(state)]]
        expected_xs[k] = flat(found[len(state) : len(state) + len(inputs)])
        total += flat(found[len(state) + len(inputs) :])
    arrays = {"ct": ct, "xs": xs, "cts_xs": cts_xs, "cts_ys": cts_ys, "captures": taken, "totals": totals}
    run("reverse", 1, n, n, **arrays, taped=taped)
    run("reverse", 0, 1, 1, **arrays, taped=taped)
    for one, reference in ((ct, flat(back)), (cts_xs, expected_xs), (totals, total)):
        np.testing.assert_allclose(one, reference, rtol=1e-13, atol=1e-14)


def _split(vector: np.ndarray, like: list[Any]) -> list[Any]:
    parts, start = [], 0
    for array in like:
        shape = array.shape if isinstance(array, ArrayType) else np.shape(array)
        size = int(np.prod(shape))
        parts.append(vector[start : start + size].reshape(shape)[()])
        start += size
    return parts


U, V = np.array([0.3, -0.2, 0.5]), np.array([0.7, 0.9, -1.1])


def test_lorenz_as_text_does_what_the_programs_do() -> None:
    _run(lorenz, [np.array([1.0, 1.1, 0.9])], [np.array([10.0, 28.0, 8 / 3])], [], 0)


CROSSINGS: list[Any] = [
    (lambda k, s, x, c: ([s[1], s[0]], [s[0], s[1]]), 6),
    (lambda k, s, x, c: ([np.roll(s[0], 1), s[0][::-1]], []), 0),
    (lambda k, s, x, c: ([s[1] * 2, s[0]], [s[0][:1], x[0], c[0]]), 5),
    (lambda k, s, x, c: ([c[0][0] + 0 * U, np.ones(3)], [np.float64(2.0)]), 1),
    (lambda k, s, x, c: ([s[0] * k, s[1] + k // 2], [k * 0.5]), 1),
    (lambda k, s, x, c: ([np.where(s[0] > s[1], s[0], s[1]), np.where(k == 1, s[0], s[1])], []), 0),
    (lambda k, s, x, c: ([s[0] + x[0][0] * c[0][1], s[1]], [s[0] * 0.0]), 3),
    (lambda k, s, x, c: ([s[0], s[1]], []), 0),
]


@pytest.mark.parametrize(("step", "n_outputs"), CROSSINGS, ids=range(len(CROSSINGS)))
def test_names_that_cross_are_read_before_they_are_written(step: Any, n_outputs: int) -> None:
    _run(step, [U, V], [np.array([0.4, 0.6])], [np.array([1.0, 2.0])], n_outputs)


def test_other_types_than_float64_are_refused() -> None:
    for state, captures in (([U], [np.float32(1.0)]), ([U], [np.ones(2, int)]), ([U], [np.ones(2, complex)])):
        adjoint = adjoint_of(lambda k, s, x, c: ([s[0] * 0.5], [c[0]]), state, captures)
        with pytest.raises(UnsupportedError, match="only float64 is compiled"):
            emit(adjoint)


def test_a_long_step_is_refused_with_its_length() -> None:
    def step(k: Any, state: Any, inputs: Any, captures: Any) -> Any:
        (u,) = state
        for j in range(90):
            u = np.sin(u + 0.1 * j)
        return [u], []

    with pytest.raises(UnsupportedError, match=r"the step has \d+ statements on numbers; 4000 are compiled"):
        emit(adjoint_of(step, [np.ones(30)], []))
    emit(adjoint_of(step, [np.ones(3)], []))


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(lorenz_source())

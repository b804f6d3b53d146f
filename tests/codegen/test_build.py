"""Machine code by content: shared where steps compute the same, apart where any bit of them differs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tests.codegen.plain import Plain
from tests.codegen.test_emit import adjoint_of
from unspool.adjoint import Adjoint
from unspool.codegen import build as module
from unspool.codegen.build import FEW, build, is_built
from unspool.codegen.field_step import field_step
from unspool.codegen.machine import CompiledFields, CompiledNumbers
from unspool.codegen.places import room
from unspool.errors import UnsupportedError


def _times(factor: Any) -> Adjoint:
    return adjoint_of(lambda k, s, x, c: ([s[0] * factor], []), [np.ones(1)], [])


def test_equal_steps_share_code_and_others_do_not() -> None:
    one = _times(0.625)
    assert not is_built(one)
    compiled = build(one)
    assert is_built(one)
    assert is_built(_times(0.625))
    assert build(_times(0.625)) is compiled
    for other in (0.625 + 2**-53, -0.625, np.full(1, 0.625) + 1e-16, np.nan):
        assert not is_built(_times(other))
    assert isinstance(compiled, CompiledNumbers)
    assert "0.625" in compiled.source
    assert compiled.n_statements == compiled.source.count(" = ")
    assert (compiled.state_bytes, compiled.residual_bytes, compiled.first_bytes) == (8, 8, 0)
    assert compiled.code.addresses.keys() == {"advance", "record", "reverse"}


def test_what_is_too_long_or_not_for_numbers_is_compiled_as_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load", Plain)
    large = adjoint_of(lambda k, s, x, c: ([s[0] * c[0] + x[0]], []), [np.ones(171)], [np.ones(171)], [np.ones(171)])
    matrix = adjoint_of(lambda k, s, x, c: ([np.linalg.solve(np.eye(2) * 3.0, s[0])], []), [np.ones(2)], [])
    long = adjoint_of(lambda k, s, x, c: ([_long(s[0])], []), [np.ones(100)], [])
    for adjoint, n_bytes in ((large, 171), (matrix, 2), (long, 100)):
        compiled = build(adjoint)
        assert isinstance(compiled, CompiledFields)
        assert compiled.adjoint is adjoint
        assert compiled.source == compiled.step.text
        assert compiled.state_bytes == room(adjoint.state[0]) >= 8 * n_bytes
        assert (compiled.residual_bytes, compiled.first_bytes) == compiled.step.taped_bytes()
    small = adjoint_of(lambda k, s, x, c: ([s[0] * c[0] + x[0]], []), [np.ones(170)], [np.ones(170)], [np.ones(170)])
    assert 3 * 170 <= FEW < 3 * 171
    monkeypatch.setattr(module, "_LONG", 10**6)
    assert isinstance(build(small), CompiledNumbers)


def _chain(n: int, places: Any = None) -> Adjoint:
    def step(k: Any, s: Any, x: Any, c: Any) -> Any:
        u = s[0]
        for _ in range(20):
            u = u + 0.1 * u * u
        return [u if places is None else u[places]], []

    return adjoint_of(step, [np.ones(n)], [])


def test_a_long_text_of_numbers_gives_way_to_short_nests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load", Plain)
    few, many = [build(_chain(n)) for n in (9, 40)]
    assert isinstance(few, CompiledNumbers)
    assert few.n_statements > module._LONG
    assert isinstance(many, CompiledFields)
    assert isinstance(build(_chain(40), shared=True), CompiledFields)
    called = _chain(40, np.arange(40)[::-1].copy())
    assert field_step(called).calls  # from nests a gather is called in Python
    assert isinstance(build(called), CompiledNumbers)


def test_calls_weigh_as_much_as_several_statements() -> None:
    assert module._weight("x = y") == 1
    assert module._weight("x = exp(y)") == 1 + module._FUNCTION
    assert module._weight("gemv(a[3], 0, 2, 2, a[0], a[1], a[2])") == module._BLAS


def _long(u: Any) -> Any:
    for j in range(90):
        u = np.sin(u + 0.1 * j)
    return u


def test_a_step_that_is_refused_leaves_nothing_behind() -> None:
    adjoint = adjoint_of(lambda k, s, x, c: ([np.real(np.exp(1j * s[0]))], []), [np.ones(2)], [])
    for _ in range(2):
        with pytest.raises(UnsupportedError, match=r"test_build.py:\d+ is c128"):
            build(adjoint)
        assert not is_built(adjoint)


def test_what_the_compiler_refuses_is_refused_by_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "emit", lambda adjoint: _SOURCE_OF_TEXT)
    adjoint = _times(0.375)
    with pytest.raises(UnsupportedError, match="the compiler does not take the step"):
        build(adjoint)
    assert not is_built(adjoint)


_SOURCE_OF_TEXT = """
def advance(a):
    return "text"
record = reverse = advance
"""


def test_the_steps_used_least_recently_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load", Plain)
    monkeypatch.setattr(module, "_BUILT", type(module._BUILT)())
    monkeypatch.setattr(module, "_MOST", 3)
    steps = [_times(100.0 + k) for k in range(4)]
    for step in steps[:3]:
        build(step)
    build(steps[0])
    build(steps[3])
    assert [is_built(step) for step in steps] == [True, False, True, True]


def test_threads_that_build_one_step_share_it() -> None:
    barrier = threading.Barrier(8)

    def work(number: int) -> Any:
        adjoint = _times(0.8125)
        barrier.wait()
        return build(adjoint)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(map(id, pool.map(work, range(8))))) == 1

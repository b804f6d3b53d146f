"""The contracts pass what is shipped, and fail what breaks them; pytest comes with them only."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import unspool.testing
from unspool.errors import PolicyError
from unspool.ir.primitive import Primitive, Pull, Read
from unspool.layout import ArrayType, Layout
from unspool.ops.elementary import tanh
from unspool.ops.samples import Sample, some
from unspool.schedules import Action, Every, Record, Reverse, Revolve, Save, Schedule
from unspool.stores import RamStore, Store
from unspool.testing import PrimitiveContract, ScheduleContract, StoreContract
from unspool.testing.contracts import check


class TestTanh(PrimitiveContract):
    def make(self) -> Primitive:
        return tanh


class TestRevolve(ScheduleContract):
    def make(self, slots: int) -> Schedule:
        return Revolve(slots)


class TestEvery(ScheduleContract):
    largest = 1000

    def make(self, slots: int) -> Schedule:
        return Every(slots)

    def most(self, slots: int, n_steps: int) -> tuple[int, ...]:
        return (-(-n_steps // slots), 0)


class TestRamStore(StoreContract):
    def make(self, layout: Layout) -> Store:
        return RamStore(layout)


# --- what breaks a contract is found ----------------------------------------------------------------------------------
def _primitive(**about: Any) -> type[PrimitiveContract]:
    def halve(x: Any) -> Any:
        return 0.5 * x

    def pull(wanted: int, n: int, plain: bool) -> Pull:
        return Pull.reading(lambda ct, y, x: (0.5 * ct,), (Read.NOTHING, Read.NOTHING))

    right: dict[str, Any] = {
        "evaluate": halve,
        "type_rule": lambda t: t,
        "jvp": lambda tangents, y, x: 0.5 * tangents[0],
        "pull": pull,
    }

    class Contract(PrimitiveContract):
        def make(self) -> Primitive:
            return Primitive("halved", **(right | about))

        def samples(self) -> Iterator[Sample]:
            yield (some(3),), {}

    return Contract


def _rule(function: Any, *reads: Read) -> Any:
    return lambda wanted, n, plain: Pull.reading(function, reads)


def _scribble(x: Any) -> Any:
    x *= 0.5
    return x


_COUNT = iter(range(10**6))
_NO, _YES = Read.NOTHING, Read.VALUE


@pytest.mark.parametrize(
    ("test", "about", "message"),
    [
        ("pure", {"evaluate": _scribble}, "read-only"),
        ("pure", {"evaluate": lambda x: 0.5 * x + next(_COUNT)}, "another result"),
        ("type_rule", {"type_rule": lambda t: ArrayType(t.dtype, ())}, "says f64"),
        ("jvp_against_differences", {"jvp": lambda tangents, y, x: 0.6 * tangents[0]}, "jvp of halved is wrong"),
        ("jvp_against_differences", {"jvp": lambda tangents, y, x: None}, "None"),
        ("vjp_is_the_transpose_of_jvp", {"pull": _rule(lambda ct, y, x: (0.6 * ct,), _NO, _NO)}, "not the transpose"),
        ("vjp_is_the_transpose_of_jvp", {"pull": _rule(lambda ct, y, x: (ct, ct), _NO, _NO)}, "one cotangent per"),
        ("vjp_is_the_transpose_of_jvp", {"pull": _rule(lambda ct, y, x: (ct[:1],), _NO, _NO)}, "expected f64"),
        ("second_order", {"jvp": lambda tangents, y, x: 0.6 * tangents[0]}, "not differentiated right"),
    ],
)
def test_a_primitive_that_breaks_a_law_fails(test: str, about: dict[str, Any], message: str) -> None:
    contract = _primitive()()
    getattr(contract, f"test_{test}")()
    with pytest.raises((AssertionError, ValueError), match=message):
        getattr(_primitive(**about)(), f"test_{test}")()


def test_a_primitive_that_reads_what_it_does_not_keep_fails() -> None:
    hidden = _rule(lambda ct, y, x: (0.5 * ct if x is None else 0.4 * ct,), _NO, _NO)
    with pytest.raises(AssertionError, match="reads more than it keeps"):
        _primitive(pull=hidden)().test_residuals_are_what_the_rule_reads()


def test_a_primitive_without_samples_fails_and_one_without_derivative_has_fewer_laws() -> None:
    class Without(PrimitiveContract):
        def make(self) -> Primitive:
            return Primitive("sign", np.sign, differentiable=False)

    with pytest.raises(AssertionError, match="override samples"):
        Without().test_pure()
    Without().test_jvp_against_differences()
    with pytest.raises(NotImplementedError):
        PrimitiveContract().make()


@dataclass(frozen=True)
class _Careless(Schedule):
    slots: int

    def actions(self, n_steps: int) -> Iterator[Action]:
        if isinstance(n_steps, bool) or not isinstance(n_steps, int) or n_steps < 0:
            raise PolicyError("the number of steps is no number")
        yield Save(0)
        yield Record(0, n_steps)
        yield Reverse(0, n_steps)


def test_a_schedule_that_leaves_something_held_fails() -> None:
    class Contract(ScheduleContract):
        def make(self, slots: int) -> Schedule:
            return _Careless(slots)

    with pytest.raises(unspool.errors.ScheduleError):
        Contract().test_medium()
    with pytest.raises(unspool.errors.ScheduleError):
        check(_Careless(1), 3)
    with pytest.raises(NotImplementedError):
        ScheduleContract().make(3)


def test_a_schedule_that_holds_too_much_fails() -> None:
    class Contract(ScheduleContract):
        def make(self, slots: int) -> Schedule:
            return Revolve(slots + 1)

    with pytest.raises(AssertionError, match="it may hold"):
        Contract().test_awkward(3)


def test_a_store_that_aliases_fails() -> None:
    class Aliasing(Store):
        n_bytes = 0

        def __init__(self) -> None:
            self.held: dict[int, Any] = {}

        def put(self, step: int, arrays: Sequence[np.ndarray]) -> None:
            self.held[step] = tuple(arrays)

        def get(self, step: int) -> tuple[np.ndarray, ...]:
            return self.held[step]

        def drop(self, step: int) -> None:
            del self.held[step]

        def close(self) -> None:
            self.held.clear()

    class Contract(StoreContract):
        def make(self, layout: Layout) -> Store:
            return Aliasing()

    Contract().test_it_returns_what_it_was_given_bit_for_bit()
    with pytest.raises(AssertionError, match="array 0 came back"):
        Contract().test_it_shares_nothing_with_what_came_in_or_went_out()
    with pytest.raises(AssertionError, match="no bytes"):
        Contract().test_closed_it_holds_nothing_and_closes_again()
    with pytest.raises(NotImplementedError):
        StoreContract().make(Layout.of([]))


def test_pytest_is_imported_with_the_contracts_only() -> None:
    code = (
        "import sys, unspool.testing as t; assert 'pytest' not in sys.modules; "
        "t.StoreContract; assert 'pytest' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_every_public_name_is_there_and_documented() -> None:
    for name in unspool.testing.__all__:
        assert getattr(unspool.testing, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        unspool.testing.nothing  # noqa: B018

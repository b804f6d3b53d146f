"""What every primitive, schedule and store must keep: subclass a contract, say how to make one, inherit the tests.

The classes are for pytest, which this module needs. A subclass whose name begins with ``Test`` is collected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import numpy as np
import pytest

from unspool.errors import PolicyError
from unspool.ir.primitive import Primitive
from unspool.layout import Layout
from unspool.ops.samples import Sample
from unspool.schedules import Cost, Reverse, Schedule, Tier, simulate
from unspool.schedules.binomial import beta
from unspool.stores import Store
from unspool.testing import laws


# --- primitives -------------------------------------------------------------------------------------------------------
class PrimitiveContract:
    """Every primitive: pure, typed, its rules derivatives and transposes of each other, differentiable again.

    >>> from unspool.ops.elementary import tanh
    >>> class TestTanh(PrimitiveContract):
    ...     def make(self):
    ...         return tanh
    >>> TestTanh().test_vjp_is_the_transpose_of_jvp()
    """

    def make(self) -> Primitive:
        """Return the primitive."""
        raise NotImplementedError

    def samples(self) -> Iterator[Sample]:
        """Yield (args, params) to try it on; away from kinks, and a little inside of its domain."""
        make_samples = self.make().samples
        assert make_samples is not None, "the primitive has no samples: override samples()"
        yield from make_samples()

    def _each(self, law: Callable[[Primitive, tuple[Any, ...], dict[str, Any]], None]) -> None:
        primitive, tried = self.make(), 0
        for args, params in self.samples():
            law(primitive, tuple(map(_operand, args)), params)
            tried += 1
        assert tried, f"there are no samples of {primitive}"

    def test_pure(self) -> None:
        """It does not write into its operands, and repeats itself."""
        self._each(laws.pure)

    def test_type_rule(self) -> None:
        """The type rule says what evaluation gives."""
        self._each(laws.typed)

    def test_jvp_against_differences(self) -> None:
        """The jvp is the derivative."""
        self._differentiable(laws.jvp_is_the_derivative)

    def test_vjp_is_the_transpose_of_jvp(self) -> None:
        """The vjp is the transpose of the jvp."""
        self._differentiable(laws.vjp_is_the_transpose)

    def test_residuals_are_what_the_rule_reads(self) -> None:
        """Nothing is kept that the rule does not read, and all that it reads is."""
        self._differentiable(laws.residuals_are_what_is_read)

    def test_second_order(self) -> None:
        """The rules can be differentiated."""
        self._differentiable(laws.second_derivatives_agree)

    def test_rules_can_be_traced_into_programs(self) -> None:
        """The rules can be traced."""
        self._differentiable(laws.rules_can_be_traced)

    def _differentiable(self, law: Callable[[Primitive, tuple[Any, ...], dict[str, Any]], None]) -> None:
        if self.make().differentiable:
            self._each(law)


def _operand(value: Any) -> Any:
    return value if hasattr(value, "dtype") else np.asarray(value)[()]


# --- schedules --------------------------------------------------------------------------------------------------------
AWKWARD = (0, 1, 2, 3, 97, 100, 499, 1009)


def check(schedule: Schedule, n_steps: int) -> Cost:
    """Run a schedule through the machine, and state the two laws that matter most once more."""
    cost = simulate(schedule, n_steps, state_bytes=1)
    reversed_steps = [
        step
        for action in schedule.actions(n_steps)
        if isinstance(action, Reverse)
        for step in reversed(range(action.start, action.stop))
    ]
    assert reversed_steps == list(reversed(range(n_steps))), f"{schedule} does not reverse {n_steps} steps in order"
    assert cost.n_steps == n_steps
    said = schedule.steps(n_steps)
    assert cost.steps == said, f"{schedule}.steps({n_steps}) says {said}; the machine counts {cost.steps}"
    assert cost.records == n_steps, f"{schedule} records {cost.records} of {n_steps} steps: each is recorded once"
    assert cost.peak_bytes == cost.peak_slots[Tier.RAM]
    return cost


class ScheduleContract:
    """Every schedule, for every number of steps, whatever its number of slots."""

    sizes = range(1, 10)
    largest = 100_000
    examples = 4

    def make(self, slots: int) -> Schedule:
        """Return a schedule that may hold `slots` snapshots in all."""
        raise NotImplementedError

    def most(self, slots: int, n_steps: int) -> tuple[int, ...]:
        """Return how many slots it may use on each tier."""
        return (slots, 0)

    def check(self, slots: int, n_steps: int) -> None:
        """Check it for one size."""
        cost, most = check(self.make(slots), n_steps), self.most(slots, n_steps)
        within = all(used <= allowed for used, allowed in zip(cost.peak_slots, most, strict=True))
        assert within, f"{self.make(slots)} holds {cost.peak_slots} snapshots in {n_steps} steps; it may hold {most}"

    @pytest.mark.parametrize("n_steps", range(61))
    def test_small(self, n_steps: int) -> None:
        """It passes for every small number of steps."""
        for slots in self.sizes:
            self.check(slots, n_steps)

    @pytest.mark.parametrize("slots", [1, 2, 3, 4, 7, 20])
    def test_awkward(self, slots: int) -> None:
        """It passes for primes, awkward remainders, and where a binomial schedule needs one more sweep."""
        edge = beta(slots, 2)
        for n_steps in {*AWKWARD, slots, slots + 1, slots + 2, edge - 1, edge, edge + 1}:
            self.check(slots, n_steps)

    def test_medium(self) -> None:
        """It passes for numbers drawn at random."""
        draw = Random(1)
        for _ in range(40):
            self.check(draw.randint(1, 40), draw.randint(0, 700))

    def test_large(self) -> None:
        """It passes for large numbers drawn at random."""
        draw = Random(2)
        for _ in range(self.examples):
            self.check(draw.randint(4, self.largest), draw.randint(0, self.largest))

    def test_has_no_state(self) -> None:
        """Its actions are the same every time, and equal parameters make equal schedules."""
        schedule = self.make(3)
        interrupted: Iterator[object] = schedule.actions(50)
        next(interrupted)
        assert list(schedule.actions(50)) == list(schedule.actions(50))
        assert schedule == self.make(3)
        assert hash(schedule) == hash(self.make(3))

    @pytest.mark.parametrize("n_steps", [-1, 2.0, True, "3"])
    def test_refuses_what_is_no_length(self, n_steps: int) -> None:
        """It refuses what is no number of steps."""
        with pytest.raises(PolicyError, match="number of steps"):
            simulate(self.make(3), n_steps)
        with pytest.raises(PolicyError, match="number of steps"):
            self.make(3).steps(n_steps)


# --- stores -----------------------------------------------------------------------------------------------------------
STATE: tuple[Any, ...] = (
    np.arange(6.0).reshape(2, 3),
    np.float32(1.5),
    np.array([True, False]),
    np.zeros((0, 2)),
    np.array([1 + 2j]),
)


def state_of(step: int) -> tuple[Any, ...]:
    """The state that a test keeps for a step."""
    return tuple([np.asarray(leaf) + np.asarray(step).astype(np.asarray(leaf).dtype) for leaf in STATE])


def _assert_same_bits(one: Any, other: Any) -> None:
    pairs = zip(map(np.ascontiguousarray, one), map(np.ascontiguousarray, other), strict=True)
    for number, (a, b) in enumerate(pairs):
        same = (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        assert same, f"array {number} came back as {a!r}; {b!r} was put"


class StoreContract:
    """Every store returns what it was given, shares nothing, and leaves nothing behind."""

    def make(self, layout: Layout) -> Store:
        """Return a new store for states of this layout."""
        raise NotImplementedError

    def store(self) -> Store:
        """Return a new store for the states of these tests."""
        return self.make(Layout.of(list(STATE)))

    def test_it_returns_what_it_was_given_bit_for_bit(self) -> None:
        """Negative zeros, NaN, infinities, strides and empty arrays included."""
        store = self.store()
        odd: tuple[Any, ...] = (
            np.asfortranarray(STATE[0]) * np.nan,
            np.float32(-0.0),
            STATE[2][::-1],
            STATE[3],
            STATE[4] * np.inf,
        )
        store.put(3, odd)
        _assert_same_bits(store.get(3), odd)
        store.close()

    def test_it_shares_nothing_with_what_came_in_or_went_out(self) -> None:
        """Writing into what was put, or into what was got, changes nothing."""
        store = self.store()
        state = tuple(np.array(leaf) for leaf in STATE)
        store.put(0, state)
        for leaf in state:
            leaf[...] = 0
        first = store.get(0)
        _assert_same_bits(first, STATE)
        for leaf in first:
            leaf[...] = 0
        second = store.get(0)
        _assert_same_bits(second, STATE)
        store.drop(0)
        store.put(1, state_of(1))
        _assert_same_bits(second, STATE)
        store.close()

    def test_two_stores_keep_apart(self) -> None:
        """What one store does is nothing to another."""
        one, other = self.store(), self.store()
        one.put(0, state_of(1))
        other.put(0, state_of(2))
        _assert_same_bits(one.get(0), state_of(1))
        one.close()
        third = self.store()
        third.put(0, state_of(3))
        _assert_same_bits(other.get(0), state_of(2))
        other.close()
        third.close()

    def test_what_is_not_there_is_a_key_error(self) -> None:
        """Never put, or dropped."""
        store = self.store()
        for verb in (store.get, store.drop):
            with pytest.raises(KeyError):
                verb(0)
        store.put(0, STATE)
        store.drop(0)
        for verb in (store.get, store.drop):
            with pytest.raises(KeyError):
                verb(0)
        store.close()

    def test_closed_it_holds_nothing_and_closes_again(self) -> None:
        """Nothing is left, and closing twice is allowed."""
        store = self.store()
        store.put(0, STATE)
        assert store.n_bytes > 0, "a store that holds a snapshot says that it holds no bytes"
        store.close()
        store.close()
        assert store.n_bytes == 0, f"a closed store says that it holds {store.n_bytes} bytes"
        with pytest.raises(KeyError):
            store.get(0)

    @pytest.mark.parametrize("seed", range(30))
    def test_any_sequence_of_verbs_does_what_a_dict_does(self, seed: int) -> None:
        """What is held, and its bytes, are those of a dict; bytes may stay reserved as long as it lives."""
        draw = Random(seed)
        model: dict[int, tuple[Any, ...]] = {}
        store, most, unit = self.store(), 0, Layout.of(list(STATE)).n_bytes
        for number in range(30):
            verb, step = draw.choice(["put", "get", "drop"]), draw.randint(0, 5)
            if verb == "put" and step not in model:
                model[step] = state_of(number)
                store.put(step, model[step])
            elif verb == "get" and step in model:
                _assert_same_bits(store.get(step), model[step])
            elif verb == "drop" and step in model:
                del model[step]
                store.drop(step)
            most = max(most, len(model))
            assert len(model) * unit <= store.n_bytes <= most * unit, (
                f"{len(model)} snapshots of {unit} bytes are held, {most} were; the store says {store.n_bytes} bytes"
            )
        store.close()

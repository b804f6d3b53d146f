"""Random generators in the state of a loop: carried as arrays of integers, so that draws are replayed exactly.

To the executor the state of a generator is an array like any other: it is snapshotted, counted and compared. A step
gets a generator of its own that is set to it, and the generator of the user is set to the final one after the loop.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import numpy as np

from unspool.errors import InputError, StateError

FlatBody = Callable[[int, list[Any], list[Any]], tuple[list[Any], list[Any]]]
"""A step on flat lists of leaves: ``(k, state, inputs) -> (state, outputs)``."""

_WORD = 2**64


def words_of(generator: np.random.Generator) -> np.ndarray:
    """The state of a generator: u64[n], where n depends on its kind (8 for PCG64, 626 for MT19937).

    >>> words_of(np.random.default_rng(0)).shape
    (8,)
    """
    words: list[int] = []
    _write(generator.bit_generator.state, words)
    return np.array(words, np.uint64)


def set_words(generator: np.random.Generator, words: np.ndarray) -> None:
    """Set a generator to a state that another of its kind had.

    >>> one, other = np.random.default_rng(0), np.random.default_rng(1)
    >>> set_words(other, words_of(one))
    >>> one.normal() == other.normal()
    True
    """
    bits = generator.bit_generator
    bits.state = _read(bits.state, iter(words.tolist()))


def _write(value: Any, words: list[int]) -> None:
    if isinstance(value, dict):
        for part in value.values():
            _write(part, words)
    elif isinstance(value, np.ndarray) and value.dtype.kind == "u":
        words += value.ravel().tolist()
    elif isinstance(value, int | np.integer) and 0 <= value < _WORD**2:
        words += [int(value) % _WORD, int(value) // _WORD]
    elif not isinstance(value, str):  # its name
        raise InputError(
            f"the state of a random generator holds something of type {type(value).__name__}, which is not known here. "
            "Carry one of NumPy's own, np.random.default_rng(seed)."
        )


def _read(like: Any, words: Iterator[int]) -> Any:
    if isinstance(like, dict):
        return {key: _read(part, words) for key, part in like.items()}
    if isinstance(like, np.ndarray):
        return np.array([next(words) for _ in range(like.size)], like.dtype).reshape(like.shape)
    return like if isinstance(like, str) else next(words) + _WORD * next(words)


@cache
def _childless() -> Any:
    """A seed that is of no importance, for the state is set; a generator made of it refuses to spawn children."""
    from numpy.random.bit_generator import ISeedSequence

    class Childless(ISeedSequence):
        def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
            return np.ones(n_words, dtype)

    return Childless()


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """The generators in a state: at which leaves, where that is in the user's nest, the user's own and those of the
    step."""

    positions: tuple[int, ...]
    paths: tuple[str, ...]
    given: tuple[np.random.Generator, ...]
    inside: tuple[np.random.Generator, ...]

    @classmethod
    def of(cls, leaves: Sequence[Any], paths: Sequence[str], name: str) -> Carried | None:
        """The generators among the leaves of an initial state; InputError for kinds that cannot be carried."""
        found = [(k, path, leaf) for k, (leaf, path) in enumerate(zip(leaves, paths, strict=True)) if _is_one(leaf)]
        if not found:
            return None
        for k, (_, path, leaf) in enumerate(found):
            if not isinstance(leaf, np.random.Generator):
                raise InputError(
                    f"the initial state{path} of {name} is a {type(leaf).__name__}. Carry a np.random.Generator, "
                    "np.random.default_rng(seed), which is replayed exactly."
                )
            for _, other, before in found[:k]:
                if before.bit_generator is leaf.bit_generator:
                    raise InputError(
                        f"the initial state{path} of {name} is the same random generator as state{other}. Carry it "
                        "once, or carry two, as rng.spawn(2) makes them."
                    )
        given = tuple([leaf for _, _, leaf in found])
        inside = tuple([np.random.Generator(type(leaf.bit_generator)(_childless())) for leaf in given])
        return cls(tuple([k for k, _, _ in found]), tuple([path for _, path, _ in found]), given, inside)

    def closed(self, leaves: Sequence[Any], where: str) -> list[Any]:
        """The leaves with arrays of integers in the place of the generators."""
        result = list(leaves)
        for position, path, inside in zip(self.positions, self.paths, self.inside, strict=True):
            leaf = leaves[position]
            kind = type(inside.bit_generator)
            if not isinstance(leaf, np.random.Generator) or type(leaf.bit_generator) is not kind:
                raise StateError(
                    f"state{path} was a random generator of kind {kind.__name__} and became {_kind(leaf)} {where}. A "
                    "step must return the generator that it got, or one of its kind."
                )
            result[position] = words_of(leaf)
        used = [id(leaves[position].bit_generator) for position in self.positions]
        if len(set(used)) < len(used):
            raise StateError(
                f"state{self.paths[0]} and another generator in the state became the same one {where}. A step must "
                "return each of the generators that it got."
            )
        return result

    def opened(self, leaves: Sequence[Any]) -> list[Any]:
        """The leaves with generators, set to what the arrays say, in the place of the arrays."""
        result = list(leaves)
        for position, inside in zip(self.positions, self.inside, strict=True):
            set_words(inside, np.asarray(leaves[position]))
            result[position] = inside
        return result

    def around(self, function: FlatBody, name: str) -> FlatBody:
        """The same step on arrays of integers instead of generators."""

        def step(k: int, state: list[Any], inputs: list[Any]) -> tuple[list[Any], list[Any]]:
            new, outputs = function(k, self.opened(state), inputs)
            return self.closed(new, f"in step {k} of {name}"), outputs

        return step

    def asked(self, condition: Callable[[list[Any]], Any], state: Sequence[Any]) -> Any:
        """What a condition says of a state; StateError if it draws."""
        answer = condition(self.opened(state))
        for position, path, inside in zip(self.positions, self.paths, self.inside, strict=True):
            if not np.array_equal(words_of(inside), np.asarray(state[position])):
                raise StateError(
                    f"the condition of while_loop drew from the random generator state{path}, which only a step may "
                    "do. Draw in the step, and carry what the condition reads."
                )
        return answer

    def given_back(self, leaves: Sequence[Any]) -> list[Any]:
        """The final leaves, with the user's own generators set to where a plain loop would have left them."""
        result = list(leaves)
        for position, given in zip(self.positions, self.given, strict=True):
            set_words(given, np.asarray(leaves[position]))
            result[position] = given
        return result


def _is_one(leaf: Any) -> bool:
    if "numpy.random" not in sys.modules:  # importing NumPy does not import it
        return isinstance(leaf, Random)
    return isinstance(leaf, np.random.Generator | np.random.RandomState | np.random.BitGenerator | Random)


def is_generator(leaf: Any) -> bool:
    """Whether this is a generator that a state can carry."""
    return _is_one(leaf) and isinstance(leaf, np.random.Generator)


def _kind(leaf: Any) -> str:
    if isinstance(leaf, np.random.Generator):
        return f"one of kind {type(leaf.bit_generator).__name__}"
    return f"something of type {type(leaf).__name__}"

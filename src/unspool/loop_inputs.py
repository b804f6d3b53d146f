"""What a user hands to a loop, checked before the first step, and what a step hands back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unspool.errors import InputError, PolicyError, StateError
from unspool.generators import Carried
from unspool.ir.listener import Traced, refuse_subclass
from unspool.memory import Memory, as_bytes
from unspool.planner import Auto
from unspool.schedules import Schedule, as_schedule
from unspool.tree import Structure, flatten

Policy = str | Schedule

MOST_THREADS = 256
"""That can share a step."""


def as_mode(compile: bool | str) -> bool | str:
    """What a user means by ``compile=``."""
    if compile in (True, False, "auto"):
        return compile
    raise PolicyError(f'compile={compile!r}: choose True, False, or "auto"')


def as_threads(threads: Any) -> int:
    """What a user means by ``threads=``."""
    if threads is None:
        return 1
    if isinstance(threads, bool) or not isinstance(threads, int | np.integer) or not 1 <= threads <= MOST_THREADS:
        raise InputError(
            f"threads={threads!r}: the threads that share the steps of a compiled loop are a whole number from 1 to "
            f"{MOST_THREADS}. Leave it out for one."
        )
    return int(threads)


def as_policy(policy: Policy | None, memory: Memory) -> Schedule | Auto:
    """What a user means by ``policy=`` and ``memory=``."""
    if policy is None or (isinstance(policy, str) and policy.strip().lower() == "auto"):
        if memory is not None:
            as_bytes(memory)  # refuses what is no amount of memory, before the first step
        return Auto(memory)
    schedule = as_schedule(policy)
    if memory is not None:
        raise PolicyError(
            f"memory={memory!r} goes with policy='auto', which chooses a schedule for it; {policy!r} says already what "
            "is held. Leave one of the two out."
        )
    return schedule


def as_number(value: Any, name: str) -> int:
    """A number of steps."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        kind = type(value).__name__
        raise InputError(f"{name} must be an int, not {kind}: a number of steps that depends on values is a while_loop")
    return int(value)


def state_leaves(nest: Any, name: str) -> tuple[list[Any], Structure, Carried | None]:
    """The leaves of an initial state, its structure, and the random generators in it, for which arrays stand."""
    leaves, structure = flatten(nest)
    paths = structure.paths()
    carried = Carried.of(leaves, paths, name)
    if carried is not None:
        leaves = carried.closed(leaves, "")
    for leaf, path in zip(leaves, paths, strict=True):
        refuse_subclass(leaf, f"the initial state{path} of {name}")
        if not isinstance(leaf, Traced) and np.asarray(leaf).dtype.kind not in "biufc":
            raise InputError(
                f"the initial state{path} of {name} is of type {type(leaf).__name__}. A state is made of arrays, "
                "numbers and random generators; keep other things in the code around the loop."
            )
    return leaves, structure, carried


def step_name(k: Any) -> str:
    """What to call step k in a message; while a step is being compiled it has no number."""
    return f"step {k}" if isinstance(k, int) else "its step"


def returned_leaves(nest: Any, structure: Structure, name: str, k: int) -> list[Any]:
    """The leaves of what a step returned, in the structure of the state."""
    leaves, found = flatten(nest)
    if found != structure:
        raise StateError(
            f"the state of {name} changed its structure in {step_name(k)}: it was {structure} and became {found}. A "
            "step must return its state in the structure in which it got it."
        )
    return leaves


def n_rows(rows: Sequence[Any], length: int | None) -> int:
    """How many steps xs and length say."""
    if not all(row.shape for row in rows):
        raise InputError("every array in xs needs a first axis that counts the steps; one has no axes")
    lengths: set[int] = {row.shape[0] for row in rows}
    if length is not None:
        lengths.add(as_number(length, "length"))
    if not lengths:
        raise InputError("scan needs xs, or a length")
    if len(lengths) > 1:
        raise InputError(f"the arrays in xs and length disagree about the number of steps: {sorted(lengths)}")
    (n,) = lengths
    if n < 0:
        raise PolicyError(f"scan with length={n}: the number of steps would be negative")
    return n

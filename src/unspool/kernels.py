"""Kernels: the functions that carry the steps of a loop out, whatever they are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unspool.layout import Layout

State = tuple[np.ndarray, ...]
Cotangents = tuple[Any, ...]  # one per array of the state, None where it is zero


@dataclass(frozen=True, slots=True, eq=False)
class Kernels:
    """What an executor needs of a step: three functions on a range of steps, and the layout of the state.

    ``advance(state, start, stop)`` returns the state at ``stop``, or earlier where a while loop ends, and the step
    reached. ``record`` does the same and also returns the residuals of each step in order. ``reverse(ct, residuals,
    start, stop)`` carries the cotangent back and empties the list of residuals. Advance and record leave the same bits.
    ``rehearse(residuals)`` runs the adjoint of these steps once, to time it, and changes nothing.
    ``going(state, step)`` asks a while loop whether there is a step at all. ``residual_bytes(residuals)`` weighs.
    """

    advance: Callable[[State, int, int], tuple[State, int]]
    record: Callable[[State, int, int], tuple[State, int, list[Any]]]
    reverse: Callable[[Cotangents, list[Any], int, int], Cotangents]
    rehearse: Callable[[list[Any]], None]
    going: Callable[[State, int], bool]
    residual_bytes: Callable[[list[Any]], int]
    layout: Layout

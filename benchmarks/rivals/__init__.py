"""The ways to a gradient that are measured, one file each; a package is imported where its gradient is made."""

from __future__ import annotations

import importlib.util

from benchmarks.rivals.by_autograd import AUTOGRAD
from benchmarks.rivals.by_hand import HAND
from benchmarks.rivals.by_jax import EQUINOX, JAX
from benchmarks.rivals.by_pyrevolve import PYREVOLVE
from benchmarks.rivals.by_torch import TORCH
from benchmarks.rivals.ours import COMPILED, DEFAULT, PRIMAL, TAPE
from benchmarks.rivals.rival import Rival

RIVALS: dict[str, Rival] = {
    "numpy": PRIMAL,
    "hand": HAND,
    "compiled": COMPILED,
    "tape": TAPE,
    "auto": DEFAULT,
    "jax": JAX,
    "equinox": EQUINOX,
    "torch": TORCH,
    "autograd": AUTOGRAD,
    "pyrevolve": PYREVOLVE,
}

OURS = ("compiled", "tape", "auto")


def missing(rival: str) -> list[str]:
    """The packages of a rival that are not installed."""
    return [package for package in RIVALS[rival].packages if importlib.util.find_spec(package) is None]

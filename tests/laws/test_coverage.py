"""What autograd differentiates has a rule here, compared by name over its own registry."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

import unspool.numpy
from unspool.diagnostics.functions import enrolled
from unspool.ops import TABLE

MODULES = ("numpy", "numpy.linalg", "numpy.fft", "scipy.special", "scipy.linalg", "scipy.signal", "scipy.integrate")
DISTRIBUTIONS = ("norm", "t", "gamma", "beta", "chi2", "poisson", "dirichlet", "multivariate_normal")
ITS_OWN = {"_original_where", "array_from_args", "concatenate_args", "make_diagonal", "truncate_pad", "_primitive_norm"}
MADE_FROM_NUMBERS = {"numpy.full"}  # NumPy does not ask the value; unspool.numpy.full does


def _its_rules() -> list[str]:
    core = pytest.importorskip("autograd.core")
    found = []
    for name in (*MODULES, *[f"scipy.stats.{d}" for d in DISTRIBUTIONS]):
        module: Any = import_module(f"autograd.{name}")
        real = [n for n in dir(module) if callable(getattr(module, n)) and getattr(module, n) in core.primitive_vjps]
        methods = [
            n for n in real if n not in ITS_OWN and (".stats." not in name or n[-2:] in ("df", "mf", "py", "sf"))
        ]
        found += [f"{name}.{n}" for n in methods]
    return found


def test_what_autograd_differentiates_is_differentiated_here() -> None:
    here = {entry.name for entry in enrolled() if entry.derivative != "refused"}
    missing = [name for name in _its_rules() if name not in here]
    assert {name for name in missing if not _has_an_entry(name)} == MADE_FROM_NUMBERS
    assert unspool.numpy.full.__module__ == "unspool.numpy"


def _has_an_entry(name: str) -> bool:
    """Under another name: np.absolute is np.abs."""
    package, _, function = name.rpartition(".")
    try:
        return TABLE.get(getattr(import_module(package), function)) is not None
    except ModuleNotFoundError:
        return False

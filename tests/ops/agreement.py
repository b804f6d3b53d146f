"""What every test of a NumPy function asks: NumPy's own value bit for bit, and derivatives that differences confirm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import unspool
from unspool.ops.samples import complex_some, some
from unspool.tree import flatten

__all__ = ["agrees", "complex_some", "same_bits", "some"]

H = 1e-6


def same_bits(found: Any, expected: Any) -> None:
    """Equal structure, type, shape, dtype and bits."""
    if isinstance(expected, tuple | list):
        assert type(found) is type(expected)
        assert len(found) == len(expected)
        for one, two in zip(found, expected, strict=True):
            same_bits(one, two)
        return
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def agrees(function: Callable[..., Any], *args: Any, exact: bool = True, tolerance: float = 1e-6, h: float = H) -> None:
    """The function of these arrays has NumPy's value, and both modes give the derivative that differences show."""
    expected = function(*args)
    out, pullback = unspool.vjp(function, *args)
    if exact:
        same_bits(out, expected)
    rng = np.random.default_rng(5)
    leaves, structure = flatten(out)
    vs = tuple([_direction(rng, a) for a in args])
    ct = structure.unflatten([_direction(rng, leaf) for leaf in leaves])
    forward_value, tangent = unspool.jvp(function, args, vs)
    if exact:
        same_bits(forward_value, expected)
    right, left = (flatten(function(*[a + s * h * v for a, v in zip(args, vs, strict=True)]))[0] for s in (1, -1))
    for t, r, le in zip(flatten(tangent)[0], right, left, strict=True):
        np.testing.assert_allclose(t, (r - le) / (2 * h), rtol=tolerance, atol=tolerance)
    back = pullback(ct)
    for g, a in zip(back, args, strict=True):
        assert np.shape(g) == np.shape(a)
        assert np.asarray(g).dtype == np.asarray(a).dtype
    along = _pairing(flatten(ct)[0], flatten(tangent)[0])
    np.testing.assert_allclose(_pairing(back, vs), along, rtol=max(1e-9, tolerance * 1e-3), atol=tolerance * 1e-3)


def _direction(rng: np.random.Generator, like: Any) -> Any:
    array = np.asarray(like)
    value = rng.uniform(0.5, 1.5, array.shape) * rng.choice([-1.0, 1.0], array.shape)
    if array.dtype.kind == "c":
        value = value + 1j * rng.uniform(-1, 1, array.shape)
    direction = np.empty_like(array)  # in the memory order of the array, so that a sum of both has it too
    direction[...] = value
    return direction[()]


def _pairing(cts: Any, vs: Any) -> float:
    return float(sum(np.sum(np.real(ct * v)) for ct, v in zip(cts, vs, strict=True)))

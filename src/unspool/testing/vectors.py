"""Nests of arrays as vectors: random ones, sums, and the pairing of a cotangent with a tangent."""

from __future__ import annotations

from typing import Any

import numpy as np

from unspool.tree import flatten, map_leaves


def is_float(leaf: Any) -> bool:
    """Whether a leaf is made of real or complex floats, so that it can move."""
    return bool(np.asarray(leaf).dtype.kind in "fc")


def random_like(nest: Any, rng: np.random.Generator) -> Any:
    """A nest of the same structure, shapes and dtypes with normal numbers; zeros in the place of integers."""

    def draw(leaf: Any) -> Any:
        leaf = np.asarray(leaf)
        if leaf.dtype.kind not in "fc":
            return np.zeros(leaf.shape)[()]
        value = rng.normal(size=leaf.shape)
        if leaf.dtype.kind == "c":
            value = value + 1j * rng.normal(size=leaf.shape)
        return np.asarray(value).astype(leaf.dtype)[()]

    return map_leaves(draw, nest)


def moved(nest: Any, direction: Any, h: complex) -> Any:
    """``nest + h * direction`` in new arrays, of the nest's dtypes where ``h`` is real."""

    def move(leaf: Any, d: Any) -> Any:
        leaf = np.asarray(leaf)
        if leaf.dtype.kind not in "fc":
            return leaf.copy()[()]
        value = leaf + np.asarray(h * np.asarray(d))
        return np.asarray(value).astype(leaf.dtype)[()] if isinstance(h, float) else np.asarray(value)[()]

    return map_leaves(move, nest, direction)


def pairing(ct: Any, v: Any) -> float:
    """Re(sum(ct * v)) over all leaves."""
    return float(np.real(terms(ct, v)[0]))


def terms(ct: Any, v: Any) -> tuple[complex, float]:
    """The sum of ``ct * v`` over all leaves, and the sum of the absolute values of its terms."""
    pairs = zip(flatten(ct)[0], flatten(v)[0], strict=True)
    products = [np.asarray(a, dtype=complex) * np.asarray(b) for a, b in pairs]
    return complex(sum(p.sum() for p in products)), float(sum(np.abs(p).sum() for p in products))


def norm(nest: Any) -> float:
    """The Euclidean norm over all leaves that are floats; infinite or NaN if one element is."""
    parts = [np.linalg.norm(np.ravel(leaf)) for leaf in flatten(nest)[0] if is_float(leaf)]
    return float(np.hypot.reduce(parts)) if parts else 0.0


def precision(*nests: Any) -> float:
    """The machine epsilon of the coarsest dtype among the leaves."""
    found = [np.asarray(leaf).dtype for nest in nests for leaf in flatten(nest)[0]]
    return max(
        (float(np.finfo(dtype).eps) for dtype in found if dtype.kind in "fc"), default=float(np.finfo(float).eps)
    )

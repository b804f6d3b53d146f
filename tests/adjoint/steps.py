"""Random steps for the compiler: states of several arrays, all that scalar code knows, values that stay bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

Binary = Callable[[Any, Any], Any]


def _written(a: Any) -> Any:
    if not np.ndim(a) or not np.shape(a)[0]:
        return a * 0.5
    u = a * 1.0
    u[0] += 0.3 * u[-1]
    u[-1:] = 0.2
    u *= 0.9
    return u


def _viewed(a: Any) -> Any:
    u = np.reshape(a, (-1,)) * 1.0
    v = u[::2]
    v += 0.1 * v[::-1]
    w = u.reshape(-1, 1)
    w[1:] *= 0.7
    return u + np.zeros_like(u)


def _angles(a: Any) -> Any:
    if np.iscomplexobj(a):  # NumPy has these functions for real numbers
        return a * np.pi / 90 + 0.01 * np.sin(a) * 180 / np.pi
    return np.deg2rad(a) + np.radians(a) + 0.01 * np.rad2deg(np.sin(a))


UNARY: dict[str, Callable[[Any], Any]] = {
    "sin": np.sin,
    "cos": np.cos,
    "tan": lambda a: np.tan(0.5 * np.tanh(a)),
    "tanh": np.tanh,
    "sinh": lambda a: np.sinh(np.tanh(a)),
    "cosh": lambda a: np.cosh(np.sin(a)),
    "exp": lambda a: np.exp(-a * a),
    "expm1": lambda a: np.expm1(np.sin(a)),
    "exp2": lambda a: np.exp2(np.sin(a)),
    "log": lambda a: np.log(1.5 + np.sin(a)),
    "logs": lambda a: np.log2(1.5 + np.cos(a)) + np.log10(1.5 + np.cos(a)) + np.log1p(a * a),
    "sqrt": lambda a: np.sqrt(1.0 + a * a),
    "arcs": lambda a: np.arcsin(0.9 * np.sin(a)) + np.arccos(0.9 * np.cos(a)) - np.arctan(a),
    "area": lambda a: np.arcsinh(a) + np.arccosh(1.1 + a * a) + np.arctanh(0.8 * np.sin(a)),
    "angles": lambda a: _angles(a),
    "reciprocal": lambda a: np.reciprocal(1.0 + a * a) + 1 / (2 + np.cos(a)),
    "square": lambda a: np.square(np.sin(a)) + np.negative(a) * 0.1,
    "powers": lambda a: 0.1 * a**2 + 0.1 * np.sin(a) ** 3 - 0.1 * np.cos(a) ** 4 + (1.5 + np.sin(a)) ** -1.3,
    "root": lambda a: (1.5 + np.sin(a)) ** 0.5,
    "reverse": lambda a: a[::-1] if np.ndim(a) else a,
    "transpose": lambda a: a.T * 1.0,
    "flat": np.ravel,
    "column": lambda a: np.reshape(a, (-1, 1)),
    "roll": lambda a: np.roll(a, 1) - np.roll(a, -2, axis=0) if np.ndim(a) else a,
    "sum": lambda a: 0.1 * np.sum(a, axis=0) if np.ndim(a) else a,
    "mean": lambda a: np.mean(a) if np.size(a) else np.sum(a),
    "cumsum": lambda a: 0.1 * np.cumsum(a),
    "var": lambda a: np.var(a) if np.size(a) else np.sum(a),
    "gather": lambda a: np.ravel(a)[np.array([0, -1, 0])] if np.size(a) else np.ravel(a),
    "pad": lambda a: np.pad(a, 1)[1:-1] if np.ndim(a) == 1 else a,
    "written": _written,
    "viewed": _viewed,
    "self product": lambda a: 0.1 * np.ravel(a)[:3] @ np.ravel(a)[:3],
    "gram": lambda a: 0.1 * np.einsum("i,j->ij", np.ravel(a)[:3], np.cos(np.ravel(a)[:2])),
    "matrix": lambda a: np.cos(np.arange(np.size(a) * 2.0)).reshape(2, -1) @ np.ravel(a) * 0.3,
}
ROUGH: dict[str, Callable[[Any], Any]] = {  # kinks and steps: no complex step here
    "abs": np.abs,
    "sign": lambda a: a * np.sign(a) + np.fabs(a),
    "where": lambda a: np.where(a > 0.1, a * a, 0.5 * a),
    "mask": lambda a: np.where(np.abs(a) > 0.3, 1 / np.where(np.abs(a) > 0.3, a, 1.0), a),
    "truths": lambda a: a * ((a > 0.05) & (a < 0.7) | ~(a > -0.2)) + 0.1 * ((a > 0) + (a > 0.3)),
    "logic": lambda a: a * np.logical_or(np.logical_and(a, a > 0.0), np.logical_not(a < 0.2)),
    "count": lambda a: a * np.sum(a > 0.0),
    "clip": lambda a: np.clip(a, -0.37, 0.41),
    "floor": lambda a: a + 0.1 * np.floor(3.3 * a) + 0.1 * np.ceil(2.7 * a) + 0.1 * np.rint(a * 7.7),
    "remainder": lambda a: np.remainder(a, 0.77) + np.fmod(a, 0.3),
    "select": lambda a: np.select([a > 0.3, a < -0.2], [a * 2, a * a], 0.1 * a),
}
SMOOTH_PAIRS: dict[str, Binary] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - 0.5 * b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / (2.0 + np.cos(b)),
    "power": lambda a, b: (1.5 + np.sin(a)) ** np.sin(b),
    "join": lambda a, b: np.concatenate([np.ravel(a), np.ravel(b)]),
    "stack": lambda a, b: np.stack([np.sum(a), np.sum(b), np.sum(a) * 0.5]),
    "dot": lambda a, b: 0.1 * np.dot(np.ravel(a), np.ravel(b)) if np.size(a) == np.size(b) else 0.1 * np.sum(a) * b,
}
ROUGH_PAIRS: dict[str, Binary] = {
    "maximum": np.maximum,
    "minimum": np.minimum,
    "fmax": lambda a, b: np.fmax(a, b) - np.fmin(a, 0.3 * b),
    "hypot": lambda a, b: np.hypot(a, b + 2.0) + np.arctan2(a, 2.0 + np.cos(b)),
    "choose": lambda a, b: np.where(a > b, a, 0.5 * b),
}
LINES = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=9)


def fitted(value: Any, like: Any) -> Any:
    """A value of any shape made into one of the shape of another, so that all of it counts."""
    if np.shape(value) == np.shape(like):
        return value
    total = np.sum(value)
    flat = np.ravel(value)[: np.size(like)]
    if not np.ndim(like) or np.size(flat) < np.size(like):
        return total * np.ones(np.shape(like))
    return np.reshape(flat, np.shape(like)) + 0.1 * total


def make_step(lines: list[tuple[int, int, int]], *, rough: bool) -> Callable[..., tuple[list[Any], Any]]:
    """A step ``(k, state, x, c) -> (state, y)`` on a list of arrays: straight-line code from random lines."""
    unary = {**UNARY, **ROUGH} if rough else UNARY
    pairs = {**SMOOTH_PAIRS, **ROUGH_PAIRS} if rough else SMOOTH_PAIRS
    names = [*unary, *pairs]

    def step(k: Any, state: list[Any], x: Any, c: Any) -> tuple[list[Any], Any]:
        known = [*state, x, c, c[:2] * (0.1 * k), 0.1 * np.sin(0.3 * k) + (k % 3) * 0.1 - (k // 2) * 0.05]
        for which, i, j in lines:
            a, b = known[i % len(known)], known[j % len(known)]
            name = names[which % len(names)]
            value = unary[name](a) if name in unary else pairs[name](a, b if _fits(a, b) else np.sum(b))
            known.append(value if np.size(value) <= 30 else np.sum(value))
        fresh = known[-3:]
        new = [
            0.6 * u + 0.3 * np.sin(fitted(fresh[n % len(fresh)], u)) + 0.05 * np.sin(np.sum(c) * u)
            for n, u in enumerate(state)
        ]
        return new, np.sum(fresh[-1]) * x[0]

    return step


def _fits(a: Any, b: Any) -> bool:
    try:
        np.broadcast_shapes(np.shape(a), np.shape(b))
    except ValueError:
        return False
    return True


def state_of(shapes: tuple[tuple[int, ...], ...]) -> list[Any]:
    """A state of arrays of these shapes, spread without pattern."""
    return [np.sin(3.0 + 1.7 * n + 2.3 * np.arange(int(np.prod(s)))).reshape(s)[()] for n, s in enumerate(shapes)]


SHAPES = st.sampled_from(
    [((3,),), ((),), ((2, 3), ()), ((4,), (2, 2), (0,)), ((5, 2), (3,)), ((0, 2), (1,)), ((2, 2, 2), (), ())]
)

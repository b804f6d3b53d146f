"""Random steps on fields: stencils, slices, writes in place, borders, sums, matrices, calls, states that move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

import unspool.numpy as unp


def _constant(*shape: int) -> np.ndarray:
    return np.cos(1.3 * np.arange(int(np.prod(shape))) + len(shape)).reshape(shape)


def total(a: Any) -> Any:
    """The sum of all elements, on a scale that does not grow with their number."""
    return np.sum(a) / _size(a)


def _size(a: Any) -> int:
    return max(8, int(np.size(a)))


def _long(a: Any, axis: int) -> int:
    return max(6, int(np.shape(a)[axis]))


def _inner(a: Any) -> int:
    return int(np.shape(a)[max(0, np.ndim(a) - 2)])


def _key(a: Any, r: int) -> tuple[Any, ...]:
    """A basic key: slices with steps of both signs, numbers, new axes, an ellipsis."""
    parts: list[Any] = []
    for n in np.shape(a):
        choices = [
            slice(None),
            slice(1, -1),
            slice(None, None, 2),
            slice(None, None, -1),
            slice(2, None),
            slice(-3, None),
        ]
        choices += [slice(1, None, 3), slice(-1, None, -2), slice(0, 1), slice(None, -2)] + [-1, 0] * (n > 0)
        parts.append(choices[r % len(choices)])
        r //= 7
    if r % 3 == 1:
        parts.insert(r % (len(parts) + 1), None)
    if r % 5 == 1 and parts:
        parts[-1:] = [Ellipsis]
    return tuple(parts)


def _interior(a: Any) -> tuple[slice, ...]:
    return (slice(1, -1),) * np.ndim(a)


def _stencil(a: Any, r: int) -> Any:
    """The Laplacian in the interior, added in place."""
    if not np.ndim(a):
        return a
    v = a * 1.0
    inside = _interior(a)
    for axis in range(np.ndim(a)):
        for ends in (slice(2, None), slice(None, -2)):
            v[inside] += 0.1 * (a[(*inside[:axis], ends, *inside[axis + 1 :])] - a[inside])
    return v


def _border(a: Any, r: int) -> Any:
    """Values at the border: of the neighbours, of the other side, or given."""
    if not np.ndim(a) or min(np.shape(a)) < 2:
        return a * 0.9
    v = np.sin(a)
    v[0] = v[1] if r % 2 else v[-2]
    v[..., -1] = 0.25 if r % 3 else v[..., 0] * 0.5
    return v


def _written(a: Any, r: int) -> Any:
    v = a * 1.0
    key = _key(a, r)
    if r % 4 == 0:
        v[key] = 0.3
    elif r % 4 == 1:
        v[key] += 0.2 * v[key]
    elif r % 4 == 2:
        v[key] = np.tanh(a[key]) * 0.7
    else:
        v[key] *= 0.5 * total(a)
    return v


def _through_view(a: Any, r: int) -> Any:
    v = np.reshape(a, -1) * 1.0
    w = v[r % 3 :: 2]
    w[1:] *= 0.6
    w += 0.1 * w[::-1]
    return np.reshape(v, np.shape(a))


def _zeros(a: Any, r: int) -> Any:
    w = unp.zeros(np.shape(a))
    w[_key(a, r)] += 0.5 * a[_key(a, r)]
    return w - 0.1 * np.zeros_like(a)


def _axis(a: Any, r: int) -> int:
    return r % np.ndim(a)


def _with_axes(f: Callable[[Any, int], Any]) -> Callable[[Any, int], Any]:
    return lambda a, r: f(a, r) if np.ndim(a) else a * 0.5


def _nonempty(f: Callable[[Any, int], Any]) -> Callable[[Any, int], Any]:
    return lambda a, r: f(a, r) if np.ndim(a) and np.size(a) else a * 0.5


def _matrix(a: Any) -> Any:
    return np.reshape(a, (-1, np.shape(a)[-1])) if np.ndim(a) else np.reshape(a, (1, 1))


def _solved(a: Any, r: int) -> Any:
    m = _matrix(a)
    n = np.shape(m)[0]
    return np.linalg.solve(
        np.eye(n) * 4.0 + 0.3 * np.tanh(m @ m.T) / n if r % 2 else np.eye(n) * 4.0 + _constant(n, n) / n, m
    )


ONE: dict[str, Callable[[Any, int], Any]] = {
    "slice": lambda a, r: a[_key(a, r)],
    "stencil": _stencil,
    "border": _border,
    "written": _written,
    "view": _through_view,
    "zeros": _zeros,
    "roll": _with_axes(lambda a, r: np.roll(a, r % 5 - 2, axis=_axis(a, r)) - 0.5 * np.roll(a, 1)),
    "rolls": _with_axes(lambda a, r: np.roll(a, (1, r % 3), axis=(0, -1))),
    "transpose": lambda a, r: np.transpose(a, np.roll(np.arange(np.ndim(a)), r).tolist()),
    "flat": lambda a, r: np.reshape(a, -1),
    "column": lambda a, r: np.reshape(a, (-1, 1)),
    "flipped": _with_axes(lambda a, r: np.flip(a, _axis(a, r)) + a),
    "pad": _with_axes(lambda a, r: np.pad(np.sin(a), (r % 3, 1 + r % 2))),
    "pad with": _nonempty(
        lambda a, r: np.pad(a, 1, mode=["edge", "wrap", "reflect"][r % 3 if min(np.shape(a)) > 1 else 0])
    ),
    "tile": lambda a, r: np.tile(a, 2) if np.size(a) < 40 else a,
    "wide": lambda a, r: np.broadcast_to(a, (2, *np.shape(a))) * np.arange(2.0).reshape(2, *[1] * np.ndim(a)),
    "sum": _with_axes(
        lambda a, r: np.sum(np.sin(a), axis=_axis(a, r), keepdims=r % 2 == 0) / max(8, np.shape(a)[_axis(a, r)])
    ),
    "sums": lambda a, r: a - 0.2 * total(a * a),
    "mean": _nonempty(lambda a, r: a - np.mean(a, axis=_axis(a, r), keepdims=True)),
    "max": _nonempty(lambda a, r: a / (1.0 + np.max(np.abs(a), axis=_axis(a, r), keepdims=True))),
    "min": _nonempty(lambda a, r: np.min(a, axis=None if r % 2 else -1)),
    "var": _nonempty(lambda a, r: np.var(a, axis=0)),
    "norm": lambda a, r: a / np.sqrt(1.0 + total(a**2)),
    "rows": _with_axes(lambda a, r: a * _constant(np.shape(a)[-1])),
    "columns": _with_axes(lambda a, r: a + 0.1 * _constant(np.shape(a)[0], *[1] * (np.ndim(a) - 1))),
    "field": lambda a, r: a * _constant(*np.shape(a)),
    "mask": lambda a, r: np.where(_constant(*np.shape(a)) > 0.2, np.sin(3 * a), 0.1),
    "where": lambda a, r: np.where(a > 0.1, a * a, np.where(a < -0.3, 0.5 * a, np.cos(a))),
    "clip": lambda a, r: np.clip(a, -0.4, 0.6) + 0.2 * np.abs(a),
    "expensive": lambda a, r: np.exp(-np.abs(a)) * np.tanh(np.sin(a) + np.log1p(a * a)),
    "truths": lambda a, r: a * ((a > 0.0) & (np.roll(a, 1) < 0.5)) + 0.1 * (a > 0.2),
    "count": lambda a, r: a * (1 + np.sum(a > 0.0) / _size(a)),
    "cumsum": _with_axes(lambda a, r: np.cumsum(a, axis=_axis(a, r)) / _long(a, _axis(a, r))),
    "sort": _with_axes(lambda a, r: np.sort(a, axis=_axis(a, r))),
    "gather": _nonempty(lambda a, r: np.take(a, [0, -1, 0, r % np.shape(a)[0]], axis=0)),
    "scatter": _nonempty(lambda a, r: _scattered(a)),
    "matrix": _with_axes(lambda a, r: _constant(r % 4 + 1, _inner(a)) @ a / max(4, _inner(a))),
    "vector": _with_axes(lambda a, r: a @ _constant(np.shape(a)[-1]) / _long(a, -1)),
    "gram": _with_axes(lambda a, r: _matrix(a) @ _matrix(a).T / _long(a, -1)),
    "solve": _nonempty(_solved),
    "einsum": _with_axes(lambda a, r: 0.2 * np.einsum("i,j->ji", np.reshape(a, -1)[:4], np.reshape(np.sin(a), -1)[:5])),
    "again": lambda a, r: np.roll(np.roll(np.sin(a) * a, 1), 1) + np.sin(a)[::-1] if np.ndim(a) else np.sin(a),
    "division": lambda a, r: 1.0 / (2.0 + a * a) - a / 3.0,
}


def _scattered(a: Any) -> Any:
    v = np.sin(a)
    np.add.at(v, np.array([0, -1, 0]), 0.2 * a[0])
    return v


def fits(value: Any, shape: tuple[int, ...]) -> bool:
    """Whether it can be broadcast to the shape."""
    try:
        return np.broadcast_shapes(np.shape(value), shape) == shape
    except ValueError:
        return False


def _put(a: Any, b: Any, r: int) -> Any:
    v = a * 0.9
    key = _key(a, r)
    place = np.empty(np.shape(a))[key].shape
    if fits(b, place):
        v[key] = np.tanh(b) if r % 2 else v[key] + 0.2 * b
    return v


TWO: dict[str, Callable[[Any, Any, int], Any]] = {
    "add": lambda a, b, r: a + 0.5 * b,
    "multiply": lambda a, b, r: a * b,
    "divide": lambda a, b, r: a / (2.0 + np.cos(b)),
    "maximum": lambda a, b, r: np.maximum(a, b) - np.minimum(a, 0.3 * b),
    "choose": lambda a, b, r: np.where(a > b, a, 0.5 * b),
    "join": lambda a, b, r: np.concatenate([np.reshape(a, -1), np.reshape(b, -1)[::2], np.reshape(a, -1)[:3]]),
    "join rows": lambda a, b, r: np.concatenate([a, np.sin(b)], axis=r % np.ndim(a)) if _alike(a, b) else a,
    "stack": lambda a, b, r: np.stack([a, b * 0.5, a], axis=r % (np.ndim(a) + 1)) if np.shape(a) == np.shape(b) else a,
    "put": _put,
    "outer": lambda a, b, r: np.outer(np.reshape(a, -1)[:6], np.reshape(b, -1)[:5]),
    "dot": lambda a, b, r: (
        np.dot(np.reshape(a, -1), np.reshape(b, -1)) / max(8, np.size(a)) if np.size(a) == np.size(b) else a
    ),
}


def _alike(a: Any, b: Any) -> bool:
    return np.shape(a) == np.shape(b) and np.ndim(a) > 0


def fitted(value: Any, shape: tuple[int, ...]) -> Any:
    """A value of any shape made into one of this shape, so that all of it counts."""
    if fits(value, shape):
        return value
    flat, n = np.reshape(value, -1), int(np.prod(shape))
    if np.size(value) >= n:
        return np.reshape(flat[:n], shape) + 0.3 * total(value)
    return 0.3 * total(value) + np.reshape(np.concatenate([flat, np.zeros(n - np.size(value))]), shape)


def _moved(state: list[Any], fresh: list[Any], how: int) -> list[Any]:
    """The next state: some leaves are computed, others handed on, exchanged, negated, repeated."""
    new = []
    for n, u in enumerate(state):
        value = 0.6 * u + 0.3 * np.sin(fitted(fresh[n % len(fresh)], np.shape(u)))
        others = [v for v in state if np.shape(v) == np.shape(u)]
        other = others[(how + n) % len(others)]
        match how % 13:
            case 0 | 1 | 2 | 3 | 4:
                new.append(value)
            case 5:
                new.append(other if n else value)
            case 6:
                new.append(-other if n else value)
            case 7:
                new.append(new[0] if n and np.shape(new[0]) == np.shape(u) else value)
            case 8:
                new.append(other * 1.0 + (0.0 if n else value))
            case 9:
                new.append(-other)
            case 10:
                v = other * 1.0
                if np.ndim(v) and np.size(v):
                    v[(0,) * np.ndim(v)] += 0.1 * fitted(fresh[-1], ())
                new.append(v)
            case 11:
                v = u + 0.0
                part = np.shape(v)[:1] > (4,)
                if part:
                    v[1:2] += 0.1 * fitted(fresh[-1], np.shape(v[1:2]))
                new.append(v if part else value)
            case _:
                new.append(value if n % 2 else np.full(np.shape(u), 0.5) * np.cos(total(u)))
        how //= 2 if n else 1
    return new


def is_whole(k: Any) -> bool:
    """Whether the number of a step is an integer, known or traced."""
    return isinstance(k, int) or k.dtype.kind == "i"


def make_step(
    lines: list[tuple[int, int, int, int]], how: int, most: int = 150
) -> Callable[..., tuple[list[Any], list[Any]]]:
    """A step ``(k, state, x, captures) -> (state, outputs)``: straight-line code from random lines.

    ``most`` is the number of elements of a value that is computed on.
    """

    def step(k: Any, state: list[Any], x: Any, captures: list[Any]) -> tuple[list[Any], list[Any]]:
        known = [*state, *captures, x, (0.1 * np.sin(0.3 * k) + (k % 3) * 0.1 - (k // 2) * 0.05) * captures[2]]
        if is_whole(k):
            known += [captures[3][k % 5], captures[3][-1 - k % 3, 2] * captures[1][(k + 1) % 4]]
            known += [u[(2 * k + n) % np.shape(u)[0]] for n, u in enumerate(state) if np.size(u) and np.ndim(u)]
        for which, i, j, r in lines:
            a, b = known[-1 - i % len(known)], known[j % len(known)]
            names = [*ONE, *TWO]
            name = names[which % len(names)]
            other = b if fits(b, np.shape(a)) else total(b)
            value = ONE[name](a, r) if name in ONE else TWO[name](a, other, r)
            value = value if np.size(value) <= most else total(value)
            known.append(np.tanh(value) if r % 2 and np.size(value) > 1 else value)
        fresh = known[-3:]
        outputs = [total(fresh[-1]), fresh[0], state[0], _moved(state, fresh, 3)[0]]
        return _moved(state, fresh, how), outputs[: how % 5]

    return step


LINES = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 30), st.integers(0, 30), st.integers(0, 10**5)), max_size=7
)
HOW = st.integers(0, 10**4)
SHAPES = st.sampled_from(
    [
        ((23,),),
        ((40,), (40,)),
        ((6, 9),),
        ((9, 6), (9, 6), (6,)),
        ((3, 4, 5), ()),
        ((20,), (20,), (20,)),
        ((1, 19), (19, 1)),
        ((17,), (), (3,)),
        ((0, 4), (18,)),
        ((2, 1, 11), (2, 1, 11)),
        ((5, 5), (5, 5)),
        ((1,), (30,)),
    ]
)
CAPTURES = ((7,), (4, 4), (), (5, 6))


def arrays(shapes: Any, turn: float = 0.0) -> list[Any]:
    """Arrays of these shapes, spread without pattern."""
    return [
        np.sin(3.0 + turn + 1.7 * n + 2.3 * np.arange(int(np.prod(s)))).reshape(s)[()] for n, s in enumerate(shapes)
    ]

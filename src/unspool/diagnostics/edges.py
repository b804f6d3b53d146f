"""Edges of a computational graph, and paths along them: partial derivatives and their products."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from unspool.diagnostics.recorded import Node, number
from unspool.errors import UnsupportedError
from unspool.ir.listener import primal
from unspool.tape import Tape, pulled

MOST_ENTRIES = 10_000
"""A partial derivative of more entries is not written out."""

_MOST_SHOWN = 1_000  # entries of a partial derivative that a drawing takes the trouble to weigh

_MOST_FACTORS = 8


@dataclass(frozen=True, eq=False, repr=False)
class Edge:
    """One operand of one operation: ``source`` goes into ``target`` as its parent number ``position``."""

    source: Node
    target: Node
    position: int
    tape: Tape

    def __repr__(self) -> str:
        return f"<edge {self.source.name} → {self.target.name}>"

    def pull(self, ct: Any) -> Any:
        """The share of a cotangent of the target that this edge carries to the source, by the rule of the operation."""
        primitive, index = self.target.primitive, self.target.index
        assert primitive is not None
        if primitive.multiple:
            (bundle,) = pulled(self.tape, index, ct)
            root = self.tape.nodes[index]
            assert root is not None
            return primal(pulled(self.tape, root[1][0], bundle)[self.position])
        return primal(pulled(self.tape, index, ct)[self.position])

    @cached_property
    def partial(self) -> Any:
        """The partial derivative of the target by the source: a number, or an array of both shapes after one another.

        UnsupportedError for complex values, and for arrays that would make it large.
        """
        y, x = np.asarray(self.target.value), np.asarray(self.source.value)
        what = f"the partial derivative of {self.target.name} by {self.source.name}"
        if "c" in (y.dtype.kind, x.dtype.kind):
            raise UnsupportedError(f"{what}: the paths of a graph are multiplied for real values, and one is complex")
        if y.size * x.size > MOST_ENTRIES:
            raise UnsupportedError(
                f"{what} has {y.size * x.size:,} entries, and {MOST_ENTRIES:,} are written out. Take smaller arrays to "
                "look at; unspool.grad and unspool.vjp carry cotangents of any size and write none of this out."
            )
        if not y.ndim:
            return np.array(self.pull(np.ones((), y.dtype)[()]))[()]
        rows = [np.array(self.pull(unit.reshape(y.shape))) for unit in np.eye(y.size, dtype=y.dtype)]
        return np.reshape(rows, y.shape + x.shape) if rows else np.zeros(y.shape + x.shape, x.dtype)

    @property
    def label(self) -> str:
        """The partial derivative in few letters; nothing for one that is too large to be looked at."""
        y, x = np.asarray(self.target.value), np.asarray(self.source.value)
        if "c" in (y.dtype.kind, x.dtype.kind) or y.size * x.size > _MOST_SHOWN:
            return ""
        return number(self.partial) if not np.ndim(self.partial) else f"norm {number(np.linalg.norm(self.partial))}"

    @property
    def factor(self) -> str:
        """The partial derivative in a product: a number, or the symbol of an array."""
        if np.ndim(self.partial):
            return f"∂{self.target.name}/∂{self.source.name}"
        return factor_text(self.partial)


@dataclass(frozen=True, eq=False, repr=False)
class Path:
    """Edges one after the other."""

    edges: tuple[Edge, ...]

    def __repr__(self) -> str:
        return f"<path {self}>"

    @property
    def product(self) -> Any:
        """The product of the partial derivatives on the way, in the order of the chain rule."""
        if all(not np.ndim(edge.partial) for edge in self.edges):
            return prod([edge.partial for edge in self.edges], start=np.float64(1.0))
        total: Any = None
        for edge in self.edges:
            total = edge.partial if total is None else chained(edge.partial, total, edge.source)
        return total

    @property
    def factors(self) -> str:
        """The partial derivatives written as a product: numbers from the start on, arrays in the order of matrices."""
        words = [edge.factor for edge in self.edges]
        if any(np.ndim(edge.partial) for edge in self.edges):
            words.reverse()
        return "·".join(words if len(words) <= _MOST_FACTORS else [*words[:3], "…", *words[-3:]]) or "1"

    def __str__(self) -> str:
        return " → ".join([self.edges[0].source.name, *(edge.target.name for edge in self.edges)]) if self.edges else ""


# --- derivatives of arrays by arrays ----------------------------------------------------------------------------------
def unit(node: Node) -> Any:
    """The derivative of a node by itself."""
    shape, size = np.shape(node.value), np.size(node.value)
    return np.eye(size).reshape(shape + shape)[()] if shape else np.float64(1.0)


def chained(outer: Any, inner: Any, between: Node) -> Any:
    """The chain rule: ``outer`` is a derivative by the node between, ``inner`` is one of it."""
    return np.tensordot(outer, inner, axes=np.ndim(between.value))[()]


def factor_text(x: Any) -> str:
    """A number in a product: a negative one in parentheses."""
    return number(x) if x >= 0 else f"({number(x)})"

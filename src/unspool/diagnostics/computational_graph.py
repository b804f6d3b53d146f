"""The computational graph of a function: values, cotangents, and the partial derivative on every edge.

Everything comes from the real tape: a partial derivative is what the rule of the operation makes of a unit cotangent.
A derivative is the sum, over all paths, of the products of the partial derivatives on the way; forward mode and reverse
mode factor that sum, from one input or from one output, so that every edge is used once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from unspool.diagnostics.drawing import Box, Drawing, Drawn, Link
from unspool.diagnostics.edges import Edge, Path, chained, factor_text, unit
from unspool.diagnostics.recorded import Node, Recorded, record, short
from unspool.errors import InputError
from unspool.ir.listener import primal
from unspool.table import Table, abridged
from unspool.tape import cotangents

MOST_PATHS = 10_000
"""More paths are not listed: their number grows exponentially, which is why nobody computes derivatives so."""

_COUNTLESS = 10**18  # nobody needs the number of paths beyond


@dataclass(frozen=True, eq=False, repr=False)
class Graph(Drawn):
    """What a function did: ``nodes`` in order, the ``edges`` between them, and the ``outputs``.

    ``graph["name"]`` is a node. Printed, it is a table; in a notebook, a picture.
    """

    recorded: Recorded

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All values, inputs first, in the order in which they were computed."""
        return self.recorded.nodes

    @property
    def outputs(self) -> tuple[Node, ...]:
        """The nodes that the function returned."""
        return self.recorded.outputs

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """One edge for every operand that is a node."""
        tape = self.recorded.tape
        return tuple([Edge(x, node, k, tape) for node in self.nodes for k, x in enumerate(node.parents)])

    @cached_property
    def cotangents(self) -> dict[str, Any] | None:
        """The derivative of the result by every node, from one sweep; None unless the result is one real number."""
        loss = self.recorded.loss
        if loss is None:
            return None
        found = cotangents(self.recorded.tape, loss.index, np.ones((), loss.value.dtype)[()])
        zeros = [np.zeros(node.value.shape, node.value.dtype)[()] for node in self.nodes]
        pairs = zip(self.nodes, zeros, strict=True)
        return {node.name: zero if found[node.index] is None else primal(found[node.index]) for node, zero in pairs}

    @cached_property
    def _named(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    def __getitem__(self, name: str) -> Node:
        if name in self._named:
            return self._named[name]
        names = ", ".join([*self._named][:30])
        raise InputError(f"the graph of {self.recorded.name} has no node {name!r}; its nodes are {names}")

    def _node(self, node: str | Node | None) -> Node:
        if isinstance(node, str):
            return self[node]
        if node is not None:
            if self._named.get(node.name) is not node:
                raise InputError(f"the node {node.name} belongs to another graph than that of {self.recorded.name}")
            return node
        if len(self.outputs) != 1:
            raise InputError(f"{self.recorded.name} has {len(self.outputs)} results: say which node is meant")
        return self.outputs[0]

    # --- paths and factorings -----------------------------------------------------------------------------------------
    def paths(self, start: str | Node, end: str | Node | None = None) -> Paths:
        """All paths from one node to another, the result if it is left out.

        InputError if there are more than MOST_PATHS; `forward` and `reverse` add them up without listing them.
        """
        first, last = self._node(start), self._node(end)
        n_paths = self._n_paths(first)[last.name]
        if n_paths > MOST_PATHS:
            least = "" if n_paths < _COUNTLESS else "at least "
            raise InputError(
                f"there are {least}{n_paths:,} paths from {first.name} to {last.name}, of which nobody makes a list. "
                f"forward({first.name!r}) and reverse({last.name!r}) add them up, edge by edge."
            )
        return Paths(self, first, last, tuple([Path(edges) for edges in self._walk(first, last)]))

    def _n_paths(self, start: Node) -> dict[str, int]:
        counts = {node.name: 0 for node in self.nodes}
        counts[start.name] = 1
        for edge in self.edges:  # ordered by their targets
            counts[edge.target.name] = min(_COUNTLESS, counts[edge.target.name] + counts[edge.source.name])
        return counts

    def _walk(self, start: Node, end: Node) -> Iterator[tuple[Edge, ...]]:
        """The paths, without recursion: a path of a tape may be a million edges long."""
        reachable = {name for name, n in self._n_paths(start).items() if n}
        into: dict[str, list[Edge]] = {}
        for edge in self.edges:
            if edge.source.name in reachable:
                into.setdefault(edge.target.name, []).append(edge)
        stack: list[tuple[Node, Any]] = [(end, None)]  # with the way from there: an edge, and what comes after it
        while stack:
            node, tail = stack.pop()
            if node is not start:
                stack += [(edge.source, (edge, tail)) for edge in reversed(into.get(node.name, []))]
                continue
            path = []
            while tail is not None:
                edge, tail = tail
                path.append(edge)
            yield tuple(path)

    def forward(self, start: str | Node) -> Factoring:
        """Forward mode from one input: its influence on every node, computed from left to right."""
        first = self._node(start)
        found = {first.name: unit(first)}
        used = []
        for edge in self.edges:
            if edge.source.name in found and edge.target is not first:
                share = chained(edge.partial, found[edge.source.name], edge.source)
                before = found.get(edge.target.name)
                found[edge.target.name] = share if before is None else before + share
                used.append(edge)
        return Factoring(self, first, True, found, tuple(used))

    def reverse(self, end: str | Node | None = None) -> Factoring:
        """Reverse mode from one output, the result if it is left out: what every node contributes, right to left."""
        last = self._node(end)
        found = {last.name: unit(last)}
        used = []
        for edge in reversed(self.edges):
            if edge.target.name in found and edge.source is not last:
                share = chained(found[edge.target.name], edge.partial, edge.target)
                before = found.get(edge.source.name)
                found[edge.source.name] = share if before is None else before + share
                used.append(edge)
        return Factoring(self, last, False, found, tuple(used))

    # --- shown --------------------------------------------------------------------------------------------------------
    def __str__(self) -> str:
        cts = self.cotangents
        head = ("node", "operation", "value", *(("cotangent",) if cts is not None else ()))
        rows = [
            (node.name, node.formula(), short(node.value), *((short(cts[node.name]),) if cts is not None else ()))
            for node in self.nodes
        ]
        return str(Table(head, abridged(rows), f"{self.recorded.name}: {len(self.nodes):,} nodes", left=(0, 1)))

    @property
    def drawing(self) -> Drawing:
        """Values and cotangents in the boxes, partial derivatives on the links."""
        cts = self.cotangents or {}
        loss = self.recorded.loss
        notes = {name: f"∂{loss.name}/∂{name} = {short(ct)}" for name, ct in cts.items()} if loss else {}
        return self._drawn(f"{self.recorded.name}: values, cotangents, partial derivatives", notes, (), "#d55e00")

    def _drawn(self, title: str, notes: dict[str, str], edges: Sequence[Edge], colour: str) -> Drawing:
        numbers = {node.name: k for k, node in enumerate(self.nodes)}
        marked = {id(edge) for edge in edges}
        ends = {node.name for edge in edges for node in (edge.source, edge.target)}
        boxes = []
        for node in self.nodes:
            formula = node.formula()
            lines = (f"{node.name} = {formula}" if formula else node.name, short(node.value))
            boxes.append(Box(lines, notes.get(node.name, ""), node.name in ends))
        links = [
            Link(numbers[edge.source.name], numbers[edge.target.name], edge.label, id(edge) in marked)
            for edge in self.edges
        ]
        return Drawing(title, tuple(boxes), tuple(links), colour)


# --- paths ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, eq=False, repr=False)
class Paths(Drawn):
    """All paths from ``start`` to ``end``; the sum of their products is the derivative."""

    graph: Graph
    start: Node
    end: Node
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Path]:
        return iter(self.paths)

    @property
    def sum(self) -> Any:
        """The derivative of the end by the start."""
        if any(not path.edges for path in self.paths):
            return unit(self.start)
        shape = np.shape(self.end.value) + np.shape(self.start.value)
        return sum([path.product for path in self.paths], start=np.zeros(shape)[()])

    @property
    def equation(self) -> str:
        """The derivative as the sum over the paths: ``∂e/∂b = 1·2 + 1·3 = 5``."""
        terms = " + ".join([path.factors for path in self.paths[:8]]) or "0"
        more = " + …" if len(self.paths) > 8 else ""
        return f"∂{self.end.name}/∂{self.start.name} = {terms}{more} = {short(self.sum)}"

    def __str__(self) -> str:
        return "\n".join([self.equation, *(f"  {path}  {path.factors} = {short(path.product)}" for path in self)])

    @property
    def drawing(self) -> Drawing:
        """The graph with the paths marked."""
        edges = list({id(edge): edge for path in self for edge in path.edges}.values())
        return self.graph._drawn(self.equation, {}, edges, "#007a5e")


@dataclass(frozen=True, eq=False, repr=False)
class Factoring(Drawn):
    """The sum over all paths from one input (forward) or to one output (reverse), with every edge used once.

    ``derivatives`` has an entry for every node that is reached: by the input, or of the output.
    """

    graph: Graph
    node: Node
    is_forward: bool
    derivatives: dict[str, Any]
    edges: tuple[Edge, ...]

    def __getitem__(self, name: str) -> Any:
        node = self.graph[name]
        shapes = (node, self.node) if self.is_forward else (self.node, node)
        zero = np.zeros(np.shape(shapes[0].value) + np.shape(shapes[1].value))[()]
        return self.derivatives.get(name, zero)

    def _symbol(self, name: str) -> str:
        return f"∂{name}/∂{self.node.name}" if self.is_forward else f"∂{self.node.name}/∂{name}"

    def _terms(self, name: str) -> str:
        """How the derivative at a node comes of those at its neighbours."""
        terms = []
        for edge in self.edges:
            here, there = (edge.target, edge.source) if self.is_forward else (edge.source, edge.target)
            if here.name == name:
                known = self.derivatives[there.name]
                factors = edge.factor, self._symbol(there.name) if np.ndim(known) else factor_text(known)
                terms.append("·".join(factors if self.is_forward else factors[::-1]))
        return " + ".join(terms)

    def __str__(self) -> str:
        nodes = [node for node in self.graph.nodes if node.name in self.derivatives]
        head = ("derivative", "from its neighbours", "value")
        rows = [
            (self._symbol(node.name), self._terms(node.name), short(self.derivatives[node.name]))
            for node in (nodes if self.is_forward else reversed(nodes))
        ]
        return str(Table(head, tuple(rows), self._title, left=(0, 1)))

    @property
    def _title(self) -> str:
        way = "forward from" if self.is_forward else "reverse from"
        return f"{way} {self.node.name}: {len(self.edges)} edges, each used once"

    @property
    def drawing(self) -> Drawing:
        """The graph with the derivatives in its boxes, and the edges marked that they came over."""
        notes = {name: f"{self._symbol(name)} = {short(value)}" for name, value in self.derivatives.items()}
        return self.graph._drawn(self._title, notes, self.edges, "#0072b2" if self.is_forward else "#d55e00")


def graph(f: Callable[..., Any]) -> Callable[..., Graph]:
    """The function that runs ``f`` once on the tape and returns its computational graph.

    Arguments are nests of floats and arrays of floats, all of which are inputs of the graph; ``f`` returns any nest.
    Nodes have the names of the user's variables where those can be seen. Loops of unspool are one node. InputError for
    other arguments; O(operations) time and memory.

    >>> def f(a, b):
    ...     c = a + b
    ...     d = b + 1
    ...     e = c * d
    ...     return e
    >>> seen = graph(f)(2.0, 1.0)
    >>> print(seen)
    f: 5 nodes
    node  operation  value  cotangent
    a                    2          2
    b                    1          5
    c     a + b          3          2
    d     b + 1          2          3
    e     c·d            6          1
    >>> print(seen.paths("b", "e"))
    ∂e/∂b = 1·2 + 1·3 = 5
      b → c → e  1·2 = 2
      b → d → e  1·3 = 3
    """

    def graph_of(*args: Any) -> Graph:
        return Graph(record(f, args))

    return graph_of

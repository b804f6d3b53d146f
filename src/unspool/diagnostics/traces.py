"""The trace of a function beside that of its derivative, one line per elementary operation.

The primal trace and the partial derivatives are those of the tape, adjoints come from its sweep, tangents from forward
mode. Inputs are numbered up to 0 and operations from 1 on, as in the tables of [BPRS2018, tables 2 and 3].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from unicodedata import normalize

import numpy as np

from unspool.arguments import directions_like, zeros_like
from unspool.diagnostics.computational_graph import Graph
from unspool.diagnostics.edges import MOST_ENTRIES, Edge
from unspool.diagnostics.recorded import Node, float_leaves, number, record, short
from unspool.errors import InputError, ReplayError
from unspool.ir.listener import Traced, listening
from unspool.layout import ArrayType
from unspool.table import Table, abridged
from unspool.tangents import Tangents
from unspool.witness import Ear, Operation, witness


@dataclass(frozen=True, slots=True, eq=False)
class TraceLine:
    """One value: its name, how it is computed, what it is; and the same for its tangent or adjoint."""

    name: str
    formula: str
    value: Any
    derivative_name: str
    derivative_formula: str
    derivative: Any

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """The line as text."""
        left = f"{self.name} = {self.formula}" if self.formula else self.name
        right = (
            f"{self.derivative_name} = {self.derivative_formula}" if self.derivative_formula else self.derivative_name
        )
        return left, short(self.value), right, short(self.derivative)


@dataclass(frozen=True, slots=True, eq=False)
class TraceTable:
    """The primal trace beside the tangent trace (``mode`` "forward") or the adjoint trace ("reverse").

    ``result`` is the tangent of the result in forward mode (a tuple, if there are several), and a tuple of the adjoints
    of the inputs in reverse mode. The adjoint trace is computed from its last line up.
    """

    mode: str
    lines: tuple[TraceLine, ...]
    result: Any
    note: str

    @property
    def table(self) -> Table:
        """The lines as text."""
        kind = "tangent trace ↓" if self.mode == "forward" else "adjoint trace ↑"
        rows = abridged([line.cells for line in self.lines])
        return Table(("primal trace ↓", "value", kind, "value"), rows, note=self.note, left=(0, 2))

    def __str__(self) -> str:
        return str(self.table)

    def markdown(self) -> str:
        """The table as Markdown."""
        return self.table.markdown()

    def _repr_html_(self) -> str:
        return self.table._repr_html_()


def trace_table(f: Callable[..., Any]) -> Callable[..., TraceTable]:
    """The function ``(*args, mode="reverse", tangents=None)`` that runs ``f`` and returns its trace table.

    Arguments are nests of floats and arrays of floats. ``mode`` is "reverse", for an ``f`` with one real number as its
    result, or "forward": in the direction ``tangents``, a tuple of the structure of the arguments; where it is left out
    the first number of the first argument moves by 1, and all else is still. A loop of unspool is one line.

    >>> def f(x1, x2):
    ...     return np.log(x1) + x1 * x2 - np.sin(x2)
    >>> print(trace_table(f)(2.0, 5.0, mode="forward"))
    primal trace ↓    value  tangent trace ↓    value
    v₋₁ = x1              2  v̇₋₁                    1
    v₀ = x2               5  v̇₀                     0
    v₁ = log(v₋₁)    0.6931  v̇₁ = 0.5·v̇₋₁         0.5
    v₂ = v₋₁·v₀          10  v̇₂ = 5·v̇₋₁ + 2·v̇₀      5
    v₃ = v₁ + v₂      10.69  v̇₃ = v̇₁ + v̇₂         5.5
    v₄ = sin(v₀)    -0.9589  v̇₄ = 0.2837·v̇₀         0
    v₅ = v₃ - v₄      11.65  v̇₅ = v̇₃ - v̇₄         5.5
    y = v₅            11.65  ẏ = v̇₅               5.5
    In the direction (1, 0) the tangent of the result is 5.5.
    """

    def table_of(*args: Any, mode: str = "reverse", tangents: Sequence[Any] | None = None) -> TraceTable:
        if mode not in ("forward", "reverse"):
            raise InputError(f'mode={mode!r}: a trace table has the mode "forward" or "reverse"')
        if mode == "reverse" and tangents is not None:
            raise InputError('tangents are for mode="forward"; in reverse mode the adjoint of the result is 1')
        graph = Graph(record(f, args))
        return _forward(f, args, graph, tangents) if mode == "forward" else _reverse(graph)

    return table_of


# --- forward ----------------------------------------------------------------------------------------------------------
def _forward(f: Callable[..., Any], args: tuple[Any, ...], graph: Graph, tangents: Sequence[Any] | None) -> TraceTable:
    leaves, structure = float_leaves(f, args)
    if tangents is None:
        directions = [zeros_like(leaf) for leaf in leaves]
        if leaves:
            directions[0] = np.reshape(np.eye(1, np.size(leaves[0]), dtype=leaves[0].dtype), leaves[0].shape)[()]
    else:
        directions = directions_like(tuple(tangents), structure, [ArrayType.of(leaf) for leaf in leaves], "tangents")
    moved = _tangents(f, graph, structure.unflatten, leaves, directions)
    names = _names(graph)
    into: dict[str, list[Edge]] = {}
    for edge in graph.edges:
        into.setdefault(edge.target.name, []).append(edge)
    lines = []
    for node in graph.nodes:
        formula = _sum([(_factor(e, names), _dotted(names[e.source.name])) for e in into.get(node.name, [])])
        lines.append(_line(node, names, _dotted(names[node.name]), formula, moved[node.name]))
    for name, node in _results(graph):
        lines.append(
            TraceLine(name, names[node.name], node.value, _dotted(name), _dotted(names[node.name]), moved[node.name])
        )
    results = tuple([moved[node.name] for node in graph.outputs])
    result = results[0] if len(results) == 1 else results
    note = (
        f"In the direction ({', '.join(map(short, directions))}) the tangent of the result is "
        f"{', '.join(map(short, results))}."
    )
    return TraceTable("forward", tuple(lines), result, note)


class _Moving(Ear):
    """Collects the tangent of every result of every operation."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, list[Any]]] = []

    def enter(self, value: Any, name: str, place: str) -> tuple[Any, Any]:
        """An argument."""
        return value, None

    def hear(
        self, operation: Operation, call: Callable[..., Any], values: Sequence[Any], notes: Sequence[Any]
    ) -> tuple[Any, Sequence[Any]]:
        """Carry it out as one operation."""
        y = operation(*values)
        parts = y if operation.primitive.multiple else (y,)
        found = [part.node if isinstance(part, Traced) else None for part in parts]
        self.heard.append((operation.primitive.name, found))
        return y, [None] * len(parts)

    def leave(self, value: Any, note: Any, place: str) -> None:
        """A result."""


def _tangents(
    f: Callable[..., Any],
    graph: Graph,
    unflatten: Callable[..., Any],
    leaves: Sequence[Any],
    directions: Sequence[Any],
) -> dict[str, Any]:
    """The tangent of every node, by forward mode: a second run of the function."""
    sweep, ear = Tangents(), _Moving()
    with listening(sweep):
        try:
            witness(f, ear)(*unflatten([sweep.input(x, t) for x, t in zip(leaves, directions, strict=True)]))
        finally:
            sweep.close()
    moved = dict(zip([node.name for node in graph.recorded.inputs], directions, strict=True))
    for node in graph.nodes:
        if node.primitive is not None:
            name, tangents = ear.heard[node.call] if node.call < len(ear.heard) else ("nothing", [])
            if name != node.primitive.name:
                raise ReplayError(
                    f"{graph.recorded.name} computed {node.primitive.name} as its operation {node.call} (at "
                    f"{node.line}) when it ran first, and {name} when it ran again. A function that is traced must do "
                    "the same both times: pass random numbers and counters as arguments."
                )
            tangent = tangents[node.part or 0]
            moved[node.name] = zeros_like(node.value) if tangent is None else tangent
    return moved


# --- reverse ----------------------------------------------------------------------------------------------------------
def _reverse(graph: Graph) -> TraceTable:
    adjoints, loss = graph.cotangents, graph.recorded.loss
    if adjoints is None or loss is None:
        raise InputError(
            f"{graph.recorded.name} returned something else than one real number that depends on its arguments: the "
            'adjoint trace begins at such a number. Reduce it, with np.sum, or use mode="forward".'
        )
    names = _names(graph)
    out: dict[str, list[Edge]] = {}
    for edge in reversed(graph.edges):
        out.setdefault(edge.source.name, []).append(edge)
    lines = []
    for node in graph.nodes:
        formula = _sum([(_barred(names[e.target.name]), _factor(e, names)) for e in out.get(node.name, [])])
        if node is loss:
            formula = _sum([(_barred("y"), "1"), *([(formula, "1")] if formula else [])])
        lines.append(_line(node, names, _barred(names[node.name]), formula, adjoints[node.name]))
    lines.append(TraceLine("y", names[loss.name], loss.value, _barred("y"), "", np.float64(1.0)))
    inputs = graph.recorded.inputs
    result = tuple([adjoints[node.name] for node in inputs])
    words = ", ".join([node.name for node in inputs])
    note = f"The derivative with respect to ({words}) is ({', '.join(map(short, result))})."
    return TraceTable("reverse", tuple(lines), result, note)


# --- words ------------------------------------------------------------------------------------------------------------
_LOW = str.maketrans("-0123456789", "₋₀₁₂₃₄₅₆₇₈₉")


def _names(graph: Graph) -> dict[str, str]:
    """The inputs numbered up to 0, the operations from 1 on."""
    first = 1 - len(graph.recorded.inputs)
    return {node.name: f"v{first + k}".translate(_LOW) for k, node in enumerate(graph.nodes)}


def _results(graph: Graph) -> list[tuple[str, Node]]:
    if len(graph.outputs) == 1:
        return [("y", graph.outputs[0])]
    return [(f"y{k + 1}".translate(_LOW), node) for k, node in enumerate(graph.outputs)]


def _line(node: Node, names: dict[str, str], derivative_name: str, formula: str, derivative: Any) -> TraceLine:
    primal = node.name if node.primitive is None else node.formula(lambda other: names[other.name])
    return TraceLine(names[node.name], primal, node.value, derivative_name, formula, derivative)


def _dotted(name: str) -> str:
    return normalize("NFC", f"{name[0]}\u0307{name[1:]}")


def _barred(name: str) -> str:
    return normalize("NFC", f"{name[0]}\u0304{name[1:]}")


def _factor(edge: Edge, names: dict[str, str]) -> str:
    """The partial derivative as a number, or its symbol where it is an array, complex or large."""
    y, x = np.asarray(edge.target.value), np.asarray(edge.source.value)
    if y.ndim or x.ndim or "c" in (y.dtype.kind, x.dtype.kind) or y.size * x.size > MOST_ENTRIES:
        return f"∂{names[edge.target.name]}/∂{names[edge.source.name]}"
    return number(edge.partial)


def _sum(terms: Sequence[tuple[str, str]]) -> str:
    """Products as a sum; factors of 1 and -1 are not written."""
    text = ""
    for one, other in terms:
        sign = "-" if "-1" in (one, other) else ""
        factors = [factor for factor in (one, other) if factor not in ("1", "-1")] or ["1"]
        if factors[0][0] == "-":
            sign, factors[0] = "-", factors[0][1:]
        product = "·".join([f"({factor})" if factor[0] == "-" else factor for factor in factors])
        text += f" {sign or '+'} {product}" if text else f"{sign}{product}"
    return text

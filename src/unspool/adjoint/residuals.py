"""What a recorded step keeps for its way back, and what the way back computes again.

Every primal value that the adjoint reads is either kept, which costs memory traffic, or computed again from values that
are there, which costs work. The cheapest choice of all is a minimum cut: a value on the one side of it is needed, the
edges across it are the bytes that are moved and the work that is done again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from unspool.ir.program import Equation, Program, Var
from unspool.ir.simplify import drop_dead

STATE, NEXT, RESIDUAL = range(3)

KEEP_SECONDS = 4e-10
"""Seconds per byte of writing a residual, holding it, and reading it back from memory."""

HELD_SECONDS = 1e-12
"""Seconds per byte of a state that is held anyhow: only a tie is decided by it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A value that a recorded step keeps: the part ``position`` of its state, of the next state, or a residual."""

    kind: int
    position: int
    var: Var


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A step as two programs: ``record`` gives the next state, the outputs and the residuals.

    ``reverse`` takes (k, what is kept, inputs, captures, cotangents of state and outputs). ``again`` are the equations
    of the step that the way back computes again.
    """

    record: Program
    reverse: Program
    kept: tuple[Kept, ...]
    again: tuple[Equation, ...]

    @property
    def residual_bytes(self) -> int:
        """Bytes of the residuals of one step, beyond its states."""
        return sum(kept.var.type.nbytes for kept in self.kept if kept.kind == RESIDUAL)


def split(
    joint: Program,
    *,
    n_state: int,
    n_new: int,
    n_primal: int,
    work: Callable[[Equation], float],
) -> Split:
    """Cut the program of a step and its adjoint into two.

    Its inputs are k, ``n_state`` leaves, inputs and captures (``n_primal`` in all), cotangents; its first ``n_new``
    outputs are the next state and the outputs of the step. ``work`` gives the seconds that an equation takes.
    """
    primal_inputs, cts = joint.inputs[:n_primal], joint.inputs[n_primal:]
    state = joint.inputs[1 : 1 + n_state]
    always = {*joint.inputs[:1], *primal_inputs[1 + n_state :], *(var for var, _ in joint.consts)}
    primal = [*state]
    known = {*primal_inputs, *always}
    equations: dict[Var, Equation] = {}
    needed: dict[Var, None] = {}
    for equation in joint.equations:
        reads = [atom for atom in equation.operands if isinstance(atom, Var)]
        if known.issuperset(reads):
            known.update(equation.outputs)
            primal += equation.outputs
            equations |= dict.fromkeys(equation.outputs, equation)
        else:
            needed |= dict.fromkeys(var for var in reads if var in known)
    needed |= dict.fromkeys(a for a in joint.outputs[n_new:] if isinstance(a, Var) and a in known)
    new = {
        atom: position for position, atom in reversed([*enumerate(joint.outputs[:n_state])]) if isinstance(atom, Var)
    }

    def keeping(var: Var) -> float:
        return var.type.nbytes * (HELD_SECONDS if var in state or var in new else KEEP_SECONDS)

    kept_vars = minimum_cut(
        [var for var in needed if var not in always],
        {var: keeping(var) for var in primal},
        {
            var: (work(equation), [a for a in equation.operands if isinstance(a, Var) and a not in always])
            for var, equation in equations.items()
        },
    )
    whole = {var for e in joint.equations if kept_vars.intersection(e.outputs) for var in e.outputs}
    kept_vars |= whole.intersection(primal)
    kept: list[Kept] = []
    for var in primal:
        if var in kept_vars:
            if var in state:
                kept.append(Kept(STATE, state.index(var), var))
            elif var in new:
                kept.append(Kept(NEXT, new[var], var))
            else:
                kept.append(Kept(RESIDUAL, sum(k.kind == RESIDUAL for k in kept), var))
    residuals = tuple([k.var for k in kept if k.kind == RESIDUAL])
    record = replace(joint, inputs=primal_inputs, outputs=(*joint.outputs[:n_new], *residuals))
    inside = {k.var for k in kept}
    reverse = Program(
        (joint.inputs[0], *[k.var for k in kept], *primal_inputs[1 + n_state :], *cts),
        joint.consts,
        tuple([e for e in joint.equations if not inside.issuperset(e.outputs)]),
        joint.outputs[n_new:],
    )
    reverse = drop_dead(reverse)
    again = tuple([e for e in reverse.equations if e.outputs[0] in equations])
    return Split(drop_dead(record), reverse, tuple(kept), again)


def minimum_cut(
    needed: Sequence[Var], keeping: dict[Var, float], computing: dict[Var, tuple[float, list[Var]]]
) -> frozenset[Var]:
    """The vars to keep so that all that is needed is kept or computed from what is, at the least cost.

    ``keeping`` gives the cost of keeping each var, ``computing`` the cost of computing it, and from which others.

    >>> from unspool.layout import ArrayType
    >>> x, y, z = (Var(k, ArrayType(np.dtype(float), ())) for k in range(3))
    >>> cut = minimum_cut([z], {x: 1, y: 3, z: 3}, {y: (1, [x]), z: (9, [y])})
    >>> [str(var) for var in cut]
    ['%2']
    """
    if not needed:
        return frozenset()
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    # var v is node 2v ("is there") and, where it can be computed, 2v + 1 ("is computed")
    node = {var: 2 * k for k, var in enumerate(keeping)}
    source, sink = 2 * len(node), 2 * len(node) + 1
    largest = sum(keeping.values()) + sum(cost for cost, _ in computing.values())
    unit = 4e8 / max(largest, 1e-300)
    everything = 2**30
    edges: list[tuple[int, int, int]] = [(source, node[var], everything) for var in dict.fromkeys(needed)]
    for var, there in node.items():
        price = max(1, round(keeping[var] * unit))
        if var in computing:
            cost, operands = computing[var]
            edges += [(there, there + 1, price), (there + 1, sink, max(1, round(cost * unit)))]
            edges += [(there + 1, node[operand], everything) for operand in dict.fromkeys(operands)]
        else:
            edges.append((there, sink, price))
    rows, columns, capacities = zip(*edges, strict=True)
    n = sink + 1
    graph = csr_array((np.array(capacities, np.int32), (rows, columns)), shape=(n, n))
    flow = maximum_flow(graph, source, sink).flow
    rest = csr_array(graph - flow)
    rest.data = (rest.data > 0).astype(np.int32)
    rest.eliminate_zeros()
    reached = set(breadth_first_order(rest, source, return_predecessors=False).tolist())
    return frozenset(
        var for var, there in node.items() if there in reached and (var not in computing or there + 1 not in reached)
    )

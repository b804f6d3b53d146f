"""Which values a tape keeps, and how it gets the others back: checkpointing for plain Python code.

A forgetful tape writes down what happens (`unspool.transcript`) and forgets values. Marks cut it into steps: those of
`unspool.mark`, or one every so many operations. The program's own handles own the values; the tape takes hold of one
when it is read on the other side of a mark, so that the snapshot at a mark is what the steps after it have read from
before it, and nothing that they have not. On the way back, the operations between two snapshots are carried out again
from the first of them, recorded as a plain tape records them, and reversed: the same nodes in the same order, so that
the gradient has the same bits.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from sys import getsizeof
from typing import Any, ClassVar

import numpy as np

from unspool.errors import BudgetError, PolicyError, UnsupportedError
from unspool.ir.listener import Traced, active, bind
from unspool.ir.primitive import Primitive, Read
from unspool.layout import digest
from unspool.memory import Memory, as_bytes, human_bytes
from unspool.observers import LoopReport, logs
from unspool.schedules import Every, Online, Schedule, StoreAll, as_schedule
from unspool.schedules.binomial import beta, repetitions, stride
from unspool.schedules.online import least_missed, pays, placements
from unspool.tape import LAZY, Node, Tape, root, select
from unspool.transcript import Transcript
from unspool.variable import Variable

STRIDE = 16
"""Operations between two marks where the program sets none and the policy does not count them."""

_NEVER = 2**62
_CHECKED = 8  # of so many marks, the state at one is known by a digest
_NODE_BYTES = 56 + 48 + 64  # a node, its parents, its residuals


@dataclass(slots=True)
class Snapshot:
    """What is held at a mark: the values from before it that are read between it and the next snapshot."""

    mark: int
    values: dict[int, Any] = field(default_factory=dict)


class Held:
    """The bytes of the arrays that are held, each counted once however often it is held."""

    __slots__ = ("_counts", "n_bytes")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.n_bytes = 0

    def add(self, value: Any) -> None:
        """Count a value."""
        owner = root(value)
        times = self._counts.get(id(owner), 0)
        self._counts[id(owner)] = times + 1
        if not times:
            self.n_bytes += getsizeof(owner)

    def drop(self, value: Any) -> None:
        """Count it no more."""
        owner = root(value)
        times = self._counts.pop(id(owner)) - 1
        if times:
            self._counts[id(owner)] = times
        else:
            self.n_bytes -= getsizeof(owner)


class Forgetful(Tape):
    """A tape that keeps what was done and forgets values.

    It keeps all residuals as a plain tape does as long as they fit into ``budget`` bytes, and snapshots after that;
    ``schedule`` says which if it is given, and that nothing else is kept.
    """

    __slots__ = (
        "_cut",
        "_dropping",
        "_held",
        "_inputs",
        "_keeping",
        "_latest",
        "_least",
        "_look_at",
        "_next_mark",
        "_places",
        "_step_bytes",
        "_step_sizes",
        "_stride",
        "_user_marks",
        "budget",
        "marks",
        "report",
        "schedule",
        "snapshots",
        "state_bytes",
        "transcript",
    )

    forgets: ClassVar[bool] = True

    def __init__(self, schedule: Every | Online | None, budget: int | None, name: str) -> None:
        super().__init__()
        self.schedule = schedule
        self.budget = budget
        self.transcript = Transcript()
        self.marks = array("I", [0])
        self.snapshots = [Snapshot(0)]
        self.state_bytes = 0  # the most that a snapshot took which the others did not hold
        self.report = LoopReport(name, schedule or Online(1), online=True)
        self._inputs: dict[int, Any] = {}
        self._held = Held()
        self._keeping = schedule is None
        self._cut = 0
        self._latest: tuple[int, Any] | None = None
        self._least: list[tuple[int, int]] | None = None
        self._places = placements(schedule.slots) if isinstance(schedule, Online) else iter(())
        self._dropping: tuple[int, int | None] = next(self._places, (-1, None))
        self._step_bytes = 0
        self._step_sizes = 0
        self._stride = self._next_mark = schedule.period if isinstance(schedule, Every) else STRIDE
        self._look_at = 32 * STRIDE
        self._user_marks = False

    @property
    def n_bytes(self) -> int:
        """What is held now: the transcript, snapshots, residuals."""
        return self.transcript.n_bytes + self._held.n_bytes + 12 * len(self.marks)

    # --- listening ----------------------------------------------------------------------------------------------------
    def input(self, value: Any) -> Variable:
        """A handle on a value with respect to which the tape can be swept."""
        if isinstance(value, Traced):
            raise UnsupportedError(_NESTED)
        node = self.transcript.add((None, None, None, 0, None, 0), ())
        self._inputs[node] = value
        self.inputs.append(node)
        self.nodes.append(None)
        return Variable(value, self, node)

    def bind(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Evaluate the operation and write it down."""
        return self._hear(primitive, primitive.evaluate, args, params)

    def binary(self, primitive: Primitive, operator: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
        """The same for an arithmetic operator, which Python evaluates where a plain tape lets it."""
        if self.scope is not None:
            return bind(primitive, x, y)
        for operand in (x, y):
            if operand.__class__ is Variable:
                base = operand.base
                if operand.listener is not self or (base is not None and base.version != operand.version):
                    return bind(primitive, x, y)
            elif operand.__class__ is not float and operand.__class__ is not int:
                return bind(primitive, x, y)
        return self._hear(primitive, operator, (x, y), {})

    def unary(self, primitive: Primitive, x: Variable) -> Any:
        """The same as `bind`."""
        return bind(primitive, x)

    def append(self, y: Sequence[Any], parents: Iterable[int], pull: Callable[[Any], Sequence[Any]]) -> tuple[Any, ...]:
        """Refuse: what has no operation cannot be carried out again."""
        raise UnsupportedError("a forgetful tape takes operations, and was given a node. Record it as a primitive.")

    def _hear(
        self, primitive: Primitive, evaluate: Callable[..., Any], args: tuple[Any, ...], params: dict[str, Any]
    ) -> Any:
        transcript, cut = self.transcript, self._cut
        if len(transcript) >= self._next_mark:
            self._mark_by_count()
            cut = self._cut
        values: list[Any] = []
        refs: list[int] = []
        wanted = 0
        for k, arg in enumerate(args):
            ref = -1
            value = arg
            if isinstance(arg, Traced):
                value, ref = arg.value, arg.node
                if arg.listener is not self or isinstance(value, Traced):
                    raise UnsupportedError(_NESTED)
                if ref >= 0:
                    wanted |= 1 << k
                else:
                    ref = -2 - ref
            if ref < 0:
                ref = transcript.operand(value)
            values.append(value)
            refs.append(ref)
            if 0 <= ref < cut and ref not in self._inputs:
                self._take(ref, value)
        pull = None
        if wanted and primitive.record is not None:
            y, pull = primitive.record(tuple(values), wanted)
        else:
            y = evaluate(*values, **params) if params else evaluate(*values)
        if isinstance(y, Traced):
            raise UnsupportedError(_NESTED)
        rule = None
        if not primitive.differentiable:
            wanted = 0
        elif wanted and pull is None:
            plain = primitive.elementwise and all(
                values[k].shape == y.shape and values[k].dtype == y.dtype for k in range(len(args)) if wanted >> k & 1
            )
            rule = primitive.pull_for(wanted, len(args), plain)
        n_bytes = 0 if primitive.multiple else _new_bytes(y, values)
        node = transcript.add((primitive, evaluate, params or None, wanted, rule, n_bytes), refs)
        self._step_bytes += n_bytes
        if self._keeping:
            self._keep(primitive, y, values, refs, wanted, pull or rule, params)
        if primitive.multiple:
            return self._parts(y, node, wanted, checked=primitive.record is not None)
        if not primitive.differentiable and getattr(y, "dtype", np.dtype(bool)).kind not in "fc":
            if isinstance(y, np.ndarray):
                transcript.made(y, node)
            return y
        self._latest = node, y
        return Variable(y, self, node if wanted else -2 - node)

    def _parts(self, y: Sequence[Any], node: int, wanted: int, *, checked: bool) -> tuple[Any, ...]:
        result = []
        for position, part in enumerate(y):
            n_bytes = _new_bytes(part, ())
            number = self.transcript.add((None, None, None, 1 if wanted else 0, None, n_bytes, position), (node,))
            self._step_bytes += n_bytes
            if self._keeping:
                self.nodes.append((select, (node,), (position, len(y)), None) if wanted else None)
            if checked:
                self.transcript.digests[number] = digest([part])
            result.append(Variable(part, self, number if wanted else -2 - number))
        return tuple(result)

    def _keep(
        self,
        primitive: Primitive,
        y: Any,
        values: list[Any],
        refs: list[int],
        wanted: int,
        rule: Any,
        params: dict[str, Any],
    ) -> None:
        """Append the node as a plain tape has it."""
        if not wanted:
            self.nodes.append(None)
            return
        parents = tuple([r for k, r in enumerate(refs) if wanted >> k & 1])
        if primitive.record is not None:
            self.nodes.append((rule, parents, (), None))
            return
        for k, (ref, value) in enumerate(zip(refs, values, strict=True)):
            if isinstance(value, np.ndarray) and ref < 0 and rule.reads[k + 1] is Read.VALUE:
                kept = self.transcript.constants[~ref]
                gapped = not (kept.flags.c_contiguous or kept.flags.f_contiguous)
                values[k] = kept.copy(order="K") if gapped else kept
        residuals = rule.keep(y, *values)
        self.nodes.append((rule.function, parents, residuals, params or None))
        for value in residuals:
            if value.__class__ is np.ndarray:
                self._held.add(value)

    def _take(self, node: int, value: Any) -> None:
        """Hold a value from before the last mark that is read after it."""
        values = self.snapshots[-1].values
        if node not in values:
            values[node] = value
            self._held.add(value)

    # --- marks --------------------------------------------------------------------------------------------------------
    def mark(self) -> None:
        """Cut here, and nowhere else than at such marks from now on."""
        self._user_marks = True
        self._next_mark = _NEVER
        self._mark()

    def _mark_by_count(self) -> None:
        """Cut where the program has set no mark: after so many operations, in step with a loop if there is one."""
        here = len(self.transcript)
        if here >= self._look_at and not isinstance(self.schedule, Every):
            self._look_at = 4 * here
            period = self.transcript.period()
            if period is not None and self._short(period):
                self._stride = period * -(-STRIDE // period)
                place, _ = self.transcript.narrowest(period)
                self._next_mark = place + 1 + -(-(here - place - 1) // period) * period
                if self._next_mark > here:
                    return
        self._mark()
        self._next_mark = here + self._stride

    def _short(self, period: int) -> bool:
        """Whether a period is short enough to be a step."""
        here = len(self.transcript)
        return self.budget is None or 8 * self.transcript.made_bytes(here - period, here) < self.budget

    def _mark(self) -> None:
        here = len(self.transcript)
        if here == self._cut:
            return
        self._complete()
        self.snapshots.append(Snapshot(len(self.marks)))
        self.marks.append(here)
        self._cut = here
        self._step_bytes = 0
        if self._latest is not None and len(self.marks) % _CHECKED == 0:
            self.transcript.digests[self._latest[0]] = digest([self._latest[1]])
        self._latest = None

    def _complete(self) -> None:
        """The step after the last mark is over: decide about its snapshot."""
        self._step_sizes = max(self._step_sizes, self._step_bytes)
        self.note_peak(len(self.nodes))
        candidate = self.snapshots[-1].mark
        if isinstance(self.schedule, Every):
            if self._user_marks and candidate % self.schedule.period:
                self._merge(len(self.snapshots) - 1)
        elif self.schedule is not None:
            place, dropped = self._dropping
            if candidate == place:
                if dropped is not None:
                    self._merge([s.mark for s in self.snapshots].index(dropped))
                self._dropping = next(self._places)
            elif candidate:
                self._merge(len(self.snapshots) - 1)
        else:
            self._squeeze()

    def _over(self) -> bool:
        """Whether one more step, and its way back, might not fit."""
        assert self.budget is not None
        kept = _NODE_BYTES * len(self.nodes) if self._keeping else 0
        return self.n_bytes + kept + self._step_sizes + self.state_bytes > self.budget

    def _squeeze(self) -> None:
        """Make room: first without the residuals, then without the snapshots that are least missed."""
        if self._keeping:
            if not self._over():
                return
            self._forget()
        newest = self.snapshots[-1].values.values()
        self.state_bytes = max(self.state_bytes, sum([getsizeof(v) for v in {id(r): r for r in map(root, newest)}.values()]))
        held = [snapshot.mark for snapshot in self.snapshots]
        if len(held) > 2 and self._over():
            if self._least is None:
                self._least = least_missed(held[:-1], set(), -1)
            distance = held[-1] - held[-2]
            r = repetitions(held[-1], len(held) - 1)
            if self._least and pays(self._least[0][0], distance, r):
                self._merge(self._least[0][1])
            else:
                self._merge(len(held) - 1)
        self._make_room()

    def _make_room(self) -> None:
        while len(self.snapshots) > 1 and self._over():
            held = [snapshot.mark for snapshot in self.snapshots]
            found = least_missed(held, set(), -1)
            self._merge(found[0][1] if found else len(held) - 1)
        if self._over():
            raise BudgetError(self._too_little())

    def _forget(self) -> None:
        """Let the residuals go, and hold snapshots only."""
        self._keeping = False
        self.nodes = []
        self._held = Held()
        for snapshot in self.snapshots:
            for value in snapshot.values.values():
                self._held.add(value)

    def _merge(self, index: int) -> None:
        """Do without a snapshot: the one before it takes over what it could not compute."""
        gone, before = self.snapshots.pop(index), self.snapshots[index - 1]
        here = self.marks[before.mark]
        for node, value in gone.values.items():
            if node >= here or node in before.values:
                self._held.drop(value)
            else:
                before.values[node] = value
        if index < len(self.snapshots) or self._least is None:
            self._least = None

    def note_peak(self, n_nodes: int) -> None:
        """Note what is held now, with so many nodes."""
        self.report.peak_bytes = max(self.report.peak_bytes, self.n_bytes + _NODE_BYTES * n_nodes)

    def _too_little(self) -> str:
        assert self.budget is not None
        fixed, step = self.transcript.n_bytes, self._step_sizes + self.state_bytes
        found = self._held.n_bytes
        return (
            f"memory={human_bytes(self.budget)} is too little after {len(self.transcript):,} operations: the operations "
            f"themselves and what they read from outside take {human_bytes(fixed)}, one snapshot {human_bytes(found)}, "
            f"and a step and its way back up to {human_bytes(step)}. So far it takes at least "
            f"{human_bytes(fixed + found + step)}; set more marks with unspool.mark() to make steps shorter, or give "
            "more memory."
        )

    # --- the way back -------------------------------------------------------------------------------------------------
    def sweep(self, seeds: Iterable[tuple[int, Any]], *, free: bool) -> list[Any]:
        """Carry cotangents back to the inputs, replaying one range of steps after another from its snapshot."""
        self._step_sizes = max(self._step_sizes, self._step_bytes)
        if self.budget is not None and self._over():
            if self._keeping:
                self._forget()
            self._make_room()
        self.note_peak(len(self.nodes))
        self.report.n_steps = len(self.marks)
        self.report.reversed = True
        if self._keeping:
            self.report.steps = self.report.n_steps
            return super().sweep(seeds, free=free)
        if self.schedule is None:
            self.report.policy = Online(len(self.snapshots))  # what it came to
        return WayBack(self, free=free).sweep(seeds)

    @property
    def step_bytes(self) -> int:
        """The most that the results of one step took."""
        return self._step_sizes

    def given(self) -> dict[int, Any]:
        """The inputs by their numbers."""
        return self._inputs

    def free_snapshots(self) -> int:
        """How many more snapshots there is room for, by the budget or the schedule."""
        if self.budget is not None:
            return (self.budget - self.n_bytes - self._step_sizes) // max(1, self.state_bytes)
        return getattr(self.schedule, "slots", 1) - len(self.snapshots)

    def fits(self, n_bytes: int) -> bool:
        """Whether so many bytes more are within the budget; a schedule says nothing of bytes."""
        return self.budget is None or self.n_bytes + n_bytes <= self.budget

    # the way back holds and lets go
    def hold(self, values: Iterable[Any]) -> None:
        """Count arrays that are held now."""
        for value in values:
            if value.__class__ is np.ndarray or isinstance(value, np.generic):
                self._held.add(value)

    def release(self, values: Iterable[Any]) -> None:
        """Count them no more."""
        for value in values:
            if value.__class__ is np.ndarray or isinstance(value, np.generic):
                self._held.drop(value)


class WayBack:
    """One sweep over a forgetful tape."""

    __slots__ = ("_cts", "_free", "_ends", "_tape")

    def __init__(self, tape: Forgetful, *, free: bool) -> None:
        tape.transcript.finish()
        self._tape = tape
        self._free = free
        self._ends = [*tape.marks, len(tape.transcript)]
        self._cts: dict[int, Any] = {}

    def sweep(self, seeds: Iterable[tuple[int, Any]]) -> list[Any]:
        """The cotangents of the inputs, None where one is zero."""
        tape, cts, ends = self._tape, self._cts, self._ends
        for index, seed in seeds:
            if index >= 0:
                cts[index] = seed if index not in cts else cts[index] + seed
        kept = [] if self._free else list(tape.snapshots)
        stop = len(tape.marks)
        try:
            while tape.snapshots:
                top = tape.snapshots[-1]
                if max(cts, default=-1) >= ends[top.mark]:
                    middle = self._reverse_last(top, stop)
                else:
                    middle = top.mark
                stop = middle
                if middle == top.mark:
                    tape.snapshots.pop()
                    if not any(top is snapshot for snapshot in kept):
                        tape.release(top.values.values())
                        top.values.clear()
        finally:
            if not self._free:
                tape.snapshots = kept
        tape.report.steps += tape.report.n_steps
        found = [cts.get(index) for index in tape.inputs]
        return [ct.dense() if ct.__class__ in LAZY else ct for ct in found]

    def _reverse_last(self, top: Snapshot, stop: int) -> int:
        """Reverse the last of the steps from a snapshot to `stop`, saving states on the way; return where it began."""
        tape, ends = self._tape, self._ends
        transcript, report = tape.transcript, tape.report
        values = tape.given() | top.values
        begin, n = top.mark, stop - top.mark
        whole = isinstance(tape.schedule, Every) or (
            tape.budget is not None and tape.fits(transcript.made_bytes(ends[begin], ends[stop]))
        )
        if n > 1 and not whole:
            slots = 1 + max(0, tape.free_snapshots())
            r = repetitions(n, slots)
            ahead, _ = stride(n, slots, r, beta(slots, r)) if slots < n else (1, 0)
            middle = begin + ahead
            self._advance(values, begin, middle)
            while stop - middle > 1:
                needed = transcript.needs(ends[middle], ends[stop])
                snapshot = Snapshot(middle, {node: values[node] for node in needed if node not in tape.given()})
                tape.snapshots.append(snapshot)
                tape.hold(snapshot.values.values())
                report.saves += 1
                if tape.fits(tape.step_bytes):
                    return stop
                tape.release(tape.snapshots.pop().values.values())
                self._advance(values, middle, stop - 1)
                middle = stop - 1
            begin = middle
        report.records += stop - begin
        report.steps += stop - begin
        nodes: list[Node | None] = []
        transcript.replay(values, ends[begin], ends[stop], nodes)
        values.clear()
        self._reverse(nodes, ends[begin])
        return begin

    def _advance(self, values: dict[int, Any], start: int, stop: int) -> None:
        self._tape.report.steps += stop - start
        self._tape.transcript.replay(values, self._ends[start], self._ends[stop])

    def _reverse(self, nodes: list[Node | None], first: int) -> None:
        """Carry the cotangents back over recorded operations, the first of which has the number `first`."""
        tape, cts, ndarray = self._tape, self._cts, np.ndarray
        residuals_held = [value for node in nodes if node is not None for value in node[2]]
        tape.hold(residuals_held)
        tape.note_peak(len(nodes))
        tape.release(residuals_held)
        del residuals_held
        while nodes:
            node = nodes.pop()
            ct = cts.pop(first + len(nodes), None)
            if node is None:
                if ct is not None:
                    cts[first + len(nodes)] = ct  # of an input
                continue
            if ct is None:
                continue
            if ct.__class__ is not ndarray and ct.__class__ in LAZY:
                ct = ct.dense()
            pull, parents, residuals, params = node
            parts = pull(ct, *residuals) if params is None else pull(ct, *residuals, **params)
            for parent, part in zip(parents, parts, strict=False):
                before = cts.get(parent)
                cts[parent] = part if before is None else before + part


def mark() -> None:
    """Mark the end of a step of a program that is differentiated with ``policy=`` or ``memory=``: states are held here.

    It goes to the end of the body of a plain Python loop; without such a tape it does nothing. Between two marks the
    way back holds what a plain tape would hold; without any marks there is one every 16 operations.

    >>> import numpy as np, unspool
    >>> def simulate(u):
    ...     for _ in range(100):
    ...         u = u + 0.1 * np.sin(u)
    ...         unspool.mark()
    ...     return np.sum(u**2)
    >>> x = np.linspace(0.0, 1.0, 5)
    >>> checkpointed = unspool.grad(simulate, policy="online-5")(x)
    >>> checkpointed.tobytes() == unspool.grad(simulate)(x).tobytes()
    True
    """
    for listener in active():
        if listener.scope is None and isinstance(listener, Forgetful):
            listener.mark()


def tape_for(policy: str | Schedule | None, memory: Memory, name: str) -> Tape:
    """The tape that a transform listens with: a plain one where nothing is said, or all is to be kept."""
    if policy is None and memory is None:
        return Tape()
    schedule: Schedule | None = None
    if policy is not None and not (isinstance(policy, str) and policy.strip().lower() == "auto"):
        schedule = as_schedule(policy)
        if memory is not None:
            raise PolicyError(
                f"memory={memory!r} goes with policy='auto', which places snapshots in it; {policy!r} says already "
                "what is held. Leave one of the two out."
            )
    if isinstance(schedule, StoreAll):
        return Tape()
    if schedule is not None and not isinstance(schedule, Every | Online):
        raise PolicyError(
            f"policy={policy!r} asks for the number of steps, which is not known while plain Python code runs. Take "
            '"online-c", which holds as many snapshots, "every-k", or memory=.'
        )
    if isinstance(schedule, Online) and schedule.leaf != 1:
        raise PolicyError(f"policy={policy!r}: here the steps end at marks, so that leaf= has no meaning. Leave it out.")
    tape = Forgetful(schedule, as_bytes(memory) if schedule is None else None, name)
    for log in logs():
        log.append(tape.report)
    return tape


_NESTED = (
    "policy= and memory= of a transform are for its own arguments alone, and a value of another transform around it came "
    "in: grad of a grad, hvp, hessian, or jvp of a gradient. Give policy= or memory= to the outermost transform only, "
    "which must be grad, value_and_grad or vjp, or leave it out and use fori_loop or scan with a policy inside."
)


def _new_bytes(y: Any, values: Sequence[Any]) -> int:
    """What a result takes that is not a view of an operand."""
    if y.__class__ is not np.ndarray:
        return getsizeof(y)
    owner = root(y)
    return 0 if any(root(value) is owner for value in values) else getsizeof(owner)

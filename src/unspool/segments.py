"""Which values a tape keeps, and how it gets the others back: checkpointing for plain Python code.

A forgetful tape writes down what happens (`unspool.transcript`) and forgets values. Marks cut it into steps: those of
`unspool.mark`, or one every so many operations. The program's own handles own the values; the tape takes hold of one
when it is read on the other side of a mark, so that the snapshot at a mark is what the steps after it have read from
before it, and nothing that they have not. On the way back, the operations between two snapshots are carried out again
from the first of them, recorded as a plain tape records them, and reversed: the same nodes in the same order, so that
the gradient has the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from sys import getsizeof
from typing import Any, ClassVar

import numpy as np

from unspool.errors import PolicyError, UnsupportedError
from unspool.ir.listener import Traced, active, bind
from unspool.ir.primitive import Primitive, Pull, Read
from unspool.layout import digest
from unspool.memory import Memory, as_bytes
from unspool.observers import LoopReport, logs
from unspool.ops.index import Index
from unspool.ops.overwrite import added, reach, stored
from unspool.schedules import Every, Online, Schedule, StoreAll, as_schedule
from unspool.snapshots import Snapshots
from unspool.stores.arena import hand_back
from unspool.tape import Tape, root, select
from unspool.transcript import Transcript
from unspool.variable import Variable
from unspool.way_back import WayBack

STRIDE = 16
"""Operations between two marks where the program sets none and the policy does not count them."""

_NEVER = 2**62
_CHECKED = 8  # of so many marks, the state at one is known by a digest


class Forgetful(Tape):
    """A tape that keeps what was done and forgets values.

    It keeps all residuals as a plain tape does as long as they fit into ``budget`` bytes, and snapshots after that;
    ``schedule`` says which if it is given, and that nothing else is kept.
    """

    __slots__ = (
        "_cut",
        "_inputs",
        "_keeping",
        "_latest",
        "_look_at",
        "_next_mark",
        "_step_bytes",
        "_stride",
        "_user_marks",
        "report",
        "snapshots",
        "transcript",
    )

    forgets: ClassVar[bool] = True

    def __init__(self, schedule: Every | Online | None, budget: int | None, name: str) -> None:
        super().__init__()
        self.transcript = Transcript()
        self.snapshots = Snapshots(self.transcript, schedule, budget)
        self.report = LoopReport(name, schedule or Online(1), online=True)
        self._inputs: dict[int, Any] = {}
        self._keeping = schedule is None
        self._cut = 0  # the first operation after the last mark
        self._latest: tuple[int, Any] | None = None
        self._step_bytes = 0
        self._stride = self._next_mark = schedule.period if isinstance(schedule, Every) else STRIDE
        self._look_at = 32 * STRIDE
        self._user_marks = False

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

    def _overwrite(
        self, handle: Traced, base: Traced, index: Index, value: Any, *, add: bool, anew: bool
    ) -> np.ndarray:
        """A write is an operation with a new array for its result: snapshots hold the one before."""
        primitive, params = added if add else stored, {"path": handle.path, "index": index}
        whole = Variable(base.value, self, -2 - base.node) if anew and base.node >= 0 else base
        y = self._hear(primitive, primitive.evaluate, (whole, value), params)
        base.value, base.node = y.value, y.node
        target: np.ndarray = reach(y.value, handle.path)
        return target

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
                if ref >= 0 and (self._keeping or ref < cut):  # the user may go on to write into the mask
                    value = self.copies.of(value)
            values.append(value)
            refs.append(ref)
            if 0 <= ref < cut and ref not in self._inputs:
                self.snapshots.take(ref, value)
        function = wanted and primitive.record is not None
        if function:
            assert primitive.record is not None
            y, _ = primitive.record(tuple(values), wanted)
            if self._keeping:  # nobody knows what its pull holds: it is made again on the way back
                self._forget()
        else:
            y = evaluate(*values, **params) if params else evaluate(*values)
        if isinstance(y, Traced):
            raise UnsupportedError(_NESTED)
        rule = None
        if not primitive.differentiable:
            wanted = 0
        elif wanted and not function:
            plain = primitive.elementwise and all(
                values[k].shape == y.shape and values[k].dtype == y.dtype for k in range(len(args)) if wanted >> k & 1
            )
            rule = primitive.pull_for(wanted, len(args), plain)
        n_bytes = 0 if primitive.multiple else _new_bytes(y, values)
        node = transcript.add((primitive, evaluate, params or None, wanted, rule, n_bytes), refs)
        self._step_bytes += n_bytes
        if self._keeping:
            self._keep(y, values, refs, wanted=wanted, rule=rule, params=params)
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
        self, y: Any, values: list[Any], refs: list[int], *, wanted: int, rule: Pull | None, params: dict[str, Any]
    ) -> None:
        """Append the node as a plain tape has it."""
        if rule is None:
            self.nodes.append(None)
            return
        parents = tuple([r for k, r in enumerate(refs) if wanted >> k & 1])
        for k, (ref, value) in enumerate(zip(refs, values, strict=True)):
            if isinstance(value, np.ndarray) and ref < 0 and rule.reads[k + 1] is Read.VALUE:
                values[k] = self.transcript.residual(ref)
        residuals = rule.keep(y, *values)
        self.nodes.append((rule.function, parents, residuals, params or None))
        self.snapshots.held.add(residuals)

    # --- marks --------------------------------------------------------------------------------------------------------
    def mark(self) -> None:
        """Cut here, and nowhere else than at such marks from now on."""
        self._user_marks = True
        self._next_mark = _NEVER
        self._mark()

    def _mark_by_count(self) -> None:
        """Cut where the program has set no mark: after so many operations, in step with a loop if there is one."""
        here = len(self.transcript)
        if here >= self._look_at and not isinstance(self.snapshots.schedule, Every):
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
        budget = self.snapshots.budget
        return budget is None or 8 * self.transcript.made_bytes(here - period, here) < budget

    def _mark(self) -> None:
        here = len(self.transcript)
        if here == self._cut:
            return
        self._end_step()
        if not self._keeping:
            self.snapshots.settle(sparse=self._user_marks)
        self.snapshots.begin(here)
        self._cut = here
        if self._latest is not None and len(self.snapshots.marks) % _CHECKED == 0:
            self.transcript.digests[self._latest[0]] = digest([self._latest[1]])
        self._latest = None

    def _end_step(self) -> None:
        """Weigh the step that is over; where residuals do not fit any more, hold snapshots only."""
        snapshots = self.snapshots
        snapshots.step_bytes = max(snapshots.step_bytes, self._step_bytes)
        self._step_bytes = 0
        if self._keeping and snapshots.over(len(self.nodes)):
            self._forget()
        snapshots.note_peak(len(self.nodes))

    def _forget(self) -> None:
        """Let the residuals go."""
        self._keeping = False
        self.nodes = []
        self.snapshots.recount()
        hand_back()

    # --- the way back -------------------------------------------------------------------------------------------------
    def sweep(self, seeds: Iterable[tuple[int, Any]], *, free: bool) -> list[Any]:
        """Carry cotangents back to the inputs, replaying one range of steps after another from its snapshot."""
        snapshots, report = self.snapshots, self.report
        self._end_step()
        report.n_steps = len(snapshots.marks)
        if self._keeping:
            report.steps = report.n_steps
            found = super().sweep(seeds, free=free)
        else:
            if snapshots.budget is not None:
                snapshots.make_room()
                report.policy = Online(len(snapshots.kept))  # what it came to
            found = WayBack(snapshots, self._inputs, report, free=free).sweep(seeds)
        report.reversed = True
        report.peak_bytes = snapshots.peak_bytes
        report.foreseen(report.steps, snapshots.budget or snapshots.peak_bytes)
        return found


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
        raise PolicyError(f"policy={policy!r}: here the steps end at marks, and leaf= has no meaning. Leave it out.")
    tape = Forgetful(schedule, as_bytes(memory) if schedule is None else None, name)
    for log in logs():
        log.append(tape.report)
    return tape


_NESTED = (
    "policy= and memory= of a transform are for its own arguments alone, and a value of another transform around it "
    "came in: grad of a grad, hvp, hessian, or jvp of a gradient. Give policy= or memory= to the outermost transform "
    "only, which must be grad, value_and_grad or vjp, or leave it out and use fori_loop or scan with a policy inside."
)


def _new_bytes(y: Any, values: Sequence[Any]) -> int:
    """What a result takes that is not a view of an operand."""
    if y.__class__ is not np.ndarray:
        return getsizeof(y)
    owner = root(y)
    return 0 if any(root(value) is owner for value in values) else getsizeof(owner)

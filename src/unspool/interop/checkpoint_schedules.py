"""Schedules of the package checkpoint_schedules as policies here, and ours for programs that take theirs.

Their actions and our verbs on integers, with tier RAM or DISK:

    Forward(i, j, False, False, WORK)   Advance(i, j)
    Forward(i, j, True, False, tier)    Save(i, tier), Advance(i, j)
    Forward(i, j, False, True, any)     Record(i, j)
    Reverse(j, i, True)                 Reverse(i, j)
    Copy(i, tier, WORK)                 Load(i, tier), if a state is kept there that is not live already
    Move(i, tier, WORK)                 the same, and Drop(i, tier)
    EndForward(), EndReverse()          nothing: the first Reverse is the turn

Four things differ. Theirs may keep a step's residuals under its number in RAM or on disk, ours lie on a stack in
memory. Theirs may leave snapshots behind, for another adjoint; here they are dropped when their step is reversed.
Their snapshot serves the steps of its own Forward only, ours any later one. Their schedule is an iterator that one
run uses up, ours a set of parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

from unspool.errors import PolicyError
from unspool.schedules import Action, Advance, Drop, Load, Machine, Record, Reverse, Save, Schedule, Tier
from unspool.schedules.base import length

try:
    import checkpoint_schedules as theirs  # type: ignore[import-untyped]
except ImportError as error:
    raise ImportError(
        "unspool.interop.checkpoint_schedules translates the schedules of a package that is not installed here: "
        "pip install checkpoint_schedules"
    ) from error

WORK, NONE = theirs.StorageType.WORK, theirs.StorageType.NONE
STORAGE = {Tier.RAM: theirs.StorageType.RAM, Tier.DISK: theirs.StorageType.DISK}
TIERS = {storage: tier for tier, storage in STORAGE.items()}


# --- theirs as ours ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Translated(Schedule):
    """A schedule whose actions are translated, one by one, from a fresh schedule of checkpoint_schedules.

    >>> schedule = Translated(theirs.Revolve, (5,))
    >>> schedule.steps(100), schedule == Translated(theirs.Revolve, (5,))
    (416, True)
    """

    make: Callable[..., Any]
    parameters: tuple[Any, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        """Return the call that makes theirs."""
        options = [f"{name}={value!r}" for name, value in self.options]
        name = getattr(self.make, "__name__", repr(self.make))
        return f"{name}({', '.join([*map(repr, self.parameters), *options])})"

    def actions(self, n_steps: int) -> Iterator[Action]:
        """Yield the translation of the actions of a fresh schedule; each is checked by a `Machine` on its way."""
        return _ours(self._fresh(n_steps), n_steps, str(self)) if length(n_steps) else iter(())

    def _fresh(self, n_steps: int) -> Any:
        online = isinstance(self.make, type) and "max_n" not in signature(self.make).parameters
        first = () if online else (n_steps,)
        try:
            made = self.make(*first, *self.parameters, **dict(self.options))
        except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise PolicyError(
                f"{self} makes no schedule for n = {n_steps}: it raised {error!r}. Give from_checkpoint_schedules "
                "a class and its parameters without max_n, or a function of the number of steps."
            ) from error
        if not isinstance(made, theirs.CheckpointSchedule):
            raise PolicyError(f"{self} made {made!r}; it must make a schedule of checkpoint_schedules")
        if made.max_n not in (None, n_steps) or made.n or made.r:
            raise PolicyError(
                f"{self} made a schedule of {made.max_n} steps that is at step {made.n}, for a loop of {n_steps} "
                "steps; make a new one from the number of steps every time"
            )
        return made


def from_checkpoint_schedules(make: Callable[..., Any], *parameters: Any, **options: Any) -> Translated:
    """Return a policy that does what a schedule of checkpoint_schedules says.

    `make` is one of their classes, with its parameters but for max_n, or any function of the number of steps that
    returns a new schedule of theirs. Residuals that theirs would keep on disk are kept in memory here. PolicyError if
    theirs computes no adjoint or cannot be made, ScheduleError where its actions break a law.

    >>> import unspool
    >>> policy = from_checkpoint_schedules(theirs.MultistageCheckpointSchedule, 3, 0)
    >>> unspool.grad(lambda x: unspool.fori_loop(0, 20, lambda i, u: u * x, 1.0, policy=policy))(1.0)
    np.float64(20.0)
    """
    if isinstance(make, theirs.CheckpointSchedule):
        name = type(make).__name__
        raise PolicyError(
            f"a {name} is used up by one run; give the class and its parameters but for the number of steps, as in "
            f"from_checkpoint_schedules({name}, ...), or a function of the number of steps"
        )
    if not callable(make):
        raise PolicyError(f"{make!r} makes no schedule; give a class of checkpoint_schedules and its parameters")
    if isinstance(make, type) and issubclass(make, theirs.NoneCheckpointSchedule):
        raise PolicyError(f"{make.__name__} keeps nothing for an adjoint; to run a loop once, call it without grad")
    return Translated(make, parameters, tuple(options.items()))


def _ours(source: Any, n_steps: int, name: str) -> Iterator[Action]:
    machine = Machine(n_steps)
    for given in source:
        actions = _translation(given, machine, name)
        for action in actions:
            machine.apply(action)
            yield action
        if isinstance(given, theirs.Forward) and machine.position == n_steps and source.max_n is None:
            source.finalize(n_steps)
        elif isinstance(given, theirs.EndReverse):
            machine.finish()
            return
    raise PolicyError(f"{name} ended before the adjoint of {n_steps} steps had arrived at step 0; it is none to unwind")


def _translation(given: Any, machine: Machine, name: str) -> list[Action]:
    """Return the verbs for one of their actions."""
    match given:
        case theirs.Forward():
            start, stop = int(given.n0), min(int(given.n1), machine.n_steps)
            if given.storage == NONE or (given.write_ics and given.storage not in TIERS):
                raise PolicyError(f"{name}: {given} keeps nothing that a way back could start from")
            save = [Save(start, TIERS[given.storage])] if given.write_ics else []
            return [*save, Record(start, stop) if given.write_adj_deps else Advance(start, stop)]
        case theirs.Reverse():
            done = int(given.n0)
            useless = sorted(held for held in machine.held if held[0] >= done)  # theirs keep some, for another adjoint
            return [Reverse(done, int(given.n1)), *(Drop(step, tier) for step, tier in useless)]
        case theirs.Copy() | theirs.Move() if given.from_storage in TIERS:
            step, tier = int(given.n), TIERS[given.from_storage]
            if (step, tier) not in machine.held and any(step in steps for steps in reversed(machine.taped)):
                return []  # residuals: ours stay on the tape until they are reversed
            if given.to_storage == NONE and machine.cotangent is not None and machine.cotangent <= step:
                return []  # dropped above
            to_work = given.to_storage != NONE and machine.position != step
            return [
                *([Load(step, tier)] if to_work else []),
                *([Save(step, TIERS[given.to_storage])] if given.to_storage in TIERS else []),
                *([Drop(step, tier)] if isinstance(given, theirs.Move) else []),
            ]
        case theirs.EndForward() | theirs.EndReverse():
            return []
    raise PolicyError(f"{name}: {given!r} is no action that is known here")


# --- ours as theirs ---------------------------------------------------------------------------------------------------
class Exported(theirs.CheckpointSchedule):  # type: ignore[misc]
    """A schedule of checkpoint_schedules that says what one of ours says for a known number of steps.

    Offline, one adjoint calculation permitted. A snapshot that is never read is not written, and one is moved, not
    copied, when it is read for the last time.

    >>> from unspool.schedules import Revolve
    >>> exported = Exported(Revolve(5), 100)
    >>> next(exported), exported.max_n, exported.uses_storage_type(theirs.StorageType.DISK)
    (Forward(0, 45, True, False, StorageType.RAM), 100, False)
    """

    def __init__(self, schedule: Schedule, n_steps: int) -> None:
        if length(n_steps) == 0:
            raise PolicyError("n_steps is 0; a schedule of checkpoint_schedules has 1 step or more")
        super().__init__(n_steps)
        self.schedule = schedule
        self._reads = _reads(schedule, n_steps)
        self._exhausted = False
        self._storage = {WORK}  # of a first translation, which also refuses here what cannot be said
        for said, _, _ in self._translated():
            self._storage |= {said.storage} if isinstance(said, theirs.Forward) else set()

    def _translated(self) -> Iterator[Said]:
        return _Export(self.schedule, self._max_n, self._reads).actions()

    def _iterator(self) -> Iterator[Any]:
        for said, n, r in self._translated():
            self._n, self._r = n, r
            self._exhausted = isinstance(said, theirs.EndReverse)
            yield said

    @property
    def is_exhausted(self) -> bool:
        """Whether the one adjoint calculation has concluded."""
        return self._exhausted

    def uses_storage_type(self, storage_type: Any) -> bool:
        """Return whether any data goes to this storage."""
        return storage_type in self._storage


def to_checkpoint_schedules(schedule: Schedule, n_steps: int) -> Exported:
    """Return a schedule for programs that take those of checkpoint_schedules, such as pyadjoint.

    PolicyError where theirs have no words for it: a tier beyond RAM and DISK, a saved state from which no step is
    advanced, a snapshot read for steps beyond those that followed it when it was taken. ScheduleError if the schedule
    breaks a law. O(number of actions) to make, which needs every action once.

    >>> from unspool.schedules import Every
    >>> for action in to_checkpoint_schedules(Every(2), 3): print(action)
    Forward(0, 2, True, False, StorageType.RAM)
    Forward(2, 3, False, True, StorageType.WORK)
    EndForward()
    Reverse(3, 2, True)
    Move(0, StorageType.RAM, StorageType.WORK)
    Forward(0, 2, False, True, StorageType.WORK)
    Reverse(2, 0, True)
    EndReverse()
    """
    return Exported(schedule, n_steps)


def _reads(schedule: Schedule, n_steps: int) -> list[int]:
    """Return how often each snapshot is read, in the order in which they are taken, and check the laws."""
    machine, reads = Machine(n_steps), list[int]()
    live: dict[tuple[int, int], int] = {}
    for action in schedule.actions(n_steps):
        machine.apply(action)
        match action:
            case Save(step, tier):
                live[step, tier] = len(reads)
                reads.append(0)
            case Load(step, tier):
                reads[live[step, tier]] += 1
    machine.finish()
    return reads


Said = tuple[Any, int, int]
"""One of their actions, with the n and the r that their schedule shows then."""


@dataclass(slots=True)
class _Export:
    """One translation. Verbs wait until it is known what follows: steps until they end, a load until it is used."""

    schedule: Schedule
    n_steps: int
    reads: list[int]
    position: int = 0
    reach: int = 0  # the steps up to here can be taken from the state that was read last
    adjoint: int = 0  # how many steps are reversed in what was said
    turned: bool = False
    steps: range = range(0)  # to be advanced over
    saves: list[int] = field(default_factory=list)  # tiers to which the state at their start goes
    recorded: range = range(0)  # to be recorded
    goal: int | None = None  # where the cotangent is to be carried, over what is recorded and what is kept
    loading: tuple[int, int] | None = None
    lost: bool = False  # residuals were read: no step can be taken before a state is read
    stops: dict[tuple[int, int], int] = field(default_factory=dict)  # how far the steps go that each snapshot serves
    left: dict[tuple[int, int], int] = field(default_factory=dict)  # how often each will still be read
    kept: list[int] = field(default_factory=list)  # steps whose residuals are kept in RAM

    def actions(self) -> Iterator[Said]:
        """Yield the translation."""
        self.reach = self.n_steps
        reads = iter(self.reads)
        for action in self.schedule.actions(self.n_steps):
            match action:
                case Advance(start, stop):
                    if not self.steps:
                        yield from self.flush()
                    self.steps = range(self.steps.start if self.steps else start, stop)
                case Record(start, stop):
                    if not self.recorded or self.goal is not None:
                        yield from self.flush()
                    self.unless_saves(action)
                    self.recorded = range(self.recorded.start if self.recorded else start, stop)
                case Reverse(start, _):
                    if self.steps:
                        yield from self.flush()
                    self.unless_saves(action)
                    self.goal = start
                case Save(step, tier):
                    if tier not in STORAGE:
                        raise PolicyError(f"{action}: checkpoint_schedules knows the tiers RAM and DISK only")
                    times = next(reads)
                    if self.loading == (step, tier):
                        self.left[step, tier] += times  # loaded, dropped and saved again: it need not be moved
                    elif times:
                        yield from self.flush()
                        self.saves.append(tier)
                        self.left[step, tier] = times
                case Load(step, tier):
                    yield from self.flush()
                    self.unless_saves(action)
                    yield from self.unload()
                    self.loading = step, tier
        yield from self.flush()
        yield from self.unload()
        yield theirs.EndReverse(), *self.where

    def unless_saves(self, action: Action) -> None:
        """Refuse a state that is saved and not advanced from: their snapshot comes with a Forward."""
        if self.saves:
            raise PolicyError(
                f"{self.schedule}: a state is saved, and the next is {action}; a snapshot of checkpoint_schedules is "
                "written while steps are advanced from it. Advance from the state before anything else"
            )

    def flush(self) -> Iterator[Said]:
        """Say what waits, but for a load and for saves that no step follows yet."""
        if self.steps:
            yield from self.forward(self.steps, residuals_to=None)
            self.steps = range(0)
        elif self.recorded or self.goal is not None:
            yield from self.unwind(self.recorded, self.n_steps - self.adjoint if self.goal is None else self.goal)
            self.recorded, self.goal = range(0), None

    def unwind(self, recorded: range, goal: int) -> Iterator[Said]:
        """Record, keep in RAM what is not reversed at once, and carry the cotangent to the goal."""
        if recorded:
            yield from self.load()
        cut = min(max(goal, recorded.start), recorded.stop)
        for step in recorded[: cut - recorded.start]:
            if self.left.get((step, Tier.RAM)):
                raise PolicyError(f"{self.schedule}: the state and the residuals of step {step} are in RAM together")
            yield from self.forward(range(step, step + 1), residuals_to=STORAGE[Tier.RAM])
            self.kept.append(step)
        if cut < recorded.stop:
            yield from self.forward(range(cut, recorded.stop), residuals_to=WORK)
            self.adjoint = self.n_steps - cut
            yield theirs.Reverse(recorded.stop, cut, True), *self.where
        while goal < self.n_steps - self.adjoint:
            step = self.kept.pop()
            self.position, self.lost = step + 1, True
            yield theirs.Move(step, STORAGE[Tier.RAM], WORK), *self.where
            self.adjoint += 1
            yield theirs.Reverse(step + 1, step, True), *self.where

    def forward(self, steps: range, *, residuals_to: Any) -> Iterator[Said]:
        """Run the steps, from the state that is to be loaded if one is, and write the snapshots of their start."""
        yield from self.load()
        if self.lost or steps.stop > self.reach:
            why = "after residuals were read" if self.lost else "which that snapshot does not serve"
            raise PolicyError(
                f"{self.schedule}: the steps {steps.start} to {steps.stop} are run without a snapshot of their start, "
                f"{why}; checkpoint_schedules has no words for that"
            )
        tiers, self.saves = self.saves, []
        storage = STORAGE[Tier(tiers[0])] if tiers else residuals_to or WORK
        self.position = steps.stop
        yield theirs.Forward(steps.start, steps.stop, bool(tiers), residuals_to is not None, storage), *self.where
        for tier in tiers:
            self.stops[steps.start, tier] = steps.stop
            if tier != tiers[0]:
                yield theirs.Copy(steps.start, storage, STORAGE[Tier(tier)]), *self.where
        if steps.stop == self.n_steps and not self.turned:
            self.turned = True
            yield theirs.EndForward(), *self.where

    @property
    def where(self) -> tuple[int, int]:
        """What their n and r are now."""
        return self.position, self.adjoint

    def load(self) -> Iterator[Said]:
        """Read the state that waits to be read; for the last time, if it is not read again."""
        if self.loading is not None:
            step, tier = self.loading
            self.left[self.loading] -= 1
            verb = theirs.Copy if self.left[self.loading] else theirs.Move
            self.position, self.reach, self.lost = step, self.stops[self.loading], False
            self.loading = None
            yield verb(step, STORAGE[Tier(tier)], WORK), *self.where

    def unload(self) -> Iterator[Said]:
        """Forget a state that was to be read and was not used."""
        if self.loading is not None:
            step, tier = self.loading
            self.left[self.loading] -= 1
            if not self.left[self.loading]:
                yield theirs.Move(step, STORAGE[Tier(tier)], NONE), *self.where
            self.loading = None

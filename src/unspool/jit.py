"""A whole function as machine code: traced once, and run without Python after that."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import wraps
from threading import RLock
from typing import Any

import numpy as np

from unspool.adjoint import changes, outside
from unspool.arguments import Function, name_of
from unspool.errors import InputError, UnsupportedError
from unspool.guards import Guards
from unspool.ir.listener import Traced, active, listening, refuse_subclass
from unspool.ir.program import Program
from unspool.ir.simplify import simplify
from unspool.layout import ArrayType
from unspool.observers import logs
from unspool.staged import Part, Scripted, parts_of, runner
from unspool.tracer import Tracer
from unspool.tree import Structure, flatten

_FLOAT = np.dtype(float)
_MOST = 64  # programs of one function

_FIXED = (int, float, complex, str, bytes, bool, np.generic, np.ndarray)
"""What a function may return beside traced values: it is the same at every call."""


def jit(f: Function) -> Function:
    """The same function, traced once and then run as machine code, without Python.

    What is traced are the float64 arrays and floats among the arguments, which are nests of anything; whatever else
    there is (an int, a string, None, an array of ints, an object) is part of the program: for another one, and for
    other shapes, ``f`` is traced again. So it is when something has changed that ``f`` reads from outside of its
    arguments: a variable, an attribute, the content of an array or a list. Transforms and loops inside are compiled
    with it: ``jit(value_and_grad(loss))`` is one call, and on a few numbers it takes some microseconds. Printing and
    all else that ``f`` does beside returning a result happens when it is traced, and not again. Inside of another
    transform, ``grad(jit(f))``, it is ``f`` itself.

    What cannot be compiled between loops, as integers and complex numbers, is carried out by NumPy. ``jitted.program(
    *args)`` is the program for these arguments, ``jitted.parts(*args)`` says how its parts are run.

    Raises `DetachedError` for a Python branch on a traced value (use np.where), `UnsupportedError` for a loop that
    cannot be compiled, for a function that writes into its arguments or changes what is outside of it, and `InputError`
    where it depends on something in which a change would not be seen.

    >>> import numpy as np, unspool
    >>> def energy(u, k):
    ...     u, _ = unspool.scan(lambda u, _: (u - 0.1 * k * np.sin(u), None), u, length=20)
    ...     return np.sum(u**2)
    >>> fast = unspool.jit(unspool.grad(energy))
    >>> fast(np.array([1.0, 2.0]), 0.5).round(6)
    array([0.354228, 2.017538])
    """
    name = name_of(f)
    quick: dict[tuple[Any, ...], _Staged] = {}
    known: OrderedDict[Any, _Staged] = OrderedDict()
    lock = RLock()

    def staged(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[_Staged, list[Any]]:
        leaves, structure = flatten((args, kwargs))
        keys = [_key(leaf, f"argument {path} of {name}") for leaf, path in zip(leaves, structure.paths(), strict=True)]
        key = structure, *keys
        with lock:
            found = known.get(key)
            if found is None or not found.guards.hold():
                found = known[key] = _Staged(f, name, structure, leaves)
                if len(known) > _MOST:
                    known.popitem(last=False)
            known.move_to_end(key)
        return found, [leaves[k] for k in found.moving]

    @wraps(f)
    def jitted(*args: Any, **kwargs: Any) -> Any:
        if active():
            return f(*args, **kwargs)
        if not kwargs:
            key = tuple([_quick_key(arg) for arg in args])
            found = quick.get(key)
            if found is not None and found.guards.hold():
                return found(args)
        found, moving = staged(args, kwargs)
        if not kwargs and None not in key and len(moving) == len(args):
            if len(quick) >= _MOST:
                quick.clear()
            quick[key] = found
        return found(moving)

    def program(*args: Any, **kwargs: Any) -> Program:
        """The program that is run for these arguments."""
        return staged(args, kwargs)[0].program

    def parts(*args: Any, **kwargs: Any) -> str:
        """How the parts of the program are run, line by line."""
        return str(staged(args, kwargs)[0])

    jitted.program, jitted.parts = program, parts  # type: ignore[attr-defined]
    return jitted


def _quick_key(arg: Any) -> Any:
    """The shape of a float64 array or number, None for all else."""
    kind = type(arg)
    if kind is np.ndarray:
        return arg.shape if arg.dtype is _FLOAT else None
    return () if kind is float or kind is np.float64 else None


def _is_moving(leaf: Any) -> bool:
    """Whether a leaf of the arguments is traced."""
    return isinstance(leaf, float) or (isinstance(leaf, np.ndarray) and leaf.dtype == _FLOAT)


def _key(leaf: Any, where: str) -> Any:
    """What of a leaf the program depends on."""
    if isinstance(leaf, np.ndarray):
        refuse_subclass(leaf, where)
        if leaf.dtype.kind in "fc" and leaf.dtype != _FLOAT:
            raise UnsupportedError(
                f"{where} is {ArrayType.of(leaf)}: only float64 is compiled. Convert it, or leave jit out."
            )
        return leaf.shape if _is_moving(leaf) else (leaf.dtype, leaf.shape, leaf.tobytes())
    if isinstance(leaf, float):
        return ()
    if isinstance(leaf, int | str | bytes | np.generic | complex):
        return type(leaf), repr(leaf)
    return id(leaf)


class _Staged:
    """One program of a function: for one structure, some types and some values of what is not traced."""

    def __init__(self, f: Function, name: str, structure: Structure, leaves: Sequence[Any]) -> None:
        self.name, self.moving = name, [k for k, leaf in enumerate(leaves) if _is_moving(leaf)]
        self._given = structure, [None if k in self.moving else leaf for k, leaf in enumerate(leaves)]
        types = [ArrayType(_FLOAT, np.shape(leaves[k])) for k in self.moving]
        try:
            self.program, results, self._fixed = self._trace(f, types)
            before = outside(f)  # what the first trace has filled, a cache say, may stay as it is
            again, *_ = self._trace(f, types)
            if changed := changes(before, outside(f)):
                raise UnsupportedError(
                    f"{name} changes {', '.join(changed)}, which it keeps outside of its arguments and its result: a "
                    "random generator, a counter, a list or an array. A program runs no Python; return what changes."
                )
            if self.program.content() != again.content():
                raise UnsupportedError(
                    f"{name} did not do the same when it was traced a second time: it reads a random generator, a "
                    "clock or a counter. Draw outside of it, and pass the numbers as an argument."
                )
            self.guards = Guards.of(f)
            for leaf, path in zip(self._given[1], structure.paths(), strict=True):
                if not isinstance(leaf, _FIXED):
                    self.guards.note(leaf, f"argument {path} of {name}")
        except Exception as error:
            error.add_note(f"while {name} was traced for jit")
            raise
        self._results = results
        self.parts: list[Part] = parts_of(self.program)
        self._carry_out = runner(self.program, self.parts)
        self._scripts: list[Scripted] = []
        self._why_no_script = ""
        try:
            self._scripts.append(Scripted(self.program, self.parts))
        except UnsupportedError as error:
            self._why_no_script = str(error)

    def __call__(self, moving: Sequence[Any]) -> Any:
        """Run it."""
        if self._why_no_script or logs():
            found = self._carry_out([np.asarray(x) for x in moving])
            leaves = [np.array(x)[()] for x in found]
        else:
            try:
                script = self._scripts.pop()  # another thread may have it
            except IndexError:
                script = Scripted(self.program, self.parts)
            try:
                leaves = script(moving)
            finally:
                self._scripts.append(script)
        if self._fixed:
            rest = iter(leaves)
            every = range(self._results.n_leaves)
            leaves = [_copied(self._fixed[k]) if k in self._fixed else next(rest) for k in every]
        return self._results.unflatten(leaves)

    def __str__(self) -> str:
        head = f"{self.name}: one script of machine code" if not self._why_no_script else f"{self.name}: part by part"
        return "\n".join([head, *[f"  {part}" for part in self.parts]])

    def _trace(self, f: Function, types: Sequence[ArrayType]) -> tuple[Program, Structure, dict[int, Any]]:
        """The program, the structure of the result, and those of its leaves that are always the same, by position."""
        structure, leaves = self._given[0], [*self._given[1]]
        tracer = Tracer(keeps_loops=True)
        with listening(tracer):
            try:
                inputs = [tracer.input(t) for t in types]
                for k, variable in zip(self.moving, inputs, strict=True):
                    leaves[k] = variable
                names = [variable.node for variable in inputs]
                args, kwargs = structure.unflatten(leaves)
                found, results = flatten(f(*args, **kwargs))
                if any(variable.node is not var for variable, var in zip(inputs, names, strict=True)):
                    raise UnsupportedError(
                        f"{self.name} writes into an argument, which a program cannot. Write into a copy (np.copy(x)) "
                        "and return it."
                    )
                fixed = {k: leaf for k, leaf in enumerate(found) if not isinstance(leaf, Traced)}
                atoms = tuple([tracer.atom(leaf) for leaf in found if isinstance(leaf, Traced)])
            finally:
                tracer.close()
        for leaf in fixed.values():
            if not isinstance(leaf, _FIXED):
                raise InputError(
                    f"{self.name} returned something of type {type(leaf).__name__}. Return arrays and numbers, nested "
                    "in lists, tuples, dicts, dataclasses."
                )
        program = Program(tuple(names), tuple(tracer.consts), tuple(tracer.equations), atoms)
        return simplify(program), results, fixed


def _copied(leaf: Any) -> Any:
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf

"""What a function did on the real tape, operation by operation: the nodes that graphs and trace tables show."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from types import FrameType
from typing import Any

import numpy as np

from unspool.arguments import as_input, name_of
from unspool.errors import InputError, UnsupportedError
from unspool.ir.listener import Traced, listening, primal, resolve
from unspool.ir.pretty import param_text
from unspool.ir.primitive import Primitive
from unspool.ir.program import Atom, Equation, Literal, Program, Var
from unspool.layout import ArrayType
from unspool.source_line import user_frames
from unspool.tape import Tape
from unspool.tree import Structure, flatten
from unspool.witness import Ear, Operation, witness


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Node:
    """One value that a function computed: an input, or a result of one primitive.

    ``name`` is that of the user's variable where there is one, else of the primitive; no two nodes share it. ``index``
    is the node of the tape. ``operands`` are nodes and plain constants, in the order of the primitive; ``call`` numbers
    the operations, and ``part`` says which of several results this is, None for an only one.
    """

    name: str
    value: Any
    index: int
    primitive: Primitive | None = None
    operands: tuple[Any, ...] = ()
    params: tuple[tuple[str, Any], ...] = ()
    call: int = -1
    part: int | None = None
    line: str | None = None

    @property
    def parents(self) -> tuple[Node, ...]:
        """The operands that are nodes: one for each edge that ends here."""
        return tuple([x for x in self.operands if isinstance(x, Node)])

    @property
    def is_number(self) -> bool:
        """Whether the value is one number."""
        return np.ndim(self.value) == 0

    def __repr__(self) -> str:  # with its operands, and theirs, it would grow exponentially
        return f"<node {self.name}: {short(self.value)}>"

    def formula(self, called: Callable[[Node], str] = lambda node: node.name) -> str:
        """The operation as one would write it, with its operands called by these names; empty for an input."""
        if self.primitive is None:
            return ""
        words = [called(x) if isinstance(x, Node) else short(x) for x in self.operands]
        name, params = self.primitive.name, dict(self.params)
        if name in _INFIX:
            return _INFIX[name].join([f"({word})" if k and word[0] == "-" else word for k, word in enumerate(words)])
        index = ", ".join(map(param_text, params.pop("index", ())))
        match name:
            case "negative":
                return f"-{words[0]}"
            case "getitem":
                return f"{words[0]}[{index}]"
            case "store":
                return f"{words[0]}[{index}] ← {words[1]}"
        if params.get("axis") == tuple(range(np.ndim(_value(self.operands[0])))):  # all of it
            del params["axis"]
        words += [f"{key}={param_text(value)}" for key, value in params.items() if key != "keepdims"]
        return f"{name}({', '.join(words)}){'' if self.part is None else f'[{self.part}]'}"


def _value(operand: Any) -> Any:
    return operand.value if isinstance(operand, Node) else operand


_INFIX = {"add": " + ", "subtract": " - ", "multiply": "·", "divide": "/", "power": "**", "matmul": " @ "}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Recorded:
    """A function that ran once on a tape: its nodes in order, inputs first, and those of its results."""

    name: str
    nodes: tuple[Node, ...]
    outputs: tuple[Node, ...]
    tape: Tape

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The nodes that no operation made."""
        return tuple([node for node in self.nodes if node.primitive is None])

    @property
    def loss(self) -> Node | None:
        """The result, if there is one only and it is one real number."""
        if len(self.outputs) != 1 or not self.outputs[0].is_number or self.outputs[0].value.dtype.kind != "f":
            return None
        return self.outputs[0]

    def program(self) -> Program:
        """The operations as a program: straight through the branches that were taken here.

        Raises `UnsupportedError` for operations with several results: loops, functions with rules of their own.
        """
        named = {id(node): Var(k, ArrayType.of(node.value)) for k, node in enumerate(self.nodes)}
        consts: list[tuple[Var, np.ndarray]] = []
        equations = []

        def atom(operand: Any) -> Atom:
            if isinstance(operand, Node):
                return named[id(operand)]
            if type(operand) in (int, float, complex):
                return Literal(operand)
            array = np.array(operand)
            var = Var(len(named) + len(consts), ArrayType.of(array))
            consts.append((var, array))
            return var

        for node in self.nodes:
            if node.primitive is None:
                continue
            if node.primitive.multiple:
                raise UnsupportedError(
                    f"{node.primitive.name} (at {node.line}) has several results, or a rule of its own: it is one "
                    "operation of the tape and no formula. Write a loop as a Python loop to see what it does."
                )
            operands = tuple(map(atom, node.operands))
            equations.append(Equation(node.primitive, operands, node.params, (named[id(node)],), node.line))
        inputs = tuple([named[id(node)] for node in self.inputs])
        return Program(inputs, tuple(consts), tuple(equations), tuple([named[id(node)] for node in self.outputs]))


def float_leaves(f: Callable[..., Any], args: Sequence[Any]) -> tuple[list[Any], Structure]:
    """Plain copies of the leaves of the arguments, and their structure. InputError for what is not made of floats."""
    leaves, structure = flatten(tuple(args))
    values = []
    for leaf, path in zip(leaves, structure.paths(), strict=True):
        value = primal(resolve(leaf)) if isinstance(leaf, Traced) else leaf
        if not isinstance(value, float | complex) and np.asarray(value).dtype.kind not in "fc":
            where = path[1:].replace("]", "", 1)
            raise InputError(
                f"argument {where} of {name_of(f)} is {value!r:.40}, which has no derivative. Pass floats (2.0 for 2), "
                "and what is no float by a function around it: lambda x: f(x, n)."
            )
        values.append(as_input(value, "an argument"))
    return values, structure


def record(f: Callable[..., Any], args: Sequence[Any]) -> Recorded:
    """Run ``f(*args)`` once on a tape, and listen. A loop of unspool is one operation.

    InputError for arguments that are not made of floats.
    """
    leaves, structure = float_leaves(f, args)
    tape, ear = Tape(), _Noting(_argument_names(f, args))
    with listening(tape):
        try:
            witness(f, ear)(*structure.unflatten(map(tape.input, leaves)))
        finally:
            tape.close()
    return ear.recorded(name_of(f), tape)


_MOST_PLACES = 100  # of a longer list no names are taken


# --- listening --------------------------------------------------------------------------------------------------------
@dataclass(slots=True, eq=False)
class _Draft:
    """A node to be: its name may become known later."""

    name: str | None
    value: Any
    index: int
    operation: Operation | None = None
    operands: tuple[Any, ...] = ()
    call: int = -1
    part: int | None = None


class _Noting(Ear):
    """Notes every operation, and under which names the user's frames know the results."""

    def __init__(self, argument_names: Callable[[str], str]) -> None:
        self.argument_names = argument_names
        self.drafts: list[_Draft] = []
        self.results: list[_Draft] = []
        self.frames: dict[int, FrameType] = {}
        self.n_calls = 0

    def enter(self, value: Any, name: str, place: str) -> tuple[Any, Any]:
        """An argument."""
        self.drafts.append(_Draft(self.argument_names(name), value.value, value.node))
        return value, self.drafts[-1]

    def hear(
        self, operation: Operation, call: Callable[..., Any], values: Sequence[Any], notes: Sequence[Any]
    ) -> tuple[Any, Sequence[Any]]:
        """Carry it out as one operation, whatever is in it, and note what the tape has made of it."""
        self._look()
        y = operation(*values)
        operands = tuple([primal(x) if note is None else note for x, note in zip(values, notes, strict=True)])
        parts = y if operation.primitive.multiple else (y,)
        made = [
            _Draft(None, part.value, part.node, operation, operands, self.n_calls, k if len(parts) > 1 else None)
            if isinstance(part, Traced) and part.node >= 0
            else None
            for k, part in enumerate(parts)
        ]
        self.n_calls += 1
        self.drafts += [draft for draft in made if draft is not None]
        return y, made

    def leave(self, value: Any, note: Any, place: str) -> None:
        """A result."""
        if note is not None:
            self.results.append(note)

    def _look(self) -> None:
        """Take the names under which the user's frames know values now; the caller's names go before the callee's."""
        for frame in reversed(user_frames()):
            self.frames[id(frame)] = frame
            for name, value in frame.f_locals.items():
                self._name(name, value)

    def _name(self, name: str, value: Any) -> None:
        if isinstance(value, Traced):
            if isinstance(value.node, _Draft) and value.node.name is None and name[0] != ".":
                value.node.name = name
        elif isinstance(value, list | tuple | dict) and len(value) <= _MOST_PLACES:
            leaves, structure = flatten(value)
            for leaf, path in zip(leaves, [name + path for path in structure.paths()], strict=True):
                if isinstance(leaf, Traced):
                    self._name(path, leaf)

    def recorded(self, name: str, tape: Tape) -> Recorded:
        """The nodes, with the names that are known now that the function has ended."""
        for frame in self.frames.values():
            for local, value in frame.f_locals.items():
                self._name(local, value)
        self.frames.clear()
        taken: dict[str, int] = {}
        nodes: dict[int, Node] = {}
        for draft in self.drafts:
            operation = draft.operation
            word = draft.name or (operation.primitive.name if operation else "x")
            taken[word] = taken.get(word, 0) + 1
            nodes[id(draft)] = Node(
                word if taken[word] == 1 else f"{word}#{taken[word]}",
                draft.value,
                draft.index,
                operation.primitive if operation else None,
                tuple([nodes[id(x)] if isinstance(x, _Draft) else x for x in draft.operands]),
                tuple(operation.params.items()) if operation else (),
                draft.call,
                draft.part,
                operation.line if operation else None,
            )
        return Recorded(name, tuple(nodes.values()), tuple([nodes[id(draft)] for draft in self.results]), tape)


def _argument_names(f: Callable[..., Any], args: Sequence[Any]) -> Callable[[str], str]:
    """From ``argument 0['u']`` to the name of the parameter: ``params['u']``."""
    try:
        known = list(signature(f).parameters.values())
    except (TypeError, ValueError):  # a ufunc, or another function written in C
        known = []
    words: list[str] = []
    for parameter in known:
        if parameter.kind is parameter.VAR_POSITIONAL:
            words += [f"{parameter.name}[{k}]" for k in range(len(args) - len(words))]
        words.append(parameter.name)

    def named(argument: str) -> str:
        number, rest = re.fullmatch(r"argument (\d+)(.*)", argument, re.S).groups()  # type: ignore[union-attr]
        return (words[int(number)] if int(number) < len(words) else f"x{number}") + rest

    return named


# --- values in few letters --------------------------------------------------------------------------------------------
def short(value: Any) -> str:
    """A value in few letters: four digits of a number, three numbers at most, else the type and the norm.

    >>> short(2 / 3), short(np.array([1.0, -0.0])), short(np.ones((4, 4)))
    ('0.6667', '[1, 0]', 'f64[4, 4], norm 4')
    """
    array = np.asarray(value)
    if array.ndim == 0:
        return number(array[()])
    if array.ndim == 1 and array.size <= 3:
        return f"[{', '.join(map(number, array))}]"
    norm = f", norm {number(np.linalg.norm(array))}" if array.dtype.kind in "fc" else ""
    return f"{ArrayType.of(array)}{norm}"


def number(x: Any) -> str:
    """A number with four digits, a zero without its sign.

    >>> number(-0.0), number(1e-7 / 3), number(1 - 2j), number(True)
    ('0', '3.333e-08', '1-2j', 'True')
    """
    return str(x) if isinstance(x, bool | np.bool_) else f"{x + 0:.4g}"

"""Where every function of NumPy and SciPy that unspool knows is enrolled, with what it accepts.

``TABLE`` maps a function to the `Entry` that answers for it when an argument is traced. An entry is a plain
Python function in terms of primitives (``bind``) or of other NumPy functions; its signature is the list of the keywords
that are modelled, and any other keyword is refused by name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from itertools import takewhile
from typing import Any, TypeVar

import numpy as np

from unspool.errors import UnsupportedError
from unspool.ir.listener import bind
from unspool.ir.primitive import Primitive

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """The answer to one function: ``call(*args, **kwargs)``, and how many arguments it takes."""

    name: str
    call: Callable[..., Any]
    n_positional: int  # -1: any number
    keywords: frozenset[str]
    primitive: Primitive | None = None
    derivative: str = "all orders"  # or "zero", or "refused"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Check that every argument is modelled, then answer."""
        if kwargs and not kwargs.keys() <= self.keywords:
            unknown = ", ".join(f"{k}=" for k in kwargs if k not in self.keywords)
            known = ", ".join(f"{k}=" for k in sorted(self.keywords)) or "none"
            raise UnsupportedError(
                f"{self.name}: no derivative rule for the keyword {unknown} on a traced value (keywords with a rule: "
                f"{known}). Leave it out, or write the same with np.where, slices or astype."
            )
        if 0 <= self.n_positional < len(args):
            raise UnsupportedError(
                f"{self.name}: {len(args)} positional arguments on a traced value, of which {self.n_positional} have a "
                "derivative rule. Pass the others by keyword to see which one is meant, or leave them out."
            )
        return self.call(*args, **kwargs)


FURTHER = ("unspool.ops.further",)  # the module that enrols the rarer families of NumPy
LOADERS: dict[str, tuple[str, ...]] = {  # whose functions, and which modules enrol them when one is met
    f"scipy.{package}": tuple(f"unspool.ops.{family}" for family in families.split())
    for package, families in (
        ("fft", "scipy_fft cosine"),
        ("integrate", "quadrature"),
        ("interpolate", "interpolators splines"),
        ("linalg", "systems banded factors matrix_functions structured spectra"),
        ("ndimage", "images"),
        ("signal", "signals"),
        ("sparse", "sparse_constructors"),
        ("sparse.linalg", "sparse_systems"),
        ("special", "special special_more"),
        ("stats", "distributions"),
    )
}


class Table(dict[Callable[..., Any], Entry]):
    """Function to `Entry`. What is rare, or from a package that is slow to import, is enrolled when it is first met."""

    def __missing__(self, function: Callable[..., Any]) -> Entry:
        for module in LOADERS.get(_source(function) or "", FURTHER):
            import_module(module)  # waits while another thread imports it
        if function in self:
            return self[function]
        raise KeyError(function)

    def get(self, function: Callable[..., Any], default: Any = None) -> Any:
        """The entry of a function, or the default where there is none."""
        try:
            return self[function]
        except KeyError:
            return default


def _source(function: Callable[..., Any]) -> str | None:
    """The package among `LOADERS` that a function comes from; whoever holds one has imported it already."""
    if not isinstance(function, np.ufunc):
        package = public_part(getattr(function, "__module__", None) or "")
        return package if package in LOADERS else None
    special = "scipy.special"
    rooms = (sys.modules.get(special), sys.modules.get(f"{special}._ufuncs"))
    return special if any(getattr(room, function.__name__, None) is function for room in rooms) else None


def public_part(module: str) -> str:
    """The package under whose name users know what is defined in a module.

    >>> public_part("scipy.linalg._basic"), public_part("numpy.linalg")
    ('scipy.linalg', 'numpy.linalg')
    """
    parts = module.split(".")
    return ".".join(takewhile(lambda part: not part.startswith("_"), parts))


TABLE = Table()
PRIMITIVES: dict[str, Primitive] = {}


def name_of(function: Callable[..., Any]) -> str:
    """The name under which a user knows a function: ``numpy.linalg.solve``."""
    if isinstance(function, np.ufunc):
        return f"{_source(function) or 'numpy'}.{function.__name__}"
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        return f"{name_of(owner)}.{function.__name__}"
    return f"{public_part(getattr(function, '__module__', None) or '')}.{getattr(function, '__name__', function)}"


def enrol(primitive: Primitive, *functions: Callable[..., Any]) -> Primitive:
    """Register a primitive, and let it answer for these NumPy functions with its operands as they stand."""
    if primitive.name in PRIMITIVES:
        raise ValueError(f"the primitive {primitive.name} is enrolled already")
    PRIMITIVES[primitive.name] = primitive
    for function in functions:
        n = function.nin if isinstance(function, np.ufunc) else -1

        def call(*args: Any) -> Any:
            return bind(primitive, *args)

        short = primitive if primitive.differentiable or n != 1 else None  # the short way of a tape wants a rule
        known = "all orders" if primitive.differentiable else "zero"
        TABLE[function] = Entry(name_of(function), call, n, frozenset(), short, known)
    return primitive


def implements(*functions: Callable[..., Any], derivative: str = "all orders") -> Callable[[F], F]:
    """Let the decorated function answer for these functions; its signature says what is modelled."""

    def decorate(call: F) -> F:
        code = call.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        n = -1 if code.co_flags & 0x04 else code.co_argcount  # CO_VARARGS
        for function in functions:
            TABLE[function] = Entry(name_of(function), call, n, frozenset(names), None, derivative)
        return call

    return decorate


def enrol_class(theirs: type, ours: type) -> None:
    """Let a class answer for one of SciPy's; what its constructor takes is modelled."""
    names = list(signature(ours).parameters)
    TABLE[theirs] = Entry(name_of(theirs), ours, len(names), frozenset(names))

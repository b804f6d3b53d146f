"""The function table as a page: what the registry knows, in Markdown."""

from __future__ import annotations

import types
from importlib import import_module
from inspect import Parameter, signature
from itertools import groupby

from unspool.ops import TABLE
from unspool.ops.table import FURTHER, LOADERS, Entry
from unspool.variable import Variable

_HEAD = """\
# Functions

Made by `unspool functions`; a test keeps this page and the registry together. `unspool functions TEXT` prints the lines
with that text.

Every function here takes any mixture of plain and traced arguments. Those of NumPy, and the ufuncs of `scipy.special`,
are called under their own names; SciPy's other functions under the names of `unspool.scipy`, which are SciPy's own
where nothing is traced. Keywords are those with a rule; any other raises `UnsupportedError` with its name. `out=` is
taken by every function of NumPy. `overwrite_…` is a permission that is not used.

"All orders" means forward and reverse mode, nested in any way; "zero" a function of which the derivative is zero
wherever there is one, whose result is plain; "refused" one that raises, and says what to write instead. Complex numbers
follow the convention of the [guide](guide.md).
"""


def page(pattern: str = "") -> str:
    """The function table, or the lines of it in which a text occurs.

    >>> print(page("numpy.trace"))
    | `numpy.trace` | all orders | offset, axis1, axis2, dtype | |
    """
    lines = [(_package(entry.name), _line(entry)) for entry in enrolled()]
    if pattern:
        return "\n".join([line for _, line in lines if pattern in line])
    parts = [_HEAD, _methods()]
    for package, group in groupby(lines, key=lambda pair: pair[0]):
        heading = f"\n## {package}\n\n| function | derivative | keywords | notes |\n|---|---|---|---|"
        parts.append("\n".join([heading, *[line for _, line in group]]))
    return "\n".join(parts) + "\n"


def rows(pattern: str = "") -> list[dict[str, object]]:
    """The function table as data, or the rows of it in whose lines on the page a text occurs.

    >>> rows("numpy.trace")[0]["keywords"]
    ['offset', 'axis1', 'axis2', 'dtype']
    """
    return [
        {"function": _name(entry), "derivative": entry.derivative, "keywords": _keywords(entry), "note": _note(entry)}
        for entry in enrolled()
        if pattern in _line(entry)
    ]


def enrolled() -> list[Entry]:
    """Every entry of the registry, the families that are enrolled on demand among them, by package and name."""
    rooms = [f"unspool.{package}" for package in LOADERS]  # some enrol what stands above the mathematics
    for module in (*FURTHER, *[m for modules in LOADERS.values() for m in modules], *rooms):
        import_module(module)
    by_name = {entry.name: entry for entry in TABLE.values()}
    return sorted(by_name.values(), key=lambda entry: (_package(entry.name), entry.name))


def _package(name: str) -> str:
    for package in ("numpy.linalg", "numpy.fft", "numpy", "scipy.sparse.linalg"):
        if name.startswith(f"{package}."):
            return package
    return ".".join(name.split(".")[:2])


def _line(entry: Entry) -> str:
    cells = f"`{_name(entry)}`", entry.derivative, ", ".join(_keywords(entry)), _note(entry)
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def _name(entry: Entry) -> str:
    """The name under which a user calls it."""
    mirrored = entry.name.startswith("scipy.") and not _is_ufunc(entry)
    return f"unspool.{entry.name}" if mirrored else entry.name


def _is_ufunc(entry: Entry) -> bool:
    return entry.call.__module__ == Entry.__module__


def _keywords(entry: Entry) -> list[str]:
    if entry.derivative == "refused":
        return []
    ours = signature(entry.call).parameters.values()
    named = [p.name for p in ours if p.name in entry.keywords and _is_option(p)]
    return named + sorted(entry.keywords - {p.name for p in ours})


def _is_option(parameter: Parameter) -> bool:
    return parameter.default is not Parameter.empty or parameter.kind is Parameter.KEYWORD_ONLY


def _note(entry: Entry) -> str:
    if entry.derivative == "refused":
        return ""
    if entry.primitive is not None:
        return entry.primitive.note
    first = (entry.call.__doc__ or "").strip().split("\n\n")[0]
    said = " ".join(first.split())
    return "" if said == f"`{entry.name}` of a traced array." else said


def _methods() -> str:
    found = sorted(
        name
        for name, value in vars(Variable).items()
        if not name.startswith("_") and isinstance(value, types.FunctionType | property)
    )
    refused = {"flat", "item", "tolist"}
    shown = ", ".join(f"`{name}`" for name in found if name not in refused)
    return f"## Traced arrays\n\nOperators, indexing, in-place writes, and these attributes and methods: {shown}."

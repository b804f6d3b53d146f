"""The ways to a derivative beside each other: differences, formulas, forward mode, reverse mode.

Differences are wrong twice: by truncation, which falls with the step h, and by rounding, which grows as h falls.
Formulas are exact, and swell. Both modes of automatic differentiation are exact to rounding and cost a small multiple
of the function: for each input in forward mode, for all of them together in reverse mode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unspool.arguments import as_input, checked_loss, name_of
from unspool.diagnostics.counting import n_operations, seconds
from unspool.diagnostics.picture import Picture
from unspool.diagnostics.recorded import record, short
from unspool.errors import UnsupportedError
from unspool.table import Table
from unspool.transforms import grad, jvp

LONGEST = 20_000
"""An expression of more operations is not differentiated by formulas: it takes minutes."""

_STEPS = tuple([10.0**-k for k in range(1, 16)])


@dataclass(frozen=True, slots=True)
class Method:
    """One way: the derivative, its error relative to the reference, operations and seconds for all of it.

    A way that could not be gone has None for what it did not give, and says ``why``.
    """

    name: str
    derivative: Any
    error: float | None
    operations: int | None
    seconds: float | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class DifferenceErrors(Picture):
    """Errors of forward and central differences against the step h, relative to the norm of the derivative.

    ``truncation_forward`` is |h/2 f''|, ``truncation_central`` is |h²/6 f'''|, with the derivatives of forward mode
    nested; ``rounding`` is eps (|f| + |x f'|) / h: of the result, and of x + h, but of no operation between. These are
    what is expected; ``forward`` and ``central`` are what was found.
    """

    name: str
    h: tuple[float, ...]
    forward: tuple[float, ...]
    central: tuple[float, ...]
    truncation_forward: tuple[float, ...]
    truncation_central: tuple[float, ...]
    rounding: tuple[float, ...]

    @property
    def table(self) -> Table:
        """Found and expected errors, a line for each h."""
        head = ("h", "forward", "central", "h/2 f''", "h²/6 f'''", "eps (|f| + |x f'|) / h")
        columns = (self.h, self.forward, self.central, self.truncation_forward, self.truncation_central, self.rounding)
        rows = [(f"{h:.0e}", *(f"{error:.1e}" for error in errors)) for h, *errors in zip(*columns, strict=True)]
        title = "Relative errors of differences, and what is expected of truncation and of rounding:"
        return Table(head, tuple(rows), title, left=())

    def __str__(self) -> str:
        return str(self.table)

    def draw(self, figure: Any) -> None:
        """Draw the errors against h, and truncation and rounding as broken lines."""
        axes = figure.subplots()
        found = (
            ("forward differences", self.forward, "#0072b2", "o"),
            ("central differences", self.central, "#d55e00", "s"),
        )
        for label, errors, colour, marker in found:
            axes.loglog(self.h, errors, marker, color=colour, label=label)
        expected = (
            ("truncation, h/2 f''", self.truncation_forward, "#0072b2"),
            ("truncation, h²/6 f'''", self.truncation_central, "#d55e00"),
            ("rounding, eps (|f| + |x f'|) / h", self.rounding, "#333333"),
        )
        low = min([error for error in (*self.forward, *self.central) if error > 0], default=1e-16)
        for label, errors, colour in expected:
            if any(errors):
                axes.loglog(self.h, errors, "--", color=colour, linewidth=1, label=label)
        axes.set(xlabel="h", ylabel="relative error", title=f"differences of {self.name}", ylim=(low / 10, None))
        axes.grid(visible=True, alpha=0.3)
        axes.legend()


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The derivative of a function at a point, by every way; ``methods`` in the order of the table."""

    name: str
    value: Any
    methods: tuple[Method, ...]
    differences: DifferenceErrors
    reference: str

    def __getitem__(self, name: str) -> Method:
        """The method of this name."""
        return next(method for method in self.methods if method.name == name)

    @property
    def table(self) -> Table:
        """A line for each method."""
        rows = []
        for m in self.methods:
            shown = m.why if m.derivative is None else short(m.derivative)
            error = "" if m.error is None else f"{m.error:.1e}"
            operations = "" if m.operations is None else f"{m.operations:,}"
            rows.append((m.name, shown, error, operations, "" if m.seconds is None else f"{m.seconds:.2e}"))
        head = ("method", "derivative", "error", "operations", "seconds")
        return Table(head, tuple(rows), f"{self.name} = {short(self.value)}. Errors relative to {self.reference}.")

    def __str__(self) -> str:
        return f"{self.table}\n\n{self.differences}"

    def markdown(self) -> str:
        """Both tables as Markdown."""
        return f"{self.table.markdown()}\n\n{self.differences.table.markdown()}"

    def _repr_html_(self) -> str:
        return self.table._repr_html_() + self.differences._repr_html_()


def derivatives_compared(f: Callable[[Any], Any], x: Any) -> Comparison:
    """Differentiate ``f`` at ``x`` by differences, by formulas, in forward and in reverse mode, and compare.

    ``f`` takes one number or array of real floats, and returns one real number. Errors are relative to the formula,
    computed with 30 digits; to reverse mode, where SymPy is missing or the function has no formula that it can write.
    Operations are counted: those of the tape and of its rules, and for formulas those that are written. Seconds are
    measured here and now. It takes about a second, and O(size of x) evaluations.

    >>> found = derivatives_compared(lambda x: np.sin(x) * x, 0.5)
    >>> [method.name for method in found.methods]
    ['forward differences', 'central differences', 'symbolic', 'forward mode', 'reverse mode']
    >>> found["reverse mode"].error < 1e-15 < found["forward differences"].error
    True
    """
    point = as_input(x, "x")
    if point.dtype.kind == "c":
        raise UnsupportedError("derivatives are compared for real numbers, and x is complex: compare the parts of it")
    value = checked_loss(f(np.array(point)[()]), name_of(f))
    units = [unit.reshape(point.shape)[()] for unit in np.eye(point.size, dtype=point.dtype)]
    n = len(units)
    evaluation = n_operations(f, point)

    def by_forward_mode(at: Any) -> list[Any]:
        return [jvp(f, (at,), (unit,))[1] for unit in units]

    reverse = np.asarray(grad(f)(point))
    formula, truth = _by_formula(f, point)
    best = reverse if truth is None else truth
    scale = float(np.linalg.norm(best)) or 1.0

    def error(derivative: Any) -> float:
        return float(np.linalg.norm(np.asarray(derivative, float) - best)) / scale

    def shaped(parts: Sequence[Any]) -> Any:
        return np.reshape(np.array(parts, float), point.shape)[()]

    def method(name: str, way: Callable[[], Any], operations: int) -> Method:
        derivative = way()
        return Method(name, derivative, error(derivative), operations, seconds(way))

    eps = float(np.finfo(point.dtype).eps)
    size = max(1.0, float(np.max(np.abs(point), initial=0.0)))
    one, two = size * eps ** (1 / 2), size * eps ** (1 / 3)  # where truncation and rounding are about equal
    methods = (
        method("forward differences", lambda: shaped(_forward(f, point, units, one)), (n + 1) * evaluation),
        method("central differences", lambda: shaped(_central(f, point, units, two)), 2 * n * evaluation),
        formula if formula.derivative is None else _with_error(formula, error),
        method("forward mode", lambda: shaped(by_forward_mode(point)), n_operations(by_forward_mode, point)),
        method("reverse mode", lambda: grad(f)(point), n_operations(grad(f), point)),
    )
    found = [(_forward(f, point, units, h), _central(f, point, units, h)) for h in _STEPS]
    second, third = (np.array([_nested(f, point, unit, order) for unit in units]) for order in (2, 3))
    rounded = abs(float(value)) * n**0.5 + float(np.linalg.norm(point * best))
    differences = DifferenceErrors(
        name_of(f),
        _STEPS,
        tuple([error(shaped(parts)) for parts, _ in found]),
        tuple([error(shaped(parts)) for _, parts in found]),
        tuple([h / 2 * float(np.linalg.norm(second)) / scale for h in _STEPS]),
        tuple([h**2 / 6 * float(np.linalg.norm(third)) / scale for h in _STEPS]),
        tuple([eps * rounded / h / scale for h in _STEPS]),
    )
    reference = "reverse mode" if truth is None else "the formula with 30 digits"
    return Comparison(name_of(f), value, methods, differences, reference)


# --- differences ------------------------------------------------------------------------------------------------------
def _forward(f: Callable[[Any], Any], x: Any, units: Sequence[Any], h: float) -> list[Any]:
    with np.errstate(all="ignore"):
        here = f(np.array(x)[()])
        return [(f(x + h * unit) - here) / h for unit in units]


def _central(f: Callable[[Any], Any], x: Any, units: Sequence[Any], h: float) -> list[Any]:
    with np.errstate(all="ignore"):
        return [(f(x + h * unit) - f(x - h * unit)) / (2 * h) for unit in units]


def _nested(f: Callable[[Any], Any], x: Any, unit: Any, order: int) -> Any:
    """A derivative of higher order along one axis: forward mode of forward mode."""
    if order == 0:
        return f(x)
    return jvp(lambda y: _nested(f, y, unit, order - 1), (x,), (unit,))[1]


# --- formulas ---------------------------------------------------------------------------------------------------------
def _by_formula(f: Callable[[Any], Any], x: Any) -> tuple[Method, Any]:
    """The derivative by SymPy, from the operations of the tape, and its value with 30 digits; or why there is none."""

    def none(why: str) -> tuple[Method, None]:
        return Method("symbolic", None, None, None, None, why), None

    try:
        from unspool.interop import sympy
    except ImportError:
        return none("SymPy is not installed: pip install 'unspool[sympy]'")
    names, at = sympy.symbols(x.size), np.ravel(x).tolist()
    try:
        (value,) = sympy.to_sympy(record(f, (x,)).program(), np.reshape(np.array(names, object), x.shape))
        length = sympy.n_operations(value)
        if length > LONGEST:
            return none(f"not derived: the expression has {length:.3g} operations")
        gradient = sympy.derivatives(value, names)
        truth = np.reshape(sympy.values_of(gradient, names, at), x.shape)
        function = sympy.as_function(names, gradient)
    except UnsupportedError as error:
        return none(str(error).partition(". ")[0])
    except (RecursionError, SyntaxError):  # SymPy, and Python's parser, go down an expression by recursion
        return none("not derived: the expression is nested too deeply")

    def way() -> Any:
        return np.reshape(np.array(function(*at), float), x.shape)[()]

    return Method("symbolic", way(), None, sympy.n_operations(*gradient), seconds(way)), truth


def _with_error(method: Method, error: Callable[[Any], float]) -> Method:
    return Method(method.name, method.derivative, error(method.derivative), method.operations, method.seconds)

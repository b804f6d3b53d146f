"""Checks of a gradient by other means, and the search for the primitive that is to blame."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf, isnan, nan
from typing import Any

import numpy as np

from unspool.errors import InputError, UnspoolError, UnsupportedError
from unspool.ir.listener import primal
from unspool.layout import ArrayType
from unspool.table import preformatted
from unspool.testing.taylor import remainders
from unspool.testing.vectors import is_float, moved, norm, precision, random_like, terms
from unspool.transforms import jvp, vjp
from unspool.tree import flatten, map_leaves
from unspool.witness import Ear, Operation, is_loop, witness

Function = Callable[..., Any]

_LEVELS = tuple(0.1 * 0.25**k for k in range(10))
_WRONG = (0.6, 1.4)  # orders of a remainder that a wrong gradient leaves


class GradientError(UnspoolError, AssertionError):
    """A gradient is wrong: the message has every check with its sizes, and the primitive that is to blame."""

    def __init__(self, report: GradientReport) -> None:
        super().__init__(str(report))
        self.report = report


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison: the error relative to the size of the terms, what is allowed, and what was found.

    ``passed`` is None where the comparison could not be made, or says nothing.
    """

    name: str
    passed: bool | None
    error: float
    allowed: float
    detail: str

    def __str__(self) -> str:
        verdict = {True: "ok", False: "WRONG", None: "–"}[self.passed]
        return f"{self.name:<34} {verdict:<6} {self.detail}"


@dataclass(frozen=True, slots=True)
class Culprit:
    """A primitive that fails the checks by itself, on values that it met."""

    name: str
    line: str | None
    place: str
    types: tuple[str, ...]
    checks: tuple[Check, ...]

    def __str__(self) -> str:
        where = ", ".join([part for part in (self.line, self.place and f"in {self.place}") if part])
        head = f"{self.name}({', '.join(self.types)}){where and f', called at {where}'}:"
        return "\n".join([head, *(f"  {check}" for check in self.checks if check.passed is False)])


@dataclass(frozen=True, slots=True)
class GradientReport:
    """What `check_grads` found."""

    name: str
    checks: tuple[Check, ...]
    culprits: tuple[Culprit, ...] = ()
    n_primitives: int = 0

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.passed is not False for check in self.checks)

    def __str__(self) -> str:
        lines = [f"The gradient of {self.name} is {'right' if self.passed else 'wrong'}."]
        lines += [f"  {check}" for check in self.checks]
        if self.passed:
            return "\n".join(lines)
        if self.culprits:
            lines.append("These are wrong by themselves, on values that they met; correct their rules:")
            lines += [f"  {row}" for culprit in self.culprits for row in str(culprit).splitlines()]
        else:
            lines.append(
                f"Each of the {self.n_primitives} primitives that it used is right by itself on the values that were "
                "kept. Look for a stop_gradient, a plain copy of a value (aux, a global), random numbers, or a kink of "
                "the function at this point; taylor_test shows which h still sees it."
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return preformatted(str(self))


def check_grads(
    f: Function,
    args: Sequence[Any],
    *,
    argnums: int | Sequence[int] | None = None,
    order: int = 1,
    rtol: float | None = None,
    seed: int = 0,
) -> GradientReport:
    """Check the derivatives of ``f`` at ``args``; GradientError if they are wrong, with the primitive to blame.

    ``f`` takes and returns any nests of arrays; ``argnums`` are the arguments to differentiate, all that are made of
    floats where it is left out. Four comparisons in one random direction: <ct, J v> by forward mode with <Jᵀ ct, v> by
    reverse mode; the latter with the complex step where ``f`` runs on complex numbers and is holomorphic there, else
    with central differences; and the order of the Taylor remainder. Loops are checked through the policy that they
    have. ``order=2`` checks second derivatives too. ``rtol`` takes the place of the tolerances, which follow from the
    method and the dtypes. Costs about thirty evaluations.

    >>> import numpy as np
    >>> print(check_grads(lambda u, a: np.sum(np.sin(a * u)), (np.array([0.5, 1.0]), 2.0)))
    The gradient of <lambda> is right.
      dot product                        ok     forward and reverse mode are apart by ...
      complex step                       ok     apart by ...
      Taylor remainder                   ok     of order 2.00
    """
    if order not in (1, 2):
        raise InputError(f"order={order!r}: choose 1, or 2 for second derivatives too")
    args = tuple(args)
    chosen = _chosen(args, argnums)

    def of_chosen(*values: Any) -> Any:
        here = list(map_leaves(_copy, args))  # f may write into its arguments
        for position, value in zip(chosen, values, strict=True):
            here[position] = value
        return f(*here)

    point = tuple([args[k] for k in chosen])
    checks = _checks(of_chosen, of_chosen, point, order=order, rtol=rtol, seed=seed)
    name = getattr(f, "__name__", repr(f))
    report = GradientReport(name, checks)
    if report.passed:
        return report
    heard = _Calls()
    witness(of_chosen, heard)(*point)
    culprits = _culprits(heard, order=order, rtol=rtol, seed=seed)
    raise GradientError(GradientReport(name, checks, culprits, len(heard.counts)))


def _copy(leaf: Any) -> Any:
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf


def _chosen(args: tuple[Any, ...], argnums: int | Sequence[int] | None) -> list[int]:
    if argnums is None:
        found = [k for k, arg in enumerate(args) if (leaves := flatten(arg)[0]) and all(map(is_float, leaves))]
        if not found:
            raise InputError("none of the arguments is made of floats: there is nothing to differentiate")
        return found
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    if any(not -len(args) <= number < len(args) for number in numbers):
        raise InputError(f"argnums={argnums!r}, but {len(args)} arguments were given")
    return [number % len(args) for number in numbers]


# --- comparisons ------------------------------------------------------------------------------------------------------
def _checks(
    f: Function, plain: Function, point: tuple[Any, ...], *, order: int, rtol: float | None, seed: int
) -> tuple[Check, ...]:
    """Compare the derivatives of f, whose values ``plain`` computes on plain arrays."""
    rng = np.random.default_rng(seed)
    first = _first_order(f, plain, point, rng=rng, rtol=rtol)
    if order == 1:
        return first
    ct = random_like(vjp(f, *point)[0], rng)

    def gradient(*values: Any) -> Any:
        return vjp(f, *values)[1](ct)

    try:
        second = _first_order(gradient, gradient, point, rng=rng, rtol=rtol)
    except UnsupportedError as refused:
        second = (Check("derivatives", None, nan, nan, _first_line(refused)),)
    return (*first, *(replace(check, name=f"second order, {check.name}") for check in second))


def _first_order(
    f: Function, plain: Function, point: tuple[Any, ...], *, rng: np.random.Generator, rtol: float | None
) -> tuple[Check, ...]:
    out, pullback = vjp(f, *point)
    ct, v = random_like(out, rng), random_like(point, rng)
    v = moved(v, v, (norm(point) or 1.0) / (norm(v) or 1.0) - 1.0)
    back, size = terms(pullback(ct), v)
    value = _Along(plain, point, v, ct)
    reverse = _Slope(float(np.real(back)), size, precision(point, out))
    numeric = _numeric(value, reverse, rtol)
    return _dot_product(f, value, reverse, rtol), numeric, _taylor(value, reverse, numeric.allowed)


@dataclass(frozen=True, slots=True)
class _Slope:
    """<Jᵀ ct, v>, the size of its terms, and the machine epsilon of whatever is coarsest in it."""

    value: float
    size: float
    eps: float

    @property
    def double(self) -> bool:
        """Whether all of it is in double precision."""
        return self.eps < 1e-12


class _Along:
    """The real function h -> <ct, f(x + h v)>."""

    def __init__(self, f: Function, point: tuple[Any, ...], v: Any, ct: Any) -> None:
        self.f, self.point, self.v, self.ct = f, point, v, ct

    def __call__(self, h: float) -> float:
        return float(np.real(self.terms(float(h))[0]))

    def terms(self, h: complex) -> tuple[complex, float]:
        """The value for any h, which may be complex, and the size of its terms."""
        return terms(self.ct, self.f(*moved(self.point, self.v, h)))


def _dot_product(f: Function, value: _Along, reverse: _Slope, rtol: float | None) -> Check:
    allowed = rtol or (1e-9 if reverse.double else 1e-3)
    try:
        _, tangent = jvp(f, value.point, value.v)
    except UnsupportedError as refused:
        return Check("dot product", None, nan, allowed, _first_line(refused))
    product, size = terms(value.ct, tangent)
    forward = float(np.real(product))
    error = _relative(forward - reverse.value, max(size, reverse.size))
    apart = f"forward and reverse mode are apart by {error:.1e} (allowed {allowed:.0e})"
    return Check("dot product", error <= allowed, error, allowed, f"{apart}: {forward:.8g}, {reverse.value:.8g}")


def _numeric(value: _Along, reverse: _Slope, rtol: float | None) -> Check:
    slope, eps = reverse.value, reverse.eps
    exact = _complex_step(value, reverse)
    if exact is not None:
        error = _relative(exact - slope, max(reverse.size, abs(exact)))
        return _compared("complex step", error, rtol or 1e-8, (slope, exact))
    allowed = rtol or (1e-6 if reverse.double else 1e-2)
    h = 2 * eps**0.2
    coarse, fine = _central(value, h), _central(value, h / 4)
    scale = max(reverse.size, abs(fine))
    doubt = _relative(abs(coarse - fine) + 20 * eps * value.terms(0.0)[1] / h, scale)
    error = min(_relative(coarse - slope, scale), _relative(fine - slope, scale))
    if not error <= allowed and doubt > max(allowed, 0.1 * error):
        detail = f"do not settle: {coarse:.8g}, {fine:.8g} with smaller h, where reverse mode has {slope:.8g}"
        return Check("central differences", None, error, allowed, detail)
    return _compared("central differences", error, max(allowed, doubt if doubt < 0.01 else 0.0), (slope, fine))


def _compared(name: str, error: float, allowed: float, found: tuple[float, float]) -> Check:
    reverse, other = found
    detail = f"apart by {error:.1e} (allowed {allowed:.0e}): reverse mode {reverse:.8g}, {name} {other:.8g}"
    return Check(name, error <= allowed, error, allowed, detail)


def _central(value: Callable[[float], float], h: float) -> float:
    """The derivative at 0 by differences of fourth order."""
    one, two = (value(h) - value(-h)) / (2 * h), (value(2 * h) - value(-2 * h)) / (4 * h)
    return (4 * one - two) / 3


def _complex_step(value: _Along, reverse: _Slope) -> float | None:
    """The derivative at 0 to the last digits; None where the function is not known to be holomorphic.

    Cauchy's integral over a small circle agrees with the complex step only if it is, to the last part of it: a small
    abs, real or conj inside would be missed by both otherwise.
    """
    leaves = [np.asarray(leaf) for leaf in flatten((value.point, value.ct))[0]]
    if not reverse.double or any(leaf.dtype.kind == "c" for leaf in leaves):
        return None
    h, r = 1e-40, 1e-3
    roots = [1, 1j, -1, -1j]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error")
            step = value.terms(1j * h)[0].imag / h
            around = [value.terms(complex(r * root)) for root in roots]
    except Exception:  # whatever code that was written for reals does with complex numbers
        return None
    circle = sum(v / root for (v, _), root in zip(around, roots, strict=True)) / (4 * r)
    size = max(abs(step), 1e-3 * around[0][1])
    if not np.isfinite(step) or not abs(circle - step) <= 1e-9 * size + 100 * reverse.eps * around[0][1] / r:
        return None
    return float(step)


def _taylor(value: _Along, reverse: _Slope, allowed: float) -> Check:
    table = remainders(value, value(0.0), reverse.value, levels=_LEVELS, eps=reverse.eps)
    order = table.order
    if table.passed:
        detail = "nothing is left but noise" if order == inf else f"of order {order:.2f}"
        return Check("Taylor remainder", True, 0.0, allowed, detail)
    h, left = table.h[-1], table.second[-1]
    error = _relative(left / h, max(reverse.size, table.first[-1] / h))
    wrong = _WRONG[0] < order < _WRONG[1] and error > allowed
    detail = "lost in noise" if isnan(order) else f"of order {order:.2f}, should be 2"
    return Check("Taylor remainder", False if wrong else None, error, allowed, detail)


def _relative(difference: float, scale: float) -> float:
    if difference == 0:
        return 0.0
    return abs(difference) / scale if scale else inf


def _first_line(error: Exception) -> str:
    return str(error).split(". ", maxsplit=1)[0]


# --- who is to blame --------------------------------------------------------------------------------------------------
class _Calls(Ear):
    """Keeps the operands of the calls 1, 2, 4, 8 ... of each primitive at each line."""

    def __init__(self) -> None:
        self.calls: list[tuple[Operation, tuple[Any, ...]]] = []
        self.counts: dict[tuple[str, str | None], int] = {}

    def enter(self, value: Any, name: str, place: str) -> tuple[Any, Any]:
        """Nothing to note."""
        return value, None

    def leave(self, value: Any, note: Any, place: str) -> None:
        """Nothing to note."""

    def hear(
        self, operation: Operation, call: Callable[..., Any], values: Sequence[Any], notes: Sequence[Any]
    ) -> tuple[Any, Sequence[Any]]:
        """Keep the operands of some calls."""
        y = call(*values)
        key = operation.primitive.name, operation.line
        count = self.counts[key] = self.counts.get(key, 0) + 1
        if count & (count - 1) == 0:
            self.calls.append((operation, tuple([np.array(primal(value), order="K")[()] for value in values])))
        return y, [None] * (len(y) if operation.primitive.multiple else 1)


def _culprits(heard: _Calls, *, order: int, rtol: float | None, seed: int) -> tuple[Culprit, ...]:
    """Those whose own checks fail, each once, the largest error first; loops only if nothing inside them fails."""
    found: dict[tuple[str, str | None], Culprit] = {}
    for loops in (False, True):
        for operation, values in heard.calls:
            key = operation.primitive.name, operation.line
            if is_loop(operation.primitive) is loops and key not in found:
                checks = _call_checks(operation, values, order=order, rtol=rtol, seed=seed)
                if any(check.passed is False for check in checks):
                    types = tuple([str(ArrayType.of(value)) for value in values])
                    found[key] = Culprit(*key, operation.place, types, checks)
        if found:
            break
    return tuple(sorted(found.values(), key=_error, reverse=True))


def _error(culprit: Culprit) -> float:
    return max(check.error for check in culprit.checks if check.passed is False)


def _call_checks(
    operation: Operation, values: tuple[Any, ...], *, order: int, rtol: float | None, seed: int
) -> tuple[Check, ...]:
    moving = [k for k, value in enumerate(values) if is_float(value)]
    if not moving:
        return ()

    def run(*chosen: Any) -> Any:
        operands = list(values)
        for k, value in zip(moving, chosen, strict=True):
            operands[k] = value
        return operation(*operands)

    try:
        with np.errstate(all="ignore"):
            return _checks(run, run, tuple([values[k] for k in moving]), order=order, rtol=rtol, seed=seed)
    except Exception:  # a neighbour of the values may be outside of the primitive's domain: then it says nothing
        return ()

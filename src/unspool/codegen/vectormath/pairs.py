"""Sums and products with their rounding errors [D1971], and polynomials."""

from __future__ import annotations

from collections.abc import Sequence

from unspool.codegen.vectormath.lanes import Floats, floats, fma

Pair = tuple[Floats, Floats]  # the sum of two, of which the second is small


def fast_two_sum(x: Floats | float, y: Floats) -> Pair:
    """The sum and its rounding error, for |x| >= |y| or x = 0."""
    total = x + y
    return total, (x - total) + y


def two_sum(x: Floats, y: Floats | float) -> Pair:
    """The sum and its rounding error."""
    total = x + y
    rest = total - x
    return total, (x - (total - rest)) + (y - rest)


def two_product(x: Floats, y: Floats | float) -> Pair:
    """The product and its rounding error."""
    product = x * y
    return product, fma(x, y, -product)


def quotient(top: Floats, bottom: Pair, top_low: Floats | None = None) -> Pair:
    """The quotient of two pairs, to about 100 bits, with one division."""
    inverse = 1.0 / bottom[0]
    ratio = top * inverse
    rest = fma(-ratio, bottom[1], fma(-ratio, bottom[0], top))
    return ratio, (rest if top_low is None else rest + top_low) * inverse


def polynomial(x: Floats, coefficients: Sequence[float]) -> Floats:
    """The sum of c[k] x**k by Estrin's scheme: in pairs, which need not wait for each other."""
    terms = [floats(x.lanes, c) for c in coefficients]
    while len(terms) > 1:
        last = terms[2 * (len(terms) // 2) :]
        terms = [fma(x, high, low) for low, high in zip(terms[::2], terms[1::2], strict=False)] + last
        x = x * x
    return terms[0]

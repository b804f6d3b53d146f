"""Powers and roots: power, cbrt, hypot."""

from __future__ import annotations

from math import inf, nan

from unspool.codegen.vectormath.exponentials import LN2, LN2_LOW, exp_parts, rounded, scaled, within
from unspool.codegen.vectormath.lanes import Floats, fma, rint, sign, signed, sqrt, where
from unspool.codegen.vectormath.logarithms import split
from unspool.codegen.vectormath.pairs import Pair, fast_two_sum, polynomial, quotient, two_product

_TWO_THIRDS, _TWO_THIRDS_LOW = 0.6666666666666666, 3.700743415417188e-17

# (log((1 + s) / (1 - s)) / s - 2 - 2 s**2 / 3) / s**4 in powers of s**2: minimax by Remez for |s| <= 0.1717, moves the
# logarithm by at most 2**-65 of it
_LOG = (
    *(0.4000000000000154, 0.28571428570387636, 0.222222224752742, 0.18181787835625976),
    *(0.15386613212694406, 0.13259880969591997, 0.13170137136393364),
)
# m**(-1/3) on [1, 2), by Remez, to 2**-14
_CBRT = 1.6700068728914714, -1.172880594082569, 0.6954830282871227, -0.221238028911257, 0.028591053545311253
_CBRT_QUARTER, _CBRT_HALF = 0.6299605249474366, 0.7937005259840998


def power(x: Floats, y: Floats) -> Floats:
    """The power x**y as e**(y log|x|), with the logarithm to 65 bits; the special cases are those of C's pow."""
    base, size = abs(x), abs(y)
    high, low = _log(base)
    high = where(base.equals(0.0), -inf, where(base < inf, high, base))
    product, error = two_product(high, y)
    error = fma(low, y, error)
    far = ~(abs(product) < 800.0)
    product, error = where(far, within(product, -800.0, 800.0), product), where(far, 0.0, error)
    (high, low), n = exp_parts(product, error)
    value = scaled(high + low, n)

    whole = rint(y).equals(y)
    half = 0.5 * size
    odd = whole & ~rint(half).equals(half)
    value = where(odd, signed(value, sign(x)), value)
    value = where((x < 0.0) & (base < inf) & (size < inf) & ~whole, nan, value)
    return where(x.equals(1.0) | y.equals(0.0) | (base.equals(1.0) & size.equals(inf)), 1.0, value)


def cbrt(x: Floats) -> Floats:
    """The cube root of x: from a polynomial for m**(-1/3), a step of third order, and one of Newton's on the root."""
    y = abs(x)
    small = y < 2.0**-1022
    bits = where(small, y * 2.0**54, y).bits()
    fraction = ((bits & ((1 << 52) - 1)) | (1023 << 52)).floats()
    exponent = ((bits >> 52) | 0x4330000000000000).floats() - (2.0**52 + 1023.0)
    third, n = rounded(exponent - 1.0, 1.0 / 3.0)
    rest = exponent - 3.0 * third
    m = fraction * where(rest > 1.5, 4.0, where(rest > 0.5, 2.0, 1.0))
    inverse = polynomial(fraction, _CBRT)
    inverse = inverse * where(rest > 1.5, _CBRT_QUARTER, where(rest > 0.5, _CBRT_HALF, 1.0))
    short = fma(-(inverse * inverse), inverse * m, 1.0)
    inverse = fma(inverse * short, fma(short, 2.0 / 9.0, 1.0 / 3.0), inverse)
    squared = inverse * inverse
    root = m * squared
    square, error = two_product(root, root)
    rest = fma(-square, root, m) - error * root
    root = fma(rest, squared * (1.0 / 3.0), root)
    value = scaled(root, n) * where(small, 2.0**-18, 1.0)
    return where((y > 0.0) & (y < inf), signed(value, sign(x)), x)


def hypot(x: Floats, y: Floats) -> Floats:
    """The root of x**2 + y**2, scaled where a square would overflow or underflow."""
    a, b = abs(x), abs(y)
    most = where(a > b, a, b)
    scale = where(most > 2.0**500, 2.0**-600, where(most < 2.0**-400, 2.0**600, 1.0))
    back = where(most > 2.0**500, 2.0**600, where(most < 2.0**-400, 2.0**-600, 1.0))
    a, b = a * scale, b * scale
    value = sqrt(fma(a, a, b * b)) * back
    return where(a.equals(inf) | b.equals(inf), inf, value)


def _log(x: Floats) -> Pair:
    """The logarithm of a positive and finite number as a pair, to 65 bits."""
    k, f = split(x)
    s, s_low = quotient(f, fast_two_sum(2.0, f))
    square, error = two_product(s, s)
    square_low = fma(2.0 * s, s_low, error)
    tail, tail_low = fast_two_sum(_TWO_THIRDS, square * polynomial(square, _LOG))
    tail_low = tail_low + _TWO_THIRDS_LOW
    cube, error = two_product(s, square)
    cube_low = fma(s, square_low, fma(s_low, square, error))
    term, error = two_product(cube, tail)
    term_low = fma(cube, tail_low, fma(cube_low, tail, error))
    whole, error = two_product(k, LN2)
    whole_low = fma(k, LN2_LOW, error)
    total, first = fast_two_sum(whole, 2.0 * s)
    total, second = fast_two_sum(total, term)
    return fast_two_sum(total, (first + second) + (fma(s_low, 2.0, term_low) + whole_low))

"""Logarithms and inverse hyperbolic functions.

All come to x = 2**k (1 + f) with 1 + f between the roots of 1/2 and 2, and to the series of 2 artanh(s) in
s = f / (2 + f), which is log(1 + f).
"""

from __future__ import annotations

from math import inf, nan

from unspool.codegen.vectormath.exponentials import LN2, LN2_LOW, exp_of, power_of_two
from unspool.codegen.vectormath.lanes import Bits, Floats, fma, sign, signed, sqrt, where
from unspool.codegen.vectormath.pairs import Pair, fast_two_sum, polynomial, quotient, two_product, two_sum

LOG2_E, LOG2_E_LOW = 1.4426950408889634, 2.0355273740931033e-17
LOG10_E, LOG10_E_LOW = 0.4342944819032518, 1.098319650216765e-17
LOG10_2, LOG10_2_LOW = 0.30102999566406652, -8.532344317057107e-14  # k times the first, of 41 bits, is exact

_ROOT_HALF = 0x3FE6A09E667F3BCD
_ONE = 0x3FF0000000000000
_FRACTION = (1 << 52) - 1

# (log((1 + s) / (1 - s)) / s - 2) / s**2 in powers of s**2: minimax by Remez for |s| <= 0.1717, moves the logarithm by
# 2**-58 of it at most
_LOG = (
    *(0.6666666666666733, 0.3999999999942431, 0.28571428740757215, 0.22222198703497376),
    *(0.18183559023301724, 0.15314155855636766, 0.14795151136152487),
)
# the same for |s| <= 0.2012 and 2**-60
_ARTANH = (
    *(0.666666666666666, 0.40000000000059316, 0.2857142855511388, 0.2222222438211466),
    *(0.18181660572935013, 0.1539128859231223, 0.13170593295674746, 0.13863541081709443),
)


def log(x: Floats) -> Floats:
    """The natural logarithm of x."""
    k, f = split(x)
    return _of_positive(x, _sum(k, f))


def log2(x: Floats) -> Floats:
    """The logarithm of x to base 2, exact where x is a power of 2."""
    k, f = split(x)
    p, rest = _in_base(f, LOG2_E, LOG2_E_LOW)
    total, error = fast_two_sum(k, p)
    return _of_positive(x, total + (error + rest))


def log10(x: Floats) -> Floats:
    """The logarithm of x to base 10."""
    k, f = split(x)
    p, rest = _in_base(f, LOG10_E, LOG10_E_LOW)
    total, error = fast_two_sum(k * LOG10_2, p)
    return _of_positive(x, total + (error + fma(k, LOG10_2_LOW, rest)))


def log1p(x: Floats) -> Floats:
    """The natural logarithm of 1 + x, with all its digits where x is small."""
    y = where(abs(x) < 2.0**-53, 0.0, where(x < inf, x, 1.0))
    value = log_of(two_sum(y, 1.0))
    value = where(x < -1.0, nan, where(x.equals(-1.0), -inf, value))
    return where((abs(x) < 2.0**-53) | ~(x < inf), x, value)


def logaddexp(x: Floats, y: Floats) -> Floats:
    """The logarithm of e**x + e**y: the larger of the two, and log(1 + e**-d) for the distance d."""
    least, most = where(x < y, x, y), where(x < y, y, x)
    infinite = abs(most).equals(inf)
    distance, error = two_sum(least, -where(infinite, 0.0, most))
    near = distance > -760.0
    e, rest = exp_of(where(near, distance, -760.0), where(near, error, 0.0))
    one, short = fast_two_sum(1.0, e)
    k, f = split(one)
    high, low = _pair(k, f, (short + rest) / one)
    total, error = two_sum(where(infinite, 0.0, most), high)
    value = where(infinite, most, total + (error + low))
    return where(x.equals(x), where(y.equals(y), value, y), x)


def arcsinh(x: Floats) -> Floats:
    """The inverse hyperbolic sine of x: log(x + sqrt(x**2 + 1))."""
    y = abs(x)
    far = y > 2.0**28
    t = where(far, 1.0, y)
    square, error = two_product(t, t)
    q, rest = two_sum(square, 1.0)
    root = _root((q, rest + error))
    high, low = fast_two_sum(root[0], t)
    value = log_of((where(far, y, high), where(far, 0.0, low + root[1])), twice=where(far, 1.0, 0.0))
    return signed(where(y < inf, value, y), sign(x))


def arccosh(x: Floats) -> Floats:
    """The inverse hyperbolic cosine of x: log(x + sqrt(x**2 - 1)), the root of t (t + 2) with t = x - 1."""
    far = x > 2.0**28
    y = where(far, 1.0, x)
    t = y - 1.0
    square, error = two_product(t, t)
    q, rest = two_sum(2.0 * t, square)
    root = _root((q, rest + error))
    high, low = fast_two_sum(y, root[0])
    value = log_of((where(far, x, high), where(far, 0.0, low + root[1])), twice=where(far, 1.0, 0.0))
    return where(x < 1.0, nan, where(x < inf, value, x))


def arctanh(x: Floats) -> Floats:
    """The inverse hyperbolic tangent of x: half the logarithm of (1 + |x|) / (1 - |x|) = 2**k (1 + s) / (1 - s)."""
    y = abs(x)
    top, top_low = fast_two_sum(1.0, y)
    bottom, bottom_low = fast_two_sum(1.0, -y)
    n = ((top.bits() - bottom.bits()) + (1 << 51)) >> 52  # log2 of the ratio to 0.09, and rounded
    power = power_of_two(n)
    near = ~n.nonzero()
    k = _as_float(n) * 0.5
    difference, total = top - power * bottom, two_sum(top, power * bottom)
    difference, difference_low = where(near, 2.0 * y, difference), where(near, 0.0, fma(-power, bottom_low, top_low))
    total = where(near, 2.0, total[0]), where(near, 0.0, total[1] + fma(power, bottom_low, top_low))
    s, s_low = quotient(difference, total, difference_low)
    square = s * s
    rest = fma(k, LN2_LOW, fma(0.5 * s * square, polynomial(square, _ARTANH), s_low))
    value = fma(k, LN2, s + rest)
    value = where(y.equals(1.0), inf, where(y > 1.0, nan, value))
    return signed(value, sign(x))


def split(x: Floats) -> Pair:
    """The numbers k and f with x = 2**k (1 + f), for positive and finite x."""
    small = x < 2.0**-1022
    bits = where(small, x * 2.0**54, x).bits() + (_ONE - _ROOT_HALF)
    k = _as_float(bits >> 52) - where(small, 1023.0 + 54.0, 1023.0)
    return k, ((bits & _FRACTION) + _ROOT_HALF).floats() - 1.0


def log_of(x: Pair, twice: Floats | float = 0.0) -> Floats:
    """The logarithm of a pair, or of twice that."""
    k, f = split(x[0])
    return _sum(k + twice, f, x[1] / x[0])


def _as_float(n: Bits) -> Floats:
    """A whole number below 2**51, from integer to float."""
    return (n | 0x4330000000000000).floats() - 2.0**52


def _of_positive(x: Floats, value: Floats) -> Floats:
    """The value where x is positive and finite; what a logarithm is elsewhere."""
    value = where(x < inf, value, x)
    return where(x < 0.0, nan, where(x.equals(0.0), -inf, value))


def _series(f: Floats) -> tuple[Floats, Floats]:
    """The numbers h = f**2 / 2 and t with log(1 + f) = f - (h - t)."""
    s = f / (f + 2.0)
    square = s * s
    half = 0.5 * f * f
    return half, s * fma(square, polynomial(square, _LOG), half)


def _sum(k: Floats, f: Floats, c: Floats | None = None) -> Floats:
    """The sum k log(2) + log(1 + f), or that and a small c."""
    half, rest = _series(f)
    small = fma(k, LN2_LOW, rest)
    return fma(k, LN2, f - (half - (small if c is None else small + c)))


def _pair(k: Floats, f: Floats, c: Floats) -> Pair:
    """The sum k log(2) + log(1 + f) + c as a pair of about 57 bits."""
    half, rest = _series(f)
    high, low = fast_two_sum(f, -half)
    product, error = two_product(k, LN2)
    total, short = fast_two_sum(product, high)
    return total, short + (((low + rest) + c) + fma(k, LN2_LOW, error))


def _in_base(f: Floats, factor: float, factor_low: float) -> Pair:
    """The product of log(1 + f) and a factor, as a pair."""
    half, rest = _series(f)
    high, low = fast_two_sum(f, -half)
    product, error = two_product(high, factor)
    return product, error + fma(low + rest, factor, high * factor_low)


def _root(x: Pair) -> Pair:
    """The square root of a pair, as a pair."""
    root = sqrt(x[0])
    return root, (fma(-root, root, x[0]) + x[1]) / where(root > 0.0, 2.0 * root, 1.0)
